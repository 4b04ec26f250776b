"""Convolutions of the C++ backend: random geometries against the body, memory of any kind, threads, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, registry
from tinygrad_edu.testing.compare import TOLERANCE, assert_close

SETTINGS = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}


@pytest.fixture(scope="module")
def cpp() -> Any:
    return registry.backend("cpp")


def geometries(seed: int, count: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]]:
    """Random shapes of image and weight, and settings: channels around a vector's size, rows shorter and longer."""
    rng = np.random.default_rng(seed)
    while count:
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        c, o = groups * rng.choice([1, 2, 3, 8, 17]), groups * rng.choice([1, 3, 4, 16, 33])
        h, w = rng.choice([1, 2, 5, 8, 11, 16, 19, 37], 2)
        kernel, stride = rng.choice([1, 2, 3, 5], 2), rng.choice([1, 1, 2, 3], 2)
        dilation, padding = rng.choice([1, 1, 2], 2), rng.choice([0, 0, 1, 2], 2)
        if (np.array([h, w]) + 2 * padding < dilation * (kernel - 1) + 1).any():
            continue
        settings = {"stride": stride, "padding": padding, "dilation": dilation}
        numbers = {key: tuple([int(n) for n in value]) for key, value in settings.items()}
        n = int(rng.choice([0, 1, 2, 9], p=[0.05, 0.35, 0.3, 0.3]))
        yield (n, int(c), int(h), int(w)), (int(o), int(c // groups), *kernel.tolist()), {**numbers, "groups": groups}
        count -= 1


def results(backend: str, f: Any, arrays: list[np.ndarray], settings: dict[str, Any]) -> list[np.ndarray]:
    """Value and gradients on a backend."""
    leaves = [Tensor(a, registry.backend(backend)).requires_grad_() for a in arrays]
    out = f(*leaves, **settings)
    g = np.random.default_rng(1).standard_normal(out.shape).astype(out.dtype)
    found = tg.grad(out, leaves, Tensor(g, out.backend))
    return [out.detach().numpy(), *[x.numpy() for x in found if x is not None]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_any_geometry(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape, weight, settings in geometries(len(name) + len(dtype), 120):
        if name == "conv_transpose2d":  # of the grid that conv2d would make of these images
            k, s, p, d = np.array(weight[2:]), *[np.array(settings[key]) for key in ("stride", "padding", "dilation")]
            grid = (np.array(shape[2:]) + 2 * p - d * (k - 1) - 1) // s + 1
            if ((grid - 1) * s + d * (k - 1) + 1 - 2 * p < 1).any():
                continue
            shape = (shape[0], weight[0], *grid.tolist())
        bias = weight[1] * settings["groups"] if name == "conv_transpose2d" else weight[0]
        arrays = [rng.uniform(-1, 1, s).astype(dtype) for s in (shape, weight, (bias,))]
        pairs = zip(*[results(b, getattr(F, name), arrays, settings) for b in ("cpp", "numpy")], strict=True)
        for i, (got, expected) in enumerate(pairs):
            what = f"{name}, shapes {shape} and {weight}, {settings}, {('value', 'gx', 'gw', 'gb')[i]}"
            assert got.shape == expected.shape, what
            # 3 times: sums of some thousands of numbers, in another order
            assert_close(what, got, expected, "the body", 3 * TOLERANCE[got.dtype])


def test_nothing_is_multiplied_by_padding(cpp: Any) -> None:
    """An infinite weight gives NaN with 0; it does not meet the padding's zeros, in which it would."""
    x, w = np.ones((1, 2, 4, 4), np.float32), np.ones((16, 2, 3, 3), np.float32)
    w[:, :, 0] = np.inf  # rows above
    out, _ = cpp.conv2d(x, w, **{**SETTINGS, "padding": (1, 1, 1, 1)})
    assert np.isfinite(out[:, :, 0]).all()
    assert np.isinf(out[:, :, 1:]).all()


def test_memory_of_any_kind(cpp: Any) -> None:
    """Views with gaps, turned round and unaligned ones give the very same."""
    rng = np.random.default_rng(0)
    x, w = [rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 9, 20), (5, 3, 3, 3))]
    expected, saved = cpp.conv2d(x, w, **SETTINGS)
    g = rng.standard_normal(expected.shape).astype(np.float32)
    gradients = cpp.conv2d_vjp(saved, g, (True, True))

    def laid(a: np.ndarray, how: str) -> np.ndarray:
        if how == "gaps":
            return np.repeat(a, 2, -1)[..., ::2]
        if how == "turned":
            return np.ascontiguousarray(a[::-1, :, ::-1])[::-1, :, ::-1]
        memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view(np.uint8)
        unaligned = np.frombuffer(memory.data, np.dtype(np.float32)).reshape(a.shape)
        unaligned[...] = a
        return unaligned

    for how in ("gaps", "turned", "unaligned"):
        out, kept = cpp.conv2d(laid(x, how), laid(w, how), **SETTINGS)
        assert out.tobytes() == expected.tobytes(), how
        for got, wanted in zip(cpp.conv2d_vjp(kept, laid(g, how), (True, True)), gradients, strict=True):
            assert got.tobytes() == wanted.tobytes(), how


@pytest.mark.parametrize("groups", [1, 4])
def test_any_number_of_threads_gives_the_same_bits(cpp: Any, groups: int) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((37, 8, 24, 23)), rng.standard_normal((20, 8 // groups, 3, 3))
    before, seen = cpp.threads(), set()
    try:
        for threads in (1, 2, 3):
            cpp.set_threads(threads)
            out, saved = cpp.conv2d(x, w, **{**SETTINGS, "padding": (1, 1, 1, 1), "groups": groups})
            g = np.cos(out)
            seen.add(b"".join([a.tobytes() for a in (out, *cpp.conv2d_vjp(saved, g, (True, True)))]))
    finally:
        cpp.set_threads(before)
    assert len(seen) == 1


def test_what_is_not_wanted_is_not_computed(cpp: Any) -> None:
    x, w, b = np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2)), np.ones(3)
    out, saved = cpp.conv2d(x, w, b, **SETTINGS)
    for needs in ((True, False, False), (False, True, False), (False, False, True)):
        assert tuple(g is not None for g in cpp.conv2d_vjp(saved, out, needs)) == needs


X, W = np.ones((1, 2, 4, 4), np.float32), np.ones((3, 2, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("arguments", "changed", "kind", "message"),
    [
        ((X.astype(np.int64), W), {}, TypeError, "conv2d: expected x of float32 or float64, got int64"),
        ((X, W.astype(np.float64)), {}, TypeError, "conv2d: expected weight of float32, got float64"),
        ((X, W, np.ones(3)), {}, TypeError, "conv2d: expected bias of float32, got float64"),
        ((X[0], W), {}, ValueError, r"conv2d: expected x of shape \(N, C, H, W\), got \(2, 4, 4\)"),
        ((X, W[:, :1]), {}, ValueError, r"conv2d: expected x of shape \(any, 1, any, any\), got \(1, 2, 4, 4\)"),
        ((X, W, np.ones(2, np.float32)), {}, ValueError, r"conv2d: expected bias of shape \(3,\), got \(2,\)"),
        ((X, W), {"dilation": (4, 1)}, ValueError, "conv2d: expected x of shape that the kernel fits into"),
        ((X, W), {"stride": (0, 1)}, ValueError, "conv2d: expected stride, dilation, groups and kernel >= 1"),
        ((X, W), {"groups": 2}, ValueError, r"conv2d: expected x of shape \(any, 4, any, any\), got"),
        (([1.0], W), {}, TypeError, "conv2d: expected x to be a NumPy array, got list"),
    ],
)
def test_refused(cpp: Any, arguments: Any, changed: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        cpp.conv2d(*arguments, **{**SETTINGS, **changed})


def test_a_cotangent_of_another_shape_is_refused(cpp: Any) -> None:
    _, saved = cpp.conv2d(X, W, **SETTINGS)
    with pytest.raises(ValueError, match=r"conv2d_vjp: expected g of shape \(1, 3, 3, 3\), got \(1, 3, 3, 2\)"):
        cpp.conv2d_vjp(saved, np.ones((1, 3, 3, 2), np.float32), (True, True))
