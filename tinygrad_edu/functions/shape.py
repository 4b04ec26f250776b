"""Rearranging: parts of a Tensor, repetitions, dimensions moved, made of `reshape`, `permute`, `expand` and slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from tinygrad_edu.ops.op import check_tensor
from tinygrad_edu.ops.shape import (
    as_shape,
    canonical_dim,
    canonical_dims,
    cat,
    expand,
    part,
    permute,
    reshape,
)


def ravel(x: Any) -> Any:
    """x in one dimension."""
    check_tensor("ravel", x)
    return reshape(x, math.prod(x.data.shape))


def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Any:
    """x with dimension `dim` split into `sizes`, one of which may be -1."""
    check_tensor("unflatten", x)
    dim, shape = canonical_dim("unflatten", dim, x.ndim), x.data.shape
    known = math.prod([n for n in sizes if n != -1])
    sizes = [shape[dim] // (known or 1) if n == -1 else n for n in sizes]
    if not sizes or math.prod(sizes) != shape[dim]:
        raise ValueError(f"unflatten: dimension {dim} of size {shape[dim]} does not split into {tuple(sizes)}")
    return reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :]))


def movedim(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """x with the dimensions `source` moved to the places `destination`; the others keep their order."""
    check_tensor("movedim", x)
    old, new = canonical_dims("movedim", source, x.ndim), canonical_dims("movedim", destination, x.ndim)
    if len(old) != len(new):
        raise ValueError(f"movedim: expected as many destinations as sources, got {source} and {destination}")
    rest = iter([d for d in range(x.ndim) if d not in old])
    return permute(x, [old[new.index(d)] if d in new else next(rest) for d in range(x.ndim)])


def broadcast_to(x: Any, size: Sequence[int]) -> Any:
    """x broadcast to the shape `size`: `expand` for one sequence."""
    return expand(x, tuple(size))


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
    return tuple([part(x, dim, end - n, end) for n, end in zip(sections, accumulate(sections), strict=True)])


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
    if not all(isinstance(n, int) and n >= 0 for n in times):
        raise ValueError(f"tile: expected ints >= 0, got {times}")
    times = (1,) * (x.ndim - len(times)) + times
    shape = (1,) * (len(times) - x.ndim) + x.data.shape
    apart = [k for n in shape for k in (1, n)]  # a, b -> 1, a, 1, b, where each 1 is repeated
    copies = expand(reshape(x, apart), [k for t, n in zip(times, shape, strict=True) for k in (t, n)])
    return reshape(copies, [t * n for t, n in zip(times, shape, strict=True)])


def repeat(x: Any, *repeats: Any) -> Any:
    """x repeated so many times along each dimension; there must be as many numbers as dimensions, or more."""
    if len(times := as_shape(repeats)) < x.ndim or min(times, default=0) < 0:
        raise ValueError(f"repeat: expected a number >= 0 for each of the {x.ndim} dimensions, got {times}")
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
            x = cat([part(x, dim, n - shift % n, n), part(x, dim, 0, n - shift % n)], dim)
    return x


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """x with the dimensions from `start_dim` to `end_dim` made one."""
    check_tensor("flatten", x)
    shape = x.data.shape or (1,)
    start, end = canonical_dim("flatten", start_dim, len(shape)), canonical_dim("flatten", end_dim, len(shape))
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """x without its dimensions of size 1 (those among `dim`, if given)."""
    check_tensor("squeeze", x)
    drop = canonical_dims("squeeze", dim, x.ndim)
    return reshape(x, tuple([n for i, n in enumerate(x.data.shape) if n != 1 or i not in drop]))


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors, all of one shape, joined along a new dimension `dim`."""
    if not tensors:
        raise TypeError("stack: expected a non-empty sequence of Tensors")
    shapes = {x.shape for x in tensors}
    if len(shapes) > 1:
        raise ValueError(f"stack: expected Tensors of one shape, got {sorted(shapes)}")
    dim = canonical_dim("stack", dim, tensors[0].ndim + 1)
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def unsqueeze(x: Any, dim: int) -> Any:
    """x with a dimension of size 1 put in at `dim`."""
    check_tensor("unsqueeze", x)
    dim = canonical_dim("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x.data.shape[:dim], 1, *x.data.shape[dim:]))


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """x with two dimensions exchanged."""
    check_tensor("transpose", x)
    if x.ndim == 0 and {dim0, dim1} <= {0, -1}:
        return permute(x)  # torch lets a 0-d Tensor have a dimension 0
    a, b = canonical_dim("transpose", dim0, x.ndim), canonical_dim("transpose", dim1, x.ndim)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return permute(x, order)
