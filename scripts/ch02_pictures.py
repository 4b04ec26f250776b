"""The pictures of chapter 2: points on their way down, the derivative three ways, learning rates side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinygrad_edu.scripts.ch02_gradient_descent import Walk

Surface = Callable[[np.ndarray], np.ndarray]  # f on a grid: (D, ...) -> (...)

FRAMES = 30  # of the film, close together at first: that is where most happens
COLOURS = {"plain": "C0", "momentum": "C1", "adam": "C2"}
STEPS = np.logspace(-1, -12, 45)  # h of the finite difference


def window(walks: Mapping[str, Walk]) -> np.ndarray:
    """What to draw, low and high of each coordinate (D, 2): all around the lowest point, as far as walks came.

    Where they were more than four times as high above it as at the start does not count.
    """
    points = np.concatenate([walk.points for walk in walks.values()])  # (N, D)
    values = np.concatenate([walk.values for walk in walks.values()])  # (N,)
    lowest, start = values.min(), values[0]
    near = points[values - lowest <= 4.0 * max(start - lowest, 1e-9)]
    centre = points[values.argmin()]
    reach = 1.2 * np.abs(near - centre).max(axis=0)  # (D,)
    reach = np.maximum(reach, max(0.4 * reach.max(), 0.5))  # a window is no slit, and never empty
    return np.stack([centre - reach, centre + reach], axis=1)


def gap(walks: Mapping[str, Walk], walk: Walk) -> np.ndarray:
    """How far f is above the lowest value that any walk has seen, (steps + 1,); NaN where it is there."""
    above = walk.values - min(w.values.min() for w in walks.values())
    return np.where(above > 0.0, above, np.nan)


class Film:
    """The walks in FRAMES pictures or fewer: the curve or the landscape with the points on it, and f by step."""

    def __init__(self, surface: Surface, walks: Mapping[str, Walk]) -> None:
        self.surface, self.walks = surface, walks
        last = max(len(walk.values) for walk in walks.values()) - 1
        self.steps = sorted({0, *np.geomspace(1, max(last, 1), FRAMES).round().astype(int).tolist()})

    def titles(self) -> list[str]:
        """What each frame shows, in words."""
        return [f"step {step}" for step in self.steps]

    def frames(self) -> Iterator[Figure]:
        """One Figure again and again, with the points moved on: to be drawn before the next is asked for."""
        figure = new_figure(9.0, 4.0)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        background(left, self.surface, window(self.walks))
        trails, curve = {}, len(next(iter(self.walks.values())).points[0]) == 1
        for name, walk in self.walks.items():
            colour = COLOURS[name]
            (trail,) = left.plot([], [], "." if curve else ".-", color=colour, linewidth=1, markersize=4)
            (point,) = left.plot([], [], "o", color=colour, markeredgecolor="black", markersize=9, label=name)
            right.plot(gap(self.walks, walk), color=colour, label=f"{name}, η = {walk.lr:g}")
            (mark,) = right.plot([], [], "o", color=colour, markeredgecolor="black")
            trails[name] = trail, point, mark
        right.set(yscale="log", xlabel="step", ylabel="f above the lowest seen", title="how far down")
        right.grid(alpha=0.3)
        right.legend(fontsize=8)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # finding the places again for every frame takes most of the time
        for step in self.steps:
            left.set_title(f"step {step}")
            for name, walk in self.walks.items():
                way, now = place(self.surface, walk.points[: step + 1]), min(step, len(walk.values) - 1)
                trail, point, mark = trails[name]
                trail.set_data(*way)
                point.set_data(*way[:, -1:])
                mark.set_data([now], gap(self.walks, walk)[[now]])
            yield figure


def place(surface: Surface, points: np.ndarray) -> np.ndarray:
    """Where points (N, D) are drawn, (2, N): on a curve at the height of f, on a landscape seen from above."""
    return points.T if points.shape[1] == 2 else np.stack([points[:, 0], surface(points.T)])


def background(ax: Any, surface: Surface, limits: np.ndarray) -> None:
    """The curve of f, or its landscape as contours."""
    if len(limits) == 1:
        x = np.linspace(limits[0, 0], limits[0, 1], 400)
        y = surface(x[None])
        ax.plot(x, y, color="black", linewidth=1)
        low, high = np.nanmin(y), np.nanmax(y)
        room = 0.08 * (high - low)
        ax.set(xlabel="x", ylabel="f", xlim=limits[0], ylim=(low - room, high + room))
        return
    x, y = (np.linspace(low, high, 120) for low, high in limits)
    z = surface(np.stack(np.meshgrid(x, y)))  # (120, 120)
    heights = np.nanmin(z) + (np.nanmax(z) - np.nanmin(z)) * np.linspace(0.0, 1.0, 25) ** 3  # close together below
    ax.contour(x, y, z, levels=heights, colors="lightgrey", linewidths=1)
    ax.set(xlabel="x", ylabel="y", xlim=limits[0], ylim=limits[1])


class Slice(NamedTuple):
    """One of the gradient's components along its coordinate: by formula at many places, by the others at a few."""

    name: str
    x: np.ndarray  # (N,)
    formula: np.ndarray  # (N,)
    few: np.ndarray  # (M,): places
    difference: np.ndarray  # (M,)
    tensor: np.ndarray  # (M,)


def derivatives(slices: Sequence[Slice], errors: np.ndarray) -> Figure:
    """A panel for each slice, and the finite difference's error for each h of STEPS."""
    figure = new_figure(4.2 * (len(slices) + 1), 3.6)
    *panels, last = figure.subplots(1, len(slices) + 1)
    for ax, cut in zip(panels, slices, strict=True):
        ax.plot(cut.x, cut.formula, color="black", linewidth=1, label="formula")
        ax.plot(cut.few, cut.difference, "x", color="C3", markersize=9, label="finite difference")
        ax.plot(cut.few, cut.tensor, "o", color="C0", markersize=4, label="Tensor")
        ax.axhline(0.0, color="grey", linewidth=0.5)
        ax.set(xlabel=cut.name, title=f"∂f/∂{cut.name}")
        ax.legend(fontsize=8)
    known = errors > 0.0
    last.loglog(STEPS[known], errors[known], ".-", color="C3")
    last.set(xlabel="h", ylabel="error", title="the finite difference's error, by h")
    last.grid(alpha=0.3)
    return figure


def rates(walks: Mapping[str, Walk]) -> Figure:
    """For each of some walks by name how far f is above the lowest value seen, step by step; left, the way itself."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    limits = window({name: walk for name, walk in walks.items() if not walk.end} or walks)
    for i, (name, walk) in enumerate(walks.items()):
        colour = ("C0", "C1", "C2", "C4", "C3")[i]
        outside = np.flatnonzero((walk.points[:, 0] < limits[0, 0]) | (walk.points[:, 0] > limits[0, 1]))
        left.plot(walk.points[: outside[0] + 1 if len(outside) else None, 0], ".-", color=colour, linewidth=1)
        right.plot(gap(walks, walk), ".-", color=colour, linewidth=1, label=f"η = {walk.lr:.3g}, {name}")
    left.set(xlabel="step", ylabel="x", title="where the point is", ylim=limits[0])
    right.set(xlabel="step", ylabel="f above the lowest seen", title="how far down", yscale="log")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    right.legend(fontsize=8)
    return figure
