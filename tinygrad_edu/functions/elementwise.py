"""Element by element: what kind of number each is, and how close two are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.functions.reduce import all
from tinygrad_edu.ops.agree import cast, check_same_dtype
from tinygrad_edu.ops.elementwise import eq, le, logical_or, lt, ne, where


def logical_xor(a: Any, b: Any) -> Any:
    """True where one of a and b is 0 or False, and the other is not."""
    return ne(cast(a, dtype=np.bool_), cast(b, dtype=np.bool_))


def isnan(x: Any) -> Any:
    """True where x is NaN."""
    return ne(x, x)


def isfinite(x: Any) -> Any:
    """True where x is neither NaN nor infinite."""
    return lt(-math.inf, x) * lt(x, math.inf)


def isinf(x: Any) -> Any:
    """True where x is inf or -inf."""
    return logical_or(eq(x, math.inf), eq(x, -math.inf))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """True where |a - b| <= atol + rtol |b|, or a == b; `equal_nan`: also where both are NaN. No promotion."""
    check_same_dtype("isclose", a, b)
    a, b = [x if x.data.dtype.kind == "f" else cast(x, dtype=np.float64) for x in (a, b)]
    gap, size = [where(x < 0, -x, x) for x in (a - b, b)]
    close = logical_or(eq(a, b), isfinite(gap) * le(gap, size * rtol + atol))
    return logical_or(close, isnan(a) * isnan(b)) if equal_nan else close


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return all(isclose(a, b, rtol, atol, equal_nan)).item()
