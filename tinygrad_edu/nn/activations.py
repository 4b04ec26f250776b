"""Activations: functions of one number, applied to each element; and dropout. Names, defaults and kinks are torch's.

Each is one op in primitives, f, with its slope f' beside it as another: `g * slope(x)` is then the gradient, and the
rule of the slope, in Tensor ops, gives f'' and all that follow. In the formulas s is the sigmoid, 1 / (1 + exp(-x)).
All take a float Tensor of any shape, give one of the same shape, and raise TypeError for other dtypes.

Sources: A. Maas et al. 2013 (leaky_relu); D.-A. Clevert et al. 2016 (elu); G. Klambauer et al. 2017 (selu); J. Barron
2017 (celu); C. Dugas et al. 2001 (softplus); D. Hendrycks and K. Gimpel 2016 (gelu, silu); D. Misra 2019 (mish);
A. Howard et al. 2019 (hardswish); Y. Dauphin et al. 2017 (glu).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, abs, cast, chunk, erf, sigmoid, tanh, where
from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.ops.agree import check_float, floating
from tinygrad_edu.ops.op import check_tensor, fused, op
from tinygrad_edu.ops.shape import canonical_dim
from tinygrad_edu.random import rand

# Of selu: with these, mean 0 and variance 1 are a fixed point of the map from one layer's statistics to the next's.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def number(name: str, setting: str, value: Any) -> float:
    """A setting as a float. TypeError names it, if it is no number."""
    if type(value) is float:
        return value
    if not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name}: expected {setting} to be a number, got {type(value).__name__}")
    return float(value)


def _up_to(b: Backend, x: Array, limit: float) -> Array:
    """x <= limit. As in torch a NaN is not, and so the slope that it gets is the one above the limit."""
    return b.equal(b.maximum(x, limit), limit)


def _check_nothing(input: Tensor, **settings: float) -> None:
    """For a fused op within a function that has checked its arguments already."""


# Straight pieces.


@op
def _leaky_relu_by_primitives(a, x, *, negative_slope):
    """a where x > 0, else negative_slope * a. With a = x it is the activation, with a = g its gradient."""
    b = x.backend
    return b.where(b.less(0.0, x.data), a.data, b.mul(a.data, negative_slope))


_leaky_relu_by_primitives.vjp = (
    lambda g, x, negative_slope: _leaky_relu_by_primitives(g, x, negative_slope=negative_slope),
    None,
)


@fused(_check_nothing)
def _leaky_relu(input, *, negative_slope):
    return _leaky_relu_by_primitives(input, input, negative_slope=negative_slope)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope * x. The slope at 0 is negative_slope."""
    check_float("leaky_relu", input)
    return _leaky_relu(input, negative_slope=number("leaky_relu", "negative_slope", negative_slope))


@op
def _hardtanh(x, *, low, high):
    b = x.backend
    return b.maximum(b.where(b.less(high, x.data), high, x.data), low)  # `where` is a minimum that lets a NaN pass


@op
def _within(a, limited, *, low, high):
    """a, and 0 where hardtanh's result is at a limit."""
    b = a.backend
    return b.where(b.maximum(b.equal(limited.data, low), b.equal(limited.data, high)), 0.0, a.data)


_hardtanh.vjp = lambda g, out, low, high: _within(g, out, low=low, high=high)
_within.vjp = (lambda g, limited, low, high: _within(g, limited, low=low, high=high), None)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to min_val..max_val. The slope at the limits is 0. ValueError if they are the wrong way round."""
    low, high = number("hardtanh", "min_val", min_val), number("hardtanh", "max_val", max_val)
    if low > high:
        raise ValueError(f"hardtanh: expected min_val <= max_val, got {min_val} and {max_val}")
    return _limited("hardtanh", input, low, high)


def _limited(name: str, input: Any, low: float, high: float) -> Any:
    """Between two limits; integers between whole ones, as in torch."""
    check_tensor(name, input)
    if input.data.dtype.kind in "iu":
        low, high = int(low), int(high)
        if low < 0 and input.data.dtype.kind == "u":
            raise ValueError(f"{name}: {input.data.dtype} has no numbers below 0, got the limit {low}")
    else:
        check_float(name, input)
    return _hardtanh(input, low=low, high=high)


def relu6(input: Tensor) -> Tensor:
    """x limited to 0..6."""
    return _limited("relu6", input, 0.0, 6.0)


def hardsigmoid(input: Tensor) -> Tensor:
    """(x + 3) / 6 limited to 0..1, a sigmoid of straight pieces."""
    check_float("hardsigmoid", input)
    return _hardtanh(input + 3.0, low=0.0, high=6.0) / 6.0


@floating
def _hardswish_by_primitives(b, x):
    raised = b.maximum(b.add(x, 3.0), 0.0)
    return b.div(b.mul(x, b.where(b.less(6.0, raised), 6.0, raised)), 6.0)


@floating
def _hardswish_slope(b, x):
    upper = b.where(b.less(x, 3.0), b.add(b.div(x, 3.0), 0.5), 1.0)
    return b.where(_up_to(b, x, -3.0), 0.0, upper)


_hardswish_by_primitives.vjp = lambda g, x: g * _hardswish_slope(x)
_hardswish_slope.vjp = lambda g, x: where(abs(x) < 3.0, g / 3.0, 0.0)


@fused(partial(check_float, "hardswish"))
def hardswish(input):
    """x * hardsigmoid(x)."""
    return _hardswish_by_primitives(input)


# Exponential below 0.


def _times(b: Backend, x: Array, factor: float) -> Array:
    """x * factor, which costs nothing where the factor is 1."""
    return x if factor == 1.0 else b.mul(x, factor)


@op
def _elu_by_primitives(x, *, alpha, scale, rate):
    b = x.backend
    below = _times(b, b.expm1(_times(b, x.data, rate)), alpha * scale)
    return b.where(b.less(x.data, 0.0), below, _times(b, x.data, scale))


@op
def _elu_slope(x, *, alpha, scale, rate):
    b = x.backend
    below = _times(b, b.exp(_times(b, x.data, rate)), alpha * scale * rate)
    return b.where(_up_to(b, x.data, 0.0), below, scale)


_elu_by_primitives.vjp = lambda g, x, alpha, scale, rate: g * _elu_slope(x, alpha=alpha, scale=scale, rate=rate)
_elu_slope.vjp = lambda g, x, out, rate: where(x < 0.0, g * out * rate, 0.0)


@fused(_check_nothing)
def _elu(input, *, alpha, scale, rate):
    return _elu_by_primitives(input, alpha=alpha, scale=scale, rate=rate)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1). The slope at 0 is alpha."""
    check_float("elu", input)
    return _elu(input, alpha=number("elu", "alpha", alpha), scale=1.0, rate=1.0)


