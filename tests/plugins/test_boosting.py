"""Gradient boosting: scikit-learn's, tree by tree, where no two cuts are equally good; elsewhere as good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import GradientBoostingClassifier, GradientBoostingRegressor

CLOSE = {"rtol": 1e-6, "atol": 1e-6}  # the issue's
SETTINGS = {"n_estimators": 12, "max_depth": 2, "min_samples_leaf": 15, "learning_rate": 0.3}


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, 4))
    return X, X[:, 0] * X[:, 1] + X[:, 2] + 0.3 * rng.standard_normal(200), rng.uniform(0.5, 2.0, 200)


@pytest.mark.parametrize("seed", range(25))
def test_numbers(seed: int, twin: Any) -> None:
    X, z, w = problem(seed)
    weight = w if seed % 2 else None
    ours = GradientBoostingRegressor(**SETTINGS).fit(X, z, weight)
    theirs = twin("ensemble.GradientBoostingRegressor", **SETTINGS, random_state=0).fit(X, z, weight)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), **CLOSE)
    np.testing.assert_allclose(ours.train_score_, theirs.train_score_, **CLOSE)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, **CLOSE)
    for mine, other in zip(ours.staged_predict(X), theirs.staged_predict(X), strict=True):
        np.testing.assert_allclose(mine, other, **CLOSE)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("cuts", [[0.3], [-0.5, 0.7]])
def test_classes(seed: int, cuts: list[float], twin: Any) -> None:
    X, z, w = problem(seed)
    y = np.digitize(z, cuts)
    ours = GradientBoostingClassifier(**SETTINGS).fit(X, y, w)
    theirs = twin("ensemble.GradientBoostingClassifier", **SETTINGS, random_state=0).fit(X, y, w)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), **CLOSE)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), **CLOSE)
    np.testing.assert_allclose(ours.train_score_, theirs.train_score_, **CLOSE)
    assert ours.estimators_.shape == theirs.estimators_.shape


@pytest.mark.parametrize("seed", range(10))
def test_limits(seed: int, twin: Any) -> None:
    X, z, w = problem(seed)
    limits = {"max_leaf_nodes": 4} if seed % 2 else {"min_weight_fraction_leaf": 0.2}
    settings = {**SETTINGS, "max_depth": 3, **limits}
    ours = GradientBoostingRegressor(**settings).fit(X, z, w)
    theirs = twin("ensemble.GradientBoostingRegressor", **settings, random_state=0).fit(X, z, w)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), **CLOSE)


@pytest.mark.parametrize("seed", range(10))
def test_it_stops_when_what_is_held_out_gets_no_better(seed: int, twin: Any) -> None:
    X, z, w = problem(seed)
    settings = {**SETTINGS, "n_estimators": 200, "n_iter_no_change": 3, "tol": 1e-3, "random_state": seed}
    ours = GradientBoostingRegressor(**settings).fit(X, z, w)
    theirs = twin("ensemble.GradientBoostingRegressor", **settings).fit(X, z, w)
    assert ours.n_estimators_ == theirs.n_estimators_ < 200  # the same samples are held out
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), **CLOSE)
    classifier = GradientBoostingClassifier(**settings).fit(X, z > 0)
    assert classifier.n_estimators_ == len(classifier.estimators_) == len(classifier.train_score_) < 200


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_accuracy(name: str, bundled: Any, twin: Any) -> None:
    """Within a point on the training half, where scikit-learn's lot decides between equal cuts."""
    X, y = bundled(name)
    settings = {"n_estimators": 20, "max_depth": 2}
    ours = GradientBoostingClassifier(**settings).fit(X[::2], y[::2])
    theirs = twin("ensemble.GradientBoostingClassifier", **settings, random_state=0).fit(X[::2], y[::2])
    assert abs(ours.score(X[::2], y[::2]) - theirs.score(X[::2], y[::2])) <= 0.01
    assert ours.train_score_[-1] == pytest.approx(theirs.train_score_[-1], rel=0.02)


def test_loss_falls_to_nothing_without_overflow(bundled: Any) -> None:
    X, y = bundled("iris")
    model = GradientBoostingClassifier(n_estimators=200, learning_rate=1.0).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.score(X, y) == 1.0
    assert model.train_score_[-1] < 1e-6


def test_part_of_the_samples_per_tree(bundled: Any, twin: Any) -> None:
    """`subsample`: which samples is left to chance, so the training error within 2 %, mean of 10 seeds."""
    X, y = bundled("diabetes")
    settings = {"n_estimators": 30, "subsample": 0.5}
    ours, theirs = (
        np.mean([np.square(make(random_state=s).fit(X, y).predict(X) - y).mean() for s in range(10)])
        for make in (
            lambda **s: GradientBoostingRegressor(**settings, **s),
            lambda **s: twin("ensemble.GradientBoostingRegressor", **settings, **s),
        )
    )
    assert ours == pytest.approx(theirs, rel=0.02)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        GradientBoostingClassifier().fit([[0.0], [1.0]], [1, 1])
    with pytest.raises(ValueError, match=r"'subsample' .* \(0.0, 1.0\]"):
        GradientBoostingRegressor(subsample=0.0).fit([[0.0], [1.0]], [1, 2])
    with pytest.raises(ValueError, match=r"'n_iter_no_change' .* \[1, inf\). Got 0"):
        GradientBoostingRegressor(n_iter_no_change=0).fit([[0.0], [1.0]], [1, 2])
    constant = GradientBoostingRegressor(n_estimators=3).fit(np.ones((4, 2)), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(constant.predict(np.ones((1, 2))), 2.5)
    assert constant.feature_importances_.tolist() == [0.0, 0.0]
