"""What a policy is worth: episodes played without learning and without exploring, from a given seed."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any


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
