"""checkpoint: the gradients are those without it, whatever the function uses; and less is kept."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn


def leaf(*values: float) -> Any:
    """A float64 vector that wants a gradient."""
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def plainly(f: Callable[..., Any], *inputs: Any) -> Any:
    """What checkpoint is to agree with."""
    return f(*inputs)


def both(program: Callable[[Callable[..., Any]], Any]) -> Any:
    """The program's result with checkpoint, which must be the one without."""
    expected = program(plainly)
    assert program(tg.checkpoint) == expected
    return expected


def test_inputs_weights_and_results_from_outside() -> None:
    def program(call: Callable[..., Any]) -> list[Any]:
        x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
        outside = w * 2.0
        y = call(lambda a: (a * w).tanh() * outside, x * 0.1)
        y.sum().backward()
        return [y.tolist(), x.grad.tolist(), w.grad.tolist()]

    both(program)


def test_several_results_nested_and_of_several_dtypes() -> None:
    def program(call: Callable[..., Any]) -> list[Any]:
        x = leaf(1.0, 2.0)
        data = tg.ones(2)

        def f(x: Any) -> Any:
            return x.exp(), [x.float() * 2.0, x > 1.5], x, data, (x * x).reshape(2, 1)

        a, (b, mask), c, d, e = call(f, x)
        assert c is x
        assert d is data
        (a.sum() + (b * 3.0).sum() + e.sum() * 0.5).backward()
        return [a.tolist(), b.tolist(), mask.tolist(), e.tolist(), str(b.dtype), e.shape, x.grad.tolist()]

    both(program)


def test_one_of_several_results_is_used() -> None:
    x = leaf(2.0)
    first, _ = tg.checkpoint(lambda x: (x * x, x.exp()), x)
    first.sum().backward()
    assert x.grad.tolist() == [4.0]


def test_grad_of_one_of_the_inputs() -> None:
    x, w = leaf(2.0), leaf(5.0)
    assert tg.grad(tg.checkpoint(lambda x: (x * w).sum(), x), x)[0].tolist() == [5.0]
    y = x * 3.0
    assert tg.grad(tg.checkpoint(lambda y: (y * w * x).sum(), y), [y, x, w])[1].tolist() == [60.0]
    assert (x.grad, w.grad) == (None, None)


def test_dropout_drops_the_same() -> None:
    def program(call: Callable[..., Any]) -> list[Any]:
        tg.manual_seed(3)
        x, drop = tg.ones(50, requires_grad=True), nn.Dropout(0.5)
        y = call(lambda x: drop(x) * 2.0, x)
        after = tg.rand(2).tolist()
        y.sum().backward()
        return [y.tolist(), x.grad.tolist(), after, tg.rand(2).tolist()]

    result = both(program)
    assert result[0] == result[1]  # each element is kept, or dropped, both ways
    assert len({*result[0]}) == 2


@pytest.mark.parametrize("order", [2, 3])
def test_gradients_of_gradients(order: int) -> None:
    def program(call: Callable[..., Any]) -> list[Any]:
        x, w = leaf(0.5, -1.0), leaf(2.0, 3.0)
        y = call(lambda x: ((x * w).tanh(), x.exp()), x * 2.0)
        g = (y[0] * y[1]).sum()
        for _ in range(order):
            (g,) = tg.grad(g.sum(), x, create_graph=True)
        g.sum().backward()
        found = [g.tolist(), x.grad.tolist(), w.grad.tolist()]
        x.grad = w.grad = None
        return found

    expected, found = program(plainly), program(tg.checkpoint)
    for a, b in zip(expected, found, strict=True):
        assert a == pytest.approx(b, rel=1e-12)  # sums of gradients are taken in another order


def test_checkpoints_in_checkpoints_and_transforms() -> None:
    def program(call: Callable[..., Any]) -> list[Any]:
        x = leaf(0.5, -1.0)
        y = call(lambda x: call(lambda y: y.exp(), x * x).tanh(), x)
        y.sum().backward()
        f = lambda x: call(lambda x: x * x * x, x)
        return [x.grad.tolist(), tg.jacobian(f)(x).tolist(), tg.jvp(f, (x,), (x.detach(),))[1].tolist()]

    both(program)


def test_hooks_are_called_once() -> None:
    x, calls = leaf(2.0), []
    h = x * 3.0
    x.register_hook(lambda g: calls.append(("x", g.item())))
    h.register_hook(lambda g: calls.append(("h", g.item())) or g * 2.0)

    def f(h: Any) -> Any:
        inner = h * h
        inner.register_hook(lambda g: calls.append(("inner", g.item())))
        return inner * 1.0 + x

    tg.checkpoint(f, h).sum().backward()
    assert calls == [("inner", 1.0), ("h", 12.0), ("x", 73.0)]


