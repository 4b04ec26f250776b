"""Rows of convolutions, pooling and batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Row, call
from tinygrad_edu.testing.table.common import as_float
from tinygrad_edu.testing.variants import POSITIVE, REAL

_FEW = as_float(lambda rng, shape, dtype: rng.choice([-np.inf, np.nan, -1.0, 0.0, 1.0], shape))

# Image, weight, and bias or none; kernels of one pixel, as large as the image, not square; groups up to one a channel.
_CONV2D = (
    call((2, 3, 5, 6), (4, 3, 3, 2), (4,)),
    call((3, 5, 6), (4, 3, 3, 2), (4,)),
    call((2, 3, 5, 6), (4, 3, 3, 3), padding=1),
    call((1, 2, 7, 6), (4, 2, 3, 3), (4,), stride=2, padding=1),
    call((2, 2, 9, 7), (2, 2, 2, 3), (2,), stride=(3, 2), padding=(1, 2), dilation=(2, 1)),
    call((2, 4, 5, 5), (6, 2, 3, 3), (6,), groups=2, padding=1),
    call((2, 3, 6, 5), (6, 1, 3, 3), (6,), groups=3, stride=2),
    call((2, 4, 5, 7), (4, 1, 3, 3), (4,), groups=4, padding=1),
    call((2, 5, 3, 4), (3, 5, 1, 1), (3,)),
    call((2, 3, 4, 5), (3, 3, 4, 5), (3,)),
    call((1, 1, 1, 1), (1, 1, 1, 1)),
    call((2, 3, 5, 6), (4, 3, 3, 3), (4,), padding="same"),
    call((2, 3, 6, 6), (4, 3, 3, 3), padding="valid"),
    call((2, 2, 9, 9), (3, 2, 3, 3), (3,), padding="same", dilation=2),
    call((2, 3, 11, 11), (5, 3, 4, 4), (5,), stride=3),
    call((1, 17, 6, 20), (33, 17, 3, 3), (33,), padding=1),
    call((0, 3, 5, 6), (4, 3, 3, 2), (4,)),
)
_CONV1D = (
    call((2, 3, 8), (4, 3, 3), (4,)),
    call((3, 8), (4, 3, 3)),
    call((2, 4, 9), (6, 2, 3), (6,), stride=2, padding=2, dilation=2, groups=2),
    call((2, 3, 8), (4, 3, 5), (4,), padding="same"),
    call((0, 3, 8), (4, 3, 3), (4,)),
)
_CONV_TRANSPOSE2D = (
    call((2, 3, 4, 5), (3, 4, 3, 2), (4,)),
    call((3, 4, 5), (3, 4, 3, 2)),
    call((2, 3, 4, 3), (3, 2, 3, 3), (2,), stride=2, padding=1, output_padding=1),
    call((2, 4, 3, 4), (4, 3, 2, 3), (6,), stride=(3, 2), padding=(0, 2), output_padding=(2, 0), groups=2),
    call((1, 2, 3, 3), (2, 2, 3, 2), (2,), dilation=(2, 3), padding=1),
    call((1, 2, 3, 3), (2, 2, 2, 2), output_padding=1, dilation=2),
    call((0, 3, 4, 5), (3, 4, 3, 2), (4,)),
)
_MAX_POOL = (
    call((2, 3, 6, 8), kernel_size=2),
    call((3, 6, 7), kernel_size=3),
    call((2, 3, 7, 8), kernel_size=(3, 2), stride=(2, 1), padding=1),
    call((2, 2, 7, 7), kernel_size=3, stride=2, padding=1, ceil_mode=True),
    call((2, 2, 5, 5), kernel_size=2, stride=3, ceil_mode=True),
    call((2, 2, 9, 8), kernel_size=2, stride=2, dilation=(3, 2), padding=(0, 1)),
    call((1, 2, 4, 5), kernel_size=(4, 5)),
    call((1, 1, 18, 19), kernel_size=17),
    call((0, 3, 6, 8), kernel_size=2),
)
_AVG_POOL = (
    call((2, 3, 6, 8), kernel_size=2),
    call((3, 6, 7), kernel_size=3),
    call((2, 3, 7, 8), kernel_size=(3, 2), stride=(2, 1), padding=1),
    call((2, 3, 7, 8), kernel_size=3, stride=2, padding=1, count_include_pad=False),
    call((2, 2, 7, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True),
    call((2, 2, 7, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    call((2, 2, 5, 5), kernel_size=2, stride=3, ceil_mode=True),
    call((2, 2, 5, 5), kernel_size=2, divisor_override=3),
    call((1, 2, 4, 5), kernel_size=(4, 5)),
    call((0, 3, 6, 8), kernel_size=2),
)
_ADAPTIVE = (
    call((2, 3, 6, 8), args=((3, 4),)),
    call((2, 3, 7, 5), args=((3, 4),)),
    call((3, 7, 5), args=(1,)),
    call((2, 1, 3, 2), args=((5, 2),)),
    call((2, 2, 6, 5), args=((None, 2),)),
    call((0, 2, 6, 5), args=(2,)),
)
_NORMED = ((4, 3), (2, 3, 4), (2, 3, 4, 5), (1, 3, 2, 2), (5, 1))


def _with_running(t: Any, x: Any, mean: Any, var: Any, *affine: Any, **settings: Any) -> Any:
    """batch_norm by given statistics, of which torch has no gradient."""
    return t.batch_norm(x, mean.detach(), var.detach(), *affine, **settings)


def _training(t: Any, x: Any, *affine: Any, **settings: Any) -> Any:
    return t.batch_norm(x, None, None, *affine, training=True, **settings)


def _following(t: Any, x: Any, mean: Any, var: Any, **settings: Any) -> Any:
    """What becomes of the running statistics; x itself is not asked for."""
    mean, var = mean.detach().clone(), var.detach().clone()
    t.batch_norm(x.detach(), mean, var, training=True, **settings)
    return mean, var


_ZERO_TIMES = "whether the padding's zeros are multiplied at all, 0 times inf, is torch's choice by shape"
_SCALED = "torch multiplies mean and weight first, and has inf - inf"
_SMALL = as_float(lambda rng, shape, dtype: rng.integers(0, 3, shape))
_INDICES = tuple([call(c.shapes[0], **dict(c.settings), return_indices=True) for c in _MAX_POOL])


def _channels(times: int, **settings: Any) -> tuple[Any, ...]:
    """Calls on an image and `times` vectors of its channels."""
    return tuple([call(s, *[s[1:2]] * times, **settings) for s in _NORMED])


ROWS = (
    Row("conv1d", _CONV1D, special=None, why=_ZERO_TIMES),
    Row("conv2d", _CONV2D, special=None, why=_ZERO_TIMES),
    Row("conv2d", _CONV2D[:1], label="no padding"),
    Row("conv_transpose2d", _CONV_TRANSPOSE2D, special=None, why=_ZERO_TIMES),
    Row("conv_transpose2d", _CONV_TRANSPOSE2D[:1], label="no padding"),
    Row("max_pool2d", _MAX_POOL),
    Row("max_pool2d", _MAX_POOL, _SMALL, label="ties"),
    Row("max_pool2d", _MAX_POOL, _FEW, label="NaN"),
    Row("max_pool2d", _INDICES, _FEW, order=0, label="indices"),
    Row("avg_pool2d", _AVG_POOL),
    Row("adaptive_avg_pool2d", _ADAPTIVE),
    Row("batch_norm", _channels(4), (REAL, REAL, POSITIVE, REAL), f=_with_running, special=None, why=_SCALED),
    Row("batch_norm", _channels(2, eps=0.1), (REAL, REAL, POSITIVE), f=_with_running, label="plain"),
    Row("batch_norm", _channels(2), f=_training, label="training", special=None, why=_SCALED),
    Row("batch_norm", _channels(0, eps=0.1), f=_training, label="training, plain"),
    Row("batch_norm", _channels(2, momentum=0.3), (REAL, REAL, POSITIVE), f=_following, order=0, label="running"),
)
