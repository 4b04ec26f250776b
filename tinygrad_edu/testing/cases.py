"""The one table of cases: every op, how to call it, on which shapes, from which domain.

A row feeds the values, first and second gradients against torch (tests/ops), the conformance suite of every backend,
kernels against bodies, and the benchmarks. Since names are torch's, one function serves both frameworks: it takes the
framework (`tinygrad_edu` or `TorchNames()`) as its first argument. **To add an op, add a row**; shapes, layouts, ties
and special values are generated. See `tinygrad_edu.testing.rows.Row` for all that a row can say.

    Row("exp", UNARY)                                  # tg.exp and torch.exp on every shape of UNARY
    Row("log", UNARY, POSITIVE)                        # from a domain of its own
    Row("dot", calls([((5,), (5,)), ((0,), (0,))]))    # on two Tensors of these shapes
    Row("rsub", NUMBERS, f=lambda t, x, n: n - x)      # something that is written otherwise
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Call, Case, Row, call, calls, cases
from tinygrad_edu.testing.variants import (
    PAIRS,
    POSITIVE,
    REAL,
    SHAPES,
    Domain,
    Shape,
    away_from_zero,
    booleans,
    integers,
)

UNARY_SHAPES = [(s,) for s in SHAPES]
UNARY = calls(UNARY_SHAPES)
BINARY = calls(PAIRS)
NUMBERS = tuple([call(s, args=(n,)) for s in ((3, 4), (), (0,)) for n in (2.5, -1, 2, 3, 0, 0.5, 1)])
# Shape and dim: all, one from either end, several, a 0-d Tensor's, an empty one beside it, of size 1.
DIMS: tuple[tuple[Shape, Any], ...] = (
    ((3, 4), None),
    ((), None),
    ((), 0),
    ((5,), 0),
    ((3, 4), 0),
    ((3, 4), -1),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (1,)),
    ((2, 0, 3), 2),
    ((1,), 0),
    ((2, 1, 3), -2),
)
NO_DIM = call((2, 3), dim=(), keepdim=True)  # torch: all dimensions
REDUCTIONS = tuple([call(s, dim=dim, keepdim=keepdim) for s, dim in DIMS for keepdim in (False, True)])
EMPTY = (call((2, 0, 3), dim=1), call((0,), dim=None))
EMPTY_DIM = (call((2, 0, 3), dim=1), call((0,), dim=0))
ONE_DIM = tuple([call(s, dim=dim) for s, dim in DIMS if isinstance(dim, int)])
ONE_DIM_KEPT = tuple([c for c in REDUCTIONS if isinstance(dict(c.settings)["dim"], int)])
MATRICES: tuple[tuple[Shape, Shape], ...] = (
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((3, 4), (2, 4, 2)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((0,), (0,)),
    ((2, 0, 3), (3, 2)),
    ((1, 1), (1, 1)),
)
_rng = np.random.default_rng(0)
# Random sizes, with and without leading dimensions and bias; small ones and such as take a blocked kernel's inner loop.
LINEAR = tuple(
    [
        call((*lead, i), (o, i), *[(o,)] * bias)
        for lead in ((), (3,), (2, 3), (0,), (17,))
        for bias in (0, 1)
        for i, o in _rng.integers(1, 40, (2, 2)).tolist()
    ]
)
CROSS_ENTROPY = (
    *[
        call((n, c), (n,), reduction=reduction)
        for reduction in ("mean", "sum", "none")
        for n, c in [(4, 3), (1, 3), *_rng.integers(3, 40, (3, 2)).tolist()]
    ],
    call((3,), ()),
    call((2, 3, 4), (2, 4), reduction="none"),
    call((2, 3, 2, 2), (2, 2, 2)),
    call((0, 3), (0,), reduction="sum"),
    call((0, 3), (0,), reduction="none"),
    call((0, 3), (0,)),
)
KEYS: tuple[tuple[Shape, Any], ...] = (
    ((3, 4), 1),
    ((3, 4), (-1, 2)),
    ((5,), slice(1, None, 2)),
    ((3, 4), (slice(None), slice(3, 1))),
    ((3, 4), (None, ..., 0)),
    ((), ...),
    ((), None),
    ((0,), slice(None)),
    ((3, 4), np.array([2, 0, 2, -1])),
    ((3, 4), (slice(None), np.array([[1, 1], [0, 3]]))),
    ((3, 4), (np.array([0, 2, 0]), np.array([1, 1, 1]))),
    ((2, 3, 4), (np.array([0, 1, 1]), slice(None), np.array([3, 0, 0]))),
    ((2, 3, 4), (0, slice(None), np.array([3, 0, 0]))),
    ((3, 4), np.array([True, False, True])),
    ((2, 3), np.array([[True, False, True], [False, False, True]])),
    ((3, 4), np.zeros(0, np.int64)),
)


def _joined(name: str) -> Row:
    """The row of an op that takes a sequence of Tensors."""
    shapes: list[Any] = [([(2, 3)] * 3, 0), ([(2, 3)] * 2, -1), ([(2, 3)], 1), ([(0, 3)] * 2, 1), ([(1,)] * 4, 0)]
    if name == "cat":
        shapes += [([(2, 3), (4, 3)], 0), ([(2, 0, 3), (2, 2, 3), (2, 1, 3)], 1)]
    if name == "stack":
        shapes += [([(), ()], 0), ([(2, 3)] * 2, 2)]
    return Row(name, tuple([call(*s, dim=dim) for s, dim in shapes]), f=lambda t, *xs, dim: getattr(t, name)(xs, dim))


def _as_float(domain: Domain) -> Domain:
    return lambda rng, shape, dtype: domain(rng, shape, dtype).astype(dtype)


def _setitem(t: Any, x: Any, value: Any, key: Any) -> Any:
    out = x.clone()
    out[key] = value
    return out


def _reduced(name: str, x: Any, dim: Any, keepdim: bool) -> Any:
    return getattr(x, name)(*[] if dim is None else [dim], keepdim=keepdim)


_TIED = _as_float(integers(-1, 2))

_DATA: tuple[Any, ...] = (1, True, 2.5, [[1.0, 2.0]], [1, 2], [], [True], [[], []])

ROWS: tuple[Row, ...] = (
    # Elementwise, one Tensor.
    *[Row(name, UNARY, elementwise=True) for name in ("exp", "expm1", "sin", "cos", "tanh", "sigmoid", "relu")],
    *[Row(name, UNARY, POSITIVE, elementwise=True) for name in ("log", "log1p", "sqrt")],
    *[Row(name, UNARY, elementwise=True) for name in ("abs", "neg", "clone")],
    Row("cast", UNARY, f=lambda t, x: x.double(), label="double"),
    Row("cast", UNARY, f=lambda t, x: x.float(), label="float"),
    Row("cast", UNARY, POSITIVE, f=lambda t, x: x.long(), label="long", special=None, order=0),
    # Elementwise, two Tensors, or one and a number.
    *[Row(name, BINARY, elementwise=True) for name in ("add", "sub", "mul", "maximum", "minimum")],
    Row("div", BINARY, away_from_zero, elementwise=True),
    # At a = 0 the second derivatives of a ** b in b have no finite value; ours are the rule's 0, torch's are NaN.
    Row("pow", BINARY, (POSITIVE, REAL), elementwise=True, ties=1, special=1),
    *[Row(name, NUMBERS, away_from_zero, label="number", elementwise=True) for name in ("add", "sub", "mul", "div")],
    Row("pow", NUMBERS, POSITIVE, label="number", elementwise=True),
    Row("add", NUMBERS, f=lambda t, x, n: n + x, label="reflected", elementwise=True),
    Row("sub", NUMBERS, f=lambda t, x, n: n - x, label="reflected", elementwise=True),
    Row("mul", NUMBERS, f=lambda t, x, n: n * x, label="reflected", elementwise=True),
    Row("div", NUMBERS, away_from_zero, f=lambda t, x, n: n / x, label="reflected", elementwise=True),
    Row("pow", NUMBERS, f=lambda t, x, n: (abs(n) or 1.5) ** x, label="reflected", elementwise=True),
    Row("pow", calls(UNARY_SHAPES, 0), f=lambda t, x, n: n**x, label="of 0", elementwise=True, order=1),
    *[Row(name, BINARY, _TIED, elementwise=True, order=0) for name in ("eq", "ne", "lt", "le", "gt", "ge")],
    *[Row(name, BINARY, _TIED, elementwise=True, order=0) for name in ("logical_and", "logical_or")],
    Row("logical_not", UNARY, _TIED, elementwise=True, order=0),
    Row(
        "where",
        calls([((3, 4),) * 3, ((),) * 3, ((3, 1), (4,), ()), ((2,), (3, 1), (1, 2)), ((0,), (1,), ())]),
        (booleans, REAL),
        elementwise=True,
    ),
    # Reducing.
    Row("sum", (*REDUCTIONS, *EMPTY, NO_DIM)),
    Row("mean", (*REDUCTIONS, NO_DIM)),
    Row("mean", EMPTY, label="empty", order=1),  # NaN; torch's second gradient of it is 0, ours NaN as well
    # A NaN gets the gradient of the maximum it is, as with torch's max(x); torch's amax(x) makes NaN of all gradients.
    Row("amax", (*REDUCTIONS, NO_DIM), f=lambda t, x, dim, keepdim: _reduced("amax", x, dim, keepdim), special=0),
    Row("max", ONE_DIM_KEPT),
    Row("max", calls([((3, 4),), ((),), ((1,),)]), label="all"),
    Row("argmax", ONE_DIM_KEPT, order=0),
    Row("argmax", (call((3, 4)), call(()), call((2, 3), dim=None, keepdim=True)), order=0, label="all"),
    # Products, and what is made of them.
    Row("matmul", calls(MATRICES)),
    Row("linear", LINEAR),
    Row("softmax", (*ONE_DIM, *EMPTY_DIM)),
    Row("log_softmax", (*ONE_DIM, *EMPTY_DIM)),
    Row("logsumexp", (*[c for c in REDUCTIONS if dict(c.settings)["dim"] is not None], *EMPTY_DIM)),
    Row("cross_entropy", CROSS_ENTROPY, (REAL, integers(0, 3))),
    Row("cross_entropy", calls([((4, 3), (4,))]), (REAL, integers(0, 3, np.uint8)), label="uint8"),
    # Shape.
    _joined("cat"),
    _joined("stack"),
    Row(
        "expand",
        (call((3, 1), args=(3, 4)), call((), args=(2, 3)), call((1, 4), args=(2, -1, 4)), call((1,), args=(0,))),
        f=lambda t, x, *sizes: x.expand(*sizes),
    ),
    Row("flatten", (call((2, 3, 4)), call(()), call((2, 3, 4), args=(1,)), call((2, 3, 4), args=(0, 1)))),
    Row("flip", tuple([call(s, args=(d,)) for s, d in [((2, 3), (0, 1)), ((2, 3), (-1,)), ((), ()), ((0, 2), (0,))]])),
    Row("permute", tuple([call(s, args=(d,)) for s, d in [((2, 3, 4), (2, 0, 1)), ((), ()), ((2, 0), (-1, 0))]])),
    Row("reshape", tuple([call(s, args=(d,)) for s, d in [((2, 6), (3, -1)), ((), (1, 1)), ((0, 2), (4, 0))]])),
    Row("squeeze", (call((2, 1, 3, 1)), call((2, 1, 3, 1), args=(1,)), call((2, 3), args=(0,)), call((), args=(0,)))),
    Row("transpose", tuple([call(s, args=d) for s, d in [((2, 3, 4), (0, 2)), ((2, 3), (-1, -2)), ((2, 0), (1, 0))]])),
    Row("unsqueeze", tuple([call(s, args=(d,)) for s, d in [((2, 3), 0), ((2, 3), -1), ((), 0), ((0,), 1)]])),
    # Indexed.
    Row("getitem", tuple([call(s, args=(key,)) for s, key in KEYS]), f=lambda t, x, key: x[key]),
    Row(
        "setitem",
        tuple([call(s, (), args=(key,)) for s, key in KEYS[:8]]),
        f=_setitem,
        order=0,
    ),
    Row(
        "gather",
        (call((3, 4), (3, 2), dim=1), call((3, 4), (2, 4), dim=-2), call((3, 4), (0, 4), dim=0)),
        (REAL, integers(0, 3)),
        f=lambda t, x, index, dim: t.gather(x, dim, index),
    ),
    # Creation.
    Row("arange", tuple([Call((), a) for a in [(5,), (1, 7, 2), (0.0, 1.0, 0.25), (5, 0, -2), (3, 3)]]), order=0),
    Row("eye", tuple([Call((), a) for a in [(3,), (2, 4), (0,)]]), order=0),
    Row("full", tuple([Call((), a) for a in [((2, 3), 2.5), ((), 1), ((0,), True)]]), order=0),
    *[Row(name, tuple([Call((), a) for a in [(2, 3), ((2, 0),), ((),)]]), order=0) for name in ("ones", "zeros")],
    *[Row(name, UNARY, order=0) for name in ("ones_like", "zeros_like")],
    Row("full_like", tuple([call(s, args=(2.5,)) for s in SHAPES]), order=0),
    Row("tensor", tuple([Call((), (x,)) for x in _DATA]), order=0),
    Row("from_numpy", tuple([Call((), (np.arange(6, dtype=d).reshape(2, 3),)) for d in ("f4", "i4", "u1")]), order=0),
)

__all__ = ["ROWS", "Call", "Case", "Row", "cases"]
