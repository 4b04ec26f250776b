"""Losses: how far what a model gives (`input`) is from what it should give (`target`), under torch's names.

`reduction` says what becomes of the losses of the single elements: 'mean' (their average), 'sum', or 'none' (all of
them). Logarithms are natural, so that entropies are in nats. Where `target` is a float, it may want a gradient as well.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_edu import (
    Tensor,
    abs,
    clamp_min,
    exp,
    log,
    log1p,
    sigmoid,
    where,
)
from tinygrad_edu.nn.activations import _hardtanh, log_sigmoid, logsigmoid, number
from tinygrad_edu.ops.agree import align, check_float, floating, numeric
from tinygrad_edu.ops.op import check_same_backend, fused, op

_TINY = float(np.float32(1e-12))  # torch's 1e-12, which is a float32
REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """ValueError unless `reduction` is one of those known."""
    if reduction not in known:
        listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise ValueError(f"{name}: expected reduction {listed}, got {reduction!r}")


def reduced(losses: Any, reduction: str) -> Any:
    """The losses of the elements, reduced."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _alike(input: Any, target: Any) -> bool:
    """Whether there is nothing to broadcast and nothing to convert: for these a backend may have a kernel."""
    a, b = input.data, target.data
    return a.shape == b.shape and a.dtype == b.dtype and a.dtype.kind == "f"


def _checked(input: Any, target: Any, **settings: Any) -> None:
    """The functions below call their fused ops with arguments that are `_alike`."""


# Distances between numbers.


def _check_distance(name: str, input: Any, target: Any, weight: Any, reduction: str) -> None:
    """The checks that the four losses below have in common."""
    check_same_backend(name, (input, target) if weight is None else (input, target, weight))
    check_reduction(name, reduction)
    if input.data.shape != target.data.shape:
        warnings.warn(
            f"{name}: target of shape {target.data.shape} is broadcast against input of shape {input.data.shape}, "
            "which is seldom meant; reshape one of them",
            stacklevel=3,
        )
    if input.data.dtype.kind != "f":  # a target may have integers
        check_float(name, target)
    if weight is not None and weight.data.shape != input.data.shape:
        raise ValueError(f"{name}: expected a weight of the input's shape {input.shape}, got {weight.shape}")


def _weighted(losses: Any, weight: Any, reduction: str) -> Any:
    """Each element's loss times its weight, reduced; the mean divides by the sum of the weights."""
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else reduced(losses, reduction)


@numeric
def _squared(lib, a, b):
    d = lib.sub(a, b)
    return lib.mul(d, d)


_squared.vjp = (lambda g, a, b: g * ((a - b) * 2.0), lambda g, a, b: g * ((b - a) * 2.0))


@fused(_checked)
def _mse_loss(input, target, *, reduction):
    return reduced(_squared(input, target), reduction)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)^2, elementwise, then reduced: the mean squared error. With `weight`, the mean is a weighted one.

    UserWarning, as from torch, if the shapes differ and are broadcast. ValueError for a weight of another shape.
    """
    _check_distance("mse_loss", input, target, weight, reduction)
    if weight is None and _alike(input, target):
        return _mse_loss(input, target, reduction=reduction)
    losses = _squared(input, target)
    return reduced(losses, reduction) if weight is None else _weighted(losses, weight, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|input - target|, elementwise, then reduced; the gradient is 0 where they are equal. Else as `mse_loss`."""
    _check_distance("l1_loss", input, target, weight, reduction)
    losses = abs(input - target)
    return reduced(losses, reduction) if weight is None else _weighted(losses, weight, reduction)


@op
def _huber(x, *, delta):
    b = x.backend
    size = b.maximum(x.data, b.mul(x.data, -1.0))
    line = b.mul(b.sub(size, 0.5 * delta), delta)
    return b.where(b.less(size, delta), b.mul(b.mul(size, size), 0.5), line)


@op
def _huber_slope(x, *, delta):
    return _hardtanh.op.forward(x, low=-delta, high=delta)


_huber.vjp = lambda g, x, delta: g * _huber_slope(x, delta=delta)
_huber_slope.vjp = lambda g, x, delta: where(abs(x) < delta, g, 0.0)


