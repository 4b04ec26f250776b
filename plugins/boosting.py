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

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import ClassifierMixin, RegressorMixin
from tinygrad_edu.plugins._boosting_losses import LogLoss, Loss, SquaredError
from tinygrad_edu.plugins._tree import Tree, shares
from tinygrad_edu.plugins._tree_criteria import Array, Variance
from tinygrad_edu.plugins._tree_growth import Items, grow
from tinygrad_edu.plugins._tree_settings import TreeSettings, float_targets, presort
from tinygrad_edu.plugins.tree import DecisionTreeRegressor


class _Boosting(TreeSettings):
    n_estimators: int
    learning_rate: float
    subsample: float
    _loss: Loss
    init_: Array  # F_0, (K,)
    estimators_: Array  # (n_estimators, K) trees

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample: float = 1.0,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        max_depth: int | None = 3,
        min_impurity_decrease: float = 0.0,
        random_state: Any = None,
        max_features: Any = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.min_impurity_decrease = min_impurity_decrease
        self.random_state = random_state
        self.max_features = max_features

    def _boost(self, X: Array, y: Array, sample_weight: Any) -> Self:
        weight = check.check_weights(sample_weight, type(self).__name__, len(X))
        limits, (columns, order) = self._limits(*X.shape), presort(X)
        self._check_number("n_estimators", 1, whole=True)
        self._check_number("learning_rate", 0.0)
        self._check_number("subsample", 0.0, 1.0, open="[")
        rng = self._rng(check.random_state(self.random_state))
        self.init_ = self._loss.start(y, weight)
        K = len(self.init_)
        F = np.tile(self.init_, (len(X), 1))
        items = Items(columns, order, np.tile(weight > 0, (K, 1)))
        trees, loss = [], []
        for _ in range(self.n_estimators):
            if self.subsample < 1.0:
                drawn = rng.permutation(len(X))[: max(1, int(self.subsample * len(X)))]
                inside = np.isin(np.arange(len(X)), drawn) & (weight > 0)
                items = Items(columns, order, np.tile(inside, (K, 1)))
            residual, curvature = self._loss.residuals(y, F)
            seen = items.sample, items.tree
            r, h, w = residual[seen], curvature[seen], weight[items.sample]
            grown, leaf = grow(items, Variance(r, w), limits, rng)
            for k, tree in enumerate(grown):
                own = items.tree == k
                self._set_leaves(tree, leaf[own], w[own] * r[own], w[own] * h[own])
                everywhere = leaf[own] if own.sum() == len(X) else tree.apply(X)
                F[:, k] += self.learning_rate * tree.value[everywhere, 0]
            trees.append([DecisionTreeRegressor(max_depth=self.max_depth)._keep(tree) for tree in grown])
            loss.append(self._loss.mean(y, F, weight))
        self.train_score_ = np.array(loss)
        self.estimators_ = np.array(trees, dtype=object)
        for estimator in self.estimators_.ravel():
            estimator.n_features_in_ = X.shape[1]
        return self

    def _set_leaves(self, tree: Tree, leaf: Array, r: Array, h: Array) -> None:
        """γ of each leaf, from the samples' weighted residuals and second derivatives."""
        nodes = len(tree)
        top, bottom = np.bincount(leaf, r, minlength=nodes), np.bincount(leaf, h, minlength=nodes)
        # where p is 0 or 1 to the last digit nothing is left to gain; scikit-learn draws the line here as well
        step = np.divide(top, bottom, out=np.zeros(nodes), where=np.abs(bottom) > 1e-150)
        K = len(self.init_)
        tree.value[:, 0] = np.where(tree.feature < 0, step * ((K - 1) / K if K > 1 else 1.0), tree.value[:, 0])

    def _staged(self, X: Any) -> Iterator[Array]:
        """F after each tree: (N, D) -> (N, K), the same array each time."""
        X = self._input(X, dtype=np.float32)
        F = np.tile(self.init_, (len(X), 1))
        for trees in self.estimators_:
            for k, estimator in enumerate(trees):
                F[:, k] += self.learning_rate * estimator.tree_.value[estimator.tree_.apply(X), 0]
            yield F

    def _raw(self, X: Any) -> Array:
        *_, F = self._staged(X)  # every time the same array
        return F

    @property
    def feature_importances_(self) -> Array:
        """By how much the cuts by each feature lower the squared error of the residuals: shares, (D,)."""
        self._check_fitted()
        return shares(sum(tree.tree_.gains(self.n_features_in_) for tree in self.estimators_.ravel()))


class GradientBoostingRegressor(RegressorMixin, _Boosting):
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


class GradientBoostingClassifier(ClassifierMixin, _Boosting):
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
