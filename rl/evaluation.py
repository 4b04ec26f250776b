"""What a policy is worth: episodes played without learning and without exploring, from a given seed."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

import numpy as np


def evaluate(env: Any, policy: Callable[[Any], Any], *, episodes: int, seed: int) -> tuple[float, float]:
    """Mean and standard deviation of the returns (sums of rewards, undiscounted) of so many episodes.

    `policy` gives an action for an observation; one seed gives the same episodes every time. An environment of which
    a bad policy never finds the end needs a time limit. ValueError for less than one episode.
    """
    if episodes < 1:
        raise ValueError(f"evaluate: expected at least 1 episode, got {episodes}")
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    return fmean(returns), pstdev(returns)


def evaluate_each(envs: Any, policy: Callable[[Any], Any], *, seed: int) -> tuple[float, float]:
    """The same over the first episode of each of a vector of environments, side by side: quick where there are many.

    `policy` gives actions (N,) for observations (N, ...).
    """
    observations, _ = envs.reset(seed=seed)
    totals, done = np.zeros(envs.num_envs), np.zeros(envs.num_envs, bool)
    while not done.all():
        observations, rewards, terminated, truncated, _ = envs.step(policy(observations))
        totals += np.where(done, 0.0, rewards)  # who has ended plays on, and that does not count
        done |= terminated | truncated
    return float(totals.mean()), float(totals.std())