@fused(_checked)
def _huber_loss(input, target, *, delta, factor, reduction):
    losses = _huber(input - target, delta=delta)
    return reduced(losses if factor == 1.0 else losses * factor, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, *, weight: Tensor | None = None
) -> Tensor:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), d being input - target: outliers count less.

    `weight` multiplies the losses, and the mean stays the plain one, as in torch. Else as `mse_loss`. ValueError unless
    delta > 0. Source: P. Huber, "Robust estimation of a location parameter", 1964.
    """
    delta = number("huber_loss", "delta", delta)
    if not delta > 0.0:
        raise ValueError(f"huber_loss: expected delta > 0, got {delta}")
    _check_distance("huber_loss", input, target, weight, reduction)
    if weight is None and _alike(input, target):
        return _huber_loss(input, target, delta=delta, factor=1.0, reduction=reduction)
    losses = _huber(input - target, delta=delta)
    return reduced(losses if weight is None else losses * weight, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """huber_loss with delta = beta, divided by beta: slope 1 far out. l1_loss for beta = 0. ValueError if beta < 0."""
    beta = number("smooth_l1_loss", "beta", beta)
    if not beta >= 0.0:
        raise ValueError(f"smooth_l1_loss: expected beta >= 0, got {beta}")
    _check_distance("smooth_l1_loss", input, target, None, reduction)
    if beta and _alike(input, target):
        return _huber_loss(input, target, delta=beta, factor=1.0 / beta, reduction=reduction)
    d = input - target
    return reduced(_huber(d, delta=beta) / beta if beta else abs(d), reduction)


# Two classes.


def refuse_gradient(name: str, **weights: Any) -> None:
    """ValueError if a gradient is wanted for one of the weights, since torch has none either."""
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
    refuse_gradient(name, **given)


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
    lambda g, p, t: g * (p - t) / clamp_min(p * (1.0 - p), _TINY),
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
    check_reduction("binary_cross_entropy", reduction)
    _check_pair("binary_cross_entropy", input, target, weight=weight)
    if input.dtype != target.dtype:
        raise TypeError(f"binary_cross_entropy: expected Tensors of one dtype, got {input.dtype} and {target.dtype}")
    _check_probabilities("binary_cross_entropy", input=input, target=target)
    losses = _bce(input, target)
    return reduced(losses if weight is None else losses * weight, reduction)


@op
def _bce_with_logits(x, t):
    b = x.backend
    return b.sub(b.mul(b.sub(1.0, t.data), x.data), log_sigmoid.op.forward(b, x.data))


_bce_with_logits.vjp = (lambda g, x, t: g * (sigmoid(x) - t), lambda g, x: -g * x)


@fused(_checked)
def _binary_cross_entropy_with_logits(input, target, *, reduction):
    return reduced(_bce_with_logits(input, target), reduction)


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
    check_reduction(name, reduction)
    _check_pair(name, input, target, weight=weight, pos_weight=pos_weight)
    if weight is pos_weight is None and input.dtype == target.dtype:
        return _binary_cross_entropy_with_logits(input, target, reduction=reduction)
    if pos_weight is None:
        losses = _bce_with_logits(*align(name, (input, target), "f"))
    else:
        losses = (1.0 - target) * input - logsigmoid(input) * ((pos_weight - 1.0) * target + 1.0)
    return reduced(losses if weight is None else losses * weight, reduction)


# Distributions.


@floating
def _entropy_term(b, t):
    """t log t, which is 0 at 0."""
    return b.where(b.equal(t, 0.0), 0.0, b.mul(t, b.log(t)))


_entropy_term.vjp = lambda g, t: g * (log(t) + 1.0)


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - input), elementwise, then reduced: sum(t log(t / q)), with log q = input.

    `input` are logarithms of probabilities; `target` probabilities t, or with `log_target` logarithms too. Shapes
    broadcast. The divergence is what reduction 'batchmean' gives, the sum divided by the first size; 'mean' divides by
    the number of elements (torch warns of that).
    """
    check_reduction("kl_div", reduction, ("batchmean", *REDUCTIONS))
    check_float("kl_div", input)
    check_float("kl_div", target)
    losses = exp(target) * (target - input) if log_target else _entropy_term(target) - target * input
    if reduction == "batchmean":
        return losses.sum() / input.shape[0] if input.ndim else losses.sum()
    return reduced(losses, reduction)
