"""Karpathy's "Pong from pixels" in plain NumPy: pictures, policy, policy gradient and RMSprop by hand.

The policy looks at what changed since the last picture, and gives the probability of moving the paddle up; else it
goes down. It learns from how games went alone: every action is made likelier by how good the point was that it belongs
to, so good ones, which are in more of the points won, get likelier on average (REINFORCE).

Notation: T steps of one game; x (T, D) what is seen, D = 80 · 80; H hidden units; h (T, H); z and p (T,); y (T,) is 1
where the paddle went up, else 0. For a loss L, gₓ is written for ∂L/∂x; it has the shape of x.

    h = max(x W₁ᵀ, 0)        z = h w₂        p = σ(z) = 1 / (1 + exp(-z))        no biases

Sources: the setting of A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" and its pg-pong.py, 2016; R.
Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine Learning
8, 1992.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.models.by_hand.mlp import Array, Network

SIDE = 80  # of the picture, in pixels
BACKGROUNDS = (144, 109)  # red of the field, and of the screen before a game


def shapes(frames: Array) -> Array:
    """Where paddles and ball are: (..., 210, 160, 3) uint8 -> (..., 80 · 80) uint8, 1 there, else 0.

    The field's 160 rows; every second row and column; red alone, which tells all that there is from the field.
    """
    small = frames[..., 35:195:2, ::2, 0]  # (..., 80, 80)
    there = ~np.isin(small, (0, *BACKGROUNDS))
    return there.reshape(*there.shape[:-2], SIDE * SIDE).astype(np.uint8)


def discounted(rewards: Array, gamma: float = 0.99) -> Array:
    """Returns R (T,): Rₜ = rₜ + γ Rₜ₊₁, begun anew at each point, that is at each reward that is not 0."""
    out, after = np.zeros(len(rewards)), 0.0
    for t in reversed(range(len(rewards))):
        after = rewards[t] + gamma * after * (rewards[t] == 0.0)
        out[t] = after
    return out


def standardised(returns: Array) -> Array:
    """The returns with mean 0 and standard deviation 1: about half of the actions become likelier. All equal: 0."""
    centred = returns - returns.mean()
    std = centred.std()
    return centred / std if std > 0.0 else centred


class PixelPolicy(Network):
    """The policy; its state: `weights` W₁ (H, D) and w₂ (1, H). ValueError for shapes that do not belong together."""

    def __init__(self, weights: Sequence[Array]) -> None:
        super().__init__(weights, [])
        found = [w.shape for w in self.weights]
        if len(found) != 2 or len(found[0]) != 2 or found[1] != (1, found[0][0]):
            raise ValueError(f"PixelPolicy: expected weights (H, D) and (1, H), got {found}")
        self._x = self._h = np.zeros((0, 0))  # kept by `forward` for `backward`

    @classmethod
    def small(cls, D: int, H: int, rng: np.random.Generator) -> PixelPolicy:
        """A policy as Karpathy's starts: normal weights of variance 1 / (inputs of the layer), float32."""
        drawn = [rng.standard_normal((out, n)) / np.sqrt(n) for out, n in ((H, D), (1, H))]
        return cls([w.astype(np.float32) for w in drawn])

    def forward(self, x: Array) -> Array:
        """(T, D) -> the logits z (T,). ValueError for another D."""
        W1, w2 = self.weights
        if x.ndim != 2 or x.shape[1] != W1.shape[1]:
            raise ValueError(f"PixelPolicy: expected what is seen as (T, {W1.shape[1]}), got {x.shape}")
        self._x, self._h = x, np.maximum(x @ W1.T, 0.0)
        return (self._h @ w2.T)[:, 0]

    def backward(self, g: Array) -> list[Array]:
        """The gradients [gW₁, gw₂], given that of the logits, (T,). Call `forward` first.

        ∂L/∂w₂ = Σₜ g_zₜ hₜ        g_hₜ = g_zₜ w₂ [hₜ > 0]        ∂L/∂W₁ = Σₜ g_hₜ xₜᵀ
        """
        w2 = self.weights[1]
        gh = g[:, None] * w2 * (self._h > 0.0)  # (T, H)
        return [gh.T @ self._x, g[None] @ self._h]

    def slopes(self) -> Array:
        """∂z/∂x (T, D), how much each pixel moves the logit: w₂ [h > 0] W₁. Call `forward` first."""
        W1, w2 = self.weights
        return (w2 * (self._h > 0.0)) @ W1


def policy_gradient(z: Array, up: Array, advantages: Array) -> tuple[float, Array]:
    """The loss, summed over the game, and its gradient g_z (T,): logits, actions (1 up, 0 down), Â, (T,) each.

    L = -Σₜ Âₜ log π(aₜ|sₜ). Going up has the probability p = σ(z), going down 1 - p = σ(-z):

        -log π = log(1 + exp(-z)) for y = 1, log(1 + exp(z)) for y = 0        ∂(-log π)/∂z = p - y

    A step against it makes the action likelier where Â > 0, and the more, the less likely it was.
    """
    p = np.exp(-np.logaddexp(0.0, -z))  # never overflows, as 1 / (1 + exp(-z)) may
    loss = float((advantages * np.logaddexp(0.0, np.where(up, -z, z))).sum())
    return loss, (advantages * (p - up)).astype(z.dtype)


class RMSprop:
    """Each number's step divided by its gradients' running size: s = α s + (1 - α) g²;  p -= η g / (√s + ε).

    Karpathy's numbers: η = 1e-4, α = 0.99, ε = 1e-5. Source: G. Hinton, Coursera lecture 6e, 2012.
    """

    def __init__(self, model: Network, lr: float = 1e-4, alpha: float = 0.99, eps: float = 1e-5) -> None:
        self.model, self.lr, self.alpha, self.eps = model, lr, alpha, eps
        self.squares = [np.zeros_like(p) for p in model.weights]

    def step(self, gradients: Sequence[Array]) -> None:
        """Change the model's weights in place."""
        for p, g, s in zip(self.model.weights, gradients, self.squares, strict=True):
            s *= self.alpha
            s += (1.0 - self.alpha) * g * g
            p -= self.lr * g / (np.sqrt(s) + self.eps)

    def state_dict(self) -> dict[str, Any]:
        """The running squares."""
        return {"squares": self.squares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over running squares."""
        for own, value in zip(self.squares, state["squares"], strict=True):
            own[...] = value
