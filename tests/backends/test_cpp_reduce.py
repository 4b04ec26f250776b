"""Reductions of the C++ backend: any axes of any memory, against NumPy; their accuracy; their bits on threads."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry

OPS = ("sum", "prod", "max")
# Inner sizes below, at and beyond one vector, a group of four, and what one block takes; 0 and 1.
SIZES = (0, 1, 2, 3, 5, 17, 64, 130, 300)


@pytest.fixture(scope="module")
def cpp() -> Any:
    return registry.backend("cpp")


@pytest.fixture(scope="module")
def numpy() -> Any:
    return registry.backend("numpy")


def views(seed: int, count: int) -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
    """Random views (permuted, reversed, with gaps, broadcast) of random arrays of every dtype, and axes of them."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        ndim = int(rng.integers(0, 5))
        shape = tuple([int(n) for n in rng.choice(SIZES, ndim)])
        if np.prod(shape) > 100_000:
            continue
        dtype = rng.choice(["float32", "float64", "int64", "int32", "uint8", "bool", "uint16"])
        x = (rng.standard_normal(shape) * 3).astype(dtype).transpose(rng.permutation(ndim))
        x = x[(*[slice(None, None, int(step)) for step in rng.choice([1, 1, -1, 2], ndim)], ...)]
        if rng.random() < 0.2:
            x = np.broadcast_to(x, (3, *x.shape))
        yield x, tuple([a for a in range(x.ndim) if rng.random() < 0.5])


@pytest.mark.parametrize("op", OPS)
def test_any_axes_of_any_memory(cpp: Any, numpy: Any, op: str) -> None:
    seen = 0
    for x, axes in views(OPS.index(op), 1500):
        if (op == "max" and 0 in x.shape) or (op != "max" and x.dtype == bool):
            continue
        if op == "prod":  # a product of many numbers over- or underflows, where depends on the order
            x = np.where(x % 2 == 0, 1, -1).astype(x.dtype)
        for keepdims in (False, True):
            got, expected = getattr(cpp, op)(x, axes, keepdims), getattr(numpy, op)(x, axes, keepdims)
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            assert got.flags.c_contiguous or x.dtype == np.uint16  # which NumPy serves
            if x.dtype.kind == "f" and op == "sum":  # half a unit in the last place of each of the two, and some
                scale = np.abs(x).astype(np.float64).sum(axes, keepdims=keepdims)
                exact = x.astype(np.float64).sum(axes, keepdims=keepdims)
                assert (np.abs(got - exact) <= 2 * np.finfo(x.dtype).eps * scale).all(), (x.shape, x.strides, axes)
            else:
                np.testing.assert_array_equal(got, expected, f"{x.dtype} {x.shape} {x.strides} {axes}")
            seen += 1
    assert seen > 500


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("op", OPS)
def test_specials_are_found_wherever_they_are(cpp: Any, numpy: Any, op: str, special: float) -> None:
    for dtype in ("float32", "float64"):
        for shape in ((7, 9), (70, 3), (6, 150), (150, 40), (3, 2000)):
            for place in (0, 5, shape[0] * shape[1] - 1):
                x = np.ones(shape, dtype)
                x.flat[place] = special
                x.flat[place // 2] = -np.inf if place else special
                for axes in ((0,), (1,), (0, 1), ()):
                    for y in (x, np.asfortranarray(x), x[::-1]):
                        got, expected = getattr(cpp, op)(y, axes, False), getattr(numpy, op)(y, axes, False)
                        np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), [((1_000_003,), 0), ((3, 200_001), 1), ((200_001, 3), 0), ((5000, 70), 0)])
def test_sums_are_at_least_as_accurate_as_numpys(cpp: Any, numpy: Any, shape: Any, axis: int, dtype: str) -> None:
    x = np.random.default_rng(0).uniform(0.0, 1.0, shape).astype(dtype)
    lines = np.moveaxis(x, axis, -1).reshape(-1, shape[axis])
    exact = np.array([fsum(line) for line in lines.tolist()])

    def error(backend: Any) -> float:
        return float(np.abs((backend.sum(x, (axis,), False).reshape(-1) - exact) / exact).max())

    eps = float(np.finfo(dtype).eps)
    assert error(cpp) <= max(error(numpy), eps), (error(cpp) / eps, error(numpy) / eps)


def test_a_long_sum_does_not_stop(cpp: Any) -> None:
    """Added one after the other, ones in float32 would stop at 2**24."""
    ones = np.broadcast_to(np.ones((), np.float32), (2**25 + 6,))
    assert cpp.sum(ones, (0,), False) == 2**25 + 8  # the nearest float32, ties to even


@pytest.mark.parametrize("op", OPS)
def test_the_bits_do_not_depend_on_the_number_of_threads(cpp: Any, op: str) -> None:
    before, rng = cpp.kernels.threads(), np.random.default_rng(0)
    try:
        for shape in ((300_000,), (900, 700), (30, 20, 500), (400_000, 3), (3, 200_000), (100_000, 4, 2)):
            x = rng.uniform(0.9, 1.1, shape).astype(np.float32)
            for axes in [(i,) for i in range(x.ndim)] + [tuple(range(x.ndim))]:
                results = []
                for threads in (1, 2, 3):
                    cpp.kernels.set_threads(threads)
                    results.append(getattr(cpp, op)(x, axes, False).tobytes())
                assert len(set(results)) == 1, (shape, axes)
    finally:
        cpp.kernels.set_threads(before)


def test_what_cannot_be_reduced_is_refused_by_name(cpp: Any) -> None:
    with pytest.raises(TypeError, match="sum: expected x to be a NumPy array, got list"):
        cpp.sum([1.0], (0,), False)
    with pytest.raises(ValueError, match="max: expected axes of 0 to 1, got 2"):
        cpp.max(np.ones((2, 3)), (2,), False)
    with pytest.raises(TypeError, match="prod: expected axes to be a tuple"):
        cpp.prod(np.ones((2, 3)), 1, False)
    with pytest.raises(ValueError, match="zero-size array"):
        cpp.max(np.ones((0, 3)), (0,), False)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 3, 0), (0, 2, 3), (2, 0, 3)])
def test_softmax_of_nothing_is_nothing(cpp: Any, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, np.float32)
    for dim in range(x.ndim):
        for name in ("softmax", "log_softmax"):
            out, saved = getattr(cpp, name)(x, dims=(dim,))
            assert out.shape == shape
            (gx,) = getattr(cpp, f"{name}_vjp")(saved, x, (True,))
            assert gx.shape == shape
