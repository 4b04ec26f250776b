"""Making Tensors on the backend in force (see `tinygrad_edu.backend`): from data, filled, counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.backend import Backend, get_backend
from tinygrad_edu.ops.agree import DEFAULT_FLOAT
from tinygrad_edu.ops.op import check_tensor
from tinygrad_edu.ops.shape import as_shape, check_sizes
from tinygrad_edu.tensor import Tensor


def _wrap(array: np.ndarray, backend: Backend | None, requires_grad: bool) -> Tensor:
    backend = backend or get_backend()
    out = Tensor(backend.from_numpy(array), backend)
    return out.requires_grad_() if requires_grad else out


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of `data`: a number, nested lists, a NumPy array, or a Tensor.

    Python floats become float32, ints int64, bools bool; NumPy arrays keep their dtype. ValueError for ragged lists,
    TypeError for what is not a bool, integer or float, or for `requires_grad` of what is not a float.

    >>> tensor([[1.0, 2.0]])
    tensor([[1., 2.]])
    """
    if isinstance(data, Tensor):
        data = data.backend.to_numpy(data.data)
    given = isinstance(data, (np.ndarray, np.generic))
    try:
        array = np.array(data, order="C")
    except ValueError as error:
        raise ValueError(f"tensor: expected numbers nested evenly, got rows of unequal shape ({error})") from error
    if dtype is not None:
        array = array.astype(dtype)
    elif not given and (array.dtype.kind == "f" or array.size == 0):
        array = array.astype(DEFAULT_FLOAT)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"tensor: expected bool, integer or float data, got dtype {array.dtype}")
    return _wrap(array, None, requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the array's memory where the backend can. TypeError for what is no array of numbers."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"from_numpy: expected a NumPy array of bools, integers or floats, got {found}")
    return _wrap(array, None, False)


def full(size: Any, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of shape `size` with `fill_value` everywhere; its dtype is the number's (float: float32)."""
    dtype = dtype or (DEFAULT_FLOAT if isinstance(fill_value, float) else None)
    return _wrap(np.full(check_sizes("full", as_shape((size,))), fill_value, dtype), None, requires_grad)


def zeros(*size: Any, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros: `zeros(2, 3)` or `zeros((2, 3))`."""
    return _wrap(np.zeros(check_sizes("zeros", as_shape(size)), dtype), None, requires_grad)


def ones(*size: Any, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones: `ones(2, 3)` or `ones((2, 3))`."""
    return _wrap(np.ones(check_sizes("ones", as_shape(size)), dtype), None, requires_grad)


def full_like(x: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of x's shape, dtype and backend with `fill_value` everywhere."""
    check_tensor("full_like", x)
    return _wrap(np.full(x.shape, fill_value, dtype or x.dtype), x.backend, requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros of x's shape, dtype and backend."""
    check_tensor("zeros_like", x)
    return full_like(x, 0, dtype=dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones of x's shape, dtype and backend."""
    check_tensor("ones_like", x)
    return full_like(x, 1, dtype=dtype, requires_grad=requires_grad)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """The numbers from `start` (0 if only one is given) to before `end`: int64 if all three are ints, else float32."""
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: cannot count from {start} to {end} in steps of {step}")
    floats = any(isinstance(n, float) for n in (start, end, step))
    numbers = np.arange(start, end, step, dtype=dtype or (DEFAULT_FLOAT if floats else np.int64))
    return _wrap(numbers, None, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers at equal distances, from `start` to `end`, both included."""
    if not all(isinstance(n, (int, float)) for n in (start, end)) or steps < 0:
        raise ValueError(f"linspace: expected two numbers and steps >= 0, got {start!r}, {end!r} and {steps}")
    return _wrap(np.linspace(start, end, steps).astype(dtype), None, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = DEFAULT_FLOAT, requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on its diagonal (m defaults to n)."""
    return _wrap(np.eye(*check_sizes("eye", (n, n if m is None else m)), dtype=dtype), None, requires_grad)


def from_dlpack(x: Any) -> Tensor:
    """A Tensor that shares the memory of an array of another library (torch, JAX, ...) on the CPU, where it can.

    TypeError for what does not speak DLPack, or is no array of bools, integers or floats.
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an array with __dlpack__, got {type(x).__name__}")
    return from_numpy(np.from_dlpack(x))
