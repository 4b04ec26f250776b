"""Texts as numbers: vocabularies, the embedded text, files, and batches of pieces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu import data
from tinygrad_edu.data import fetch


def test_a_text_goes_round() -> None:
    text = "to be, or not to be"
    letters = data.Vocabulary(sorted(set(text)))
    assert letters.decode(letters.encode(text)) == text
    assert len(letters) == len(set(text))
    assert letters.encode("").shape == (0,)


def test_characters_outside_the_vocabulary_are_named() -> None:
    with pytest.raises(ValueError, match="expected characters of the vocabulary 'abc', got 'd', 'é'"):
        data.Vocabulary("abc").encode("abéd")


def test_pythons_own_text_needs_no_download() -> None:
    docs = data.load("python-docs")
    letters = data.Vocabulary(docs.classes)
    text = letters.decode(docs.train[0]) + letters.decode(docs.test[0])
    assert len(text) > 300_000
    assert len(docs.test[0]) == pytest.approx(0.1 * len(text), abs=1)
    assert text.startswith('The "assert" statement')
    assert list(docs.classes) == sorted(set(text))


@pytest.mark.parametrize(("name", "size", "characters"), [("shakespeare", 1_115_394, 65), ("alice", 144_396, 73)])
def test_the_classics(name: str, size: int, characters: int, real_data: Callable[[str], Path]) -> None:
    real_data("text")
    text = data.load(name)
    assert len(text.train[0]) + len(text.test[0]) == size
    assert len(text.classes) == characters


def test_a_mirror_may_be_the_files_own_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, needs: Callable[[str], ModuleType]
) -> None:
    tried = []

    def retrieve(address: str, *_: object, **__: object) -> str:
        tried.append(address)
        raise ValueError("not there")

    pooch = needs("pooch")
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("TINYGRAD_EDU_DATA", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"text: a\.txt could not be downloaded"):
        fetch.fetch("text", "a.txt", "0" * 64, ("https://one.example/folder/", "https://two.example/b.txt"))
    assert tried == ["https://one.example/folder/a.txt", "https://two.example/b.txt"]


def test_any_file_will_do(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("äöü and so on, and so on, and so on", encoding="utf-8")
    mine = data.text_file(str(path))
    assert data.Vocabulary(mine.classes).decode(mine.train[0]).startswith("äöü and")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a text of at least 20 characters, two of them different, got 0 characters, 0 different"),
        (b"a", "got 1 characters, 1 different"),
        (b"a" * 100, "got 100 characters, 1 different"),
        (b"\xff\xfe" * 50, "expected a file of UTF-8 text"),
        (None, "expected a file of UTF-8 text: .*No such file"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        data.text_file(str(path))


def test_pieces_are_of_the_text_and_depend_on_seed_and_step_alone() -> None:
    text = np.random.default_rng(0).integers(0, 5, 50)
    windows = data.Windows(text, batch_size=900, length=7, seed=1)
    x, y = windows(3)
    assert x.shape == y.shape == (900, 7)
    assert np.array_equal(x[:, 1:], y[:, :-1])
    possible = {text[i : i + 8].tobytes() for i in range(43)}
    assert {np.append(a, b[-1]).tobytes() for a, b in zip(x, y, strict=True)} == possible  # 900 of 43: each is there
    assert np.array_equal(windows(3)[0], data.Windows(text, batch_size=900, length=7, seed=1)(3)[0])
    assert not np.array_equal(windows(4)[0], x)
    assert not np.array_equal(data.Windows(text, batch_size=900, length=7, seed=2)(3)[0], x)
    x[:] = 0
    assert text.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 2, "length": 50}, "Windows: expected a text of more than 50 characters, got 50"),
        ({"batch_size": 0, "length": 5}, "Windows: expected batch_size and length of at least 1, got 0 and 5"),
    ],
)
def test_pieces_that_cannot_be(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.Windows(np.arange(50), **settings)


def test_streams_read_the_whole_text_row_by_row() -> None:
    text = np.random.default_rng(0).integers(0, 9, 101)
    streams = data.Streams(text, batch_size=4, length=5)
    assert len(streams) == 5
    pieces = [streams(step) for step in range(1, 6)]
    x, y = (np.concatenate(side, axis=1) for side in zip(*pieces, strict=True))
    assert np.array_equal(x.reshape(-1), text[:100])
    assert np.array_equal(y.reshape(-1), text[1:])
    assert [streams.place(step) for step in (1, 2, 5, 6, 11)] == [0, 1, 4, 0, 0]
    assert np.array_equal(streams(6)[0], streams(1)[0])
    with pytest.raises(ValueError, match="Streams: expected a text of more than 20 characters, got 20"):
        data.Streams(text[:20], batch_size=4, length=5)
