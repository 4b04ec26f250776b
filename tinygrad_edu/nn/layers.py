"""The layers of a multi-layer perceptron: Linear, activations, Dropout, Flatten."""

from __future__ import annotations

import math

from tinygrad_edu import Tensor, flatten, ops, zeros
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional import dropout, linear
from tinygrad_edu.nn.module import Module, Parameter


class Linear(Module):
    """x @ weight.T + bias: (..., in_features) -> (..., out_features).

    `weight` (out, in) and `bias` (out,) begin uniform within +-1/sqrt(in), as torch's do.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        for name, n in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(n, int) or n < 0:
                raise ValueError(f"Linear: expected {name} to be an int >= 0, got {n!r}")
        self.in_features, self.out_features = in_features, out_features
        bound = 1.0 / math.sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(init.uniform_(zeros(out_features, in_features), -bound, bound))
        self.bias = Parameter(init.uniform_(zeros(out_features), -bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        return ops.relu(x)


class Tanh(Module):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        return ops.sigmoid(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along `dim`."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        return ops.softmax(x, self.dim)


class Dropout(Module):
    """In training, zero each element with probability p and divide the rest by 1 - p; in evaluation do nothing."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"Dropout: expected a probability between 0 and 1, got p={p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """(B, a, b, ...) -> (B, a * b * ...), or the dimensions from `start_dim` to `end_dim` made one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(B, a, b, ...) -> (B, a * b * ...)."""
        return flatten(x, self.start_dim, self.end_dim)
