"""Elementwise primitives in C++: every way in which operands can lie in memory, against the NumPy backend's answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry
from tinygrad_edu.backends.numpy_backend import NumpyBackend

cpp: Any = registry.backend("cpp")
reference: Any = NumpyBackend()

BINARY = ("add", "sub", "mul", "div", "maximum", "less", "equal")
# Long rows and short ones, pieces that end within a row, sizes that threads share and that they do not.
SHAPES = [
    ((3, 200), (200,)),
    ((3, 200), (3, 1)),
    ((500, 7), (7,)),
    ((500, 7), (500, 1)),
    ((5, 1, 300), (4, 1)),
    ((2, 1, 3, 1), (5, 1, 4)),
    ((40, 50, 60), (50, 1)),
    ((130, 1100), (130, 1100)),
    ((1, 1), (70_001,)),
    ((0, 3), (3,)),
    ((), (6,)),
]


def unaligned(a: np.ndarray) -> np.ndarray:
    """The same numbers, one byte beside where the processor would have them."""
    out = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    out[...] = a
    return out


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda a: a,
    "transposed": lambda a: np.asfortranarray(a),
    "flipped": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1] if a.ndim else a,
    "stepped": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "sliced": lambda a: np.pad(a, [(1, 1)] * a.ndim)[(slice(1, -1),) * a.ndim] if a.ndim else a,
    "expanded": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and a.shape[0] else a,
    "unaligned": unaligned,
}


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype in ("int64", "int32", "uint8"):
        return np.asarray(rng.integers(0, 9, shape), dtype)
    return np.asarray(rng.normal(size=shape).round(1), dtype)  # rounded: some are equal


def same(got: np.ndarray, expected: np.ndarray) -> None:
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.flags.c_contiguous or got.dtype.kind != "f"  # where NumPy does the work, it chooses the layout
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_operands_of_any_shape_and_layout(shapes: tuple[tuple[int, ...], tuple[int, ...]], layout: str) -> None:
    for dtype in ("float32", "float64", "int64", "bool", "int32"):
        x, y = (numbers(shape, dtype, seed) for seed, shape in enumerate(shapes))
        for a, b in ((LAYOUTS[layout](x), y), (y, LAYOUTS[layout](x))):
            for name in BINARY:
                if (name == "div" and dtype[0] != "f") or (name == "sub" and dtype == "bool"):
                    continue
                same(getattr(cpp, name)(a, b), getattr(reference, name)(a, b))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_choices_of_any_shape_and_layout(shapes: tuple[tuple[int, ...], tuple[int, ...]], layout: str) -> None:
    condition = numbers(shapes[0], "bool", 0)
    for dtype in ("float32", "float64", "int64", "bool", "int32"):
        x, y = numbers(shapes[0], dtype, 1), numbers(shapes[1], dtype, 2)
        for c in (LAYOUTS[layout](condition), np.array(True), np.array(False)):
            same(cpp.where(c, LAYOUTS[layout](x), y), reference.where(c, LAYOUTS[layout](x), y))
            same(cpp.where(c, y, x), reference.where(c, y, x))
            if dtype[0] == "f":
                same(cpp.where(c, 0.0, LAYOUTS[layout](x)), reference.where(c, 0.0, LAYOUTS[layout](x)))
                same(cpp.where(c, y, -2), reference.where(c, y, -2))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(130, 700), (9, 5), (70_001,), (0,), ()], ids=str)
def test_casts(shape: tuple[int, ...], layout: str) -> None:
    for source in ("float32", "float64", "int64", "bool", "int32", "uint8"):
        x = LAYOUTS[layout](numbers(shape, source, 0))
        for target in ("float32", "float64", "int64", "bool", "int32", "uint8"):
            if source[0] == "f" and target == "uint8":
                continue  # what a negative number becomes is undefined
            got = cpp.cast(x, np.dtype(target))
            same(got, reference.cast(x, np.dtype(target)))
            assert not np.shares_memory(got, x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["exp", "sqrt", "floor", "sin"])
def test_functions_of_operands_of_any_layout(name: str, layout: str) -> None:
    for shape in ((130, 700), (9, 5), (1, 3, 1), (0, 2), ()):
        for dtype in ("float32", "float64"):
            x = LAYOUTS[layout](np.asarray(np.abs(numbers(shape, dtype, 0))))
            got = getattr(cpp, name)(x)
            same(got, getattr(cpp, name)(np.array(x, order="C")))
            np.testing.assert_allclose(got, getattr(reference, name)(x), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("mul", np.ones(3, np.float32), 2),
        ("mul", np.ones(3, np.float32), 1e300),
        ("mul", np.ones(3, np.int64), 2),
        ("mul", np.ones(3, np.int64), 2.5),  # float64, as NumPy has it
        ("mul", np.ones(3, bool), 2),
        ("mul", np.ones(3, np.uint8), 255),
        ("add", np.ones(3, np.float32), np.float64(2.0)),  # no Python number: its dtype counts
        ("add", np.ones(3, np.float32), np.ones(3)),
        ("add", np.full(3, 2**63 - 1), 1),
        ("sub", np.full(3, -(2**63)), np.array([1, 2, 3])),
        ("mul", np.full(3, 2**62 + 1), np.array([4, 5, 6])),
        ("add", np.ones(3, ">f4"), np.ones(3, ">f4")),
        ("add", np.ones(3, np.float16), 1.0),
        ("pow", np.arange(4, dtype=np.int64), 2),
        ("maximum", np.array([1.0, np.nan, -0.0]), np.nan),
    ],
    ids=lambda x: str(getattr(x, "dtype", type(x))),
)
def test_dtypes_and_numbers_are_treated_as_numpy_does(name: str, x: Any, y: Any) -> None:
    for a, b in ((x, y), (y, x)):
        got, expected = getattr(cpp, name)(a, b), getattr(reference, name)(a, b)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_a_number_without_place_in_the_dtype_is_an_error_as_in_numpy() -> None:
    with pytest.raises(OverflowError):
        cpp.add(np.ones(3, np.int64), 2**63)
    with pytest.raises(OverflowError):
        cpp.add(np.ones(3), 10**400)


@pytest.mark.parametrize("name", ["add", "maximum", "equal"])
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        getattr(cpp, name)(np.ones(3), np.ones(4))


def test_the_number_of_threads_changes_nothing() -> None:
    x, y = numbers((300, 1000), "float32", 0), numbers((1000, 300), "float32", 1).T
    before = cpp.kernels.threads()
    try:
        results = []
        for count in (1, 2, 3):
            cpp.set_threads(count)
            results.append([cpp.add(x, y), cpp.exp(y), cpp.where(cpp.less(x, y), x, 0.0), cpp.pow(cpp.exp(x), y)])
    finally:
        cpp.set_threads(before)
    for others in results[1:]:
        for a, b in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


def test_relus_gradient_is_the_choice_that_its_op_makes() -> None:
    out = np.array([0.0, -0.0, 2.0, np.nan, np.inf], np.float32)
    g = np.array([np.inf, np.nan, 3.0, 4.0, -1.0], np.float32)
    np.testing.assert_array_equal(cpp.relu_gradient(g, out), np.where(out == 0, np.float32(0), g))
    with pytest.raises(ValueError, match=r"relu_gradient: expected g of shape \(5,\), got \(2,\)"):
        cpp.relu_gradient(g[:2], out)
    with pytest.raises(TypeError, match="relu_gradient: expected g of float32, got float64"):
        cpp.relu_gradient(g.astype(np.float64), out)
