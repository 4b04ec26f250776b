"""Whether any, whether all; the largest with its place; products and differences along a dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.functions.select import ValuesAndIndices, found_at
from tinygrad_edu.functions.shape import squeeze
from tinygrad_edu.ops.agree import cast
from tinygrad_edu.ops.elementwise import eq, maximum, minimum, ne
from tinygrad_edu.ops.op import check_tensor
from tinygrad_edu.ops.reduce import Dims, _argmax, _argmin, amax, amin, position, reduced_dims, sum, wide
from tinygrad_edu.ops.shape import canonical_dim, cat, part


def any(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether there is an element other than 0 over `dim` (all dimensions by default); False of nothing."""
    check_tensor("any", x)
    found = sum(ne(x, 0), reduced_dims("any", dim, x.ndim), keepdim) > 0
    return cast(found, dtype=np.uint8) if x.data.dtype == np.uint8 else found  # torch: bool but for uint8


def all(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether there is no 0 over `dim` (all dimensions by default); True of nothing."""
    check_tensor("all", x)
    found = eq(sum(eq(x, 0), reduced_dims("all", dim, x.ndim), keepdim), 0)
    return cast(found, dtype=np.uint8) if x.data.dtype == np.uint8 else found


def cumprod(x: Any, dim: int) -> Any:
    """The products of the elements up to each one along `dim`, by doubling: 1, 2, 4, ... elements at a time."""
    check_tensor("cumprod", x)
    if not x.ndim:
        return wide(x).clone()
    dim, out, step = canonical_dim("cumprod", dim, x.ndim), wide(x), 1
    while step < x.shape[dim]:
        head, tail = part(out, dim, 0, step), part(out, dim, step, x.shape[dim])
        out = cat([head, tail * part(out, dim, 0, x.shape[dim] - step)], dim)
        step *= 2
    return out


def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along `dim`, taken n times, `prepend` and `append` joined to x before."""
    check_tensor("diff", x)
    dim = canonical_dim("diff", dim, x.ndim)
    if n < 0:
        raise ValueError(f"diff: expected n >= 0, got {n}")
    x = cat([t for t in (prepend, x, append) if t is not None], dim)
    for _ in range(n if x.shape[dim] > n else x.shape[dim]):
        left, right = part(x, dim, 0, x.shape[dim] - 1), part(x, dim, 1, x.shape[dim])
        x = right - left if x.data.dtype.kind != "b" else ne(right, left)
    return x


def _choice(name: str, which: str, of_all: Any, op: Any, of_two: Any) -> Any:
    def function(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Value):
            return of_two(x, dim)
        if dim is None:
            return of_all(x)
        indices = position(name, op, x, dim, keepdim=True)
        values, _ = found_at(x, dim, indices)
        if not keepdim and x.ndim:
            values, indices = squeeze(values, dim), squeeze(indices, dim)
        return ValuesAndIndices(values, indices)

    function.__name__ = name
    function.__doc__ = f"""The {which} element; with `dim`, (values, indices) along it, the first of equal ones.

    With a Tensor as second argument, `{of_two.__name__}` of the two."""
    return function


max = _choice("max", "largest", amax, _argmax, maximum)
min = _choice("min", "smallest", amin, _argmin, minimum)
