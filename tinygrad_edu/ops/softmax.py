"""Softmax, its logarithm, and the loss that is made of it.

For a row x of logits, softmax(x)_i = exp(x_i) / sum_j exp(x_j). Subtracting the row's largest element first leaves the
result as it is and keeps exp from overflowing.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array
from tinygrad_edu.ops.agree import DEFAULT_FLOAT, cast
from tinygrad_edu.ops.elementwise import exp
from tinygrad_edu.ops.index import extremes, gather
from tinygrad_edu.ops.op import check_same_backend, check_tensor, fused, op
from tinygrad_edu.ops.reduce import check_float
from tinygrad_edu.ops.shape import canonical_dim, canonical_dims, permute, reshape


def _top(x: Value, dims: tuple[int, ...]) -> Array:
    """The largest elements over `dims`, which stay, with size 1; 0 where there are no elements."""
    b = x.backend
    return (b.sum if 0 in x.data.shape else b.max)(x.data, dims, True)


@op
def _softmax(x, *, dims):
    b = x.backend
    e = b.exp(b.sub(x.data, _top(x, dims)))
    return b.div(e, b.sum(e, dims, True))


_softmax.vjp = lambda g, out, dims: (g - (g * out).sum(dims, keepdim=True)) * out


@op
def _log_softmax(x, *, dims):
    b = x.backend
    shifted = b.sub(x.data, _top(x, dims))
    return b.sub(shifted, b.log(b.sum(b.exp(shifted), dims, True)))


_log_softmax.vjp = lambda g, out, dims: g - exp(out) * g.sum(dims, keepdim=True)


@op
def _logsumexp(x, *, dims):
    b = x.backend
    top = _top(x, dims)
    top = b.where(b.equal(b.sub(top, top), 0.0), top, 0.0)  # an infinite one would give inf - inf
    return b.add(b.log(b.sum(b.exp(b.sub(x.data, top)), dims, True)), top)


_logsumexp.vjp = lambda g, x, out: g * exp(x - out)


def _dims(name: str, x: Any, dim: int) -> tuple[int, ...]:
    return (canonical_dim(name, dim, x.ndim),) if x.ndim else ()


def softmax(x: Any, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along `dim`: positive, summing to 1. TypeError for integers, as in torch."""
    check_float("softmax", x)
    return _softmax(x, dims=_dims("softmax", x, dim))


def log_softmax(x: Any, dim: int) -> Any:
    """log(softmax(x)) along `dim`, in nats, accurate where softmax underflows. TypeError for integers, as in torch."""
    check_float("log_softmax", x)
    return _log_softmax(x, dims=_dims("log_softmax", x, dim))


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) over `dim`, one or several, without overflow."""
    check_tensor("logsumexp", x)
    dims = canonical_dims("logsumexp", dim, x.ndim)
    out = _logsumexp(x if x.data.dtype.kind == "f" else cast(x, dtype=DEFAULT_FLOAT), dims=dims)
    return out if keepdim else reshape(out, tuple([n for i, n in enumerate(out.shape) if i not in dims]))


def _check_cross_entropy(logits: Any, target: Any, *, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    if logits.data.dtype.kind != "f" or target.data.dtype.kind not in "iu":
        raise TypeError(
            "cross_entropy: expected float logits and integer class indices as target, "
            f"got {logits.data.dtype} and {target.data.dtype}"
        )
    if target.data.shape and target.data.shape[0]:
        low, high = extremes(target)
        if low < 0 or high >= logits.data.shape[1]:
            raise IndexError(
                f"cross_entropy: target {low if low < 0 else high} is out of range for {logits.data.shape[1]} classes "
                f"(expected 0 to {logits.data.shape[1] - 1})"
            )


@fused(_check_cross_entropy)
def _cross_entropy(logits, target, *, reduction):
    """(N, C), (N,) -> () or (N,)."""
    losses = -gather(log_softmax(logits, 1), 1, reshape(target, -1, 1)).reshape(-1)
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def cross_entropy(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """-log softmax(input)[target], in nats: (N, C), (N,) -> (), or (C,), () -> (), or (N, C, d...), (N, d...) -> ().

    `input` are logits, `target` the classes' indices. `reduction`: 'mean' over all targets, 'sum', or 'none', which
    gives the target's shape. ValueError for shapes that do not fit, IndexError for a class that does not exist.
    """
    check_same_backend("cross_entropy", (input, target))
    shape = input.data.shape
    if shape and (shape[:1] if len(shape) > 1 else ()) + shape[2:] != target.data.shape:
        expected = "(N, C) and (N,)" if len(shape) < 3 else "(N, C, d...) and (N, d...)"
        raise ValueError(
            f"cross_entropy: expected logits and target of shapes {expected}, got {shape} and {target.shape}"
        )
    if not shape:
        raise ValueError("cross_entropy: expected logits of shape (C,) or (N, C, ...), got a 0-d Tensor")
    if len(shape) != 2:
        rows = reshape(input, 1, -1) if len(shape) == 1 else permute(input, 0, *range(2, len(shape)), 1)
        input = reshape(rows, -1, rows.shape[-1])
    losses = _cross_entropy(input, reshape(target, -1) if target.ndim != 1 else target, reduction=reduction)
    return reshape(losses, target.shape) if reduction == "none" else losses
