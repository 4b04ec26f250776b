"""Rows of what makes Tensors. Random ones are compared in shape and dtype alone: tests/test_random.py has the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Call, Row, call
from tinygrad_edu.testing.table.common import UNARY
from tinygrad_edu.testing.variants import SHAPES

_ARRAYS = (("f4", (2, 3)), ("f8", (1, 6)), ("i4", (3, 2)), ("u1", (6,)), ("?", (6, 1)))
_DATA: tuple[Any, ...] = (1, True, 2.5, [[1.0, 2.0]], [1, 2], [], [True], [[], []], -1, (1, 2.5), [[[3]]])
_SIZES = tuple([Call((), a) for a in [(2, 3), ((2, 0),), ((),), (0,), ((1, 1),)]])
_RANGES = ((5,), (1, 7, 2), (0.0, 1.0, 0.25), (5, 0, -2), (3, 3), (0,), (2.5,), (-3, 2), (1, 2, 0.3))
_LINES = ((0, 1, 5), (2.0, -2.0, 4), (3, 3, 3), (0, 1, 1), (0, 1, 0), (-1, 10, 2), (0.0, 1.0, 11))


def _shape_alone(name: str) -> Any:
    return lambda t, *args, **settings: t.zeros_like(getattr(t, name)(*args, **settings))


ROWS = (
    Row("arange", tuple([Call((), a) for a in _RANGES]), order=0),
    Row("linspace", tuple([Call((), a) for a in _LINES]), order=0),
    Row("eye", tuple([Call((), a) for a in [(3,), (2, 4), (0,), (3, 1)]]), order=0),
    Row("full", tuple([Call((), a) for a in [((2, 3), 2.5), ((), 1), ((0,), True), ((1,), -3)]]), order=0),
    *[Row(name, _SIZES, order=0) for name in ("ones", "zeros")],
    *[Row(name, UNARY, order=0) for name in ("ones_like", "zeros_like")],
    Row("full_like", tuple([call(s, args=(2.5,)) for s in SHAPES]), order=0),
    *[Row(name, _SIZES, f=_shape_alone(name), order=0) for name in ("rand", "randn")],
    Row(
        "randint",
        tuple([Call((), a) for a in [(3, (2, 3)), (-2, 5, (4,)), (1, ())]]),
        f=_shape_alone("randint"),
        order=0,
    ),
    *[Row(name, UNARY, f=_shape_alone(name), order=0) for name in ("rand_like", "randn_like")],
    Row("randint_like", tuple([call(s, args=(5,)) for s in SHAPES]), f=_shape_alone("randint_like"), order=0),
    Row("tensor", tuple([Call((), (x,)) for x in _DATA]), order=0),
    Row("from_numpy", tuple([Call((), (np.arange(6).reshape(s).astype(d),)) for d, s in _ARRAYS]), order=0),
    Row("from_dlpack", UNARY, order=0),
)
