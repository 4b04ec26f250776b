"""Gradient boosting: small trees, each grown on what those before it got wrong.

The model is a sum, F(x) = F_0 + ν Σ_m Σ_j γ_jm [x in R_jm], made one tree at a time. What a step down the loss L would
change at the samples is the negative gradient, the pseudo-residual

    r_i = -∂L(y_i, F(x_i)) / ∂F(x_i)                                      (Hastie et al., algorithm 10.3, line 2a)

A regression tree fitted to r carries the step on to all other x: its leaves are the R_jm, and γ_jm is what lowers the
loss most there (line 2c). ν, the learning rate, keeps each step small. With p = softmax(F), of two classes p = σ(F):

    squared error  L = (y - F)² / 2            r = y - F          γ = mean of r          F_0 = mean of y
    two classes    L = -log p_y                r = [y = 1] - p    γ = Σ r / Σ p (1 - p)  F_0 = log p_1 / (1 - p_1)
    K classes      L = -log p_y                r_k = [y = k] - p_k, a tree for each class (algorithm 10.4)
                                               γ = (K - 1)/K Σ r / Σ p (1 - p)           F_0k = log p_k - mean of these

γ of the classes is one Newton step, as there is no closed form; F_0 is the best constant, p_k a class's share.

Sources: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, chapter 10;
J. Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics 29, 2001, algorithms 5
and 6; `subsample`: J. Friedman, "Stochastic Gradient Boosting", 2002.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import ClassifierMixin, RegressorMixin
from tinygrad_edu.plugins._boosting import Boosting
from tinygrad_edu.plugins._boosting_losses import LogLoss, SquaredError
from tinygrad_edu.plugins._tree_criteria import Array
from tinygrad_edu.plugins._tree_settings import float_targets


class GradientBoostingRegressor(RegressorMixin, Boosting):
    """Gradient boosting for numbers, by squared error."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its trees grown: X (N, D), y (N,)."""
        X = self._fit_input(X, dtype=np.float32)
        self._loss = SquaredError()
        return self._boost(X, float_targets(self, y, X), sample_weight)

    def predict(self, X: Any) -> Array:
        """F: (N, D) -> (N,)."""
        return self._raw(X)[:, 0]

    def staged_predict(self, X: Any) -> Iterator[Array]:
        """The prediction after one tree, after two, and so on."""
        for F in self._staged(X):
            yield F[:, 0].copy()


class GradientBoostingClassifier(ClassifierMixin, Boosting):
    """Gradient boosting for classes, by the log-loss in nats; `train_score_` of two classes is twice that."""

    _loss: LogLoss

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its trees grown: X (N, D), y (N,)."""
        X = self._fit_input(X, dtype=np.float32)
        y = self._fit_labels(y, X, at_least=2)
        self.n_classes_ = len(self.classes_)
        self._loss = LogLoss(self.n_classes_)
        return self._boost(X, y, sample_weight)

    def decision_function(self, X: Any) -> Array:
        """F: (N, D) -> (N,) of two classes, else (N, K)."""
        F = self._raw(X)
        return F[:, 0] if F.shape[1] == 1 else F

    def predict_proba(self, X: Any) -> Array:
        """The classes' probabilities: (N, D) -> (N, K)."""
        F = self._raw(X)
        p = self._loss.probability(F)
        return np.hstack([1.0 - p, p]) if p.shape[1] == 1 else p

    def predict(self, X: Any) -> Array:
        """The most probable class: (N, D) -> (N,)."""
        F = self._raw(X)
        return self.classes_[(F[:, 0] > 0).astype(int) if F.shape[1] == 1 else F.argmax(axis=1)]

    def staged_predict(self, X: Any) -> Iterator[Array]:
        """The prediction after one tree, after two, and so on."""
        for F in self._staged(X):
            yield self.classes_[(F[:, 0] > 0).astype(int) if F.shape[1] == 1 else F.argmax(axis=1)]
