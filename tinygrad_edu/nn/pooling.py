"""Pooling: the largest, or the average, of each window. Names, sizes, ties and NaN are torch's.

A window takes part if it begins within the image or the padding before it. By default the last one must also end there;
with `ceil_mode` it may reach beyond. Padding is never the largest, and counts in an average only if it is asked to
(`count_include_pad`); what lies beyond the padding never counts.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, index_select, reshape, where
from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.nn.windows import Pair, Sides, counted, padded, pair, windows, with_batch
from tinygrad_edu.ops.agree import check_float
from tinygrad_edu.ops.index import take
from tinygrad_edu.ops.op import fused, unrecorded_op

IntOrPair = int | tuple[int, ...]


def _placed(
    name: str, shape: Any, size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Sides, Pair]:
    """Padding on each side such that exactly the windows that take part fit, and how many rows and columns they are."""
    sides: list[int] = []
    for axis in (0, 1):
        n, k, s, p = shape[axis - 2], size[axis], stride[axis], padding[axis]
        if 2 * p > k:
            raise ValueError(f"{name}: expected padding of at most half the kernel's size, got {padding} and {size}")
        room = n + 2 * p - dilation[axis] * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # the last one would begin beyond the image
            count -= 1
        sides += [p, p + (max(0, (count - 1) * s - room) if count > 0 else 0)]
    found = (sides[0], sides[1], sides[2], sides[3])
    return found, counted(name, shape, size, stride, found, dilation)


def _unchecked(*args: Any, **settings: Any) -> None:
    """The fused ops below are called by functions that have checked everything."""


# The largest.


@lru_cache(maxsize=100)
def _places(shape: Pair, size: Pair, stride: Pair, padding: Sides, dilation: Pair, counts: Pair) -> np.ndarray:
    """Where each window's elements are in the image, row * W + column; -1 in the padding: (rows, columns, kh kw)."""
    lines = []
    for axis in (0, 1):
        at = np.arange(counts[axis])[:, None] * stride[axis] - padding[2 * axis]
        line = at + np.arange(size[axis]) * dilation[axis]  # (rows, kh), (columns, kw)
        lines.append(np.where((line >= 0) & (line < shape[axis]), line, -1))
    row, column = lines[0][:, None, :, None], lines[1][None, :, None, :]
    return np.where((row < 0) | (column < 0), -1, row * shape[1] + column).reshape(*counts, size[0] * size[1])


@unrecorded_op
def _largest(x, *, kernel_size, stride, padding, dilation, counts):
    """Where each window's largest element is in its image, row * W + column: (N, C, H, W) -> (N, C, rows, columns).

    As in torch: the first of equal ones, the last of several NaN.
    """
    b, shape, axis = x.backend, x.data.shape, (4,)
    places = b.from_numpy(_places(shape[2:], kernel_size, stride, padding, dilation, counts))
    each = b.windows(padded(x, padding).data, kernel_size, stride, dilation)
    each = b.reshape(each, (*shape[:2], *counts, math.prod(kernel_size)))
    inside = b.less(-1, places)
    each = b.where(inside, each, -math.inf)
    top = b.max(each, axis, True)  # NaN if there is one
    hit = b.mul(inside, b.maximum(b.equal(each, top), b.equal(b.equal(each, each), False)))
    last = b.max(b.where(hit, places, -1), axis, False)
    first = b.mul(b.max(b.where(hit, b.mul(places, -1), -shape[2] * shape[3]), axis, False), -1)
    return b.where(b.reshape(b.equal(top, top), last.shape), first, last)


@fused(_unchecked)
def _max_pool2d(x, *, kernel_size, stride, padding, dilation, counts):
    """(N, C, H, W) -> (N, C, rows, columns)."""
    at = _largest(x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, counts=counts)
    n, c, h, w = x.shape
    images = Value.kind(x.backend.from_numpy(np.arange(n * c).reshape(n, c, 1, 1) * (h * w)), x.backend)
    return take(reshape(x, n * c * h * w), at + images)


