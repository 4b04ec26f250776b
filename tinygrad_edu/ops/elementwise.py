"""Arithmetic, comparison and choice, element by element, each op with its gradient rule below it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array
from tinygrad_edu.ops.agree import (
    ALL,
    align,
    broadcast_shapes,
    cast,
    check_float,
    check_same_dtype,
    comparison,
    constant,
    elementwise,
    floating,
    numeric,
    refuse_bool,
)
from tinygrad_edu.ops.op import op

# Arithmetic.


@elementwise
def add(a, b) -> Array:
    """a + b, elementwise."""
    return a.backend.add(a.data, b.data)


@numeric
def sub(a, b) -> Array:
    """a - b, elementwise. TypeError for bool, as in torch."""
    return a.backend.sub(a.data, b.data)


@elementwise
def mul(a, b) -> Array:
    """a * b, elementwise."""
    return a.backend.mul(a.data, b.data)


@floating
def div(a, b) -> Array:
    """a / b, elementwise, a float also for integers."""
    return a.backend.div(a.data, b.data)


@numeric
def neg(a) -> Array:
    """-a, elementwise; for uint8 that is 256 - a. TypeError for bool, as in torch."""
    if a.data.dtype.kind != "f":
        return a.backend.sub(0, a.data)  # -1 is no uint8; but 0.0 - 0.0 is not -0.0
    return a.backend.mul(a.data, constant(-1.0, a.data.dtype, a.backend).data)


@numeric
def remainder(a, b) -> Array:
    """a - b floor(a / b), elementwise, exactly: it has b's sign. ZeroDivisionError for integers by 0, as in torch."""
    if a.data.dtype.kind != "f" and (found := a.backend.nonzero(a.backend.equal(b.data, 0)))[:1] and found[0].shape[0]:
        raise ZeroDivisionError("remainder: integers by 0 have none")
    return a.backend.remainder(a.data, b.data)


@floating
def atan2(a, b) -> Array:
    """The angle of the point (b, a) in radians, from -pi to pi, elementwise."""
    return a.backend.atan2(a.data, b.data)


@floating
def logaddexp(a, b) -> Array:
    """log(exp(a) + exp(b)), elementwise, without overflow."""
    lib, a, b = a.backend, a.data, b.data
    gap = lib.sub(a, b)
    larger = lib.add(lib.maximum(a, b), lib.log1p(lib.exp(lib.mul(lib.maximum(gap, lib.mul(gap, -1.0)), -1.0))))
    return lib.where(lib.equal(a, b), lib.add(a, math.log(2.0)), larger)  # two infinities have no gap


add.vjp = (lambda g: g, lambda g: g)
sub.vjp = (lambda g: g, lambda g: -g)
mul.vjp = (lambda g, b: g * b, lambda g, a: g * a)
div.vjp = (lambda g, b: g / b, lambda g, b, out: -g * out / b)
neg.vjp = lambda g: -g
remainder.vjp = (lambda g: g, lambda g, a, b, out: g * ((out - a) / b).detach())
atan2.vjp = (lambda g, a, b: g * b / (a * a + b * b), lambda g, a, b: -g * a / (a * a + b * b))
logaddexp.vjp = (lambda g, a, b: g / ((b - a).exp() + 1.0), lambda g, a, b: g / ((a - b).exp() + 1.0))


@elementwise
def _pow(a, b) -> Array:
    if a.data.dtype.kind != "f":
        return _pow_integers(a, b)
    return a.backend.pow(a.data, b.data)


def _pow_integers(a: Value, b: Value) -> Array:
    """As torch: to a negative power, 1 and -1 have an integer as result, and all others give 0."""
    refuse_bool("pow", a)
    lib, x, n = a.backend, a.data, b.data
    if n.dtype.kind == "u":
        return lib.pow(x, n)
    out = lib.pow(x, lib.maximum(n, lib.mul(n, -1)))
    return lib.where(lib.less(n, 0), lib.where(lib.equal(lib.mul(x, x), 1), out, 0), out)


_pow.vjp = (
    lambda g, a, b: where(b == 0, 0.0, g * b * a ** (b - 1.0)),
    # d(a**b)/db = a**b log a; where a is 0 and b >= 0 it is 0, and log must not make a NaN of it
    lambda g, a, b, out: where(logical_and(a == 0, b >= 0), 0.0, g * out * a.log()),
)


def pow(a: Any, b: Any) -> Any:
    """a ** b, elementwise. ValueError for an integer Tensor to a negative int, TypeError for bools, as in torch."""
    if type(b) in (int, float) and b == 2 and isinstance(a, Value) and a.data.dtype.kind == "f":
        return mul(a, a)
    if isinstance(a, Value) and a.data.dtype.kind != "f" and type(b) is int and b < 0:
        raise ValueError(f"pow: integers to a negative integer power ({b}) are not integers; cast to a float first")
    return _pow(a, b)


def lerp(a: Any, b: Any, weight: Any) -> Any:
    """a + weight (b - a), elementwise: a for weight 0, b for weight 1."""
    check_float("lerp", a, b)
    return add(a, mul(sub(b, a), weight))


# The larger and the smaller. At ties of two Tensors each gets half of the gradient, as in torch.


