"""Rows of the ops that move elements, and leave them as they are."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.testing.rows import Call, Row, call, calls
from tinygrad_edu.testing.table.common import UNARY, rows
from tinygrad_edu.testing.variants import Shape, booleans, integers


def _each(*pairs: tuple[Shape, tuple[Any, ...]]) -> tuple[Call, ...]:
    """One call for each (shape, arguments)."""
    return tuple([call(shape, args=args) for shape, args in pairs])


def _joined(name: str) -> Row:
    """The row of an op that takes a sequence of Tensors."""
    shapes: list[Any] = [([(2, 3)] * 3, 0), ([(2, 3)] * 2, -1), ([(2, 3)], 1), ([(0, 3)] * 2, 1), ([(1,)] * 4, 0)]
    if name == "cat":
        shapes += [([(2, 3), (4, 3)], 0), ([(2, 0, 3), (2, 2, 3), (2, 1, 3)], 1)]
    if name == "stack":
        shapes += [([(), ()], 0), ([(2, 3)] * 2, 2)]
    return Row(name, tuple([call(*s, dim=dim) for s, dim in shapes]), f=lambda t, *xs, dim: getattr(t, name)(xs, dim))


_SIZES = _each(((3, 1), (3, 4)), ((), (2, 3)), ((1, 4), (2, 1, 4)), ((1,), (0,)), ((2, 3), (2, 3)))
_REPEATS = _each(
    ((2, 3), (2, 1)), ((2, 3), (2, 1, 2)), ((3,), (4,)), ((), (2,)), ((), ()), ((2, 3), (0, 2)), ((0,), (3,))
)
_PARTS = ((5, 3), (6,), (2, 4, 3), (1,), (0, 2))
_SQUARES: tuple[Shape, ...] = ((3, 4), (4, 3), (3, 3), (2, 3, 4), (0, 3), (1, 1), (2, 3, 3, 2))
_TRIANGLES = (*calls([(s,) for s in _SQUARES]), *[call(s, diagonal=k) for s in _SQUARES[:4] for k in (-4, -1, 1, 2)])
_DIAGONALS = (
    *calls([(s,) for s in _SQUARES]),
    *[call((3, 4), offset=k) for k in (-3, -2, 1, 2, 4)],
    *[call((2, 3, 4), offset=1, dim1=0, dim2=2), call((2, 3, 4), dim1=-1, dim2=0), call((2, 3, 3), dim1=-2, dim2=-1)],
)

ROWS = (
    _joined("cat"),
    _joined("stack"),
    Row("expand", _SIZES, f=lambda t, x, *sizes: x.expand(*sizes)),
    Row("expand", _each(((1, 4), (2, -1, 4))), f=lambda t, x, *sizes: x.expand(*sizes), label="kept"),
    Row("broadcast_to", tuple([call(*c.shapes, args=(c.args,)) for c in _SIZES])),
    Row("flatten", (call((2, 3, 4)), call(()), call((2, 3, 4), args=(1,)), call((2, 3, 4), args=(0, 1)))),
    Row("unflatten", _each(((6, 2), (0, (2, 3))), ((2, 6), (-1, (3, -1))), ((0, 2), (0, (0, 3))), ((4,), (0, (4,))))),
    Row("ravel", UNARY),
    Row("flip", _each(((2, 3), ((0, 1),)), ((2, 3), ((-1,),)), ((), ((),)), ((0, 2), ((0,),)), ((2, 3), ([0],)))),
    Row("permute", _each(((2, 3, 4), ((2, 0, 1),)), ((), ((),)), ((2, 0), ((-1, 0),)))),
    Row("movedim", _each(((2, 3, 4), (0, 2)), ((2, 3, 4), ((0, -1), (1, 0))), ((2, 0), (0, 1)), ((3,), (0, 0)))),
    Row("reshape", _each(((2, 6), ((3, -1),)), ((), ((1, 1),)), ((0, 2), ((4, 0),)))),
    Row("reshape", _each(((2, 6), (3, -1)), ((1,), (1, 1, 1))), f=lambda t, x, *sizes: x.view(*sizes), label="view"),
    Row("squeeze", (call((2, 1, 3, 1)), call((2, 1, 3, 1), args=(1,)), call((2, 3), args=(0,)), call((), args=(0,)))),
    Row("squeeze", _each(((2, 1, 3, 1), ((1, -1),)), ((2, 1, 3), ((0, 1),))), label="dims"),
    Row("transpose", _each(((2, 3, 4), (0, 2)), ((2, 3), (-1, -2)), ((2, 0), (1, 0)), ((), (0, -1)))),
    Row("transpose", calls([((2, 3),), ((2, 3, 4),), ((0, 2),)]), f=lambda t, x: x.mT, label="mT"),
    Row("transpose", calls([((2, 3),), ((0, 2),)]), f=lambda t, x: x.T, label="T"),
    Row("unsqueeze", _each(((2, 3), (0,)), ((2, 3), (-1,)), ((), (0,)), ((0,), (1,)))),
    # Repeated.
    Row("repeat", tuple([c for c in _REPEATS if c.args]), f=lambda t, x, *sizes: x.repeat(*sizes)),
    Row("tile", (*[call(*c.shapes, args=(c.args,)) for c in _REPEATS], *_each(((2, 3), ((2,),)), ((2, 3), ((),))))),
    # Parts.
    Row("split", tuple([call(s, args=(n,)) for s in _PARTS for n in (1, 2, 4, 7)])),
    Row("split", (call((5, 3), args=([2, 0, 3],)), call((2, 4), args=([1, 3],), dim=-1)), label="sizes"),
    Row("chunk", tuple([call(s, args=(n,)) for s in _PARTS for n in (1, 2, 4, 7)])),
    Row("chunk", (call((2, 5), args=(3,), dim=1), call((2, 5, 3), args=(2,), dim=-2)), label="dim"),
    Row("unbind", (call((3, 4)), call((2, 3), dim=-1), call((3,)), call((2, 0)))),
    # Moved round, and cut.
    Row("roll", _each(((3, 4), (1,)), ((3, 4), (-5, 0)), ((3, 4), ((1, 2), (0, 1))), ((2, 0), (1, 0)), ((5,), (7, 0)))),
    Row("roll", _each(((), (1,)), ((0,), (2,)), ((3, 4), ((1, 2), (-1, -1))), ((2, 3), (0, 1))), label="edges"),
    Row(
        "diag",
        (
            *calls([((4,),), ((3, 4),), ((0,),), ((1,),)]),
            *[call(s, diagonal=k) for s in ((3,), (3, 4)) for k in (-2, 1)],
        ),
    ),
    Row("diagonal", _DIAGONALS),
    Row("trace", calls([((3, 3),), ((2, 4),), ((1, 1),), ((0, 2),)])),
    *rows("tril triu", _TRIANGLES),
    # Other dtypes.
    *rows("tril triu trace diag", calls([((3, 3),)]), integers(-4, 5), label="integers", order=0),
    Row("roll", _each(((3, 3), (1, 0))), booleans, label="bools", order=0),
)
