"""The pictures of chapter 12's variational autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.scripts.pictures import Series, animation, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def losses(lines: Mapping[str, Series]) -> Figure:
    """Losses over the steps, in one panel; the vertical axis ends where the first steps are done."""
    figure = new_figure(7.0, 3.6)
    ax: Any = figure.subplots()
    for label, (steps, values) in lines.items():
        ax.plot(steps, values, marker="o" if len(steps) < 200 else "", markersize=3, linewidth=1.0, label=label)
    known = [value for _, values in lines.values() for value in values[len(values) // 20 :] if value is not None]
    if known:
        ax.set_ylim(min(known) - 0.05 * (max(known) - min(known)), max(known) * 1.05)
    ax.set(xlabel="step", ylabel="nats an image")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def rows(pictures: Sequence[np.ndarray] | np.ndarray, title: str = "", inches: float = 0.6) -> Figure:
    """Rows of pictures (N, S, S) in 0..1, white on black, without gaps: one image, so that it stays sharp."""
    pad = [np.pad(row, ((0, 0), (0, 1), (0, 1)), constant_values=0.3) for row in pictures]
    image = np.concatenate([np.concatenate(list(row), axis=1) for row in pad], axis=0)
    figure = new_figure(inches * len(pad[0]), inches * len(pad) + 0.3 * bool(title))
    ax: Any = figure.subplots()
    ax.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    ax.axis("off")
    if title:
        ax.set_title(title, fontsize=9)
    return figure


def film(frames: Sequence[np.ndarray], most: int = 40) -> bytes:
    """The training as a GIF: after each epoch (N, S, S), N a square number, as a square; at most `most` of them."""
    taken = sorted(set(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int).tolist()))
    side = int(len(frames[0]) ** 0.5)
    drawn = [
        rows(frames[i].reshape(side, side, *frames[i].shape[1:]), "at the start" if i == 0 else f"after epoch {i}")
        for i in taken
    ]
    return animation(drawn, seconds=max(0.1, 8.0 / len(drawn)))


def quantiles(n: int) -> np.ndarray:
    """n numbers that divide the normal distribution into n + 1 equal shares, ascending: (n,) float32."""
    return np.array([NormalDist().inv_cdf((i + 1) / (n + 1)) for i in range(n)], np.float32)


def scatter(codes: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Figure:
    """Points (N, 2), coloured by their labels (N,)."""
    figure = new_figure(6.2, 5.0)
    ax: Any = figure.subplots()
    for kind, name in enumerate(classes):
        chosen = codes[labels == kind]
        ax.scatter(chosen[:, 0], chosen[:, 1], s=5, alpha=0.6, color=f"C{kind % 10}", label=name)
    ax.set(aspect="equal")
    ax.grid(alpha=0.3)
    figure.legend(loc="outside right upper", markerscale=3)
    return figure
