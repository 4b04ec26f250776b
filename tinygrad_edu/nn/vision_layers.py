"""Layers for images: convolutions, pooling, batch normalisation; torch's names, arguments and `state_dict` keys."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from tinygrad_edu import Tensor, no_grad, ones, tensor, zeros
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.convolution import conv_sides
from tinygrad_edu.nn.function_layers import FunctionLayer
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.nn.windows import pair

IntOrPair = int | tuple[int, ...]
PADDINGS = ("zeros", "reflect", "replicate", "circular")


class Convolution(Module):
    """Base of the convolutions: the weight, (out, in / groups, *kernel) or (in, out / groups, *kernel), and the bias.

    Both begin uniform within +-1/sqrt(fan in), as torch's do, fan in = weight.shape[1] times the kernel's elements.
    """

    dims: ClassVar[int] = 2
    transposed: ClassVar[bool] = False

    def _make(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any, groups: int, bias: bool
    ) -> None:
        name = type(self).__name__
        for key, n in (("in_channels", in_channels), ("out_channels", out_channels)):
            if not isinstance(n, int) or n < 1 or not isinstance(groups, int) or groups < 1 or n % groups:
                raise ValueError(f"{name}: expected {key} to be a positive multiple of groups={groups!r}, got {n!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = self._sizes("kernel_size", kernel_size)
        self.stride, self.dilation = self._sizes("stride", stride), self._sizes("dilation", dilation)
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(zeros(first, second // groups, *self.kernel_size))
        bound = 1.0 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        self.bias = Parameter(init.uniform_(zeros(out_channels), -bound, bound)) if bias else None

    def _sizes(self, setting: str, value: Any, least: int = 1) -> tuple[int, ...]:
        """One int for each spatial dimension."""
        return pair(type(self).__name__, setting, value, least)[-self.dims :]

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        return ", ".join(parts)


class _Forth(Convolution):
    """A convolution forth: what Conv1d and Conv2d have in common."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        if padding_mode not in PADDINGS:
            raise ValueError(f"{type(self).__name__}: expected padding_mode {PADDINGS}, got {padding_mode!r}")
        self._make(in_channels, out_channels, kernel_size, stride, dilation, groups, bias)
        self.padding = padding if isinstance(padding, str) else self._sizes("padding", padding, 0)
        self.padding_mode = padding_mode
        self._sides()  # refuses what cannot be

    def _sides(self) -> list[int]:
        """What `F.pad` is to add, from the last dimension on."""
        two = [(1,) * (2 - self.dims) + v for v in (self.kernel_size, self.stride, self.dilation)]
        padding = self.padding if isinstance(self.padding, str) else (0,) * (2 - self.dims) + self.padding
        top, bottom, left, right = conv_sides(type(self).__name__, padding, *two)
        return [left, right, top, bottom][: 2 * self.dims]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, *spatial) -> (N, out_channels, *spatial), or without N."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._sides(), self.padding_mode), (0,) * self.dims
        function = F.conv1d if self.dims == 1 else F.conv2d
        return function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Forth):
    """Kernels slid along a sequence: (N, in_channels, L) -> (N, out_channels, length), or without N. See `F.conv1d`."""

    dims = 1


class Conv2d(_Forth):
    """Kernels slid over images: (N, in_channels, H, W) -> (N, out_channels, rows, columns), or without N.

    `padding` are zeros on each side, 'valid' or 'same'; `padding_mode` fills them otherwise ('reflect', 'replicate',
    'circular'). See `F.conv2d`.
    """


class ConvTranspose2d(Convolution):
    """The adjoint of a Conv2d: (N, in_channels, H, W) -> (N, out_channels, rows, columns). See `F.conv_transpose2d`."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        output_padding: IntOrPair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrPair = 1,
    ) -> None:
        self._make(in_channels, out_channels, kernel_size, stride, dilation, groups, bias)
        self.padding = self._sizes("padding", padding, 0)
        self.output_padding = self._sizes("output_padding", output_padding, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, rows, columns), or without N."""
        steps = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(x, self.weight, self.bias, *steps)


class MaxPool2d(FunctionLayer):
    """The largest element of each window, (N, C, H, W) -> (N, C, rows, columns). See `F.max_pool2d`."""

    function = F.max_pool2d

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, return_indices)


class AvgPool2d(FunctionLayer):
    """The mean of each window, (N, C, H, W) -> (N, C, rows, columns). See `F.avg_pool2d`."""

    function = F.avg_pool2d


class AdaptiveAvgPool2d(FunctionLayer):
    """The means of `output_size` nearly equal parts, (N, C, H, W) -> (N, C, rows, columns)."""

    function = F.adaptive_avg_pool2d


class BatchNorm(Module):
    """Base of the batch normalisations: each channel brought to mean 0 and variance 1, scaled and shifted.

    `weight` begins at 1 and `bias` at 0; without `affine` there is neither, without `bias` no bias. The buffers
    `running_mean` and `running_var` follow the batches in training, by `momentum` or, if that is None, as their plain
    average; evaluation uses them. `num_batches_tracked` counts.
    """

    ranks: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        if not isinstance(num_features, int) or num_features < 0:
            raise ValueError(f"{type(self).__name__}: expected num_features to be an int >= 0, got {num_features!r}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine and bias else None
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features))
            self.register_buffer("running_var", ones(num_features))
            self.register_buffer("num_batches_tracked", tensor(np.array(0)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_features, ...), unchanged."""
        if x.ndim not in self.ranks:
            listed = " or ".join(map(str, self.ranks))
            raise ValueError(f"{type(self).__name__}: expected an input of {listed} dimensions, got shape {x.shape}")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked += 1
            if self.momentum is None:
                momentum = 1.0 / self.num_batches_tracked.item()
        batch = self.training or self.running_mean is None
        running = (self.running_mean, self.running_var)
        return F.batch_norm(x, *running, self.weight, self.bias, batch, momentum, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"


class BatchNorm1d(BatchNorm):
    """(N, C) or (N, C, L), normalised over all but C. See `F.batch_norm`."""

    ranks = (2, 3)


class BatchNorm2d(BatchNorm):
    """(N, C, H, W), normalised over all but C. See `F.batch_norm`."""

    ranks = (4,)
