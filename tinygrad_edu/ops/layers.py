"""Ops that layers are made of, beyond plain arithmetic."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.ops.elementwise import cast
from tinygrad_edu.ops.linalg import check_same_dtype, matmul
from tinygrad_edu.ops.op import fused
from tinygrad_edu.ops.random import rand


def _check_linear(x: Any, weight: Any, bias: Any = None) -> None:
    sx, sw = x.data.shape, weight.data.shape
    if len(sw) != 2 or not sx or sx[-1] != sw[1]:
        raise ValueError(
            f"linear: expected input (..., in) and weight (out, in), got {sx} and {sw}"
            + (
                f": dimension -1 of the input is {sx[-1]}, dimension 1 of the weight is {sw[1]}"
                if sx and len(sw) == 2
                else ""
            )
        )
    if bias is not None and bias.data.shape != sw[:1]:
        raise ValueError(f"linear: expected bias of shape {sw[:1]} for weight {sw}, got {bias.data.shape}")
    check_same_dtype("linear", x, weight, *([] if bias is None else [bias]))


@fused(_check_linear)
def linear(x, weight, bias=None):
    """x @ weight.T + bias: (..., in), (out, in), (out,) -> (..., out). The layout of the weight is torch's."""
    out = matmul(x, weight.T)
    return out if bias is None else out + bias


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """x with each element zeroed with probability p, the rest divided by 1 - p; x itself if not `training`.

    ValueError unless 0 <= p <= 1. Source: N. Srivastava et al., "Dropout", JMLR 15, 2014.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: expected a probability between 0 and 1, got p={p}")
    if not training or p == 0.0:
        return x
    kept = cast(rand(x.shape, dtype=x.dtype, backend=x.backend) >= p, dtype=x.dtype)
    return x * (kept * (1.0 / (1.0 - p) if p < 1.0 else 0.0))
