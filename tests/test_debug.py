"""detect_anomaly names the op that made the first NaN or infinity, and the line of this file that called it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import autograd, nn
from tinygrad_edu.ops.op import op

Needs = Callable[[str], ModuleType]
INF, NAN = float("inf"), float("nan")


def vector(*values: float, requires_grad: bool = False) -> Any:
    """A float64 vector."""
    return tg.tensor(values, dtype=tg.float64, requires_grad=requires_grad)


def leaf(*values: float) -> Any:
    """A float64 vector that wants a gradient."""
    return vector(*values, requires_grad=True)


@op
def broken(x: Any) -> Any:
    """x; its gradient is not finite."""
    return x.backend.add(x.data, 0.0)


broken.vjp = lambda g: g * INF


def anomaly(program: Callable[[], Any]) -> str:
    """The error that the program raises while it is watched."""
    with pytest.raises(RuntimeError, match=r"^detect_anomaly: ") as caught, tg.detect_anomaly():
        program()
    return str(caught.value)


# --- Forward ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [vector, leaf], ids=["unrecorded", "recorded"])
def test_the_op_the_place_and_the_line(make: Callable[..., Any]) -> None:
    a, b = make(1.0, 0.0), vector(2.0, 0.0)

    def program() -> Any:
        c = a + b
        d = c / b  # the mistake
        return d.sum()

    line = inspect.getsourcelines(program)[1] + 2
    assert anomaly(program) == (
        "detect_anomaly: div gave nan at index (1,), from 0.0 and 0.0\n"
        f'  File "{__file__}", line {line}, in program\n'
        "    d = c / b  # the mistake"
    )


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda: vector(-1.0).log(), r"log gave nan at index \(0,\), from -1.0"),
        (lambda: vector(1.0, 0.0).log(), r"log gave -inf at index \(1,\), from 0.0"),
        (lambda: vector(1000.0).exp(), r"exp gave inf at index \(0,\), from 1000.0"),
        (lambda: tg.tensor(1000.0).exp(), r"exp gave inf at index \(\), from 1000.0"),
        (lambda: vector(1.0, -1.0).reshape(2, 1) / vector(1.0, 0.0), r"div gave inf at index \(0, 1\), from 1.0 and 0"),
        (lambda: vector(INF) - vector(INF), r"sub gave nan at index \(0,\), from inf and inf"),
        (lambda: vector(0.0) * INF, r"mul gave nan at index \(0,\), from 0.0 and inf"),
        (lambda: vector(1e300).float(), r"cast gave inf at index \(0,\), from 1e\+300"),
        (lambda: vector(1e308, 1e308).sum(), r"sum gave inf at index \(\), from \(2,\) float64, 1e\+308 to 1e\+308"),
        (
            lambda: vector(1e200, 1.0) @ vector(1e200, 1.0),
            r"gave inf",
        ),
        (lambda: vector(-INF, -INF).softmax(0), r"softmax gave nan at index \(0,\), from \(2,\) float64, and inf"),
        (lambda: F.linear(tg.full((1, 1), 1e30), tg.full((1, 1), 1e30)), "gave inf"),
    ],
)
def test_what_makes_a_nan_or_an_infinity(program: Callable[[], Any], message: str) -> None:
    assert re.search(message, anomaly(program))


@pytest.mark.parametrize(
    "program",
    [
        lambda: vector(1.0, -INF).softmax(0),
        lambda: (leaf(1.0, 2.0) + vector(0.0, -INF)).softmax(0).sum().backward(),
        lambda: (leaf(1.0, 2.0) + vector(0.0, -INF)).softmax(0).log_softmax(0)[0].backward(),
        lambda: vector(NAN) * 2.0,
        lambda: vector(INF) * 2.0,
        lambda: tg.where(vector(NAN) == vector(NAN), vector(NAN), vector(0.0)),
        lambda: vector(1.0) > NAN,
        lambda: tg.zeros(0).sum(),
        lambda: tg.full((2,), -INF).max(),
        lambda: vector(1.0) / INF,
    ],
)
def test_what_is_no_anomaly(program: Callable[[], Any]) -> None:
    with tg.detect_anomaly():
        program()


def test_the_line_is_the_users_not_a_modules() -> None:
    layer = nn.Linear(1, 1)
    with tg.no_grad():
        layer.weight.fill_(1e30)

    def program() -> Any:
        return layer(tg.full((1, 1), 1e30))  # here

    assert anomaly(program).endswith("return layer(tg.full((1, 1), 1e30))  # here")


@pytest.mark.parametrize(
    ("module", "is_users"),
    [("tinygrad_edu.models.mine", True), ("tinygrad_edu.scripts.mine", True), ("tinygrad_edu.nn.mine", False)],
)
def test_models_and_projects_count_as_the_users(module: str, is_users: bool) -> None:
    scope: dict[str, Any] = {"__name__": module}
    exec(compile("def forward(x):\n    return x.log()", "mine.py", "exec"), scope)
    message = anomaly(lambda: scope["forward"](vector(0.0)))
    assert ('File "mine.py", line 2, in forward' in message) == is_users
    assert (f'File "{__file__}"' in message) != is_users


# --- Backward --------------------------------------------------------------------------------------------------------


def test_the_line_of_the_forward_pass() -> None:
    x = leaf(4.0, 0.0)

    def forward() -> Any:
        y = x.sqrt()  # the mistake
        return (y * 3.0).sum()

    message = anomaly(lambda: forward().backward())
    assert "the gradient of sqrt with respect to argument 0 is inf at index (1,), from a gradient (2,)" in message
    line = inspect.getsourcelines(forward)[1] + 1
    assert message.endswith(f"line {line}, in forward\n    y = x.sqrt()  # the mistake")


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_that_is_wrong(create_graph: bool) -> None:
    x = leaf(1.0)
    message = anomaly(lambda: tg.grad(broken(x * 2.0).sum(), x, create_graph=create_graph))
    assert "the gradient of broken with respect to argument 0 is inf" in message
    assert "broken(x * 2.0)" in message


def test_the_trap_of_where() -> None:
    """The branch not taken has an infinite derivative, and 0 * inf is NaN: torch's best-known surprise."""
    x = leaf(0.0, 4.0)
    message = anomaly(lambda: tg.where(x > 0.0, x.sqrt(), x).sum().backward())
    assert "the gradient of sqrt with respect to argument 0 is nan at index (0,)" in message


