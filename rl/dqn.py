"""Deep Q-learning (DQN): the Q-table of `tabular.py` becomes a network, learnt from a memory of steps.

Each step played goes into the memory (`replay.py`). Batches drawn from it move the network's Q(s, a) towards what these
steps have shown it to be worth, many of them in a round, every few hundred steps. Two networks keep the learner from
chasing its own tail: the one that is trained, Q, and Q⁻, which says what comes after: a copy of Q that is brought up to
date before each round only, so that a round has one target to reach.

    y = r + γ max over a' of Q⁻(s', a')                  Mnih et al., algorithm 1
    y = r + γ Q⁻(s', argmax over a' of Q(s', a'))        double DQN, van Hasselt et al. (4)
    y = r                                                where the step terminates the episode

The largest of noisy numbers is likely to be one that is too large. With `double`, Q chooses and Q⁻ judges, and what one
overrates, the other need not.

What Q is worth goes up and down, to the last; a policy can be lost within a round. Therefore every now and then some
episodes are played by Q alone, a test, and the network that did best is what remains at the end (as with the
EvalCallback of Stable-Baselines3). The tests' steps count as all others.

A time limit that *truncates* an episode is no end of the world: such a step counts as any other, with its γ Q⁻(s', ·).

Sources: V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015; H. van Hasselt,
A. Guez, D. Silver, "Deep Reinforcement Learning with Double Q-learning", AAAI 2016. As in the first, errors beyond ±1
count linearly. Deviations: Adam for RMSprop, updates in rounds (as in A. Raffin's RL Baselines3 Zoo, whose settings for
CartPole these are), tests, and a learning rate that falls to 0.

Symbols: `B` steps, `D` numbers in an observation, `A` actions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from statistics import fmean
from typing import Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.rl.replay import Batch, Replay
from tinygrad_edu.rl.spaces import sizes
from tinygrad_edu.rl.tabular import line

PARTS = ("network", "target", "best", "optimizer")


@dataclass(frozen=True)
class Settings:
    """What DQN can be set to; ValueError for what makes no sense."""

    steps: int = 100_000  # of the environment, tests included: ε and the learning rate fall over them
    capacity: int = 100_000  # steps that the memory holds
    start: int = 1_000  # steps before the first update
    every: int = 256  # steps from one round of updates to the next
    updates: int = 128  # of a round; before the first of them Q is copied to Q⁻
    batch: int = 64  # steps a gradient is computed from
    lr: float = 2.3e-3  # falls in a straight line to 0
    gamma: float = 0.99
    epsilon: tuple[float, float] = (1.0, 0.04)  # share of random actions: falls from the first to the second
    exploration: float = 0.16  # over this share of the steps, and stays there
    double: bool = True
    test_every: int = 2_500  # steps from one test to the next
    test_episodes: int = 5  # of a test

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and value < 1:
                raise ValueError(f"dqn: expected {field.name} of at least 1, got {value}")
        shares = {"gamma": (self.gamma,), "epsilon": self.epsilon, "exploration": (self.exploration,)}
        for name, value in ((name, value) for name, values in shares.items() for value in values):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"dqn: expected {name} from 0 to 1, got {value}")

    def epsilon_at(self, step: int) -> float:
        """The share of random actions after so many steps."""
        whole = self.exploration * self.steps
        return self.epsilon[1] if step >= whole else line(*self.epsilon, step / whole)


def targets(batch: Batch, gamma: float, q_target: np.ndarray, q: np.ndarray | None = None) -> np.ndarray:
    """y (B,), as above: `q_target` (B, A) are Q⁻(s', ·), and for double DQN `q` (B, A) are Q(s', ·)."""
    best = (q_target if q is None else q).argmax(axis=1)
    future = q_target[np.arange(len(best)), best]  # (B,)
    return batch.rewards + np.float32(gamma) * future * ~batch.terminated


class QNetwork:
    """Q, its copy Q⁻, the best Q so far, and the optimizer. `network` gives (B, A) for observations (B, D)."""

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        self.settings, self.network = settings, network
        self.target, self.best = copy.deepcopy(network), copy.deepcopy(network)
        self.optimizer = optim.Adam(network.parameters(), lr=settings.lr)

    def values(self, observations: np.ndarray) -> np.ndarray:
        """Q(s, ·): (B, D) -> (B, A)."""
        return predict(self.network, observations)

    def learn(self, batch: Batch, rate: float) -> float:
        """One step of gradient descent on the batch's mean loss, at `rate` times the learning rate; that loss."""
        q_next = self.values(batch.following) if self.settings.double else None
        y = targets(batch, self.settings.gamma, predict(self.target, batch.following), q_next)
        q = self.network(tg.from_numpy(batch.observations))  # (B, A)
        q = q.gather(1, tg.from_numpy(batch.actions[:, None])).squeeze(1)  # (B,): of the actions that were taken
        loss = F.smooth_l1_loss(q, tg.from_numpy(y))
        self.optimizer.param_groups[0]["lr"] = self.settings.lr * rate
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def update_target(self) -> None:
        """Q⁻ becomes what Q is now."""
        self.target.load_state_dict(self.network.state_dict())

    def keep(self) -> None:
        """Q is the best so far."""
        self.best.load_state_dict(self.network.state_dict())

    def restore(self) -> None:
        """Q becomes the best."""
        self.network.load_state_dict(self.best.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Of all four."""
        return {name: getattr(self, name).state_dict() for name in PARTS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over."""
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])


