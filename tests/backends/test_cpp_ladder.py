"""The ladder of matrix products: every rung gives the same bits, on every instruction set and any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.backends import cpp
from tinygrad_edu.backends.cpp import _cpu

RUNGS = ("naive", "reordered", "blocked", "vectorised", "packed", "threaded")
BUILT = [isa for isa in _cpu.supported() if cpp._is_built(isa)]
SHAPES = [  # m, k, n: nothing, one, less than a tile, a tile and a bit, more than a block of each kind
    (0, 3, 4),
    (3, 0, 5),
    (3, 4, 0),
    (1, 1, 1),
    (5, 7, 3),
    (15, 33, 65),
    (29, 300, 1100),
    (200, 513, 70),
]


def operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)


def rung(name: str, isa: str) -> Any:
    return getattr(cpp.load(isa), f"ladder_{name}")


@pytest.mark.parametrize("isa", BUILT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_first_rung_is_the_product(shape: tuple[int, int, int], isa: str) -> None:
    a, b = operands(*shape)
    # each of k additions rounds by half a unit of 1.2e-7, of sums that stay below 100 here
    np.testing.assert_allclose(rung("naive", isa)(a, b), a.astype(float) @ b.astype(float), rtol=0, atol=1e-4)


@pytest.mark.parametrize("isa", BUILT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", RUNGS[1:])
def test_every_rung_gives_the_same_bits(name: str, shape: tuple[int, int, int], isa: str) -> None:
    a, b = operands(*shape)
    np.testing.assert_array_equal(rung(name, isa)(a, b), rung("naive", isa)(a, b), strict=True)


@pytest.mark.parametrize("name", RUNGS)
def test_nan_and_infinity_go_where_they_belong(name: str) -> None:
    a, b = operands(20, 9, 40)
    a[3, 4], a[19, 0], b[2, 39] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a.astype(float) @ b.astype(float)
    np.testing.assert_allclose(rung(name, BUILT[-1])(a, b), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", RUNGS)
def test_views_are_taken_as_they_are(name: str) -> None:
    a, b = operands(64, 33, 80)
    f = rung(name, BUILT[-1])
    np.testing.assert_array_equal(f(a.T.copy().T, b[:, ::-1]), f(a, b[:, ::-1].copy()))


def test_one_thread_gives_the_bits_of_all() -> None:
    kernels = cpp.load(BUILT[-1])
    a, b = operands(700, 64, 50)
    several, before = kernels.ladder_threaded(a, b), kernels.threads()
    try:
        kernels.set_threads(1)
        np.testing.assert_array_equal(kernels.ladder_threaded(a, b), several)
    finally:
        kernels.set_threads(before)


def test_what_does_not_fit_is_named() -> None:
    a, b = operands(3, 4, 5)
    f = rung("naive", BUILT[-1])
    with pytest.raises(ValueError, match=r"ladder: expected b of shape \(4, any\), got \(3, 4\)"):
        f(a, a)
    with pytest.raises(TypeError, match="ladder: expected a of float32, got float64"):
        f(a.astype(float), b)


def test_the_read_bandwidth_is_of_an_array_long_enough() -> None:
    read = cpp.load(BUILT[-1]).read_bandwidth
    assert read(np.ones(4096, np.float32), 0.01) > 0
    with pytest.raises(ValueError, match="read_bandwidth: expected array of shape at least"):
        read(np.ones(3, np.float32), 0.01)
