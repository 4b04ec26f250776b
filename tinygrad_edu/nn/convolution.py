"""Convolutions: conv1d, conv2d, and conv_transpose2d, which carries back what conv2d carries forth. Names are torch's.

Every output is the product of a window of the input with a kernel, the same kernel for all windows: a matrix product of
the weight, (O, C kh kw), with the windows, (C kh kw, rows columns). The readable bodies below say just that. They write
the windows out in memory, each pixel kh kw times; a backend's kernel need not.

In the formulas N images have C channels of H x W pixels; O are the channels that come out. With `groups` = G, channels
and kernels fall into G groups that know nothing of each other: O / G kernels see C / G channels. (As in torch and
everywhere in the field this is, strictly, a correlation: the kernel is not turned round.)

Sources: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998; K. Chellapilla et al. 2006
(windows and one matrix product); V. Dumoulin and F. Visin, "A guide to convolution arithmetic", 2016 (all the sizes).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import Tensor, matmul, permute, reshape
from tinygrad_edu.nn.padding import pad
from tinygrad_edu.nn.windows import Sides, counted, fold, padded, pair, windows, with_batch
from tinygrad_edu.ops.agree import check_float
from tinygrad_edu.ops.linalg import check_product
from tinygrad_edu.ops.op import fused

IntOrPair = int | tuple[int, ...]


def _check_weight(name: str, x: Any, weight: Any, bias: Any, groups: Any, transposed: bool) -> None:
    """Ranks, channels, groups and dtypes of a convolution's arguments (with images as a batch)."""
    check_float(name, x)  # first: of images that are still integers it says what to do
    check_product(name, x, weight, *([] if bias is None else [bias]))
    dims, sw = x.ndim - 2, weight.data.shape
    if len(sw) != dims + 2 or 0 in sw[2:]:
        form = ("in, out / groups" if transposed else "out, in / groups") + (", kh, kw" if dims == 2 else ", k")
        raise ValueError(f"{name}: expected a weight of shape ({form}), got {sw} for an input of shape {x.shape}")
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"{name}: expected groups to be an int >= 1, got {groups!r}")
    channels = x.data.shape[1]
    expected = sw[0] if transposed else sw[1] * groups
    if channels != expected or sw[0] % groups:
        raise ValueError(
            f"{name}: a weight of shape {sw} with {groups} groups takes {expected} channels, and its dimension 0 must "
            f"be a multiple of {groups}; the input of shape {x.shape} has {channels} channels"
        )
    out = sw[1] * groups if transposed else sw[0]
    if bias is not None and bias.data.shape != (out,):
        raise ValueError(f"{name}: expected a bias of shape ({out},) for a weight of {sw}, got {bias.shape}")


