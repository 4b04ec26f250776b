"""A text by its name or from a file, and the measure of how well a model continues it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tinygrad_edu import data, registry


def one_text(name: str) -> data.Dataset:
    """The text called `name`, or in the file `name`. ValueError if it is neither, or no text."""
    texts = ("python-docs", "shakespeare", "alice")
    if name in texts or (name in registry.names("datasets") and not Path(name).is_file()):
        dataset = data.load(name)
        if dataset.train[0].ndim != 1 or dataset.train[0].dtype != np.int64:
            raise ValueError(f"--dataset: expected a text ({', '.join(texts)}, or a file), got {name!r}")
        return dataset
    if not Path(name).is_file():
        raise ValueError(f"--dataset: expected a text ({', '.join(texts)}) or a file of text that exists, got {name!r}")
    return data.text_file(name)


def first_characters(prompt: str | None, text: data.Dataset) -> np.ndarray:
    """The numbers of `prompt`, or of the text's first character for None. ValueError if it is empty or has others."""
    if prompt is None:
        return text.train[0][:1]
    if not prompt:
        raise ValueError("--prompt: expected at least one character, got none")
    return data.Vocabulary(text.classes).encode(prompt)


def mean_loss(loss: Callable[[np.ndarray, np.ndarray], float], text: np.ndarray, length: int, batch: int = 64) -> float:
    """The mean loss over a whole text, in nats a character, each predicted from at most `length` before it.

    The text is cut into pieces of `length`; loss(x, y) is the mean over inputs and targets (B, T).
    """
    x, y = text[:-1], text[1:]
    whole = len(x) // length * length
    rows, targets = x[:whole].reshape(-1, length), y[:whole].reshape(-1, length)
    parts = [(rows[i : i + batch], targets[i : i + batch]) for i in range(0, len(rows), batch)]
    if whole < len(x):
        parts.append((x[None, whole:], y[None, whole:]))
    return sum(loss(a, b) * b.size for a, b in parts) / len(y)


def in_rows(text: np.ndarray, length: int, rows: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets (rows, up to `length`) of a whole text that is cut into rows and read piece after piece.

    Of a text that the rows do not divide the last characters are left out; of a short one there are fewer rows.
    """
    rows = min(rows, len(text) - 1)
    row = (len(text) - 1) // rows
    x, y = (text[i : i + row * rows].reshape(rows, row) for i in (0, 1))
    for i in range(0, row, length):
        yield x[:, i : i + length], y[:, i : i + length]
