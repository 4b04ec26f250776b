"""Decision trees: scikit-learn's, node by node, where no two cuts are equally good; pruned, in words and drawn."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_edu.plugins import DecisionTreeClassifier, DecisionTreeRegressor
from tinygrad_edu.plugins.tree_drawing import tree_svg, tree_text

SEEDS = range(50)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}  # float64 throughout; only the order of the sums differs


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X, numbers, three classes, and weights: no two cuts are equally good."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 300))
    X = rng.standard_normal((n, rng.integers(1, 7)))
    z = X[:, 0] * X[:, -1] + X[:, 0] + 0.5 * rng.standard_normal(n)
    return X, z, np.digitize(z, [-0.5, 0.7]), rng.integers(512, 2048, n) / 1024  # exact sums: pure is pure


def same(ours: Any, theirs: Any, X: np.ndarray) -> None:
    tree, twin = ours.tree_, theirs.tree_
    np.testing.assert_array_equal(np.where(tree.feature < 0, -2, tree.feature), twin.feature)  # -2 is their leaf
    inner = tree.feature >= 0
    np.testing.assert_array_equal(tree.threshold[inner], twin.threshold[inner])
    np.testing.assert_array_equal(tree.children[inner, 0], twin.children_left[inner])
    np.testing.assert_array_equal(tree.count, twin.n_node_samples)
    np.testing.assert_allclose(tree.weight, twin.weighted_n_node_samples, **CLOSE)
    np.testing.assert_allclose(tree.impurity, twin.impurity, **CLOSE)
    np.testing.assert_allclose(tree.value, twin.value[:, 0], **CLOSE)
    np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, **CLOSE)
    assert (ours.get_depth(), ours.get_n_leaves()) == (theirs.get_depth(), theirs.get_n_leaves())


@pytest.mark.parametrize("seed", SEEDS)
def test_as_scikit_learn(seed: int, twin: Any) -> None:
    X, z, y, w = problem(seed)
    # leaves of several samples: two samples can be told apart by any feature, equally well
    limits = [{"max_depth": 4}, {"min_samples_split": 0.2}, {"min_impurity_decrease": 0.02}, {"ccp_alpha": 0.01}]
    limits += [{"min_weight_fraction_leaf": 0.13}]
    settings = {"min_samples_leaf": 8, **limits[seed % 5]}
    new = np.random.default_rng(seed + 1000).standard_normal((40, X.shape[1])) * 2
    for weight in (None, w):
        theirs = twin("tree.DecisionTreeRegressor", **settings).fit(X, z, weight)
        same(DecisionTreeRegressor(**settings).fit(X, z, weight), theirs, np.vstack([X, new]))
    for criterion in ("gini", "entropy"):
        theirs = twin("tree.DecisionTreeClassifier", criterion=criterion, **settings).fit(X, y, w)
        ours = DecisionTreeClassifier(criterion=criterion, **settings).fit(X, y, w)
        same(ours, theirs, np.vstack([X, new]))
        np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), **CLOSE)
        np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most", [2, 5, 1000])
def test_the_first_leaves(seed: int, most: int, twin: Any) -> None:
    """scikit-learn grows them best first, and numbers them as they come: the same leaves in another order."""
    X, z, _, w = problem(seed)
    settings = {"min_samples_leaf": 8, "max_leaf_nodes": most}
    ours, theirs = (
        make(**settings).fit(X, z, w)
        for make in (DecisionTreeRegressor, lambda **s: twin("tree.DecisionTreeRegressor", **s))
    )
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), **CLOSE)
    np.testing.assert_allclose(np.sort(ours.tree_.impurity), np.sort(theirs.tree_.impurity), **CLOSE)
    assert (ours.get_depth(), ours.get_n_leaves()) == (theirs.get_depth(), theirs.get_n_leaves())
    assert ours.get_n_leaves() <= most


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("class_weight", ["balanced", {0: 4.0, 2: 0.5}])
def test_weights_of_classes(seed: int, class_weight: Any, twin: Any) -> None:
    X, _, y, w = problem(seed)
    settings = {"min_samples_leaf": 8, "class_weight": class_weight}
    ours, theirs = (
        make(**settings).fit(X, y, w)
        for make in (DecisionTreeClassifier, lambda **s: twin("tree.DecisionTreeClassifier", **s))
    )
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), **CLOSE)
    assert not np.allclose(
        ours.predict_proba(X), DecisionTreeClassifier(min_samples_leaf=8).fit(X, y, w).predict_proba(X)
    )


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_real_classes(name: str, bundled: Any, twin: Any) -> None:
    """Where scikit-learn's lot falls the same way three times, ours is that tree; in any case as good."""
    X, y = bundled(name)
    ours = DecisionTreeClassifier(max_depth=4).fit(X[::2], y[::2])
    theirs = [twin("tree.DecisionTreeClassifier", max_depth=4, random_state=s).fit(X[::2], y[::2]) for s in range(10)]
    shares = [tree.predict_proba(X[::2]) for tree in theirs]
    if all(np.array_equal(share, shares[0]) for share in shares):
        np.testing.assert_allclose(ours.predict_proba(X[::2]), shares[0], **CLOSE)
    assert ours.score(X[::2], y[::2]) >= np.mean([tree.score(X[::2], y[::2]) for tree in theirs]) - 0.01
    full = DecisionTreeClassifier().fit(X[::2], y[::2])
    assert full.score(X[::2], y[::2]) == 1.0  # no two of their rows are equal and of different classes


