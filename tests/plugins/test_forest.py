"""Random forests: as good as scikit-learn's, honest out of bag, the same for every number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)


def test_without_chance_a_forest_is_its_tree(bundled: Any) -> None:
    """No bootstrap and all features: several trees grown at once, each of them the single one."""
    X, y = bundled("iris")
    forest = RandomForestClassifier(7, bootstrap=False, max_features=None).fit(X, y)
    tree = DecisionTreeClassifier().fit(X, y)
    np.testing.assert_array_equal(forest.apply(X), np.repeat(tree.apply(X)[:, None], 7, axis=1))
    np.testing.assert_allclose(forest.predict_proba(X), tree.predict_proba(X))
    np.testing.assert_allclose(forest.feature_importances_, tree.feature_importances_)
    X, y = bundled("diabetes")
    one = RandomForestRegressor(3, bootstrap=False, max_depth=4).fit(X, y)
    np.testing.assert_allclose(one.predict(X), DecisionTreeRegressor(max_depth=4).fit(X, y).predict(X))


@pytest.mark.parametrize(("name", "trees"), [("iris", 100), ("wine", 100), ("breast_cancer", 100), ("digits", 30)])
def test_accuracy(name: str, trees: int, bundled: Any, twin: Any) -> None:
    """Out-of-bag accuracy, mean of 10 seeds: within a point."""
    X, y = bundled(name)
    settings = {"n_estimators": trees, "oob_score": True}
    ours = [RandomForestClassifier(**settings, random_state=s).fit(X, y).oob_score_ for s in range(10)]
    theirs = [
        twin("ensemble.RandomForestClassifier", **settings, random_state=s).fit(X, y).oob_score_ for s in range(10)
    ]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.01)


@pytest.mark.parametrize(
    "limits",
    [
        {"class_weight": "balanced"},
        {"class_weight": {0: 5.0}},
        {"max_leaf_nodes": 6},
        {"min_weight_fraction_leaf": 0.1},
    ],
)
def test_limits_and_weights_of_classes(limits: dict[str, Any], twin: Any) -> None:
    """Without chance in it, several trees at once: each is scikit-learn's."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    y = (X[:, 0] * X[:, 1] + X[:, 2] + 0.5 * rng.standard_normal(300) > 0.8).astype(int)
    settings = {"n_estimators": 3, "bootstrap": False, "max_features": None, "min_samples_leaf": 8, **limits}
    weight = rng.uniform(0.5, 2.0, 300)  # so that no two cuts are equally good
    ours = RandomForestClassifier(**settings).fit(X, y, weight)
    theirs = twin("ensemble.RandomForestClassifier", **settings).fit(X, y, weight)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


def test_squared_error(bundled: Any, twin: Any) -> None:
    """Out-of-bag squared error within 2 %, mean of 10 seeds."""
    X, y = bundled("diabetes")
    settings = {"n_estimators": 60, "oob_score": True, "max_features": 0.5}
    errors = []
    for make in (RandomForestRegressor, lambda **s: twin("ensemble.RandomForestRegressor", **s)):
        found = [make(**settings, random_state=s).fit(X, y).oob_prediction_ for s in range(10)]
        errors.append(np.mean(np.square(np.array(found) - y)))
    assert errors[0] == pytest.approx(errors[1], rel=0.02)


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 4))  # large enough for several groups of trees
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    one, two = (RandomForestClassifier(12, max_depth=6, random_state=3, n_jobs=jobs).fit(X, y) for jobs in (None, 2))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    other = RandomForestClassifier(12, max_depth=6, random_state=4).fit(X, y)
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_out_of_bag_by_hand() -> None:
    """With two trees some samples are seen by both, and have no out-of-bag share; the score is of the others."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((40, 2)), rng.integers(0, 2, 40)
    with pytest.warns(UserWarning, match="Some inputs do not have OOB scores"):
        forest = RandomForestClassifier(2, oob_score=True, random_state=0).fit(X, y)
    share = forest.oob_decision_function_
    known = ~np.isnan(share[:, 0])
    assert 0 < known.sum() < 40
    # a full tree gives a sample that it has seen a share of 1 for its own class, so errors stem from unseen ones
    assert forest.oob_score_ == np.mean(share[known].argmax(axis=1) == y[known])
    assert forest.score(X, y) > forest.oob_score_


def test_weights_and_importances() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((300, 3))
    y = (X[:, 1] > 0).astype(int)
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    assert forest.feature_importances_.argmax() == 1
    assert forest.feature_importances_.sum() == pytest.approx(1.0)
    only = RandomForestClassifier(5, random_state=0).fit(X, y, sample_weight=y)  # class 0 weighs nothing
    assert (only.predict(X) == 1).all()
    one = RandomForestClassifier(5, random_state=0).fit(X, y, sample_weight=np.eye(300)[7])  # rarely drawn at all
    assert (one.predict(X) == y[7]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_estimators": 0}, r"'n_estimators' .* \[1, inf\)"),
        ({"bootstrap": False, "oob_score": True}, "only available if bootstrap=True"),
        ({"max_samples": 3}, r"'max_samples' .* \[1, 2\]. Got 3"),
        ({"n_jobs": 0}, "n_jobs == 0 has no meaning"),
    ],
)
def test_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomForestClassifier(**settings).fit([[0.0], [1.0]], [0, 1])
