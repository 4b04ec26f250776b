"""Initialisations, torch's names and formulas; each fills a Tensor in place and returns it.

Sources: X. Glorot and Y. Bengio, AISTATS 2010 (xavier); K. He et al., ICCV 2015 (kaiming).
"""

from __future__ import annotations

import math

from tinygrad_edu import Tensor, no_grad, use_backend
from tinygrad_edu.random import rand, randn


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform between a and b."""
    with no_grad():
        return tensor.copy_(rand(tensor.shape, dtype=tensor.dtype, backend=tensor.backend) * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with the given mean and standard deviation."""
    with no_grad(), use_backend(tensor.backend.name):
        return tensor.copy_(randn(tensor.shape, dtype=tensor.dtype) * std + mean)


def constant_(tensor: Tensor, value: float) -> Tensor:
    """The same value everywhere."""
    with no_grad():
        return tensor.fill_(value)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output sees, and the other way round, for a weight (out, in, kernel...)."""
    if tensor.ndim < 2:
        raise ValueError(f"init: expected a weight with at least 2 dimensions (out, in, ...), got shape {tensor.shape}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def gain(nonlinearity: str, a: float = 0.01) -> float:
    """The factor that keeps the variance of activations from layer to layer, by nonlinearity, as in torch."""
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3.0,
        "relu": math.sqrt(2.0),
        "leaky_relu": math.sqrt(2.0 / (1.0 + a * a)),
    }
    if nonlinearity not in gains:
        raise ValueError(f"init: unknown nonlinearity '{nonlinearity}'; there are {', '.join(gains)}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform within +-gain * sqrt(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform within +-gain * sqrt(3 / fan_in); `a` is the slope of a leaky ReLU."""
    bound = gain(nonlinearity, a) * math.sqrt(3.0 / fans(tensor)[0])
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal with std gain / sqrt(fan_in); `a` is the slope of a leaky ReLU."""
    return normal_(tensor, 0.0, gain(nonlinearity, a) / math.sqrt(fans(tensor)[0]))