def test_a_gradient_of_a_gradient() -> None:
    x = leaf(0.0)

    def program() -> None:
        y = x**1.5  # first derivative 0, second infinite
        (g,) = tg.grad(y.sum(), x, create_graph=True)
        g.sum().backward()

    message = anomaly(program)
    assert "the gradient of pow" in message
    assert "y = x**1.5" in message


def test_a_nan_that_was_there_is_named_when_it_spoils_a_gradient() -> None:
    x, data = leaf(1.0), vector(NAN)
    message = anomaly(lambda: (x * data).sum().backward())
    assert "the gradient of mul with respect to argument 0 is nan" in message
    assert "'b' had NaN already, which no op made within this block" in message


def test_a_node_from_before_the_block() -> None:
    loss = leaf(0.0).sqrt().sum()
    assert "not known: the op was called outside the detect_anomaly block" in anomaly(loss.backward)


def test_a_cotangent_that_was_given_is_nobodys_fault() -> None:
    x = leaf(1.0)
    with tg.detect_anomaly():
        (x * 2.0).backward(vector(INF))
    assert x.grad.tolist() == [INF]


def test_inside_a_checkpoint() -> None:
    x = leaf(0.0)

    def part(x: Any) -> Any:
        return x.sqrt() * 2.0  # here

    assert anomaly(lambda: tg.checkpoint(part, x).sum().backward()).endswith("return x.sqrt() * 2.0  # here")


# --- The block -------------------------------------------------------------------------------------------------------


def test_nested_blocks_and_the_end() -> None:
    x = vector(0.0)
    with tg.detect_anomaly():
        with tg.detect_anomaly():
            pass
        with pytest.raises(RuntimeError, match="detect_anomaly"):
            x.log()
    assert not autograd.watching
    assert x.log().tolist() == [-INF]
    with pytest.raises(ArithmeticError), tg.detect_anomaly():
        raise ArithmeticError
    assert not autograd.watching
    assert leaf(0.0).sqrt().sum().backward() is None


def test_as_a_decorator() -> None:
    @tg.detect_anomaly()
    def program() -> Any:
        return vector(0.0).log()

    with pytest.raises(RuntimeError, match="log gave -inf"):
        program()
    assert not autograd.watching


def test_other_threads_are_not_watched() -> None:
    results: list[Any] = []

    def work() -> None:
        x = leaf(0.0)
        x.sqrt().sum().backward()
        results.extend(x.grad.tolist())

    with tg.detect_anomaly():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert results == [INF]


def test_results_are_the_same_while_watched() -> None:
    def program() -> list[Any]:
        x = leaf(0.5, -1.5)
        y = (x.tanh() * x).exp()
        (g,) = tg.grad(y.sum(), x, create_graph=True)
        g.sum().backward()
        return [y.tolist(), g.tolist(), x.grad.tolist()]

    expected = program()
    with tg.detect_anomaly():
        assert program() == expected


@pytest.fixture
def opaque() -> Any:
    """A backend whose arrays are no NumPy arrays."""
    from tinygrad_edu import registry

    spec = importlib.util.spec_from_file_location("opaque_backend", Path(__file__).parent / "opaque_backend.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield "opaque"
    del registry.installed().table("backends")["opaque"]


def test_on_a_backend_with_arrays_of_its_own(opaque: str) -> None:
    with tg.use_backend(opaque):
        x = leaf(0.0, 1.0)
        assert "sqrt with respect to argument 0 is inf" in anomaly(lambda: x.sqrt().sum().backward())
        assert "log gave -inf at index (0,), from 0.0" in anomaly(x.log)
        assert 'class="leaf"' in tg.draw((x * 2.0).sum(), {"x": x})
        assert tg.jacobian(lambda x: x * x)(x.detach()).tolist() == [[0.0, 0.0], [0.0, 2.0]]
        assert tg.jvp(lambda x: x * x, (x.detach(),), (vector(1.0, 1.0),))[1].tolist() == [0.0, 2.0]
        x.register_hook(lambda g: g * 2.0)
        tg.checkpoint(lambda x: (x * x, x.sum()), x)[0].sum().backward()
        assert x.grad.tolist() == [0.0, 4.0]
