"""Decision trees: a class or a number, found by asking about one feature at a time.

A tree parts the space of features into boxes R_1 … R_M and predicts a constant in each: of a class its share there, of
a number its mean,

    p_mk = 1/W_m Σ_{x_i in R_m} w_i [y_i = k]          predicted: argmax_k p_mk        (Hastie et al., 9.17)
    c_m  = 1/W_m Σ_{x_i in R_m} w_i y_i                                                (9.11)

which are best for the Gini impurity or the entropy, and for squared error. Which boxes are best is too hard to find, so
they are made greedily: each is cut in two, (j, t) at a time, where the parts become purest (9.12 to 9.14; how, and
quickly, is in `_tree_growth`). A tree that grew until every box is pure knows its samples by heart. It is kept from
that by limits, or cut back afterwards: `ccp_alpha` is the price of a leaf in the cost that the pruned tree minimises,

    C_a(T) = Σ_m W_m/W H(R_m) + a |T|                                                  (9.16; see `_tree_pruning`)

Where two cuts are equally good the first feature and the smallest threshold win. scikit-learn draws by lot between
features; apart from such ties its trees are these. Missing values are refused.

Source: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, section 9.2.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import ClassifierMixin, RegressorMixin
from tinygrad_edu.plugins._tree import Tree
from tinygrad_edu.plugins._tree_criteria import Array, Criterion, Variance
from tinygrad_edu.plugins._tree_growth import Items, grow
from tinygrad_edu.plugins._tree_pruning import PruningPath, prune, pruning_path
from tinygrad_edu.plugins._tree_settings import TreeSettings, class_criterion, float_targets, presort


class _DecisionTree(TreeSettings):
    tree_: Tree
    ccp_alpha: float

    def _criterion(self, y: Array, weight: Array) -> Criterion:
        raise NotImplementedError

    def _target(self, y: Any, X: Array) -> Array:
        raise NotImplementedError

    def _grow(self, X: Any, y: Any, sample_weight: Any) -> Tree:
        X = self._fit_input(X, dtype=np.float32)
        y = self._target(y, X)
        weight = check.check_weights(sample_weight, type(self).__name__, len(X))  # float64, unlike X
        weight = weight * self._with_classes(y, np.ones(len(X)))  # "balanced" counts samples, in a forest weights
        limits = self._limits(*X.shape)
        items = Items(*presort(X), weight[None] > 0)
        criterion = self._criterion(y[items.sample], weight[items.sample])
        trees, _ = grow(items, criterion, limits, self._rng(check.random_state(self.random_state)))
        return self._cut_back(trees[0])

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its tree grown, and pruned if `ccp_alpha` > 0: X (N, D), y (N,)."""
        self._check_number("ccp_alpha", 0.0)
        tree = self._grow(X, y, sample_weight)
        return self._keep(prune(tree, self.ccp_alpha) if self.ccp_alpha > 0 else tree)

    def _keep(self, tree: Tree) -> Self:
        self.tree_ = tree
        return self

    def cost_complexity_pruning_path(self, X: Any, y: Any, sample_weight: Any = None) -> PruningPath:
        """The values of `ccp_alpha` at which the tree loses leaves, and the impurity of what is left."""
        return pruning_path(self._grow(X, y, sample_weight))

    def apply(self, X: Any) -> Array:
        """The number of the leaf that each sample falls into: (N, D) -> (N,)."""
        X = self._input(X, dtype=np.float32)
        return self.tree_.apply(X)

    def get_depth(self) -> int:
        """How many questions are asked at most."""
        self._check_fitted()
        return self.tree_.depth

    def get_n_leaves(self) -> int:
        """The number of leaves."""
        self._check_fitted()
        return int((self.tree_.feature < 0).sum())

    @property
    def feature_importances_(self) -> Array:
        """The share of the impurity's decrease that each feature brought: (D,), adding up to 1."""
        self._check_fitted()
        return self.tree_.importances(self.n_features_in_)


class DecisionTreeClassifier(ClassifierMixin, _DecisionTree):
    """A decision tree for classes; `criterion` "gini", "entropy" or, the same as the latter, "log_loss"."""

    def __init__(
        self,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: Any = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        class_weight: Any = None,
        ccp_alpha: float = 0.0,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.class_weight = class_weight
        self.ccp_alpha = ccp_alpha

    def _target(self, y: Any, X: Array) -> Array:
        codes = self._fit_labels(y, X)
        self.n_classes_ = len(self.classes_)
        return codes

    def _criterion(self, y: Array, weight: Array) -> Criterion:
        return class_criterion(self, y, weight, len(self.classes_))

    def predict_proba(self, X: Any) -> Array:
        """The classes' shares in the leaf of each sample: (N, D) -> (N, K)."""
        leaf = self.apply(X)
        return self.tree_.value[leaf]

    def predict(self, X: Any) -> Array:
        """The most frequent class in the leaf of each sample: (N, D) -> (N,)."""
        share = self.predict_proba(X)
        return self.classes_[share.argmax(axis=1)]


class DecisionTreeRegressor(RegressorMixin, _DecisionTree):
    """A decision tree for numbers, by squared error."""

    def __init__(
        self,
        *,
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: Any = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        ccp_alpha: float = 0.0,
    ) -> None:
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.ccp_alpha = ccp_alpha

    def _target(self, y: Any, X: Array) -> Array:
        return float_targets(self, y, X)

    def _criterion(self, y: Array, weight: Array) -> Criterion:
        return Variance(y, weight)

    def predict(self, X: Any) -> Array:
        """The mean of the leaf of each sample: (N, D) -> (N,)."""
        leaf = self.apply(X)
        return self.tree_.value[leaf, 0]
