"""Losses: how far what a model gives is from what it should give, under torch's names."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.ops import gather, log_softmax, permute, reshape
from tinygrad_edu.ops.index import extremes
from tinygrad_edu.ops.op import check_same_backend, fused


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
