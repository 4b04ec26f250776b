"""What the cases are made of: shapes, domains of random numbers, layouts in memory, ties and special values.

A *domain* is a function `(rng, shape, dtype) -> array`. A *layout* says how an array lies in memory: `prepare` makes
the memory, `view` takes the array out of it with the backend's own shape primitives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.backend import Array, Backend

Shape = tuple[int, ...]
Domain = Callable[[np.random.Generator, Shape, Any], np.ndarray]

# Every kind of shape once: 0-d, empty, one element, a row, a matrix, empty within, three dimensions with a 1.
SHAPES: tuple[Shape, ...] = ((), (0,), (1,), (5,), (3, 4), (2, 0, 3), (2, 1, 3))
# Pairs that broadcast: number with array, row, column, both sides, empty with 1, more dimensions on either side.
PAIRS: tuple[tuple[Shape, Shape], ...] = (
    ((3, 4), (3, 4)),
    ((), ()),
    ((3,), ()),
    ((), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((1, 2, 3), (2, 1)),
    ((0,), (1,)),
    ((1,), (2, 0)),
    ((1,), (1,)),
)
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5)
TIES = (-1.0, 0.0, 0.0, 1.0, 2.0)


def uniform(low: float, high: float) -> Domain:
    """Floats between `low` and `high`; integers of the same range for other dtypes."""
    return lambda rng, shape, dtype: np.asarray(rng.uniform(low, high, shape), dtype)


def integers(low: int, high: int, kind: Any = np.int64) -> Domain:
    """int64, from `low` to before `high`, whatever dtype the others have; repeated where there are more of them."""
    return lambda rng, shape, dtype: np.asarray(rng.integers(low, high, shape), kind)


def booleans(rng: np.random.Generator, shape: Shape, dtype: Any) -> np.ndarray:
    """True or False, whatever dtype the others have."""
    return np.asarray(rng.random(shape) < 0.5)


def away_from_zero(rng: np.random.Generator, shape: Shape, dtype: Any) -> np.ndarray:
    """0.5 to 2, of either sign."""
    return np.asarray(rng.uniform(0.5, 2.0, shape) * rng.choice([-1, 1], shape), dtype)


REAL, POSITIVE = uniform(-2.0, 2.0), uniform(0.5, 2.0)


class Layout(NamedTuple):
    """`prepare(a)` is memory that `view(backend, memory, a.shape)` gives `a` from (or its like, see `expanded`)."""

    prepare: Callable[[np.ndarray], np.ndarray]
    view: Callable[[Backend, Array, Shape], Array]

    def array(self, backend: Backend, a: np.ndarray) -> Array:
        """An array of the backend's, laid out so."""
        return self.view(backend, backend.from_numpy(self.prepare(a)), a.shape)


def _reversed(shape: Shape) -> tuple[int, ...]:
    return tuple(range(len(shape)))[::-1]


def _gaps(a: np.ndarray) -> np.ndarray:
    """a in every second place of the last dimension, and between them what must not be read: ones, in any dtype."""
    if not a.ndim:
        return a.copy()
    memory = np.ones((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    memory[..., ::2] = a
    return memory


def _every_second(backend: Backend, memory: Array, shape: Shape) -> Array:
    if not shape:
        return memory
    return backend.slice(memory, (*[slice(0, n, 1) for n in shape[:-1]], slice(0, 2 * shape[-1], 2)))


def _unaligned(a: np.ndarray) -> np.ndarray:
    """a, every element one byte off its place: as arrays out of files and messages are."""
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    memory[...] = a
    return memory


LAYOUTS: dict[str, Layout] = {
    "contiguous": Layout(lambda a: np.array(a, order="C"), lambda b, memory, shape: memory),
    "transposed": Layout(
        lambda a: np.array(a.T, order="C"), lambda b, memory, shape: b.permute(memory, _reversed(shape))
    ),
    "strided": Layout(_gaps, _every_second),
    "unaligned": Layout(_unaligned, lambda b, memory, shape: memory),
    "flipped": Layout(
        lambda a: np.array(np.flip(a), order="C"),
        lambda b, memory, shape: b.flip(memory, tuple(range(len(shape)))),
    ),
    # Strides of 0: the first row, if there is one, stands for all.
    "expanded": Layout(
        lambda a: np.array(a[:1] if a.ndim else a, order="C"), lambda b, memory, shape: b.expand(memory, shape)
    ),
}
