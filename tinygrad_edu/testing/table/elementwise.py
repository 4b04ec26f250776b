"""Rows of the ops that work element by element."""

from __future__ import annotations

import numpy as np

from tinygrad_edu.testing.rows import Row, call, calls
from tinygrad_edu.testing.table.common import BINARY, FEW, NUMBERS, TRIPLES, UNARY, UNARY_SHAPES, as_float, rows
from tinygrad_edu.testing.variants import POSITIVE, REAL, away_from_zero, booleans, integers, uniform

_HALVES = as_float(lambda rng, shape, dtype: rng.integers(-7, 8, shape) / 2)
_SPECIALS = as_float(lambda rng, shape, dtype: rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], shape))
_LIMITS = ((-0.5, 0.5), (None, 0.5), (-0.5, None), (1.0, -1.0), (0.0, 0.0), (-np.inf, np.inf))

ROWS = (
    # One Tensor.
    *rows("exp exp2 expm1 sin cos atan sinh cosh tanh sigmoid erf square relu", UNARY, elementwise=True),
    *rows("log log1p log2 log10 sqrt rsqrt", UNARY, POSITIVE, elementwise=True),
    *rows("asin acos", UNARY, uniform(-0.9, 0.9), elementwise=True),
    Row("tan", UNARY, uniform(-1.2, 1.2), elementwise=True),
    Row("reciprocal", UNARY, away_from_zero, elementwise=True),
    *rows("abs neg clone", UNARY, elementwise=True),
    *rows("sign floor ceil round trunc", UNARY, elementwise=True),
    *rows("floor ceil round trunc", UNARY, _HALVES, elementwise=True, label="halves"),
    *rows("isnan isinf isfinite", UNARY, _SPECIALS, elementwise=True, order=0),
    Row("cast", UNARY, f=lambda t, x: x.double(), label="double"),
    Row("cast", UNARY, f=lambda t, x: x.float(), label="float"),
    Row("cast", UNARY, POSITIVE, f=lambda t, x: x.long(), label="long", order=0, special=None, why="NaN has no int64"),
    # Two Tensors, or one and a number.
    *rows("add sub mul maximum minimum logaddexp atan2", BINARY, elementwise=True),
    *rows("div remainder", BINARY, away_from_zero, elementwise=True),
    Row(
        "pow",
        BINARY,
        (POSITIVE, REAL),
        elementwise=True,
        ties=1,
        special=1,
        why="at a = 0 the second derivatives of a ** b in b are not finite: ours are the rule's 0, torch's NaN",
    ),
    *rows("add sub mul", NUMBERS, label="number", elementwise=True),
    *rows("div remainder", NUMBERS, away_from_zero, label="number", elementwise=True),
    Row("pow", NUMBERS, POSITIVE, label="number", elementwise=True),
    Row("add", NUMBERS, f=lambda t, x, n: n + x, label="reflected", elementwise=True),
    Row("sub", NUMBERS, f=lambda t, x, n: n - x, label="reflected", elementwise=True),
    Row("mul", NUMBERS, f=lambda t, x, n: n * x, label="reflected", elementwise=True),
    Row("div", NUMBERS, away_from_zero, f=lambda t, x, n: n / x, label="reflected", elementwise=True),
    # torch has no gradient of it.
    Row("remainder", NUMBERS, away_from_zero, f=lambda t, x, n: n % x, label="reflected", elementwise=True, order=0),
    Row("pow", NUMBERS, f=lambda t, x, n: (abs(n) or 1.5) ** x, label="reflected", elementwise=True),
    Row(
        "pow",
        calls(UNARY_SHAPES, 0),
        f=lambda t, x, n: n**x,
        label="of 0",
        elementwise=True,
        order=1,
        why="the second derivative of 0 ** b in b is not finite at 0: ours is the rule's 0, torch's NaN",
    ),
    *rows("eq ne lt le gt ge logical_and logical_or logical_xor", BINARY, FEW, elementwise=True, order=0),
    *rows("eq ne lt le gt ge", NUMBERS, FEW, label="number", elementwise=True, order=0),
    Row("logical_not", UNARY, FEW, elementwise=True, order=0),
    Row(
        "allclose",
        (
            call((3, 4), (3, 4)),
            call((3,), (3,), atol=4.1),
            call((3,), (3,), rtol=1e3),
            call((0,), (0,)),
            call((3,), (3,), atol=9.0, equal_nan=True),
        ),
        f=lambda t, a, b, **settings: t.tensor(t.allclose(a, b, **settings)),
        order=0,
    ),
    Row(
        "allclose",
        calls([((40,),)]),
        f=lambda t, a: t.tensor([t.allclose(a, a), t.allclose(a, a, equal_nan=True)]),
        label="itself",
        order=0,
    ),
    # Three, or one between limits.
    Row("where", calls(TRIPLES), (booleans, REAL), elementwise=True),
    Row("where", calls([((3, 4), (3, 4))], 2.5), (booleans, REAL), label="number", elementwise=True),
    Row("lerp", calls(TRIPLES), elementwise=True),
    *[
        Row("lerp", calls([((3, 4),) * 2, ((2, 1), (3,))], w), label=f"by {w}", elementwise=True)
        for w in (0.25, 2, 0.5)
    ],
    *[
        Row("clamp", calls(UNARY_SHAPES, min=low, max=high), label=f"{low}, {high}", elementwise=True)
        for low, high in _LIMITS
    ],
    # x has the whole shape: torch fails to broadcast the gradients of limits larger than it.
    Row(
        "clamp",
        calls([((3, 4),) * 3, ((),) * 3, ((3, 4), (4,), ()), ((0,), (1,), ())]),
        label="Tensors",
        elementwise=True,
    ),
    Row("clamp", BINARY, label="min Tensor", elementwise=True),
    Row("clamp", BINARY, f=lambda t, x, high: t.clamp(x, max=high), label="max Tensor", elementwise=True),
    *rows("clamp_min clamp_max", calls(UNARY_SHAPES, 0.5), elementwise=True, label="number"),
    *rows("clamp_min clamp_max", calls(UNARY_SHAPES, 0), elementwise=True, label="0"),
    *rows("clamp_min clamp_max", BINARY, elementwise=True),
    # Integers: values alone.
    *rows("sign abs neg square", calls([((5,),), ((),)]), integers(-4, 5), label="integers", order=0),
    *rows("floor ceil trunc round", calls([((5,),)]), integers(-4, 5), label="integers", order=0),
    Row("remainder", calls([((4, 5), (4, 5))]), (integers(-9, 10), integers(1, 6)), label="integers", order=0),
    Row("remainder", calls([((4, 5), (4, 5))]), (integers(-9, 10), integers(-6, 0)), label="negative", order=0),
    Row("clamp", calls([((5,),)], -1, 2), integers(-4, 5), label="integers", order=0),
    Row("clamp", calls([((5,),)], 0.5, 2), integers(-4, 5), label="float limits", order=0),
)
