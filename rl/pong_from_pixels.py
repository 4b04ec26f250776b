"""Karpathy's "Pong from pixels" on the Tensor: the policy, its loss, and the games that it learns from.

The same by hand in plain NumPy, with the formulas: `models/by_hand/pong.py`, whose pictures and returns are used here.
Both policies are played by `Games`: ten at once, one game each; then comes one step of RMSprop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn, optim
from tinygrad_edu.models.by_hand import pong as by_hand
from tinygrad_edu.rl.pong import emulator

Array = np.ndarray

UP, DOWN = 2, 3  # the joystick's positions
HIDDEN = 200


class Game(NamedTuple):
    """One game, T steps."""

    seen: Array  # (T, 6400) int8: what changed since the last picture
    up: Array  # (T,) bool: the actions
    rewards: Array  # (T,) float32


class PixelPolicy(nn.Module):
    """(T, 6400) -> logits of going up, (T,): one hidden layer of ReLU, no biases. Begins as the one by hand does.

    >>> PixelPolicy(np.random.default_rng(0))(__import__("tinygrad_edu").zeros(3, 6400)).shape
    (3,)
    """

    def __init__(self, rng: np.random.Generator, hidden: int = HIDDEN) -> None:
        start = by_hand.PixelPolicy.small(by_hand.SIDE**2, hidden, rng)
        self.hidden, self.up = (nn.Linear(w.shape[1], w.shape[0], bias=False) for w in start.weights)
        with tg.no_grad():
            for layer, w in zip((self.hidden, self.up), start.weights, strict=True):
                layer.weight.copy_(tg.tensor(w))

    def forward(self, x: Tensor) -> Tensor:
        """(T, 6400) -> logits (T,)."""
        return self.up(self.hidden(x).relu()).squeeze(1)


def loss(z: Tensor, up: Array, advantages: Array) -> Tensor:
    """L = -Σₜ Âₜ log π(aₜ|sₜ) (0-d), as `policy_gradient` by hand: logits (T,) Tensor, actions and advantages (T,).

    -log π is the binary cross entropy of the action, 1 for up.
    """
    y, weight = (tg.tensor(array.astype(np.float32)).to(z.dtype) for array in (up, advantages))
    return F.binary_cross_entropy_with_logits(z, y, weight=weight, reduction="sum")


class Learner:
    """A policy as the training wants it: `logits(x)`, and `learn(games)` for one step of RMSprop."""

    model: Any
    optimizer: Any

    def logits(self, x: Array) -> Array:
        """(N, 6400) float32 -> (N,)."""
        raise NotImplementedError

    def slopes(self, x: Array) -> Array:
        """How much each pixel moves the logit: (6400,) float32 -> (6400,)."""
        raise NotImplementedError

    def learn(self, games: list[Game]) -> float:
        """One step by the gradients of all games, added up; the loss a step of theirs."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Model and optimizer."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take both over."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


class OnTensor(Learner):
    """The policy on the Tensor."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.model = PixelPolicy(rng)
        self.optimizer = optim.RMSprop(self.model.parameters(), lr=1e-4, alpha=0.99, eps=1e-5)

    @tg.no_grad()
    def logits(self, x: Array) -> Array:
        return self.model(tg.from_numpy(x)).numpy()

    def slopes(self, x: Array) -> Array:
        seen = tg.tensor(x[None], requires_grad=True)
        (g,) = tg.grad(self.model(seen)[0], [seen])
        assert g is not None
        return g.numpy()[0]

    def learn(self, games: list[Game]) -> float:
        self.optimizer.zero_grad()
        total = 0.0
        for game in games:
            advantages = by_hand.standardised(by_hand.discounted(game.rewards))
            x = tg.from_numpy(game.seen.astype(np.float32))
            lost = loss(self.model(x), game.up, advantages)
            lost.backward()  # adds to the gradients of the games before
            total += lost.item()
        self.optimizer.step()
        return total / sum(len(game.up) for game in games)


class ByHand(Learner):
    """The policy by hand."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.model = by_hand.PixelPolicy.small(by_hand.SIDE**2, HIDDEN, rng)
        self.optimizer = by_hand.RMSprop(self.model)

    def logits(self, x: Array) -> Array:
        return self.model.forward(x)

    def slopes(self, x: Array) -> Array:
        self.model.forward(x[None])
        return self.model.slopes()[0]

    def learn(self, games: list[Game]) -> float:
        total, sums = 0.0, [np.zeros_like(w) for w in self.model.weights]
        for game in games:
            advantages = by_hand.standardised(by_hand.discounted(game.rewards))
            z = self.model.forward(game.seen.astype(np.float32))
            lost, g = by_hand.policy_gradient(z, game.up, advantages)
            total += lost
            for own, gradient in zip(sums, self.model.backward(g), strict=True):
                own += gradient
        self.optimizer.step(sums)
        return total / sum(len(game.up) for game in games)


class Games:
    """`num_envs` games at once; who has ended waits for the others, so that all are played by one and the same policy.

    `sticky` and `threads` as in `rl/pong.py`.
    """

    def __init__(self, num_envs: int, *, threads: int = 0, sticky: float = 0.0) -> None:
        self.envs = emulator(num_envs, threads=threads, sticky=sticky, colour=True, stack=1)

    def play(self, logits: Callable[[Array], Array], rng: np.random.Generator, *, draw: bool = True) -> list[Game]:
        """One game in each. Actions are drawn from the policy, or, without `draw`, the likelier one is taken."""
        N = self.envs.num_envs
        frames, _ = self.envs.reset(seed=int(rng.integers(2**31)))
        before = by_hand.shapes(frames[:, 0])  # (N, 6400)
        seen, ups, rewards = [], [], []
        lengths = np.zeros(N, int)  # of the games that have ended
        while not lengths.all():
            now = by_hand.shapes(frames[:, 0])
            x = now.astype(np.int8) - before.astype(np.int8)
            z = logits(x.astype(np.float32))
            # up with the probability σ(z): there a logistic number is below z
            up = z > (rng.logistic(size=N) if draw else 0.0)
            before = now
            frames, reward, terminated, truncated, _ = self.envs.step(np.where(up, UP, DOWN))
            seen.append(x)
            ups.append(up)
            rewards.append(reward)
            lengths[(terminated | truncated) & (lengths == 0)] = len(seen)
        columns = np.array(seen), np.array(ups), np.array(rewards, np.float32)  # (T, N, ...)
        return [Game(*(column[:length, n] for column in columns)) for n, length in enumerate(lengths)]
