"""What a backend must offer, and which backend new Tensors live on.

A backend is one small set of *primitives* on its own arrays. Everything above this file (ops, layers, optimizers)
reaches arrays through these primitives alone, which is what makes a backend swappable and a training step recordable.

Rules that hold for every primitive:

* Arrays are opaque but for `.shape` (a tuple of ints) and `.dtype` (a NumPy dtype). Results are always arrays, 0-d ones
  included, never Python or NumPy scalars.
* Shapes and dtypes have been checked and dtypes made equal by the caller; elementwise primitives broadcast as NumPy
  does. An operand of an elementwise primitive may be a Python number, which takes the other operand's dtype.
* Nothing warns: overflow gives inf, invalid operations give NaN, as in IEEE 754 and in torch.
* A result may share memory with its argument only where the list says *view*. Only `assign` changes anything.

A backend may also offer a *kernel pair* for a fused op (`NAME` and `NAME_vjp`, see `tinygrad_edu.autograd.Fused`) and
one-pass kernels for optimizer steps (see `tinygrad_edu.optim`) and for what `KERNELS` names. Without them the readable
bodies run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np

from tinygrad_edu import registry

Array = Any  # a backend's own array
Operand = Any  # an array, or a Python number where the primitive is elementwise
Axes = tuple[int, ...]
Key = tuple[slice, ...]  # one slice a dimension, steps > 0


class Backend(Protocol):
    """The primitives. `x`, `y` are arrays; `axes` are tuples of non-negative ints; shapes are tuples of ints."""

    name: str

    # Moving between NumPy and the backend.
    def from_numpy(self, array: np.ndarray) -> Array: ...  # view or copy, as the backend likes
    def to_numpy(self, x: Array) -> np.ndarray: ...  # view or copy

    # Elementwise, one operand.
    def exp(self, x: Array) -> Array: ...
    def expm1(self, x: Array) -> Array: ...
    def log(self, x: Array) -> Array: ...
    def log1p(self, x: Array) -> Array: ...
    def sqrt(self, x: Array) -> Array: ...
    def sin(self, x: Array) -> Array: ...
    def cos(self, x: Array) -> Array: ...
    def tanh(self, x: Array) -> Array: ...
    def erf(self, x: Array) -> Array: ...  # the error function
    def floor(self, x: Array) -> Array: ...
    def cast(self, x: Array, dtype: np.dtype) -> Array: ...  # always a fresh, C-contiguous copy

    # Elementwise, several operands. Comparisons give bool arrays.
    def add(self, x: Operand, y: Operand) -> Array: ...
    def sub(self, x: Operand, y: Operand) -> Array: ...
    def mul(self, x: Operand, y: Operand) -> Array: ...
    def div(self, x: Operand, y: Operand) -> Array: ...  # true division of floats
    def pow(self, x: Operand, y: Operand) -> Array: ...
    def remainder(self, x: Operand, y: Operand) -> Array: ...  # exact, with the sign of y; integers by 0 give 0
    def atan2(self, x: Operand, y: Operand) -> Array: ...  # the angle of the point (y, x), in (-pi, pi]
    def maximum(self, x: Operand, y: Operand) -> Array: ...  # NaN if either is NaN
    def less(self, x: Operand, y: Operand) -> Array: ...
    def equal(self, x: Operand, y: Operand) -> Array: ...
    def where(self, condition: Array, x: Operand, y: Operand) -> Array: ...

    # Reducing. The dtype stays; `argmax` gives int64 and the first index of equal ones (a NaN counts as largest);
    # `argsort` gives int64, smallest first, equal ones in their order, NaN last.
    def sum(self, x: Array, axes: Axes, keepdims: bool) -> Array: ...
    def prod(self, x: Array, axes: Axes, keepdims: bool) -> Array: ...
    def max(self, x: Array, axes: Axes, keepdims: bool) -> Array: ...
    def argmax(self, x: Array, axis: int, keepdims: bool) -> Array: ...
    def cumsum(self, x: Array, axis: int) -> Array: ...
    def argsort(self, x: Array, axis: int) -> Array: ...

    # (..., m, k) @ (..., k, n) -> (..., m, n), leading dimensions broadcast.
    def matmul(self, x: Array, y: Array) -> Array: ...

    # Shape. All but pad and concat may return a view.
    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array: ...
    def permute(self, x: Array, axes: Axes) -> Array: ...
    def expand(self, x: Array, shape: tuple[int, ...]) -> Array: ...
    def slice(self, x: Array, key: Key) -> Array: ...
    def pad(self, x: Array, shape: tuple[int, ...], key: Key) -> Array: ...  # zeros of shape, x at key
    def flip(self, x: Array, axes: Axes) -> Array: ...
    def concat(self, xs: Sequence[Array], axis: int) -> Array: ...

    # Indexed: integer arrays, broadcast together, for the leading dimensions; `put_add` is the adjoint of `take`.
    def take(self, x: Array, index: tuple[Array, ...]) -> Array: ...
    def put_add(
        self, x: Array, index: tuple[Array, ...], shape: tuple[int, ...]
    ) -> Array: ...  # zeros, x added at index
    def nonzero(self, x: Array) -> tuple[Array, ...]: ...  # one int64 array a dimension, in row-major order

    # Windows sliding over the last dimensions, (..., H, W) -> (..., rows, columns, *size), a view; and their adjoint,
    # zeros (..., *shape) with the windows x added where they came from. A number a dimension; at least one fits.
    def windows(self, x: Array, size: Axes, stride: Axes, dilation: Axes) -> Array: ...
    def fold(self, x: Array, shape: Axes, stride: Axes, dilation: Axes) -> Array: ...

    # Uniform in [0, 1): Philox4x64-10 with the 128-bit key `key` (uint64, shape (2,)), counter from 0, in order;
    # float64 takes the upper 53 bits of each 64-bit word, float32 the upper 24 of each 32-bit half, lower half first.
    def random(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array: ...

    # The one that changes anything: writes `value`, broadcast, into `target`'s memory.
    def assign(self, target: Array, value: Operand) -> None: ...


PRIMITIVES: tuple[str, ...] = tuple(
    name for name, member in vars(Backend).items() if callable(member) and name[0] != "_"
)

# Elementwise ops that a backend may have a kernel for, of the op's name and arguments: `relu_gradient(g, out)`.
KERNELS = ("relu_gradient",)

_chosen: ContextVar[Backend | None] = ContextVar("backend", default=None)  # by `use_backend`, in this thread
_default: Backend | None = None


def get_backend() -> Backend:
    """The backend that new Tensors are created on: `use_backend`'s, else `set_backend`'s, else the default."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    if _default is None:
        set_backend(registry.default_backend_name())
    assert _default is not None
    return _default


def set_backend(name: str) -> None:
    """Create Tensors on backend `name` from now on, in every thread. ValueError lists the backends there are."""
    global _default
    _default = registry.backend(name)


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Within the block, and in this thread only, create Tensors on backend `name`."""
    backend = registry.backend(name)
    token = _chosen.set(backend)
    try:
        yield backend
    finally:
        _chosen.reset(token)
