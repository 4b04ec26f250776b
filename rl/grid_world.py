"""GridWorld: a map as text to walk through, a `gymnasium.Env` small enough that its exact answer is known.

    S start    G goal, the episode ends    . free    # wall, one stays where one is    o pit, the episode ends

The number of a state is its cell's, counted row by row from the upper left. Each step costs something, so that the
shortest way is the best one; with `slip` the ground is slippery, and the safe way may be better than the short one.

Sources: S. Russell, P. Norvig, Artificial Intelligence: A Modern Approach, chapter "Making complex decisions" (the map
"classic", and the rewards); R. Sutton, D. Precup, S. Singh, "Between MDPs and semi-MDPs", Artificial Intelligence 112,
1999 (the map "rooms").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.rl.planning import Model, Outcome, reachable

gymnasium: Any = require("gymnasium", extra="rl")

MAPS = {
    "classic": "...G\n.#.o\nS...",
    # The short way leads along the pits; whoever may slip had better go round.
    "bridge": "..........\n.###..###.\n.#......#.\nS..oooo..G",
    "rooms": "\n".join(
        (
            "S....#.....",
            ".....#.....",
            "...........",
            ".....#.....",
            ".....#.....",
            "#.####.....",
            ".....###.##",
            ".....#.....",
            ".....#.....",
            "...........",
            ".....#....G",
        )
    ),
}
RENDER_MODES = ["ansi", "rgb_array"]
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # action 0 up, 1 right, 2 down, 3 left: clockwise
COLOURS = {"S": (205, 222, 245), "G": (120, 190, 110), ".": (255, 255, 255), "#": (70, 70, 70), "o": (205, 90, 80)}
AGENT, LINE, CELL = (40, 80, 180), (190, 190, 190), 32  # colours, and a cell's side in pixels


class GridWorld(gymnasium.Env):
    """The world of the map `grid`: observations Discrete(rows * columns), actions Discrete(4), see `MOVES`.

    A step's reward is -step_cost, plus `goal_reward` or `pit_reward` where it ends. With the probability `slip` the
    agent goes at a right angle to where it meant to go, to either side equally often. `P` is the exact model, in the
    form that `planning.py` describes, and `initial_state_distrib` (S,) where episodes begin: at S, or, with
    `exploring_starts`, anywhere that can be reached from there (Sutton & Barto, section 5.3: so every state is tried,
    also one to which exploring from S hardly ever leads). `render_mode` "ansi" draws text, the agent as @; "rgb_array"
    a picture, uint8 (32 rows, 32 columns, 3). An episode has no time limit: `gymnasium.wrappers.TimeLimit` gives one.

    Raises ValueError for a map that is none, and a slip that is no probability.

    >>> world = GridWorld("S.o\\n..G", render_mode="ansi")
    >>> world.reset(seed=0), world.step(2)
    ((0, {}), (3, -0.04, False, False, {}))
    >>> print(world.render())
    S.o
    @.G
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 4}  # noqa: RUF012  (as gymnasium.Env has it)

    def __init__(
        self,
        grid: str = MAPS["classic"],
        *,
        slip: float = 0.0,
        step_cost: float = 0.04,
        goal_reward: float = 1.0,
        pit_reward: float = -1.0,
        exploring_starts: bool = False,
        render_mode: str | None = None,
    ) -> None:
        lines = _lines(grid)
        if not 0.0 <= slip <= 1.0:
            raise ValueError(f"grid world: expected slip from 0 to 1, got {slip}")
        if render_mode not in (None, *RENDER_MODES):
            raise ValueError(f"grid world: expected render_mode 'ansi', 'rgb_array' or None, got {render_mode!r}")
        self.cells, self.shape = "".join(lines), (len(lines), len(lines[0]))
        self.slip, self.step_cost, self.render_mode = slip, step_cost, render_mode
        self.extra = {"G": goal_reward, "o": pit_reward}  # where the episode ends, and what that is worth
        self.start = self.state = self.cells.index("S")
        self.observation_space = gymnasium.spaces.Discrete(len(self.cells))
        self.action_space = gymnasium.spaces.Discrete(len(MOVES))
        self.P: Model = {s: {a: self._outcomes(s, a) for a in range(len(MOVES))} for s in range(len(self.cells))}
        begin = reachable(self.P, [self.start]) if exploring_starts else [self.start]
        self.initial_state_distrib = np.isin(np.arange(len(self.cells)), begin) / len(begin)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin an episode: the state and an empty dict. `seed` makes all chance repeatable; `options` are ignored."""
        super().reset(seed=seed)
        self.state = int(self.np_random.choice(len(self.cells), p=self.initial_state_distrib))
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Try to move: state, reward, terminated, truncated (never), an empty dict."""
        if not 0 <= action < len(MOVES):
            raise ValueError(f"grid world: expected an action from 0 to {len(MOVES) - 1}, got {action}")
        u = self.np_random.random()
        for probability, state, reward, terminated in self.P[self.state][int(action)]:  # noqa: B007
            u -= probability
            if u < 0.0:
                break  # and if rounding leaves u at 0 behind all of them, it is the last
        self.state = state
        return state, reward, terminated, False, {}

    def render(self) -> str | np.ndarray | None:
        """The map with the agent, as `render_mode` says; None without one."""
        if self.render_mode is None:
            return None
        return self._text() if self.render_mode == "ansi" else self._picture()

    def _outcomes(self, s: int, a: int) -> list[Outcome]:
        """What action a can lead to in state s. An episode that has ended stays where it is, as in toy_text."""
        if self.cells[s] in "Go#":
            return [(1.0, s, 0.0, True)]
        n = len(MOVES)
        turns = ((1.0 - self.slip, a), (self.slip / 2, (a - 1) % n), (self.slip / 2, (a + 1) % n))
        return [(p, *self._arrive(s, move)) for p, move in turns if p > 0.0]

    def _arrive(self, s: int, move: int) -> tuple[int, float, bool]:
        """Next state, reward, terminated."""
        (rows, columns), (down, right) = self.shape, MOVES[move]
        row, column = s // columns + down, s % columns + right
        inside = 0 <= row < rows and 0 <= column < columns
        if inside and self.cells[row * columns + column] != "#":
            s = row * columns + column
        return s, self.extra.get(self.cells[s], 0.0) - self.step_cost, self.cells[s] in self.extra

    def _text(self) -> str:
        cells = f"{self.cells[: self.state]}@{self.cells[self.state + 1 :]}"
        return "\n".join(cells[i : i + self.shape[1]] for i in range(0, len(cells), self.shape[1]))

    def _picture(self) -> np.ndarray:
        """Coloured squares, lines between them, the agent a disc."""
        image = np.array([COLOURS[cell] for cell in self.cells], np.uint8).reshape(*self.shape, 3)
        image = image.repeat(CELL, axis=0).repeat(CELL, axis=1)  # (32 rows, 32 columns, 3)
        image[::CELL] = image[:, ::CELL] = LINE
        y, x = np.mgrid[:CELL, :CELL] - CELL / 2
        top, left = (CELL * place for place in divmod(self.state, self.shape[1]))
        image[top : top + CELL, left : left + CELL][x * x + y * y < (CELL / 3) ** 2] = AGENT
        return image


