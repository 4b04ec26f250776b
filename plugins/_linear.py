"""What the linear models share: data centred and weighted for least squares, and the prediction."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Centred(NamedTuple):
    """Data of a weighted least-squares problem whose intercept is taken out, in float64."""

    X: np.ndarray  # (N, D)
    y: np.ndarray  # (N,) or (N, targets)
    x_mean: np.ndarray  # (D,)
    y_mean: Any  # () or (targets,)


def centre(X: np.ndarray, y: np.ndarray, w: np.ndarray | None, fit_intercept: bool) -> Centred:
    """X and y less their weighted means, each row times √w.

    At the minimum over the intercept b, b = ȳ - x̄·β: what is left to minimise is Σ w (y - ȳ - (x - x̄)·β)², and √w
    in both makes it a sum of plain squares. Without an intercept the means count as 0.
    """
    X, y = X.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
    x_mean, y_mean = np.zeros(X.shape[1]), np.zeros(y.shape[1:])
    if fit_intercept:
        x_mean, y_mean = np.average(X, axis=0, weights=w), np.average(y, axis=0, weights=w)
        X, y = X - x_mean, y - y_mean
    if w is not None:
        root = np.sqrt(w.astype(np.float64))
        X, y = X * root[:, None], (y.T * root).T
    return Centred(X, y, x_mean, y_mean)


class LinearPredictor:
    """A regressor with `coef_` (D,) or (targets, D), and `intercept_`."""

    coef_: np.ndarray
    intercept_: Any

    def _keep(self, beta: np.ndarray, data: Centred, dtype: Any) -> None:
        """Keep the solution beta (D,) or (D, targets) in the data's dtype, and the intercept that goes with it."""
        self.coef_ = beta.T.astype(dtype)
        self.intercept_ = (data.y_mean - data.x_mean @ beta).astype(dtype)[()]

    def predict(self, X: Any) -> np.ndarray:
        """The expected y: (N, D) -> (N,), or (N, targets) if `fit` saw several."""
        return self._input(X) @ self.coef_.T + self.intercept_  # type: ignore[attr-defined]
