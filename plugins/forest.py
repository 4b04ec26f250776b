"""Random forests: many trees, each a little different, and their mean.

A deep tree has little bias and much variance: other samples would have made another tree. The mean of B trees, each of
variance σ² and any two of correlation ρ, has the variance

    ρ σ² + (1 - ρ) / B σ²                                                              (Hastie et al., 15.1)

More trees take the second term away; the first is lowered by making the trees differ. Each grows on a bootstrap sample
(N drawn from N with replacement: a sample that is drawn twice weighs twice, about a third are not drawn at all), and
each node chooses among a few features only, drawn anew (algorithm 15.1). The samples that a tree has not seen test it:
the mean over the trees that have not seen a sample is its out-of-bag prediction (section 15.3.1), an honest one without
a test set.

Source: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, chapter 15;
L. Breiman, "Random Forests", Machine Learning 45, 2001.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import ClassifierMixin, RegressorMixin
from tinygrad_edu.plugins._forest import Forest
from tinygrad_edu.plugins._tree_criteria import Array, Criterion, Variance
from tinygrad_edu.plugins._tree_settings import class_criterion, float_targets
from tinygrad_edu.plugins.metrics import accuracy_score, r2_score
from tinygrad_edu.plugins.tree import DecisionTreeClassifier, DecisionTreeRegressor


class RandomForestClassifier(ClassifierMixin, Forest):
    """A random forest for classes: the mean of the trees' shares."""

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: Any = "sqrt",
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        class_weight: Any = None,
        max_samples: float | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.class_weight = class_weight
        self.max_samples = max_samples

    def _new_tree(self) -> Any:
        settings = {"max_depth": self.max_depth, "max_features": self.max_features}
        tree = DecisionTreeClassifier(criterion=self.criterion, **settings)
        tree.classes_, tree.n_classes_ = self.classes_, len(self.classes_)
        return tree

    def _criterion(self, y: Array, weight: Array) -> Criterion:
        return class_criterion(self, y, weight, len(self.classes_))

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its trees grown: X (N, D), y (N,)."""
        X = self._fit_input(X, dtype=np.float32)
        y = self._fit_labels(y, X)
        self.n_classes_ = len(self.classes_)
        unseen = self._grow(X, y, sample_weight)
        if unseen is not None:
            self.oob_decision_function_ = unseen
            known = ~np.isnan(unseen[:, 0])
            self.oob_score_ = accuracy_score(y[known], unseen[known].argmax(axis=1))
        return self

    def predict_proba(self, X: Any) -> Array:
        """The classes' shares, as the trees' mean: (N, D) -> (N, K)."""
        return self._mean(X)

    def predict(self, X: Any) -> Array:
        """The class of the largest share: (N, D) -> (N,)."""
        share = self._mean(X)
        return self.classes_[share.argmax(axis=1)]


class RandomForestRegressor(RegressorMixin, Forest):
    """A random forest for numbers. By default a node looks at all features, as in scikit-learn."""

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: Any = 1.0,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        max_samples: float | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.max_samples = max_samples

    def _new_tree(self) -> Any:
        return DecisionTreeRegressor(max_depth=self.max_depth, max_features=self.max_features)

    def _criterion(self, y: Array, weight: Array) -> Criterion:
        return Variance(y, weight)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its trees grown: X (N, D), y (N,)."""
        X = self._fit_input(X, dtype=np.float32)
        y = float_targets(self, y, X)
        unseen = self._grow(X, y, sample_weight)
        if unseen is not None:
            self.oob_prediction_ = unseen[:, 0]
            known = ~np.isnan(self.oob_prediction_)
            self.oob_score_ = r2_score(y[known], self.oob_prediction_[known])
        return self

    def predict(self, X: Any) -> Array:
        """The trees' mean: (N, D) -> (N,)."""
        return self._mean(X)[:, 0]
