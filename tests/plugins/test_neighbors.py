"""k nearest neighbours: exactly scikit-learn's, also where the filter in float32 does most of the work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import KNeighborsClassifier, KNeighborsRegressor

SEEDS = range(50)


@pytest.mark.parametrize("seed", SEEDS)
def test_as_scikit_learn(seed: int, twin: Any) -> None:
    rng = np.random.default_rng(seed)
    n, d, k = int(rng.integers(1, 900)), int(rng.integers(1, 30)), int(rng.integers(1, 12))
    # an offset that float32 alone would not survive, and columns of different scales
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-2, 2, d) + 10.0 ** rng.uniform(0, 6)
    new = X[rng.integers(0, n, 30)] + 0.1 * X.std(axis=0) * rng.standard_normal((30, d))
    settings = {"n_neighbors": min(k, n), "weights": ("uniform", "distance")[seed % 2]}
    y, z = rng.integers(0, 4, n), rng.standard_normal((n, 2) if seed % 3 else n)
    ours, theirs = (
        make.fit(X, y)
        for make in (
            KNeighborsClassifier(**settings),
            twin("neighbors.KNeighborsClassifier", algorithm="kd_tree", **settings),  # as exact as differences are
        )
    )
    distance, number = ours.kneighbors(new)
    want_distance, want_number = theirs.kneighbors(new)
    np.testing.assert_array_equal(number, want_number)
    np.testing.assert_allclose(distance, want_distance, rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), rtol=1e-9)
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    ours = KNeighborsRegressor(**settings).fit(X, z)
    theirs = twin("neighbors.KNeighborsRegressor", algorithm="kd_tree", **settings).fit(X, z)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", "euclidean", {"p": 1}, {"p": 2}, {"p": 3.5}])
def test_other_distances(metric: Any, twin: Any) -> None:
    rng = np.random.default_rng(0)
    X, new, y = rng.standard_normal((700, 4)), rng.standard_normal((40, 4)), rng.standard_normal(700)
    settings = {"weights": "distance", **({"metric": metric} if isinstance(metric, str) else metric)}
    ours = KNeighborsRegressor(**settings).fit(X, y)
    theirs = twin("neighbors.KNeighborsRegressor", algorithm="kd_tree", **settings).fit(X, y)
    (distance, number), (want_distance, want_number) = ours.kneighbors(new), theirs.kneighbors(new)
    np.testing.assert_array_equal(number, want_number)
    np.testing.assert_allclose(distance, want_distance, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_real_sets(name: str, bundled: Any, twin: Any) -> None:
    X, y = bundled(name)
    ours, theirs = (
        KNeighborsClassifier().fit(X[::2], y[::2]),
        twin("neighbors.KNeighborsClassifier").fit(X[::2], y[::2]),
    )
    np.testing.assert_allclose(
        ours.kneighbors(X)[0], theirs.kneighbors(X)[0], rtol=1e-6, atol=1e-4
    )  # theirs of 0 is up to 3e-5
    assert abs(ours.score(X, y) - theirs.score(X, y)) <= 0.005  # which of several at one distance is nearer is free


def test_the_filter_leaves_few_and_loses_none() -> None:
    rng = np.random.default_rng(0)
    X, new = rng.standard_normal((5000, 10)), rng.standard_normal((20, 10))
    model = KNeighborsClassifier(7).fit(X, np.zeros(5000))
    row, number = model._candidates(new, 7)
    exact = np.square(new[:, None] - X).sum(axis=2)
    for i in range(20):
        assert set(exact[i].argsort()[:7]) <= set(number[row == i])
    assert len(row) < 20 * 20
    np.testing.assert_array_equal(model.kneighbors(new, return_distance=False), exact.argsort(axis=1)[:, :7])


def test_equal_distances_and_places() -> None:
    """Among equals the first samples are nearer; at distance 0 only what is there counts."""
    X = np.repeat([[0.0], [1.0]], 400, axis=0)
    far = KNeighborsClassifier(3, metric="manhattan").fit(X, np.arange(800) % 2)
    assert far.kneighbors([[0.25]])[1].tolist() == [[0, 1, 2]]
    model = KNeighborsClassifier(3, weights="distance").fit(X, np.arange(800) % 2)
    assert model.kneighbors([[0.0], [1.0]])[1].tolist() == [[0, 1, 2], [400, 401, 402]]
    assert model.predict_proba([[0.0]]).tolist() == [[2 / 3, 1 / 3]]
    near = KNeighborsRegressor(2, weights="distance").fit([[0.0], [1.0]], [5.0, 9.0])
    assert near.predict([[0.0], [0.75]]).tolist() == [5.0, 8.0]


def test_extreme_numbers() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 3))
    model = KNeighborsClassifier(1).fit(X * 1e100, np.arange(2000))
    np.testing.assert_array_equal(model.predict(X[:50] * 1e100), np.arange(50))
    far = KNeighborsClassifier(3).fit(X, np.zeros(2000)).kneighbors([[1e60, 0.0, 0.0]])[0]  # all equally far
    np.testing.assert_allclose(far, 1e60)
    tiny = KNeighborsClassifier(1).fit(X * 1e-100, np.arange(2000))
    np.testing.assert_array_equal(tiny.predict(X[:50] * 1e-100), np.arange(50))


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 4))
    one, two = (KNeighborsClassifier(n_jobs=jobs).fit(X, np.zeros(3000)).kneighbors(X) for jobs in (1, 2))
    np.testing.assert_array_equal(one[1], two[1])


def test_bad_input() -> None:
    model = KNeighborsClassifier(4).fit([[0.0], [1.0], [2.0]], [0, 0, 1])
    with pytest.raises(ValueError, match="n_neighbors = 4, n_samples_fit = 3, n_samples = 1"):
        model.predict([[0.0]])
    with pytest.raises(ValueError, match="Expected n_neighbors > 0"):
        model.kneighbors([[0.0]], 0)
    with pytest.raises(ValueError, match=r"'weights' .* one of 'uniform', 'distance'"):
        KNeighborsRegressor(weights="near").fit([[0.0]], [1.0])
    with pytest.raises(ValueError, match=r"'metric' .* one of 'manhattan', 'euclidean', 'chebyshev', 'minkowski'"):
        KNeighborsClassifier(metric="cosine").fit([[0.0]], [1])
    with pytest.raises(ValueError, match=r"'p' .* \[1, inf\). Got 0.5"):
        KNeighborsClassifier(p=0.5).fit([[0.0]], [1])
