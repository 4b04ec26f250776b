"""Texts as sequences of characters, each a whole number: what a model learns to continue.

A text's Dataset has one array in `train`, the first 90 % of the characters, and one in `test`, the rest; its `classes`
are the characters of the vocabulary, sorted, so that a character's number is its place there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinygrad_edu.data.dataset import Dataset
from tinygrad_edu.data.fetch import fetch

SHA256 = {
    "tinyshakespeare.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    "alice.txt": "84157c64cf991c7cd7f3fc39aa8fddefebae13710268f448f6034559db37f884",
}
MIRRORS = {
    "tinyshakespeare.txt": (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    ),
    "alice.txt": ("https://raw.githubusercontent.com/celsofaf/AIND-NLP/master/carroll-alice.txt",),
}


class Vocabulary:
    """The characters that a model knows, each by its number.

    >>> letters = Vocabulary("abc ")
    >>> letters.encode("a cab"), letters.decode([1, 0, 1])
    (array([0, 3, 2, 0, 1]), 'bab')
    """

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)
        self._numbers = {character: i for i, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """The characters' numbers, (len(text),) int64. ValueError names those that the vocabulary lacks."""
        unknown = sorted(set(text) - self._numbers.keys())
        if unknown:
            known, found = "".join(self.characters), ", ".join(map(repr, unknown))
            raise ValueError(f"expected characters of the vocabulary {known!r}, got {found}")
        return np.array([self._numbers[character] for character in text], np.int64)

    def decode(self, numbers: Sequence[int] | np.ndarray) -> str:
        """The text of some numbers."""
        return "".join(self.characters[i] for i in numbers)


def text_dataset(name: str, text: str, source: str) -> Dataset:
    """The Dataset of any text of 20 characters or more, at least two of them different, or ValueError."""
    vocabulary = Vocabulary(sorted(set(text)))
    if len(text) < 20 or len(vocabulary) < 2:
        raise ValueError(
            f"{name}: expected a text of at least 20 characters, two of them different, got {len(text)} characters, "
            f"{len(vocabulary)} different"
        )
    numbers = vocabulary.encode(text)
    cut = int(0.9 * len(numbers))
    return Dataset(name, (numbers[:cut],), (numbers[cut:],), vocabulary.characters, source)


def text_file(path: str) -> Dataset:
    """The Dataset of a file of UTF-8 text. ValueError if it is no such file, or too short."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a file of UTF-8 text: {error}") from error
    return text_dataset(path, text, f"the file {path}")


def python_docs() -> Dataset:
    """The English of Python's own help topics, some 460000 characters: nothing to download.

    Each Python has its own edition of it.
    """
    from pydoc_data.topics import topics

    text = "\n\n\n".join(topics[name].strip() for name in sorted(topics))
    return text_dataset("python-docs", text, "Python's pydoc_data.topics, the reference manual as help() shows it")


def shakespeare() -> Dataset:
    """Tiny Shakespeare: 1.1 million characters of his plays, 65 different (1 MB, downloaded once).

    ValueError, ConnectionError: see `fetch`.
    """
    return _fetched("shakespeare", "tinyshakespeare.txt", "W. Shakespeare's plays, put together by A. Karpathy, 2015")


def alice() -> Dataset:
    """Alice's Adventures in Wonderland: 144000 characters, 73 different (downloaded once).

    ValueError, ConnectionError: see `fetch`.
    """
    return _fetched("alice", "alice.txt", "L. Carroll, Alice's Adventures in Wonderland, 1865, as NLTK has it")


def _fetched(name: str, file: str, source: str) -> Dataset:
    path = fetch("text", file, SHA256[file], MIRRORS[file])
    return text_dataset(name, path.read_text(encoding="utf-8"), source)


class Windows:
    """Batches of pieces of a text at random places: `windows(step)` gives inputs and targets, (B, T) int64 each.

    The target at each place is the character that comes next. Where the pieces lie depends on `seed` and `step` alone.
    ValueError for a text that is not longer than a piece.

    >>> x, y = Windows(np.arange(100), batch_size=2, length=3)(1)
    >>> x.shape, (y - x).tolist()
    ((2, 3), [[1, 1, 1], [1, 1, 1]])
    """

    def __init__(self, text: np.ndarray, *, batch_size: int, length: int, seed: int = 0) -> None:
        if batch_size < 1 or length < 1:
            raise ValueError(f"Windows: expected batch_size and length of at least 1, got {batch_size} and {length}")
        if len(text) <= length:
            raise ValueError(f"Windows: expected a text of more than {length} characters, got {len(text)}")
        self.pieces = np.lib.stride_tricks.sliding_window_view(text, length + 1)  # (N, T + 1)
        self.batch_size, self.seed = batch_size, seed

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        key = np.array([self.seed, step], np.uint64)
        places = np.random.Generator(np.random.Philox(key=key)).integers(0, len(self.pieces), self.batch_size)
        pieces = self.pieces[places]  # (B, T + 1)
        return pieces[:, :-1].copy(), pieces[:, 1:].copy()


class Streams:
    """A text read from B places at once, piece after piece: `streams(step)` gives inputs and targets, (B, T) each.

    Row b of a step goes on where row b of the step before ended, so that a recurrent network can keep its state; the
    steps are counted from 1, `len(streams)` of them make an epoch, and then the rows begin anew. What does not fill a
    row or a piece is left out. ValueError for a text that is too short.

    >>> streams = Streams(np.arange(100), batch_size=2, length=3)
    >>> len(streams), streams(1)[0].tolist(), streams(2)[0].tolist()
    (16, [[0, 1, 2], [49, 50, 51]], [[3, 4, 5], [52, 53, 54]])
    """

    def __init__(self, text: np.ndarray, *, batch_size: int, length: int) -> None:
        if batch_size < 1 or length < 1:
            raise ValueError(f"Streams: expected batch_size and length of at least 1, got {batch_size} and {length}")
        row = (len(text) - 1) // batch_size
        if row < length:
            raise ValueError(f"Streams: expected a text of more than {batch_size * length} characters, got {len(text)}")
        self.x, self.y = (text[i : i + row * batch_size].reshape(batch_size, row) for i in (0, 1))
        self.length = length

    def __len__(self) -> int:
        """The steps of an epoch."""
        return self.x.shape[1] // self.length

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        piece = slice((start := self.place(step) * self.length), start + self.length)
        return self.x[:, piece].copy(), self.y[:, piece].copy()

    def place(self, step: int) -> int:
        """Which piece of the epoch a step is, counted from 0: at 0 there is no state to go on from."""
        return (step - 1) % len(self)