def selu(input: Tensor) -> Tensor:
    """elu times a scale; both constants are such that layer upon layer stays near mean 0 and variance 1."""
    check_float("selu", input)
    return _elu(input, alpha=_SELU_ALPHA, scale=_SELU_SCALE, rate=1.0)


def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1), smooth whatever alpha is. ValueError if that is 0."""
    check_float("celu", input)
    alpha = number("celu", "alpha", alpha)
    if alpha == 0.0:
        raise ValueError("celu: expected alpha other than 0, since x is divided by it, got 0")
    return _elu(input, alpha=alpha, scale=1.0, rate=1.0 / alpha)


# Smooth.


def _sigmoid(b: Backend, x: Array) -> Array:
    return b.div(1.0, b.add(b.exp(b.mul(x, -1.0)), 1.0))


@fused(partial(check_float, "silu"))
def silu(input):
    """x s(x), also called swish."""
    return input * sigmoid(input)


@fused(partial(check_float, "mish"))
def mish(input):
    """x tanh(softplus(x))."""
    return input * tanh(softplus(input))


@op
def _softplus_by_primitives(x, *, beta, threshold):
    b, steep = x.backend, _times(x.backend, x.data, beta)
    return b.where(b.less(threshold, steep), x.data, _times(b, b.log1p(b.exp(steep)), 1.0 / beta))


@op
def _softplus_slope(x, *, beta, threshold):
    b, steep = x.backend, _times(x.backend, x.data, beta)
    return b.where(b.less(threshold, steep), 1.0, _sigmoid(b, steep))


_softplus_by_primitives.vjp = lambda g, x, beta, threshold: g * _softplus_slope(x, beta=beta, threshold=threshold)
_softplus_slope.vjp = lambda g, x, out, beta, threshold: where(x * beta >= threshold, 0.0, g * out * (1.0 - out) * beta)


@fused(_check_nothing)
def _softplus(input, *, beta, threshold):
    return _softplus_by_primitives(input, beta=beta, threshold=threshold)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, a smooth relu; x itself where beta x > threshold, where exp might overflow."""
    check_float("softplus", input)
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    return _softplus(input, beta=beta, threshold=threshold)


@floating
def log_sigmoid(b, x):
    """-(max(-x, 0) + log(1 + exp(-|x|))), which does not overflow."""
    minus = b.mul(x, -1.0)
    size = b.maximum(x, minus)
    return b.mul(b.add(b.maximum(minus, 0.0), b.log1p(b.exp(b.mul(size, -1.0)))), -1.0)


log_sigmoid.vjp = lambda g, x: g * sigmoid(-x)


@fused(partial(check_float, "logsigmoid"))
def logsigmoid(input):
    """log s(x), without overflow."""
    return log_sigmoid(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|). Integers become floats, as in torch."""
    return input / (abs(input) + 1.0)


def _check_gelu(input: Any, approximate: str = "none") -> None:
    check_float("gelu", input)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")


@fused(_check_gelu)
def gelu(input, *, approximate="none"):
    """x times the normal distribution's P(X <= x), by `erf`; with approximate="tanh" by the formula of the paper."""
    if approximate == "none":
        return input * 0.5 * (erf(input * math.sqrt(0.5)) + 1.0)
    return input * 0.5 * (tanh((input + input * input * input * 0.044715) * math.sqrt(2.0 / math.pi)) + 1.0)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a s(b), a and b being the halves along `dim`: (..., 2 n, ...) -> (..., n, ...). ValueError for an odd size."""
    check_float("glu", input)
    dim = canonical_dim("glu", dim, input.ndim)
    size = input.shape[dim]
    if size % 2:
        raise ValueError(f"glu: expected an even size to halve, got {size} along dimension {dim} of {input.shape}")
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """x with each element zeroed with probability p, the rest divided by 1 - p; x itself if not `training`.

    ValueError unless 0 <= p <= 1. Source: N. Srivastava et al., "Dropout", JMLR 15, 2014.
    """
    p = number("dropout", "p", p)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: expected a probability between 0 and 1, got p={p}")
    if not training or p == 0.0:
        return x
    mask = cast(rand(x.shape, dtype=x.dtype, backend=x.backend) >= p, dtype=x.dtype)
    return x * (mask * (1.0 / (1.0 - p) if p < 1.0 else 0.0))
