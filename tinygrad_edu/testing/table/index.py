"""Rows of the ops that pick elements, put them, and sort them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Row, call, calls
from tinygrad_edu.testing.table.common import DIMS, ONE_DIM, as_float
from tinygrad_edu.testing.variants import REAL, Shape, booleans, integers

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
    ((2, 3), True),
    ((2, 3), False),
    ((2, 3), (True, 0)),
    ((), True),
)
# Written: to what `KEYS` begins with, and to places given one by one, each once.
_WRITTEN: tuple[tuple[Shape, Any, Shape], ...] = (
    *[(shape, key, ()) for shape, key in KEYS[:8]],
    ((4, 3), np.array([2, 0, -1]), ()),
    ((4, 3), np.array([2, 0, -1]), (3, 3)),
    ((4, 3), np.array([2, 0, -1]), (3,)),
    ((3, 4), (slice(None), np.array([[1, 2], [0, 3]])), (3, 2, 2)),
    ((3, 4), (np.array([0, 2, 1]), np.array([1, 1, 1])), (3,)),
    ((3, 4), (np.array([0, 2, 1]), 1), (1,)),
    ((3, 4), np.array([True, False, True]), (2, 4)),
    ((3, 4), np.array([True, False, True]), (4,)),
    ((2, 3), np.array([[True, False, True], [False, False, True]]), ()),
    ((2, 3), np.array([[True, False, True], [False, False, True]]), (3,)),
    ((3, 4), np.zeros(0, np.int64), ()),
)


def _setitem(t: Any, x: Any, value: Any, key: Any) -> Any:
    out = x.clone()
    out[key] = value
    return out


# No two of an array's numbers are equal, so that their order is not left open.
_DISTINCT = as_float(lambda rng, shape, dtype: (rng.permutation(int(np.prod(shape))) / 4.0 - 1.0).reshape(shape))
_STABLE = tuple(
    [call(s, dim=d, descending=down, stable=True) for s, d in DIMS if isinstance(d, int) for down in (False, True)]
)
_TOPK = (
    *[call((3, 4), k=k, dim=dim, largest=largest) for k, dim in ((2, -1), (3, 0), (4, 1)) for largest in (True, False)],
    *[call((5,), k=3), call((), k=1), call((2, 0), k=0), call((3, 4), k=0), call((1,), k=1)],
)
_SCATTER = (
    *[call((3, 4), (3, 2), (3, 2), dim=1), call((3, 4), (2, 4), (2, 4), dim=-2), call((3, 4), (0, 4), (0, 4), dim=0)],
    *[call((3, 4), (5, 3), (5, 3), dim=0), call((4,), (6,), (6,), dim=0), call((3, 2, 2), (2, 1, 2), (2, 1, 2), dim=0)],
)
_MASKS: tuple[tuple[Shape, Shape], ...] = (
    *[((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 3), (2, 1)), ((), ()), ((0,), (0,)), ((4,), (3, 4)), ((3,), ())],
)

ROWS = (
    Row("getitem", tuple([call(s, args=(key,)) for s, key in KEYS]), f=lambda t, x, key: x[key]),
    Row("setitem", tuple([call(s, value, args=(key,)) for s, key, value in _WRITTEN]), f=_setitem, order=0),
    Row(
        "gather",
        (call((3, 4), (3, 2), dim=1), call((3, 4), (2, 4), dim=-2), call((3, 4), (0, 4), dim=0)),
        (REAL, integers(0, 3)),
        f=lambda t, x, index, dim: t.gather(x, dim, index),
    ),
    Row(
        "scatter_add",
        _SCATTER,
        (REAL, integers(0, 3), REAL),
        f=lambda t, x, index, source, dim: t.scatter_add(x, dim, index, source),
    ),
    Row(
        "scatter_add",
        (call((3, 4), (2, 4), (3, 5), dim=0), call((4,), (2,), (3,), dim=0)),
        (REAL, integers(0, 3), REAL),
        f=lambda t, x, index, source, dim: t.scatter_add(x, dim, index, source),
        label="larger source",
        order=0,  # torch fails to give the source a gradient of its own shape
    ),
    Row(
        "index_select",
        (call((3, 4), (5,), dim=0), call((2, 3, 4), (2,), dim=1), call((3, 4), (0,), dim=-2), call((3,), (), dim=0)),
        (REAL, integers(0, 3)),
        f=lambda t, x, index, dim: t.index_select(x, dim, index),
    ),
    Row(
        "take_along_dim",
        (call((3, 4), (3, 2), dim=1), call((3, 4), (5, 1), dim=0), call((3, 1), (1, 4), dim=0), call((3, 4), (6,))),
        (REAL, integers(0, 3)),
    ),
    Row("masked_fill", calls([m for m in _MASKS if m != ((4,), (3, 4))], 2.5), (REAL, booleans)),
    Row("masked_fill", calls([((4,), (3, 4))], -1), (REAL, booleans), label="broadcast"),
    Row("masked_fill", calls([(*m, ()) for m in _MASKS]), (REAL, booleans, REAL), label="0-d value"),
    Row("masked_select", calls(_MASKS), (REAL, booleans)),
    # Sorted.
    Row("sort", _STABLE, label="stable"),
    Row(
        "sort",
        (*ONE_DIM, call((3, 4)), call((3, 4), descending=True), call((0, 3), dim=0)),
        _DISTINCT,
        ties=None,
        why="torch leaves the order of equal elements open",
    ),
    Row("argsort", _STABLE, label="stable", order=0),
    Row(
        "argsort",
        (*ONE_DIM, call((3, 4)), call((3, 4), descending=True), call((0, 3), dim=0)),
        _DISTINCT,
        ties=None,
        order=0,
        why="torch leaves the order of equal elements open",
    ),
    Row("topk", _TOPK, _DISTINCT, ties=None, special=None, why="torch leaves open which of equal elements it takes"),
    Row(
        "topk",
        calls([((3, 4),)], 2),
        _DISTINCT,
        label="one NaN",
        f=lambda t, x, k: t.topk(t.cat([x, x[:, :1] * np.nan], 1), k),
        ties=None,
        special=None,
        why="torch leaves open which of equal elements it takes",
    ),
    Row("sort", calls([((3, 4),)]), integers(-3, 4), f=lambda t, x: t.sort(x, stable=True), label="integers", order=0),
    Row("sort", calls([((3, 4),)]), booleans, f=lambda t, x: t.sort(x, stable=True), label="bools", order=0),
    Row("one_hot", calls([((3,),), ((2, 3),), ((),)]), integers(0, 3), order=0),
    Row(
        "one_hot", calls([((3,),), ((2, 3),), ((),), ((0,),)], num_classes=4), integers(0, 3), order=0, label="classes"
    ),
)
