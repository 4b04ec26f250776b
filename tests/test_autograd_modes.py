"""Whether gradients are recorded: no_grad, enable_grad, set_grad_enabled, each thread for itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F


def leaf(*values: float) -> Any:
    """A float64 vector that wants a gradient."""
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with tg.enable_grad():
            assert (x * 2.0).requires_grad
        with tg.set_grad_enabled(False):
            assert not F.linear(x, x.reshape(1, 1)).requires_grad
        assert not tg.is_grad_enabled()
    assert (x * 2.0).requires_grad


def test_modes_as_decorators() -> None:
    @tg.no_grad()
    def without(x: Any) -> Any:
        return x * 2.0

    @tg.enable_grad()
    def within(x: Any) -> Any:
        return x * 2.0

    x = leaf(1.0)
    for _ in range(2):
        assert not without(x).requires_grad
        with tg.no_grad():
            assert within(x).requires_grad
    assert tg.is_grad_enabled()


def test_a_mode_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert tg.is_grad_enabled()


def test_a_mode_is_the_threads_own() -> None:
    seen: list[bool] = []

    def look() -> None:
        seen.append(tg.is_grad_enabled())
        with tg.no_grad():
            inside.set()
            outside.wait(5.0)

    inside, outside = threading.Event(), threading.Event()
    with tg.no_grad():
        thread = threading.Thread(target=look)
        thread.start()
        assert inside.wait(5.0)
    assert tg.is_grad_enabled()  # though the other thread is inside its no_grad
    outside.set()
    thread.join()
    assert seen == [True]


def test_threads_train_side_by_side() -> None:
    found: dict[int, list[float]] = {}

    def work(i: int) -> None:
        x = leaf(float(i))
        for _ in range(50):
            y = x
            for _ in range(20):
                y = y * 1.0 + x
            y.sum().backward()
        found[i] = x.grad.tolist()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [50 * 21.0] for i in range(4)}
