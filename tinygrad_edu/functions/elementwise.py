"""Element by element: what kind of number each is, how close two are, and rounding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.functions.reduce import all
from tinygrad_edu.ops.agree import broadcast_shapes, cast, check_same_dtype
from tinygrad_edu.ops.elementwise import eq, le, logical_or, lt, ne, where
from tinygrad_edu.ops.op import check_tensor
from tinygrad_edu.ops.unary import rounded


def isnan(x: Any) -> Any:
    """True where x is NaN."""
    check_tensor("isnan", x)
    return ne(x, x)


def isfinite(x: Any) -> Any:
    """True where x is neither NaN nor infinite."""
    check_tensor("isfinite", x)
    return lt(-math.inf, x) * lt(x, math.inf)


def isinf(x: Any) -> Any:
    """True where x is inf or -inf."""
    check_tensor("isinf", x)
    return logical_or(eq(x, math.inf), eq(x, -math.inf))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """True where |a - b| <= atol + rtol |b|, or a == b; `equal_nan`: also where both are NaN. No promotion."""
    check_same_dtype("isclose", a, b)
    broadcast_shapes("isclose", a.shape, b.shape)
    a, b = [x if x.data.dtype.kind == "f" else cast(x, dtype=np.float64) for x in (a, b)]
    gap, size = [where(x < 0, -x, x) for x in (a - b, b)]
    close = logical_or(eq(a, b), isfinite(gap) * le(gap, size * rtol + atol))
    return logical_or(close, isnan(a) * isnan(b)) if equal_nan else close


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return all(isclose(a, b, rtol, atol, equal_nan)).item()


def round(x: Any, *, decimals: int = 0) -> Any:
    """x to so many decimals, the even one of two that are as near; the gradient is 0."""
    if not decimals:
        return rounded(x)
    scale = 10.0 ** max(decimals, -decimals)
    return rounded(x * scale) / scale if decimals > 0 else rounded(x / scale) * scale