def solvable(world: GridWorld) -> bool:
    """Whether a goal can be reached from the start."""
    ends = (s for here in reachable(world.P, [world.start]) for a in world.P[here].values() for _, s, _, _ in a)
    return any(world.cells[s] == "G" for s in ends)


def random_map(size: int, seed: int, *, walls: float = 0.2, pits: float = 0.1) -> str:
    """A solvable map of size × size cells, from the upper left corner to the lower right one.

    `walls` and `pits` are the shares of the cells that are such, on the average. ValueError for less than 2 cells a
    side, and where no map could be found among a thousand: too many walls and pits.
    """
    if size < 2:
        raise ValueError(f"random map: expected a size of at least 2, got {size}")
    rng = np.random.default_rng(seed)
    for _ in range(1000):
        cells = rng.choice([".", "#", "o"], (size, size), p=[1.0 - walls - pits, walls, pits])
        cells[0, 0], cells[-1, -1] = "S", "G"
        grid = "\n".join(map("".join, cells))
        if solvable(GridWorld(grid)):
            return grid
    raise ValueError(f"random map: no way through with {walls:.0%} walls and {pits:.0%} pits; ask for fewer")


def _lines(grid: str) -> list[str]:
    """The rows of a map; ValueError says what is wrong with it."""
    lines = grid.split()
    wrong = sorted(set("".join(lines)) - set(COLOURS))
    if wrong:
        raise ValueError(f"grid world: expected a map of {' '.join(COLOURS)} alone, got {wrong[0]!r}")
    if len({len(line) for line in lines}) != 1:
        raise ValueError(f"grid world: expected rows of one length, got {[len(line) for line in lines]}")
    starts, goals = ("".join(lines).count(letter) for letter in "SG")
    if starts != 1 or goals < 1:
        raise ValueError(f"grid world: expected one S and at least one G, got {starts} and {goals}")
    return lines
