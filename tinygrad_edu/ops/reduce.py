"""Ops that reduce dimensions: sums, products, extremes, norms; and those that run along one, such as cumsum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.ops.agree import cast, check_float, refuse_bool
from tinygrad_edu.ops.elementwise import where
from tinygrad_edu.ops.op import check_tensor, op, unrecorded_op
from tinygrad_edu.ops.shape import _expand, _reshape, canonical_dim, canonical_dims, cat, flip, part, reshape
from tinygrad_edu.ops.unary import abs, sign

Dims = int | Sequence[int] | None


def kept(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with size 1 in place of the reduced dimensions."""
    return tuple([1 if i in dims else n for i, n in enumerate(shape)])


def reduced_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """`dim` counted from the front; all for None, and, as torch has it, for ()."""
    return canonical_dims(name, None if isinstance(dim, (tuple, list)) and not dim else dim, ndim)


def wide(x: Any) -> Any:
    """x, as int64 if it is an integer or a bool."""
    return x if x.data.dtype.kind == "f" else cast(x, dtype=np.int64)


# Sums, means, products.


def _spread(g: Any, shape: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """What was reduced over `dims` back in `shape`, without the checks of `reshape` and `expand`."""
    return _expand(_reshape(g, shape=kept(shape, dims)), shape=shape)


@op
def _sum(x, *, dims, keepdim):
    return x.backend.sum(x.data, dims, keepdim)


_sum.vjp = lambda g, shapes, dims: _spread(g, shapes[0], dims)


def sum(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The sum over `dim` (all dimensions by default). Integers and bools are summed as int64."""
    check_tensor("sum", x)
    return _sum(wide(x), dims=reduced_dims("sum", dim, x.ndim), keepdim=keepdim)


@op
def _mean(x, *, dims, keepdim, n):
    return x.backend.div(x.backend.sum(x.data, dims, keepdim), n)


_mean.vjp = lambda g, shapes, dims, n: _spread(g / n, shapes[0], dims)


def mean(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The mean over `dim` (all dimensions by default). TypeError for integers, as in torch."""
    check_float("mean", x)
    dims = reduced_dims("mean", dim, x.ndim)
    return _mean(x, dims=dims, keepdim=keepdim, n=float(math.prod([x.data.shape[d] for d in dims])))


@op
def _var(x, *, dims, keepdim, n):
    b, count = x.backend, float(math.prod([x.data.shape[d] for d in dims]))
    d = b.sub(x.data, b.div(b.sum(x.data, dims, True), count))
    return b.div(b.sum(b.mul(d, d), dims, keepdim), n)


def _var_vjp(g, x, dims, n):
    count = float(math.prod([x.shape[d] for d in dims]))
    return _reshape(g / n * 2.0, shape=kept(x.shape, dims)) * (x - _mean(x, dims=dims, keepdim=True, n=count))


_var.vjp = _var_vjp


@op
def _std(x, *, dims, keepdim, n):
    return x.backend.sqrt(_var.op.forward(x, dims=dims, keepdim=keepdim, n=n))


_std.vjp = lambda g, x, out, dims, n: _var.vjp(where(out == 0.0, 0.0, g / (out * 2.0)), x, dims, n)


def var(x: Any, dim: Dims = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    """The variance over `dim` (all by default): squared deviations, summed, divided by their number - `correction`."""
    return _deviation("var", _var, x, dim, correction, keepdim)


def std(x: Any, dim: Dims = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    """The standard deviation over `dim` (all by default), the root of `var`; where it is 0 so is the gradient."""
    return _deviation("std", _std, x, dim, correction, keepdim)


def _deviation(name: str, op: Any, x: Any, dim: Dims, correction: float, keepdim: bool) -> Any:
    check_float(name, x)
    dims = reduced_dims(name, dim, x.ndim)
    n = math.prod([x.data.shape[d] for d in dims]) - correction
    return op(x, dims=dims, keepdim=keepdim, n=float(n) if n > 0 else 0.0)


@op
def _prod(x, *, dim):
    return x.backend.prod(x.data, (dim,), False)


def _prod_vjp(g, x, out, dim):
    """out / x; where there are zeros, the product of the elements before each one times that of those behind it."""
    b = x.backend
    if not b.nonzero(b.reshape(b.equal(x.data, 0.0), (-1,)))[0].shape[0]:
        return (g * out).unsqueeze(dim) / x
    before = lambda x: cat([x.new_ones(part(x, dim, 0, 1).shape), part(x, dim, 0, x.shape[dim] - 1).cumprod(dim)], dim)
    others = before(x) * flip(before(flip(x, dim)), dim) if x.shape[dim] else x
    return g.unsqueeze(dim) * others


_prod.vjp = _prod_vjp


def prod(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The product over one dimension, or over all; 1 of nothing. Integers and bools are multiplied as int64."""
    check_tensor("prod", x)
    flat, at = (x, dim) if dim is not None and x.ndim else (reshape(x, math.prod(x.shape)), 0)
    out = _prod(wide(flat), dim=canonical_dim("prod", at, flat.ndim))
    return reshape(out, kept(x.shape, reduced_dims("prod", dim, x.ndim))) if keepdim else out


# Extremes: each function of the largest has a twin of the smallest, made by the same lines.


def _mirrored(b: Backend, x: Array) -> Array:
    """x with its order turned round, exactly, in its own dtype: a largest element becomes a smallest one."""
    if x.dtype.kind == "b":
        return b.equal(x, False)
    return b.mul(x, -1.0) if x.dtype.kind == "f" else b.sub(np.iinfo(x.dtype).max if x.dtype.kind == "u" else -1, x)


def _check_not_empty(name: str, x: Any, dims: tuple[int, ...]) -> None:
    for d in dims:
        if x.data.shape[d] == 0:
            raise ValueError(f"{name}: dimension {d} of shape {x.data.shape} is empty: there is no extreme element")


@unrecorded_op
def _weights(x, out, *, dims):
    """How equal extremes share the gradient, as in torch. A NaN is the extreme of what it is among."""
    b, x, top = x.backend, x.data, x.backend.reshape(out.data, kept(x.shape, dims))
    hit = b.equal(x, top)
    if x.dtype.kind == "f":
        hit = b.maximum(hit, b.equal(b.maximum(b.equal(x, x), b.equal(top, top)), False))
    hit = b.cast(hit, x.dtype)
    return b.div(hit, b.sum(hit, dims, True))


_shared = lambda g, x, out, dims: _weights(x, out, dims=dims) * _reshape(g, shape=kept(x.shape, dims))


def _extreme(name: str, which: str, compute: Any) -> Any:
    def forward(x, *, dims, keepdim):
        return compute(x.backend, x.data, dims, keepdim)

    def function(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
        check_tensor(name, x)
        dims = reduced_dims(name, dim, x.ndim)
        _check_not_empty(name, x, dims)
        return recorded(x, dims=dims, keepdim=keepdim)

    forward.__name__ = function.__name__ = name
    function.__doc__ = f"The {which} elements over `dim` (all by default); equal ones share the gradient."
    recorded = op(forward)
    recorded.vjp = _shared
    return function


amax = _extreme("amax", "largest", lambda b, x, dims, keep: b.max(x, dims, keep))
amin = _extreme("amin", "smallest", lambda b, x, dims, keep: _mirrored(b, b.max(_mirrored(b, x), dims, keep)))


@unrecorded_op
def _argmax(x, *, dim, keepdim):
    return x.backend.argmax(x.data, dim, keepdim)


@unrecorded_op
def _argmin(x, *, dim, keepdim):
    return x.backend.argmax(_mirrored(x.backend, x.data), dim, keepdim)


def position(name: str, op: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    check_tensor(name, x)
    if dim is None or x.ndim == 0:
        _check_not_empty(name, x, canonical_dims(name, dim, x.ndim))
        out = op(reshape(x, -1), dim=0, keepdim=False)
        return out.reshape((1,) * x.ndim) if keepdim else out
    dim = canonical_dim(name, dim, x.ndim)
    _check_not_empty(name, x, (dim,))
    return op(x, dim=dim, keepdim=keepdim)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index (int64) of the largest element, the first of equal ones, along `dim` or of all. TypeError for bool."""
    refuse_bool("argmax", x)
    return position("argmax", _argmax, x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index (int64) of the smallest element, the first of equal ones, along `dim` or of all. TypeError for bool."""
    refuse_bool("argmin", x)
    return position("argmin", _argmin, x, dim, keepdim)


# Lengths. Where one is 0 so is its gradient, as in torch.


@op
def _norm(x, *, p, dims, keepdim):
    b, x = x.backend, x.data
    if p == 2:
        return b.sqrt(b.sum(b.mul(x, x), dims, keepdim))
    size = b.pow(b.maximum(x, b.mul(x, -1.0)), p) if p else b.cast(b.equal(b.equal(x, 0.0), False), x.dtype)
    total = b.sum(size, dims, keepdim)
    return b.pow(total, 1.0 / p) if p else total


def _norm_vjp(g, x, out, p, dims):
    if p == 0:
        return x.new_zeros(x.shape)
    scale = where(out == 0.0, 0.0, g / out if p == 2 else g * out ** (1.0 - p)).reshape(kept(x.shape, dims))
    return x * scale if p == 2 else sign(x) * where(x == 0.0, 0.0, abs(x) ** (p - 1.0)) * scale


_norm.vjp = _norm_vjp


def norm(x: Any, p: float | str | None = "fro", dim: Dims = None, keepdim: bool = False) -> Any:
    """The p-norm over `dim` (all by default), (Σ |x|ᵖ)^(1/p); inf: the largest |x|; 0: how many are not 0.

    "fro" and None mean 2. Where the norm is 0 so is its gradient. Matrix norms ("nuc") are not offered.
    """
    check_float("norm", x)
    dims = reduced_dims("norm", dim, x.ndim)
    p = 2.0 if p in ("fro", None) else p
    if not isinstance(p, (int, float)):
        raise ValueError(f"norm: expected p to be a number or 'fro', got {p!r}")
    if math.isinf(p):
        _check_not_empty("norm", x, dims)
        return (amax if p > 0 else amin)(abs(x), dims, keepdim)
    return sum(abs(x), dims, keepdim) if p == 1 else _norm(x, p=float(p), dims=dims, keepdim=keepdim)


# Along one dimension.


@op
def _cumsum(x, *, dim, backward=False):
    b = x.backend
    return b.flip(b.cumsum(b.flip(x.data, (dim,)), dim), (dim,)) if backward else b.cumsum(x.data, dim)


_cumsum.vjp = lambda g, dim, backward: _cumsum(g, dim=dim, backward=not backward)


def cumsum(x: Any, dim: int) -> Any:
    """The sums of the elements up to each one along `dim`. Integers and bools are summed as int64."""
    check_tensor("cumsum", x)
    return _cumsum(wide(x), dim=canonical_dim("cumsum", dim, x.ndim), backward=False) if x.ndim else wide(x).clone()
