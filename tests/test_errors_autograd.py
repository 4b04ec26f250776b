"""What misuse of gradients is answered with: a backward pass without a graph, twice, or after a change in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, optim
from tinygrad_edu.backends.numpy_backend import NumpyBackend


class Other(NumpyBackend):
    """A second backend: the NumPy one under another name."""

    name = "other"


def leaf(*shape: int) -> Any:
    """Ones that want a gradient."""
    return tg.ones(*shape, requires_grad=True)


def fails(kind: type[Exception], message: str) -> Any:
    """`pytest.raises` with a literal message (or a part of it)."""
    return pytest.raises(kind, match=re.escape(message))


def test_backward_wants_one_element() -> None:
    y = leaf(2, 3) * 2
    with fails(RuntimeError, "backward: expected a result with one element, got shape (2, 3); reduce it with sum()"):
        y.backward()
    with fails(RuntimeError, "grad: expected a result with one element, got shape (2, 3)"):
        tg.grad(y, y)
    with fails(ValueError, "backward: expected a cotangent of the result's shape (2, 3), got (3,)"):
        y.backward(tg.ones(3))


def test_a_cotangent_is_a_tensor_of_the_same_backend() -> None:
    y = leaf(2) * 2
    other = Tensor(np.ones(2, np.float32), Other())
    with fails(
        ValueError, f"backward: expected a cotangent on backend '{y.backend.name}' like the result, got 'other'"
    ):
        y.backward(other)
    with fails(ValueError, "grad: expected a cotangent on backend"):
        tg.grad(y, y, other)
    with fails(TypeError, "backward: expected a Tensor as cotangent, got float"):
        y.backward(1.0)  # type: ignore[arg-type]


def test_backward_wants_a_graph() -> None:
    message = "backward: this Tensor has no graph: none of what it was computed from has requires_grad=True"
    with fails(RuntimeError, message):
        tg.ones(2).sum().backward()
    with tg.no_grad():
        y = leaf(2).sum()
    with fails(RuntimeError, message):
        y.backward()
    with fails(RuntimeError, message):
        leaf(2).detach().sum().backward()
    with fails(RuntimeError, message):
        (leaf(2) > 0).sum().backward()


def test_backward_twice() -> None:
    loss = F.cross_entropy(leaf(2, 3).tanh(), tg.tensor([0, 1]))
    loss.backward()
    message = "backward: the graph was already walked and freed (noticed at op 'cross_entropy'); to walk it again, call"
    with fails(RuntimeError, message + " the first backward() or grad() with retain_graph=True"):
        loss.backward()


def test_backward_through_a_part_that_was_walked() -> None:
    middle = leaf(3).exp()
    (middle * 2).sum().backward()
    with fails(RuntimeError, "the graph was already walked and freed (noticed at op 'exp')"):
        (middle * 3).sum().backward()


def test_grad_with_unused_or_constant_inputs() -> None:
    x, unused = leaf(2), leaf(4)
    with fails(RuntimeError, "grad: the outputs do not depend on input 1, shape (4,); with allow_unused=True its"):
        tg.grad((x * 2).sum(), [x, unused])
    with fails(RuntimeError, "grad: input 0, shape (3,), does not require a gradient; call x.requires_grad_()"):
        tg.grad((x * 2).sum(), tg.ones(3))
    with fails(ValueError, "grad: expected 1 grad_outputs, one for each output, got 2"):
        tg.grad((x * 2).sum(), x, [tg.ones(), tg.ones()])


def change_leaf(x: Tensor, middle: Tensor) -> None:
    with tg.no_grad():
        x.mul_(2.0)


def change_view_of_leaf(x: Tensor, middle: Tensor) -> None:
    x.detach().reshape(4)[1:3].fill_(7.0)


def change_by_item(x: Tensor, middle: Tensor) -> None:
    with tg.no_grad():
        x[0, 1] = 5.0


def change_middle(x: Tensor, middle: Tensor) -> None:
    with tg.no_grad():
        middle += 1.0


def change_view_of_middle(x: Tensor, middle: Tensor) -> None:
    middle.detach().T[0].zero_()


def step_optimizer(x: Tensor, middle: Tensor) -> None:
    x.grad = tg.ones_like(x)
    optim.SGD([x], lr=0.1).step()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (change_leaf, lambda x, middle: x * x),
        (change_leaf, lambda x, middle: F.linear(x, x)),
        (change_view_of_leaf, lambda x, middle: x @ x),
        (change_by_item, lambda x, middle: x.log()),
        (step_optimizer, lambda x, middle: x.sin()),
        (step_optimizer, lambda x, middle: F.linear(tg.ones(1, 2), x)),
        (change_middle, lambda x, middle: middle.sum()),  # exp saved its result
        (change_middle, lambda x, middle: middle.detach() * x),
        (change_view_of_middle, lambda x, middle: middle + x),
        (change_view_of_middle, lambda x, middle: middle.reshape(4) * x.reshape(4)),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_after_a_change_in_place(
    change: Callable[..., None], rule: Callable[[Any, Any], Any], create_graph: bool
) -> None:
    x = leaf(2, 2)
    middle = x.exp()
    loss = rule(x, middle).sum()
    change(x, middle)
    with pytest.raises(RuntimeError, match=r"backward: '.+' of op '\w+', shape \(.*\), was changed in place"):
        loss.backward(create_graph=create_graph)


def test_the_message_of_a_change_names_op_argument_and_versions() -> None:
    x, w = leaf(2), leaf(2)
    with tg.no_grad():
        w.add_(1.0)
    loss = (x * w).sum()
    with tg.no_grad():
        w.add_(1.0).add_(1.0)
    message = "backward: 'b' of op 'mul', shape (2,), was changed in place after it was saved for the gradient"
    with fails(RuntimeError, message + " (version 3, saved at 1); change a copy, or change it after backward()"):
        loss.backward()


def test_a_change_of_what_no_rule_saved_is_allowed() -> None:
    x = leaf(2)
    y = x + 1.0
    loss = (y * 2.0).sum()
    with tg.no_grad():
        x.zero_()
        y.zero_()
    loss.backward()
    assert x.grad.tolist() == [2.0, 2.0]


IN_PLACE: list[Callable[[Any], Any]] = [
    lambda x: x.add_(1.0),
    lambda x: x.sub_(1.0),
    lambda x: x.mul_(2.0),
    lambda x: x.div_(2.0),
    lambda x: x.zero_(),
    lambda x: x.fill_(1.0),
    lambda x: x.copy_(tg.zeros(2)),
    lambda x: x.__iadd__(1.0),
    lambda x: x.__setitem__(0, 1.0),
    lambda x: x.__setitem__(tg.tensor([True, False]), 1.0),
    lambda x: tg.zeros(2).copy_(x),
    lambda x: tg.zeros(2).__setitem__(0, x[0]),
    lambda x: tg.zeros(2).__setitem__(tg.tensor([True, False]), x[0]),
]


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("make", [lambda: leaf(2), lambda: leaf(2).exp()], ids=["leaf", "result"])
def test_no_change_in_place_while_gradients_are_recorded(change: Callable[[Any], Any], make: Callable[[], Any]) -> None:
    x = make()
    before = x.tolist()
    with fails(
        RuntimeError, "in place: a Tensor that takes part in gradients cannot be changed while they are recorded"
    ):
        change(x)
    assert x.tolist() == before
    with tg.no_grad():
        change(x)


def test_what_a_result_under_gradients_refuses() -> None:
    y = leaf(2).exp()
    with fails(RuntimeError, "numpy: this Tensor requires a gradient, which NumPy would lose; use x.detach().numpy()"):
        y.numpy()
    with fails(RuntimeError, "requires_grad: this is the result of recorded operations; use detach()"):
        y.requires_grad_(False)