def test_real_numbers(bundled: Any, housing: tuple[np.ndarray, np.ndarray], twin: Any) -> None:
    for X, y in (bundled("diabetes"), housing):
        known = ~np.isnan(X).any(axis=1)
        X, y = X[known], y[known]
        ours, theirs = (
            DecisionTreeRegressor(max_depth=5),
            twin("tree.DecisionTreeRegressor", max_depth=5, random_state=0),
        )
        np.testing.assert_allclose(ours.fit(X, y).predict(X), theirs.fit(X, y).predict(X), rtol=1e-6)


def test_grown_until_pure(twin: Any) -> None:
    """Of one feature there is nothing to draw by lot: the whole tree is scikit-learn's, and knows its samples."""
    X, z, _, _ = problem(4)
    ours, theirs = DecisionTreeRegressor().fit(X[:, :1], z), twin("tree.DecisionTreeRegressor").fit(X[:, :1], z)
    same(ours, theirs, X[:, :1])
    np.testing.assert_allclose(ours.predict(X[:, :1]), z)


def test_by_hand() -> None:
    """Six samples, two classes: H = 1/2; x <= 2.5 leaves parts of 0 and 3/8 - so 1/2 - 4/6 * 3/8 = 1/4 is gained."""
    tree = DecisionTreeClassifier(max_depth=1).fit([[1], [2], [3], [4], [5], [6]], list("aababb"))
    assert tree.tree_.threshold[0] == 2.5
    np.testing.assert_allclose(tree.tree_.impurity, [0.5, 0.0, 0.375])
    np.testing.assert_allclose(tree.predict_proba([[2.5], [2.6]]), [[1.0, 0.0], [0.25, 0.75]])
    bits = DecisionTreeClassifier(criterion="entropy", max_depth=1).fit([[0], [1], [2], [3]], [0, 1, 2, 3])
    np.testing.assert_allclose(bits.tree_.impurity, [2.0, 1.0, 1.0])


@pytest.mark.parametrize("seed", range(5))
def test_pruning_path(seed: int, twin: Any) -> None:
    X, _, y, w = problem(seed)
    settings = {"min_samples_leaf": 5}
    theirs = twin("tree.DecisionTreeClassifier", **settings).cost_complexity_pruning_path(X, y, w)
    ours = DecisionTreeClassifier(**settings).cost_complexity_pruning_path(X, y, w)
    np.testing.assert_allclose(ours.ccp_alphas, theirs.ccp_alphas, atol=1e-12)
    np.testing.assert_allclose(ours.impurities, theirs.impurities, atol=1e-12)
    assert DecisionTreeClassifier(ccp_alpha=1.0, **settings).fit(X, y).get_n_leaves() == 1


