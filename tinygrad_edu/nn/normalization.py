"""Normalisation of one sample's features: layer_norm, rms_norm, group_norm, and their layers, under torch's names.

    layer_norm(x) = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias        mean and variance over the last dimensions
    rms_norm(x)   = x / sqrt(mean(x^2) + eps) * weight                        no mean taken off, no bias

`layer_norm` and `rms_norm` are fused ops; `group_norm` is a layer_norm of groups of channels. Batch normalisation,
whose statistics go over samples, is in a file of its own.

Sources: J. Ba, J. Kiros, G. Hinton, "Layer Normalization", 2016; B. Zhang and R. Sennrich, "Root Mean Square Layer
Normalization", 2019; Y. Wu and K. He, "Group Normalization", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, mean, ones, reshape, rsqrt, zeros
from tinygrad_edu.nn.activations import number
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.ops.agree import check_float, check_same_dtype
from tinygrad_edu.ops.op import check_same_backend, fused


def _check(name: str, input: Any, shape: tuple[int, ...], parameters: dict[str, Any]) -> None:
    """That `shape` is how the input's shape ends, and the shape of the parameters that are given."""
    given = {key: value for key, value in parameters.items() if value is not None}
    check_same_backend(name, (input, *given.values()))
    check_float(name, input)
    if not shape or input.shape[len(input.shape) - len(shape) :] != shape:
        ends = ", ".join(["..."] + [str(n) for n in shape])
        raise ValueError(f"{name}: expected input of shape ({ends}), as normalized_shape says, got {input.shape}")
    for key, value in given.items():
        if value.shape != shape:
            raise ValueError(f"{name}: expected {key} of shape {shape}, got {value.shape}")
    check_same_dtype(name, input, *given.values())


def _shape(name: str, normalized_shape: Any) -> tuple[int, ...]:
    """`normalized_shape`, an int or a sequence of them, as a tuple. TypeError if it is neither."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise TypeError(f"{name}: expected normalized_shape to be an int >= 0 or several, got {normalized_shape!r}")
    return tuple(shape)


def _nothing(*args: Any, **settings: Any) -> None:
    """The public functions below have checked all."""


@fused(_nothing)
def _layer_norm(input, weight=None, bias=None, *, dims, eps):
    """(..., D), (D,), (D,) -> (..., D), D standing for the last `dims` dimensions."""
    axes = tuple(range(-dims, 0))
    centred = input - mean(input, axes, keepdim=True)
    out = centred * rsqrt(mean(centred * centred, axes, keepdim=True) + eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


@fused(_nothing)
def _rms_norm(input, weight=None, *, dims, eps):
    """(..., D), (D,) -> (..., D), D standing for the last `dims` dimensions."""
    out = input * rsqrt(mean(input * input, tuple(range(-dims, 0)), keepdim=True) + eps)
    return out if weight is None else out * weight


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """input with mean 0 and variance 1 over the last dimensions, times weight, plus bias. Any shape, unchanged.

    `normalized_shape` is the shape of these dimensions, and of weight and bias. ValueError where it does not fit.
    """
    shape = _shape("layer_norm", normalized_shape)
    _check("layer_norm", input, shape, {"weight": weight, "bias": bias})
    settings = {"dims": len(shape), "eps": number("layer_norm", "eps", eps)}
    if weight is None and bias is not None:
        return _layer_norm(input, **settings) + bias
    return _layer_norm(input, weight, bias, **settings)


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input divided by the root of its mean square over the last dimensions, times weight. Any shape, unchanged.

    `eps` is added under the root; None stands for the dtype's smallest step, as in torch. ValueError for a shape that
    does not fit.
    """
    shape = _shape("rms_norm", normalized_shape)
    _check("rms_norm", input, shape, {"weight": weight})
    eps = float(np.finfo(input.dtype).eps) if eps is None else number("rms_norm", "eps", eps)
    return _rms_norm(input, weight, dims=len(shape), eps=eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(N, C, ...) with mean 0 and variance 1 in each of `num_groups` groups of channels; weight and bias are (C,).

    ValueError if the channels do not divide into the groups.
    """
    given = {key: value for key, value in (("weight", weight), ("bias", bias)) if value is not None}
    check_same_backend("group_norm", (input, *given.values()))
    check_float("group_norm", input)
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: expected input (N, C, ...) with C divisible by {num_groups} groups, got {input.shape}"
        )
    n, channels = input.shape[:2]
    size = math.prod(input.shape[2:]) * (channels // num_groups)
    if n * size == 1:
        raise ValueError(f"group_norm: more than one value a group is needed, got {input.shape} of {num_groups} groups")
    grouped = reshape(input, n, num_groups, size)
    out = reshape(_layer_norm(grouped, dims=1, eps=number("group_norm", "eps", eps)), input.shape)
    for key, value in given.items():
        if value.shape != (channels,):
            raise ValueError(f"group_norm: expected {key} of shape ({channels},), got {value.shape}")
        each = reshape(value, channels, *[1] * (input.ndim - 2))
        out = out * each if key == "weight" else out + each
    return out


class LayerNorm(Module):
    """`layer_norm` over the last dimensions; `weight` begins as ones, `bias` as zeros. Any shape, unchanged."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape, self.eps = _shape("LayerNorm", normalized_shape), eps
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None
        self.bias = Parameter(zeros(self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """Any shape that ends in `normalized_shape`, unchanged."""
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine, bias = self.weight is not None, self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias}"


class RMSNorm(Module):
    """`rms_norm` over the last dimensions; `weight` begins as ones. Any shape, unchanged."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        self.normalized_shape, self.eps = _shape("RMSNorm", normalized_shape), eps
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None

    def forward(self, input: Tensor) -> Tensor:
        """Any shape that ends in `normalized_shape`, unchanged."""
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"


class GroupNorm(Module):
    """`group_norm` of (N, num_channels, ...); `weight` (C,) begins as ones, `bias` (C,) as zeros."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels do not divide into {num_groups} groups")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """(N, num_channels, ...), unchanged. ValueError for another number of channels."""
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm: expected input (N, {self.num_channels}, ...), got {input.shape}")
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine, bias = self.weight is not None, self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={affine}, bias={bias}"
