"""The rounds of gradient boosting: in each a tree for every column of F, all grown together. Formulas: `boosting`.

With `n_iter_no_change` rounds end early: a `validation_fraction` of the samples is held out, and learning stops when
its loss is not, by `tol` at least, below the highest of that many rounds before (as in scikit-learn).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import ClassifierMixin
from tinygrad_edu.plugins._boosting_losses import Loss
from tinygrad_edu.plugins._tree import Tree, Trees, shares
from tinygrad_edu.plugins._tree_criteria import Array, Variance
from tinygrad_edu.plugins._tree_growth import Items, grow
from tinygrad_edu.plugins._tree_settings import TreeSettings, presort
from tinygrad_edu.plugins.split import train_test_split
from tinygrad_edu.plugins.tree import DecisionTreeRegressor


class Boosting(TreeSettings):
    n_estimators: int
    learning_rate: float
    subsample: float
    n_iter_no_change: int | None
    tol: float
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
        min_weight_fraction_leaf: float = 0.0,
        max_depth: int | None = 3,
        min_impurity_decrease: float = 0.0,
        random_state: Any = None,
        max_features: Any = None,
        max_leaf_nodes: int | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
    ) -> None:
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_depth = max_depth
        self.min_impurity_decrease = min_impurity_decrease
        self.random_state = random_state
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol

    def _boost(self, X: Array, y: Array, sample_weight: Any) -> Self:
        weight = check.check_weights(sample_weight, type(self).__name__, len(X))
        self._check_number("n_estimators", 1, whole=True)
        self._check_number("learning_rate", 0.0)
        self._check_number("subsample", 0.0, 1.0, open="[")
        held_out: _HeldOut | None = None
        if self.n_iter_no_change is not None:
            X, y, weight, held_out = self._hold_out(X, y, weight)
        limits, (columns, order) = self._limits(*X.shape), presort(X)
        rng = self._rng(check.random_state(self.random_state))
        self.init_ = self._loss.start(y, weight)
        K = len(self.init_)
        F = np.tile(self.init_, (len(X), 1))
        items = Items(columns, order, np.tile(weight > 0, (K, 1)))
        rounds: list[list[Tree]] = []
        loss = []
        for _ in range(self.n_estimators):
            if self.subsample < 1.0:
                drawn = rng.permutation(len(X))[: max(1, int(self.subsample * len(X)))]
                inside = np.isin(np.arange(len(X)), drawn) & (weight > 0)
                items = Items(columns, order, np.tile(inside, (K, 1)))
            residual, curvature = self._loss.residuals(y, F)
            seen = items.sample, items.tree
            r, h, w = residual[seen], curvature[seen], weight[items.sample]
            grown, leaf = grow(items, Variance(r, w), limits, rng)
            rounds.append([])
            for k, whole in enumerate(grown):
                own, tree = items.tree == k, self._cut_back(whole)
                at = leaf[own] if tree is whole else tree.apply(X[items.sample[own]])
                self._set_leaves(tree, at, w[own] * r[own], w[own] * h[own])
                F[:, k] += self.learning_rate * tree.value[at if len(at) == len(X) else tree.apply(X), 0]
                rounds[-1].append(tree)
            loss.append(self._loss.mean(y, F, weight))
            if held_out is not None and held_out.enough(rounds[-1]):
                break
        self.train_score_, self.n_estimators_ = np.array(loss), len(rounds)
        self._trees = Trees([tree for trees in rounds for tree in trees])
        made = [[DecisionTreeRegressor(max_depth=self.max_depth)._keep(tree) for tree in trees] for trees in rounds]
        self.estimators_ = np.array(made, dtype=object)
        for estimator in self.estimators_.ravel():
            estimator.n_features_in_ = X.shape[1]
        return self

    def _hold_out(self, X: Array, y: Array, weight: Array) -> tuple[Array, Array, Array, _HeldOut]:
        """What is left to learn from, and what tells when to stop."""
        rounds = self._check_number("n_iter_no_change", 1, whole=True)
        self._check_number("validation_fraction", 0.0, 1.0, open="[]")
        self._check_number("tol", 0.0)
        X, X_held, y, y_held, weight, weight_held = train_test_split(
            X,
            y,
            weight,
            test_size=self.validation_fraction,
            random_state=self.random_state,
            stratify=y if isinstance(self, ClassifierMixin) else None,
        )
        return X, y, weight, _HeldOut(self, rounds, X_held, y_held, weight_held)

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
        """F: (N, D) -> (N, K)."""
        X = self._input(X, dtype=np.float32)
        F = np.tile(self.init_, (len(X), 1))
        for rows, values in self._trees.values(X):
            F[rows] += self.learning_rate * values.reshape(len(values), -1, F.shape[1]).sum(axis=1)
        return F

    @property
    def feature_importances_(self) -> Array:
        """By how much the cuts by each feature lower the squared error of the residuals: shares, (D,)."""
        self._check_fitted()
        return shares(sum(tree.tree_.gains(self.n_features_in_) for tree in self.estimators_.ravel()))


class _HeldOut:
    """Samples that are not learnt from, and the model's loss on them, round by round."""

    def __init__(self, model: Boosting, rounds: int, X: Array, y: Array, weight: Array) -> None:
        self.model, self.rounds, self.X, self.y, self.weight = model, rounds, X, y, weight
        self.F: Array | None = None
        self.losses: list[float] = []

    def enough(self, trees: list[Tree]) -> bool:
        """Take a round's trees in; True where they have not helped."""
        model = self.model
        if self.F is None:
            self.F = np.tile(model.init_, (len(self.X), 1))
        for k, tree in enumerate(trees):
            self.F[:, k] += model.learning_rate * tree.value[tree.apply(self.X), 0]
        before = self.losses[-self.rounds :]
        self.losses.append(model._loss.mean(self.y, self.F, self.weight))
        return len(before) == self.rounds and self.losses[-1] + model.tol >= max(before)
