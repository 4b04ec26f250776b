"""The pictures of chapter 11's cart pole: learning curves with bands, and the cart as it is driven."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.scripts.pictures import animation, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores = Callable[[np.ndarray], np.ndarray]  # observations (N, D) -> what each action seems to be worth, (N, A)
POINTS = 100  # of a curve
EVERY, FRAMES = 4, 125  # steps from one picture of the film to the next, and pictures at most


def curves(
    names: Sequence[str], member: np.ndarray, steps: np.ndarray, returns: np.ndarray, *, goal: float | None
) -> Figure:
    """Returns over steps: for each name the mean of its members, and a band from the lowest to the highest of them.

    `names` (M,) are the members' names; `member` (L,), counted from 1, `steps` and `returns` (L,) lines of their logs.
    """
    figure = new_figure(7.0, 3.8)
    ax: Any = figure.subplots()
    grid = np.linspace(0.0, steps.max(initial=1.0), POINTS)
    for i, name in enumerate(dict.fromkeys(names)):
        mine = [k for k, other in enumerate(names, start=1) if other == name]
        lines = np.array([smooth(steps[member == k], returns[member == k], grid) for k in mine])  # (seeds, POINTS)
        label = {"torch": "DQN, torch's network"}.get(name, name) + f", {len(mine)} seeds" * (len(mine) > 1)
        ax.plot(grid, lines.mean(axis=0), color=f"C{i}", label=label)
        if len(mine) > 1:
            ax.fill_between(grid, lines.min(axis=0), lines.max(axis=0), color=f"C{i}", alpha=0.2, linewidth=0.0)
    if goal is not None:
        ax.axhline(goal, color="black", linestyle="--", linewidth=1.0, label="solved")
    ax.set(title="return of an episode", xlabel="steps of the environment")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure


def smooth(steps: np.ndarray, returns: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A running mean over a fiftieth of the episodes, read off at the points of the grid; NaN if there are none."""
    if not len(steps):
        return np.full(len(grid), np.nan)
    window = max(1, len(returns) // 50)
    mean = np.convolve(returns, np.ones(window) / window, "valid")
    return np.interp(grid, steps[window - 1 :], mean)


def play(env: Any, scores: Scores, seed: int) -> Iterator[tuple[Any, np.ndarray, float]]:
    """An episode by the best actions: before each step the observation, the scores (A,), and the return so far."""
    observation, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        values = scores(np.asarray(observation)[None])[0]
        yield observation, values, total
        observation, reward, terminated, truncated, _ = env.step(int(values.argmax()))
        total, done = total + float(reward), terminated or truncated


def window(make: Callable[..., Any], scores: Scores, seed: int) -> str | None:
    """Play an episode in a window; or why there is none."""
    gymnasium: Any = require("gymnasium", extra="rl")
    if sys.platform != "darwin" and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return "there is no display"
    try:
        env = make(render_mode="human")
        for _ in play(env, scores, seed):
            pass  # it draws itself
        env.close()
    except (gymnasium.error.Error, RuntimeError, ValueError, TypeError) as error:  # RuntimeError: pygame's, no display
        return str(error)
    return None


def film(make: Callable[..., Any], scores: Scores, seed: int) -> bytes | str:
    """An episode as a GIF, or why there is none. The cart is drawn here, other environments by themselves."""
    gymnasium: Any = require("gymnasium", extra="rl")
    env = make()
    own = type(env.unwrapped).__name__ == "CartPoleEnv"  # its own drawing needs another package, and no picture of ours
    try:
        env = env if own else make(render_mode="rgb_array")
        return animation(frames(env, scores, seed, own), seconds=0.08)
    except (gymnasium.error.Error, ValueError, TypeError) as error:
        return str(error)


def frames(env: Any, scores: Scores, seed: int, own: bool) -> Iterator[Figure]:
    """Pictures of an episode: one Figure, drawn anew."""
    figure = new_figure(4.0, 2.4)
    ax: Any = figure.subplots()
    for t, (observation, values, total) in enumerate(play(env, scores, seed)):
        if t % EVERY or t >= EVERY * FRAMES:
            continue
        ax.clear()
        if own:
            cart(ax, env.unwrapped, observation)
        else:
            ax.imshow(env.render())
            ax.axis("off")
        worth = "  ".join(f"{value:.1f}" for value in values)
        ax.set_title(f"step {t}, return {total:g}; the actions: {worth}", fontsize=9)
        yield figure


def cart(ax: Any, env: Any, observation: np.ndarray) -> None:
    """The cart on its track, the pole, and where the episode would end."""
    x, _, angle, _ = observation
    length = 2 * env.length  # env.length is half of the pole
    ax.plot([x - 0.25, x + 0.25, x + 0.25, x - 0.25, x - 0.25], [0.0, 0.0, 0.25, 0.25, 0.0], color="black")
    ax.plot([x, x + length * np.sin(angle)], [0.25, 0.25 + length * np.cos(angle)], color="C1", linewidth=4.0)
    for edge in (-env.x_threshold, env.x_threshold):
        ax.axvline(edge, color="crimson", linewidth=1.0)
    ax.axhline(0.0, color="0.6", linewidth=1.0)
    ax.set(xlim=(-1.1 * env.x_threshold, 1.1 * env.x_threshold), ylim=(-0.2, 1.5), aspect="equal", yticks=[])