def test_in_words(bundled: Any, needs: Callable[[str], ModuleType], twin: Any) -> None:
    X, y = bundled("diabetes")
    settings = {"max_depth": 3}
    theirs = twin("tree.DecisionTreeRegressor", **settings).fit(X, y)
    ours = DecisionTreeRegressor(**settings).fit(X, y)
    assert tree_text(ours) == needs("sklearn.tree").export_text(theirs)
    with pytest.raises(ValueError, match="feature_names must contain 10 elements, got 1"):
        tree_text(ours, feature_names=["one"])


def test_drawn() -> None:
    tree = DecisionTreeClassifier().fit([[1.0], [3.0], [5.0]], ["<cat>", "dog", "<cat>"])
    picture = ElementTree.fromstring(tree_svg(tree, feature_names=["weight & size"]))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "weight & size ≤ 2.00"
    assert texts[2:4] == ["class: <cat>", "1 samples, impurity 0.00"]
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}line"))) == 4  # from 2 inner nodes to their children


def test_odd_data() -> None:
    """Constant columns, repeated rows, values that float32 can't tell apart, one class: a leaf, and no error."""
    for X in (np.ones((4, 2)), [[1.0], [1.0 + 1e-9], [1.0], [1.0 + 1e-9]]):
        tree = DecisionTreeClassifier().fit(X, [0, 1, 1, 1])
        assert tree.get_n_leaves() == 1
        np.testing.assert_allclose(tree.predict_proba(X), [[0.25, 0.75]] * 4)
    assert DecisionTreeClassifier().fit([[1.0], [2.0]], ["a", "a"]).predict([[9.0]]).tolist() == ["a"]
    assert DecisionTreeRegressor().fit([[1.0], [2.0]], [0.1, 0.1]).get_depth() == 0
    assert DecisionTreeRegressor().fit([[1.0]], [7.0]).predict([[0.0]]).tolist() == [7.0]
    huge = DecisionTreeRegressor().fit([[-3e38], [3e38]], [0.0, 1.0])  # half-way, though their difference overflows
    assert huge.tree_.threshold[0] == 0.0


def test_drawn_features_reach_the_only_one_of_use() -> None:
    X = np.zeros((20, 30))
    X[:, 17] = np.arange(20)
    tree = DecisionTreeRegressor(max_features=1, random_state=0).fit(X, np.arange(20.0))
    assert tree.get_n_leaves() == 20
    assert set(tree.tree_.feature) == {-1, 17}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_depth": 0}, r"'max_depth' parameter of DecisionTreeClassifier must be an int in the range \[1, inf\)"),
        ({"min_samples_split": 1}, r"'min_samples_split' .* \[2, inf\). Got 1"),
        ({"min_samples_leaf": 0.0}, r"'min_samples_leaf' .* \(0.0, 1.0\]"),
        ({"max_features": "all"}, "'max_features' .* one of 'sqrt', 'log2', None"),
        ({"criterion": "error"}, "'criterion' .* one of 'gini', 'entropy', 'log_loss'"),
        ({"max_leaf_nodes": 1}, r"'max_leaf_nodes' .* \[2, inf\). Got 1"),
        ({"min_weight_fraction_leaf": 0.6}, r"'min_weight_fraction_leaf' .* \[0.0, 0.5\]"),
        ({"class_weight": {7: 1.0}}, r"names \[7\]"),
        ({"ccp_alpha": -1.0}, r"'ccp_alpha' .* \[0.0, inf\)"),
    ],
)
def test_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecisionTreeClassifier(**settings).fit([[0.0], [1.0]], [0, 1])
