"""Chapter 1's counting: what is a word and a sentence, and that neither depends on how the file is read."""

from __future__ import annotations

import ast
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu.scripts import ch01_counting, ch01_sentences
from tinygrad_edu.scripts.ch01_counting import Tally, count, cut
from tinygrad_edu.scripts.ch01_sentences import sentences

# What tr, sort and uniq make of a text: the same definition of a word, in other people's programs.
INDEPENDENT = r"""
tr 'A-Z' 'a-z' | tr -c "a-z0-9'-" '\n' | sed -E "s/['-]{2,}/\n/g" | sed -E "s/^['-]+//; s/['-]+$//" | grep . \
    | LC_ALL=C sort | LC_ALL=C uniq -c
"""

WORDS = {
    "Don't stop": ["don't", "stop"],
    "it’s a ‘quoted’ word": ["it's", "a", "quoted", "word"],
    "Rabbit-Hole, well--known - no": ["rabbit-hole", "well", "known", "no"],
    "naïve ÉTÉ Straße ЖУК": ["naïve", "été", "straße", "жук"],
    "e\u0301te\u0301 is été": ["été", "is", "été"],
    "हिन्दी है": ["हिन्दी", "है"],
    "3rd_place 3.14 v2": ["3rd", "place", "3", "14", "v2"],
    "rock 'n' roll dogs' 'tis": ["rock", "n", "roll", "dogs", "tis"],
    "non\u2011breaking up\u2010to": ["non-breaking", "up-to"],
    " \n\t-- ... !": [],
}

SENTENCES = {
    "One. Two! Three? Four": 4,
    "Mr. and Mrs. Dursley, of no. 4, met Dr. J. R. Smith. Then left.": 2,
    "See No. 5. No. It is e.g. Paris, i.e. France.": 3,
    "Wait... what? Really?! Yes...": 3,
    "Wait… what? Wait… Then go.": 3,
    '"Stop!" he said. "Why?" she asked. "Because."': 3,
    "'Oh dear! Oh dear!' said Alice.": 2,
    "He said (quietly.) Then he left.": 2,
    "It costs 3.14 or 2.5 euros. Cheap.": 2,
    "So do I. You too.": 2,
    "CHAPTER I\n\nDown the hole\n\n\nAlice was tired.": 3,
    "CHAPTER I\r\n\r\nDown the hole\r\n": 2,
    "The end.\n\n* * *\n\nMore.": 2,
    "no mark at all": 1,
    "Ça va ? Oui ! élan.": 2,
    "Ciao. È vero. ¿Qué? ¡No!": 4,
    "他来了。她走了！": 2,
    "هل هذا؟ نعم.": 2,
    "": 0,
    " ... \n\n !!! ": 0,
}


@pytest.mark.parametrize("text", WORDS)
def test_words(text: str) -> None:
    assert list(count([text]).words.elements()) == list(Counter(WORDS[text]).elements())


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences(text: str) -> None:
    assert len(sentences(text)) == SENTENCES[text], sentences(text)
    assert count([text]).sentences == SENTENCES[text]


def test_characters_of_all_kinds() -> None:
    tally = count(["NASA's Café, 2nd "])
    assert (tally.characters, tally.letters, tally.digits, tally.white_space) == (17, 11, 1, 3)
    assert tally.marks == {"'": 1, ",": 1}
    assert (tally.capitals, tally.words_capitalised, tally.words_in_capitals) == (5, 2, 0)
    assert count(["USA or A"]).words_in_capitals == 1


def test_the_same_counts_as_tr_sort_and_uniq(real_data: Callable[[str], Path]) -> None:
    alice = real_data("text") / "alice.txt"
    with alice.open("rb") as file:
        done = subprocess.run(["sh", "-c", INDEPENDENT], stdin=file, capture_output=True, text=True, check=True)
        file.seek(0)
        ours = count(cut(file))
    lines = (line.split() for line in done.stdout.splitlines())
    theirs = {word: int(n) for n, word in lines}
    assert len(theirs) > 2500
    assert ours.words == theirs
    assert ours.characters == len(alice.read_text())
    bare = subprocess.run(["tr", "-d", "[:space:]"], input=alice.read_bytes(), capture_output=True, check=True).stdout
    assert ours.characters - ours.white_space == len(bare)


TEXTS = st.lists(
    st.sampled_from(["a", "Be", "don't", "é", ". ", "! ", "... ", " ", "\n", "\n\n", "\r\n", ",", "-", "“No.” "])
)


@settings(deadline=None, max_examples=300)
@given(TEXTS.map("".join), st.integers(1, 40))
def test_how_a_file_is_read_makes_no_difference(text: str, block: int) -> None:
    whole, cut_up = count([text]), count(cut(BytesIO(text.encode()), block=block))
    assert vars(cut_up) == vars(whole)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_counted(content: bytes, block: int) -> None:
    tally = count(cut(BytesIO(content), block=block))
    assert sum((tally.letters, tally.digits, tally.marks.total(), tally.white_space)) == tally.characters


def test_marks_of_encodings_and_other_encodings() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        tally = count(cut(BytesIO("Grüße. Ja".encode(encoding)), block=3))
        assert (dict(tally.words), tally.characters, tally.unreadable) == ({"grüße": 1, "ja": 1}, 9, 0)
    assert count(cut(BytesIO("Grüße".encode("latin-1")), encoding="latin-1")).words == {"grüße": 1}
    assert count(cut(BytesIO("Grüße".encode("latin-1")))).unreadable == 2


def test_text_without_white_space_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch01_counting, "LONGEST", 100)
    pieces = list(cut(BytesIO(b"x" * 1000), block=10))
    assert "".join(pieces) == "x" * 1000
    assert max(map(len, pieces)) <= 110


def test_memory_does_not_grow_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are taken apart when there are many different ones, and the words stay."""
    monkeypatch.setattr(ch01_counting, "MOST_PIECES", 50)
    text = " ".join(f"{word}{mark * n}" for n in range(40) for word in ("the", "cat", "sat") for mark in ".,!")
    assert count(cut(BytesIO(text.encode()), block=64)).words == {"the": 120, "cat": 120, "sat": 120}

    peaks = []
    for repeats in (20, 200):  # 0.2 and 2 MB
        file = BytesIO(b"It was the best of times, it was the worst of times; " * 200 * repeats)
        tracemalloc.start()
        count(cut(file, block=1 << 15))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_tallies_add_up() -> None:
    both = Tally()
    for text in ("One. Two", "two, 3"):
        both.add(count([text]))
    assert both.words == {"one": 1, "two": 2, "3": 1}
    assert (both.sentences, both.characters, both.digits, both.white_space) == (3, 14, 1, 2)


@pytest.mark.parametrize("module", [ch01_counting, ch01_sentences])
def test_it_is_core_python_alone(module: object) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {"tinygrad_edu.scripts.ch01_sentences"}
    assert {name.partition(".")[0] for name in imported - ours} <= sys.stdlib_module_names
