"""Functions of one number, element by element: exponentials, trigonometry, rounding and their kin.

Each is a line: its name, what it gives, how a backend `b` computes it, and its gradient rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.ops.agree import ALL, DEFAULT_FLOAT, FLOATS, NUMBERS, cast, check_float, tabled
from tinygrad_edu.ops.op import check_tensor, fused

LN2, LN10 = math.log(2.0), math.log(10.0)


def unary(name: str, doc: str, compute: Any, vjp: Any, kinds: str = FLOATS) -> Any:
    """An op on one Tensor, made a float first if `kinds` are floats."""
    return tabled(name, doc, compute, vjp, kinds)


def _no_bool(b: Backend, x: Array) -> Array:
    return b.cast(x, np.dtype(np.int64)) if x.dtype.kind == "b" else x


def _other_leg(b: Backend, x: Array) -> Array:
    """sqrt(1 - x²), accurate near 1."""
    return b.sqrt(b.mul(b.sub(1.0, x), b.add(1.0, x)))


def _sinh(b: Backend, x: Array) -> Array:
    """2 s sqrt(1 + s²), s = sinh(x/2) = (expm1(x/2) - expm1(-x/2)) / 2: right near 0, and where exp(x) overflows."""
    s = b.mul(b.sub(b.expm1(b.mul(x, 0.5)), b.expm1(b.mul(x, -0.5))), 0.5)
    return b.mul(b.mul(s, 2.0), b.sqrt(b.add(b.mul(s, s), 1.0)))


def _cosh(b: Backend, x: Array) -> Array:
    """(h² + 1/h²) / 2, h = exp(x/2): right also where exp(x) overflows."""
    h = b.exp(b.mul(x, 0.5))
    return b.add(b.mul(b.mul(h, 0.5), h), b.div(b.div(0.5, h), h))


# fmt: off
exp = unary("exp", "e ** x.", lambda b, x: b.exp(x), lambda g, out: g * out)
exp2 = unary("exp2", "2 ** x.", lambda b, x: b.pow(2.0, x), lambda g, out: g * out * LN2)
expm1 = unary("expm1", "exp(x) - 1, accurate near 0.", lambda b, x: b.expm1(x), lambda g, out: g * (out + 1.0))
log = unary("log", "The natural logarithm: -inf at 0, NaN below.", lambda b, x: b.log(x), lambda g, x: g / x)
log1p = unary("log1p", "log(1 + x), accurate near 0.", lambda b, x: b.log1p(x), lambda g, x: g / (x + 1.0))
log2 = unary("log2", "The logarithm to base 2.",
             lambda b, x: b.div(b.log(x), LN2), lambda g, x: g / (x * LN2))
log10 = unary("log10", "The logarithm to base 10.",
              lambda b, x: b.div(b.log(x), LN10), lambda g, x: g / (x * LN10))
sqrt = unary("sqrt", "The square root: NaN below 0.", lambda b, x: b.sqrt(x), lambda g, out: g / (out * 2.0))
rsqrt = unary("rsqrt", "1 / sqrt(x).",
              lambda b, x: b.div(1.0, b.sqrt(x)), lambda g, out: g * -0.5 * (out * out * out))
reciprocal = unary("reciprocal", "1 / x.", lambda b, x: b.div(1.0, x), lambda g, out: -g * (out * out))
square = unary("square", "x * x, elementwise; int64 for bools.", lambda b, x: b.mul(y := _no_bool(b, x), y),
               lambda g, x: g * (x * 2.0), ALL)
abs = unary("abs", "|x|, elementwise; the gradient at 0 is 0. TypeError for bool, as in torch.",
            lambda b, x: b.maximum(x, 0 if x.dtype.kind == "u" else b.mul(x, -1)), lambda g, x: g * sign(x), NUMBERS)
sign: Any = unary("sign", "1, 0 or -1, as x is above, at or below 0 (0 for NaN).",
             lambda b, x: b.sub(b.cast(b.less(0, x), x.dtype), b.cast(b.less(x, 0), x.dtype)) if x.dtype.kind != "b"
             else x, lambda g: g.new_zeros(g.shape), ALL)
sin = unary("sin", "The sine of x in radians.", lambda b, x: b.sin(x), lambda g, x: g * cos(x))
cos: Any = unary("cos", "The cosine of x in radians.", lambda b, x: b.cos(x), lambda g, x: g * -sin(x))
tan = unary("tan", "The tangent of x in radians.",
            lambda b, x: b.div(b.sin(x), b.cos(x)), lambda g, out: g * (out * out + 1.0))
asin = unary("asin", "The angle in radians, -pi/2 to pi/2, whose sine is x: NaN outside -1 to 1.",
             lambda b, x: b.atan2(x, _other_leg(b, x)), lambda g, x: g * rsqrt(1.0 - x * x))
acos = unary("acos", "The angle in radians, 0 to pi, whose cosine is x: NaN outside -1 to 1.",
             lambda b, x: b.atan2(_other_leg(b, x), x), lambda g, x: -g * rsqrt(1.0 - x * x))
atan = unary("atan", "The angle in radians, -pi/2 to pi/2, whose tangent is x.",
             lambda b, x: b.atan2(x, 1.0), lambda g, x: g / (x * x + 1.0))
sinh: Any = unary("sinh", "The hyperbolic sine.", _sinh, lambda g, x: g * cosh(x))
cosh: Any = unary("cosh", "The hyperbolic cosine.", _cosh, lambda g, x: g * sinh(x))
tanh = unary("tanh", "The hyperbolic tangent.", lambda b, x: b.tanh(x), lambda g, out: g - g * out * out)
_sigmoid_by_primitives = unary("sigmoid_by_primitives", "1 / (1 + exp(-x)).",
                lambda b, x: b.div(1.0, b.add(b.exp(b.mul(x, -1.0)), 1.0)), lambda g, out: g * (out - out * out))
erf = unary("erf", "2/sqrt(pi) times the integral of exp(-t ** 2) from 0 to x.",
            lambda b, x: b.erf(x), lambda g, x: g * exp(x * -x) * (2.0 / math.sqrt(math.pi)))
# fmt: on


@fused(partial(check_float, "sigmoid"))
def _sigmoid(input):
    return _sigmoid_by_primitives(input)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise. Integers become floats first."""
    check_tensor("sigmoid", x)
    return _sigmoid(x if x.data.dtype.kind == "f" else cast(x, dtype=DEFAULT_FLOAT))


