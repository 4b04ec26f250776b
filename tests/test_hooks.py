"""Hooks and retain_grad: what they see, what they change, when they go; the same calls in torch are the oracle."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import tinygrad_edu as tg

Needs = Callable[[str], ModuleType]


def leaf(*values: float) -> Any:
    """A float64 vector that wants a gradient."""
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def test_hooks_in_order_as_torch_calls_them(needs: Needs) -> None:
    torch = needs("torch")

    def program(x: Any) -> tuple[Any, ...]:
        seen: list[Any] = []
        y = x * 3.0
        y.register_hook(lambda g: seen.append(g.tolist()))
        y.register_hook(lambda g: g * 2.0)
        y.retain_grad()
        y.register_hook(lambda g: g + 1.0)  # before what retain_grad keeps, though registered later
        x.register_hook(lambda g: seen.append(g.tolist()))
        x.register_hook(lambda g: g * 10.0)
        z = (y * y).sum()
        z.backward(retain_graph=True)
        first = x.grad.tolist(), y.grad.tolist()
        z.backward()
        return first, x.grad.tolist(), y.grad.tolist(), seen

    assert program(leaf(1.0, 2.0)) == program(torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True))


def test_a_hook_sees_the_complete_gradient_once() -> None:
    x = leaf(2.0)
    seen: list[Any] = []
    x.register_hook(seen.append)
    y = x * x
    y.register_hook(seen.append)
    (y * y + y + x).sum().backward()
    assert [g.tolist() for g in seen] == [[9.0], [37.0]]
    assert {type(g) for g in seen} == {tg.Tensor}
    assert x.grad.tolist() == [37.0]


def test_a_leafs_hook_comes_before_accumulation() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: g * 2.0)
    for expected in (6.0, 12.0):
        (x * 3.0).sum().backward()
        assert x.grad.tolist() == [expected]


def test_a_hook_changes_what_grad_gives() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3.0
    y.register_hook(lambda g: g * 2.0)
    x.register_hook(lambda g: g + 1.0)
    z = (y * y).sum()
    assert tg.grad(z, y, retain_graph=True)[0].tolist() == [12.0, 24.0]
    both = tg.grad(z, [y, x], retain_graph=True)
    assert [g.tolist() for g in both] == [[12.0, 24.0], [37.0, 73.0]]
    assert x.grad is None


def test_a_hook_on_the_output_itself_and_on_a_leaf_that_is_one() -> None:
    x = leaf(1.0)
    y = x * 2.0
    y.register_hook(lambda g: g * 5.0)
    y.sum().backward()
    assert x.grad.tolist() == [10.0]
    x.grad = None
    x.register_hook(lambda g: -g)
    x.backward()
    assert x.grad.tolist() == [-1.0]


def test_removed_hooks_are_not_called() -> None:
    x = leaf(1.0)
    first, second = x.register_hook(lambda g: g * 2.0), x.register_hook(lambda g: g * 3.0)
    first.remove()
    first.remove()  # again: nothing happens
    x.sum().backward()
    assert x.grad.tolist() == [3.0]
    second.remove()
    x.sum().backward()
    assert x.grad.tolist() == [4.0]


def test_a_hook_is_differentiated_with_create_graph(needs: Needs) -> None:
    torch = needs("torch")

    def program(grad: Any, x: Any) -> list[Any]:
        y = x * x
        y.register_hook(lambda g: g * y)  # called again in the second backward pass, which comes through y as well
        (g,) = grad(y.sum(), x, create_graph=True)
        (h,) = grad(g.sum(), x)
        return [g.tolist(), h.tolist()]

    ours = program(tg.grad, leaf(2.0))
    assert ours[0] == [16.0]  # 2 x * x^2
    assert ours == program(torch.autograd.grad, torch.tensor([2.0], dtype=torch.float64, requires_grad=True))


def test_hooks_without_create_graph_record_nothing() -> None:
    x = leaf(2.0)
    modes: list[bool] = []
    x.register_hook(lambda g: modes.append(tg.is_grad_enabled()))
    x.sum().backward()
    x.sum().backward(create_graph=True)
    assert modes == [False, True]


def test_what_hooks_keep_stays_as_it_was() -> None:
    x = leaf(1.0, 2.0)
    kept: list[Any] = []
    y, z = x * 1.0, x * 1.0
    for tensor in (x, y, z):
        tensor.register_hook(kept.append)
        tensor.retain_grad()
    (y + z).sum().backward()
    for tensor in (x, y, z):
        tensor.grad.mul_(7.0)
    assert [g.tolist() for g in kept] == [[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]
    assert (x.grad.tolist(), y.grad.tolist(), z.grad.tolist()) == ([14.0, 14.0], [7.0, 7.0], [7.0, 7.0])


def test_retain_grad() -> None:
    x = leaf(3.0)
    y = x * x
    y.retain_grad()
    y.retain_grad()  # again: not counted twice
    x.retain_grad()  # a leaf's is kept anyway
    (y * 2.0).sum().backward(retain_graph=True)
    assert (x.grad.tolist(), y.grad.tolist()) == ([12.0], [2.0])
    (y * 2.0).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([24.0], [4.0])


def test_hooks_and_inner_walks_do_not_meet_twice() -> None:
    """`linear` with create_graph walks through its body inside the walk: hooks of its arguments are called once."""
    import tinygrad_edu.nn.functional as F

    x, w = tg.ones(1, 2, requires_grad=True), tg.ones(3, 2, requires_grad=True)
    h, calls = x * 2.0, []
    h.register_hook(lambda g: calls.append("h"))
    w.register_hook(lambda g: calls.append("w"))
    F.linear(h, w).sum().backward(create_graph=True)
    assert sorted(calls) == ["h", "w"]
    x.grad = w.grad = None


def test_a_dropped_graph_with_hooks_is_freed_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * x
        dead = [weakref.ref(x), weakref.ref(y)]
        handle = y.register_hook(lambda g: g * 2.0)
        x.register_hook(lambda g: None)
        y.retain_grad()
        (y * y).sum().backward()
        assert y.grad is not None
        del x, y
        assert [ref() for ref in dead] == [None, None]
        handle.remove()  # of a Tensor that is no more
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_result_that_is_gone_retains_nothing() -> None:
    x = leaf(2.0)

    def build() -> Any:
        y = x + 1.0
        y.retain_grad()
        return (y + 1.0).sum()

    build().backward()
    assert x.grad.tolist() == [1.0]


@pytest.mark.parametrize("call", [lambda x: x.register_hook(print), lambda x: x.retain_grad()])
@pytest.mark.parametrize("make", [lambda: tg.ones(1), lambda: leaf(1.0).detach(), lambda: leaf(1.0) > 0.0])
def test_no_gradient_no_hook(call: Callable[[Any], Any], make: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"(register_hook|retain_grad): this Tensor gets no gradient"):
        call(make())


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda g: 1.0, TypeError, "hook: expected a Tensor in the gradient's place, or None, got float"),
        (lambda g: g.reshape(1, 2), ValueError, r"of shape \(2,\) and float64 like the gradient, got \(1, 2\)"),
        (lambda g: g.float(), ValueError, r"got \(2,\), float32"),
        (lambda g: g.mul_(2.0), RuntimeError, "hook: the gradient was changed in place"),
    ],
)
@pytest.mark.parametrize("result", [False, True])
def test_a_wrong_answer_of_a_hook(
    answer: Callable[[Any], Any], error: type[Exception], message: str, result: bool
) -> None:
    x = leaf(1.0, 2.0)
    y = x * 2.0
    (y if result else x).register_hook(answer)
    with pytest.raises(error, match=message):
        y.sum().backward()
    assert x.grad is None


def test_a_hook_is_a_function() -> None:
    with pytest.raises(TypeError, match="register_hook: expected a function of the gradient, got int"):
        leaf(1.0).register_hook(3)


def test_an_error_in_a_hook_comes_through() -> None:
    x = leaf(1.0)

    def fail(g: Any) -> None:
        raise ArithmeticError("mine")

    x.register_hook(fail)
    with pytest.raises(ArithmeticError, match="mine"):
        x.sum().backward()
    assert tg.is_grad_enabled()