class DQN:
    """Plays `env` and learns as it goes: `episode()`, until `steps` is `settings.steps`.

    `q` is a `QNetwork`, or anything with its methods. `env` has observations (D,) and Discrete actions, ValueError for
    others; what it does by chance between two episodes is up to its `np_random`. `seed` is that of the environment, of
    the actions and of the batches.

    `steps` counts the steps played, `best` is the highest mean return of a test so far, and `returns` has the sum of
    rewards of the last episode, if it came to its end.
    """

    def __init__(self, env: Any, q: Any, settings: Settings | None = None, *, seed: int) -> None:
        observations, self.actions = sizes(env, "dqn")
        self.env, self.q, self.settings = env, q, settings or Settings()
        self.replay = Replay(self.settings.capacity, observations)
        self.rng = np.random.default_rng(seed)
        self.steps, self.tested, self.best = 0, 0, -inf
        self.returns: list[float] = []
        env.reset(seed=seed)  # from here on its randomness goes on from episode to episode

    def episode(self) -> dict[str, float]:
        """Play one episode, the last one perhaps cut short, and learn meanwhile; the mean loss, once there is one."""
        s, losses = self.settings, []
        total, done = 0.0, False
        x, _ = self.env.reset()
        while not done and self.steps < s.steps:
            action = self.act(x)
            x_next, reward, terminated, truncated, _ = self.env.step(action)
            self.replay.add(x, action, reward, x_next, terminated)
            self.steps += 1
            if self.steps >= s.start and self.steps % s.every == 0:
                losses += self.learn()
            x, done = x_next, terminated or truncated
            total += float(reward)
        self.returns = [total] if done else []
        if self.steps >= self.tested + s.test_every:
            self.test()
        if self.steps == s.steps:
            self.finish()
        return {"loss": float(np.mean(losses))} if losses else {}

    def test(self) -> None:
        """Play some episodes by Q alone, and keep Q if none did better before. Steps that run out meanwhile end it."""
        returns = []
        for _ in range(self.settings.test_episodes):
            total, done = 0.0, False
            x, _ = self.env.reset()
            while not done:
                if self.steps == self.settings.steps:
                    return
                x, reward, terminated, truncated, _ = self.env.step(self.best_action(x))
                total, done = total + float(reward), terminated or truncated
                self.steps += 1
            returns.append(total)
        self.tested = self.steps
        if fmean(returns) >= self.best:
            self.best = fmean(returns)
            self.q.keep()

    def finish(self) -> None:
        """Q becomes what did best in a test, if there was one: at the last step, or when learning is cut short."""
        if self.best > -inf:
            self.q.restore()

    def learn(self) -> list[float]:
        """A round of updates: their losses."""
        s, rate = self.settings, 1.0 - self.steps / self.settings.steps
        self.q.update_target()
        return [self.q.learn(self.replay.sample(s.batch, self.rng), rate) for _ in range(s.updates)]

    def act(self, observation: np.ndarray) -> int:
        """With the probability ε any action, else the best one by Q."""
        if self.rng.random() < self.settings.epsilon_at(self.steps):
            return int(self.rng.integers(self.actions))
        return self.best_action(observation)

    def best_action(self, observation: np.ndarray) -> int:
        """The action of the largest Q."""
        return int(self.q.values(np.asarray(observation, np.float32)[None])[0].argmax())

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, between two episodes."""
        random, environment = (rng.bit_generator.state for rng in (self.rng, self.env.unwrapped.np_random))
        parts = {"q": self.q.state_dict(), "replay": self.replay.state_dict()}
        counts = {"steps": self.steps, "tested": self.tested, "best": self.best}
        return {**parts, **counts, "random": random, "environment": environment}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take all of it over."""
        self.q.load_state_dict(state["q"])
        self.replay.load_state_dict(state["replay"])
        self.rng.bit_generator.state = state["random"]
        self.env.unwrapped.np_random.bit_generator.state = state["environment"]
        self.steps, self.tested, self.best = state["steps"], state["tested"], state["best"]


def predict(network: nn.Module, observations: np.ndarray) -> np.ndarray:
    """The network's output for these observations, without gradients."""
    with tg.no_grad():
        return network(tg.from_numpy(observations)).numpy()
