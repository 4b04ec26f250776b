"""Losses: how far what a model gives (`input`) is from what it should give (`target`), under torch's names.

`reduction` says what becomes of the losses of the single elements: 'mean' (their average), 'sum', or 'none' (all of
them). Logarithms are natural, so that entropies are in nats. Where `target` is a float, it may want a gradient as well.
"""

from __future__ import annotations

import warnings
from math import prod
from typing import Any

import numpy as np

from tinygrad_edu import (
    Tensor,
    abs,
    cast,
    exp,
    gather,
    log,
    log1p,
    log_softmax,
    maximum,
    permute,
    reshape,
    square,
    where,
)
from tinygrad_edu.autograd import Value
from tinygrad_edu.nn.activations import _hardtanh, logsigmoid
from tinygrad_edu.ops.agree import align, check_float
from tinygrad_edu.ops.index import extremes
from tinygrad_edu.ops.op import check_same_backend, fused, op

REDUCTIONS = ("mean", "sum", "none")


def _check_reduction(name: str, reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    if reduction not in known:
        listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise ValueError(f"{name}: expected reduction {listed}, got {reduction!r}")


def _reduced(losses: Any, reduction: str) -> Any:
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


# Distances between numbers.


def _difference(name: str, input: Any, target: Any, weight: Any, reduction: str) -> Any:
    """input - target, after the checks that the four losses below have in common."""
    check_same_backend(name, (input, target) if weight is None else (input, target, weight))
    _check_reduction(name, reduction)
    if input.data.shape != target.data.shape:
        warnings.warn(
            f"{name}: target of shape {target.data.shape} is broadcast against input of shape {input.data.shape}, "
            "which is seldom meant; reshape one of them",
            stacklevel=3,
        )
    if weight is not None and weight.data.shape != input.data.shape:
        raise ValueError(f"{name}: expected a weight of the input's shape {input.shape}, got {weight.shape}")
    out = input - target
    check_float(name, out)
    return out


def _weighted(losses: Any, weight: Any, reduction: str) -> Any:
    """Each element's loss times its weight, reduced; the mean divides by the sum of the weights."""
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else _reduced(losses, reduction)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)^2, elementwise, then reduced: the mean squared error. With `weight`, the mean is a weighted one.

    UserWarning, as from torch, if the shapes differ and are broadcast. ValueError for a weight of another shape.
    """
    losses = square(_difference("mse_loss", input, target, weight, reduction))
    return _reduced(losses, reduction) if weight is None else _weighted(losses, weight, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|input - target|, elementwise, then reduced; the gradient is 0 where they are equal. Else as `mse_loss`."""
    losses = abs(_difference("l1_loss", input, target, weight, reduction))
    return _reduced(losses, reduction) if weight is None else _weighted(losses, weight, reduction)


@op
def _huber(x, *, delta):
    b = x.backend
    size = b.maximum(x.data, b.mul(x.data, -1.0))
    line = b.mul(b.sub(size, 0.5 * delta), delta)
    return b.where(b.less(size, delta), b.mul(b.mul(size, size), 0.5), line)


