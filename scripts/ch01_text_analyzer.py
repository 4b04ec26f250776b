"""Chapter 1: a text taken apart in core Python alone: words and how often, sentences, capitals, punctuation.

The counting is in `ch01_counting.py`, the ends of sentences in `ch01_sentences.py`; a text of gigabytes needs no more
memory than its different words. Beside it scikit-learn's CountVectorizer, told the same about what a word is.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from tinygrad_edu.errors import require
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_sklearn
from tinygrad_edu.scripts import ch01_pictures as pictures
from tinygrad_edu.scripts.ch01_counting import Tally, count, cut, folded, word_pattern

COMPARED = 20_000_000  # bytes: scikit-learn holds the whole text in memory, and its words as a list


@dataclass
class Args:
    """Count what a text is made of (chapter 1)."""

    text: str | None = None
    """A file, a folder with files, or - for standard input; if not given, Python's reference manual."""
    top: int = 10
    """How many of the most frequent words to show."""
    encoding: str = "utf-8"
    """Of the text; UTF-16 is known by its mark."""
    compare: beside_sklearn.Compare = "auto"
    """Count with scikit-learn too: auto, where it is installed and the text is not above 20 MB."""


def main(args: Args, run: Run) -> None:
    """Count, show, compare, draw."""
    if args.top < 1:
        raise ValueError(f"text-analyzer: expected --top of at least 1, got {args.top}")
    tally, files, size = Tally(), 0, 0
    begin = time.perf_counter()
    for source in sources(args.text, run):
        with source as file:
            tally.add(count(cut(file, encoding=known(args.encoding))))
            files, size = files + 1, size + file.tell() if file.seekable() else size
    seconds = time.perf_counter() - begin
    show(tally, args.top)
    top = tally.words.most_common(args.top)
    words = tally.words.total()
    run.result(
        words=words,
        different_words=len(tally.words),
        sentences=tally.sentences,
        words_per_sentence=words / max(1, tally.sentences),
        characters=tally.characters,
        characters_without_white_space=tally.characters - tally.white_space,
        letters=tally.letters,
        capital_letters=tally.capitals,
        digits=tally.digits,
        punctuation_marks=tally.marks.total(),
        words_capitalised=tally.words_capitalised,
        words_in_capitals=tally.words_in_capitals,
        unreadable_characters=tally.unreadable,
        files=files,
        analysis_seconds=seconds,
        **{f"count_{word}": n for word, n in top},
    )
    frequencies = run.out / "words.json"
    frequencies.write_text(json.dumps(dict(tally.words.most_common()), ensure_ascii=False, indent=0), encoding="utf-8")
    run.verdict(
        f"{words:,} words, {len(tally.words):,} different ones, in {tally.sentences:,} sentences and "
        f"{tally.characters:,} characters, counted in {seconds:.1f} s. {frequencies} has every word's count."
    )
    if tally.unreadable:
        run.verdict(
            f"{tally.unreadable:,} bytes are no {args.encoding}: another --encoding, or a file that is no text at all?"
        )
    if size <= COMPARED and args.text != "-" and beside_sklearn.wanted(args.compare):
        compare(args, run, tally, top)
    draw(run, tally, top)


def known(encoding: str) -> str:
    """The encoding's name, or ValueError if Python knows none of that name."""
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ValueError(f"text-analyzer: --encoding: {error}") from error
    return encoding


def sources(text: str | None, run: Run) -> Iterator[Any]:
    """The files to read, each as a context manager that opens it. ValueError for a path where nothing is."""
    if text is None:
        yield BytesIO(manual().encode())
    elif text == "-":
        yield standard_input()
    elif not (path := Path(text)).is_dir():
        if not path.exists():
            raise ValueError(f"text-analyzer: expected a file, a folder or - as --text, and there is no {text}")
        yield path.open("rb")
    else:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        texts = [file for file in files if not is_binary(file)]
        if not texts:
            raise ValueError(f"text-analyzer: no file with text in the folder {text}, {len(files)} others")
        if len(texts) < len(files):
            run.verdict(f"{len(files) - len(texts)} of the {len(files)} files in {text} are no texts, and left out.")
        for file in texts:
            yield file.open("rb")


