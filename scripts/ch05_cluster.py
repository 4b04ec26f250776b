"""Chapter 5: groups in data that nobody has labelled, found by k-means in the plane of the two principal components.

1. PCA (`plugins/pca.py`): the columns to 2 dimensions, those in which the samples vary most.
2. k-means there, from random samples, turn by turn; the two halves of a turn are lesson 5.1's.
3. The estimator (`plugins/kmeans.py`), the best of several starts, for 1 cluster, 2, 3 and so on: elbow, silhouette.
4. The clusters beside the true labels, which neither step has seen, if there are any.

Sources: C. Bishop, Pattern Recognition and Machine Learning, 2006, sections 9.1 and 12.1; P. Rousseeuw, "Silhouettes: a
graphical aid to the interpretation and validation of cluster analysis", 1987; the data: R. Fisher, "The use of multiple
measurements in taxonomic problems", 1936.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require
from tinygrad_edu.plugins import PCA, KMeans
from tinygrad_edu.plugins.metrics import adjusted_rand_score, silhouette_score
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_sklearn
from tinygrad_edu.scripts import ch05_pictures as pictures
from tinygrad_edu.scripts.beside_sklearn import twin
from tinygrad_edu.scripts.ch03_columns import Preprocessor, Scale
from tinygrad_edu.scripts.labelled_table import labelled_table
from tinygrad_edu.scripts.lessons.ch05 import assign, update

TURNS = 300  # of k-means at most, as the estimator has it


@dataclass
class Args:
    """Find clusters without labels, in the plane of two principal components (chapter 5)."""

    dataset: Literal["iris", "breast-cancer"] = "iris"
    """One of the sets that come with scikit-learn."""
    data: Path | None = None
    """A CSV file of your own instead."""
    target: str | None = None
    """The column of your file with the true labels, if it has one: compared with, never learnt from."""
    columns: tuple[str, ...] = ()
    """The columns to learn from; if not given all those of numbers."""
    scale: Scale = "none"
    """What is done to each column first; where their units differ, standardise."""
    clusters: int | None = None
    """How many; if not given, as many as there are labels, or without labels as the silhouette says."""
    most_clusters: int = 8
    """Elbow and silhouette are shown up to so many."""
    starts: int = 10
    """Starts of k-means, of which the best is kept."""
    compare: beside_sklearn.Compare = "auto"
    """Do the same with scikit-learn; auto: where it is installed."""


class Samples(NamedTuple):
    """What is clustered: X (N, D) with the columns' names; the true labels as codes (N,), if there are any."""

    name: str
    X: np.ndarray
    columns: tuple[str, ...]
    codes: np.ndarray | None
    labels: tuple[str, ...]


class Found(NamedTuple):
    """What was learnt: the components, the projection Z (N, 2), k-means there by the number of clusters."""

    pca: Any
    Z: np.ndarray
    models: dict[int, Any]


def main(args: Args, run: Run) -> None:
    """Project, cluster, compare with the labels and with scikit-learn, draw."""
    check(args)
    samples = read(args, run)
    different = len(np.unique(samples.X, axis=0))
    if different < 3:
        raise ValueError(f"cluster: expected at least 3 different rows, got {different}")
    most = min(args.most_clusters, different - 1)
    k_means = {k: KMeans(k, n_init=args.starts, random_state=run.seed) for k in range(1, most + 1)}
    found = find(samples.X, PCA(2), k_means)
    silhouettes = {k: silhouette_score(found.Z, found.models[k].labels_) for k in found.models if k > 1}
    K = args.clusters or len(samples.labels) or max(silhouettes, key=lambda k: silhouettes[k])
    if K not in silhouettes:
        raise ValueError(f"cluster: {K} clusters: expected 2 to {max(silhouettes)}, by --most-clusters and the rows")
    tell(run, samples, found, K, silhouettes)
    frames = turns(run, found.Z, K)
    run.verdict(
        f"k-means from {K} random samples came to rest after {len(frames) // 2} turns, at an inertia of "
        f"{frames[-1].inertia:.4g}; the best of {args.starts} starts from samples far apart has "
        f"{found.models[K].inertia_:.4g}."
    )
    if samples.codes is not None:
        judge(args, run, samples, found, K)
    theirs = None
    if beside_sklearn.wanted(args.compare):
        theirs = compare(run, samples, found, K)
    else:
        run.verdict("Not compared with scikit-learn.")
    draw(run, samples, found, K, frames, silhouettes, theirs)


