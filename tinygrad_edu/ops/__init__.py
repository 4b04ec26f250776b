"""The ops, each with its gradient rule beside it. `tinygrad_edu.Tensor` has most of them as methods."""

# fmt: off
# ruff: noqa: F401, I001
from tinygrad_edu.ops.op import FUSED
from tinygrad_edu.ops.agree import broadcast_shapes, cast, clone, promote_types, result_type
from tinygrad_edu.ops.elementwise import (
    add, atan2, clamp, clamp_max, clamp_min, div, eq, ge, gt, le, lerp, logaddexp, logical_and, logical_not, logical_or,
    logical_xor, lt, maximum, minimum, mul, ne, neg, pow, remainder, sub, where,
)
from tinygrad_edu.ops.unary import (
    abs, acos, asin, atan, ceil, cos, cosh, erf, exp, exp2, expm1, floor, log, log10, log1p, log2, reciprocal, relu,
    rsqrt, sigmoid, sign, sin, sinh, sqrt, square, tan, tanh, trunc,
)
from tinygrad_edu.ops.shape import cat, expand, flip, permute, reshape
from tinygrad_edu.ops.index import getitem
from tinygrad_edu.ops.reduce import amax, amin, argmax, argmin, cumsum, mean, norm, prod, std, sum, var
from tinygrad_edu.ops.linalg import matmul
from tinygrad_edu.ops.softmax import log_softmax, logsumexp, softmax

__all__ = ["FUSED", *[name for name, f in globals().items() if callable(f)]]
