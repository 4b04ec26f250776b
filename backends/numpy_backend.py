"""The NumPy backend: every primitive of `tinygrad_edu.backend.Backend` in about one line of NumPy.

It is the reference that other backends are tested against, and the one that runs everywhere. Two idioms recur:
`quiet.run(f, ...)` calls f with floating-point warnings off, and `out=...` (the Ellipsis) makes a ufunc return an array
even where the result is 0-d.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.backends.numpy_erf import erf
from tinygrad_edu.backends.numpy_kernels import Kernels, quiet

Array = np.ndarray
Axes = tuple[int, ...]
Shape = tuple[int, ...]
Key = tuple[slice, ...]


class NumpyBackend(Kernels):
    """Arrays are `np.ndarray`. The kernel pairs for fused ops come from `Kernels`."""

    name = "numpy"

    def from_numpy(self, array: np.ndarray) -> Array:
        return array

    def to_numpy(self, x: Array) -> np.ndarray:
        return x

    def exp(self, x: Array) -> Array:
        return quiet.run(np.exp, x, out=...)

    def expm1(self, x: Array) -> Array:
        return quiet.run(np.expm1, x, out=...)

    def log(self, x: Array) -> Array:
        return quiet.run(np.log, x, out=...)

    def log1p(self, x: Array) -> Array:
        return quiet.run(np.log1p, x, out=...)

    def sqrt(self, x: Array) -> Array:
        return quiet.run(np.sqrt, x, out=...)

    def sin(self, x: Array) -> Array:
        return quiet.run(np.sin, x, out=...)

    def cos(self, x: Array) -> Array:
        return quiet.run(np.cos, x, out=...)

    def tanh(self, x: Array) -> Array:
        return quiet.run(np.tanh, x, out=...)

    def erf(self, x: Array) -> Array:
        return quiet.run(erf, x)

    def floor(self, x: Array) -> Array:
        return quiet.run(np.floor, x, out=...)

    def cast(self, x: Array, dtype: np.dtype) -> Array:
        return quiet.run(np.array, x, dtype, copy=True, order="C")

    def add(self, x: Any, y: Any) -> Array:
        return quiet.run(np.add, x, y, out=...)

    def sub(self, x: Any, y: Any) -> Array:
        return quiet.run(np.subtract, x, y, out=...)

    def mul(self, x: Any, y: Any) -> Array:
        return quiet.run(np.multiply, x, y, out=...)

    def div(self, x: Any, y: Any) -> Array:
        return quiet.run(np.divide, x, y, out=...)

    def pow(self, x: Any, y: Any) -> Array:
        return quiet.run(np.power, x, y, out=...)

    def remainder(self, x: Any, y: Any) -> Array:
        return quiet.run(np.remainder, x, y, out=...)

    def atan2(self, x: Any, y: Any) -> Array:
        return quiet.run(np.arctan2, x, y, out=...)

    def maximum(self, x: Any, y: Any) -> Array:
        return quiet.run(np.maximum, x, y, out=...)

    def less(self, x: Any, y: Any) -> Array:
        return quiet.run(np.less, x, y, out=...)

    def equal(self, x: Any, y: Any) -> Array:
        return quiet.run(np.equal, x, y, out=...)

    def where(self, condition: Array, x: Any, y: Any) -> Array:
        return np.where(condition, x, y)

    def sum(self, x: Array, axes: Axes, keepdims: bool) -> Array:
        return quiet.run(np.add.reduce, x, axes, x.dtype, out=..., keepdims=keepdims)

    def prod(self, x: Array, axes: Axes, keepdims: bool) -> Array:
        return quiet.run(np.multiply.reduce, x, axes, x.dtype, out=..., keepdims=keepdims)

    def max(self, x: Array, axes: Axes, keepdims: bool) -> Array:
        return quiet.run(np.maximum.reduce, x, axes, out=..., keepdims=keepdims)

    def argmax(self, x: Array, axis: int, keepdims: bool) -> Array:
        return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims))

    def cumsum(self, x: Array, axis: int) -> Array:
        return quiet.run(np.cumsum, x, axis, x.dtype)

    def argsort(self, x: Array, axis: int) -> Array:
        return np.argsort(x, axis, kind="stable")

    def matmul(self, x: Array, y: Array) -> Array:
        return quiet.run(np.matmul, x, y)

    def reshape(self, x: Array, shape: Shape) -> Array:
        return x.reshape(shape)

    def permute(self, x: Array, axes: Axes) -> Array:
        return x.transpose(axes)

    def expand(self, x: Array, shape: Shape) -> Array:
        return np.broadcast_to(x, shape)

    def slice(self, x: Array, key: Key) -> Array:
        view: Any = (*key, ...)  # the Ellipsis keeps a 0-d result an array, and a view
        return x[view]

    def pad(self, x: Array, shape: Shape, key: Key) -> Array:
        out = np.zeros(shape, x.dtype)
        out[key] = x
        return out

    def flip(self, x: Array, axes: Axes) -> Array:
        return np.asarray(np.flip(x, axes))

    def concat(self, xs: Sequence[Array], axis: int) -> Array:
        return np.concatenate(xs, axis)

    def take(self, x: Array, index: tuple[Array, ...]) -> Array:
        return np.asarray(x[index])

    def put_add(self, x: Array, index: tuple[Array, ...], shape: Shape) -> Array:
        out = np.zeros(shape, x.dtype)
        np.add.at(out, index, x)
        return out

    def nonzero(self, x: Array) -> tuple[Array, ...]:
        return np.nonzero(x)

    def windows(self, x: Array, size: Axes, stride: Axes, dilation: Axes) -> Array:
        spans = tuple([d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)])
        every = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(-len(size), 0)))
        view: Any = (..., *[slice(None, None, step) for step in (*stride, *dilation)])
        return every[view]

    def fold(self, x: Array, shape: Axes, stride: Axes, dilation: Axes) -> Array:
        n = len(shape)
        counts, size = x.shape[-2 * n : -n], x.shape[-n:]
        out = np.zeros((*x.shape[: -2 * n], *shape), x.dtype)
        for at in np.ndindex(*size):  # one element of every window at a time: no two of them meet in one place
            starts = [i * d for i, d in zip(at, dilation, strict=True)]
            steps = zip(starts, counts, stride, strict=True)
            place: Any = (..., *[slice(start, start + (m - 1) * s + 1, s) for start, m, s in steps])
            out[place] += x[(..., *at)]
        return out

    def random(self, key: Array, shape: Shape, dtype: np.dtype) -> Array:
        generator = np.random.Generator(np.random.Philox(key=key))
        return np.asarray(generator.random(shape, dtype=dtype.type))

    def assign(self, target: Array, value: Any) -> None:
        quiet.run(np.copyto, target, value, casting="unsafe")