_huber.vjp = lambda g, x, delta: g * _hardtanh(x, low=-delta, high=delta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, *, weight: Tensor | None = None
) -> Tensor:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), d being input - target: outliers count less.

    `weight` multiplies the losses, and the mean stays the plain one, as in torch. Else as `mse_loss`. ValueError unless
    delta > 0. Source: P. Huber, "Robust estimation of a location parameter", 1964.
    """
    if not delta > 0.0:
        raise ValueError(f"huber_loss: expected delta > 0, got {delta}")
    losses = _huber(_difference("huber_loss", input, target, weight, reduction), delta=delta)
    return _reduced(losses if weight is None else losses * weight, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """huber_loss with delta = beta, divided by beta: slope 1 far out. l1_loss for beta = 0. ValueError if beta < 0."""
    if not beta >= 0.0:
        raise ValueError(f"smooth_l1_loss: expected beta >= 0, got {beta}")
    d = _difference("smooth_l1_loss", input, target, None, reduction)
    return _reduced(_huber(d, delta=beta) / beta if beta else abs(d), reduction)


# Two classes.


def _refuse_gradient(name: str, **weights: Any) -> None:
    for key, weight in weights.items():
        if weight.tracked:
            raise ValueError(f"{name}: there is no gradient with respect to {key}; use {key}.detach()")


def _check_pair(name: str, input: Any, target: Any, **weights: Any) -> None:
    """Float Tensors of one shape, and weights, which may be None, without a gradient."""
    given = {key: w for key, w in weights.items() if w is not None}
    check_same_backend(name, (input, target, *given.values()))
    check_float(name, input)
    check_float(name, target)
    if input.data.shape != target.data.shape:
        raise ValueError(f"{name}: expected a target of the input's shape {input.shape}, got {target.shape}")
    _refuse_gradient(name, **given)


def _check_probabilities(name: str, **arguments: Any) -> None:
    for key, x in arguments.items():
        if 0 in x.data.shape:
            continue
        b, dims = x.backend, tuple(range(x.ndim))
        low = -float(b.to_numpy(b.max(b.mul(x.data, -1.0), dims, False)))
        high = float(b.to_numpy(b.max(x.data, dims, False)))
        if not (low >= 0.0 and high <= 1.0):  # so written, a NaN is refused too
            raise ValueError(f"{name}: expected every {key} between 0 and 1, got {low} to {high}")


@op
def _bce(p, t):
    b = p.backend
    if_true = b.mul(t.data, b.maximum(b.log(p.data), -100.0))
    if_false = b.mul(b.sub(t.data, 1.0), b.maximum(b.log1p(b.mul(p.data, -1.0)), -100.0))
    return b.sub(if_false, if_true)


_bce.vjp = (
    lambda g, p, t: g * (p - t) / maximum(p * (1.0 - p), 1e-12),
    lambda g, p: g * (log1p(-p) - log(p)),
)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)), elementwise, then reduced; p = input and t = target lie in 0..1.

    The logarithms are cut off at -100, and the denominator p (1 - p) of input's gradient at 1e-12, as in torch: so
    both stay finite at 0 and 1. `weight` is broadcast. ValueError for shapes that differ and for no probabilities. From
    logits use binary_cross_entropy_with_logits, which loses no digits.
    """
    _check_reduction("binary_cross_entropy", reduction)
    _check_pair("binary_cross_entropy", input, target, weight=weight)
    if input.dtype != target.dtype:
        raise TypeError(f"binary_cross_entropy: expected Tensors of one dtype, got {input.dtype} and {target.dtype}")
    _check_probabilities("binary_cross_entropy", input=input, target=target)
    losses = _bce(input, target)
    return _reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(w t log s(x) + (1 - t) log(1 - s(x))), elementwise, then reduced: x = input are logits, s is the sigmoid.

    `weight` multiplies all losses, `pos_weight` (w) those of t = 1 alone; both are broadcast. ValueError if the shapes
    of input and target differ. By log(1 - s(x)) = log s(x) - x there is one logarithm, and no overflow.
    """
    name = "binary_cross_entropy_with_logits"
    _check_reduction(name, reduction)
    _check_pair(name, input, target, weight=weight, pos_weight=pos_weight)
    log_s = logsigmoid(input)
    if pos_weight is not None:
        log_s = log_s * ((pos_weight - 1.0) * target + 1.0)
    losses = (1.0 - target) * input - log_s
    return _reduced(losses if weight is None else losses * weight, reduction)


# Distributions.


@op
def _entropy_term(t):
    """t log t, which is 0 at 0."""
    b = t.backend
    return b.where(b.equal(t.data, 0.0), 0.0, b.mul(t.data, b.log(t.data)))


_entropy_term.vjp = lambda g, t: g * (log(t) + 1.0)


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - input), elementwise, then reduced: sum(t log(t / q)), with log q = input.

    `input` are logarithms of probabilities; `target` probabilities t, or with `log_target` logarithms too. Shapes
    broadcast. The divergence is what reduction 'batchmean' gives, the sum divided by the first size; 'mean' divides by
    the number of elements (torch warns of that).
    """
    _check_reduction("kl_div", reduction, ("batchmean", *REDUCTIONS))
    check_float("kl_div", input)
    check_float("kl_div", target)
    losses = exp(target) * (target - input) if log_target else _entropy_term(target) - target * input
    if reduction == "batchmean":
        return losses.sum() / input.shape[0] if input.ndim else losses.sum()
    return _reduced(losses, reduction)