def conv_sides(name: str, padding: Any, size: Any, stride: Any, dilation: Any) -> Sides:
    """Padding as torch takes it, an int, a pair, 'valid' or 'same', for each of the four sides."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":  # as many outputs as inputs; the odd one goes to the bottom and to the right
        if stride != (1, 1):
            raise ValueError(f"{name}: padding 'same' needs a stride of 1, got {stride}")
        h, w = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        return h // 2, h - h // 2, w // 2, w - w // 2
    if isinstance(padding, str):
        raise ValueError(f"{name}: expected padding to be a number, a pair, 'valid' or 'same', got {padding!r}")
    h, w = pair(name, "padding", padding, least=0)
    return h, h, w, w


def _checked(*args: Any, **settings: Any) -> None:
    """The fused ops below are called by functions that have checked everything."""


@fused(_checked)
def _conv2d(x, weight, bias=None, *, stride, padding, dilation, groups):
    """(N, C, H, W), (O, C / G, kh, kw), (O,) -> (N, O, rows, columns)."""
    out, channels, kh, kw = weight.shape
    w = windows(padded(x, padding), size=(kh, kw), stride=stride, dilation=dilation)  # (N, C, rows, columns, kh, kw)
    n, _, rows, columns = w.shape[:4]
    w = reshape(permute(w, 0, 1, 4, 5, 2, 3), n, groups, channels * kh * kw, rows * columns)
    y = reshape(matmul(reshape(weight, groups, out // groups, channels * kh * kw), w), n, out, rows, columns)
    return y if bias is None else y + reshape(bias, out, 1, 1)


@fused(_checked)
def _conv_transpose2d(x, weight, bias=None, *, stride, padding, dilation, groups):
    """(N, C, H, W), (C, O / G, kh, kw), (O,) -> (N, O, rows, columns): each pixel spread by the kernel, and added up.

    `padding` is what is cut off at the four sides; a negative number adds to them.
    """
    n, channels, h, w = x.shape
    _, out, kh, kw = weight.shape
    weight = reshape(weight, groups, channels // groups, out * kh * kw)
    y = matmul(weight.mT, reshape(x, n, groups, channels // groups, h * w))  # (N, G, O / G kh kw, H W)
    y = permute(reshape(y, n, groups * out, kh, kw, h, w), 0, 1, 4, 5, 2, 3)
    whole = [(m - 1) * s + d * (k - 1) + 1 for m, k, s, d in zip((h, w), (kh, kw), stride, dilation, strict=True)]
    y = fold(y, shape=tuple(whole), stride=stride, dilation=dilation)
    if any(padding):
        top, bottom, left, right = padding
        y = pad(y, (-left, -right, -top, -bottom))
    return y if bias is None else y + reshape(bias, groups * out, 1, 1)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Kernels slid over images: (N, C, H, W), (O, C / groups, kh, kw), (O,) -> (N, O, rows, columns).

    rows = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, and so for the columns; a single image (C, H, W) gives
    (O, rows, columns). `padding` are zeros on every side, 'valid' for none or 'same' for as many as keep the size.
    ValueError for shapes that do not fit and a kernel larger than the image; TypeError for dtypes that differ.

    >>> import tinygrad_edu as tg
    >>> conv2d(tg.ones(1, 1, 3, 3), tg.ones(1, 1, 2, 2)).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    x = with_batch("conv2d", input, 2)
    _check_weight("conv2d", x, weight, bias, groups, False)
    size = (weight.shape[2], weight.shape[3])
    steps, spread = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    sides = conv_sides("conv2d", padding, size, steps, spread)
    counted("conv2d", x.shape, size, steps, sides, spread)
    out = _conv2d(x, weight, bias, stride=steps, padding=sides, dilation=spread, groups=int(groups))
    return out if input is x else reshape(out, *out.shape[1:])


def _single(name: str, setting: str, value: Any) -> Any:
    """A setting along one dimension, an int or a sequence of one; strings as they are."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise TypeError(f"{name}: expected {setting} to be an int or a sequence of one, got {value!r}")
        return value[0]
    return value


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """`conv2d` along one dimension: (N, C, L), (O, C / groups, k), (O,) -> (N, O, length), or without N."""
    name = "conv1d"
    x = with_batch(name, input, 1)
    _check_weight(name, x, weight, bias, groups, False)
    size = (1, weight.shape[2])
    steps = (1, *pair(name, "stride", _single(name, "stride", stride))[1:])
    spread = (1, *pair(name, "dilation", _single(name, "dilation", dilation))[1:])
    sides = (0, 0, *conv_sides(name, _single(name, "padding", padding), size, steps, spread)[2:])
    counted(name, (*x.shape[:-1], 1, x.shape[-1]), size, steps, sides, spread)  # one row
    image, kernel = [reshape(t, *t.shape[:2], 1, t.shape[2]) for t in (x, weight)]
    out = _conv2d(image, kernel, bias, stride=steps, padding=sides, dilation=spread, groups=int(groups))
    return reshape(out, *(out.shape[:2] if input is x else out.shape[1:2]), out.shape[3])


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """The adjoint of `conv2d` by the same weight: (N, C, H, W), (C, O / groups, kh, kw), (O,) -> (N, O, rows, columns).

    rows = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1: the size of image that `conv2d` makes H
    rows of. Several sizes give H where stride > 1, and `output_padding` chooses among them. ValueError for shapes that
    do not fit and for a result without pixels.
    """
    name = "conv_transpose2d"
    x = with_batch(name, input, 2)
    _check_weight(name, x, weight, bias, groups, True)
    steps, spread = pair(name, "stride", stride), pair(name, "dilation", dilation)
    cut, more = pair(name, "padding", padding, least=0), pair(name, "output_padding", output_padding, least=0)
    for axis in (0, 1):
        limit = max(steps[axis], spread[axis])
        if more[axis] >= limit:
            raise ValueError(f"{name}: expected output_padding below stride or dilation, {limit}, got {more[axis]}")
        whole = (x.shape[axis - 2] - 1) * steps[axis] + spread[axis] * (weight.shape[axis - 2] - 1) + 1
        if x.shape[axis - 2] < 1 or whole + more[axis] - 2 * cut[axis] < 1:
            raise ValueError(f"{name}: nothing is left of dimension {axis - 2} of {x.shape} with padding {cut}")
    sides = (cut[0], cut[0] - more[0], cut[1], cut[1] - more[1])
    out = _conv_transpose2d(x, weight, bias, stride=steps, padding=sides, dilation=spread, groups=int(groups))
    return out if input is x else reshape(out, *out.shape[1:])
