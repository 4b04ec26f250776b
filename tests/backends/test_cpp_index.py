"""Reading, adding and writing by index in C++, and random bits: against the NumPy backend, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry
from tinygrad_edu.backends.numpy_backend import NumpyBackend

cpp: Any = registry.backend("cpp")
reference: Any = NumpyBackend()
RNG = np.random.default_rng(0)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = cpp.kernels.threads()
    cpp.set_threads(request.param)
    yield request.param
    cpp.set_threads(before)


def index(low: int, high: int, *shape: int, dtype: str = "int64") -> np.ndarray:
    return RNG.integers(low, high, shape).astype(dtype)


CASES = [
    ((65, 64), (index(-65, 65, 32, 64),)),
    ((65, 300), (index(0, 3, 700),)),  # rows that occur often
    ((100_000,), (index(0, 100_000, 90_000, dtype="int32"),)),
    ((50, 40, 30), (index(-50, 50, 70, 1), index(0, 40, 60))),
    ((50, 40), (index(0, 50, 8).T[::2], np.array(-3))),
    ((5, 0), (index(0, 5, 4),)),
    ((5, 3), (index(0, 5, 0),)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "int32"])
@pytest.mark.parametrize(("shape", "at"), CASES, ids=str)
def test_take(threads: int, shape: tuple[int, ...], at: tuple[np.ndarray, ...], dtype: str) -> None:
    x = (RNG.normal(size=shape) * 9).astype(dtype)
    for table in (x, np.asfortranarray(x)):
        got = cpp.take(table, at)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, x[at])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("shape", "at"), CASES, ids=str)
def test_put_add_adds_in_the_order_of_the_indices(
    threads: int, shape: tuple[int, ...], at: tuple[np.ndarray, ...], dtype: str
) -> None:
    x = (RNG.normal(size=np.zeros(shape)[at].shape) * 9).astype(dtype)
    for values in (x, np.asfortranarray(x)):
        got = cpp.put_add(values, at, shape)
        assert (got.dtype, got.shape) == (x.dtype, shape)
        np.testing.assert_array_equal(got, reference.put_add(x, at, shape))  # to the bit: NumPy adds in that order too


def test_an_index_outside_is_an_error_also_down_here() -> None:
    for outside in (5, -6):
        with pytest.raises(IndexError):
            cpp.take(np.zeros((5, 2)), (np.array([0, outside]),))
        with pytest.raises(IndexError):
            cpp.put_add(np.zeros((2, 2)), (np.array([0, outside]),), (5, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (9,), (3, 5), (100_003,), (200, 333)], ids=str)
def test_random_bits_are_numpys(threads: int, shape: tuple[int, ...], dtype: str) -> None:
    for key in ((0, 0), (1, 7), (2**64 - 1, 2**63)):
        words = np.array(key, np.uint64)
        got = cpp.random(words, shape, np.dtype(dtype))
        expected = np.random.Generator(np.random.Philox(key=words)).random(shape, np.dtype(dtype).type)
        assert got.shape == shape
        np.testing.assert_array_equal(got, expected)


def test_random_refuses_what_is_no_key_or_no_float() -> None:
    with pytest.raises(ValueError, match=r"random: expected a key of shape \(2,\), got \(3,\)"):
        cpp.random(np.zeros(3, np.uint64), (2,), np.dtype("float32"))
    with pytest.raises(TypeError):
        cpp.random(np.zeros(2), (2,), np.dtype("float32"))
    with pytest.raises(TypeError, match="float32 or float64"):
        cpp.random(np.zeros(2, np.uint64), (2,), np.dtype("int64"))


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "int32"])
@pytest.mark.parametrize(
    ("target", "value"),
    [
        ((300, 400), (300, 400)),
        ((300, 400), (400,)),
        ((300, 400), (300, 1)),
        ((300, 5), (5,)),
        ((3, 4), ()),
        ((0, 4), (1,)),
        ((), ()),
    ],
    ids=str,
)
def test_assign(target: tuple[int, ...], value: tuple[int, ...], dtype: str) -> None:
    y = np.asarray(RNG.normal(size=value) * 9).astype(dtype)
    for source in (y, np.asfortranarray(y), y.astype("float64")):
        x, expected = np.ones(target, dtype), np.ones(target, dtype)
        assert cpp.assign(x, source) is None
        np.copyto(expected, source, casting="unsafe")
        np.testing.assert_array_equal(x, expected)
        strided = np.ones((*target, 2), dtype)[..., 0]
        cpp.assign(strided, source)
        np.testing.assert_array_equal(strided, expected)


def test_assign_between_overlapping_arrays_reads_before_it_writes() -> None:
    for shift in (1, -1, 700):
        x = np.arange(100_000.0)
        expected = np.roll(x, shift)
        here, there = (
            (slice(shift, None), slice(None, -shift)) if shift > 0 else (slice(None, shift), slice(-shift, None))
        )
        cpp.assign(x[here], x[there])
        np.testing.assert_array_equal(x[here], expected[here])
    x = np.arange(12.0).reshape(3, 4)
    cpp.assign(x, x[::-1, ::-1])
    np.testing.assert_array_equal(x, np.arange(12.0)[::-1].reshape(3, 4))


def test_assign_refuses_what_does_not_fit_or_may_not_be_written() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        cpp.assign(np.zeros(3), np.zeros(4))
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        cpp.assign(fixed, np.zeros(3))
