"""Gaussian naive Bayes: scikit-learn's, at once and in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import GaussianNB

CLOSE = {"rtol": 1e-6, "atol": 1e-9}  # the issue's


@pytest.mark.parametrize("seed", range(50))
def test_as_scikit_learn(seed: int, twin: Any) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(4, 80)), int(rng.integers(1, 8))
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-1, 1, d) + rng.uniform(-5, 5)
    y = np.array(["b", "a", "c"])[np.concatenate([[0, 1, 2], rng.integers(0, 3, n - 3)])]
    w = rng.uniform(0.5, 2.0, n) if seed % 2 else None
    settings = {"priors": [0.2, 0.3, 0.5]} if seed % 3 == 0 else {"var_smoothing": 1e-3}
    ours, theirs = GaussianNB(**settings).fit(X, y, w), twin("naive_bayes.GaussianNB", **settings).fit(X, y, w)
    for name in ("theta_", "var_", "class_prior_", "class_count_", "epsilon_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), **CLOSE, err_msg=name)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), **CLOSE)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), **CLOSE)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_real_sets(name: str, bundled: Any, twin: Any) -> None:
    X, y = bundled(name)
    ours, theirs = GaussianNB().fit(X, y), twin("naive_bayes.GaussianNB").fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), **CLOSE)


def test_in_parts(bundled: Any, twin: Any) -> None:
    X, y = bundled("wine")
    shuffled = np.random.default_rng(0).permutation(len(X))
    X, y = X[shuffled], y[shuffled]
    # without smoothing: what each part adds of it scikit-learn takes off again by the next part's amount
    ours, theirs = GaussianNB(var_smoothing=0.0), twin("naive_bayes.GaussianNB", var_smoothing=0.0)
    for part in np.array_split(np.arange(len(X)), 5):
        for model in (ours, theirs):
            model.partial_fit(X[part], y[part], classes=[0, 1, 2])
        np.testing.assert_allclose(ours.theta_, theirs.theta_, **CLOSE)
        np.testing.assert_allclose(ours.var_, theirs.var_, **CLOSE)
    whole = GaussianNB().fit(X, y)
    np.testing.assert_allclose(ours.theta_, whole.theta_)


def test_far_away_nothing_underflows() -> None:
    model = GaussianNB().fit([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])
    probability = model.predict_proba([[1e6], [-1e6]])
    np.testing.assert_allclose(probability, [[0.0, 1.0], [1.0, 0.0]])


def test_bad_input() -> None:
    X, y = [[0.0], [1.0]], [0, 1]
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        GaussianNB().partial_fit(X, y)
    with pytest.raises(ValueError, match="do not exist in"):
        GaussianNB().partial_fit(X, y, classes=[1, 2])
    with pytest.raises(ValueError, match="Number of priors must match"):
        GaussianNB(priors=[1.0]).fit(X, y)
    with pytest.raises(ValueError, match="sum of the priors should be 1"):
        GaussianNB(priors=[0.5, 0.6]).fit(X, y)
    with pytest.raises(ValueError, match="must be non-negative"):
        GaussianNB(priors=[1.5, -0.5]).fit(X, y)
