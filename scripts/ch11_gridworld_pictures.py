"""The pictures of chapter 11's grid world: boards with values and arrows, paths on them, the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.rl import planning
from tinygrad_edu.scripts.pictures import Series, animation, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Frame = tuple[int, float, np.ndarray, np.ndarray]  # episode, its return, its states (T + 1,), the table after it (S, A)

DIRECTIONS = {"↑": (0, -1), "→": (1, 0), "↓": (0, 1), "←": (-1, 0)}  # right and down, as a picture counts


class Board(NamedTuple):
    """What to draw: the letters of a map, (rows, columns), and which way each action goes."""

    cells: np.ndarray
    arrows: str


def board(world: Any) -> Board | None:
    """The map of a world, in GridWorld's letters; None for one that is no grid, or that we do not know."""
    kind = type(world).__name__
    if kind == "GridWorld":
        return Board(np.array(list(world.cells)).reshape(world.shape), "↑→↓←")
    if kind == "FrozenLakeEnv":
        letters = world.desc.astype(str)
        return Board(np.where(letters == "H", "o", np.where(letters == "F", ".", letters)), "←↓→↑")
    if kind == "CliffWalkingEnv":
        cells = np.full(world.shape, ".")
        cells[-1] = ["S", *"o" * (world.shape[1] - 2), "G"]
        return Board(cells, "↑→↓←")
    return None


def policies(board: Board, Q: np.ndarray, exact: np.ndarray | None) -> Figure:
    """The best actions and values of the table Q (S, A), beside or above those of `exact`."""
    rows, columns = board.cells.shape
    found = {"learnt": Q} if exact is None else {"learnt": Q, "exact": exact}
    upright = columns > 1.5 * rows  # a wide map has the other below it
    down, across = (len(found), 1) if upright else (1, len(found))
    figure = new_figure(0.62 * columns * across + 0.4, (0.62 * rows + 0.4) * down)
    axes = figure.subplots(down, across, squeeze=False).flat
    limits = value_range(board, Q if exact is None else exact)
    for ax, (name, table) in zip(axes, found.items(), strict=True):
        paint(ax, board, table, limits)
        best = (
            planning.optimal_actions(table)
            if name == "exact"
            else table.argmax(1)[:, None] == np.arange(table.shape[1])
        )
        right = best if exact is None else planning.optimal_actions(exact)
        point(ax, board, best, right)
        write(ax, board, table)
        ax.set_title(name, fontsize=10)
    return figure


def film(board: Board, frames: Sequence[Frame]) -> bytes:
    """Each frame's episode as a line over the values that the table had after it: a GIF."""
    rows, columns = board.cells.shape
    limits = value_range(board, frames[-1][3])
    drawn = []
    for episode, total, states, table in frames:
        figure = new_figure(max(4.0, 0.5 * columns + 0.2), 0.5 * rows + 0.6)
        ax: Any = figure.subplots()
        paint(ax, board, table, limits)
        walk(ax, board, states)
        ax.set_title(f"episode {episode}: {len(states) - 1} steps, return {total:.2f}", fontsize=10)
        drawn.append(figure)
    return animation(drawn, seconds=0.5)