def max_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window: (N, C, H, W) -> (N, C, rows, columns), or without N.

    `stride` is the kernel's size by default. Of equal elements the first gets the gradient, of several NaN the last.
    With `return_indices` also where they were, row * W + column (int64). ValueError for windows that do not fit.
    """
    name = "max_pool2d"
    x = with_batch(name, input, 2)
    check_float(name, x)
    size, spread = pair(name, "kernel_size", kernel_size), pair(name, "dilation", dilation)
    steps = pair(name, "stride", size if stride is None or stride == () else stride)
    sides, counts = _placed(name, x.shape, size, steps, pair(name, "padding", padding, 0), spread, ceil_mode)
    settings: dict[str, Any] = {"kernel_size": size, "stride": steps, "padding": sides, "dilation": spread}
    settings["counts"] = counts
    if any(sides) and spread != (1, 1) and _places(x.shape[-2:], *list(settings.values())).max(-1).min() < 0:
        raise ValueError(f"{name}: with padding {padding} and dilation {spread} a window lies in the padding alone")
    out = _max_pool2d(x, **settings)
    out = out if input is x else reshape(out, *out.shape[1:])
    return (out, reshape(_largest(x, **settings), out.shape)) if return_indices else out


# The average.


@lru_cache(maxsize=100)
def _divisors(shape: Pair, size: Pair, stride: Pair, padding: Sides, counts: Pair, counting: Pair) -> np.ndarray:
    """How many elements of each window count: (rows, columns). `counting` is how far outside of the image they do."""
    lines = []
    for axis in (0, 1):
        start = np.arange(counts[axis]) * stride[axis] - padding[2 * axis]
        stop = np.minimum(start + size[axis], shape[axis] + counting[axis])
        lines.append(stop - np.maximum(start, -counting[axis]))
    return lines[0][:, None] * lines[1]


def _constant(b: Backend, array: np.ndarray, dtype: np.dtype) -> Array:
    return b.from_numpy(array.astype(dtype))


@fused(_unchecked)
def _avg_pool2d(x, *, kernel_size, stride, padding, counts, counting, divisor):
    """(N, C, H, W) -> (N, C, rows, columns)."""
    total = windows(padded(x, padding), size=kernel_size, stride=stride, dilation=(1, 1)).sum((-2, -1))
    if divisor is not None:
        return total / divisor
    each = _divisors(x.shape[-2:], kernel_size, stride, padding, counts, counting)
    return total / Value.kind(_constant(x.backend, each, x.dtype), x.backend)


def avg_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: (N, C, H, W) -> (N, C, rows, columns), or without N.

    `stride` is the kernel's size by default. With `count_include_pad` the zeros of the padding count as elements;
    `divisor_override` is divided by instead of their number. ValueError for windows that do not fit.
    """
    name = "avg_pool2d"
    x = with_batch(name, input, 2)
    check_float(name, x)
    if divisor_override is not None and (not isinstance(divisor_override, int) or divisor_override == 0):
        raise ValueError(f"{name}: expected divisor_override to be an int other than 0, got {divisor_override!r}")
    size, around = pair(name, "kernel_size", kernel_size), pair(name, "padding", padding, 0)
    steps = pair(name, "stride", size if stride is None or stride == () else stride)
    sides, counts = _placed(name, x.shape, size, steps, around, (1, 1), ceil_mode)
    out = _avg_pool2d(
        x,
        kernel_size=size,
        stride=steps,
        padding=sides,
        counts=counts,
        counting=around if count_include_pad else (0, 0),
        divisor=divisor_override,
    )
    return out if input is x else reshape(out, *out.shape[1:])


def _averaged(x: Any, dim: int, n: int) -> Any:
    """n averages along `dim`: the i-th of the elements from floor(i m / n) to ceil((i + 1) m / n) of its m."""
    m = x.shape[dim]
    starts, stops = [i * m // n for i in range(n)], [-(-(i + 1) * m // n) for i in range(n)]
    longest = max([stop - start for start, stop in zip(starts, stops, strict=True)], default=0)
    at = np.array(starts, np.int64)[:, None] + np.arange(longest)  # (n, longest)
    inside = at < np.array(stops, np.int64)[:, None]
    index = Value.kind(x.backend.from_numpy(np.where(inside, at, 0).reshape(-1)), x.backend)
    shape = (*x.shape[:dim], n, longest, *x.shape[dim + 1 :])
    lengths = inside.sum(1).reshape(n, *[1] * (x.ndim - dim - 1))
    mask = Value.kind(x.backend.from_numpy(inside.reshape(n, longest, *[1] * (x.ndim - dim - 1))), x.backend)
    total = where(mask, reshape(index_select(x, dim, index), shape), 0.0).sum(dim + 1)
    return total / Value.kind(_constant(x.backend, lengths, x.dtype), x.backend)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Averages of nearly equal parts, `output_size` of them: (N, C, H, W) -> (N, C, rows, columns), or without N.

    The i-th of n parts of m rows reaches from floor(i m / n) to ceil((i + 1) m / n). In a pair, None keeps a size.
    """
    name = "adaptive_avg_pool2d"
    x = with_batch(name, input, 2)
    check_float(name, x)
    asked = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    sizes = [n if size is None else size for n, size in zip(x.shape[-2:], asked, strict=False)]
    rows, columns = pair(name, "output_size", asked if len(asked) != 2 else sizes, 0)
    if 0 in x.shape[1:]:
        raise ValueError(f"{name}: expected channels, rows and columns, got shape {x.shape}")
    h, w = x.shape[-2:]
    if rows and columns and h % rows == 0 and w % columns == 0:
        out = avg_pool2d(x, (h // rows, w // columns))
    else:
        out = _averaged(_averaged(x, 2, rows), 3, columns)
    return out if input is x else reshape(out, *out.shape[1:])
