"""Reinforcement learning: a grid world, exact planning and learning from a table. This page is the plugin face.

`grid_world.py` is the world, `planning.py` finds the exact answer from its model, `tabular.py` learns it from
experience alone, `evaluation.py` plays without learning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinygrad_edu.hookspecs import hookimpl

if TYPE_CHECKING:
    from tinygrad_edu.rl.grid_world import GridWorld


def _grid_world(grid: str | None = None, **settings: Any) -> GridWorld:
    """A grid to walk through, given as text, e.g. `grid_world("S.o\\n..G", slip=0.2)`."""
    from tinygrad_edu.rl.grid_world import MAPS, GridWorld

    return GridWorld(MAPS["classic"] if grid is None else grid, **settings)


@hookimpl
def register_environments() -> dict[str, Callable[..., Any]]:
    """The environments that come with the project."""
    return {"grid-world": _grid_world}