# Several classes.


def _classes(input: Any) -> int:
    return input.data.shape[1 if len(input.data.shape) > 1 else 0]


def _check_weight(name: str, input: Any, weight: Any) -> None:
    classes = _classes(input)
    if weight is not None and (weight.data.shape != (classes,) or weight.data.dtype != input.data.dtype):
        raise ValueError(
            f"{name}: expected a weight of shape ({classes},), one for each class, and dtype {input.dtype}, "
            f"got {weight.shape} and {weight.dtype}"
        )


def _check_classes(name: str, input: Any, target: Any, weight: Any) -> None:
    """Shapes (N, C) and (N,), (C,) and (), or (N, C, d...) and (N, d...), and a weight (C,)."""
    check_same_backend(name, (input, target) if weight is None else (input, target, weight))
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
    _check_weight(name, input, weight)
    if weight is not None:
        _refuse_gradient(name, weight=weight)


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


def _nll(log_p: Any, target: Any, weight: Any, ignore_index: int, smoothing: float) -> tuple[Any, Any]:
    """The losses of the rows, and how much each counts in their mean: (rows, C), (rows,) -> two times (rows,)."""
    kept = target != ignore_index
    at = where(kept, cast(target, dtype=np.int64), 0)
    counts = cast(kept, dtype=log_p.dtype) if weight is None else where(kept, weight[at], 0.0)
    losses = where(kept, -gather(log_p, 1, at.unsqueeze(1)).squeeze(1), 0.0) * counts
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
    _check_reduction("nll_loss", reduction)
    _check_classes("nll_loss", input, target, weight)
    _check_range("nll_loss", target, _classes(input), ignore_index)
    losses, counts = _nll(_rows(input), reshape(target, target.numel()), weight, ignore_index, 0.0)
    return _mean_by(losses, counts, target.shape, reduction)


def _check_plain(logits: Any, target: Any, *, reduction: str) -> None:
    _check_reduction("cross_entropy", reduction)


@fused(_check_plain)
def _cross_entropy(logits, target, *, reduction):
    """The plain case, every row counting alike: (N, C), (N,) -> () or (N,)."""
    return _reduced(-gather(log_softmax(logits, 1), 1, reshape(target, -1, 1)).reshape(-1), reduction)


def _from_probabilities(input: Any, target: Any, weight: Any, smoothing: float, reduction: str) -> Any:
    """-sum(target log softmax(input)) over the classes; the mean is over the rows, whatever the weights."""
    _check_reduction("cross_entropy", reduction)
    _check_weight("cross_entropy", input, weight)
    input, target = align("cross_entropy", (input, target), "f")
    rows, p = _rows(input), _rows(target)
    if smoothing:
        p = p * (1.0 - smoothing) + smoothing / rows.shape[1]
    terms = log_softmax(rows, 1) * p
    losses = -(terms if weight is None else terms * weight).sum(1)
    shape = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    return reshape(losses, shape) if reduction == "none" else _reduced(losses, reduction)


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
    _check_reduction("cross_entropy", reduction)
    losses, counts = _nll(log_softmax(rows, 1), at, weight, ignore_index, label_smoothing)
    return _mean_by(losses, counts, target.shape, reduction)
