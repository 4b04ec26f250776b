"""Principal components: the directions in which the data vary most, each at a right angle to the others.

The variance of the data along a unit vector u is uᵀSu with the covariance S = Σ (x - x̄)(x - x̄)ᵀ / (N - 1) (Bishop's
(12.3), there with N). Its maximum under uᵀu = 1 needs

    S u = λ u         (12.5)

so the components are S's eigenvectors and the variances λ their eigenvalues, the largest first. With the singular
values of the centred data, X - x̄ = U diag(d) Vᵀ, S is V diag(d²) Vᵀ / (N - 1): the components are the rows of Vᵀ, and
λ = d² / (N - 1).

`svd_solver`: "covariance_eigh" forms S, a D × D matrix: fast where N ≫ D. "full" takes the singular values and does not
square the data's condition: exact for small λ too. "auto" is the first where N ≥ 10 D and D ≤ 1000, else the second.

    z = V (x - x̄)       `transform`; with `whiten`, z / √λ, which has variance 1 (12.24)
    x̃ = x̄ + Vᵀ z        `inverse_transform`: the point nearest to x in the space of the components kept (12.20)

A component's sign is free; its component of largest size is made positive, so that both ways agree.

Symbols: X (N, D), V (C, D) for C components.

Source: C. Bishop, Pattern Recognition and Machine Learning, 2006, section 12.1.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import BaseEstimator, NamedByClass


class PCA(NamedByClass, BaseEstimator):
    """Principal components: `components_` (C, D), `explained_variance_` (λ) and `explained_variance_ratio_` (C,).

    `n_components`: how many, all by default (min(N, D)); a fraction keeps as many as explain that share of the
    variance. Learns `mean_`, `singular_values_` (d), `noise_variance_` (the mean λ of those left out) and
    `n_components_` too.

    >>> PCA(1).fit([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]]).components_.round(4).tolist()
    [[0.7071, 0.7071]]
    """

    def __init__(
        self, n_components: int | float | None = None, *, whiten: bool = False, svd_solver: str = "auto"
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.svd_solver = svd_solver

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X (N, D), N ≥ 2."""
        self._check_choice("svd_solver", ("auto", "covariance_eigh", "full"))
        X = self._fit_input(X, min_samples=2)
        N, D = X.shape
        self._check_components(min(N, D))
        solver = self.svd_solver
        if solver == "auto":
            solver = "covariance_eigh" if N >= 10 * D and D <= 1000 else "full"
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        variances, V = (_by_covariance if solver == "covariance_eigh" else _by_svd)(X, self.mean_)
        variances, V = variances[: min(N, D)], V[: min(N, D)]
        V *= np.sign(np.take_along_axis(V, np.abs(V).argmax(axis=1)[:, None], axis=1))

        total = variances.sum()
        ratios = variances / total if total > 0.0 else np.zeros_like(variances)
        count = self._count(ratios)
        self.n_samples_, self.n_components_ = N, count
        self.mean_ = self.mean_.astype(X.dtype)
        self.components_ = V[:count].astype(X.dtype)
        self.explained_variance_ = variances[:count].astype(X.dtype)
        self.explained_variance_ratio_ = ratios[:count].astype(X.dtype)
        self.singular_values_ = np.sqrt(variances[:count] * (N - 1)).astype(X.dtype)
        self.noise_variance_ = float(variances[count:].mean()) if count < len(variances) else 0.0
        self._n_columns_out = count
        return self

    def _transform(self, X: np.ndarray) -> np.ndarray:
        V = self.components_.astype(X.dtype)
        z = X @ V.T - V @ self.mean_.astype(X.dtype)  # V x - V x̄: the smaller array to subtract from
        return z / self._scales().astype(X.dtype) if self.whiten else z

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The points (N, D) that lie where `transform` gives X (N, C)."""
        self._check_fitted()
        z = np.asarray(X)
        if self.whiten:
            z = z * self._scales()
        return z @ self.components_ + self.mean_

    def _scales(self) -> np.ndarray:
        """√λ, but no smaller than rounding: a direction without variance has nothing that could be made 1."""
        scales = np.sqrt(self.explained_variance_)
        return np.maximum(scales, np.finfo(scales.dtype).eps)

    def _check_components(self, most: int) -> None:
        n = self.n_components
        if n is None or (isinstance(n, float) and 0.0 < n < 1.0):
            return
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= most:
            raise ValueError(
                f"n_components={n!r} must be an int between 1 and min(n_samples, n_features)={most}, a float between "
                "0 and 1 (excluded), or None"
            )

    def _count(self, ratios: np.ndarray) -> int:
        if self.n_components is None:
            return len(ratios)
        if isinstance(self.n_components, float):
            return min(len(ratios), int(np.searchsorted(np.cumsum(ratios), self.n_components, side="right")) + 1)
        return int(self.n_components)


def _by_covariance(X: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ (D,) and the components (D, D) as the covariance's eigenvectors (12.5)."""
    centred = X - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred / (len(X) - 1))
    return variances[::-1].clip(0.0), vectors.T[::-1].copy()  # rounding may give a λ of 0 a sign


def _by_svd(X: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ (min(N, D),) and the components (min(N, D), D) from the singular values of the centred data."""
    _, d, Vt = np.linalg.svd(X - mean, full_matrices=False)
    return d**2 / (len(X) - 1), Vt
