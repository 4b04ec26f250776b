"""Ops that reduce dimensions: sums, means, maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.ops.agree import cast, check_float, refuse_bool
from tinygrad_edu.ops.elementwise import eq, logical_and, logical_or, ne
from tinygrad_edu.ops.index import gather
from tinygrad_edu.ops.op import check_tensor, op, unrecorded_op
from tinygrad_edu.ops.shape import canonical_dim, canonical_dims, reshape

Dims = int | Sequence[int] | None


class ValuesAndIndices(NamedTuple):
    """What `max(x, dim)` gives: the values, and where they were found (int64)."""

    values: Any
    indices: Any


def kept(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with size 1 in place of the reduced dimensions."""
    return tuple([1 if i in dims else n for i, n in enumerate(shape)])


def reduced_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """`dim` counted from the front; all for None, and, as torch has it, for ()."""
    return canonical_dims(name, None if isinstance(dim, (tuple, list)) and not dim else dim, ndim)


@op
def _sum(x, *, dims, keepdim):
    return x.backend.sum(x.data, dims, keepdim)


_sum.vjp = lambda g, shapes, dims: g.reshape(kept(shapes[0], dims)).expand(shapes[0])


def sum(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The sum over `dim` (all dimensions by default). Integers and bools are summed as int64."""
    check_tensor("sum", x)
    if x.data.dtype.kind != "f":
        x = cast(x, dtype=np.int64)
    return _sum(x, dims=reduced_dims("sum", dim, x.ndim), keepdim=keepdim)


def mean(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The mean over `dim` (all dimensions by default). TypeError for integers, as in torch."""
    check_float("mean", x)
    dims = reduced_dims("mean", dim, x.ndim)
    return _sum(x, dims=dims, keepdim=keepdim) / float(math.prod([x.data.shape[d] for d in dims]))


@op
def _amax(x, *, dims, keepdim):
    return x.backend.max(x.data, dims, keepdim)


def _amax_vjp(g, x, out, dims):
    """Equal maxima share the gradient, as in torch."""
    top = out.reshape(kept(x.shape, dims))
    hit = cast(logical_or(eq(x, top), logical_and(ne(x, x), ne(top, top))), dtype=g.dtype)  # a NaN is its own maximum
    return hit * (g.reshape(top.shape) / sum(hit, dims, keepdim=True))


_amax.vjp = _amax_vjp


def _non_empty(name: str, x: Any, dims: tuple[int, ...]) -> None:
    for d in dims:
        if x.data.shape[d] == 0:
            raise ValueError(f"{name}: dimension {d} of shape {x.data.shape} is empty: there is no largest element")


def amax(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The largest elements over `dim` (all by default); equal ones share the gradient. ValueError if there are none."""
    check_tensor("amax", x)
    dims = reduced_dims("amax", dim, x.ndim)
    _non_empty("amax", x, dims)
    return _amax(x, dims=dims, keepdim=keepdim)


def max(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element; with `dim`, (values, indices) along it, the gradient going to the first of equal ones."""
    if dim is None:
        return amax(x)
    indices = _positions("max", x, dim, keepdim=True)
    values = gather(x, dim, indices)
    if not keepdim and x.ndim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return ValuesAndIndices(values, indices)


@unrecorded_op
def _argmax(x, *, dim, keepdim):
    return x.backend.argmax(x.data, dim, keepdim)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index (int64) of the largest element, the first of equal ones; of the flattened Tensor without `dim`.

    TypeError for bools, as in torch.
    """
    refuse_bool("argmax", x)
    return _positions("argmax", x, dim, keepdim)


def _positions(name: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    check_tensor(name, x)
    if dim is None:
        _non_empty(name, x, tuple(range(x.ndim)))
        found = _argmax(reshape(x, -1), dim=0, keepdim=False)
        return found.reshape((1,) * x.ndim) if keepdim else found
    if x.ndim == 0:
        return _positions(name, x, None, keepdim)
    dim = canonical_dim(name, dim, x.ndim)
    _non_empty(name, x, (dim,))
    return _argmax(x, dim=dim, keepdim=keepdim)
