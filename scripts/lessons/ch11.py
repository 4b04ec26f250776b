"""Chapter 11's lessons: learning from what happens, without a teacher who knows the answer.

Source: R. Sutton, A. Barto, Reinforcement Learning, 2nd edition, 2018, section 6.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.rl import planning, tabular
from tinygrad_edu.scripts.lessons import ch11_networks

if TYPE_CHECKING:
    from tinygrad_edu.rl.grid_world import GridWorld

# Lesson 11.1
ALPHA, GAMMA = 0.5, 0.9
ARROWS, NAMES = "↑→↓←", ("up", "right", "down", "left")
WALK = (0, 0, 1, 1, 1)  # the actions of the walk that is written out: up, up, and right until the goal


def q_table() -> None:
    """The Q-table and its update in a grid world: by hand step by step, then until the table is right.

    The world is in `rl/grid_world.py`, the learning in `rl/tabular.py`, the exact answer in `rl/planning.py`.
    """
    require("gymnasium", extra="rl")
    from tinygrad_edu.rl.grid_world import GridWorld

    world = GridWorld()
    columns = world.shape[1]
    print("A world of 12 cells, the states: S start, # wall, G goal (+1), o pit (-1); each step costs 0.04.\n")
    print(beside({"map": rows(world.cells, columns), "states": rows([*map(str, range(len(world.cells)))], columns)}))
    print("\nQ has a row for each state s and a column for each action a; all 12 x 4 numbers are 0 at first. A step")
    print("from s by a, with reward r, to s', moves one of them by the share α towards what the step has shown:\n")
    print("  Q(s, a) ← Q(s, a) + α (r + γ max over a' of Q(s', a') - Q(s, a))")
    print(f"\nα = {ALPHA}, γ = {GAMMA}. The same walk three times, every update with its numbers:\n")
    walk_and_learn(world)
    print("\nEach walk carries the goal's reward one cell further back. At the goal the episode terminates: nothing")
    print("follows, and γ max Q(s', a') is left out. A time limit, though, is no end of the world: there it stays in.")
    learn_until_right(world)


def walk_and_learn(world: GridWorld) -> None:
    """Go `WALK` three times with one table, and print its updates."""
    Q = tabular.table(world)
    for walk in range(1, 4):
        s, _ = world.reset()
        for a in WALK:
            s_next, r, terminated, _, _ = world.step(a)
            old, best = Q[s, a], Q[s_next].max()
            Q[s, a] += ALPHA * (r + GAMMA * (0.0 if terminated else best) - old)
            future = "" if terminated else f" + {GAMMA}·{number(best)}"
            right = f"{number(old)} + {ALPHA}·({number(r)}{future} - {number(old)})"
            print(f"  walk {walk}   Q({s}, {NAMES[a]})".ljust(24), f"← {right} = {number(Q[s, a])}")
            s = s_next


def learn_until_right(world: GridWorld) -> None:
    """Q-learning for more and more episodes, the best action of each state as an arrow, and the exact answer."""
    print("\nQ-learning: the agent finds its own way, at first by chance, later by its table. The best action of each")
    print("state after so many episodes; ? where the table has no preference:\n")
    columns, learnt = world.shape[1], {}
    for episodes in (1, 10, 100, 1000):
        learnt[str(episodes)], _ = tabular.q_learning(
            world, episodes=episodes, seed=0, alpha=(ALPHA, ALPHA), gamma=GAMMA, epsilon=(1.0, 0.1)
        )
    exact = planning.value_iteration(world.P, gamma=GAMMA)
    boards = {name: arrows(world, planning.optimal_actions(Q, tolerance=0.0)) for name, Q in learnt.items()}
    boards["exact, by value iteration"] = arrows(world, planning.optimal_actions(exact))
    print(beside({name: rows(cells, columns) for name, cells in boards.items()}))
    last = learnt["1000"]
    print("\nWhat the states are worth, max over a of Q(s, a), learnt and exact:\n")
    print(beside({name: rows(values(world, Q), columns) for name, Q in (("learnt", last), ("exact", exact))}))
    here = planning.reachable(world.P, [world.start])
    right = planning.optimal_actions(exact)[here, last[here].argmax(axis=1)]
    error = np.abs(last.max(axis=1) - exact.max(axis=1))[here].max()
    print(f"\nOptimal actions: {right.sum()} of {len(here)}. Largest difference of a value: {error:.1g}")


def number(value: float) -> str:
    """Four digits that count, in brackets with a sign."""
    return f"{value:.4g}" if value >= 0 else f"({value:.4g})"


def arrows(world: GridWorld, best: np.ndarray) -> list[str]:
    """For each cell the arrows of its best actions, bool (S, A): ? if these are all; a letter where none is taken."""
    found = ["?" if row.all() else "".join(ARROWS[a] for a in np.flatnonzero(row)) for row in best]
    return [cell if cell in "#Go" else arrow for cell, arrow in zip(world.cells, found, strict=True)]


def values(world: GridWorld, Q: np.ndarray) -> list[str]:
    """Each cell's value; a letter where no action is taken."""
    return [c if c in "#Go" else f"{v:.3f}" for c, v in zip(world.cells, Q.max(axis=1), strict=True)]


def rows(cells: str | list[str], columns: int) -> list[str]:
    """Cells as the lines of a board."""
    width = max(map(len, cells))
    return [" ".join(f"{c:<{width}}" for c in cells[i : i + columns]) for i in range(0, len(cells), columns)]


def beside(blocks: Mapping[str, list[str]]) -> str:
    """Blocks of as many lines each, side by side under their names."""
    titled = [[name, *lines] for name, lines in blocks.items()]
    widths = [max(map(len, block)) for block in titled]
    lines = zip(*titled, strict=True)
    return "\n".join("  " + "     ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in lines)


LESSONS: dict[str, Callable[[], None]] = {
    "11.1": q_table,
    "11.2": ch11_networks.policy_gradient,
    "11.3": ch11_networks.deep_q,
}
