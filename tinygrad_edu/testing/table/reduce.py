"""Rows of the ops that reduce dimensions, or run along one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Row, call, calls
from tinygrad_edu.testing.table.common import (
    EMPTY,
    EMPTY_DIM,
    FEW,
    NO_DIM,
    ONE_DIM,
    ONE_DIM_KEPT,
    REDUCTIONS,
    reduced,
    rows,
)
from tinygrad_edu.testing.variants import Shape, booleans, integers

_ALL = calls([((3, 4),), ((),), ((1,),)])
_SPREAD: tuple[tuple[Shape, Any], ...] = (  # dims with more than two numbers in them, for which a variance is smooth
    ((3, 4), None),
    ((5,), 0),
    ((3, 4), 0),
    ((3, 4), -1),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (1,)),
    ((0, 4), 1),
)
_SPREADS = tuple([call(s, dim=d, keepdim=k, correction=1) for s, d in _SPREAD for k in (False, True)])
_CORRECTED = tuple([call(s, dim=d, correction=n) for s, d in _SPREAD[:5] for n in (0, 2, 0.5)])
_ONE = tuple([c for c in REDUCTIONS if c.shapes in (((),), ((1,),), ((2, 1, 3),))])
_LONG = tuple([c for c in ONE_DIM_KEPT if c not in _ONE])
_ROUNDING = "the second gradient is 0; rounding leaves something else in both"
_OTHERS = "ours is the product of the others, as it should be; torch divides by the element, which is not finite"
_NORMS = (1, 2, 3, -1, np.inf, -np.inf, 0)
_DIFFS = (
    *[call((5,), n=n) for n in (0, 1, 2, 4, 6)],
    *[call((3, 4), dim=dim) for dim in (0, -1)],
    *[call((2, 3, 4), dim=1, n=2), call((1,)), call((0, 3)), call((0, 3), dim=0)],
)


def _norm(t: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    return t.norm(x, 2, dim, keepdim)


ROWS = (
    Row("sum", (*REDUCTIONS, *EMPTY, NO_DIM)),
    Row("mean", (*REDUCTIONS, NO_DIM)),
    Row("mean", EMPTY, label="empty", order=1, why="NaN; torch's second gradient of it is 0, ours is NaN as well"),
    Row("prod", _LONG, special=0, why=_OTHERS),
    Row("prod", tuple([c for c in _ONE if c in ONE_DIM_KEPT]), label="of one", order=1, special=0, why=_ROUNDING),
    Row("prod", calls([((3, 4),), ((5,),)]), label="all", special=0, why=_OTHERS),
    Row("prod", (*EMPTY_DIM, call((0,))), label="empty"),
    Row("prod", _LONG, FEW, label="zeros", special=0, why=_OTHERS),
    Row("prod", calls([((5,),), ((3, 4),)]), FEW, label="zeros, all", special=0, why=_OTHERS),
    *rows("var std", (*_SPREADS, *_CORRECTED)),
    *rows("var std", calls([((3, 4),), ((5,),)]), label="all"),
    *rows("var std", calls([((1,),), ((3, 1),)], dim=-1, correction=0), label="of one"),
    Row("norm", tuple([c for c in REDUCTIONS if c not in _ONE]), f=_norm),
    Row("norm", _ONE, f=_norm, label="of one", order=1, why=_ROUNDING),
    Row("norm", calls([((3, 4),), ((5,),)]), label="default"),
    *[Row("norm", tuple([call(s, p=p, dim=d) for s, d in _SPREAD]), label=f"p={p}") for p in _NORMS],
    Row(
        "norm",
        tuple([call(s, p=0.5, dim=d) for s, d in _SPREAD]),
        label="p=0.5",
        special=1,
        why="the second gradient beside an infinity is inf - inf, or not, in the order of computing",
    ),
    # A NaN gets the gradient of the maximum it is, as with torch's max(x); torch's amax(x) makes NaN of all gradients.
    *[
        Row(name, (*REDUCTIONS, NO_DIM), f=reduced(name), special=0, why="torch's gradients are all NaN beside a NaN")
        for name in ("amax", "amin")
    ],
    *rows("max min", ONE_DIM_KEPT),
    *rows("max min", _ALL, label="all"),
    *rows("max min", calls([((3, 4), (3, 4)), ((2, 1), (3,))]), label="two", elementwise=True),
    *rows("argmax argmin", ONE_DIM_KEPT, order=0),
    *rows("argmax argmin", (call((3, 4)), call(()), call((2, 3), dim=None, keepdim=True)), order=0, label="all"),
    *[Row(name, (*REDUCTIONS, *EMPTY), FEW, f=reduced(name), order=0) for name in ("any", "all")],
    *[Row(name, (*REDUCTIONS, *EMPTY), booleans, f=reduced(name), order=0, label="bools") for name in ("any", "all")],
    *[Row(name, REDUCTIONS, integers(0, 2), f=reduced(name), order=0, label="integers") for name in ("any", "all")],
    *rows("sum prod", calls([((3, 4),), ((0,),)]), integers(-3, 4), order=0, label="integers"),
    *rows("sum prod", calls([((3, 4),)]), booleans, order=0, label="bools"),
    *rows("amax amin", calls([((3, 4),)]), integers(-3, 4), order=0, label="integers"),
    # Along a dimension.
    Row("cumsum", (*ONE_DIM, *EMPTY_DIM)),
    Row("cumprod", (*ONE_DIM, *EMPTY_DIM), special=0, why=_OTHERS),
    Row("cumprod", ONE_DIM, FEW, label="zeros", special=0, why=_OTHERS),
    *rows("cumsum cumprod", calls([((3, 4),)], dim=1), integers(-3, 4), order=0, label="integers"),
    *rows("cumsum cumprod", calls([((3, 4),)], dim=0), booleans, order=0, label="bools"),
    Row("diff", _DIFFS),
    Row(
        "diff",
        (call((3, 4), (3, 1), (3, 2)), call((5,), (2,), (1,)), call((2, 3), (2, 1), (2, 0))),
        f=lambda t, x, before, after: t.diff(x, prepend=before, append=after),
        label="joined",
    ),
    Row("diff", calls([((3, 4),)]), booleans, order=0, label="bools"),
    Row("diff", calls([((3, 4),)]), integers(-3, 4), order=0, label="integers"),
    Row("softmax", (*ONE_DIM, *EMPTY_DIM)),
    Row("log_softmax", (*ONE_DIM, *EMPTY_DIM)),
    Row("logsumexp", (*[c for c in REDUCTIONS if dict(c.settings)["dim"] is not None], *EMPTY_DIM)),
)
