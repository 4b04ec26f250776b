"""The pictures of chapter 6: votes of more and more trees, importances, boundaries, boosting stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.plugins import RandomForestClassifier
from tinygrad_edu.scripts.ch06_boosting import Problem, Stage, curve
from tinygrad_edu.scripts.pictures import Series, animation, new_figure
from tinygrad_edu.scripts.player import player

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # columns whose importance is shown


def trees(votes: Mapping[str, Series], alone: float) -> Figure:
    """The accuracy of votes by the number of trees, and that of one tree alone, on the mean."""
    figure = new_figure(7.0, 3.6)
    ax: Any = figure.subplots()
    for name, (steps, values) in votes.items():
        ax.plot(steps, [np.nan if v is None else v for v in values], label=name, marker="." * (len(steps) < 20))
    ax.axhline(alone, color="black", linestyle="--", linewidth=1.0, label="one tree, test rows (the mean of all)")
    ax.set(xlabel="trees", ylabel="accuracy")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def importances(shares: Mapping[str, np.ndarray], costs: np.ndarray, columns: Sequence[str]) -> Figure:
    """The columns of the highest shares (D,), and what shuffling each cost in each split (splits, D)."""
    order = np.argsort(-next(iter(shares.values())), kind="stable")[:MOST]
    figure = new_figure(10.0, 1.2 + 0.3 * len(order))
    left, right = figure.subplots(1, 2, sharey=True)
    at = np.arange(len(order))
    for i, (name, values) in enumerate(shares.items()):
        left.barh(at + 0.4 * i, values[order], height=0.4, label=name, color=("C0", "0.6")[i])
    points = 100.0 * costs[:, order]
    right.barh(
        at + 0.2 * (len(shares) - 1), points.mean(axis=0), xerr=points.std(axis=0), height=0.4, color="C1", ecolor="0.4"
    )
    left.set(title="share of the decrease of impurity", yticks=at + 0.2 * (len(shares) - 1))
    left.set_yticklabels([columns[i] for i in order], fontsize=8)
    left.invert_yaxis()
    left.legend(fontsize=8)
    right.set(title="points of accuracy lost by shuffling")
    for ax in (left, right):
        ax.grid(alpha=0.3, axis="x")
    return figure


def boundary(X: np.ndarray, y: np.ndarray, axes: Sequence[str], labels: Sequence[str], seed: int) -> Figure:
    """X (N, 2) over the classes' shares as two trees of a bagged forest, ten and all of them see the plane."""
    from matplotlib.colors import to_rgb

    bagged = RandomForestClassifier(100, max_features=None, random_state=seed).fit(X, y)
    low, high = np.percentile(X, [0, 97], axis=0)  # what lies far out would press the rest together
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    across, upwards = (np.linspace(low[i], high[i], 200) for i in (0, 1))
    grid = np.stack(np.meshgrid(across, upwards), axis=-1).reshape(-1, 2)
    each = np.stack([tree.predict_proba(grid) for tree in bagged.estimators_])  # (100, G, K)
    panels = {
        "one tree": each[0],
        "another": each[1],
        "10 trees": each[:10].mean(axis=0),
        "100 trees": each.mean(axis=0),
    }
    colours = np.array([to_rgb(f"C{k % 10}") for k in range(len(labels))])
    figure = new_figure(8.4, 6.8)
    for ax, (title, shares) in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, panels.items(), strict=True):
        pale = (1.0 - 0.45 * (1.0 - shares @ colours)).reshape(len(upwards), len(across), 3)
        ax.imshow(pale, origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto")
        winner = shares.argmax(axis=1).reshape(len(upwards), len(across))
        for k in range(len(labels) - 1):
            ax.contour(across, upwards, winner <= k, levels=[0.5], colors="black", linewidths=0.8)
        for k, label in enumerate(labels):
            ax.scatter(*X[y == k].T, s=9, color=colours[k], edgecolors="white", linewidths=0.3, label=label)
        ax.set(title=title, xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        ax.label_outer()
    for ax in figure.axes[2:]:
        ax.set_xlabel(axes[0])
    for ax in figure.axes[::2]:
        ax.set_ylabel(axes[1])
    figure.axes[0].legend(fontsize=8)
    return figure


def stages(data: Problem, shown: Sequence[Stage]) -> str:
    """Boosting: samples and sum, residuals and the next tree, a stage a picture; a player, as HTML."""
    frames = []
    at = data.grid[:, 0]
    spread = np.abs(shown[0].residual).max() * 1.1
    for stage in shown:
        figure = new_figure(10.0, 3.8)
        left, right = figure.subplots(1, 2, sharex=True)
        left.plot(at, curve(data.grid), color="0.6", linestyle="--", label="x sin x")
        left.plot(data.x[:, 0], data.y, ".", color="C0", label="samples")
        left.plot(at, stage.at_grid, color="C3", label=f"sum of {stage.trees} trees" if stage.trees else "mean of y")
        right.axhline(0.0, color="0.6", linewidth=0.8)
        right.plot(data.x[:, 0], stage.residual, ".", color="C0", label="left over")
        right.plot(at, stage.tree.predict(data.grid), color="C1", label=f"tree {stage.trees + 1}")
        left.set(title=f"after {stage.trees} trees", xlabel="x", ylabel="y", ylim=(data.y.min() - 1, data.y.max() + 1))
        right.set(
            title=f"squared error left: {np.square(stage.residual).mean():.3f}", xlabel="x", ylim=(-spread, spread)
        )
        for ax in (left, right):
            ax.legend(fontsize=8, loc="upper left")
        frames.append(figure)
    return player(animation(frames), [f"{stage.trees} trees" for stage in shown], seconds=1.2)


def errors(found: Mapping[str, np.ndarray], noise: float) -> Figure:
    """Squared errors by the number of trees, and the variance of the noise."""
    figure = new_figure(7.0, 3.8)
    ax: Any = figure.subplots()
    for name, values in found.items():
        ax.plot(np.arange(1, len(values) + 1), values, label=name, linestyle="--" if "learnt" in name else "-")
    ax.axhline(noise, color="0.6", linewidth=0.8, label="variance of the noise")
    ax.set(xlabel="trees", ylabel="mean squared error", xscale="log", yscale="log")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure
