"""Memory: a graph that nobody holds is freed at once, without the collector, however long it is and however it ends."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.ops.op import op


@pytest.fixture(autouse=True)
def collector_off() -> Iterator[None]:
    """No collector during the test."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def leaf(*shape: int) -> Any:
    """Ones that want a gradient."""
    return tg.ones(*shape, requires_grad=True)


@op
def fragile(x: Any) -> Any:
    """x; its gradient cannot be computed."""
    return x.backend.add(x.data, 0.0)


def _raise(g: Any) -> Any:
    raise ArithmeticError("in the middle of the backward pass")


fragile.vjp = _raise


def forward_only(x: Any) -> None:
    (x * x).exp().sum()


def forward_and_backward(x: Any) -> None:
    y = x.tanh() * x + x.exp()
    y.sum().backward()
    x.grad = None


def gradient_kept(x: Any) -> None:
    (x * x).sum().backward()


def retained(x: Any) -> None:
    y = (x.sigmoid() / x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)


def views(x: Any) -> None:
    y = x.T.reshape(4)[1:].expand(2, 3).flip(0)
    z = x.detach().T
    (y * y).sum().backward()
    assert z.shape == (2, 2)


def fused(x: Any) -> None:
    loss = F.cross_entropy(F.linear(x, x, x[0]), tg.tensor([0, 1]))
    assert loss.requires_grad


def fused_with_create_graph(x: Any) -> None:
    loss = F.cross_entropy(F.linear(x, x, x[0]), tg.tensor([0, 1]))
    (g,) = tg.grad(loss, x, create_graph=True)
    (g * g).sum().backward()


def second_order(x: Any) -> None:
    (g,) = tg.grad((x**3.0).tanh().sum(), x, create_graph=True)
    (h,) = tg.grad(g.sum(), x, create_graph=True)
    h.sum().backward()


def second_order_dropped(x: Any) -> None:
    (g,) = tg.grad((x.exp() / x).sum(), x, create_graph=True)
    assert g.requires_grad


def backward_with_create_graph(x: Any) -> None:
    (x**3.0).sum().backward(create_graph=True)
    x.grad = None  # x.grad's graph leads back to x: only this breaks the circle, as in torch


def indexing(x: Any) -> None:
    y = x[tg.tensor([0, 1, 0])]
    y.max(1).values.sum().backward()


def an_error_in_the_middle(x: Any) -> None:
    try:
        fragile(x.exp() * 2.0).sum().backward()
    except ArithmeticError:
        pass
    else:
        pytest.fail("no error")


def an_error_with_create_graph(x: Any) -> None:
    try:
        tg.grad(F.linear(fragile(x), x).sum(), x, create_graph=True)
    except ArithmeticError:
        pass
    else:
        pytest.fail("no error")


def a_refused_change(x: Any) -> None:
    y = x.exp()
    loss = (y * x).sum()
    with tg.no_grad():
        y.zero_()
    try:
        loss.backward()
    except RuntimeError:
        pass
    else:
        pytest.fail("no error")


def a_wrong_shape(x: Any) -> None:
    try:
        x.exp() @ tg.ones(3, 3)
    except ValueError:
        pass
    else:
        pytest.fail("no error")


CASES = [
    forward_only,
    forward_and_backward,
    gradient_kept,
    retained,
    views,
    fused,
    fused_with_create_graph,
    second_order,
    second_order_dropped,
    backward_with_create_graph,
    indexing,
    an_error_in_the_middle,
    an_error_with_create_graph,
    a_refused_change,
    a_wrong_shape,
]


@pytest.mark.parametrize("use", CASES)
def test_a_dropped_graph_is_freed_at_once(use: Callable[[Any], None]) -> None:
    use(leaf(2, 2))  # once before: reading a rule's signature, which is done once, leaves cycles behind
    gc.collect()
    x = leaf(2, 2)
    dead = weakref.ref(x)
    use(x)
    del x  # every node of the graph leads back to it
    assert dead() is None
    assert gc.collect() == 0  # nor was anything else left to the collector
    assert tg.is_grad_enabled()


def test_results_go_while_the_leaf_stays() -> None:
    x = leaf(2)
    middle = x.exp()
    end = (middle * middle).sum()
    dead = [weakref.ref(middle), weakref.ref(end)]
    del middle
    assert dead[0]() is not None  # `mul` saved it
    end.backward()
    assert dead[0]() is None  # walked: the backward pass frees as it goes
    del end
    assert dead[1]() is None
    assert x.grad is not None


def test_a_detached_result_holds_nothing() -> None:
    x = leaf(2)
    dead = weakref.ref(x)
    end = x.exp().detach()
    del x
    assert dead() is None
    assert end.shape == (2,)


@pytest.mark.parametrize(
    "step",
    [lambda y, x: y + x, lambda y, x: y * 0.5, lambda y, x: y.reshape(1, 2).reshape(2), lambda y, x: F.relu(y)],
    ids=["add", "mul", "views", "relu"],
)
@pytest.mark.parametrize("walk", [True, False], ids=["walked", "dropped"])
def test_a_chain_of_100_000_ops(step: Callable[[Any, Any], Any], walk: bool) -> None:
    x = leaf(2)
    dead, y = weakref.ref(x), x
    for _ in range(100_000):
        y = step(y, x)
    if walk:
        y.sum().backward()
        assert x.grad is not None
    del x, y
    assert dead() is None


def test_a_long_chain_of_gradients_of_gradients() -> None:
    steps = 20 * sys.getrecursionlimit()
    x = tg.tensor(1.0, requires_grad=True, dtype=tg.float64)
    dead, y = weakref.ref(x), x
    for _ in range(steps):
        y = y + x * x
    (g,) = tg.grad(y, x, create_graph=True)
    g.backward()
    assert g.item() == 1.0 + 2.0 * steps
    assert x.grad.item() == 2.0 * steps
    del x, y, g
    assert dead() is None


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory's size from Linux")
def test_a_training_of_10_000_steps_leaves_memory_flat() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1000)
    x, target = tg.randn(4, 2), tg.tensor([0, 1, 0, 1])

    def train(steps: int) -> None:
        for _ in range(steps):
            loss = F.cross_entropy(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()

    train(500)  # until the caches are filled
    before = resident_bytes()
    train(10_000)
    assert resident_bytes() - before < 2e6
