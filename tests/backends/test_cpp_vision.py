"""Pooling and batch normalisation of the C++ backend: random shapes against the bodies, threads, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, registry
from tinygrad_edu.nn.batch_norm import batch_statistics
from tinygrad_edu.testing.compare import TOLERANCE, assert_close

POOL = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0), "dilation": (1, 1), "counts": (2, 2)}


@pytest.fixture(scope="module")
def cpp() -> Any:
    return registry.backend("cpp")


def results(backend: str, f: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Value and gradients on a backend."""
    leaves = [Tensor(a, registry.backend(backend)).requires_grad_() for a in arrays]
    out = f(*leaves)
    g = np.random.default_rng(1).standard_normal(out.shape).astype(out.dtype)
    found = tg.grad(out, leaves, Tensor(g, out.backend))
    return [out.detach().numpy(), *[x.numpy() for x in found if x is not None]]


def agree(what: str, f: Any, arrays: list[np.ndarray]) -> None:
    for i, (got, expected) in enumerate(zip(*[results(b, f, arrays) for b in ("cpp", "numpy")], strict=True)):
        assert_close(f"{what}, result {i}", got, expected, "the body", TOLERANCE[got.dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_any_windows(name: str, dtype: str) -> None:
    rng = np.random.default_rng(len(name) + len(dtype))
    seen = 0
    while seen < 150:
        shape = (int(rng.choice([0, 1, 3], p=[0.05, 0.45, 0.5])), 2, *rng.choice([1, 3, 8, 17, 35], 2).tolist())
        size, stride = rng.choice([1, 2, 3, 5, 16], 2).tolist(), rng.choice([1, 2, 3], 2).tolist()
        padding = [int(rng.integers(0, k // 2 + 1)) for k in size]
        ceil = bool(rng.random() < 0.3)
        more: dict[str, Any] = {"ceil_mode": ceil}
        if name == "max_pool2d":
            more["dilation"] = rng.choice([1, 1, 2], 2).tolist()
        else:
            more["count_include_pad"] = bool(rng.random() < 0.5)
        x = rng.integers(-3, 4, shape).astype(dtype) if rng.random() < 0.3 else rng.normal(size=shape).astype(dtype)
        f = lambda t, s=size, st=stride, p=padding, m=more: getattr(F, name)(t, tuple(s), tuple(st), tuple(p), **m)
        try:
            f(tg.tensor(x))
        except ValueError:  # a kernel larger than the image, or a window in the padding alone
            continue
        agree(f"{name}, shape {shape}, {size}, {stride}, {padding}, {more}", f, [x])
        seen += 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_any_shape(training: bool, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((5, 1), (3, 17), (70, 300), (4, 3, 1), (4, 5, 7), (3, 20, 33, 40), (9, 40, 8, 8), (2, 3, 1100)):
        x, c = (rng.normal(size=shape) * 3 + 1).astype(dtype), shape[1]
        mean, var = rng.normal(size=c).astype(dtype), rng.uniform(0.5, 2.0, c).astype(dtype)

        def f(*t: Any, mean: Any = mean, var: Any = var) -> Any:
            given = [None, None] if training else [Tensor(a, t[0].backend) for a in (mean, var)]
            return F.batch_norm(t[0], *given, *t[1:], training=training)

        affine = [rng.normal(size=c).astype(dtype) for _ in range(2)]
        for rest in ([], affine[:1], affine):
            agree(f"batch_norm, shape {shape}, {len(rest)} parameters", f, [x, *rest])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 1), (50, 20), (300, 200), (3, 20, 33, 40), (2, 3, 4)])
def test_statistics_and_those_that_follow_them(cpp: Any, shape: tuple[int, ...], dtype: str) -> None:
    """The kernel beside the same function in primitives; a mean far from 0, where squares less squares would cancel."""
    x = (np.random.default_rng(0).normal(size=shape) + 1000.0).astype(dtype)
    for kept in (False, True):
        sides = []
        for compute in (cpp.batch_statistics, lambda *args, **settings: batch_statistics(cpp, *args, **settings)):
            running = [np.full(shape[1], number, dtype) for number in (0.5, 2.0)] if kept else []
            mean, var = compute(x, *running, momentum=0.3)
            sides.append([mean, var, *running])
        exact = x.astype(np.longdouble)  # float64 sums of float64 would round as often as the kernel does
        axes = (0, *range(2, len(shape)))
        truth = [exact.mean(axes).astype(np.float64), exact.var(axes).astype(np.float64)]
        for i, (got, expected) in enumerate(zip(*sides, strict=True)):
            assert_close(f"array {i}", got, expected, "the body", 10 * TOLERANCE[got.dtype])  # 1000 beside 1
        # half a unit in the last place of the mean, and what the deviations lose, which are exact to one unit of 1000
        assert_close("mean", sides[0][0].astype(np.float64), truth[0], "the truth", np.finfo(dtype).eps)
        assert_close("variance", sides[0][1].astype(np.float64), truth[1], "the truth", 1e4 * np.finfo(dtype).eps)


def test_any_number_of_threads_gives_the_same_bits(cpp: Any) -> None:
    x = np.random.default_rng(0).standard_normal((20, 30, 21, 22))
    before, seen = cpp.threads(), set()
    settings = {**POOL, "kernel_size": (3, 3), "counts": (10, 10)}
    try:
        for threads in (1, 2, 3):
            cpp.set_threads(threads)
            out, saved = cpp.max_pool2d(x, **settings)
            found = [out, *cpp.max_pool2d_vjp(saved, out, (True,))]
            mean, var = cpp.batch_statistics(x)
            out, saved = cpp.batch_norm(x, mean, var, training=True, eps=1e-5)
            found += [mean, var, out, cpp.batch_norm_vjp(saved, np.cos(x), (True, False, False))[0]]
            seen.add(b"".join([a.tobytes() for a in found]))
    finally:
        cpp.set_threads(before)
    assert len(seen) == 1


def test_positions_are_kept_small(cpp: Any) -> None:
    """One byte a window, four where the kernel has more places than a byte can tell."""
    x = np.arange(2.0 * 40 * 40).reshape(1, 2, 40, 40)
    for size, dtype in ((2, np.uint8), (15, np.uint8), (16, np.int32)):
        given = {**POOL, "kernel_size": (size, size), "stride": (1, 1), "counts": (41 - size, 41 - size)}
        out, saved = cpp.max_pool2d(x, **given)
        assert saved[0].dtype == dtype
        (gx,) = cpp.max_pool2d_vjp(saved, np.ones_like(out), (True,))
        assert gx[0, 0, size - 1 :, size - 1 :].tolist() == np.ones((41 - size, 41 - size)).tolist()
        assert gx.sum() == out.size


X = np.ones((1, 2, 4, 4), np.float32)
V = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda b: b.max_pool2d(X[0], **POOL),
            ValueError,
            r"max_pool2d: expected x of shape \(N, C, H, W\), got \(2, 4",
        ),
        (
            lambda b: b.max_pool2d(X.astype(int), **POOL),
            TypeError,
            "max_pool2d: expected x of float32 or float64, got in",
        ),
        (
            lambda b: b.max_pool2d(X, **{**POOL, "counts": (3, 2)}),
            ValueError,
            "max_pool2d: expected x of shape of which every window has an element",
        ),
        (
            lambda b: b.max_pool2d_vjp(b.max_pool2d(X, **POOL)[1], X, (True,)),
            ValueError,
            r"max_pool2d_vjp: expected g of shape \(any, any, 2, 2\), got \(1, 2, 4, 4\)",
        ),
        (lambda b: b.batch_statistics(V), ValueError, r"batch_statistics: expected x of shape \(N, C, \.\.\.\), got"),
        (lambda b: b.batch_norm(X, V, V[:1], training=True, eps=0.1), ValueError, r"batch_norm: expected var of shape"),
        (lambda b: b.batch_norm(X, V, None, training=True, eps=0.1), TypeError, "batch_norm: expected mean and var"),
        (
            lambda b: b.batch_norm(X, V, V.astype(float), training=True, eps=0.1),
            TypeError,
            "batch_norm: expected var of float32, got float64",
        ),
        (
            lambda b: b.batch_norm_vjp(b.batch_norm(X, V, V, training=True, eps=0.1)[1], X[0], (True,)),
            ValueError,
            r"batch_norm_vjp: expected g of shape \(1, 2, 4, 4\), got \(2, 4, 4\)",
        ),
    ],
)
def test_refused(cpp: Any, call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(cpp)
