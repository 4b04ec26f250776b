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
    y `(N,)` int64 in `0..len(classes) - 1`. `source` says in one line where the data come from.
    """

    name: str
    train: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]
    classes: tuple[str, ...]
    source: str


def load(name: str, **options: Any) -> Dataset:
    """The dataset registered under `name`; `options` go to its factory. ValueError lists the names there are.

    >>> x, y = load("digits").train
    >>> x.shape, x.dtype, y.shape, y.dtype
    ((1437, 1, 8, 8), dtype('float32'), (1437,), dtype('int64'))
    """
    dataset: Dataset = registry.get("datasets", name)(**options)
    return dataset