def check(args: Args) -> None:
    """Raise ValueError for flags that make no sense."""
    for flag, value, least in (
        ("clusters", args.clusters, 2),
        ("most-clusters", args.most_clusters, 2),
        ("starts", args.starts, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"cluster: expected --{flag} of at least {least}, got {value}")


def read(args: Args, run: Run) -> Samples:
    """The rows to be clustered. ValueError for columns that are not there, or of no use."""
    name, table, codes, labels = labelled_table(args.dataset, args.data, args.target)
    chosen = table.choose(*(args.columns or table.numbers))
    if chosen.texts:
        raise ValueError(f"cluster: column {chosen.texts[0]!r} holds texts, which have no distances")
    if len(chosen.names) < 2:
        raise ValueError(f"cluster: expected at least two columns of numbers, got {list(chosen.names)}")
    if table.texts:
        run.verdict(f"Left out, since texts have no distances: {', '.join(table.texts)}.")
    X = Preprocessor(scale=args.scale).fit(chosen).transform(chosen)
    return Samples(name, X, chosen.names, codes, labels)


def find(X: np.ndarray, pca: Any, k_means: dict[int, Any]) -> Found:
    """Fit both estimators, ours or scikit-learn's: PCA on X (N, D), each k-means on the projection."""
    Z = pca.fit(X).transform(X)  # (N, 2)
    return Found(pca, Z, {k: model.fit(Z) for k, model in k_means.items()})


def tell(run: Run, samples: Samples, found: Found, K: int, silhouettes: dict[int, float]) -> None:
    """Say what was found, and where a column's unit decides rather than the data."""
    share = float(found.pca.explained_variance_ratio_.sum())
    inertia = found.models[K].inertia_
    run.result(explained_variance_share=share, inertia=inertia, silhouette=silhouettes[K])
    run.verdict(
        f"{samples.name}: {len(samples.X)} samples, {len(samples.columns)} columns. The first two principal components "
        f"hold {share:.1%} of the variance; {K} clusters there have an inertia of {inertia:.4g} and a silhouette of "
        f"{silhouettes[K]:.3f}. The silhouette alone would choose {max(silhouettes, key=lambda k: silhouettes[k])}."
    )
    spreads = samples.X.std(axis=0)
    if (ratio := spreads.max() / np.median(spreads)) > 10.0:
        run.verdict(
            f"Column {samples.columns[spreads.argmax()]!r} spreads {ratio:.0f} times as far as the one in the middle: "
            "its unit decides more than the data do. --scale standardise gives every column the same say."
        )


def turns(run: Run, Z: np.ndarray, K: int) -> list[pictures.Frame]:
    """k-means from K random samples until no centre moves: two frames a turn, assigned and then moved."""
    centres = Z[np.random.default_rng(run.seed).choice(len(Z), K, replace=False)]  # (K, 2)
    frames = []
    for turn in run.steps(TURNS):
        labels = assign(Z, centres)  # (N,)
        moved = update(Z, labels, centres)
        before, after = (float(((Z - c[labels]) ** 2).sum()) for c in (centres, moved))
        run.log(inertia=after, moved=np.abs(moved - centres).max())
        frames.append(pictures.Frame(f"turn {turn}: each sample to the nearest centre", labels, centres, before))
        frames.append(pictures.Frame(f"turn {turn}: each centre to the mean of its samples", labels, moved, after))
        if (moved == centres).all():
            break
        centres = moved
    return frames


def like_classes(labels: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The clusters renumbered, each like the true label that it has most of, if it is free yet: (N,)."""
    counts = contingency(codes, labels)
    names = np.full(counts.shape[1], -1)
    for at in np.argsort(-counts, axis=None, kind="stable"):
        code, cluster = np.unravel_index(at, counts.shape)
        if names[cluster] < 0 and code not in names:
            names[cluster] = code
    names[names < 0] = len(counts) + np.arange((names < 0).sum())
    return names[labels]


def contingency(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many samples of each true label are in each cluster: (labels, clusters)."""
    counts = np.zeros((codes.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (codes, labels), 1)
    return counts


def judge(args: Args, run: Run, samples: Samples, found: Found, K: int) -> None:
    """Say how far the clusters are the true labels, here and without the projection."""
    codes, labels = samples.codes, found.models[K].labels_
    assert codes is not None
    rand = adjusted_rand_score(codes, labels)
    purity = contingency(codes, labels).max(axis=0).sum() / len(codes)
    whole = KMeans(K, n_init=args.starts, random_state=run.seed).fit(samples.X)
    rand_whole = adjusted_rand_score(codes, whole.labels_)
    run.result(adjusted_rand=rand, purity=float(purity), all_columns_adjusted_rand=rand_whole)
    run.verdict(
        f"The true labels, which neither step has seen: {purity:.1%} of the samples have the label that is the most "
        f"frequent in their cluster; adjusted Rand index {rand:.3f} (1 the same groups, 0 as by chance). k-means on "
        f"all {len(samples.columns)} columns, without the projection: {rand_whole:.3f}."
    )


def compare(run: Run, samples: Samples, found: Found, K: int) -> dict[int, float]:
    """Say how scikit-learn's PCA and k-means stand beside ours; its inertia by the number of clusters."""
    metrics: Any = require("sklearn.metrics", extra="viz")
    sides = {
        "ours": lambda: find(samples.X, PCA(2), {K: found.models[K]}),
        "sklearn": lambda: find(samples.X, twin(PCA(2)), {K: twin(found.models[K])}),
    }
    seconds = alternate(sides, seconds=0.2)
    theirs = find(samples.X, twin(PCA(2)), {k: twin(model) for k, model in found.models.items()})
    ours, model = found.models[K], theirs.models[K]
    run.result(
        fit_seconds=seconds["ours"],
        sklearn_fit_seconds=seconds["sklearn"],
        sklearn_explained_variance_share=float(theirs.pca.explained_variance_ratio_.sum()),
        sklearn_inertia=float(model.inertia_),
        sklearn_silhouette=float(metrics.silhouette_score(theirs.Z, model.labels_)),
    )
    if samples.codes is not None:
        run.result(sklearn_adjusted_rand=float(metrics.adjusted_rand_score(samples.codes, model.labels_)))
    variances = theirs.pca.explained_variance_
    apart = float(np.abs(variances - found.pca.explained_variance_).max() / variances[0])
    inertia = ours.inertia_ / model.inertia_ - 1.0
    agree = metrics.adjusted_rand_score(model.labels_, ours.labels_)
    same = "the same clusters" if agree == 1.0 else f"other clusters (adjusted Rand index {agree:.3f} with ours)"
    close = "within" if apart < 1e-6 and abs(inertia) <= 0.02 else "NOT within"
    run.verdict(
        f"scikit-learn, same settings and seed: {same}. Our inertia differs by {inertia:+.2%}, of 2 % allowed, the "
        f"components' variances by {apart:.1g} of the largest, of 1e-06 allowed: {close} the tolerance. PCA and "
        f"k-means took {1e3 * seconds['ours']:.1f} ms here, {1e3 * seconds['sklearn']:.1f} ms there."
    )
    return {k: float(model.inertia_) for k, model in theirs.models.items()}


def draw(
    run: Run,
    samples: Samples,
    found: Found,
    K: int,
    frames: Sequence[pictures.Frame],
    silhouettes: dict[int, float],
    theirs: dict[int, float] | None,
) -> None:
    """The pictures of the report."""
    Z, model, codes = found.Z, found.models[K], samples.codes
    axes = [
        f"component {i + 1}: {share:.1%} of the variance" for i, share in enumerate(found.pca.explained_variance_ratio_)
    ]
    labels = model.labels_ if codes is None else like_classes(model.labels_, codes)
    caption = "The clusters and their centres."
    if codes is not None:
        caption = "The clusters and their centres, beside the true labels. Ringed: samples whose label is not the most "
        caption += "frequent one of their cluster."
    run.figure("clusters", pictures.scatter(Z, labels, codes, samples.labels, axes), caption)
    caption = "k-means turn by turn, from random samples. The background shows which centre is the nearest."
    run.figure("film", pictures.film(Z, frames, axes), caption)
    run.figure(
        "elbow",
        pictures.elbow({k: m.inertia_ for k, m in found.models.items()}, silhouettes, K, theirs),
        "How many clusters? Inertia falls with every one more; where it bends, the elbow, the next no longer pays. The "
        "silhouette compares each sample's distances to its own cluster and to the next one: the higher the better.",
    )
    run.figure(
        "components",
        pictures.components(PCA().fit(samples.X), samples.columns),
        "Each component's share of the variance, and how much of each column goes into the first two.",
    )
    if codes is not None:
        caption = "How many samples of each true label are in each cluster."
        _, numbers = np.unique(labels, return_inverse=True)  # as the clusters are numbered in the first picture
        run.figure("counts", pictures.counts(contingency(codes, numbers), samples.labels), caption)
