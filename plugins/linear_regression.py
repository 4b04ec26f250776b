"""Least squares: the line, plane or hyperplane with the smallest sum of squared vertical distances.

The model is ŷ = b + x·β; β minimises RSS(β) = ‖y - Xβ‖² on centred data, which takes b out (see `_linear.py`). It is a
parabola in β, so that one equation gives its minimum:

    ∂RSS/∂β = -2 Xᵀ(y - Xβ) = 0                  (3.4)
    XᵀX β = Xᵀy        the normal equation       (3.5)
    β = (XᵀX)⁻¹ Xᵀy                              (3.6)

`solver="normal"` solves (3.5). XᵀX has the square of X's condition number, which loses digits; a second solution for
the residuals of the first gives them back (iterative refinement). Where columns depend on each other XᵀX is singular
and many β are best: then β is the shortest of them, X⁺y, with the pseudo-inverse from X's singular values. Singular
values below `tol` times the largest count as 0.

`solver="gradient"` walks down (3.4) instead, β ← β + η Xᵀ(y - Xβ), with the step η = 1 / λ for the largest eigenvalue λ
of XᵀX: the longest with which no direction overshoots. Columns are scaled to one length first, since the walk takes
about λ_max / λ_min steps.

Symbols: X (N, D), y (N,) or (N, targets), β (D,) or (D, targets).

Source: T. Hastie, R. Tibshirani, J. Friedman, The Elements of Statistical Learning, 2nd edition, 2009, section 3.2;
the refinement from Å. Björck, Numerical Methods for Least Squares Problems, 1996, section 2.9.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, RegressorMixin
from tinygrad_edu.plugins._linear import LinearPredictor, centre

SAFE = 1e-5  # least ratio of singular values for (3.5): its square, 1e-10, leaves a float64 six digits to refine


class LinearRegression(LinearPredictor, RegressorMixin, BaseEstimator):
    """Ordinary least squares, `coef_` and `intercept_`.

    `tol` and `max_iter` with `solver="gradient"`: it ends when no component of the gradient exceeds `tol` times the
    first one's largest, and warns (ConvergenceWarning) if that takes longer. `solver`, `max_iter` and `n_iter_` are not
    scikit-learn's, whose LinearRegression always takes singular values.

    >>> model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(12).tolist(), round(float(model.intercept_), 12)
    ([2.0], 1.0)
    """

    def __init__(
        self, *, fit_intercept: bool = True, tol: float = 1e-6, solver: str = "normal", max_iter: int = 10_000
    ) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (N, D) and y (N,) or (N, targets)."""
        self._check_choice("solver", ("normal", "gradient"))
        self._check_number("tol", 0.0)
        self._check_number("max_iter", 1, whole=True)
        X = self._fit_input(X)
        y = self._fit_targets(y, X, several=True)
        w = None if sample_weight is None else self._weights(sample_weight, X)
        data = centre(X, y, w, self.fit_intercept)
        gram = data.X.T @ data.X  # (D, D)
        eigenvalues = np.linalg.eigvalsh(gram)[::-1].clip(0.0)
        self.singular_ = np.sqrt(eigenvalues[: min(X.shape)])
        self.rank_, self.n_iter_ = X.shape[1], 1
        if self.solver == "gradient":
            beta = self._descend(data.X, data.y)
        elif eigenvalues[-1] > max(SAFE, self.tol) ** 2 * eigenvalues[0]:
            beta = solve_refined(gram, data.X, data.y)
        else:
            beta, _, self.rank_, self.singular_ = np.linalg.lstsq(data.X, data.y, rcond=self.tol)
        self._keep(beta, data, X.dtype)
        return self

    def _descend(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(np.einsum("nd,nd->d", X, X))
        lengths[lengths == 0.0] = 1.0  # constant columns: their β stays 0
        gram, target = (X / lengths).T @ (X / lengths), ((X / lengths).T @ y)  # the gradient is gram β - target
        step = 1.0 / max(np.linalg.eigvalsh(gram)[-1], 1.0)
        beta = np.zeros(target.shape)
        enough = self.tol * np.abs(target).max(initial=0.0)
        for steps in range(1, self.max_iter + 1):
            self.n_iter_ = steps
            g = gram @ beta - target
            if np.abs(g).max() <= enough:
                break
            beta -= step * g
        else:
            check.warn(
                check.ConvergenceWarning,
                f"LinearRegression: the gradient's largest component is {np.abs(g).max():.3g} after {self.max_iter} "
                f"steps, wanted {enough:.3g}; raise max_iter, or take solver='normal'",
            )
        return (beta.T / lengths).T

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def solve_refined(gram: np.ndarray, X: np.ndarray, y: np.ndarray, alpha: float = 0.0) -> np.ndarray:
    """β of (gram) β = Xᵀy with gram = XᵀX + alpha I, the second time for what the first left over."""
    scale = 1.0 / np.sqrt(np.diag(gram))  # columns of one length: as well conditioned as scaling can make it
    scaled = gram * scale[:, None] * scale
    beta = np.zeros((X.shape[1], *y.shape[1:]))
    for _ in range(2):
        left = X.T @ (y - X @ beta) - alpha * beta
        beta += (scale * np.linalg.solve(scaled, (left.T * scale).T).T).T
    return beta
