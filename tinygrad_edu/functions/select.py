"""Ops that pick elements by index or mask, sort them, or take diagonals and triangles: made of indexing and `where`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.functions.shape import movedim
from tinygrad_edu.ops.agree import broadcast_shapes, cast, check_same_dtype
from tinygrad_edu.ops.elementwise import add, check_mask, where
from tinygrad_edu.ops.index import check_index, getitem, put_add, take
from tinygrad_edu.ops.op import check_same_backend, check_tensor, unrecorded_op
from tinygrad_edu.ops.shape import canonical_dim, expand, flip, part, permute, reshape


class ValuesAndIndices(NamedTuple):
    """What `sort(x)` and `max(x, dim)` give: the values, and where they were found (int64)."""

    values: Any
    indices: Any


def _grids(name: str, x: Any, dim: int, index: Any) -> list[Any]:
    """For each dimension of x the positions that `index`, given along `dim`, stands for."""
    check_same_backend(name, (x, index))
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected an integer Tensor as index, got {index.dtype}")
    if index.ndim != x.ndim or any(i > x.shape[d] for d, i in enumerate(index.shape) if d != dim):
        raise ValueError(f"{name}: index of shape {index.shape} does not fit shape {x.shape} along dim {dim}")
    check_index(name, index, x.shape[dim], dim, 0)
    return _beside(index, dim)


def _beside(index: Any, dim: int) -> list[Any]:
    """`index`, and in the place of each dimension but `dim` that dimension's positions."""
    grids = _positions_along(index.backend, index.data.shape)
    return [*grids[:dim], index, *grids[dim + 1 :]]


@lru_cache(maxsize=1000)
def _positions_along(backend: Any, shape: tuple[int, ...]) -> list[Any]:
    """For each dimension 0, 1, ... up to its size, in its place among dimensions of size 1."""
    shapes = [[n if i == d else 1 for i in range(len(shape))] for d, n in enumerate(shape)]
    grids = [np.arange(n).reshape(s) for n, s in zip(shape, shapes, strict=True)]
    return [Value.kind(backend.from_numpy(grid), backend) for grid in grids]


def found_at(x: Any, dim: int, indices: Any) -> ValuesAndIndices:
    """What `indices`, known to be right, stand for along `dim`, and the indices."""
    if not x.ndim:
        return ValuesAndIndices(x.clone(), indices)
    return ValuesAndIndices(take(x, *_beside(indices, canonical_dim("gather", dim, x.ndim))), indices)


def gather(x: Any, dim: int, index: Any) -> Any:
    """out[i, j, ...] = x[i, index[i, j, ...], ...] for dim=1, and so on; out has the shape of `index`.

    `index` has as many dimensions as x, and no more than x's size in those other than `dim`.
    """
    if x.ndim == 0:
        return reshape(gather(reshape(x, 1), dim, reshape(index, 1)), ())
    return take(x, *_grids("gather", x, dim := canonical_dim("gather", dim, x.ndim), index))


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """x with src[i, j, ...] added at [i, index[i, j, ...], ...] for dim=1, and so on; as often as an index comes.

    `index` has as many dimensions as x and `src`, is nowhere larger than `src`, nor than x but for `dim`.
    """
    check_same_dtype("scatter_add", x, src)
    if x.ndim == 0:
        return x + reshape(src, ())
    grids = _grids("scatter_add", x, canonical_dim("scatter_add", dim, x.ndim), index)
    if src.ndim != x.ndim or any(i > n for i, n in zip(index.shape, src.shape, strict=True)):
        raise ValueError(f"scatter_add: src of shape {src.shape} is too small for an index of {index.shape}")
    for d, n in enumerate(index.shape):
        src = src if src.shape[d] == n else part(src, d, 0, n)
    return add(x, put_add(src, *grids, shape=x.shape))


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The parts of x along `dim` at the places in `index`, a vector of integers."""
    check_same_backend("index_select", (x, index))
    if index.ndim > 1 or index.dtype.kind not in "iu":
        raise TypeError(f"index_select: expected a vector of integers, got {index.dtype} of shape {index.shape}")
    index = reshape(index, -1) if index.ndim == 0 else index
    if x.ndim == 0:
        return reshape(index_select(reshape(x, 1), dim, index), ())
    dim = canonical_dim("index_select", dim, x.ndim)
    check_index("index_select", index, x.shape[dim], dim, 0)
    return getitem(x, (*[slice(None)] * dim, index))


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with x and `indices` broadcast but for `dim`; without `dim`, x[indices] of the flattened two."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"take_along_dim: expected integers as indices, got {indices.dtype}")
    if dim is None:
        return gather(reshape(x, -1), 0, reshape(indices, -1))
    dim = canonical_dim("take_along_dim", dim, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError(f"take_along_dim: expected indices with {x.ndim} dimensions, got shape {indices.shape}")
    rest = [(*t.shape[:dim], 1, *t.shape[dim + 1 :]) for t in (x, indices)]
    shape = broadcast_shapes("take_along_dim", *rest)
    x, indices = [expand(t, (*shape[:dim], t.shape[dim], *shape[dim + 1 :])) for t in (x, indices)]
    return gather(x, dim, indices)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """`value`, a number or 0-d Tensor, where `mask` (bool) is true, x elsewhere, in x's dtype; both broadcast."""
    check_mask("masked_fill", mask)
    if isinstance(value, Value) and value.data.shape:
        raise ValueError(f"masked_fill: expected a number or a 0-d Tensor as value, got shape {value.data.shape}")
    if isinstance(value, float) and x.data.dtype.kind != "f":
        raise TypeError(f"masked_fill: {value} does not fit into a Tensor of {x.data.dtype}")
    broadcast_shapes("masked_fill", mask.shape, x.shape)
    if x.data.dtype.kind == "b":
        value = bool(value)
    return where(mask, cast(value, dtype=x.data.dtype) if isinstance(value, Value) else value, x)