# Steps: the gradient is 0 everywhere, as in torch.


def _step(name: str, doc: str, compute: Callable[[Backend, Array], Array]) -> Any:
    """An op that rounds: integers are left as they are."""
    rounded = lambda b, x: compute(b, x) if x.dtype.kind == "f" else b.cast(x, x.dtype)
    return unary(name, doc, rounded, lambda g: g.new_zeros(g.shape), NUMBERS)


def _ceil(b: Backend, x: Array) -> Array:
    return b.mul(b.floor(b.mul(x, -1.0)), -1.0)


def _round(b: Backend, x: Array) -> Array:
    """To the nearest; where there are two, the even one."""
    low = b.floor(x)
    part, odd = b.sub(x, low), b.sub(low, b.mul(b.floor(b.mul(low, 0.5)), 2.0))
    up = b.maximum(b.less(0.5, part), b.mul(b.equal(part, 0.5), b.equal(odd, 1.0)))
    return b.where(b.equal(part, part), b.add(low, b.cast(up, x.dtype)), x)  # an infinity has no part


floor = _step("floor", "The largest integer that is not above x, elementwise.", lambda b, x: b.floor(x))
ceil = _step("ceil", "The smallest integer that is not below x, elementwise.", _ceil)
trunc = _step("trunc", "x without its fraction.", lambda b, x: b.where(b.less(x, 0.0), _ceil(b, x), b.floor(x)))
rounded = _step("round", "The nearest integer, the even one of two.", _round)


def _gated(b: Backend, g: Array, out: Array) -> Array:
    """By the backend's own kernel, if it has one: no mask is written then. It is part of every training step."""
    kernel = getattr(b, "relu_gradient", None)
    return kernel(g, out) if kernel and g.dtype.kind == "f" else b.where(b.equal(out, 0.0), 0.0, g)


# fmt: off
relu = unary("relu", "max(x, 0), elementwise; the gradient at 0 is 0, as in torch. TypeError for bool.",
             lambda b, x: b.maximum(x, 0), lambda g, out: _gate(g, out), NUMBERS)
_gate: Any = tabled("relu_gradient", "g, or 0 where out is 0: a NaN lets the gradient through, as in torch.",
             _gated, (lambda h, out: _gate(h, out), None))
