"""Softmax, its logarithm, and the logarithm of a sum of exponentials.

softmax(x)_i = exp(x_i) / sum_j exp(x_j). The largest x_j is subtracted first, which keeps exp from overflowing.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array
from tinygrad_edu.ops.agree import DEFAULT_FLOAT, cast, check_float
from tinygrad_edu.ops.op import check_tensor, fused, op
from tinygrad_edu.ops.reduce import _sum
from tinygrad_edu.ops.shape import canonical_dim, canonical_dims, reshape
from tinygrad_edu.ops.unary import exp


def _top(x: Value, dims: tuple[int, ...]) -> Array:
    """The largest elements over `dims`, which stay, with size 1; 0 where there are no elements."""
    b = x.backend
    return (b.sum if 0 in x.data.shape else b.max)(x.data, dims, True)


@op
def _softmax(x, *, dims):
    b = x.backend
    e = b.exp(b.sub(x.data, _top(x, dims)))
    return b.div(e, b.sum(e, dims, True))


_softmax.vjp = lambda g, out, dims: (g - _sum(g * out, dims=dims, keepdim=True)) * out


@op
def _log_softmax(x, *, dims):
    b = x.backend
    shifted = b.sub(x.data, _top(x, dims))
    return b.sub(shifted, b.log(b.sum(b.exp(shifted), dims, True)))


_log_softmax.vjp = lambda g, out, dims: g - exp(out) * _sum(g, dims=dims, keepdim=True)


@op
def _logsumexp(x, *, dims):
    b = x.backend
    top = _top(x, dims)
    top = b.where(b.equal(b.sub(top, top), 0.0), top, 0.0)  # an infinite one would give inf - inf
    return b.add(b.log(b.sum(b.exp(b.sub(x.data, top)), dims, True)), top)


_logsumexp.vjp = lambda g, x, out: g * exp(x - out)


_kernel, _log_kernel = [fused(lambda x, *, dims: None)(body) for body in (_softmax, _log_softmax)]  # if there are any


def _dims(name: str, x: Any, dim: int) -> tuple[int, ...]:
    check_float(name, x)
    return (canonical_dim(name, dim, x.ndim),) if x.ndim else ()


def softmax(x: Any, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along `dim`: positive, summing to 1. TypeError for integers, as in torch."""
    return _kernel(x, dims=_dims("softmax", x, dim))


def log_softmax(x: Any, dim: int) -> Any:
    """log(softmax(x)) along `dim`, in nats, accurate where softmax underflows. TypeError for integers, as in torch."""
    return _log_kernel(x, dims=_dims("log_softmax", x, dim))


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) over `dim`, one or several, without overflow."""
    check_tensor("logsumexp", x)
    dims = canonical_dims("logsumexp", dim, x.ndim)
    out = _logsumexp(x if x.data.dtype.kind == "f" else cast(x, dtype=DEFAULT_FLOAT), dims=dims)
    return out if keepdim else reshape(out, tuple([n for i, n in enumerate(out.shape) if i not in dims]))
