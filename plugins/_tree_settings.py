"""What a tree, a forest and boosting share: the settings that limit growth, and data made ready for it."""

from __future__ import annotations

from math import ceil, inf, log2, sqrt
from typing import Any

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator
from tinygrad_edu.plugins._tree import Tree
from tinygrad_edu.plugins._tree_criteria import Array, Criterion, Entropy, Gini
from tinygrad_edu.plugins._tree_growth import Limits
from tinygrad_edu.plugins._tree_pruning import first_leaves


class TreeSettings(BaseEstimator):
    """What a tree, a forest and boosting have in common: the limits of growth."""

    max_depth: int | None
    min_samples_split: float
    min_samples_leaf: float
    min_weight_fraction_leaf: float
    max_leaf_nodes: int | None
    min_impurity_decrease: float
    max_features: Any
    random_state: Any
    classes_: Array

    def _limits(self, samples: int, features: int) -> Limits:
        """The settings as numbers; fractions are of `samples` and `features`. ValueError for what is out of range."""
        if self.max_leaf_nodes is not None:
            self._check_number("max_leaf_nodes", 2, whole=True)
        return Limits(
            max_depth=inf if self.max_depth is None else self._check_number("max_depth", 1, whole=True),
            min_samples_split=max(2, self._number_or_share("min_samples_split", 2, samples)),
            min_samples_leaf=self._number_or_share("min_samples_leaf", 1, samples),
            min_weight_fraction_leaf=self._check_number("min_weight_fraction_leaf", 0.0, 0.5),
            min_impurity_decrease=self._check_number("min_impurity_decrease", 0.0),
            max_features=self._drawn(features),
        )

    def _number_or_share(self, name: str, low: int, samples: int) -> int:
        if isinstance(getattr(self, name), int | np.integer):
            return int(self._check_number(name, low, whole=True))
        return max(1, ceil(self._check_number(name, 0.0, 1.0, open="[") * samples))

    def _drawn(self, features: int) -> int:
        """How many features a node draws; 0: it looks at all of them, and nothing is left to chance."""
        if isinstance(self.max_features, str) or self.max_features is None:
            name = self._check_choice("max_features", ("sqrt", "log2", None))
            drawn = {"sqrt": int(sqrt(features)), "log2": int(log2(features)), None: features}[name]
        elif isinstance(self.max_features, int | np.integer):
            drawn = int(self._check_number("max_features", 1, whole=True))
        else:
            drawn = int(self._check_number("max_features", 0.0, 1.0, open="[") * features)
        return max(1, drawn) if drawn < features else 0

    def _cut_back(self, tree: Tree) -> Tree:
        """The tree itself, or what `max_leaf_nodes` leaves of it."""
        return tree if self.max_leaf_nodes is None else first_leaves(tree, self.max_leaf_nodes)

    def _with_classes(self, y: Array, weight: Array) -> Array:
        """Weights (N,) times those that a classifier's setting `class_weight` gives to the classes' codes y (N,)."""
        setting = getattr(self, "class_weight", None)
        return weight if setting is None else check.weigh_classes(setting, self.classes_, y, weight)

    def _rng(self, random_state: np.random.RandomState) -> np.random.Generator:
        return np.random.default_rng(random_state.randint(2**31 - 1))


def presort(X: Array) -> tuple[Array, Array]:
    """X's columns, and the order of the samples by each of them: (N, D) -> (D, N) twice."""
    columns = np.ascontiguousarray(X.T)
    return columns, columns.argsort(axis=1, kind="stable")


def class_criterion(estimator: Any, y: Array, weight: Array, classes: int) -> Criterion:
    """What an estimator's setting `criterion` names, on the classes' codes `y`."""
    name = estimator._check_choice("criterion", ("gini", "entropy", "log_loss"))
    return (Gini if name == "gini" else Entropy)(y, weight, classes)


def float_targets(estimator: Any, y: Any, X: Array) -> Array:
    """A regressor's targets, checked: float64 (N,), as X alone is rounded to float32."""
    owner = type(estimator).__name__
    return check.columns(check.one_column(y, owner, len(X)), owner, len(X), np.float64)