def curves(returns: Series, best: float | None, values: tuple[list[int], list[float], float] | None) -> Figure:
    """Returns by episode, and the best policy's; beside them the start's value by episode, and its exact value."""
    figure = new_figure(10.0 if values else 5.5, 3.4)
    axes = figure.subplots(1, 2 if values else 1, squeeze=False)[0]
    at, raw = (np.array(part, dtype=np.float64) for part in returns)
    window = max(1, len(raw) // 50)
    mean = np.convolve(raw, np.ones(window) / window, "valid")
    axes[0].plot(at, raw, ".", color="C0", alpha=0.15, markersize=2, label="each")
    axes[0].plot(at[window - 1 :], mean, color="C0", label=f"mean of {window}")
    if best is not None:
        axes[0].axhline(best, color="black", linestyle="--", linewidth=1.0, label="best policy, without exploring")
    axes[0].set(title="return of an episode", xlabel="episode")
    # Early episodes may be worse than all others by far: they must not press the rest flat.
    low, high = np.percentile(raw, 5), max(raw.max(), -np.inf if best is None else best)
    axes[0].set_ylim(low - 0.1 * (high - low) - 1e-3, high + 0.1 * (high - low) + 1e-3)
    if values:
        episodes, learnt, exact = values
        axes[1].plot(episodes, learnt, ".-", color="C0", label="learnt")
        axes[1].axhline(exact, color="black", linestyle="--", linewidth=1.0, label="exact")
        axes[1].set(title="value of the start", xlabel="episode", xscale="log")
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.legend(loc="best", fontsize=8)
    return figure


def value_range(board: Board, table: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value of a cell that can be stood on: what the colours span."""
    values = table.max(axis=1)[np.isin(board.cells.ravel(), (".", "S"))]
    return float(values.min()), float(max(values.max(), values.min() + 1e-9))


def paint(ax: Any, board: Board, table: np.ndarray, limits: tuple[float, float]) -> None:
    """The cells, coloured by value; walls dark, pits red, goals green, lines between."""
    from matplotlib import colormaps

    rows, columns = board.cells.shape
    low, high = limits
    shares = np.clip((table.max(axis=1).reshape(rows, columns) - low) / (high - low), 0.0, 1.0)
    image = colormaps["Blues"](0.65 * shares)[..., :3]  # the light part, so that what is written on it can be read
    for letter, colour in (("#", (0.25, 0.25, 0.25)), ("o", (0.85, 0.45, 0.4)), ("G", (0.55, 0.8, 0.5))):
        image[board.cells == letter] = colour
    ax.imshow(image)
    for letter, word in (("G", "goal"), ("o", "pit")):
        for row, column in np.argwhere(board.cells == letter):
            ax.text(column, row, word, ha="center", va="center", fontsize=7)
    for row, column in np.argwhere(board.cells == "S"):
        ax.text(column - 0.46, row + 0.46, "start", ha="left", va="bottom", fontsize=6)  # beside the arrows
    ax.set(xticks=np.arange(columns + 1) - 0.5, yticks=np.arange(rows + 1) - 0.5)
    ax.tick_params(length=0, labelbottom=False, labelleft=False)
    ax.grid(color="0.8", linewidth=0.6)


def point(ax: Any, board: Board, best: np.ndarray, right: np.ndarray) -> None:
    """An arrow for every best action, both bool (S, A); red where it is not among the right ones."""
    for s in np.flatnonzero(np.isin(board.cells.ravel(), (".", "S"))):
        row, column = divmod(int(s), board.cells.shape[1])
        actions = np.flatnonzero(best[s])
        # a single arrow lies in the middle, several begin there
        tail, head = (-0.22, 0.22) if len(actions) == 1 else (0.04, 0.34)
        for a in actions:
            dx, dy = DIRECTIONS[board.arrows[a]]
            ax.annotate(
                "",
                xy=(column + head * dx, row + head * dy),
                xytext=(column + tail * dx, row + tail * dy),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "black" if right[s, a] else "crimson",
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "mutation_scale": 9,
                },
            )


def write(ax: Any, board: Board, table: np.ndarray) -> None:
    """Each cell's value in its corner."""
    values = table.max(axis=1)
    decimals = 2 if np.abs(values).max() < 9.995 else 1
    for s in np.flatnonzero(np.isin(board.cells.ravel(), (".", "S"))):
        row, column = divmod(int(s), board.cells.shape[1])
        ax.text(column - 0.46, row - 0.44, f"{values[s]:.{decimals}f}", ha="left", va="top", fontsize=6, color="0.25")


def walk(ax: Any, board: Board, states: np.ndarray) -> None:
    """The way through these states (T + 1,): a line, each visit a little beside the last one; a disc at its end."""
    rows, columns = np.divmod(states, board.cells.shape[1])
    rng = np.random.default_rng(0)
    y, x = (
        part + rng.uniform(-0.16, 0.16, len(states)) for part in (rows, columns)
    )  # else a way back hides the way out
    ax.plot(x, y, color="darkorange", linewidth=1.2, alpha=0.9)
    ax.plot(x[-1:], y[-1:], "o", color="darkorange", markeredgecolor="black", markersize=9)
