"""Ops that join Tensors, take one apart, or repeat it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.autograd import Value
from tinygrad_edu.ops.agree import result_type
from tinygrad_edu.ops.op import check_same_backend, check_tensor, op
from tinygrad_edu.ops.shape import as_shape, canonical_dim, expand, part, reshape, unsqueeze


@op
def _concat(*xs, dim):
    return xs[0].backend.concat([x.data for x in xs], dim)


def _concat_vjp(g, shapes, dim, needs):
    ends = [sum(shape[dim] for shape in shapes[: i + 1]) for i in range(len(shapes))]
    return [
        part(g, dim, end - shape[dim], end) if need else None
        for shape, end, need in zip(shapes, ends, needs, strict=True)
    ]


_concat.vjp = _concat_vjp


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors joined along `dim`; all other sizes must agree. ValueError names the tensor that differs."""
    if not tensors or not all(isinstance(x, Value) for x in tensors):
        raise TypeError("cat: expected a non-empty sequence of Tensors")
    check_same_backend("cat", tensors)
    dtype = result_type(*tensors)
    tensors = [x for x in tensors if x.shape != (0,)] or tensors[:1]  # torch passes over empty vectors
    first = tensors[0]
    dim = canonical_dim("cat", dim, first.ndim)
    for i, x in enumerate(tensors):
        if x.ndim != first.ndim or any(
            m != n for d, (m, n) in enumerate(zip(x.shape, first.shape, strict=True)) if d != dim
        ):
            raise ValueError(
                f"cat: along dim {dim}, tensor {i} of shape {x.shape} does not fit tensor 0 of {first.shape}"
            )
    return _concat(*[x.to(dtype) for x in tensors], dim=dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors, all of one shape, joined along a new dimension `dim`."""
    if not tensors:
        raise TypeError("stack: expected a non-empty sequence of Tensors")
    shapes = {x.shape for x in tensors}
    if len(shapes) > 1:
        raise ValueError(f"stack: expected Tensors of one shape, got {sorted(shapes)}")
    dim = canonical_dim("stack", dim, tensors[0].ndim + 1)
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """x in parts along `dim`: of one size, the last perhaps smaller, or of the sizes given, which must add up."""
    check_tensor("split", x)
    dim = canonical_dim("split", dim, x.ndim)
    size, sections = x.data.shape[dim], split_size_or_sections
    if isinstance(sections, int):
        if sections < 0 or (sections == 0 and size):
            raise ValueError(f"split: expected a size > 0, got {sections}")
        sections = [min(sections, size - at) for at in range(0, size, sections or 1)] or [0]
    if sum(sections) != size or min(sections, default=0) < 0:
        raise ValueError(f"split: expected sizes >= 0 that add up to {size}, got {list(sections)}")
    ends = [sum(sections[: i + 1]) for i in range(len(sections))]
    return tuple([part(x, dim, end - n, end) for n, end in zip(sections, ends, strict=True)])


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """x in at most so many parts along `dim`, all of one size but perhaps the last."""
    check_tensor("chunk", x)
    if chunks < 1:
        raise ValueError(f"chunk: expected at least 1 chunk, got {chunks}")
    size = x.data.shape[canonical_dim("chunk", dim, x.ndim)]
    return split(x, -(-size // chunks) if size else [0] * chunks, dim)


def unbind(x: Any, dim: int = 0) -> tuple[Any, ...]:
    """The parts of x along `dim`, without that dimension."""
    check_tensor("unbind", x)
    dim = canonical_dim("unbind", dim, x.ndim)
    rest = (*x.data.shape[:dim], *x.data.shape[dim + 1 :])
    return tuple([reshape(part(x, dim, i, i + 1), rest) for i in range(x.data.shape[dim])])


def tile(x: Any, *dims: Any) -> Any:
    """x repeated so many times along each dimension; with fewer numbers, along the last dimensions."""
    check_tensor("tile", x)
    times = as_shape(dims)
    if any(n < 0 for n in times):
        raise ValueError(f"tile: expected repeats >= 0, got {times}")
    times = (1,) * (x.ndim - len(times)) + times
    shape = (1,) * (len(times) - x.ndim) + x.data.shape
    apart = [k for n in shape for k in (1, n)]  # a, b -> 1, a, 1, b, where each 1 is repeated
    copies = expand(reshape(x, apart), [k for t, n in zip(times, shape, strict=True) for k in (t, n)])
    return reshape(copies, [t * n for t, n in zip(times, shape, strict=True)])


def repeat(x: Any, *repeats: Any) -> Any:
    """x repeated so many times along each dimension; there must be as many numbers as dimensions, or more."""
    if len(as_shape(repeats)) < x.ndim:
        raise ValueError(f"repeat: expected a number for each of the {x.ndim} dimensions, got {as_shape(repeats)}")
    return tile(x, *repeats)


def roll(x: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """x moved on by `shifts` along `dims`, what falls off coming in at the front; flattened for it without `dims`."""
    check_tensor("roll", x)
    if dims is None:
        return reshape(roll(reshape(x, math.prod(x.data.shape)), shifts, 0), x.data.shape)
    steps, axes = [(n,) if isinstance(n, int) else tuple(n) for n in (shifts, dims)]
    if len(steps) != len(axes):
        raise ValueError(f"roll: expected as many shifts as dims, got {shifts} and {dims}")
    for shift, axis in zip(steps, axes, strict=True):
        dim = canonical_dim("roll", axis, x.ndim)
        n = x.data.shape[dim]
        if n and shift % n:
            x = _concat(part(x, dim, n - shift % n, n), part(x, dim, 0, n - shift % n), dim=dim)
    return x
