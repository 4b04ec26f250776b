"""Karpathy's Pong by hand: pictures, returns, gradients beside the Tensor's and finite differences, RMSprop."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, optim
from tinygrad_edu.models.by_hand import pong
from tinygrad_edu.nn import functional as F


def game(T: int = 7, D: int = 12, H: int = 5) -> tuple[pong.PixelPolicy, np.ndarray, np.ndarray, np.ndarray]:
    """A policy in float64, what was seen, actions, advantages; of seed 0."""
    rng = np.random.default_rng(0)
    policy = pong.PixelPolicy([w.astype(np.float64) for w in pong.PixelPolicy.small(D, H, rng).weights])
    return policy, rng.integers(-1, 2, (T, D)).astype(np.float64), rng.random(T) < 0.5, rng.standard_normal(T)


def test_gradients_are_the_tensors() -> None:
    """The policy, -log π, and the sum over the game: in float64 equal up to the order of sums."""
    policy, x, up, advantages = game()
    model = nn.Sequential(nn.Linear(12, 5, bias=False), nn.ReLU(), nn.Linear(5, 1, bias=False)).double()
    for p, w in zip(model.parameters(), policy.weights, strict=True):
        with tg.no_grad():
            p.copy_(tg.tensor(w))
    seen = tg.tensor(x, requires_grad=True)
    z = model(seen).squeeze(1)
    y, weight = tg.tensor(up.astype(np.float64)), tg.tensor(advantages)
    expected = F.binary_cross_entropy_with_logits(z, y, weight=weight, reduction="sum")
    expected.backward()
    loss, g = pong.policy_gradient(policy.forward(x), up, advantages)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for p, gradient in zip(model.parameters(), policy.backward(g), strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(gradient, p.grad.numpy(), rtol=1e-10, atol=1e-13)
    slopes = tg.grad(model(seen).sum(), [seen])[0].numpy()
    np.testing.assert_allclose(policy.slopes(), slopes, rtol=1e-10, atol=1e-13)


def test_gradients_are_finite_differences() -> None:
    policy, x, up, advantages = game()
    _, g = pong.policy_gradient(policy.forward(x), up, advantages)
    for w, gradient in zip(policy.weights, policy.backward(g), strict=True):
        index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        losses, before = [], w[index]
        for h in (6e-6, -6e-6):  # the cube root of float64's epsilon balances truncation and rounding
            w[index] = before + h
            losses.append(pong.policy_gradient(policy.forward(x), up, advantages)[0])
        w[index] = before
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 1.2e-5, rel=1e-6)


def test_rmsprop_is_the_optimizers() -> None:
    policy, x, up, advantages = game()
    twins = [tg.tensor(w, requires_grad=True) for w in policy.weights]
    ours = pong.RMSprop(policy)
    theirs = optim.RMSprop(twins, lr=1e-4, alpha=0.99, eps=1e-5)
    for _ in range(3):
        _, g = pong.policy_gradient(policy.forward(x), up, advantages)
        gradients = policy.backward(g)
        for twin, gradient in zip(twins, gradients, strict=True):
            twin.grad = tg.tensor(gradient)
        ours.step(gradients)
        theirs.step()
        for w, twin in zip(policy.weights, twins, strict=True):
            np.testing.assert_allclose(w, twin.detach().numpy(), rtol=1e-12)
    resumed = pong.RMSprop(policy)
    resumed.load_state_dict(ours.state_dict())
    np.testing.assert_array_equal(resumed.squares[0], ours.squares[0])


def test_returns_begin_anew_at_each_point() -> None:
    rewards = np.array([0, 0, 1, 0, -1, 0, 0], np.float32)
    np.testing.assert_allclose(pong.discounted(rewards, 0.5), [0.25, 0.5, 1, -0.5, -1, 0, 0], rtol=1e-12)
    standard = pong.standardised(pong.discounted(rewards))
    assert standard.mean() == pytest.approx(0.0, abs=1e-12)
    assert standard.std() == pytest.approx(1.0)
    assert pong.standardised(np.ones(3)).tolist() == [0.0] * 3


def test_shapes_are_what_is_not_background() -> None:
    frames = np.zeros((2, 210, 160, 3), np.uint8)
    frames[0, ..., 0], frames[1, ..., 0] = 144, 109
    frames[:, :35], frames[:, 195:] = 236, 236  # score and border, cut off
    frames[0, 35 + 2 * 10, 2 * 70] = (92, 186, 92)
    frames[1, 35 + 2 * 10 + 1, 2 * 70] = (92, 186, 92)  # between the rows that are looked at
    found = pong.shapes(frames)
    assert (found.shape, found.dtype) == ((2, 6400), np.uint8)
    assert np.flatnonzero(found[0]).tolist() == [80 * 10 + 70]
    assert not found[1].any()


def test_large_logits_neither_overflow_nor_lose_the_loss() -> None:
    z, up = np.array([800.0, 800.0, -800.0]), np.array([True, False, True])
    loss, g = pong.policy_gradient(z, up, np.ones(3))
    assert loss == 1600.0
    assert g.tolist() == [0.0, 1.0, -1.0]


def test_mistakes() -> None:
    with pytest.raises(
        ValueError, match=r"PixelPolicy: expected weights \(H, D\) and \(1, H\), got \[\(5, 12\), \(5, 1\)"
    ):
        pong.PixelPolicy([np.zeros((5, 12)), np.zeros((5, 1))])
    policy, x, _, _ = game()
    with pytest.raises(ValueError, match=r"PixelPolicy: expected what is seen as \(T, 12\), got \(7, 11\)"):
        policy.forward(x[:, 1:])
