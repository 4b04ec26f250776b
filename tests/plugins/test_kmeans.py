"""k-means: one turn by hand, the same clusters as scikit-learn's from the same seed, and what is odd."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import KMeans
from tinygrad_edu.plugins._lloyd import cluster_sums, lloyd, means, nearest


def blobs(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(30, 300)), int(rng.integers(1, 8))
    return rng.standard_normal((n, d)) + 2.0 * rng.standard_normal((4, d))[rng.integers(4, size=n)] + 100.0


def plain_lloyd(X: np.ndarray, w: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The textbook's loop, with all distances, until nothing changes."""
    labels = None
    while True:
        before, labels = labels, ((X[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        if before is not None and (before == labels).all():
            return labels, centres
        groups = range(len(centres))
        centres = np.stack([np.average(X[labels == k], axis=0, weights=w[labels == k]) for k in groups])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(10))
def test_bounds_change_nothing(seed: int, dtype: Any) -> None:
    X = (blobs(seed) - 100.0).astype(dtype)
    w = np.random.default_rng(seed).uniform(0.5, 2.0, len(X)).astype(dtype)
    start = X[:5] + np.asarray(0.01, dtype)
    _, labels, centres, _ = lloyd(X, w, start, 1000, -1.0)
    expected = plain_lloyd(X.astype(np.float64), w, start.astype(np.float64))
    assert (labels == expected[0]).mean() >= (1.0 if dtype is np.float64 else 0.98)  # float32: ties fall otherwise
    if dtype is np.float64:
        np.testing.assert_allclose(centres, expected[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("init", ["k-means++", "random"])
@pytest.mark.parametrize("seed", range(25))
def test_the_same_seed_gives_scikit_learns_clusters(seed: int, init: str, twin: Any) -> None:
    X = blobs(seed)
    weights = np.random.default_rng(seed).uniform(0.5, 2.0, len(X)) if seed % 2 else None
    settings = {"n_clusters": 2 + seed % 6, "init": init, "random_state": seed, "n_init": 1 + seed % 3}
    ours = KMeans(**settings).fit(X, sample_weight=weights)
    theirs = twin("cluster.KMeans", **settings).fit(X, sample_weight=weights)
    assert (ours.labels_ == theirs.labels_).all()
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9)
    np.testing.assert_allclose(ours.inertia_, theirs.inertia_, rtol=1e-9)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.score(X), theirs.score(X), rtol=1e-9)
    assert (ours.predict(X + 0.1) == theirs.predict(X + 0.1)).all()


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_the_objective_on_real_sets(name: str, twin: Any, bundled: Any) -> None:
    X, y = bundled(name)
    K = len(np.unique(y))
    ours, theirs = (
        np.mean([make(random_state=seed, n_clusters=K).fit(X).inertia_ for seed in range(10)])
        for make in (KMeans, lambda **settings: twin("cluster.KMeans", **settings))
    )
    assert ours == pytest.approx(theirs, rel=0.02)  # the issue's


def test_given_centres() -> None:
    X = np.array([[0.0], [1.0], [9.0], [10.0]])
    model = KMeans(2, init=[[0.0], [1.0]], n_init=5).fit(X)
    assert model.cluster_centers_.ravel().tolist() == [0.5, 9.5]
    assert model.labels_.tolist() == [0, 0, 1, 1]
    assert model.inertia_ == pytest.approx(1.0)
    assert KMeans(2, init=[[0.0], [1.0]], max_iter=1).fit(X).n_iter_ == 1


def test_an_empty_cluster_takes_the_farthest_sample() -> None:
    X = np.array([[0.0], [1.0], [2.0], [50.0]])
    model = KMeans(2, init=[[1.0], [1000.0]]).fit(X)
    assert sorted(model.cluster_centers_.ravel().tolist()) == [1.0, 50.0]


def test_its_old_cluster_loses_it() -> None:
    X, w, labels = np.array([[0.0], [2.0], [50.0]]), np.array([1.0, 1.0, 2.0]), np.zeros(3, np.int32)
    sums, weights = cluster_sums(X, w, labels, 2)
    assert means(sums, weights, X, w, labels, np.array([[1.0], [1000.0]])).tolist() == [[1.0], [50.0]]
    assert sums.tolist() == [[102.0], [0.0]]  # they go on as the labels have them


def test_labels_are_what_predict_says() -> None:
    X = blobs(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for turns in (1, 2, 300):
            model = KMeans(6, random_state=0, max_iter=turns).fit(X)
            assert (model.labels_ == model.predict(X)).all()


def test_weights_count_as_repetitions() -> None:
    X, w, init = np.array([[0.0], [1.0], [4.0], [9.0]]), np.array([1, 3, 2, 1]), [[0.0], [9.0]]
    ours = KMeans(2, init=init).fit(X, sample_weight=w)
    repeated = KMeans(2, init=init).fit(np.repeat(X, w, axis=0))
    np.testing.assert_allclose(ours.cluster_centers_, repeated.cluster_centers_, rtol=1e-12)
    assert ours.inertia_ == pytest.approx(repeated.inertia_)


def test_of_equal_distances_the_first() -> None:
    assert nearest(np.zeros((3, 2)), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist() == [0, 0, 0]
