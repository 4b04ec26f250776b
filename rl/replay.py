"""Replay memory: the steps of late, each to be learnt from many times, in any order.

Successive steps are much alike; drawn at random, a batch of them is nearly independent, as stochastic gradient descent
takes it to be. Source: L.-J. Lin, "Self-improving reactive agents based on reinforcement learning, planning and
teaching", Machine Learning 8, 1992.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """`B` steps, a row for each."""

    observations: np.ndarray  # (B, D) float32
    actions: np.ndarray  # (B,) int64
    rewards: np.ndarray  # (B,) float32
    following: np.ndarray  # (B, D) float32: the observation that the step led to, also where it ended the episode
    terminated: np.ndarray  # (B,) bool: nothing comes after it. A time limit's end is none.


class Replay:
    """The last `capacity` steps; the oldest gives way to the newest. ValueError for a capacity below 1."""

    def __init__(self, capacity: int, observations: int) -> None:
        if capacity < 1:
            raise ValueError(f"replay: expected a capacity of at least 1, got {capacity}")
        self.rows = Batch(
            np.zeros((capacity, observations), np.float32),
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.float32),
            np.zeros((capacity, observations), np.float32),
            np.zeros(capacity, bool),
        )
        self.added = 0  # since the beginning

    def __len__(self) -> int:
        return min(self.added, len(self.rows.actions))

    def add(self, *step: Any) -> None:
        """Keep one step: observation (D,), action, reward, following (D,), terminated."""
        at = self.added % len(self.rows.actions)
        for column, value in zip(self.rows, step, strict=True):
            column[at] = value
        self.added += 1

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """`size` of the steps, drawn with replacement. ValueError when there are none."""
        if self.added == 0:
            raise ValueError("replay: expected steps to sample from, got none yet")
        at = rng.integers(len(self), size=size)
        return Batch(*(column[at] for column in self.rows))

    def state_dict(self) -> dict[str, Any]:
        """The steps that are there, and how many there have been."""
        return {"added": self.added, "rows": {k: v[: len(self)] for k, v in self.rows._asdict().items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over."""
        self.added = state["added"]
        for name, column in self.rows._asdict().items():
            column[: len(self)] = state["rows"][name]
