"""Ops that work element by element: arithmetic, comparison, exponentials, each with its gradient rule below it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array
from tinygrad_edu.ops.agree import (
    ALL,
    align,
    broadcast_shapes,
    cast,
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


add.vjp = (lambda g: g, lambda g: g)


@numeric
def sub(a, b) -> Array:
    """a - b, elementwise. TypeError for bool, as in torch."""
    return a.backend.sub(a.data, b.data)


sub.vjp = (lambda g: g, lambda g: -g)


@elementwise
def mul(a, b) -> Array:
    """a * b, elementwise."""
    return a.backend.mul(a.data, b.data)


mul.vjp = (lambda g, b: g * b, lambda g, a: g * a)


@floating
def div(a, b) -> Array:
    """a / b, elementwise, a float also for integers."""
    return a.backend.div(a.data, b.data)


div.vjp = (lambda g, b: g / b, lambda g, b, out: -g * out / b)


@numeric
def neg(a) -> Array:
    """-a, elementwise; for uint8 that is 256 - a. TypeError for bool, as in torch."""
    if a.data.dtype.kind != "f":
        return a.backend.sub(0, a.data)  # -1 is no uint8; but 0.0 - 0.0 is not -0.0
    return a.backend.mul(a.data, constant(-1.0, a.data.dtype, a.backend).data)


neg.vjp = lambda g: -g


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
    lambda g, a, b, out: where(logical_and(a == 0, b >= 0), 0.0, g * out * log(a)),
)


def pow(a: Any, b: Any) -> Any:
    """a ** b, elementwise. ValueError for an integer Tensor to a negative int, TypeError for bools, as in torch."""
    if type(b) in (int, float) and b == 2 and isinstance(a, Value) and a.data.dtype.kind == "f":
        return mul(a, a)
    if isinstance(a, Value) and a.data.dtype.kind != "f" and type(b) is int and b < 0:
        raise ValueError(f"pow: integers to a negative integer power ({b}) are not integers; cast to a float first")
    return _pow(a, b)


@elementwise
def maximum(a, b) -> Array:
    """The larger of a and b, elementwise; NaN if either is NaN. At ties each gets half of the gradient, as in torch."""
    return a.backend.maximum(a.data, b.data)


maximum.vjp = (
    lambda g, a, b: where(a < b, 0.0, where(a == b, g / 2.0, g)),
    lambda g, a, b: where(b < a, 0.0, where(a == b, g / 2.0, g)),
)


@elementwise
def minimum(a, b) -> Array:
    """The smaller of a and b, elementwise; NaN if either is NaN. At ties each gets half of the gradient."""
    lib, x, y = a.backend, a.data, b.data
    x_is_nan = lib.equal(lib.equal(x, x), False)
    return lib.where(lib.maximum(lib.less(x, y), x_is_nan), x, y)


minimum.vjp = (
    lambda g, a, b: where(b < a, 0.0, where(a == b, g / 2.0, g)),
    lambda g, a, b: where(a < b, 0.0, where(a == b, g / 2.0, g)),
)


# Comparison. No gradient: the results are bool.


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


@op
def _where(condition, a, b):
    return a.backend.where(condition.data, a.data, b.data)


_where.vjp = (None, lambda g, condition: where(condition, g, 0.0), lambda g, condition: where(condition, 0.0, g))


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where `condition` (bool) is true, b elsewhere; all three broadcast. TypeError if `condition` is not bool."""
    if not isinstance(condition, Value) or condition.data.dtype.kind != "b":
        found = condition.data.dtype if isinstance(condition, Value) else type(condition).__name__
        raise TypeError(f"where: expected a bool Tensor as condition, got {found}")
    a, b = align("where", (a, b), ALL, backend=condition.backend)
    broadcast_shapes("where", condition.data.shape, a.data.shape, b.data.shape)
    return _where(condition, a, b)


# Exponentials and their kin. Those that are one primitive of the backend stand in a line each.


def unary(primitive: str, vjp: Any, doc: str) -> Any:
    """The op on floats that calls one primitive."""

    def forward(x: Any) -> Array:
        return getattr(x.backend, primitive)(x.data)

    forward.__name__, forward.__doc__ = primitive, doc
    call = floating(forward)
    call.vjp = vjp
    return call


exp = unary("exp", lambda g, out: g * out, "e ** x, elementwise.")
expm1 = unary("expm1", lambda g, out: g * (out + 1.0), "exp(x) - 1, elementwise, accurate near 0.")
log: Any = unary("log", lambda g, x: g / x, "The natural logarithm, elementwise: -inf at 0, NaN below.")
log1p = unary("log1p", lambda g, x: g / (x + 1.0), "log(1 + x), elementwise, accurate near 0.")
sqrt = unary("sqrt", lambda g, out: g / (out * 2.0), "The square root, elementwise: NaN below 0.")
sin = unary("sin", lambda g, x: g * cos(x), "The sine of x in radians, elementwise.")
cos: Any = unary("cos", lambda g, x: -g * sin(x), "The cosine of x in radians, elementwise.")
tanh = unary("tanh", lambda g, out: g - g * out * out, "The hyperbolic tangent, elementwise.")


@floating
def sigmoid(x) -> Array:
    """1 / (1 + exp(-x)), elementwise."""
    b = x.backend
    return b.div(1.0, b.add(b.exp(b.mul(x.data, -1.0)), 1.0))


sigmoid.vjp = lambda g, out: g * out * (1.0 - out)


@numeric
def relu(x) -> Array:
    """max(x, 0), elementwise; the gradient at 0 is 0, as in torch. TypeError for bool."""
    return x.backend.maximum(x.data, 0)


relu.vjp = lambda g, out: where(out == 0.0, 0.0, g)  # so written, a NaN lets the gradient through, as torch does


@numeric
def abs(x) -> Array:
    """|x|, elementwise; the gradient at 0 is 0. TypeError for bool, as in torch."""
    if x.data.dtype.kind == "u":
        return x.backend.maximum(x.data, 0)
    return x.backend.maximum(x.data, x.backend.mul(x.data, -1))


abs.vjp = lambda g, x: g * (cast(x > 0, dtype=g.dtype) - cast(x < 0, dtype=g.dtype))
