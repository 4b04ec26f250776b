"""Linear models: equal to scikit-learn's to 1e-6, by every solver, on real sets and random problems."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu import plugins
from tinygrad_edu.plugins import LinearRegression, LogisticRegression, Ridge, SimpleImputer, StandardScaler
from tinygrad_edu.plugins import _validation as validation
from tinygrad_edu.plugins._optimize import LBFGS, GradientDescent, Newton, minimize

SEEDS = range(50)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}  # the issue's


def random_regression(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y and weights of a shape, scale and offset that differ from seed to seed; some have more columns than rows."""
    rng = np.random.default_rng(seed)
    n, d = rng.integers(2, 60), rng.integers(1, 20)
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-2, 2, d) + rng.standard_normal(d)
    y = rng.standard_normal((n, 2) if seed % 5 == 0 else n)
    return X, y, rng.integers(0, 3, n) + (np.arange(n) == 0)


def random_labels(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, rng.integers(1, 8)))
    y = (X[:, 0] + rng.standard_normal(60)).argsort().argsort() * classes // 60
    return X, np.array(["c", "a", "b", "d"])[y], rng.uniform(0.5, 2.0, 60)


def same(ours: Any, theirs: Any, X: np.ndarray) -> None:
    np.testing.assert_allclose(ours.coef_, theirs.coef_, **CLOSE)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, **CLOSE)
    assert np.shape(ours.coef_) == np.shape(theirs.coef_)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_least_squares(seed: int, twin: Any) -> None:
    X, y, w = random_regression(seed)
    settings = {"fit_intercept": bool(seed % 3)}
    same(LinearRegression(**settings).fit(X, y), twin("linear_model.LinearRegression", **settings).fit(X, y), X)
    ours = LinearRegression(**settings).fit(X, y, sample_weight=w)
    theirs = twin("linear_model.LinearRegression", **settings).fit(X, y, sample_weight=w)
    same(ours, theirs, X)
    assert ours.rank_ == theirs.rank_
    np.testing.assert_allclose(ours.singular_, theirs.singular_, rtol=1e-6, atol=1e-9 * theirs.singular_[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_ridge(seed: int, twin: Any) -> None:
    X, y, w = random_regression(seed)
    settings = {"alpha": 10.0 ** (seed % 7 - 4), "fit_intercept": bool(seed % 3)}
    theirs = twin("linear_model.Ridge", solver="svd", **settings).fit(X, y, sample_weight=w)
    for solver in ("auto", "cholesky", "svd"):
        same(Ridge(solver=solver, **settings).fit(X, y, sample_weight=w), theirs, X)


def test_ridge_without_penalty_is_least_squares_also_where_that_is_singular() -> None:
    X = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    ridge, least = Ridge(0.0).fit(X, [1.0, 2.0, 3.0]), LinearRegression().fit(X, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(ridge.coef_, least.coef_, rtol=1e-12)
    assert least.rank_ == 1
    assert least.coef_[0] == pytest.approx(least.coef_[1])  # the shortest of all that are best


@pytest.mark.parametrize("cls", ["LinearRegression", "Ridge"])
def test_on_real_sets(cls: str, twin: Any, bundled: Any, housing: tuple[np.ndarray, np.ndarray]) -> None:
    for X, y in (bundled("diabetes"), housing):
        X = SimpleImputer(strategy="median").fit_transform(X)
        same(getattr(plugins, cls)().fit(X, y), twin(f"linear_model.{cls}").fit(X, y), X)


def test_gradient_descent_comes_to_the_same(twin: Any, bundled: Any) -> None:
    X, y = bundled("diabetes")
    ours = LinearRegression(solver="gradient", tol=1e-12, max_iter=100_000).fit(X, y)
    same(ours, twin("linear_model.LinearRegression").fit(X, y), X)
    assert 1_000 < ours.n_iter_ < 100_000
    with pytest.warns(validation.exception(validation.ConvergenceWarning), match="after 5 steps, wanted .* max_iter"):
        LinearRegression(solver="gradient", max_iter=5).fit(X, y)


def test_float32_stays(twin: Any) -> None:
    X, y, _ = random_regression(7)
    model = LinearRegression().fit(X.astype(np.float32), y)
    assert model.coef_.dtype == model.predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(X, y).coef_, rtol=1e-2)  # X has 7 digits


def test_nearly_dependent_columns_keep_their_digits(twin: Any) -> None:
    """Columns that differ by 1e-4: the normal equation alone would have eight digits less than the singular values."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 1)) + 1e-4 * rng.standard_normal((200, 3))
    beta = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(LinearRegression().fit(X, X @ beta).coef_, beta, rtol=1e-9)


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(17))
def test_logistic_regression(solver: str, classes: int, seed: int, twin: Any) -> None:
    X, y, w = random_labels(seed, classes)
    settings = {"C": 10.0 ** (seed % 4 - 1), "fit_intercept": bool(seed % 3), "tol": 1e-12, "max_iter": 10_000}
    weigh = None if seed % 2 else "balanced"
    ours = LogisticRegression(solver=solver, class_weight=weigh, **settings).fit(X, y, sample_weight=w)
    theirs = twin("linear_model.LogisticRegression", solver="newton-cholesky", class_weight=weigh, **settings)
    same_classifier(ours, theirs.fit(X, y, sample_weight=w), X)


def same_classifier(ours: Any, theirs: Any, X: np.ndarray) -> None:
    np.testing.assert_allclose(ours.coef_, theirs.coef_, **CLOSE)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, **CLOSE)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), **CLOSE)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), **CLOSE)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), **CLOSE)
    assert (ours.predict(X) == theirs.predict(X)).all()


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_logistic_regression_on_real_sets(name: str, solver: str, twin: Any, bundled: Any) -> None:
    X, y = bundled(name)
    X = StandardScaler().fit_transform(X)
    settings = {"tol": 1e-12, "max_iter": 10_000}
    ours = LogisticRegression(solver=solver, **settings).fit(X, y)
    same_classifier(ours, twin("linear_model.LogisticRegression", solver="newton-cholesky", **settings).fit(X, y), X)


def test_gradient_descent_finds_the_same_probabilities() -> None:
    X, y, _ = random_labels(3, 3)
    exact = LogisticRegression(tol=1e-12, max_iter=1000).fit(X, y)
    slow = LogisticRegression(solver="gradient", tol=1e-9, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(slow.predict_proba(X), exact.predict_proba(X), atol=1e-7)
    assert slow.n_iter_[0] > exact.n_iter_[0]
    with pytest.warns(
        validation.exception(validation.ConvergenceWarning), match=r"gradient failed to converge after 2"
    ):
        LogisticRegression(solver="gradient", max_iter=2).fit(X, y)


def test_far_from_the_boundary_probabilities_are_0_and_1_and_finite() -> None:
    model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    with np.errstate(all="raise", under="ignore"):
        assert model.predict_proba([[-1e4], [1e4]]).tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("direction", ["gradient", "newton", "lbfgs"])
def test_minimize_a_parabola(direction: str) -> None:
    H, b = np.diag([1.0, 10.0]), np.array([1.0, 1.0])
    directions = {"gradient": GradientDescent(), "newton": Newton(lambda w: H), "lbfgs": LBFGS()}
    loss = lambda w: (float(0.5 * w @ H @ w - b @ w), H @ w - b)
    w, steps = minimize(loss, np.zeros(2), directions[direction], tol=1e-10, max_iter=500)
    np.testing.assert_allclose(w, [1.0, 0.1], rtol=1e-9)
    assert 1 <= steps <= {"gradient": 300, "newton": 1, "lbfgs": 20}[direction]
    _, steps = minimize(loss, np.zeros(2), GradientDescent(), tol=1e-10, max_iter=3)
    assert steps == 4  # not reached
