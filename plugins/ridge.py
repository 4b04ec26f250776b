"""Ridge regression: least squares that pays for large coefficients.

β minimises ‖y - Xβ‖² + α‖β‖² (3.41), on centred data so that the intercept is free of charge. Its minimum:

    β = (XᵀX + αI)⁻¹ Xᵀy                                    (3.44)

With X = U D Vᵀ the fit is Xβ = Σ u_j d_j² / (d_j² + α) u_jᵀy (3.47): a direction in which the data vary little (small
d_j) is shrunk most. It is what least squares can't settle well there, and αI makes the equation solvable where XᵀX is
singular.

`solver="cholesky"` solves (3.44) (the name is scikit-learn's; NumPy solves by LU), or where rows are fewer than columns
the smaller system of the equal β = Xᵀ (XXᵀ + αI)⁻¹ y.
`solver="svd"` takes the singular values of (3.47): slower, and exact to the last digits for small α too. "auto" takes
"cholesky" where α is no less than 1e-10 of the largest eigenvalue of XᵀX, else "svd".

Symbols: X (N, D), y (N,) or (N, targets), β (D,) or (D, targets), α `alpha`.

Source: T. Hastie, R. Tibshirani, J. Friedman, The Elements of Statistical Learning, 2nd edition, 2009, section 3.4.1.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import BaseEstimator, RegressorMixin
from tinygrad_edu.plugins._linear import LinearPredictor, centre
from tinygrad_edu.plugins.linear_regression import solve_refined

SMALL = 1e-10  # α against XᵀX's largest eigenvalue (or its trace, a bound): below, (3.44) may be singular to rounding


class Ridge(LinearPredictor, RegressorMixin, BaseEstimator):
    """Least squares with an L2 penalty, `coef_` and `intercept_`.

    >>> Ridge(alpha=1.0, fit_intercept=False).fit([[1.0], [1.0]], [3.0, 3.0]).coef_.round(12).tolist()
    [2.0]
    """

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True, solver: str = "auto") -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (N, D) and y (N,) or (N, targets)."""
        alpha = float(self._check_number("alpha", 0.0))
        self._check_choice("solver", ("auto", "cholesky", "svd"))
        X = self._fit_input(X)
        y = self._fit_targets(y, X, several=True)
        w = None if sample_weight is None else self._weights(sample_weight, X)
        data = centre(X, y, w, self.fit_intercept)
        svd = self.solver == "svd" or (self.solver == "auto" and alpha <= SMALL * np.einsum("nd,nd->", data.X, data.X))
        self._keep((_by_svd if svd else _by_cholesky)(data.X, data.y, alpha), data, X.dtype)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _by_cholesky(X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    rows, columns = X.shape
    if rows < columns:
        return X.T @ np.linalg.solve(X @ X.T + alpha * np.eye(rows), y)
    return solve_refined(X.T @ X + alpha * np.eye(columns), X, y, alpha)


def _by_svd(X: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    U, d, Vt = np.linalg.svd(X, full_matrices=False)
    nonzero = d > np.finfo(d.dtype).eps * max(X.shape) * d.max(initial=0.0)  # with α = 0 the others would blow up
    shrunk = np.divide(d, d * d + alpha, out=np.zeros_like(d), where=nonzero)
    return Vt.T @ (shrunk * (U.T @ y).T).T
