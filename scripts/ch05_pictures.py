"""The pictures of chapter 5: clusters in a plane, k-means as it moves, elbow and silhouette, principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.scripts.lessons.ch05 import assign
from tinygrad_edu.scripts.pictures import animation, new_figure
from tinygrad_edu.scripts.player import player

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = 10  # of matplotlib's cycle


class Frame(NamedTuple):
    """Half a turn of k-means: the clusters of the samples (N,), the centres (K, 2), the inertia of the two."""

    title: str
    labels: np.ndarray
    centres: np.ndarray
    inertia: float


def scatter(
    Z: np.ndarray, clusters: np.ndarray, codes: np.ndarray | None, labels: Sequence[str], axes: Sequence[str]
) -> Figure:
    """The clusters of Z (N, 2) with their means, and beside them the true labels, if there are any, by colour."""
    figure, (left, *rest) = plane(Z, 1 if codes is None else 2, 5.6)
    for number, k in enumerate(np.unique(clusters)):
        inside = Z[clusters == k]
        left.scatter(*inside.T, s=14, color=f"C{k % COLOURS}", label=f"cluster {number + 1} ({len(inside)})")
        left.plot(*inside.mean(axis=0), "X", color="black", markeredgecolor="white", markersize=12, zorder=3)
    left.set(title="clusters, found without labels", xlabel=axes[0], ylabel=axes[1])
    for ax in rest:
        assert codes is not None
        for k, label in enumerate(labels):
            ax.scatter(*Z[codes == k].T, s=14, color=f"C{k % COLOURS}", label=f"{label} ({(codes == k).sum()})")
        for k in np.unique(clusters):
            odd = (clusters == k) & (codes != np.bincount(codes[clusters == k]).argmax())
            ax.scatter(*Z[odd].T, s=40, facecolors="none", edgecolors="black", linewidths=0.6)
        ax.set(title="true labels", xlabel=axes[0])
    for ax in (left, *rest):
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8)
    return figure


def window(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of what is shown of the plane, not much higher than wide or the other way round."""
    span, middle = np.ptp(Z, axis=0), (Z.min(axis=0) + Z.max(axis=0)) / 2
    span = np.maximum(span, 0.35 * span.max()) + 0.1 * span.max()
    return middle - span / 2, middle + span / 2


def plane(Z: np.ndarray, panels: int, width: float) -> tuple[Figure, Any]:
    """A figure, and its panels in a row (panels,), with one scale for both axes: distances must look as they are."""
    low, high = window(Z)
    across, upwards = high - low
    figure = new_figure(width * panels, 1.1 + (width - 0.8) * upwards / across)
    axes = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    for ax in axes:
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return figure, axes


def film(Z: np.ndarray, frames: Sequence[Frame], axes: Sequence[str]) -> str:
    """k-means half a turn a picture, over the regions that are nearest to each centre: a player, as HTML."""
    low, high = window(Z)
    columns, rows = (np.linspace(low[i], high[i], 200) for i in (0, 1))
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    drawn = []
    for i, frame in enumerate(frames):
        figure, (ax,) = plane(Z, 1, 7.0)
        regions = assign(grid, frame.centres).reshape(len(rows), len(columns))
        colours = [f"C{k % COLOURS}" for k in range(len(frame.centres))]
        for k, colour in enumerate(colours):
            ax.contourf(columns, rows, regions == k, levels=[0.5, 1.5], colors=[colour], alpha=0.15)
            ax.scatter(*Z[frame.labels == k].T, s=12, color=colour)
        if i % 2:  # the centres have just moved: from where
            for before, after in zip(frames[i - 1].centres, frame.centres, strict=True):
                ax.plot(*np.stack([before, after], axis=1), color="black", linewidth=1.0)
        ax.scatter(*frame.centres.T, s=120, marker="X", c=colours, edgecolors="black")
        ax.set(xlabel=axes[0], ylabel=axes[1])
        ax.set_title(f"{frame.title}\ninertia {frame.inertia:.4g}", fontsize=10)
        drawn.append(figure)
    titles = [f"turn {i // 2 + 1}, {'moved' if i % 2 else 'assigned'}" for i in range(len(frames))]
    return player(animation(drawn), titles, seconds=0.9)


def elbow(
    inertia: Mapping[int, float], silhouettes: Mapping[int, float], K: int, theirs: Mapping[int, float] | None
) -> Figure:
    """Inertia and silhouette by the number of clusters, K marked; scikit-learn's inertia as rings."""
    figure = new_figure(10.0, 3.4)
    left, right = figure.subplots(1, 2)
    left.plot(list(inertia), list(inertia.values()), ".-", label="ours")
    if theirs is not None:
        left.plot(list(theirs), list(theirs.values()), "o", fillstyle="none", color="black", label="scikit-learn")
    right.plot(list(silhouettes), list(silhouettes.values()), ".-")
    left.set(title="inertia", xlabel="clusters", ylim=(0.0, None))
    right.set(title="silhouette", xlabel="clusters")
    for ax in (left, right):
        ax.axvline(K, color="0.6", linestyle="--", linewidth=1.0)
        ax.set_xticks(list(inertia))
        ax.grid(alpha=0.3)
    left.legend()
    return figure


def components(pca: Any, columns: Sequence[str]) -> Figure:
    """All components' shares of the variance, and the first two components' weights of the columns."""
    shares = pca.explained_variance_ratio_[:10]
    figure = new_figure(10.0, max(3.0, 1.0 + 0.24 * len(columns)))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    numbers = np.arange(1, len(shares) + 1)
    left.bar(numbers, shares)
    left.plot(numbers, np.cumsum(shares), ".-", color="black", label="together")
    left.set(title="share of the variance", xlabel="component", xticks=numbers, ylim=(0.0, 1.05))
    left.legend()
    left.grid(alpha=0.3)
    at = np.arange(len(columns))
    for i, side in ((0, -0.2), (1, 0.2)):
        right.barh(at + side, pca.components_[i], height=0.4, label=f"component {i + 1}", color=f"C{i}")
    right.set(title="weight of each column", yticks=at)
    right.set_yticklabels(columns, fontsize=8)
    right.invert_yaxis()
    right.axvline(0.0, color="black", linewidth=0.8)
    right.legend(fontsize=8)
    return figure


def counts(table: np.ndarray, labels: Sequence[str]) -> Figure:
    """How many samples of each true label (a row) are in each cluster (a column)."""
    rows, columns = table.shape
    figure = new_figure(2.2 + 0.7 * columns, 1.2 + 0.45 * rows)
    ax: Any = figure.subplots()
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in np.ndindex(rows, columns):
        ax.text(j, i, table[i, j], ha="center", va="center", color="white" if share[i, j] > 0.5 else "black")
    ax.set(xticks=range(columns), yticks=range(rows), xlabel="cluster", ylabel="true label")
    ax.set_xticklabels([str(j + 1) for j in range(columns)])
    ax.set_yticklabels(labels)
    return figure
