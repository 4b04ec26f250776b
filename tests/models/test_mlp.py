"""The multi-layer perceptron: against torch, and against the one whose backward pass is derived by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import optim, registry
from tinygrad_edu.models.by_hand import mlp as by_hand
from tinygrad_edu.models.mlp import MLP

Needs = Callable[[str], ModuleType]
# In float64: sums of at most some tens of products, each library in its own order.
RTOL, ATOL = 1e-12, 1e-15


def make(*sizes: int, batch: int = 7) -> tuple[MLP, by_hand.MLP, np.ndarray, np.ndarray]:
    """One network twice, in float64, of seed 0; a batch of pictures and their classes."""
    tg.manual_seed(0)
    model = MLP(*sizes).double()
    start = [p.detach().numpy() for p in model.parameters()]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((batch, 1, 2, sizes[0] // 2)), rng.integers(0, sizes[-1], batch)
    return model, by_hand.MLP(start[::2], start[1::2]), x, y


def gradients_by_hand(model: by_hand.MLP, x: np.ndarray, y: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """The loss, and the gradients in the order weight, bias, weight, bias, ..."""
    loss, g = by_hand.softmax_cross_entropy(model.forward(x), y)
    return loss, [array for pair in model.backward(g) for array in pair]


@pytest.mark.parametrize("sizes", [(6, 4), (6, 5, 4), (6, 8, 5, 3)])
def test_values_and_gradients_are_torchs(needs: Needs, sizes: tuple[int, ...]) -> None:
    torch = needs("torch")
    model, _, x, y = make(*sizes)
    layers: list[Any] = [torch.nn.Flatten()]
    for p in list(model.parameters())[::2]:
        layers += [torch.nn.Linear(*p.shape[::-1], dtype=torch.float64), torch.nn.ReLU()]
    theirs = torch.nn.Sequential(*layers[:-1])
    theirs.load_state_dict(
        {key.removeprefix("layers."): torch.tensor(v.numpy()) for key, v in model.state_dict().items()}
    )
    logits, expected = model(tg.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(logits.detach().numpy(), expected.detach().numpy(), rtol=RTOL, atol=ATOL)
    F.cross_entropy(logits, tg.tensor(y)).backward()
    torch.nn.functional.cross_entropy(expected, torch.tensor(y)).backward()
    for p, q in zip(model.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("sizes", [(6, 4), (6, 5, 4), (6, 8, 5, 3)])
@pytest.mark.parametrize("batch", [1, 7])
def test_by_hand_values_and_gradients_are_the_tensors(sizes: tuple[int, ...], batch: int) -> None:
    model, hand, x, y = make(*sizes, batch=batch)
    logits = model(tg.tensor(x))
    np.testing.assert_allclose(hand.forward(x), logits.detach().numpy(), rtol=RTOL, atol=ATOL)
    loss = F.cross_entropy(logits, tg.tensor(y))
    loss.backward()
    found, gradients = gradients_by_hand(hand, x, y)
    assert found == pytest.approx(loss.item(), rel=RTOL)
    for p, g in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_allclose(g, p.grad.numpy(), rtol=RTOL, atol=ATOL)


def test_by_hand_gradients_are_finite_differences() -> None:
    """Independent of every formula of ours and of torch's."""
    _, hand, x, y = make(4, 3, 2)
    _, gradients = gradients_by_hand(hand, x, y)
    parameters = [array for pair in zip(hand.weights, hand.biases, strict=True) for array in pair]
    for p, g in zip(parameters, gradients, strict=True):
        for index in np.ndindex(p.shape):
            losses = []
            for h in (6e-6, -6e-6):  # the cube root of float64's epsilon balances truncation and rounding
                p[index] += h
                losses.append(by_hand.softmax_cross_entropy(hand.forward(x), y)[0])
                p[index] -= h
            assert g[index] == pytest.approx((losses[0] - losses[1]) / 1.2e-5, rel=1e-6, abs=1e-8)


def test_by_hand_loss_survives_large_logits() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]])
    loss, g = by_hand.softmax_cross_entropy(logits, np.array([1, 2]))
    assert loss == pytest.approx((1e4 + np.log(3)) / 2)
    np.testing.assert_allclose(g, [[0.5, -0.5, 0.0], [1 / 6, 1 / 6, -1 / 3]])


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.9, 1e-2)])
def test_by_hand_descent_is_sgds(momentum: float, weight_decay: float) -> None:
    model, hand, x, y = make(6, 5, 4)
    mine = optim.SGD(model.parameters(), lr=1.0, momentum=momentum, weight_decay=weight_decay)
    theirs = by_hand.SGD(hand, momentum, weight_decay)
    for step in range(100):
        rate = mine.param_groups[0]["lr"] = 0.2 / (1 + step)
        loss = F.cross_entropy(model(tg.tensor(x)), tg.tensor(y))
        mine.zero_grad()
        loss.backward()
        mine.step()
        found, g = by_hand.softmax_cross_entropy(hand.forward(x), y)
        theirs.step(hand.backward(g), rate)
        assert found == pytest.approx(loss.item(), rel=1e-11)  # 100 steps' roundings
    for p, q in zip(list(model.parameters())[::2], hand.weights, strict=True):
        np.testing.assert_allclose(q, p.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_by_hand_state_goes_round() -> None:
    _, hand, x, y = make(6, 5, 4)
    descent = by_hand.SGD(hand, 0.9, 0.01)
    descent.step(hand.backward(by_hand.softmax_cross_entropy(hand.forward(x), y)[1]), 0.1)
    _, other, _, _ = make(6, 5, 4)
    resumed = by_hand.SGD(other, 0.9, 0.01)
    other.load_state_dict(hand.state_dict())
    resumed.load_state_dict(descent.state_dict())
    for model, optimizer in ((hand, descent), (other, resumed)):
        optimizer.step(model.backward(by_hand.softmax_cross_entropy(model.forward(x), y)[1]), 0.1)
    for a, b in zip(hand.weights + hand.biases, other.weights + other.biases, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"MLP: expected at least an input and an output size, got \(3,\)"):
        MLP(3)
    with pytest.raises(
        ValueError, match=r"MLP: expected weights \(out, in\) and biases \(out,\), got \(2, 3\) and \(3,\)"
    ):
        by_hand.MLP([np.zeros((2, 3))], [np.zeros(3)])
    hand = by_hand.MLP([np.zeros((2, 3))], [np.zeros(2)])
    with pytest.raises(ValueError, match=r"MLP: expected a weight of shape \(2, 3\), got \(3, 2\)"):
        hand.load_state_dict({"weights": [np.zeros((3, 2))], "biases": [np.zeros(2)]})


def test_it_is_registered() -> None:
    model = registry.get("models", "mlp")(4, 3, 2)
    assert isinstance(model, MLP)
    assert list(model.state_dict()) == ["layers.1.weight", "layers.1.bias", "layers.3.weight", "layers.3.bias"]
    assert model(tg.ones(5, 2, 2)).shape == (5, 2)
