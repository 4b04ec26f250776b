"""What any backend goes through: `pytest --pyargs tinygrad_edu.testing --tg-backend NAME`.

Every primitive against NumPy's own answer, in every layout; pairs of primitives that must be adjoint; `assign`; and the
whole table of cases against the NumPy backend. Kernels are in test_kernels.py. A warning anywhere is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.backend import PRIMITIVES, Backend, use_backend
from tinygrad_edu.testing.cases import ROWS, Case, cases
from tinygrad_edu.testing.compare import Ours, compare, trace
from tinygrad_edu.testing.primitives import ANSWERS, CALLS, check, describe
from tinygrad_edu.testing.rows import TinygradNames
from tinygrad_edu.testing.variants import LAYOUTS

pytestmark = pytest.mark.filterwarnings("error")

EACH_CALL = [
    pytest.param(name, arguments, id=f"{name}-{describe(arguments)}") for name in CALLS for arguments in CALLS[name]()
]
EACH_CASE = [case for row in ROWS for dtype in ("float32", "float64") for case in cases(row, dtype)]


def test_every_primitive_is_tested() -> None:
    assert set(CALLS) == set(ANSWERS) == set(PRIMITIVES), (
        "tinygrad_edu/testing/primitives.py must have calls and an answer for each primitive of tinygrad_edu.backend"
    )


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive_is_offered(tg_backend: Backend, name: str) -> None:
    assert callable(getattr(tg_backend, name, None)), f"backend {tg_backend.name!r} has no primitive {name!r}"


@pytest.mark.parametrize(("name", "arguments"), EACH_CALL)
def test_primitive(tg_backend: Backend, name: str, arguments: Any) -> None:
    for layout in LAYOUTS:
        if layout == "expanded" and name == "assign":
            continue  # many elements in one place have no value of their own to assign
        try:
            check(tg_backend, name, arguments, layout)
        except AssertionError as error:
            raise AssertionError(f"{error} (arguments {layout})") from error


def dot(backend: Backend, x: Any, y: Any) -> float:
    """Σ x y in float64."""
    return float(np.sum(backend.to_numpy(x) * backend.to_numpy(y)))


@pytest.mark.parametrize("arguments", list(CALLS["put_add"]()), ids=describe)
def test_take_and_put_add_are_adjoint(tg_backend: Backend, arguments: Any) -> None:
    """<take(x, i), y> = <x, put_add(y, i)> for all x and y."""
    y, index, shape = arguments
    if y.dtype != np.float64:
        return
    x = tg_backend.from_numpy(np.random.default_rng(1).normal(size=shape))
    y, index = tg_backend.from_numpy(y), tuple(tg_backend.from_numpy(i) for i in index)
    left = dot(tg_backend, tg_backend.take(x, index), y)
    # 1e-12: a few dozen products of size 1, each rounded at 1e-16
    assert left == pytest.approx(dot(tg_backend, x, tg_backend.put_add(y, index, shape)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("arguments", list(CALLS["pad"]()), ids=describe)
def test_slice_and_pad_are_adjoint(tg_backend: Backend, arguments: Any) -> None:
    """<slice(x, key), y> = <x, pad(y, key)> for all x and y."""
    y, shape, key = arguments
    if y.dtype != np.float64:
        return
    x, y = tg_backend.from_numpy(np.random.default_rng(1).normal(size=shape)), tg_backend.from_numpy(y)
    left = dot(tg_backend, tg_backend.slice(x, key), y)
    assert left == pytest.approx(dot(tg_backend, x, tg_backend.pad(y, shape, key)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("arguments", list(CALLS["fold"]()), ids=describe)
def test_windows_and_fold_are_adjoint(tg_backend: Backend, arguments: Any) -> None:
    """<windows(x), y> = <x, fold(y)> for all x and y."""
    y, shape, stride, dilation = arguments
    if y.dtype != np.float64:
        return
    n = len(shape)
    x = tg_backend.from_numpy(np.random.default_rng(1).normal(size=(*y.shape[: -2 * n], *shape)))
    y = tg_backend.from_numpy(y)
    left = dot(tg_backend, tg_backend.windows(x, y.shape[-n:], stride, dilation), y)
    right = dot(tg_backend, x, tg_backend.fold(y, shape, stride, dilation))
    assert left == pytest.approx(right, rel=1e-12, abs=1e-12)  # as above


def test_random_agrees_with_the_numpy_backend_to_the_bit(tg_backend: Backend, numpy_backend: Backend) -> None:
    for key, shape, dtype in CALLS["random"]():
        ours = tg_backend.to_numpy(tg_backend.random(tg_backend.from_numpy(key.copy()), shape, dtype))
        theirs = numpy_backend.to_numpy(numpy_backend.random(key, shape, dtype))
        assert ours.tobytes() == theirs.tobytes(), f"key {key}, shape {shape}, {dtype}: other bits than NumPy's Philox"


def test_assign_writes_through_a_slice(tg_backend: Backend) -> None:
    base = tg_backend.from_numpy(np.zeros((3, 4)))
    part = tg_backend.slice(base, (slice(1, 3, 1), slice(0, 4, 2)))
    tg_backend.assign(part, tg_backend.from_numpy(np.array([1.0, 2.0])))
    expected = np.zeros((3, 4))
    expected[1:3, 0:4:2] = [1.0, 2.0]
    np.testing.assert_array_equal(tg_backend.to_numpy(base), expected)


def test_assign_reads_all_before_it_writes(tg_backend: Backend) -> None:
    """x[...] = flip(x), which lies in the same memory."""
    x = tg_backend.from_numpy(np.arange(5.0))
    tg_backend.assign(x, tg_backend.flip(x, (0,)))
    np.testing.assert_array_equal(tg_backend.to_numpy(x), np.arange(5.0)[::-1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_assign_takes_other_dtypes_of_the_kind_and_below(tg_backend: Backend, dtype: str) -> None:
    for source in ("bool", "int32", "int64", "float32", "float64"):
        if source.startswith("float") and dtype == "int32":
            continue  # refused where the user can see it
        x = tg_backend.from_numpy(np.zeros(2, dtype))
        tg_backend.assign(x, tg_backend.from_numpy(np.array([1, 0], source)))
        assert (x.dtype, tg_backend.to_numpy(x).tolist()) == (np.dtype(dtype), [1, 0]), source


@pytest.mark.parametrize("case", EACH_CASE, ids=str)
def test_op(tg_backend: Backend, numpy_backend: Backend, case: Case) -> None:
    """The op gives what it gives on the NumPy backend: values, first and second gradients."""
    f, traces = case.f(TinygradNames()), []
    for backend in (tg_backend, numpy_backend):
        with use_backend(backend.name):
            traces.append(trace(Ours(backend), f, case.inputs(backend), case.order))
    compare(traces[0], traces[1], "the NumPy backend")
