"""Chapter 1: what a text is made of, counted in core Python alone, of a file of any size in little memory.

A text is read a megabyte at a time and cut at white space with `str.split`, which is quick; how often each of those
pieces occurs is counted as it stands. Only the different pieces, few beside the text, are then taken apart into words
and marks: a piece that occurs a thousand times is looked at once. So memory grows with the number of different words,
not with the length of the text.

A word is a run of letters and digits, with the accents that belong to them, and an apostrophe or a hyphen between two
of them belongs to it: "don't", "Rabbit-Hole", "naïve". Capital and small letters make no difference.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import IO

from tinygrad_edu.scripts.ch01_sentences import SAFE, beyond_ascii, ends, sentences

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 20  # characters that are kept back, waiting for a place to cut; a longer piece is cut anywhere
MOST_PIECES = 200_000  # different ones, some 30 MB, before they are taken apart


@dataclass
class Tally:
    """What was counted. `words` are in small letters, `marks` all characters that are no letter, digit or white space.

    >>> tally = count(["Don't panic! The RABBIT-hole", " is deep, said Mr. X."])
    >>> tally.words["rabbit-hole"], tally.sentences, tally.characters, tally.marks["."]
    (1, 2, 49, 2)
    """

    characters: int = 0
    letters: int = 0
    capitals: int = 0  # letters
    digits: int = 0
    sentences: int = 0
    words_capitalised: int = 0  # the first letter is a capital one
    words_in_capitals: int = 0  # all are, of two or more
    unreadable: int = 0  # bytes, or characters, that stand for U+FFFD
    words: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    white_space: int = 0

    def add(self, other: Tally) -> None:
        """Take the counts of another text in."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)


def count(pieces: Iterable[str]) -> Tally:
    """The Tally of a text, given in pieces that `cut` made, or whole as [text]."""
    tally, found, last = Tally(), Counter[str](), ""
    for text in pieces:
        tally.characters += len(text)
        tally.unreadable += text.count("\ufffd")
        tally.sentences += ends(last)
        found.update(text.split())
        if len(found) > MOST_PIECES:
            take_apart(found, tally)
            found.clear()
        last = text
    take_apart(found, tally)
    tally.sentences += len(sentences(last))
    tally.white_space = tally.characters - tally.letters - tally.digits - tally.marks.total()
    return tally


def take_apart(pieces: Counter[str], tally: Tally) -> None:
    """Add the words, letters, digits and marks of pieces without white space, each as often as it occurs."""
    for piece, n in pieces.items():
        for word in words(piece):
            tally.words[folded(word)] += n
            tally.words_capitalised += n * word[0].isupper()
            tally.words_in_capitals += n * (len(word) > 1 and word.isupper())
        if piece.isalpha():
            tally.letters += n * len(piece)
        else:
            for character in piece:
                if character.isalpha():
                    tally.letters += n
                elif character.isalnum():
                    tally.digits += n
                else:
                    tally.marks[character] += n
        if not piece.islower():
            tally.capitals += n * sum(map(str.isupper, piece))


def words(piece: str) -> list[str]:
    """The words of a text, as they are written.

    >>> words("'Tis the White-Rabbit's -- no, the dogs' 3rd_hole.")
    ['Tis', 'the', "White-Rabbit's", 'no', 'the', 'dogs', '3rd', 'hole']
    """
    return word_pattern(piece.isascii()).findall(piece)


@cache
def word_pattern(ascii_only: bool) -> re.Pattern[str]:
    """What a word looks like; `ascii_only`: the same, sooner, for texts without other letters."""
    if ascii_only:
        return re.compile("[A-Za-z0-9]+(?:['-][A-Za-z0-9]+)*")
    signs = "".join(c for c in beyond_ascii() if unicodedata.category(c) in ("Mn", "Mc"))  # accents, vowel signs
    run = rf"[^\W_](?:[^\W_]|[{signs}])*"
    return re.compile(rf"{run}(?:['’‐‑-]{run})*")


def folded(word: str) -> str:
    """A word as it is counted: in small letters, accents joined to their letters, with one kind of apostrophe, hyphen.

    >>> folded("Don’t"), folded("ÉTÉ")
    ("don't", 'été')
    """
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFC", word.lower().replace("’", "'").replace("‐", "-").replace("‑", "-"))


def cut(file: IO[bytes], *, encoding: str = "utf-8", block: int = BLOCK) -> Iterator[str]:
    """A file's text in pieces of about `block` bytes, none of which ends within a word or near a sentence's end.

    What is no character in `encoding` becomes U+FFFD. A mark of UTF-8 or UTF-16 at the beginning is heeded, and is no
    part of the text. LookupError for an unknown encoding.
    """
    first = file.read(block)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif first.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    kept = ""
    while first:
        text = kept + decoder.decode(first)
        places = [match.start() for match in SAFE.finditer(text, max(0, len(text) - 4096))]
        at = places[-1] if places else 0
        if not at and len(text) > LONGEST:  # no text as we know it: some sentence, or some word, is cut in two
            at = max(text.rfind(" "), text.rfind("\n")) + 1 or len(text)
        if at:
            yield text[:at]
        kept, first = text[at:], file.read(block)
    kept += decoder.decode(b"", final=True)
    if kept:
        yield kept
