"""What a dataset is, and how one is found by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu import registry


@dataclass(frozen=True)
class Dataset:
    """A dataset in memory, split for good into what a model learns from and what it is judged by.

    `train` and `test` are arrays of one length each, inputs first: for pictures x `(N, C, H, W)` float32 in 0..1 and
    y `(N,)` int64 in `0..len(classes) - 1`; for a text see `data/text.py`. `source` says in one line where the data
    come from. ValueError for pictures or labels of another shape, dtype or range.
    """

    name: str
    train: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]
    classes: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if part[0].ndim == 4:
                _check_pictures(self.name, *part[:2], classes=len(self.classes))


def _check_pictures(name: str, x: np.ndarray, y: np.ndarray, *, classes: int) -> None:
    if x.dtype != np.float32 or (x.size and not (x.min() >= 0.0 and x.max() <= 1.0)):  # a NaN is in no range
        found = f"{x.dtype}" + (f" in {x.min():g}..{x.max():g}" if x.size else "")
        raise ValueError(f"{name}: expected pictures of float32 in 0..1, got {found}")
    if y.dtype != np.int64 or y.shape != x.shape[:1] or (y.size and not 0 <= y.min() <= y.max() < classes):
        found = f"{y.dtype} {y.shape}" + (f" in {y.min()}..{y.max()}" if y.size else "")
        raise ValueError(f"{name}: expected {len(x)} labels, int64 in 0..{classes - 1}, got {found}")


def load(name: str, **options: Any) -> Dataset:
    """The dataset registered under `name`; `options` go to its factory. ValueError lists the names there are.

    >>> x, y = load("digits").train
    >>> x.shape, x.dtype, y.shape, y.dtype
    ((1437, 1, 8, 8), dtype('float32'), (1437,), dtype('int64'))
    """
    dataset: Dataset = registry.get("datasets", name)(**options)
    return dataset
