"""The scores: equal to scikit-learn's on random predictions, weighted or not, and in the special cases."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import _validation as validation
from tinygrad_edu.plugins import metrics

Needs = Callable[[str], ModuleType]
SEEDS = range(20)


@pytest.fixture
def theirs(needs: Needs) -> ModuleType:
    return needs("sklearn.metrics")


@pytest.mark.parametrize("seed", SEEDS)
def test_regression(seed: int, theirs: ModuleType) -> None:
    rng = np.random.default_rng(seed)
    shape = (12, 3) if seed % 2 else (12,)
    true, predicted, w = rng.standard_normal(shape), rng.standard_normal(shape), rng.uniform(0.0, 2.0, 12)
    if seed % 4 == 1:
        true[:, 0] = predicted[:, 0] = 2.0  # no variance, and right
        true[:, 1] = 3.0  # no variance, and wrong
    for name in ("mean_squared_error", "r2_score"):
        for settings in ({}, {"sample_weight": w}, {"multioutput": "raw_values"}):
            expected = getattr(theirs, name)(true, predicted, **settings)
            np.testing.assert_allclose(getattr(metrics, name)(true, predicted, **settings), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("average", ["binary", "macro", "micro", "weighted", None])
def test_classification(seed: int, average: str | None, theirs: ModuleType) -> None:
    rng = np.random.default_rng(seed)
    K = 2 if average == "binary" else 4
    true, predicted, w = rng.integers(K, size=9), rng.integers(K, size=9), rng.uniform(0.0, 2.0, 9)
    for weights in (None, w):
        for name in ("precision_score", "recall_score", "f1_score"):
            settings = {"average": average, "sample_weight": weights, "zero_division": seed % 2}
            expected = getattr(theirs, name)(true, predicted, **settings)
            np.testing.assert_allclose(getattr(metrics, name)(true, predicted, **settings), expected, rtol=1e-12)
            if average != "binary":
                settings["labels"] = [2, 0, 7]
                expected = getattr(theirs, name)(true, predicted, **settings)
                np.testing.assert_allclose(getattr(metrics, name)(true, predicted, **settings), expected, rtol=1e-12)
        for normalize in (True, False):
            expected = theirs.accuracy_score(true, predicted, sample_weight=weights, normalize=normalize)
            ours = metrics.accuracy_score(true, predicted, sample_weight=weights, normalize=normalize)
            assert ours == pytest.approx(expected)


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("labels", [None, ["c", "a"], ["a", "b", "c", "z"]])
@pytest.mark.parametrize("weighted", [False, True])
def test_confusion_matrix(normalize: str | None, labels: Any, weighted: bool, theirs: ModuleType) -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.choice(list("abc"), 15), rng.choice(list("abc"), 15)
    settings = {"normalize": normalize, "labels": labels, "sample_weight": rng.uniform(size=15) if weighted else None}
    ours, expected = (module.confusion_matrix(true, predicted, **settings) for module in (metrics, theirs))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    assert ours.dtype.kind == expected.dtype.kind


@pytest.mark.parametrize("seed", SEEDS)
def test_roc_auc(seed: int, theirs: ModuleType) -> None:
    rng = np.random.default_rng(seed)
    scores, w = rng.integers(5, size=30) / 4.0, rng.uniform(0.1, 2.0, 30)  # many ties
    true = np.array(["no", "yes"])[(rng.random(30) < 0.4).astype(int)]
    for weights in (None, w):
        expected = theirs.roc_auc_score(true, scores, sample_weight=weights)
        assert metrics.roc_auc_score(true, scores, sample_weight=weights) == pytest.approx(expected, rel=1e-12)
    labels, shares = rng.permutation(30) % 3, rng.dirichlet(np.ones(3), 30)
    for settings in ({"multi_class": "ovr"}, {"multi_class": "ovo"}, {"multi_class": "ovr", "average": None}):
        for average in ({}, {"average": "weighted"}):
            settings = {**average, **settings}
            expected = theirs.roc_auc_score(labels, shares, **settings)
            np.testing.assert_allclose(metrics.roc_auc_score(labels, shares, **settings), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_clustering(seed: int, theirs: ModuleType) -> None:
    rng = np.random.default_rng(seed)
    X, labels, others = rng.standard_normal((40, 3)), rng.integers(4, size=40), rng.integers(5, size=40)
    labels[0] = 9  # alone in its cluster
    X[1] = X[2]  # a distance of 0, of which rounding makes the root of 1e-16 in both
    expected = theirs.silhouette_score(X, labels)
    assert metrics.silhouette_score(X + 100.0, labels) == pytest.approx(expected, abs=1e-7)
    for pair in ((labels, others), (labels, labels), (labels, np.zeros(40)), (np.arange(40), np.arange(40))):
        assert metrics.adjusted_rand_score(*pair) == pytest.approx(theirs.adjusted_rand_score(*pair), abs=1e-12)


def test_silhouette_in_more_than_one_block(theirs: ModuleType) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=1500)
    X = rng.standard_normal((1500, 2)) + 2.0 * labels[:, None]
    assert metrics.silhouette_score(X, labels) == pytest.approx(theirs.silhouette_score(X, labels), rel=1e-9)


def test_what_is_undefined_is_said() -> None:
    undefined = validation.exception(metrics.UndefinedMetricWarning)
    with pytest.warns(undefined, match="precision is ill-defined and being set to 0.0"):
        assert metrics.precision_score([0, 1], [0, 0]) == 0.0
    with pytest.warns(undefined, match="less than two samples"):
        assert np.isnan(metrics.r2_score([1.0], [1.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy_score([0, 1], [0]), r"inconsistent numbers of samples: \[2, 1\]"),
        (lambda: metrics.accuracy_score([], []), "Found empty input array"),
        (lambda: metrics.mean_squared_error([], []), r"0 sample\(s\)"),
        (lambda: metrics.mean_squared_error([1.0, np.nan], [1.0, 2.0]), "Input y contains NaN"),
        (lambda: metrics.r2_score([1.0, 2.0], [[1.0, 2.0], [1.0, 2.0]]), r"different number of output \(1!=2\)"),
        (lambda: metrics.r2_score([1.0, 2.0], [1.0, 2.0], multioutput="all"), "multioutput must be"),
        (lambda: metrics.f1_score([0, 1, 2], [0, 1, 1]), "Target is multiclass but average='binary'"),
        (
            lambda: metrics.f1_score(["a", "b"], ["a", "a"]),
            r"pos_label=1 is not a valid label: It should be one of \['a",
        ),
        (lambda: metrics.f1_score([0, 1], [0, 1], average="mean"), "average must be"),
        (lambda: metrics.confusion_matrix([0], [0], labels=[7]), "At least one label specified must be in y_true"),
        (lambda: metrics.confusion_matrix([0], [0], normalize="rows"), "normalize must be one of"),
        (lambda: metrics.roc_auc_score([1, 1], [0.1, 0.2]), "needs two classes, and y_true has 1"),
        (lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3)), r"multi_class must be in \('ovo', 'ovr'\)"),
        (lambda: metrics.roc_auc_score([0, 1, 2], np.ones((3, 3)), multi_class="ovr"), "sum up to 1.0"),
        (lambda: metrics.roc_auc_score([0, 1, 1], np.eye(3), multi_class="ovr"), r"\(2\) not equal to the number of"),
        (lambda: metrics.silhouette_score([[0.0], [1.0]], [0, 0]), "Number of labels is 1. Valid values are 2 to"),
        (lambda: metrics.adjusted_rand_score([0, 1], [0]), "inconsistent numbers of samples"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
