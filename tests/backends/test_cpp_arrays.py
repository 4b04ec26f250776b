"""What crosses into C++: arrays checked on the way in, memory that is kept and counted on the way out."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry
from tinygrad_edu.backends.cpp import CppBackend
from tinygrad_edu.backends.numpy_backend import NumpyBackend

cpp: Any = registry.backend("cpp")
SETTINGS = {"momentum": 0.0, "weight_decay": 0.0, "nesterov": False}
LR = np.array(0.1)


def single(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def read_only(*shape: int) -> np.ndarray:
    array = single(*shape)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("params", "grads", "lr", "error", "complaint"),
    [
        ([[1.0]], [single(1)], LR, TypeError, "sgd: expected a parameter to be a NumPy array, got list"),
        (
            [np.zeros(3, np.float16)],
            [single(3)],
            LR,
            TypeError,
            "sgd: expected a parameter of float32 or float64, got float16",
        ),
        (
            [np.zeros(3, ">f4")],
            [single(3)],
            LR,
            TypeError,
            "sgd: expected a parameter of float32 or float64, got >f4",
        ),
        ([single(3)], [np.zeros(3)], LR, TypeError, "sgd: expected a gradient of float32, got float64"),
        ([single(3, 4)], [single(3)], LR, ValueError, r"sgd: expected a gradient of shape \(3, 4\), got \(3,\)"),
        ([single(3)], [single(3)], np.array([0.1]), ValueError, r"sgd: expected lr of shape \(\), got \(1,\)"),
        ([single(3)], [single(3)], single(), TypeError, "sgd: expected lr of float64, got float32"),
        ([read_only(3)], [single(3)], LR, ValueError, "sgd: expected a parameter to be writable, it is read-only"),
    ],
)
def test_what_does_not_fit_is_named(
    params: list[Any], grads: list[Any], lr: Any, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        cpp.sgd(params, grads, lr, **SETTINGS)


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="sgd: expected as many gradients as parameters, 2, got 1"):
        cpp.sgd([single(3), single(3)], [single(3)], LR, **SETTINGS)
    with pytest.raises(ValueError, match="sgd: expected as much state as parameters, 1, got 2"):
        cpp.sgd([single(3)], [single(3)], LR, [single(3), single(3)], **{**SETTINGS, "momentum": 0.9})


def test_memory_is_counted_by_tracemalloc_and_used_again() -> None:
    x = np.ones(100_000, np.float32)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        out = cpp.exp(x)
        now, _ = tracemalloc.get_traced_memory()
        assert 400_000 <= now - before < 410_000
        place = out.ctypes.data
        del out
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < 10_000
    finally:
        tracemalloc.stop()
    assert cpp.exp(x).ctypes.data == place


def test_a_view_keeps_the_memory_it_is_of() -> None:
    x = np.ones(100_000, np.float32)
    view = cpp.exp(x)[5:7]
    others = [cpp.exp(x * 0) for _ in range(4)]
    np.testing.assert_allclose(view, np.exp(1.0), rtol=1e-6)
    assert all(other[0] == 1.0 for other in others)


def test_what_no_kernel_serves_is_numpys() -> None:
    assert isinstance(cpp, CppBackend)
    assert cpp.permute.__func__ is NumpyBackend.permute
    assert cpp.sgd is cpp.kernels.sgd
