"""Chapter 1: where a sentence ends, as one regular expression; core Python alone.

A full stop is not enough: "Mr. Smith", "J. Doe", "No. 5", "wait... what", '"Stop!" he said' end none. The expression is
put together below from parts with a name each. It looks at white space and what stands around it; names and
abbreviations that are not in the list it gets wrong, as every rule without a dictionary does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache

# After one of these a full stop is no end of a sentence.
ABBREVIATIONS = (
    *("Mr", "Mrs", "Ms", "Mx", "Dr", "Prof", "St", "Rev", "Hon", "Gen", "Col", "Maj", "Capt", "Lt", "Sgt", "Messrs"),
    *("Mme", "Mlle", "e.g", "i.e", "cf", "vs", "viz", "ca", "approx", "fig", "Fig", "vol", "Vol", "pp", "ed", "eds"),
    *("Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"),
)

MARKS = ".!?…؟।۔"  # of the Latin, Arabic, Devanagari and other scripts that put white space behind
CLOSING = "\"'”’»)\\]_*"
OPENING = "\"'“‘«(\\[¿¡_*—–\\-"
BLANK_LINE = r"[^\S\n]*\n[^\S\n]*\n\s*"

# A blank line that is left when those behind a mark are gone; a line of stars is no text, but parts two of them.
LEFT = re.compile(r"\n(?<!\*\n)(?<!\n\n)[^\S\n]*\n\s*")

ENDED = re.compile(r"[^\W_][^\0]*\0")  # a letter or digit, and the end of its sentence

# White space where a text may be cut: neither a word nor anything that ends a sentence lies across it.
SAFE = re.compile(rf"(?<=[^\s{MARKS}{CLOSING}])\r?\s(?=[^\W_])")


def sentences(text: str) -> list[str]:
    r"""The sentences of a text, without the marks at their ends.

    A sentence ends at . ! ? or … with what closes behind it, if white space follows and then no small letter; a full
    stop ends none after an abbreviation, an initial, or "No" before a number. A blank line ends one with or without a
    mark, as behind a heading. What has no letter or digit is no sentence.

    >>> sentences('"Stop!" said Mr. J. Doe... and left. CHAPTER I\n\nWhy? Well')
    ['"Stop!" said Mr. J. Doe... and left', 'CHAPTER I', 'Why', 'Well']
    """
    return [s.strip() for s in _marked(text).split("\0") if any(map(str.isalnum, s))]


def ends(text: str) -> int:
    """How many sentences end in a text: those of `sentences` but for what stands behind the last end, and sooner."""
    return len(ENDED.findall(_marked(text)))


def _marked(text: str) -> str:
    """The text with a NUL for each end of a sentence and the white space behind it."""
    return LEFT.sub("\0", _mark(text.isascii()).sub("\0", text.replace("\r\n", "\n").strip()))


@cache
def _mark(ascii_only: bool) -> re.Pattern[str]:
    """What ends a sentence at a mark, with the white space behind it. `ascii_only`: for texts without other letters."""
    small = "a-z" if ascii_only else "a-z" + "".join(filter(str.islower, beyond_ascii()))
    no_abbreviation = ""
    for length in sorted({len(word) for word in ABBREVIATIONS}):  # what is looked back for must be of one length
        same = "|".join(re.escape(word) for word in ABBREVIATIONS if len(word) == length)
        no_abbreviation += rf"(?<!\b(?:{same})\.)"
    no_initial = r"(?<!\b[A-HJ-Z]\.)"  # "I" is a word more often
    no_number = r"(?!(?<=\b[Nn]o\.)\s+[0-9])"
    no_small_letter = rf"\s+[{OPENING}]*(?=[^\s{small}{OPENING}{MARKS}])"
    behind = rf"[{CLOSING}]*(?:{BLANK_LINE}|{no_small_letter})"
    at_mark = rf"[{MARKS}][{MARKS}]*{no_abbreviation}{no_initial}{no_number}{behind}"  # so found sooner than by [...]+
    return re.compile(at_mark if ascii_only else rf"{at_mark}|[。！？]+[」』）{CLOSING}]*")


def beyond_ascii() -> Iterator[str]:
    """All other characters of Unicode."""
    return (chr(i) for i in range(0x80, sys.maxunicode + 1))