@contextmanager
def standard_input() -> Iterator[IO[bytes]]:
    """Standard input, left open."""
    yield sys.stdin.buffer


def is_binary(file: Path) -> bool:
    """Whether a file has a NUL near its beginning, as no text has (but UTF-16, which begins with its mark)."""
    with file.open("rb") as opened:
        beginning = opened.read(8192)
    return b"\0" in beginning and not beginning.startswith((b"\xff\xfe", b"\xfe\xff"))


def manual() -> str:
    """Python's reference manual, as `help()` shows it: some 460000 characters."""
    from pydoc_data.topics import topics

    return "\n\n\n".join(topics[name].strip() for name in sorted(topics))


def show(tally: Tally, top: int) -> None:
    """Print the most frequent words as a table with bars."""
    rows, total = tally.words.most_common(top), tally.words.total()
    width = max((len(word) for word, _ in rows), default=0)
    for rank, (word, n) in enumerate(rows, start=1):
        print(f"{rank:>4}  {word:<{width}}  {n:>12,}  {n / total:6.2%}  {'█' * round(40 * n / rows[0][1])}")


def compare(args: Args, run: Run, tally: Tally, top: list[tuple[str, int]]) -> None:
    """Count the words with scikit-learn, and say whether the counts are the same."""
    texts = []
    for source in sources(args.text, run):
        with source as file:
            texts.append("".join(cut(file, encoding=args.encoding)))
    vectorizer: Any = require("sklearn.feature_extraction.text", "viz").CountVectorizer
    begin = time.perf_counter()
    pattern = word_pattern(all(map(str.isascii, texts))).pattern
    try:
        counter = vectorizer(preprocessor=folded, token_pattern=pattern)
        totals = counter.fit_transform(texts).sum(axis=0).A1
    except ValueError:  # its way to say that there is no word
        return
    theirs = dict(zip(counter.get_feature_names_out().tolist(), totals.tolist(), strict=True))
    run.result(
        sklearn_words=sum(theirs.values()),
        sklearn_different_words=len(theirs),
        sklearn_analysis_seconds=time.perf_counter() - begin,
        **{f"sklearn_count_{word}": theirs.get(word, 0) for word, _ in top},
    )
    differ = sum(tally.words[word] != theirs.get(word, 0) for word in tally.words.keys() | theirs.keys())
    same = "the same count for each of them" if not differ else f"another count for {differ} words"
    run.verdict(f"scikit-learn's CountVectorizer, told the same definition of a word, has {same}.")


def draw(run: Run, tally: Tally, top: list[tuple[str, int]]) -> None:
    """The pictures of the report; without a word there are none."""
    if not tally.words:
        return
    total = tally.words.total()
    caption = "The most frequent words, their counts and their shares of all words."
    run.figure("words", pictures.bars("The most frequent words", top, total), caption)
    lengths = Counter[int]()
    for word, n in tally.words.items():
        lengths[min(20, len(word))] += n
    rows = [(f"{at}{' or more' * (at == 20)}", lengths[at]) for at in range(1, max(lengths) + 1)]
    caption = "How long the words of the text are, each counted as often as it occurs."
    run.figure("lengths", pictures.bars("Words by their number of characters", rows, total), caption)
    if tally.marks:
        rows = [(shown(mark), n) for mark, n in tally.marks.most_common(15)]
        caption = "The marks between and within words, and their shares of all marks."
        run.figure("marks", pictures.bars("Punctuation and other marks", rows, tally.marks.total()), caption)
    counts = sorted(tally.words.values(), reverse=True)
    caption = (
        "Zipf's law: in most texts the word of rank r occurs about 1/r times as often as the first one, which is the "
        "dashed line on these logarithmic axes."
    )
    run.figure("ranks", pictures.ranks("Count by rank", counts), caption)


def shown(mark: str) -> str:
    """A mark that can be seen, its code point where it cannot."""
    return mark if mark.isprintable() else f"U+{ord(mark):04X}"
