"""Backends: which one new Tensors are created on, moving between two, the list of primitives.

What each primitive must do is in the conformance suite, `tinygrad_edu.testing`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, registry
from tinygrad_edu.backend import PRIMITIVES
from tinygrad_edu.backends.numpy_backend import NumpyBackend


class Bodies(NumpyBackend):
    """The NumPy backend under another name, and without kernels."""

    name = "bodies"
    linear = cross_entropy = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def bodies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register Bodies beside what is installed; the default backend afterwards is what it was."""
    table = registry.installed().table("backends")
    monkeypatch.setitem(table, "bodies", registry.Registered(Bodies, __name__, "tests"))
    before = tg.get_backend().name
    yield
    tg.set_backend(before)


# --- the choice ------------------------------------------------------------------------------------------------------


def test_set_backend_counts_from_then_on() -> None:
    before = tg.ones(2)
    tg.set_backend("bodies")
    assert tg.get_backend().name == "bodies"
    made = [tg.tensor(1), tg.zeros(2), tg.arange(3), tg.eye(2), tg.rand(2), tg.randn(2), tg.randint(0, 2, 2)]
    assert {x.backend.name for x in made} == {"bodies"}
    assert tg.ones_like(before).backend is before.backend


def test_use_backend_counts_within_its_block() -> None:
    outside = tg.get_backend()
    with tg.use_backend("bodies") as backend:
        assert backend is tg.get_backend() is tg.ones(1).backend
        with tg.use_backend(outside.name):
            assert tg.get_backend() is outside
        assert tg.get_backend() is backend
    assert tg.get_backend() is outside
    with pytest.raises(KeyError), tg.use_backend("bodies"):
        raise KeyError
    assert tg.get_backend() is outside


def test_use_backend_is_the_threads_own_and_set_backend_everybodys() -> None:
    seen: list[str] = []
    with tg.use_backend("bodies"):
        thread = threading.Thread(target=lambda: seen.append(tg.get_backend().name))
        thread.start()
        thread.join()
    tg.set_backend("bodies")
    thread = threading.Thread(target=lambda: seen.append(tg.get_backend().name))
    thread.start()
    thread.join()
    assert seen[0] != "bodies"
    assert seen[1] == "bodies"


def test_an_op_runs_where_its_tensors_are() -> None:
    with tg.use_backend("bodies"):
        x, w = tg.ones(2, 3), tg.ones(4, 3, requires_grad=True)
    loss = F.cross_entropy(F.linear(x, w) * 2.0 + 1.0, x.argmax(1))
    loss.backward()
    assert {loss.backend.name, w.grad.backend.name, (x > 0).backend.name, x[[0, 1]].backend.name} == {"bodies"}


def test_numbers_follow_the_backend_and_not_its_name() -> None:
    """A second instance under one name: the numbers kept for the first must not reach its Tensors."""
    for backend in (NumpyBackend(), NumpyBackend()):
        x = Tensor(np.ones(3, np.float32), backend)
        one = x.sum() / 3.0  # 0-d, like the numbers themselves
        assert (1.0 / one + 2.0).backend is backend
        y = Tensor(np.ones((2, 2), np.float64), backend).requires_grad_()
        (g,) = tg.grad((y * y).mean(), y, create_graph=True)
        (g / 4.0).sum().backward()
        assert y.grad.backend is backend


# --- moving ----------------------------------------------------------------------------------------------------------


def test_to_backend_moves() -> None:
    x = tg.tensor([[1.0, 2.0]], requires_grad=True)
    moved = x.to_backend("bodies")
    assert moved.backend.name == "bodies"
    assert moved.tolist() == [[1.0, 2.0]]
    assert (moved.requires_grad, moved.is_leaf) == (True, True)
    assert not x.detach().to_backend("bodies").requires_grad
    assert moved.to_backend("bodies") is moved


def test_a_result_under_gradients_does_not_move() -> None:
    y = tg.ones(2, requires_grad=True) * 2.0
    with pytest.raises(RuntimeError, match=r"to_backend: a result under gradients does not move; move the inputs, or"):
        y.to_backend("bodies")
    assert y.detach().to_backend("bodies").tolist() == [2.0, 2.0]


# --- the protocol ----------------------------------------------------------------------------------------------------


def test_the_protocol_has_at_most_45_primitives() -> None:
    assert 30 < len(PRIMITIVES) <= 45
    assert {"from_numpy", "matmul", "assign", "random"} <= set(PRIMITIVES)


@pytest.mark.parametrize("name", registry.names("backends"))
def test_every_backend_has_every_primitive(name: str) -> None:
    backend = registry.backend(name)
    assert backend.name == name
    assert [p for p in PRIMITIVES if not callable(getattr(backend, p, None))] == []


@pytest.mark.parametrize("error", ["raise", "warn", "ignore"])
def test_the_users_numpy_settings_are_left_alone(error: Any) -> None:
    with np.errstate(all=error):
        settings = np.geterr()
        for x in (tg.tensor([-1.0, 0.0]), tg.tensor([1e30])):
            assert x.log().shape == (x * x / 0.0).exp().shape == x.shape
            F.cross_entropy(x.expand(1, *x.shape), tg.tensor([0]))
        assert np.geterr() == settings


def test_numbers_go_to_the_backend_of_the_tensors_beside_them() -> None:
    with tg.use_backend("bodies"):
        x = tg.tensor([1.0, -2.0], requires_grad=True)
    results = [x + 1, 2 / x, x**2.5, 2**x, x > 0, tg.clamp(x, 0), tg.clamp_max(x, 1), tg.where(x > 0, x, 0.0)]
    results += [tg.where(x > 0, 1.0, -1.0), F.dropout(x, 0.5)]
    assert {y.backend.name for y in results} == {"bodies"}
    assert results[8].tolist() == [1.0, -1.0]
