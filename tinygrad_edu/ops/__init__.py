"""The ops, each with its gradient rule beside it. `tinygrad_edu.Tensor` has most of them as methods."""

# fmt: off
# ruff: noqa: I001
from tinygrad_edu.ops.op import FUSED
from tinygrad_edu.ops.agree import broadcast_shapes, cast, clone, promote_types, result_type
from tinygrad_edu.ops.elementwise import (
    abs, add, cos, div, eq, exp, expm1, ge, gt, le, log, log1p, logical_and, logical_not, logical_or, lt, maximum,
    minimum, mul, ne, neg, pow, relu, sigmoid, sin, sqrt, sub, tanh, where,
)
from tinygrad_edu.ops.shape import (
    cat, expand, flatten, flip, permute, reshape, squeeze, stack, transpose, unsqueeze,
)
from tinygrad_edu.ops.index import gather, getitem, setitem
from tinygrad_edu.ops.reduce import amax, argmax, max, mean, sum
from tinygrad_edu.ops.linalg import linear, matmul
from tinygrad_edu.ops.softmax import log_softmax, logsumexp, softmax

__all__ = [  # noqa: RUF022
    "FUSED", "broadcast_shapes", "cast", "clone", "promote_types", "result_type",
    "abs", "add", "cos", "div", "eq", "exp", "expm1", "ge", "gt", "le", "log", "log1p", "logical_and", "logical_not",
    "logical_or", "lt", "maximum", "minimum", "mul", "ne", "neg", "pow", "relu", "sigmoid", "sin", "sqrt", "sub",
    "tanh", "where", "cat", "expand", "flatten", "flip", "permute", "reshape", "squeeze", "stack", "transpose",
    "unsqueeze", "gather", "getitem", "setitem", "amax", "argmax", "max", "mean", "sum", "linear", "matmul",
    "log_softmax", "logsumexp", "softmax",
]
