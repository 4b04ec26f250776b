"""The ops, each with its gradient rule beside it. `tinygrad_edu.Tensor` has most of them as methods."""

# fmt: off
# ruff: noqa: F401, I001
from tinygrad_edu.ops.op import FUSED
from tinygrad_edu.ops.agree import broadcast_shapes, cast, clone, promote_types, result_type
from tinygrad_edu.ops.elementwise import (
    add, allclose, atan2, clamp, clamp_max, clamp_min, div, eq, ge, gt, isclose, isfinite, isinf, isnan, le, lerp,
    logaddexp, logical_and, logical_not, logical_or, logical_xor, lt, maximum, minimum, mul, ne, neg, pow, remainder,
    sub, where,
)
from tinygrad_edu.ops.unary import (
    abs, acos, asin, atan, ceil, cos, cosh, erf, exp, exp2, expm1, floor, log, log10, log1p, log2, reciprocal, relu,
    round, rsqrt, sigmoid, sign, sin, sinh, sqrt, square, tan, tanh, trunc,
)
from tinygrad_edu.ops.shape import (
    broadcast_to, expand, flatten, flip, movedim, permute, ravel, reshape, squeeze, transpose, unflatten, unsqueeze,
)
from tinygrad_edu.ops.join import cat, chunk, repeat, roll, split, stack, tile, unbind
from tinygrad_edu.ops.index import getitem, setitem
from tinygrad_edu.ops.select import (
    argsort, diag, diagonal, gather, index_select, masked_fill, masked_select, scatter_add, sort, take_along_dim, topk,
    trace, tril, triu,
)
from tinygrad_edu.ops.reduce import (
    all, amax, amin, any, argmax, argmin, cumprod, cumsum, diff, max, mean, min, norm, prod, std, sum, var,
)
from tinygrad_edu.ops.linalg import addmm, bmm, dot, einsum, linear, matmul, mm, mv, outer, tensordot
from tinygrad_edu.ops.softmax import log_softmax, logsumexp, softmax

__all__ = ["FUSED", *[name for name, f in globals().items() if callable(f)]]