def test_a_graph_walked_twice() -> None:
    x = leaf(2.0)
    y = tg.checkpoint(lambda x: (x * x).sum(), x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8.0]
    with pytest.raises(RuntimeError, match=r"already walked and freed \(noticed at op 'checkpoint'\)"):
        y.backward()


def test_without_gradients_it_is_the_function() -> None:
    x = tg.ones(2)
    assert not tg.checkpoint(lambda x: x * 2.0, x).requires_grad
    with tg.no_grad():
        assert not tg.checkpoint(lambda x: x * 2.0, leaf(1.0)).requires_grad
        assert tg.checkpoint(lambda: "anything") == "anything"


def test_other_inputs_pass_as_they_are() -> None:
    x = leaf(2.0)
    tg.checkpoint(lambda x, n, parts: x * n + parts["b"], x, 3.0, {"b": x}).sum().backward()
    assert x.grad.tolist() == [4.0]


def test_results_are_not_kept() -> None:
    kept: list[weakref.ref[Any]] = []

    def f(x: Any) -> Any:
        middle = x.exp()
        kept.append(weakref.ref(middle))
        return (middle * middle).sum()

    gc.disable()
    try:
        x = leaf(1.0)
        loss = tg.checkpoint(f, x)
        assert kept[0]() is None
        dead = weakref.ref(x)
        loss.backward()
        assert len(kept) == 2
        assert kept[1]() is None
        del x
        assert dead() is not None  # the walked graph's parents
        del loss
        assert dead() is None
    finally:
        gc.enable()


def test_the_second_computation_is_freed_as_it_is_walked() -> None:
    kept: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    def f(x: Any) -> Any:
        middle = x.exp()
        kept.append(weakref.ref(middle))
        middle.register_hook(lambda g: alive.append(kept[-1]() is not None))
        return (middle * middle).sum()  # saves `middle`, until its own gradient has been taken

    tg.checkpoint(f, leaf(1.0)).backward()
    assert alive == [False]


def test_what_is_walked_lets_the_inputs_go() -> None:
    x = leaf(1.0)
    data = tg.ones(1)
    dead = weakref.ref(data)
    loss = tg.checkpoint(lambda x, data: (x * data).sum(), x, data)
    del data
    assert dead() is not None
    loss.backward()
    assert dead() is None


def test_the_peak_of_50_layers_is_less_than_half() -> None:
    """Segments of 7 layers, batch much larger than width: the figures are in tests/bench/bench_checkpoint.py."""
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(50)]
    x = tg.randn(4096, 8)

    def step(call: Callable[..., Any]) -> tuple[int, list[Any]]:
        y = x
        tracemalloc.start()
        for start in range(0, 50, 7):
            y = call(nn.Sequential(*layers[start : start + 7]), y)
        (y * y).mean().backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        gradients = [p.grad.tolist() for layer in layers for p in layer.parameters()]
        for layer in layers:
            layer.zero_grad()
        return peak, gradients

    step(tg.checkpoint)  # caches are filled
    (without, expected), (peak, found) = step(plainly), step(tg.checkpoint)
    assert found == expected
    assert peak < 0.5 * without


# --- What is refused -------------------------------------------------------------------------------------------------


def test_a_function_that_does_something_else_the_second_time() -> None:
    x, w = leaf(1.0, 2.0), leaf(1.0, 2.0)
    for others in (lambda: x[:1] * 2.0, lambda: x * w, lambda: x.detach()):
        answers = iter([lambda: x * 2.0, others])
        y = tg.checkpoint(lambda answers=answers: next(answers)())
        with pytest.raises(RuntimeError, match="checkpoint: the function did not do the same"):
            y.sum().backward()


@pytest.mark.parametrize(
    ("which", "message"),
    [("leaf", "'Tensor .' of op 'checkpoint', shape .2,., was changed in place"), ("input", "an input was changed")],
)
def test_a_change_in_place_in_between(which: str, message: str) -> None:
    w, data = leaf(1.0, 2.0), tg.ones(2, dtype=tg.float64)
    y = tg.checkpoint(lambda data: (data * w).sum(), data)
    with tg.no_grad():
        (w if which == "leaf" else data).mul_(2.0)
    with pytest.raises(RuntimeError, match=message):
        y.backward()


def test_an_error_leaves_the_random_numbers_as_they_were() -> None:
    tg.manual_seed(0)
    x, runs = leaf(1.0), []

    def f() -> Any:
        runs.append(tg.rand(1))
        if len(runs) == 2:
            raise ArithmeticError("mine")
        return x * 2.0

    y = tg.checkpoint(f)
    before = tg.random.get_state()
    with pytest.raises(ArithmeticError, match="mine"):
        y.backward()
    assert tg.random.get_state() == before
    assert tg.is_grad_enabled()


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"checkpoint: expected a Tensor or a tuple of Tensors, got dict"):
        tg.checkpoint(lambda x: {"y": x}, leaf(1.0))
