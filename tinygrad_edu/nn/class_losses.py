"""Losses of classes: nll_loss and cross_entropy, on log-probabilities and on logits, under torch's names.

Logits are (N, C), C classes for each of N rows; (C,) for one row; or (N, C, d...), a row for each place d... of N.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, cast, log_softmax, permute, reshape, where
from tinygrad_edu.autograd import Value
from tinygrad_edu.nn.activations import number
from tinygrad_edu.nn.losses import check_reduction, reduced, refuse_gradient
from tinygrad_edu.ops.agree import align
from tinygrad_edu.ops.index import extremes, take
from tinygrad_edu.ops.op import check_same_backend, fused


def _classes(input: Any) -> int:
    return input.data.shape[1 if len(input.data.shape) > 1 else 0]


def _check_weight(name: str, input: Any, weight: Any) -> None:
    check_same_backend(name, (input, weight))
    classes = _classes(input)
    if weight.data.shape != (classes,) or weight.data.dtype != input.data.dtype:
        raise ValueError(
            f"{name}: expected a weight of shape ({classes},), one for each class, and dtype {input.dtype}, "
            f"got {weight.shape} and {weight.dtype}"
        )


def _check_classes(name: str, input: Any, target: Any, weight: Any) -> None:
    """Shapes (N, C) and (N,), (C,) and (), or (N, C, d...) and (N, d...), and a weight (C,)."""
    shape = input.data.shape
    what = "logits" if name == "cross_entropy" else "log-probabilities"
    if not shape:
        raise ValueError(f"{name}: expected {what} of shape (C,) or (N, C, ...), got a 0-d Tensor")
    if (shape[:1] if len(shape) > 1 else ()) + shape[2:] != target.data.shape:
        expected = "(N, C) and (N,)" if len(shape) < 3 else "(N, C, d...) and (N, d...)"
        raise ValueError(f"{name}: expected {what} and target of shapes {expected}, got {shape} and {target.shape}")
    if input.data.dtype.kind != "f" or target.data.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: expected float {what} and integer class indices as target, "
            f"got {input.data.dtype} and {target.data.dtype}"
        )
    if weight is not None:
        _check_weight(name, input, weight)
        refuse_gradient(name, weight=weight)


def _check_range(name: str, target: Any, classes: int, ignore_index: int) -> bool:
    """Whether every target is a class and none is `ignore_index`. IndexError names one that is neither."""
    if 0 in target.data.shape:
        return True
    low, high = extremes(target)
    if low >= 0 and high < classes and not low <= ignore_index <= high:
        return True
    b = target.backend
    low, high = extremes(Value.kind(b.where(b.equal(target.data, ignore_index), 0, target.data), b))
    if low < 0 or high >= classes:
        raise IndexError(
            f"{name}: target {low if low < 0 else high} is out of range for {classes} classes "
            f"(expected 0 to {classes - 1})"
        )
    return False


def _rows(x: Any) -> Any:
    """(N, C, d...) or (C,) -> (rows, C)."""
    if x.ndim == 2:
        return x
    x = reshape(x, 1, x.shape[0]) if x.ndim == 1 else permute(x, 0, *range(2, x.ndim), 1)
    return reshape(x, prod(x.shape[:-1]), x.shape[-1])


def _picked(log_p: Any, target: Any) -> Any:
    """-log_p[target], row by row: (rows, C), (rows,) -> (rows,)."""
    rows = Value.kind(log_p.backend.from_numpy(np.arange(target.numel())), log_p.backend)
    return -take(log_p, rows, cast(target, dtype=np.int64))


def _nll(log_p: Any, target: Any, weight: Any, ignore_index: int, smoothing: float) -> tuple[Any, Any]:
    """The losses of the rows, and how much each counts in their mean: (rows, C), (rows,) -> two times (rows,)."""
    target = cast(target, dtype=np.int64)
    kept = target != ignore_index
    at = where(kept, target, 0)
    counts = cast(kept, dtype=log_p.dtype) if weight is None else where(kept, weight[at], 0.0)
    losses = where(kept, _picked(log_p, at), 0.0) * counts
    if smoothing:
        spread = where(kept, -(log_p if weight is None else log_p * weight).sum(1), 0.0)
        losses = losses * (1.0 - smoothing) + spread * (smoothing / log_p.shape[1])
    return losses, counts


def _mean_by(losses: Any, counts: Any, shape: tuple[int, ...], reduction: str) -> Any:
    """The rows' losses reduced; the mean divides by the sum of `counts`, and so is NaN where all are ignored."""
    if reduction == "none":
        return reshape(losses, shape)
    return losses.sum() / counts.sum() if reduction == "mean" else losses.sum()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] input[target]: (N, C), (N,) -> (), or (C,), () -> (), or (N, C, d...), (N, d...) -> ().

    `input` are logarithms of probabilities, `target` the classes' indices; a target of `ignore_index` does not count.
    'mean' is weighted. ValueError for shapes that do not fit, IndexError for a class that does not exist.
    """
    check_same_backend("nll_loss", (input, target))
    check_reduction("nll_loss", reduction)
    _check_classes("nll_loss", input, target, weight)
    plain = _check_range("nll_loss", target, _classes(input), ignore_index)
    rows, at = _rows(input), reshape(target, target.numel())
    if plain and weight is None:
        losses = _picked(rows, at)
        return reshape(losses, target.shape) if reduction == "none" else reduced(losses, reduction)
    losses, counts = _nll(rows, at, weight, ignore_index, 0.0)
    return _mean_by(losses, counts, target.shape, reduction)


def _check_plain(logits: Any, target: Any, *, reduction: str) -> None:
    check_reduction("cross_entropy", reduction)


@fused(_check_plain)
def _cross_entropy(logits, target, *, reduction):
    """The plain case, every row counting alike: (N, C), (N,) -> () or (N,)."""
    return reduced(_picked(log_softmax(logits, 1), target), reduction)


def _from_probabilities(input: Any, target: Any, weight: Any, smoothing: float, reduction: str) -> Any:
    """-sum(target log softmax(input)) over the classes; the mean is over the rows, whatever the weights."""
    check_reduction("cross_entropy", reduction)
    if weight is not None:
        _check_weight("cross_entropy", input, weight)
    input, target = align("cross_entropy", (input, target), "f")
    rows, p = _rows(input), _rows(target)
    if smoothing:
        p = p * (1.0 - smoothing) + smoothing / rows.shape[1]
    terms = log_softmax(rows, 1) * p
    losses = -(terms if weight is None else terms * weight).sum(1)
    shape = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    return reshape(losses, shape) if reduction == "none" else reduced(losses, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]: (N, C), (N,) -> (), or (C,), () -> (), or (N, C, d...), (N, d...) -> ().

    `input` are logits, `target` the classes' indices, or float probabilities of the input's shape. `weight` (C,) are
    the classes' weights, and 'mean' is weighted. A target of `ignore_index` does not count. `label_smoothing` mixes
    that share of the uniform distribution into the target. ValueError for shapes that do not fit, IndexError for a
    class that does not exist.
    """
    check_same_backend("cross_entropy", (input, target))
    label_smoothing = number("cross_entropy", "label_smoothing", label_smoothing)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: expected label_smoothing between 0 and 1, got {label_smoothing}")
    if target.data.dtype.kind == "f" and input.data.dtype.kind == "f" and target.data.shape == input.data.shape != ():
        if ignore_index >= 0:
            raise ValueError(f"cross_entropy: with probabilities there is no ignore_index, got {ignore_index}")
        return _from_probabilities(input, target, weight, label_smoothing, reduction)
    _check_classes("cross_entropy", input, target, weight)
    plain = _check_range("cross_entropy", target, _classes(input), ignore_index)
    rows, at = _rows(input), reshape(target, target.numel()) if target.ndim != 1 else target
    if plain and weight is None and not label_smoothing:
        losses = _cross_entropy(rows, at, reduction=reduction)
        return reshape(losses, target.shape) if reduction == "none" else losses
    check_reduction("cross_entropy", reduction)
    losses, counts = _nll(log_softmax(rows, 1), at, weight, ignore_index, label_smoothing)
    return _mean_by(losses, counts, target.shape, reduction)
