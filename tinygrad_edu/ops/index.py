"""Indexing as torch has it: slices, integers, integer and bool Tensors, mixed, Ellipsis and None.

`x[key]` is done in two steps. First the slices, integers and new dimensions, which give a view. Then `take` with the
integer Tensors (a bool Tensor stands for the indices of its trues), whose adjoint adds up where an index comes twice.
Where the integer Tensors stand side by side the result's new dimensions take their place, otherwise they come first.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.ops.agree import broadcast_shapes
from tinygrad_edu.ops.op import check_same_backend, op
from tinygrad_edu.ops.shape import _slice, permute, reshape

_ALL = slice(None)


@op
def take(x, *index):
    return x.backend.take(x.data, tuple([i.data for i in index]))


@op
def put_add(x, *index, shape):
    return x.backend.put_add(x.data, tuple([i.data for i in index]), shape)


take.vjp = lambda g, index, shapes: (put_add(g, *index, shape=shapes[0]), *[None] * len(index))
put_add.vjp = lambda g, index: (take(g, *index), *[None] * len(index))


def extremes(x: Value) -> tuple[int, int]:
    """The smallest and the largest of the integers in x, which must not be empty."""
    b, dims = x.backend, tuple(range(len(x.data.shape)))
    data = x.data if x.data.dtype.kind == "i" else b.cast(x.data, np.dtype(np.int64))
    low, high = b.max(b.sub(-1, data), dims, False), b.max(data, dims, False)  # -1 - x cannot overflow
    return -1 - int(b.to_numpy(low)), int(b.to_numpy(high))


def check_index(name: str, index: Value, size: int, dim: int, least: int) -> None:
    """IndexError if an index lies outside least..size-1: names it, the dimension and its size."""
    if 0 in index.data.shape:
        return
    low, high = extremes(index)
    if low < least or high >= size:
        found = high if high >= size else low
        raise IndexError(f"{name}: index {found} is out of range for dimension {dim} of size {size}")


def _index_tensor(x: Any, k: Any) -> Value:
    """One part of a key as an int64 or bool Tensor on x's backend."""
    if not isinstance(k, Value):
        array = np.asarray(k) if len(k) else np.zeros(0, np.int64)
        k = Value.kind(x.backend.from_numpy(array), x.backend)
    check_same_backend("x[...]", (x, k))
    if k.data.dtype.kind not in "iub":
        raise TypeError(f"x[...]: expected an integer or bool Tensor as index, got {k.data.dtype}")
    return k if k.data.dtype.kind == "b" else k.to(np.int64)


def parts_of(x: Any, key: Any) -> list[Any]:
    """`key` with one part for every dimension of x: int, slice or (integer Tensor, mask's size or None); and Nones."""
    parts: list[Any] = []
    for k in key if isinstance(key, tuple) else (key,):
        if getattr(k, "shape", None) == () and k.dtype.kind == "b":
            k = k.item()
        if isinstance(k, bool):
            parts.append(bool(k))  # a mask of no dimensions: a new one, of size 1 or 0
            continue
        if k is None or k is Ellipsis or isinstance(k, slice):
            parts.append(k)
        elif isinstance(k, list) or (isinstance(k, np.ndarray) and k.ndim) or (isinstance(k, Value) and k.data.shape):
            k = _index_tensor(x, k)
            if k.data.dtype.kind == "b":
                found = x.backend.nonzero(k.data)
                parts += [(Value.kind(i, x.backend), n) for i, n in zip(found, k.data.shape, strict=True)]
            else:
                parts.append((k, None))
        elif hasattr(k, "__index__"):
            parts.append(operator.index(k))
        else:
            raise TypeError(
                f"x[...]: expected ints, slices, None, ..., integer or bool Tensors, got {type(k).__name__}"
            )
    missing = x.ndim - sum([p is not None and p is not Ellipsis and not isinstance(p, bool) for p in parts])
    if missing < 0:
        raise IndexError(f"x[...]: {x.ndim - missing} indices for a Tensor with {x.ndim} dimensions, shape {x.shape}")
    ellipses = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("x[...]: expected at most one Ellipsis")
    at = ellipses[0] if ellipses else len(parts)
    return parts[:at] + [_ALL] * missing + parts[at + 1 :]


def slices_of(x: Any, parts: list[Any]) -> tuple[tuple[slice, ...], tuple[int, ...], list[tuple[int, Any]]]:
    """The slice of every dimension of x, the shape after it, and (dimension, integer Tensor) for the second step."""
    slices: list[slice] = []
    shape: list[int] = []
    advanced: list[tuple[int, Any]] = []
    for part in parts:
        if part is None or isinstance(part, bool):
            if part is not None:
                zeros = x.backend.from_numpy(np.zeros(int(part), np.int64))
                advanced.append((len(shape), Value.kind(zeros, x.backend)))
            shape.append(1)
            continue
        dim, size = len(slices), x.data.shape[len(slices)]
        if isinstance(part, int):
            if not -size <= part < size:
                raise IndexError(f"x[...]: index {part} is out of range for dimension {dim} of size {size}")
            slices.append(slice(part % size, part % size + 1, 1))
        elif isinstance(part, slice):
            if part.step is not None and operator.index(part.step) <= 0:
                raise ValueError(f"x[...]: expected a slice step > 0, got {part.step}; flip() turns a dimension round")
            start, stop, step = part.indices(size)
            slices.append(slice(start, max(start, stop), step))
            shape.append(len(range(start, stop, step)))
        else:
            index, mask_size = part
            if mask_size not in (None, size):
                raise IndexError(f"x[...]: a mask of size {mask_size} does not fit dimension {dim} of size {size}")
            check_index("x[...]", index, size, dim, -size)
            slices.append(slice(0, size, 1))
            advanced.append((len(shape), index))
            shape.append(size)
    return tuple(slices), tuple(shape), advanced


def getitem(x: Any, key: Any) -> Any:
    """x[key]. IndexError and TypeError name the dimension and what was wrong with the key."""
    slices, shape, advanced = slices_of(x, parts_of(x, key))
    if any(s != slice(0, n, 1) for s, n in zip(slices, x.data.shape, strict=True)):
        x = _slice(x, key=slices)
    if shape != x.data.shape or not advanced:
        x = reshape(x, shape)
    if not advanced:
        return x
    dims = [dim for dim, _ in advanced]
    index = [i for _, i in advanced]
    new = broadcast_shapes("x[...]", *[i.data.shape for i in index])
    rest = [d for d in range(x.ndim) if d not in dims]
    out = take(x if dims == list(range(len(dims))) else permute(x, *dims, *rest), *index)
    lead = dims[0] if dims == list(range(dims[0], dims[-1] + 1)) else 0
    if lead == 0:
        return out
    n = len(new)  # (new..., rest...) -> (first `lead` of rest, new..., the others)
    return permute(out, *range(n, n + lead), *range(n), *range(n + lead, out.ndim))
