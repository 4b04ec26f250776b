"""REINFORCE, the policy gradient: actions after which things went well become more likely. With a baseline, or without.

Some whole episodes are played with the policy. What came after each step is then known, its return G; a gradient step
makes the action that was taken more likely in proportion to G, or less likely where G is negative:

    Gₜ = rₜ + γ Gₜ₊₁
    θ ← θ + α mean over t of Gₜ ∇ log π(aₜ|sₜ)                      Sutton & Barto (13.8)
    θ ← θ + α mean over t of (Gₜ - v(sₜ)) ∇ log π(aₜ|sₜ)            Sutton & Barto (13.11)

Where all returns are positive, the first makes every action more likely, and the best one only most of all: right in
the mean, and noisy. The second asks how much better it went than expected, v, which a second network learns from the
same returns. That changes nothing in the mean, and takes most of the noise away.

Where the last step *terminates* the episode nothing follows, and G is 0 there. A time limit that *truncates* it is no
end of the world: with a baseline, G is v of the state reached then. Without one nothing is known of it, and it is 0.

Sources: R. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
Machine Learning 8, 1992; R. Sutton, A. Barto, Reinforcement Learning, 2nd edition, 2018, sections 13.3 and 13.4.
Deviations: a step for several episodes, by Adam, and advantages scaled to mean 0 and standard deviation 1 over them
(with a baseline), returns divided by their standard deviation (without).

Symbols: `T` steps of an episode, `B` of all of them, `D` numbers in an observation, `A` actions; γ discount, π policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import optim
from tinygrad_edu.rl.actor_critic import MLPActorCritic
from tinygrad_edu.rl.ppo import normalised, predict, sample
from tinygrad_edu.rl.spaces import sizes


@dataclass(frozen=True)
class Settings:
    """What REINFORCE can be set to; ValueError for what makes no sense."""

    baseline: bool = True
    episodes: int = 8  # to a gradient step
    lr: float = 5e-3  # α of the policy
    value_lr: float = 0.03  # α of the baseline, which has further to go: from 0 to returns of up to 1 / (1 - γ)
    gamma: float = 0.99

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"reinforce: expected episodes of at least 1, got {self.episodes}")
        if not 0.0 <= self.gamma <= 1.0:
            raise ValueError(f"reinforce: expected gamma from 0 to 1, got {self.gamma}")


class Episode(NamedTuple):
    """One episode as it was played."""

    observations: np.ndarray  # (T + 1, D) float32: the last is that of the state that the last step led to
    actions: np.ndarray  # (T,) int64
    rewards: np.ndarray  # (T,) float32
    terminated: bool  # else truncated


def returns(rewards: np.ndarray, after: float, gamma: float) -> np.ndarray:
    """G (T,), from the rewards (T,) and what comes `after` the last of them."""
    out = np.empty(len(rewards), np.float32)
    for t in reversed(range(len(out))):
        out[t] = after = rewards[t] + gamma * after
    return out


class Reinforce:
    """Plays `env` with `model` and makes it better: `learn(collect())`, over and over.

    The model's `actor` is the policy, its `critic` the baseline, which is left alone where there is to be none.
    `env` has observations (D,) and Discrete actions, ValueError for others; what it does by chance between two episodes
    is up to its `np_random`. `seed` is that of the environment and of the actions.

    `steps` counts the steps played, `returns` are the sums of rewards of the episodes of the last `collect`.
    """

    def __init__(self, env: Any, model: MLPActorCritic, settings: Settings | None = None, *, seed: int) -> None:
        sizes(env, "reinforce")
        self.env, self.model, self.settings = env, model, settings or Settings()
        actor = {"params": model.actor.parameters(), "lr": self.settings.lr}
        critic = {"params": model.critic.parameters(), "lr": self.settings.value_lr}
        self.optimizer = optim.Adam([actor, critic])
        self.rng = np.random.default_rng(seed)
        self.steps = 0
        self.returns: list[float] = []
        env.reset(seed=seed)  # from here on its randomness goes on from episode to episode

    def collect(self) -> list[Episode]:
        """Play `settings.episodes` episodes."""
        episodes = [self.play() for _ in range(self.settings.episodes)]
        self.steps += sum(len(episode.actions) for episode in episodes)
        self.returns = [float(episode.rewards.sum()) for episode in episodes]
        return episodes

    def play(self) -> Episode:
        """Play one episode, each action drawn from the policy."""
        observations, actions, rewards = [self.env.reset()[0]], [], []
        terminated = truncated = False
        while not (terminated or truncated):
            logits, _ = predict(self.model, np.asarray(observations[-1], np.float32)[None])  # (1, A)
            actions.append(int(sample(logits, self.rng)[0][0]))
            observation, reward, terminated, truncated, _ = self.env.step(actions[-1])
            observations.append(observation)
            rewards.append(float(reward))
        played = np.array(observations, np.float32), np.array(actions), np.array(rewards, np.float32)
        return Episode(*played, bool(terminated))

    def learn(self, episodes: Sequence[Episode], rate: float = 1.0) -> dict[str, float]:
        """Improve the policy by what was played, at `rate` times the learning rate; the parts of the loss."""
        s = self.settings
        x = tg.from_numpy(np.concatenate([episode.observations[:-1] for episode in episodes]))  # (B, D)
        actions = tg.from_numpy(np.concatenate([episode.actions for episode in episodes]))  # (B,)
        G = np.concatenate([returns(e.rewards, self.value_after(e), s.gamma) for e in episodes])  # (B,)
        logits, values = self.model(x)
        gain = normalised(G - values.detach().numpy()) if s.baseline else G / (G.std() + 1e-8)
        loss = policy_loss = (F.cross_entropy(logits, actions, reduction="none") * tg.from_numpy(gain)).mean()
        parts = {"policy_loss": policy_loss}
        if s.baseline:
            parts["value_loss"] = F.mse_loss(values, tg.from_numpy(G))
            loss = policy_loss + parts["value_loss"]  # of two networks apart: their weights do not matter to Adam
        for group, lr in zip(self.optimizer.param_groups, (s.lr, s.value_lr), strict=True):
            group["lr"] = lr * rate
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {name: part.item() for name, part in parts.items()}

    def value_after(self, episode: Episode) -> float:
        """What the rewards are worth that a truncated episode would have gone on to."""
        if episode.terminated or not self.settings.baseline:
            return 0.0
        return float(predict(self.model, episode.observations[-1:])[1][0])

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, between two rounds."""
        random, environment = (rng.bit_generator.state for rng in (self.rng, self.env.unwrapped.np_random))
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return {**parts, "random": random, "environment": environment, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take all of it over."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["random"]
        self.env.unwrapped.np_random.bit_generator.state = state["environment"]
        self.steps = state["steps"]
