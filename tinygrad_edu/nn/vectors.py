"""Directions and classes as vectors: normalize, cosine_similarity, one_hot."""

from __future__ import annotations

import numpy as np

from tinygrad_edu import Tensor, broadcast_shapes, cast, clamp_min, eq, norm, result_type, unsqueeze
from tinygrad_edu.autograd import Value
from tinygrad_edu.ops.agree import check_float
from tinygrad_edu.ops.index import extremes
from tinygrad_edu.ops.op import check_same_backend, check_tensor
from tinygrad_edu.ops.shape import canonical_dim


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """input / max(its p-norm along `dim`, eps): length 1 along `dim`. Any shape, unchanged.

    TypeError unless float; IndexError for a `dim` that is not there.
    """
    check_float("normalize", input)
    return input / clamp_min(norm(input, p, dim, keepdim=True), eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`, which goes: -1 to 1. The shapes broadcast first.

    Where a length is below eps the gradient takes eps as the length it is, as in torch. TypeError unless float.
    """
    check_same_backend("cosine_similarity", (x1, x2))
    check_float("cosine_similarity", x1)
    check_float("cosine_similarity", x2)
    a, b = cast(x1, dtype=result_type(x1, x2)), cast(x2, dtype=result_type(x1, x2))
    shape = broadcast_shapes("cosine_similarity", a.shape, b.shape)
    dim = canonical_dim("cosine_similarity", dim, len(shape))
    units = []
    for x in (a.expand(shape), b.expand(shape)):
        length = norm(x, 2, dim, keepdim=True)
        lift = clamp_min(eps - length.detach(), 0.0)  # 0, or what is missing up to eps
        units.append(x / (length + lift))
    return (units[0] * units[1]).sum(dim)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each index and 0 elsewhere: (...) -> (..., num_classes), int64. By default one more than the largest index.

    TypeError unless int64, as in torch; ValueError for an index outside 0..num_classes - 1.
    """
    check_tensor("one_hot", tensor)
    if tensor.dtype != np.int64:
        raise TypeError(f"one_hot: expected an int64 Tensor, got {tensor.dtype}; convert it first, x.long()")
    if not tensor.numel() and num_classes < 1:
        raise ValueError("one_hot: expected num_classes > 0, since there is no largest index in an empty Tensor")
    low, high = extremes(tensor) if tensor.numel() else (0, 0)
    classes = high + 1 if num_classes == -1 else num_classes
    if low < 0 or high >= classes:
        raise ValueError(f"one_hot: index {low if low < 0 else high} is not within 0..{classes - 1}")
    positions = Value.kind(tensor.backend.from_numpy(np.arange(classes)), tensor.backend)
    return cast(eq(unsqueeze(tensor, -1), positions), dtype=np.int64)
