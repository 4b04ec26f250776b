"""Linear support vector machine by the squared hinge: Newton's method on the few weights, not on the samples.

With labels y_i = ±1 and b as a weight more, of a feature that is always `intercept_scaling` (as in LIBLINEAR, where b
is therefore kept small too), it minimises

    J(w) = 1/2 w·w + C Σ_i c_i max(0, 1 - y_i w·x_i)²                        (Fan et al., equation 1 with the L2 loss)

Only samples inside the margin, I = {i: y_i w·x_i < 1}, count. There J is a quadratic function,

    g = w - 2 C Σ_{i in I} c_i (y_i - w·x_i) x_i          H = 1 + 2 C Σ_{i in I} c_i x_i x_iᵀ

so that Newton's step w - H⁻¹ g leads to its minimum at once; when the samples in I stay the same on the way, that is
the solution. Where J would not fall the step is halved. Of several classes each is told from all others.

Sources: R.-E. Fan et al., "LIBLINEAR: A Library for Large Linear Classification", JMLR 9, 2008; the method: S. Keerthi,
D. DeCoste, "A Modified Finite Newton Method for Fast Solution of Large Scale Linear SVMs", JMLR 6, 2005, equation 8.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, ClassifierMixin
from tinygrad_edu.plugins._kernels import Array


class LinearSVC(ClassifierMixin, BaseEstimator):
    """Linear support vector classifier with the squared hinge loss and an L2 penalty; for the hinge itself there is
    `SVC(kernel="linear")`. `class_weight`, a dict by label or "balanced", multiplies C."""

    def __init__(
        self,
        *,
        tol: float = 1e-4,
        C: float = 1.0,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Any = None,
        max_iter: int = 1000,
    ) -> None:
        self.tol = tol
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its weights found: X (N, D), y (N,)."""
        for name in ("C", "intercept_scaling"):
            self._check_number(name, 0.0, open="[")
        self._check_number("tol", 0.0)
        self._check_number("max_iter", 1, whole=True)
        X = self._fit_input(X, dtype=np.float64)
        y = self._fit_labels(y, X, at_least=2)
        weight = self._weights(sample_weight, X)
        weighed = check.weigh_classes(self.class_weight, self.classes_, y, weight)
        D = X.shape[1]
        if self.fit_intercept:
            X = np.hstack([X, np.full((len(X), 1), self.intercept_scaling)])
        two = len(self.classes_) == 2
        solved = []
        for k in [1] if two else range(len(self.classes_)):
            # of one class against all others, its own weight alone counts, as in LIBLINEAR
            price = self.C * (weighed if two else np.where(y == k, weighed, weight))
            solved.append(self._solve(X, np.where(y == k, 1.0, -1.0), price))
        weights = np.array([w for w, _ in solved])
        self.coef_ = weights[:, :D]
        self.intercept_ = self.intercept_scaling * weights[:, D] if self.fit_intercept else np.zeros(len(weights))
        self.n_iter_ = max(steps for _, steps in solved)
        return self

    def _solve(self, X: Array, y: Array, price: Array) -> tuple[Array, int]:
        """w, and the number of Newton steps, for labels `y` of ±1: (N, D), (N,), (N,) -> (D,), int."""
        w, step = np.zeros(X.shape[1]), 0
        short = np.ones(len(y))  # 1 - y w·x
        loss, first = _loss(w, short, price), np.inf
        while True:
            inside = np.flatnonzero(short > 0)
            near, c = X[inside], 2.0 * price[inside]
            g = w - (c * y[inside] * short[inside]) @ near
            if step == 0:
                first = np.abs(g).max()
            if np.abs(g).max() <= self.tol * first:
                break
            if step == self.max_iter:
                check.warn(check.ConvergenceWarning, "LinearSVC failed to converge, increase the number of iterations.")
                break
            H = near.T @ (c[:, None] * near)
            H[np.diag_indices_from(H)] += 1.0
            change = -np.linalg.solve(H, g)
            along = y * (X @ change)
            size, slope = 1.0, g @ change
            # Armijo's condition: J falls by a share of what its slope promises; it fails for ever only by rounding
            while size > 1e-10:
                new = _loss(w + size * change, short - size * along, price)
                if new <= loss + 1e-4 * size * slope:
                    break
                size /= 2
            else:
                break
            w, short, loss, step = w + size * change, short - size * along, new, step + 1
        return w, max(step, 1)

    def decision_function(self, X: Any) -> Array:
        """w·x + b: (N, D) -> (N,) of two classes, positive for the second, else (N, K)."""
        X = self._input(X, dtype=np.float64)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:
        """The class whose w·x + b is largest: (N, D) -> (N,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


def _loss(w: Array, short: Array, price: Array) -> float:
    return float(0.5 * w @ w + price @ np.square(np.maximum(short, 0.0)))
