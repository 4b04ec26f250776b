"""Support vector machines: scikit-learn's (LIBSVM's, LIBLINEAR's), and the conditions of their optimum themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import SVC, LinearSVC, StandardScaler
from tinygrad_edu.plugins._kernels import Kernel

# LIBSVM keeps its kernel in float32, ε = 6e-8, and its decision is a sum of C-sized multiples of that
LIBSVM = {"rtol": 1e-5, "atol": 2e-5}


def problem(seed: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((int(rng.integers(20, 90)), int(rng.integers(1, 6))))
    z = np.sin(2 * X[:, 0]) + 0.5 * rng.standard_normal(len(X))
    return X, z.argsort().argsort() * classes // len(X), rng.uniform(0.5, 2.0, len(X))


@pytest.mark.parametrize("seed", range(50))
def test_as_libsvm(seed: int, twin: Any) -> None:
    X, y, w = problem(seed, 2 + seed % 3)
    settings = {"kernel": ("linear", "rbf", "poly", "sigmoid")[seed % 4], "C": (0.1, 1.0, 10.0)[seed % 3], "tol": 1e-10}
    if settings["kernel"] == "linear":
        settings |= {"C": min(settings["C"], 1.0)}  # SMO takes very many steps where few directions share many samples
    if settings["kernel"] == "sigmoid":
        settings |= {"gamma": 0.05}  # small enough that its kernel matrix is nearly positive definite
    if seed % 5 == 0:
        settings |= {"decision_function_shape": "ovo"}
    ours = SVC(**settings).fit(X, y, w)
    theirs = twin("svm.SVC", **settings).fit(X, y, w)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), **LIBSVM)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum(seed: int) -> None:
    """What no solution but the optimum meets: margins of at least 1 at α = 0, exactly 1 between, at most 1 at α = C."""
    X, y, w = problem(seed)
    model = SVC(tol=1e-10, C=2.0).fit(X, y, w)
    alpha = np.zeros(len(X))
    alpha[model.support_] = np.abs(model.dual_coef_[0])
    margin = np.where(y == 1, 1, -1) * model.decision_function(X)
    bound = 2.0 * w
    close = 1e-8  # the tolerance, and rounding of sums of 90 terms
    assert (margin[alpha == 0] >= 1 - close).all()
    assert (margin[alpha == bound] <= 1 + close).all()
    np.testing.assert_allclose(margin[(alpha > 0) & (alpha < bound)], 1.0, atol=close)
    assert model.dual_coef_.sum() == pytest.approx(0.0, abs=close)
    assert ((alpha >= 0) & (alpha <= bound)).all()


def test_learned_attributes(bundled: Any, twin: Any) -> None:
    X, y = bundled("wine")
    X = StandardScaler().fit_transform(X)
    ours, theirs = SVC(kernel="linear", tol=1e-10).fit(X, y), twin("svm.SVC", kernel="linear", tol=1e-10).fit(X, y)
    np.testing.assert_array_equal(ours.support_, theirs.support_)
    np.testing.assert_array_equal(ours.n_support_, theirs.n_support_)
    for name in ("support_vectors_", "dual_coef_", "intercept_", "coef_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-5, err_msg=name)
    with pytest.raises(AttributeError, match="only available when using a linear kernel"):
        SVC().fit(X, y).coef_  # noqa: B018
    binary = y < 2
    ours, theirs = (make.fit(X[binary], y[binary]) for make in (SVC(tol=1e-10), twin("svm.SVC", tol=1e-10)))
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5)
    np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, atol=1e-5)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_real_sets(name: str, bundled: Any, twin: Any) -> None:
    X, y = (part[:600] for part in bundled(name))
    X = StandardScaler().fit_transform(X)
    ours, theirs = (make.fit(X[::2], y[::2]) for make in (SVC(tol=1e-10), twin("svm.SVC", tol=1e-10)))
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), **LIBSVM)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_not_far_from_a_circle() -> None:
    """No line parts a disc from the ring around it; rbf and the polynomial of degree 2 do."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 2))
    y = (np.square(X).sum(axis=1) > 1.4).astype(int)
    assert SVC(kernel="linear").fit(X, y).score(X, y) < 0.75
    assert SVC(C=100.0).fit(X, y).score(X, y) > 0.97
    assert SVC(kernel="poly", degree=2, C=100.0).fit(X, y).score(X, y) > 0.97


def test_a_matrix_too_large_to_keep() -> None:
    """Rows are computed again when the cache holds but a few: the same solution."""
    X, y, _ = problem(3)
    whole, part = (SVC(tol=1e-10, cache_size=megabytes).fit(X, y) for megabytes in (200, 0.001))
    np.testing.assert_allclose(whole.decision_function(X), part.decision_function(X), atol=1e-8)


@pytest.mark.parametrize("name", ["linear", "poly", "rbf", "sigmoid"])
def test_rows_of_a_kernel(name: str) -> None:
    X = np.random.default_rng(0).standard_normal((6, 3))
    kernel = Kernel(name, 0.5, 3, 0.2)
    row = kernel.rows(X, 1e-9)
    np.testing.assert_allclose([row(i) for i in range(6)], kernel(X, X), rtol=1e-12)
    np.testing.assert_allclose(kernel.diagonal(X), kernel(X, X).diagonal(), rtol=1e-12)


@pytest.mark.parametrize("seed", range(50))
def test_linear(seed: int, twin: Any) -> None:
    X, y, w = problem(seed, 2 + seed % 3)
    settings = {"C": (0.1, 1.0, 10.0)[seed % 3], "fit_intercept": bool(seed % 4), "tol": 1e-12}
    ours = LinearSVC(**settings).fit(X, y, w)
    theirs = twin("svm.LinearSVC", dual=False, **settings).fit(X, y, w)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])  # LIBLINEAR takes 20 s for digits at this tolerance
def test_linear_on_real_sets(name: str, bundled: Any, twin: Any) -> None:
    X, y = bundled(name)
    X = StandardScaler().fit_transform(X)
    ours = LinearSVC(tol=1e-12).fit(X, y)
    theirs = twin("svm.LinearSVC", dual=False, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-6)


def test_bad_input() -> None:
    X = [[0.0], [1.0], [2.0]]
    for model in (SVC(), LinearSVC()):
        with pytest.raises(ValueError, match=r"at least 2 classes .* only one class: .*5"):
            model.fit(X, [5, 5, 5])
    with pytest.raises(ValueError, match="all samples of one have a sample_weight of 0"):
        SVC().fit(X, [0, 1, 1], sample_weight=[0, 1, 1])
    with pytest.raises(ValueError, match=r"'kernel' .* one of 'linear', 'poly', 'rbf', 'sigmoid'"):
        SVC(kernel="cosine").fit(X, [0, 1, 1])
    with pytest.raises(ValueError, match=r"'C' .* \(0.0, inf\)"):
        LinearSVC(C=0.0).fit(X, [0, 1, 1])
    with pytest.warns(UserWarning, match="Solver terminated early"):
        SVC(max_iter=1).fit(*problem(0)[:2])
    with pytest.warns(UserWarning, match="LinearSVC failed to converge"):
        LinearSVC(max_iter=1, tol=1e-12).fit([[0.0], [1.0], [2.0], [99.0]], [0, 0, 1, 1])
    same = SVC().fit([[1.0], [1.0], [1.0]], [0, 1, 1])  # nothing to tell them apart by: the larger class
    assert same.predict([[1.0]]).tolist() == [1]
