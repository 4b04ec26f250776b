"""The C++ backend's matrix product: every size at a tile's edge, every layout, batches, threads, special values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry
from tinygrad_edu.bench import products

cpp: Any = registry.backend("cpp")
DTYPES = (np.float32, np.float64)
# Around the tile (14 or 6 rows, 8 to 32 columns), the block of the inner dimension (384 or 192) and the bounds between
# one way of working and another.
EDGES = (0, 1, 2, 5, 6, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 42, 64, 65)
DEPTHS = (0, 1, 2, 15, 16, 17, 33, 191, 193, 383, 384, 385, 800)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = cpp.kernels.threads()
    yield
    cpp.kernels.set_threads(before)


def laid_out(rng: np.random.Generator, m: int, n: int, dtype: Any, layout: str) -> np.ndarray:
    if layout == "rows":
        return rng.normal(size=(m, n)).astype(dtype)
    if layout == "columns":
        return rng.normal(size=(n, m)).astype(dtype).T
    if layout == "steps":
        return rng.normal(size=(2 * m, 3 * n)).astype(dtype)[::2, ::3]
    if layout == "backwards":
        return rng.normal(size=(m, n)).astype(dtype)[::-1, ::-1]
    return np.broadcast_to(rng.normal(size=(1, n)).astype(dtype), (m, n))  # "repeated"


LAYOUTS = ("rows", "columns", "steps", "backwards", "repeated")


def check(x: np.ndarray, y: np.ndarray) -> None:
    """The product is within the rounding errors that a sum of k products may have, statistically: sqrt(k) half ulps."""
    got = cpp.matmul(x, y)
    exact = np.matmul(x.astype(np.longdouble), y.astype(np.longdouble))
    size = np.matmul(abs(x).astype(np.longdouble), abs(y).astype(np.longdouble))
    assert got.shape == exact.shape
    assert got.dtype == x.dtype
    assert got.flags.c_contiguous
    bound = (x.shape[-1] ** 0.5 + 2) * np.finfo(x.dtype).eps * size
    assert (abs(got - exact) <= bound).all(), (x.shape, y.shape, x.strides, y.strides)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", EDGES)
def test_edges(m: int, dtype: Any) -> None:
    rng = np.random.default_rng(m)
    for n in EDGES:
        k = int(rng.choice(DEPTHS))
        check(*(laid_out(rng, *size, dtype, str(rng.choice(LAYOUTS))) for size in ((m, k), (k, n))))


@pytest.mark.parametrize("x_layout", LAYOUTS)
@pytest.mark.parametrize("y_layout", LAYOUTS)
def test_layouts(x_layout: str, y_layout: str) -> None:
    for dtype in DTYPES:
        for m, k, n in ((1, 50, 70), (3, 400, 35), (20, 17, 3), (70, 1, 90), (33, 40, 200), (150, 390, 40)):
            rng = np.random.default_rng(k)
            check(laid_out(rng, m, k, dtype, x_layout), laid_out(rng, k, n, dtype, y_layout))


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_shapes(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        m, k, n = (int(np.exp(rng.uniform(0, np.log(600)))) for _ in range(3))
        check(*(laid_out(rng, *size, dtype, str(rng.choice(LAYOUTS))) for size in ((m, k), (k, n))))


@pytest.mark.parametrize(
    ("sx", "sy"),
    [
        ((5, 3, 4), (5, 4, 6)),
        ((5, 3, 4), (1, 4, 6)),
        ((1, 3, 4), (5, 4, 6)),
        ((3, 4), (5, 4, 6)),
        ((5, 3, 4), (4, 6)),
        ((2, 1, 3, 4), (7, 4, 6)),
        ((0, 3, 4), (4, 6)),
        ((3, 2, 0, 4), (2, 4, 6)),
        ((50, 40, 64), (50, 64, 40)),  # many that are handed out whole
        ((2, 150, 130), (2, 130, 140)),  # few that are spread one by one
    ],
)
def test_batches(sx: tuple[int, ...], sy: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=sx), rng.normal(size=sy)
    check(x, y)
    check(x.astype(np.float32), y.astype(np.float32))
    check(x, np.ascontiguousarray(y.swapaxes(-1, -2)).swapaxes(-1, -2))


def test_heads_of_attention() -> None:
    """Leading dimensions that are no plain stepping through memory: (B, T, heads, D) seen as (B, heads, T, D)."""
    x = np.random.default_rng(0).normal(size=(3, 20, 4, 8)).astype(np.float32).transpose(0, 2, 1, 3)
    check(x, x.swapaxes(-1, -2))
    check(np.broadcast_to(x[:, :1], x.shape), x.swapaxes(-1, -2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(5, 3, 7), (64, 64, 64), (1, 300, 40), (300, 40, 1), (40, 30, 10), (1, 40, 4)])
def test_special_values_are_carried(size: tuple[int, int, int], dtype: Any) -> None:
    """0 * inf is NaN; a NaN reaches every element of its row and of no other."""
    m, k, n = size
    x, y = np.zeros((m, k), dtype), np.ones((k, n), dtype)
    x[0, k // 2] = np.nan
    y[k - 1, n - 1] = np.inf
    got = cpp.matmul(x, y)
    assert np.isnan(got[0]).all()
    assert np.isnan(got[:, n - 1]).all()
    assert (got[1:, : n - 1] == 0).all()
    np.testing.assert_array_equal(cpp.matmul(y.T, x.T), got.T)
    x[0, k // 2], x[m - 1, 0] = 0, np.inf
    got = cpp.matmul(x, np.full((k, n), -2, dtype))
    assert (got[m - 1] == -np.inf).all()
    assert (got[: m - 1] == 0).all()


@pytest.mark.parametrize("dtype", ["int64", "int32", "float16", "complex64", "bool"])
def test_other_dtypes_are_numpys(dtype: str) -> None:
    x = (np.arange(12).reshape(3, 4) % 3).astype(dtype)
    got = cpp.matmul(x, x.T)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, x @ x.T)


@pytest.mark.parametrize("size", [(300, 200, 500), (1024, 1024, 1024), (1, 3000, 900), (3000, 900, 3), (20, 2000, 700)])
def test_one_thread_and_two_give_the_same_bits(size: tuple[int, int, int], two_threads: None) -> None:
    m, k, n = size
    rng = np.random.default_rng(0)
    for transpose in (False, True):
        x, y = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
        if transpose:
            x, y = np.asfortranarray(x), np.asfortranarray(y)
        found = []
        for threads in (1, 2, 3):
            cpp.kernels.set_threads(threads)
            found.append(cpp.matmul(x, y))
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("sx", "sy", "complaint"),
    [
        ((3, 4), (5, 6), r"matmul: expected y of shape \(..., 4, n\), got \(5, 6\)"),
        ((4,), (4, 6), r"matmul: expected x of shape \(..., m, k\), got \(4,\)"),
        ((3, 4), (4,), r"matmul: expected y of shape \(..., 4, n\), got \(4,\)"),
        ((2, 3, 4), (3, 4, 5), r"matmul: expected y of shape .*like x's, \(2, 3, 4\), got \(3, 4, 5\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(sx: tuple[int, ...], sy: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        cpp.matmul(np.zeros(sx), np.zeros(sy))


def test_what_is_no_array_is_named() -> None:
    with pytest.raises(TypeError, match="matmul: expected y to be a NumPy array, got list"):
        cpp.matmul(np.zeros((2, 2)), [[1.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3), (4, 5, 0), (700, 300)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=shape).astype(dtype), rng.normal(size=(37, shape[-1])).astype(dtype)
    b = [rng.normal(size=37).astype(dtype)] * bias
    close: dict[str, Any] = {"rtol": 0, "atol": 2e3 * np.finfo(dtype).eps}  # sums of up to 700 numbers of size 1
    out, saved = cpp.linear(x, weight, *b)
    np.testing.assert_allclose(out, x @ weight.T + sum(b), **close)
    g = rng.normal(size=out.shape).astype(dtype)
    rows, g_rows = x.reshape(-1, shape[-1]) if x.size else np.zeros((g.size // 37, shape[-1]), dtype), g.reshape(-1, 37)
    wanted = [(g @ weight), g_rows.T @ rows, g_rows.sum(0)][: 2 + bias]
    for needs in ([True] * len(wanted), [False, True, False][: len(wanted)], [True, False, True][: len(wanted)]):
        got = cpp.linear_vjp(saved, g, tuple(needs))
        assert len(got) == len(wanted)
        for mine, theirs, need in zip(got, wanted, needs, strict=True):
            assert (mine is not None) == need
            if need:
                np.testing.assert_allclose(mine, theirs, **close)


def test_linear_names_what_does_not_fit() -> None:
    x, weight = np.zeros((5, 3)), np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"linear: expected x of shape \(..., 3\), got \(5, 2\)"):
        cpp.linear(np.zeros((5, 2)), weight)
    with pytest.raises(ValueError, match=r"linear: expected weight of shape \(out, in\), got \(3,\)"):
        cpp.linear(x, np.zeros(3))
    with pytest.raises(ValueError, match=r"linear: expected bias of shape \(4,\), got \(3,\)"):
        cpp.linear(x, weight, np.zeros(3))
    with pytest.raises(TypeError, match="linear: expected weight of float64, got float32"):
        cpp.linear(x, weight.astype(np.float32))
    _, saved = cpp.linear(x, weight)
    with pytest.raises(ValueError, match=r"linear_vjp: expected g of shape \(5, 4\), got \(5, 3\)"):
        cpp.linear_vjp(saved, x, (True, True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 3, 1), (5, 7, 3), (3, 501, 37), (61, 33, 45), (501, 67, 131), (1, 1025, 19)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_with_relu(size: tuple[int, int, int], bias: bool, dtype: Any) -> None:
    """On every way of working, at edges of tiles and over several blocks of the inner dimension; a NaN stays one."""
    m, k, n = size
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(n, k)).astype(dtype)
    b = [rng.normal(size=n).astype(dtype)] * bias
    weight[n // 2, k // 2] = np.nan
    out, _ = cpp.linear(x, weight, *b, activation="relu")
    assert np.isnan(out[:, n // 2]).all()
    close: dict[str, Any] = {"rtol": 0, "atol": 2e3 * np.finfo(dtype).eps}  # as in test_linear
    np.testing.assert_allclose(out, np.maximum(x @ weight.T + sum(b), 0), **close)
    np.testing.assert_array_equal(out, np.maximum(cpp.linear(x, weight, *b, activation="none")[0], 0))


def test_linear_names_an_activation_that_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="linear: expected activation 'none' or 'relu', got 'tanh'"):
        cpp.linear(np.zeros((5, 3)), np.zeros((4, 3)), activation="tanh")
    with pytest.raises(TypeError, match="linear: expected x of float32 or float64, got int64"):
        cpp.linear(np.ones((5, 3), int), np.ones((4, 3), int), activation="relu")


def test_the_machines_limits_are_measured() -> None:
    """Loosely, for a busy machine, on which one may be measured in a worse moment than another: all reach 0.1."""
    limits = cpp.kernels.peak("float32"), cpp.kernels.peak("float64"), cpp.kernels.bandwidth()  # GFLOP/s; GB/s
    assert min(limits) > 0.1
    with pytest.raises(ValueError, match="peak: expected float32 or float64, got int64"):
        cpp.kernels.peak("int64")


def test_the_benchmark_tells_a_speed_a_share_and_two_ratios(capsys: pytest.CaptureFixture[str], needs: Any) -> None:
    torch = needs("torch")
    for layout in products.LAYOUTS:
        x, y = products.operands((3, 4, 5), layout=layout)
        assert (x.shape, y.shape) == ((3, 4), (4, 5))
        assert (x.flags.f_contiguous, y.flags.f_contiguous) == (layout == "x.T @ y", layout == "x @ y.T")
    products.print_table(cpp, torch, [(3, 4, 5)], "float64", "x @ y", 0.001)
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("3 x 4 x 5 ")
    assert len(row.split()) == 9
    assert all(1 <= size <= 4096 for shape in products.random_shapes(200) for size in shape)
