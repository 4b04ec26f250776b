"""Windows that slide over the last dimensions: what convolution and pooling are made of.

`windows` shows every window of an array as dimensions of its own, without copying; `fold` is its adjoint and adds the
windows up again where they came from. Each is the other's gradient rule. Below them stand the settings that
convolutions and pools share: an int or a pair, one for the rows and one for the columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import reshape
from tinygrad_edu.ops.op import check_tensor, op, view_op
from tinygrad_edu.ops.shape import _pad

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # what is added at the top, at the bottom, at the left, at the right


@view_op
def windows(x, *, size, stride, dilation):
    """(..., H, W) -> (..., rows, columns, *size): one window each `stride`, its elements `dilation` apart."""
    return x.backend.windows(x.data, size, stride, dilation)


@op
def fold(x, *, shape, stride, dilation):
    """(..., rows, columns, kh, kw) -> (..., *shape): every window added where `windows` would have taken it from."""
    return x.backend.fold(x.data, shape, stride, dilation)


windows.vjp = lambda g, shapes, size, stride, dilation: fold(
    g, shape=shapes[0][-len(size) :], stride=stride, dilation=dilation
)
fold.vjp = lambda g, shapes, shape, stride, dilation: windows(
    g, size=shapes[0][-len(shape) :], stride=stride, dilation=dilation
)


def pair(name: str, setting: str, value: Any, least: int = 1) -> Pair:
    """A setting as a pair of ints, given as one int or as two. TypeError and ValueError name it and what came."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(given) == 1:
        given *= 2
    if len(given) != 2 or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in given):
        raise TypeError(f"{name}: expected {setting} to be an int or a pair of ints, got {value!r}")
    if min(given) < least:
        raise ValueError(f"{name}: expected {setting} >= {least}, got {value}")
    return int(given[0]), int(given[1])


def with_batch(name: str, x: Any, dims: int) -> Any:
    """x as a batch: (C, *spatial) -> (1, C, *spatial), with `dims` spatial dimensions. ValueError for other shapes."""
    check_tensor(name, x)
    if x.ndim not in (dims + 1, dims + 2):
        form = "C, H, W" if dims == 2 else "C, L"
        raise ValueError(f"{name}: expected an input of shape (N, {form}) or ({form}), got {x.shape}")
    return x if x.ndim == dims + 2 else reshape(x, 1, *x.shape)


def counted(name: str, shape: Any, size: Pair, stride: Pair, padding: Sides, dilation: Pair) -> Pair:
    """The rows and columns of windows that fit. ValueError if none does: says which dimension is too small."""
    counts = []
    for axis in (0, 1):
        span, pads = dilation[axis] * (size[axis] - 1) + 1, padding[2 * axis] + padding[2 * axis + 1]
        n = shape[axis - 2]
        if n + pads < span:
            raise ValueError(
                f"{name}: a kernel of {size}, dilation {dilation}, spans {span} elements of dimension {axis - 2}, "
                f"which has {n} in shape {shape}, with padding {n + pads}"
            )
        counts.append((n + pads - span) // stride[axis] + 1)
    return counts[0], counts[1]


def padded(x: Any, padding: Sides) -> Any:
    """x with zeros around its last two dimensions: (..., H, W) -> (..., top + H + bottom, left + W + right)."""
    if not any(padding):
        return x
    top, bottom, left, right = padding
    h, w = x.shape[-2:]
    key = (*[slice(0, n) for n in x.shape[:-2]], slice(top, top + h), slice(left, left + w))
    return _pad(x, shape=(*x.shape[:-2], top + h + bottom, left + w + right), key=key)
