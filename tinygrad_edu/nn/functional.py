"""The functions behind the layers, under torch's names."""

from __future__ import annotations

from tinygrad_edu import Tensor
from tinygrad_edu.nn.losses import cross_entropy
from tinygrad_edu.ops import cast, linear, log_softmax, logsumexp, relu, sigmoid, softmax, tanh
from tinygrad_edu.random import rand

__all__ = ["cross_entropy", "dropout", "linear", "log_softmax", "logsumexp", "relu", "sigmoid", "softmax", "tanh"]


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """x with each element zeroed with probability p, the rest divided by 1 - p; x itself if not `training`.

    ValueError unless 0 <= p <= 1. Source: N. Srivastava et al., "Dropout", JMLR 15, 2014.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: expected a probability between 0 and 1, got p={p}")
    if not training or p == 0.0:
        return x
    mask = cast(rand(x.shape, dtype=x.dtype, backend=x.backend) >= p, dtype=x.dtype)
    return x * (mask * (1.0 / (1.0 - p) if p < 1.0 else 0.0))