@elementwise
def maximum(a, b) -> Array:
    """The larger of a and b, elementwise; NaN if either is NaN."""
    return a.backend.maximum(a.data, b.data)


@elementwise
def minimum(a, b) -> Array:
    """The smaller of a and b, elementwise; NaN if either is NaN."""
    lib, x, y = a.backend, a.data, b.data
    x_is_nan = lib.equal(lib.equal(x, x), False)
    return lib.where(lib.maximum(lib.less(x, y), x_is_nan), x, y)


@numeric
def clamp_min(a, b) -> Array:
    """a, or b where a is smaller; at ties the gradient is a's."""
    return a.backend.maximum(a.data, b.data)


@numeric
def clamp_max(a, b) -> Array:
    """a, or b where a is larger; at ties the gradient is a's."""
    return minimum.op.forward(a, b)


maximum.vjp = (
    lambda g, a, b: where(a < b, 0.0, where(a == b, g / 2.0, g)),
    lambda g, a, b: where(b < a, 0.0, where(a == b, g / 2.0, g)),
)
minimum.vjp = maximum.vjp[::-1]
clamp_min.vjp = (lambda g, a, b: where(a >= b, g, 0.0), lambda g, a, b: where(a < b, g, 0.0))
clamp_max.vjp = (lambda g, a, b: where(a <= b, g, 0.0), lambda g, a, b: where(a > b, g, 0.0))


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to `min` from below and `max` from above: numbers, Tensors that broadcast, or None for no limit.

    Where x is at a limit the gradient is x's. Where min > max the result is max. ValueError if both are None.
    """
    if min is None and max is None:
        raise ValueError("clamp: expected min or max, got neither")
    x = x if min is None else clamp_min(x, min)
    return x if max is None else clamp_max(x, max)


# Comparison and logic. No gradient: the results are bool.


@comparison
def lt(a, b) -> Array:
    """a < b, elementwise."""
    return a.backend.less(a.data, b.data)


def gt(a: Any, b: Any) -> Any:
    """a > b, elementwise."""
    return lt(b, a)


@comparison
def eq(a, b) -> Array:
    """a == b, elementwise."""
    return a.backend.equal(a.data, b.data)


@comparison
def le(a, b) -> Array:
    """a <= b, elementwise (not `not b < a`, which NaN would make true)."""
    return a.backend.maximum(a.backend.less(a.data, b.data), a.backend.equal(a.data, b.data))


def ge(a: Any, b: Any) -> Any:
    """a >= b, elementwise."""
    return le(b, a)


@comparison
def ne(a, b) -> Array:
    """a != b, elementwise."""
    return a.backend.equal(a.backend.equal(a.data, b.data), False)


def logical_not(a: Any) -> Any:
    """True where a is 0 or False."""
    return eq(a, 0 if a.data.dtype.kind != "b" else False)


def logical_and(a: Any, b: Any) -> Any:
    """True where neither a nor b is 0 or False."""
    return mul(cast(a, dtype=np.bool_), cast(b, dtype=np.bool_))


def logical_or(a: Any, b: Any) -> Any:
    """True where a or b is not 0 or False."""
    return maximum(cast(a, dtype=np.bool_), cast(b, dtype=np.bool_))


def logical_xor(a: Any, b: Any) -> Any:
    """True where one of a and b is 0 or False, and the other is not."""
    return ne(cast(a, dtype=np.bool_), cast(b, dtype=np.bool_))


def isnan(x: Any) -> Any:
    """True where x is NaN."""
    return ne(x, x)


def isfinite(x: Any) -> Any:
    """True where x is neither NaN nor infinite."""
    return lt(-math.inf, x) * lt(x, math.inf)


def isinf(x: Any) -> Any:
    """True where x is inf or -inf."""
    return logical_or(eq(x, math.inf), eq(x, -math.inf))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """True where |a - b| <= atol + rtol |b|, or a == b; `equal_nan`: also where both are NaN. No promotion."""
    check_same_dtype("isclose", a, b)
    a, b = [x if x.data.dtype.kind == "f" else cast(x, dtype=np.float64) for x in (a, b)]
    gap, size = [where(x < 0, -x, x) for x in (a - b, b)]
    close = logical_or(eq(a, b), isfinite(gap) * le(gap, size * rtol + atol))
    return logical_or(close, isnan(a) * isnan(b)) if equal_nan else close


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return isclose(a, b, rtol, atol, equal_nan).all().item()


@op
def _where(condition, a, b):
    return a.backend.where(condition.data, a.data, b.data)


_where.vjp = (None, lambda g, condition: where(condition, g, 0.0), lambda g, condition: where(condition, 0.0, g))


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where `condition` (bool) is true, b elsewhere; all three broadcast. TypeError if `condition` is not bool."""
    check_mask("where", condition)
    a, b = align("where", (a, b), ALL, backend=condition.backend)
    broadcast_shapes("where", condition.data.shape, a.data.shape, b.data.shape)
    return _where(condition, a, b)


def check_mask(name: str, mask: Any) -> None:
    """TypeError unless `mask` is a bool Tensor."""
    if not isinstance(mask, Value) or mask.data.dtype.kind != "b":
        found = mask.data.dtype if isinstance(mask, Value) else type(mask).__name__
        raise TypeError(f"{name}: expected a bool Tensor as condition, got {found}")
