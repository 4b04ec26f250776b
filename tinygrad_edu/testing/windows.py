"""What the primitives `windows` and `fold` must give, by plain counting: one window after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Ints = Sequence[int]

# Shape, and the windows' size, stride and dilation; where they are 2 and more, some elements are in no window.
WINDOWS: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...] = (
    ((5,), (3,), (1,), (1,)),
    ((4, 5), (4, 5), (1, 1), (1, 1)),
    ((2, 5, 6), (2, 3), (1, 1), (1, 1)),
    ((0, 3, 4), (1, 2), (2, 2), (1, 1)),
    ((2, 1, 7, 9), (3, 2), (2, 3), (1, 2)),
    ((8, 6), (2, 2), (3, 3), (2, 1)),
)


def each_window(shape: Ints, size: Ints, stride: Ints, dilation: Ints) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Each window's place among the windows, and the index of its elements in an array whose last sizes are `shape`."""
    sides = list(zip(shape, size, stride, dilation, strict=True))
    for at in np.ndindex(*[(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in sides]):
        yield at, np.ix_(*[[i * s + j * d for j in range(k)] for i, (_, k, s, d) in zip(at, sides, strict=True)])


def counted_windows(x: np.ndarray, size: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    """The windows of x: (..., H, W) -> (..., rows, columns, *size)."""
    n = len(size)
    places = list(each_window(x.shape[-n:], size, stride, dilation))
    out = np.zeros((*x.shape[:-n], *[i + 1 for i in places[-1][0]], *size), x.dtype)
    for at, inside in places:
        whole: Any = (..., *at, *[slice(None)] * n)
        out[whole] = x[(..., *inside)]
    return out


def counted_fold(x: np.ndarray, shape: Ints, stride: Ints, dilation: Ints) -> np.ndarray:
    """The windows x added to zeros (..., *shape) where they belong."""
    n = len(shape)
    out = np.zeros((*x.shape[: -2 * n], *shape), x.dtype)
    for at, inside in each_window(shape, x.shape[-n:], stride, dilation):
        whole: Any = (..., *at, *[slice(None)] * n)
        out[(..., *inside)] += x[whole]
    return out
