"""Principal components: equal to scikit-learn's to 1e-6 by both roads, back to the data, and what is odd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.plugins import PCA, SimpleImputer

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
SOLVERS = ("auto", "full", "covariance_eigh")


def same(ours: PCA, theirs: Any, X: np.ndarray, rank: int) -> None:
    """All that is learnt, as far as the data have directions: beyond their rank components are arbitrary."""
    for name in ("mean_", "explained_variance_", "explained_variance_ratio_", "noise_variance_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), err_msg=name, **CLOSE)
    kept = slice(min(rank, ours.n_components_))
    for name in ("components_", "singular_values_"):
        np.testing.assert_allclose(getattr(ours, name)[kept], getattr(theirs, name)[kept], err_msg=name, **CLOSE)
    np.testing.assert_allclose(ours.transform(X)[:, kept], theirs.transform(X)[:, kept], **CLOSE)
    assert ours.n_components_ == theirs.n_components_


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("seed", range(50))
def test_random_problems(seed: int, solver: str, twin: Any) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 80)), int(rng.integers(2, 12))
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)
    settings = {"n_components": (None, 0.8, 1, 2)[seed % 4], "whiten": n > d and seed % 3 == 0}
    ours = PCA(svd_solver=solver, **settings).fit(X)
    same(ours, twin("decomposition.PCA", svd_solver="full", **settings).fit(X), X, min(n - 1, d))


@pytest.mark.parametrize("solver", SOLVERS)
def test_real_sets(solver: str, twin: Any, bundled: Any, housing: tuple[np.ndarray, np.ndarray]) -> None:
    sets = [bundled(name)[0] for name in ("iris", "wine", "breast_cancer", "diabetes")]
    for X in (*sets, SimpleImputer().fit_transform(housing[0])):
        X = X / X.std(axis=0)
        same(PCA(svd_solver=solver).fit(X), twin("decomposition.PCA", svd_solver="full").fit(X), X, X.shape[1])


def test_digits_whose_rank_is_less_than_their_pixels(twin: Any, bundled: Any) -> None:
    X, _ = bundled("digits")
    for solver in SOLVERS:
        same(PCA(20, svd_solver=solver).fit(X), twin("decomposition.PCA", n_components=20).fit(X), X, 20)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_there_and_back(solver: str, whiten: bool) -> None:
    X = np.random.default_rng(0).standard_normal((30, 4)) * [1.0, 2.0, 3.0, 4.0] + 5.0
    model = PCA(whiten=whiten, svd_solver=solver)
    Z = model.fit_transform(X)
    np.testing.assert_allclose(model.inverse_transform(Z), X, rtol=1e-12)
    if whiten:
        np.testing.assert_allclose(np.cov(Z.T), np.eye(4), atol=1e-12)
    flat = PCA(2, whiten=whiten, svd_solver=solver).fit(X)
    rest = X - flat.inverse_transform(flat.transform(X))
    assert (rest**2).sum() / 29 == pytest.approx(PCA().fit(X).explained_variance_[2:].sum())


def test_constant_data_has_no_directions() -> None:
    model = PCA().fit(np.ones((5, 3)))
    assert model.explained_variance_ratio_.tolist() == [0.0, 0.0, 0.0]
    assert np.isfinite(model.transform(np.ones((5, 3)))).all()


def test_float32_stays_and_names_count_up() -> None:
    X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    model = PCA(2).fit(X)
    assert {model.transform(X).dtype, model.components_.dtype} == {np.dtype(np.float32)}
    assert model.get_feature_names_out().tolist() == ["pca0", "pca1"]
