"""The functions of math.hpp, on every instruction set there is here: values against twice the digits, special numbers.

The unit of the errors is that of the last place of the true result (ulp).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.backends import cpp, numpy_erf
from tinygrad_edu.testing.compare import assert_close

TURN_LIMIT = 1e6  # where sin and cos change to the C library's
BUILT = [isa for isa in cpp.ISAS if isa in cpp._compiled("_cpu").supported() and cpp._is_built(isa)]
TRUE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos")},
    "erf": numpy_erf.erf,
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-300, 5e-324, -5e-324, 709.79, -745.2, 88.73, -103.98]


@pytest.fixture(scope="module", params=BUILT)
def kernels(request: pytest.FixtureRequest) -> Any:
    return cpp.load(request.param)


def singles() -> np.ndarray:
    """Every 1021st of the 2**32 float32 numbers, which is some 8000 of each power of two, and special ones."""
    every = np.arange(0, 2**32, 1021, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(over="ignore"):
        return np.concatenate([every, np.array([*SPECIAL, 1e-45, -1e-45, 1e-39, 3.4e38], np.float32)])


def doubles() -> np.ndarray:
    rng = np.random.default_rng(0)
    near = [rng.normal(scale=scale, size=20_000) for scale in (1e-3, 0.3, 1.0, 3.0, 30.0, 300.0)]
    sizes = 10.0 ** rng.uniform(-323, 308, 40_000)
    return np.concatenate([*near, sizes, -sizes, SPECIAL])


def largest_error(got: np.ndarray, true: np.ndarray) -> float:
    """In ulp. AssertionError where one is NaN, infinite or a negative zero and the other is not."""
    rounded = true.astype(got.dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))
    infinite, zero = np.isinf(rounded), rounded == 0.0
    np.testing.assert_array_equal(got[infinite], rounded[infinite])
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(rounded[zero]))
    finite = np.isfinite(rounded)
    error = np.abs(got[finite].astype(true.dtype) - true[finite]) / np.spacing(np.abs(rounded[finite]))
    return float(error.max())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of overflow
@pytest.mark.parametrize("name", sorted(TRUE))
def test_floats_are_right_to_two_ulp(kernels: Any, name: str) -> None:
    x = singles()
    assert largest_error(getattr(kernels, name)(x), TRUE[name](x.astype(np.float64))) <= 2.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(TRUE.keys() - {"erf"}))
def test_doubles_are_right_to_two_ulp(kernels: Any, name: str) -> None:
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("this machine's long double is a double: nothing to hold double against")
    x = doubles()
    assert largest_error(getattr(kernels, name)(x), TRUE[name](x.astype(np.longdouble))) <= 2.0


def test_erf_of_doubles_is_right_to_three_ulp(kernels: Any) -> None:
    """Against the C library's, which is itself wrong by one at times."""
    x = np.concatenate([np.linspace(-7.0, 7.0, 100_001), doubles()])
    true = np.array([math.erf(a) for a in x.tolist()])
    assert largest_error(kernels.erf(x), true) <= 3.0


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_numbers_of_many_turns_are_left_to_the_c_library(kernels: Any, name: str) -> None:
    x = np.array([TURN_LIMIT, np.nextafter(TURN_LIMIT, np.inf), 1e15, -1e22, 1.7e308, 0.5])
    expected = [getattr(math, name)(a) for a in x.tolist()]
    assert_close(name, getattr(kernels, name)(x), np.array(expected), "the C library", 4e-16, 0.0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_of_floats(kernels: Any) -> None:
    """To the last bit but one; and what C says of NaN, infinities, zeros and negative numbers."""
    rng = np.random.default_rng(0)
    x = (10.0 ** rng.uniform(-38, 38, 200_000)).astype(np.float32)
    y = (rng.uniform(-40, 40, x.size) / np.log10(x)).astype(np.float32)  # results from 1e-40 to 1e40
    assert largest_error(kernels.pow(x, y), np.power(x.astype(np.float64), y.astype(np.float64))) <= 0.51
    some = np.array([*SPECIAL, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 2.5, -2.5, 1e10, 16777217.0], np.float32)
    bases, exponents = (np.ascontiguousarray(a) for a in np.meshgrid(some, some))
    true = np.power(bases.astype(np.float64), exponents.astype(np.float64))
    assert largest_error(kernels.pow(bases, exponents), true) <= 0.51
