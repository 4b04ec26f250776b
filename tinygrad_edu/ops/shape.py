"""Ops that show the same elements in another shape or order, or join them: reshape, permute, expand, flip, cat.

The primitive ones (`_reshape`, `_permute`, `_expand`, `_slice`, `_flip`) may give views; their gradients are others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.ops.agree import result_type
from tinygrad_edu.ops.op import check_same_backend, check_tensor, op, view_op

Shape = tuple[int, ...]


def canonical_dim(name: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front. IndexError names the range."""
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise TypeError(f"{name}: expected dim to be an int, got {type(dim).__name__}")
    if not -ndim <= dim < ndim:
        raise IndexError(f"{name}: dim {dim} is out of range for {ndim} dimensions (expected {-ndim} to {ndim - 1})")
    return int(dim % ndim)


def canonical_dims(name: str, dims: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """`dims` (one, several, or None for all) counted from the front, each once."""
    if dims is None:
        return tuple(range(ndim))
    if type(dims) is int and -ndim <= dims < ndim:  # the common case
        return (dims % ndim,)
    if isinstance(dims, (int, np.integer)):
        dims = (dims,)
    if not isinstance(dims, (tuple, list)):
        raise TypeError(f"{name}: expected dim to be an int, or a tuple or list of them, got {type(dims).__name__}")
    if ndim == 0 and all(d in (0, -1) for d in dims):
        return ()  # torch lets a 0-d Tensor have a dimension 0
    found = tuple([canonical_dim(name, d, ndim) for d in dims])
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: dim {tuple(dims)} names a dimension twice")
    return found


def as_shape(sizes: tuple[Any, ...]) -> Shape:
    """A shape given as separate ints or as one sequence: `f(2, 3)` or `f((2, 3))`."""
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes


def check_sizes(name: str, shape: Shape) -> Shape:
    """`shape`. ValueError if a size is negative."""
    if any(n < 0 for n in shape):
        raise ValueError(f"{name}: expected sizes >= 0, got {shape}")
    return shape


@view_op
def _reshape(x, *, shape):
    return x.backend.reshape(x.data, shape)


_reshape.vjp = lambda g, shapes: _reshape(g, shape=shapes[0])


def reshape(x: Any, *sizes: Any) -> Any:
    """The elements of x, in row-major order, in another shape; one size may be -1. ValueError if the counts differ."""
    check_tensor("reshape", x)
    shape = as_shape(sizes)
    if shape == x.data.shape:
        return _reshape(x, shape=shape)
    count, known = math.prod(x.data.shape), math.prod([n for n in shape if n != -1])
    if shape.count(-1) > 1 or any(n < -1 for n in shape):
        raise ValueError(f"reshape: expected sizes >= 0 and at most one -1, got {shape}")
    if -1 in shape:
        if known == 0 or count % known:
            raise ValueError(f"reshape: shape {x.data.shape} ({count} elements) does not fit into {shape}")
        shape = tuple([count // known if n == -1 else n for n in shape])
    elif known != count:
        raise ValueError(f"reshape: shape {x.data.shape} has {count} elements, {shape} has {known}")
    return _reshape(x, shape=shape)


@view_op
def _permute(x, *, dims):
    return x.backend.permute(x.data, dims)


_permute.vjp = lambda g, dims: _permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__)))


def permute(x: Any, *dims: Any) -> Any:
    """x with its dimensions in the order `dims`: (a, b, c), dims (2, 0, 1) -> (c, a, b)."""
    check_tensor("permute", x)
    order = canonical_dims("permute", as_shape(dims), x.ndim)
    if len(order) != x.ndim:
        raise ValueError(f"permute: expected {x.ndim} dimensions for shape {x.shape}, got {order}")
    return _permute(x, dims=order)


@view_op
def _expand(x, *, shape):
    return x.backend.expand(x.data, shape)


_expand.vjp = lambda g: g  # the engine sums what was broadcast


def expand(x: Any, *sizes: Any) -> Any:
    """x broadcast to a shape; -1 keeps a size. ValueError names the dimension that does not fit."""
    check_tensor("expand", x)
    shape, old = as_shape(sizes), x.data.shape
    lead = len(shape) - len(old)
    new = tuple([old[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)])
    if any(n < 0 for n in new):
        raise ValueError(f"expand: expected sizes >= 0, or -1 for a dimension of {old}, got {shape}")
    for i, n in enumerate(old):
        if lead < 0 or n not in (1, new[i + lead]):
            raise ValueError(f"expand: shape {old} does not broadcast to {shape}: dimension {i} has size {n}")
    return _expand(x, shape=new)


@view_op
def _flip(x, *, dims):
    return x.backend.flip(x.data, dims)


_flip.vjp = lambda g, dims: _flip(g, dims=dims)


def flip(x: Any, *dims: Any) -> Any:
    """x with the order along `dims` turned round."""
    check_tensor("flip", x)
    return _flip(x, dims=canonical_dims("flip", as_shape(dims), x.ndim))


@view_op
def _slice(x, *, key):
    return x.backend.slice(x.data, key)


@op
def _pad(x, *, shape, key):
    return x.backend.pad(x.data, shape, key)


_slice.vjp = lambda g, shapes, key: _pad(g, shape=shapes[0], key=key)
_pad.vjp = lambda g, key: _slice(g, key=key)


def part(x: Any, dim: int, start: int, stop: int) -> Any:
    """x from `start` to before `stop` along `dim`, all three from 0 to the size."""
    return _slice(x, key=tuple([slice(start, stop) if i == dim else slice(None) for i in range(x.ndim)]))


@op
def _concat(*xs, dim):
    return xs[0].backend.concat([x.data for x in xs], dim)


def _concat_vjp(g, shapes, dim, needs):
    ends = accumulate(shape[dim] for shape in shapes)
    return [
        part(g, dim, end - shape[dim], end) if need else None
        for shape, end, need in zip(shapes, ends, needs, strict=True)
    ]


_concat.vjp = _concat_vjp


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors joined along `dim`; all other sizes must agree. ValueError names the tensor that differs."""
    if not tensors or not all(isinstance(x, Value) for x in tensors):
        raise TypeError("cat: expected a non-empty sequence of Tensors")
    check_same_backend("cat", tensors)
    dtype = result_type(*tensors)
    tensors = [x for x in tensors if x.shape != (0,)] or tensors[:1]  # torch passes over empty vectors
    first = tensors[0]
    dim = canonical_dim("cat", dim, first.ndim)
    for i, x in enumerate(tensors):
        if x.ndim != first.ndim or any(
            m != n for d, (m, n) in enumerate(zip(x.shape, first.shape, strict=True)) if d != dim
        ):
            raise ValueError(
                f"cat: along dim {dim}, tensor {i} of shape {x.shape} does not fit tensor 0 of {first.shape}"
            )
    return _concat(*[x.to(dtype) for x in tensors], dim=dim)
