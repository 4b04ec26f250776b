"""What an environment's spaces must be for a small network: a row of numbers in, one of a few actions out."""

from __future__ import annotations

from typing import Any


def sizes(env: Any, algorithm: str) -> tuple[int, int]:
    """`D`, the numbers in an observation, and `A`, the number of actions.

    ValueError, which names the algorithm and the space, where observations are no row of numbers (a Box of shape (D,)),
    or actions are not Discrete and numbered from 0: continuous ones, say, of which there is no best to look up.
    """
    seen, acted = env.observation_space, env.action_space
    if getattr(acted, "start", None) != 0 or not hasattr(acted, "n"):
        raise ValueError(f"{algorithm}: expected actions that are Discrete and begin at 0, got {acted}")
    if type(seen).__name__ != "Box" or len(seen.shape) != 1:
        raise ValueError(f"{algorithm}: expected observations of shape (D,), a Box, got {seen}")
    return int(seen.shape[0]), int(acted.n)
