"""The matrix product."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.ops.agree import broadcast_shapes, check_same_dtype, refuse_bool
from tinygrad_edu.ops.op import op
from tinygrad_edu.ops.shape import reshape


@op
def _matmul(a, b):
    return a.backend.matmul(a.data, b.data)


@op
def _dot(a, b):
    return a.backend.sum(a.backend.mul(a.data, b.data), (0,), False)


_dot.vjp = (lambda g, b: g * b, lambda g, a: g * a)
_matmul.vjp = (lambda g, b: _matmul(g, b.mT), lambda g, a: _matmul(a.mT, g))


def check_product(name: str, *tensors: Any) -> None:
    """TypeError unless the Tensors are of one dtype (matrix products do not promote, as in torch), and no bools."""
    check_same_dtype(name, *tensors)
    refuse_bool(name, tensors[0])


def matmul(a: Any, b: Any) -> Any:
    """The matrix product (..., m, k) @ (..., k, n) -> (..., m, n); leading dimensions broadcast.

    A 1-D operand counts as a row (left) or a column (right), and its dimension is dropped from the result.
    ValueError names both shapes and the sizes that differ; TypeError if the dtypes do.
    """
    check_product("matmul", a, b)
    sa, sb = a.data.shape, b.data.shape
    if not sa or not sb:
        raise ValueError(f"matmul: expected Tensors with at least 1 dimension, got {sa} @ {sb}; for a number use *")
    if sa[-1] != sb[max(-2, -len(sb))]:
        forms = {(1, 1): "(k,) @ (k,)", (1, 2): "(k,) @ (k, n)", (2, 1): "(m, k) @ (k,)"}
        raise ValueError(
            f"matmul: expected {forms.get((len(sa), len(sb)), '(m, k) @ (k, n)')}, got {sa} @ {sb}: dimension -1 of "
            f"the left is {sa[-1]}, dimension {max(-2, -len(sb))} of the right is {sb[max(-2, -len(sb))]}"
        )
    if len(sa) == 1 and len(sb) == 1:
        return _dot(a, b)
    if len(sa) == 1:
        return reshape(out := matmul(reshape(a, 1, *sa), b), (*out.shape[:-2], *out.shape[-1:]))
    if len(sb) == 1:
        return reshape(out := matmul(a, reshape(b, *sb, 1)), out.shape[:-1])
    if len(sb) == 2 and len(sa) > 2:  # one product of (all rows, k) instead of many, and no batch of gradients to sum
        return reshape(_matmul(reshape(a, -1, sa[-1]) if 0 not in sa else a, b), (*sa[:-1], sb[-1]))
    broadcast_shapes("matmul", sa[:-2], sb[:-2])
    return _matmul(a, b)
