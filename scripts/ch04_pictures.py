"""The pictures of chapter 4: predictions, coefficients, confusion, decision boundaries, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.plugins.metrics import confusion_matrix
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[list[float], list[float], list[float]]  # rows learnt from, error on them, error on the test part

MOST_BARS = 25


def predictions(truth: np.ndarray, predicted: np.ndarray, target: str) -> Figure:
    """True values (N,) against predicted ones, and how far off they are."""
    figure = new_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    left.plot(ends, ends, color="black", linewidth=1)
    left.scatter(truth, predicted, s=8, alpha=min(1.0, 0.1 + 300 / len(truth)), linewidths=0)
    left.set(xlabel=f"{target}, true", ylabel=f"{target}, predicted")
    right.hist(predicted - truth, bins=int(min(40, max(10, len(truth) ** 0.5))), color="C0")
    right.axvline(0.0, color="black", linewidth=1)
    right.set(xlabel="predicted - true", ylabel="rows")
    return figure


def coefficients(names: Sequence[str], values: np.ndarray) -> Figure:
    """A bar for each of the columns with the largest coefficients (D,), the largest on top."""
    order = np.argsort(-np.abs(values), kind="stable")[:MOST_BARS][::-1]
    figure = new_figure(7.0, 1.0 + 0.25 * len(order))
    ax = figure.subplots()
    ax.barh([names[i] for i in order], values[order], color=["C0" if values[i] > 0.0 else "C3" for i in order])
    ax.axvline(0.0, color="black", linewidth=1)
    ax.set_xlabel("coefficient")
    ax.locator_params(axis="x", nbins=6)
    return figure


def confusions(truth: np.ndarray, predicted: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """The confusion matrix of each of some predictions (N,): rows are the true classes, shaded by their shares."""
    K = len(classes)
    figure = new_figure(len(predicted) * (1.0 + 0.55 * K), 1.6 + 0.5 * K)
    for ax, (name, answer) in zip(figure.subplots(1, len(predicted), sharey=True), predicted.items(), strict=True):
        counts = confusion_matrix(truth, answer, labels=np.array(classes, object))  # (K, K)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
        for i, j in np.argwhere(counts):
            ax.text(j, i, counts[i, j], ha="center", va="center", color="white" if share[i, j] > 0.5 else "black")
        ax.set(xticks=range(K), yticks=range(K), xlabel="predicted", title=name)
        ax.set_xticklabels(classes, rotation=45, ha="right")
        ax.set_yticklabels(classes)
        ax.title.set_fontsize(10)
    figure.axes[0].set_ylabel("true")
    return figure


def boundaries(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    axes: Sequence[np.ndarray],
    X: np.ndarray,
    y: np.ndarray,
    classes: Sequence[str],
    names: Sequence[str],
) -> Figure:
    """A panel for each estimator: the class it sees over a grid (rows, columns), and samples that it gets wrong (N,).

    `axes` are the grid's coordinates, X (N, 2) the samples, y (N,) the numbers of their classes.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    K = len(classes)
    colours = ListedColormap([colormaps["tab10" if K <= 10 else "tab20"](k) for k in range(K)])
    figure = new_figure(9.0, 7.6)
    extent = (axes[0][0], axes[0][-1], axes[1][0], axes[1][-1])
    limits: dict[str, Any] = {"cmap": colours, "vmin": -0.5, "vmax": K - 0.5}
    for ax, (name, (codes, wrong)) in zip(
        figure.subplots(2, 2, sharex=True, sharey=True).flat, panels.items(), strict=True
    ):
        ax.imshow(codes, origin="lower", extent=extent, aspect="auto", alpha=0.3, **limits)
        for k in range(K):
            ax.scatter(*X[y == k].T, s=10, color=colours(k), label=classes[k])
        ax.scatter(*X[wrong].T, s=40, facecolors="none", edgecolors="black", linewidths=0.8)
        ax.set_title(f"{name}: {np.mean(~wrong):.1%} of the training part right")
    figure.axes[0].legend(fontsize=8)
    figure.supxlabel(names[0])
    figure.supylabel(names[1])
    return figure


def learning(curves: Mapping[str, Curve], error: str) -> Figure:
    """For each estimator the error on the rows learnt from, dashed, and on the test part, by how many those are."""
    figure = new_figure(7.5, 4.0)
    ax = figure.subplots()
    for i, (name, (rows, train, test)) in enumerate(curves.items()):
        ax.plot(rows, train, "--", color=f"C{i}", linewidth=1)
        ax.plot(rows, test, ".-", color=f"C{i}", label=name)
    ax.plot([], [], "--", color="grey", label="on the rows learnt from")
    ax.set(xlabel="rows learnt from", ylabel=error, xscale="log")
    ax.minorticks_off()
    ax.set_xticks(rows, [f"{n}" for n in rows])
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure
