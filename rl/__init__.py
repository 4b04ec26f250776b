"""Reinforcement learning: grid world, Pong, and learning from the Q-table to PPO. This page is the plugin face.

`grid_world.py` is the world, `planning.py` finds the exact answer from its model, `tabular.py` learns it from
experience alone, `evaluation.py` plays without learning. `reinforce.py`, `dqn.py` and `ppo.py` learn with networks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinygrad_edu.hookspecs import hookimpl

if TYPE_CHECKING:
    from tinygrad_edu.rl.grid_world import GridWorld
    from tinygrad_edu.rl.pong import Pong


def _grid_world(grid: str | None = None, **settings: Any) -> GridWorld:
    """A grid to walk through, given as text, e.g. `grid_world("S.o\\n..G", slip=0.2)`."""
    from tinygrad_edu.rl.grid_world import MAPS, GridWorld

    return GridWorld(MAPS["classic"] if grid is None else grid, **settings)


def _pong(**settings: Any) -> Pong:
    """Atari's Pong, of which four small grey pictures are seen, e.g. `pong(sticky=0.25)`."""
    from tinygrad_edu.rl.pong import Pong

    return Pong(**settings)


@hookimpl
def register_environments() -> dict[str, Callable[..., Any]]:
    """The environments that come with the project."""
    return {"grid-world": _grid_world, "pong": _pong}
