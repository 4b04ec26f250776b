"""Rows of products, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Row, call, calls
from tinygrad_edu.testing.table.common import rows
from tinygrad_edu.testing.variants import Shape, integers

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
_LINEAR = tuple(
    [
        call((*lead, i), (o, i), *[(o,)] * bias)
        for lead in ((), (3,), (2, 3), (0,), (17,))
        for bias in (0, 1)
        for i, o in _rng.integers(1, 40, (2, 2)).tolist()
    ]
)
_ADDED: tuple[tuple[Shape, Shape, Shape], ...] = (
    *[((2, 4), (2, 3), (3, 4)), ((4,), (2, 3), (3, 4)), ((), (2, 3), (3, 4)), ((2, 1), (2, 3), (3, 4))],
    *[((2, 3), (2, 0), (0, 3)), ((1, 1), (1, 1), (1, 1)), ((0, 2), (0, 3), (3, 2))],
)
_EINSUM: tuple[tuple[Any, ...], ...] = (
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij -> ji", (2, 3)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ij", (3, 3, 2)),
    ("i,i", (4,), (4,)),
    ("i,j->ij", (2,), (3,)),
    ("i,j->ji", (2,), (0,)),
    (",ij->ij", (), (2, 3)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("bhqd,bhkd->bhqk", (2, 1, 3, 4), (2, 1, 2, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 2)),
    ("...ij,...jk", (3, 1, 2, 3), (2, 3, 2)),
    ("i...->...", (2, 3, 4)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("ij,ij->ij", (2, 3), (1, 3)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 2)),
    ("ij,j->i", (2, 0), (0,)),
    ("ijk,ilm,njm,nlk,abc->", (2, 3, 2), (2, 2, 2), (2, 3, 2), (2, 2, 2), (1, 1, 1)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("Ab,bA->A", (2, 3), (3, 2)),
)
_TENSORDOT = (
    *[
        call((2, 3), (3, 4), dims=1),
        call((2, 3, 4), (3, 4, 2), dims=2),
        call((2, 3), (4,), dims=0),
        call((), (), dims=0),
    ],
    *[call((2, 3, 4), (4, 2, 5), dims=([2, 0], [0, 1])), call((3, 4), (4, 3), dims=([-1], [0])), call((2, 3), (2, 3))],
    *[call((0, 3), (3, 2), dims=1), call((2, 0), (0, 3), dims=1)],
)

ROWS = (
    Row("matmul", calls(MATRICES)),
    Row("matmul", calls(MATRICES[:8]), integers(-3, 4), label="integers", order=0),
    Row("mm", calls([((2, 3), (3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((1, 1), (1, 1))])),
    Row("mv", calls([((2, 3), (3,)), ((0, 3), (3,)), ((2, 0), (0,)), ((1, 1), (1,))])),
    Row("bmm", calls([((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((2, 3, 0), (2, 0, 1)), ((1, 1, 1), (1, 1, 1))])),
    Row("dot", calls([((5,), (5,)), ((0,), (0,)), ((1,), (1,))])),
    Row("outer", calls([((3,), (4,)), ((0,), (2,)), ((1,), (1,))])),
    *rows("mm", calls([((2, 3), (3, 4))]), integers(-3, 4), label="integers", order=0),
    Row("addmm", calls(_ADDED)),
    Row("addmm", calls(_ADDED[:3], beta=0.5, alpha=-2.0), label="scaled"),
    Row("addmm", calls(_ADDED[:1], beta=0), label="beta 0", order=1, why="torch records 0 * g, which depends on g"),
    Row(
        "einsum",
        tuple([call(*shapes, equation=equation) for equation, *shapes in _EINSUM]),
        f=lambda t, *xs, equation: t.einsum(equation, *xs),
    ),
    Row("tensordot", _TENSORDOT),
    Row("linear", _LINEAR),
)
