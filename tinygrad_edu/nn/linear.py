"""The linear layer's function: a matrix product and a bias, a fused op that backends have kernels for."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.ops.agree import DEFAULT_FLOAT
from tinygrad_edu.ops.linalg import check_product, matmul
from tinygrad_edu.ops.op import fused


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
    dtype = x.data.dtype
    if (
        dtype is not DEFAULT_FLOAT
        or weight.data.dtype is not dtype
        or (bias is not None and bias.data.dtype is not dtype)
    ):
        check_product("linear", x, weight, *([] if bias is None else [bias]))  # which takes as long as a small kernel


@fused(_check_linear)
def linear(x, weight, bias=None):
    """x @ weight.T + bias: (..., in), (out, in), (out,) -> (..., out). The layout of the weight is torch's."""
    out = matmul(x, weight.T)
    return out if bias is None else out + bias
