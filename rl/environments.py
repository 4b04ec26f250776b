"""Environments by name: those registered with the project, and Gymnasium's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_edu import registry
from tinygrad_edu.errors import require, unknown

TIME_LIMIT = 500  # steps, for environments that have no limit of their own


def make(name: str, *, known: Iterable[str], steps: int | None = None, **settings: Any) -> Any:
    """The environment, made with `settings`, with a time limit: `steps`, else its own, else `TIME_LIMIT`.

    ValueError for one that is not there, which lists ours and those of Gymnasium's that are `known` to fit, and for
    one that needs a package that is missing.
    """
    gymnasium: Any = require("gymnasium", extra="rl")
    ours = registry.names("environments")
    if name in ours:
        return gymnasium.wrappers.TimeLimit(registry.get("environments", name)(**settings), steps or TIME_LIMIT)
    if name not in gymnasium.registry:
        raise ValueError(unknown("environment", name, [*ours, *known]))
    limit = steps or gymnasium.spec(name).max_episode_steps or TIME_LIMIT
    try:
        return gymnasium.make(name, max_episode_steps=limit, **settings)
    except gymnasium.error.Error as error:  # a package that this environment needs is missing, say
        raise ValueError(f"--environment {name}: {error}") from error


def names(family: str) -> list[str]:
    """Those of Gymnasium's own environments that are of a family: toy_text, classic_control."""
    gymnasium: Any = require("gymnasium", extra="rl")
    return [name for name, spec in gymnasium.registry.items() if family in str(spec.entry_point)]
