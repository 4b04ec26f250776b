"""Ops on two operands, element by element: arithmetic, comparison, choice.

Most are a line: name, what it gives, how a backend `lib` computes it, a gradient rule for each operand.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.ops.agree import (
    ALL,
    FLOATS,
    NUMBERS,
    align,
    align_tensors,
    broadcast_shapes,
    check_float,
    check_same_dtype,
    elementwise,
    tabled,
)
from tinygrad_edu.ops.op import op


def _logaddexp(lib: Backend, a: Array, b: Array) -> Array:
    gap = lib.sub(a, b)
    larger = lib.add(lib.maximum(a, b), lib.log1p(lib.exp(lib.mul(lib.maximum(gap, lib.mul(gap, -1.0)), -1.0))))
    return lib.where(lib.equal(a, b), lib.add(a, math.log(2.0)), larger)  # two infinities have no gap


def _remainder(lib: Backend, a: Array, b: Array) -> Array:
    if a.dtype.kind == "b":
        raise TypeError("remainder: not defined for bools; convert one of them, x.long() or x.float()")
    if a.dtype.kind != "f" and lib.nonzero(lib.reshape(lib.equal(b, 0), (-1,)))[0].shape[0]:
        raise ZeroDivisionError("remainder: integers have no remainder by 0")
    return lib.remainder(a, b)


def _quotient(a: Any, b: Any, remainder: Any) -> Any:
    """floor(a / b): -1 where a < 0 and b is infinite or the other way round, as if a / b were below 0."""
    odd = where(b == 0.0, a / b, where(remainder == remainder, -1.0, remainder))
    return where(remainder - remainder == 0.0, ((a - remainder) / b).round(), odd).detach()


def _minimum(lib: Backend, a: Array, b: Array) -> Array:
    return lib.where(lib.maximum(lib.less(a, b), lib.equal(lib.equal(a, a), False)), a, b)  # NaN if either is


@op
def _part(g, *others, of):
    """What `of`, a function of the backend and the arrays, lets through of g: 0 or a fixed share of each element."""
    return of(g.backend, g.data, *[x.data for x in others])


_part.vjp = lambda g, others, of, needs: [_part(g, *others, of=of) if needs[0] else None, *[None] * len(others)]


def _larger(lib: Backend, g: Array, a: Array, b: Array) -> Array:
    """What a gets of the gradient of the maximum of a and b: half at ties, all beside a NaN, as in torch."""
    return lib.where(lib.less(a, b), 0.0, lib.where(lib.equal(a, b), lib.mul(g, 0.5), g))


def _up_to(lib: Backend, g: Array, a: Array, b: Array) -> Array:
    return lib.where(lib.maximum(lib.less(a, b), lib.equal(a, b)), g, 0.0)


def _below(lib: Backend, g: Array, a: Array, b: Array) -> Array:
    return lib.where(lib.less(a, b), g, 0.0)


# fmt: off
add = tabled("add", "a + b, elementwise.", lambda lib, a, b: lib.add(a, b), (lambda g: g, lambda g: g))
sub = tabled("sub", "a - b, elementwise. TypeError for bool, as in torch.",
             lambda lib, a, b: lib.sub(a, b), (lambda g: g, lambda g: -g), NUMBERS)
neg = tabled("neg", "-x, elementwise; for uint8 that is 256 - x. TypeError for bool, as in torch.",
            lambda lib, x: lib.mul(x, -1.0) if x.dtype.kind == "f" else lib.sub(0, x),  # 0.0 - 0.0 is not -0.0
            lambda g: -g, NUMBERS)
mul = tabled("mul", "a * b, elementwise.", lambda lib, a, b: lib.mul(a, b), (lambda g, b: g * b, lambda g, a: g * a))
div = tabled("div", "a / b, elementwise, a float also for integers.",
             lambda lib, a, b: lib.div(a, b), (lambda g, b: g / b, lambda g, b, out: -g * out / b), FLOATS)
remainder = tabled("remainder", "a - b floor(a / b), elementwise, exactly. ZeroDivisionError for integers by 0.",
                   _remainder, (lambda g: g, lambda g, a, b, out: -g * _quotient(a, b, out)))
atan2 = tabled("atan2", "The angle of the point (b, a) in radians, from -pi to pi, elementwise.",
               lambda lib, a, b: lib.atan2(a, b),
               (lambda g, a, b: g * _polar(b, a, b), lambda g, a, b: -g * _polar(a, a, b)), FLOATS, align_tensors)
logaddexp = tabled("logaddexp", "log(exp(a) + exp(b)), elementwise, without overflow.", _logaddexp,
                   (lambda g, a, b: g / ((b - a).exp() + 1.0), lambda g, a, b: g / ((a - b).exp() + 1.0)), FLOATS,
                   align_tensors)

# At ties each gets half of the gradient, as in torch; with clamp_min and clamp_max a gets it all.
maximum = tabled("maximum", "The larger of a and b, elementwise; NaN if either is.",
                 lambda lib, a, b: lib.maximum(a, b),
                 (lambda g, a, b: _part(g, a, b, of=_larger), lambda g, a, b: _part(g, b, a, of=_larger)),
                 ALL, align_tensors)
minimum = tabled("minimum", "The smaller of a and b, elementwise; NaN if either is NaN.", _minimum, maximum.vjp[::-1],
                 ALL, align_tensors)
clamp_min = tabled("clamp_min", "a, or b where a is smaller.", lambda lib, a, b: lib.maximum(a, b),
                   (lambda g, a, b: _part(g, b, a, of=_up_to), lambda g, a, b: _part(g, a, b, of=_below)))
clamp_max = tabled("clamp_max", "a, or b where a is larger.", lambda lib, a, b: _minimum(lib, a, b),
                   (lambda g, a, b: _part(g, a, b, of=_up_to), lambda g, a, b: _part(g, b, a, of=_below)))

# Comparisons have no gradient. `a <= b` is not `not b < a`, which NaN would make true.
lt = tabled("lt", "a < b, elementwise.", lambda lib, a, b: lib.less(a, b), None)
gt = tabled("gt", "a > b, elementwise.", lambda lib, a, b: lib.less(b, a), None)
eq = tabled("eq", "a == b, elementwise.", lambda lib, a, b: lib.equal(a, b), None)
le = tabled("le", "a <= b, elementwise.", lambda lib, a, b: lib.maximum(lib.less(a, b), lib.equal(a, b)), None)
ge = tabled("ge", "a >= b, elementwise.", lambda lib, a, b: lib.maximum(lib.less(b, a), lib.equal(a, b)), None)
ne = tabled("ne", "a != b, elementwise.", lambda lib, a, b: lib.equal(lib.equal(a, b), False), None)

# Of numbers, all but 0 count as true.
logical_not = tabled("logical_not", "Whether x is 0 or False, elementwise.",
                    lambda lib, x: lib.equal(_truth(lib, x), False), None, ALL)
logical_and = tabled("logical_and", "Whether a and b are true, elementwise.",
                     lambda lib, a, b: lib.mul(_truth(lib, a), _truth(lib, b)), None)
logical_or = tabled("logical_or", "Whether a or b is true, elementwise.",
                    lambda lib, a, b: lib.maximum(_truth(lib, a), _truth(lib, b)), None)
logical_xor = tabled("logical_xor", "Whether one of a and b is true, and the other is not, elementwise.",
                     lambda lib, a, b: lib.equal(lib.equal(_truth(lib, a), _truth(lib, b)), False), None)
# fmt: on


def _truth(lib: Backend, x: Array) -> Array:
    return x if x.dtype.kind == "b" else lib.equal(lib.equal(x, 0), False)


def _polar(leg: Any, a: Any, b: Any) -> Any:
    """leg / (a² + b²), 0 at the origin."""
    return where((square := a * a + b * b) == 0.0, 0.0, leg / square)


@elementwise
def _pow(lib, a, b) -> Array:
    """Integers as torch: to a negative power, 1 and -1 have an integer as result, and all others give 0."""
    if a.dtype.kind in "fu":
        return lib.pow(a, b)
    if a.dtype.kind == "b":
        raise TypeError("pow: not defined for bool; convert it first, x.long() or x.float()")
    out = lib.pow(a, lib.maximum(b, lib.mul(b, -1)))
    return lib.where(lib.less(b, 0), lib.where(lib.equal(lib.mul(a, a), 1), out, 0), out)


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


@op
def _clamp(x, low, high):
    return _minimum(x.backend, x.backend.maximum(x.data, low.data), high.data)


_clamp.vjp = (
    lambda g, x, low, high: _part(_part(g, low, x, of=_up_to), x, high, of=_up_to),
    lambda g, x, low, high: _part(_part(g, low, high, of=_below), x, low, of=_below),
    lambda g, x, low, high: where(logical_or(x > high, high < low), g, 0.0),
)


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to `min` from below and `max` from above: numbers, Tensors that broadcast, or None for no limit.

    Where x is at a limit the gradient is x's. Where min > max the result is max. ValueError if both are None.
    """
    if min is None or max is None:
        if max is None and min is None:
            raise ValueError("clamp: expected min or max, got neither")
        return clamp_min(x, min) if max is None else clamp_max(x, max)
    return _clamp(*align("clamp", (x, min, max), ALL))


@op
def _lerp(a, b, weight):
    lib, w = a.backend, weight.data
    gap, near = lib.sub(b.data, a.data), lib.less(lib.mul(w, w), 0.25)  # counted from the nearer end, as torch does
    from_b = lib.sub(b.data, lib.mul(gap, lib.sub(1.0, w)))
    return lib.where(near, lib.add(a.data, lib.mul(gap, w)), from_b)


_lerp.vjp = (lambda g, weight: g * (1.0 - weight), lambda g, weight: g * weight, lambda g, a, b: g * (b - a))


def lerp(a: Any, b: Any, weight: Any) -> Any:
    """a + weight (b - a), elementwise: a for weight 0, b for weight 1. TypeError for other than floats of one dtype."""
    check_float("lerp", a, b)
    check_same_dtype("lerp", a, b, *([weight] if isinstance(weight, Value) else []))
    return _lerp(*align("lerp", (a, b, weight), FLOATS))


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