def masked_select(x: Any, mask: Any) -> Any:
    """The elements of x where `mask` (bool) is true, in one dimension; both broadcast."""
    check_mask("masked_select", mask)
    shape = broadcast_shapes("masked_select", x.shape, mask.shape)
    return getitem(expand(x, shape), expand(mask, shape))


@unrecorded_op
def _argsort(x, *, dim):
    return x.backend.argsort(x.data, dim)


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices (int64) that sort x along `dim`, equal elements in their order, NaN counting as largest."""
    return _order("argsort", x, dim, descending)


def _order(name: str, x: Any, dim: int, descending: bool) -> Any:
    check_tensor(name, x)
    if x.ndim == 0:
        return reshape(_order(name, reshape(x, 1), dim, descending), ())
    dim = canonical_dim(name, dim, x.ndim)
    if not descending:
        return _argsort(x, dim=dim)
    return x.shape[dim] - 1 - flip(_argsort(flip(x, dim), dim=dim), dim)  # turned twice, equal ones keep their order


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices): x sorted along `dim`, equal elements in their order, NaN counting as largest."""
    indices = _order("sort", x, dim, descending)
    return found_at(x, dim, indices)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices): the k largest (or smallest) elements along `dim`, in order whatever `sorted` is."""
    check_tensor("topk", x)
    if x.ndim == 0:
        return ValuesAndIndices(*[reshape(t, x.shape) for t in topk(reshape(x, 1), k, dim)])
    dim = canonical_dim("topk", dim, x.ndim)
    if not 0 <= k <= x.shape[dim]:
        raise ValueError(f"topk: expected k from 0 to {x.shape[dim]}, the size of dimension {dim}, got {k}")
    indices = part(_order("topk", x, dim, largest), dim, 0, k)
    return found_at(x, dim, indices)


# Diagonals and triangles.


def _positions(x: Any, *index: np.ndarray) -> list[Any]:
    return [Value.kind(x.backend.from_numpy(i), x.backend) for i in index]


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The elements x[..., i, ..., i + offset, ...] along `dim1` and `dim2`, as a new last dimension."""
    check_tensor("diagonal", x)
    a, b = canonical_dim("diagonal", dim1, x.ndim), canonical_dim("diagonal", dim2, x.ndim)
    if a == b:
        raise ValueError(f"diagonal: expected two different dims, got {dim1} and {dim2}")
    n = max(0, min(x.shape[a] + min(offset, 0), x.shape[b] - max(offset, 0)))
    i = np.arange(n)
    taken = take(
        permute(x, a, b, *[d for d in range(x.ndim) if d not in (a, b)]),
        *_positions(x, i - min(offset, 0), i + max(offset, 0)),
    )
    return movedim(taken, 0, -1)


def diag(x: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    check_tensor("diag", x)
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {x.shape}")
    if x.ndim == 2:
        return _diagonal(x, diagonal)
    i, size = np.arange(x.shape[0]), x.shape[0] + abs(diagonal)
    return put_add(x, *_positions(x, i - min(diagonal, 0), i + max(diagonal, 0)), shape=(size, size))


_diagonal = diagonal  # `diag` has an argument of that name


def trace(x: Any) -> Any:
    """The sum of a matrix's diagonal."""
    check_tensor("trace", x)
    if x.ndim != 2:
        raise ValueError(f"trace: expected a matrix, got shape {x.shape}")
    return diagonal(x).sum()


def _triangle(name: str, doc: str, inside: Any) -> Any:
    def triangle(x: Any, diagonal: int = 0) -> Any:
        check_tensor(name, x)
        if x.ndim < 2:
            raise ValueError(f"{name}: expected at least 2 dimensions, got shape {x.shape}")
        return where(mask(x.backend, *x.shape[-2:], diagonal), x, 0 if x.data.dtype.kind != "b" else False)

    @lru_cache(maxsize=8)
    def mask(backend: Any, rows: int, columns: int, diagonal: int) -> Any:
        i, j = np.ogrid[:rows, :columns]
        return Value.kind(backend.from_numpy(inside(j - i, diagonal)), backend)

    triangle.__name__, triangle.__doc__ = name, doc
    return triangle


tril = _triangle(
    "tril", "Matrices (..., m, n) with zeros above the diagonal that is `diagonal` above the main one.", np.less_equal
)
triu = _triangle(
    "triu",
    "Matrices (..., m, n) with zeros below the diagonal that is `diagonal` above the main one.",
    np.greater_equal,
)
