"""Shapes, dims and calls that rows of several kinds share."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Row, call, calls
from tinygrad_edu.testing.variants import PAIRS, SHAPES, Domain, Shape, integers

UNARY_SHAPES = [(s,) for s in SHAPES]
UNARY = calls(UNARY_SHAPES)
BINARY = calls(PAIRS)
TRIPLES: tuple[tuple[Shape, Shape, Shape], ...] = (
    ((3, 4), (3, 4), (3, 4)),
    ((), (), ()),
    ((3, 1), (4,), ()),
    ((2,), (3, 1), (1, 2)),
    ((0,), (1,), ()),
)
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


def as_float(domain: Domain) -> Domain:
    """The domain's numbers in the case's own dtype."""
    return lambda rng, shape, dtype: np.asarray(domain(rng, shape, dtype)).astype(dtype)


FEW = as_float(integers(-1, 2))  # -1, 0, 1: equal ones, zeros and truths among them


def reduced(name: str) -> Any:
    """A row's function for ops whose `dim` torch wants left out, rather than None."""

    def f(t: Any, x: Any, dim: Any = None, **settings: Any) -> Any:
        return getattr(t, name)(x, **({} if dim is None else {"dim": dim}), **settings)

    return f


def rows(names: str, *args: Any, **settings: Any) -> list[Row]:
    """One row for each of the names, which are separated by blanks."""
    return [Row(name, *args, **settings) for name in names.split()]
