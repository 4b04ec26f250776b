"""How pure a part of the data is, and how much purer a cut makes it: Gini, entropy and variance for trees.

A criterion holds the items' targets and weights. For a set of samples of weight W it gives, with p_k = W_k / W,

    Gini      H = Σ_k p_k (1 - p_k) = 1 - Σ_k p_k²
    entropy   H = -Σ_k p_k log2 p_k                          (bits)
    variance  H = Σ_i w_i (y_i - ȳ)² / W                     ȳ = Σ_i w_i y_i / W

and for each cut in two, L and R, a score that is larger the smaller W_L H_L + W_R H_R. What is the same for all cuts of
a node is left out:

    Gini      Σ_k W_Lk² / W_L + Σ_k W_Rk² / W_R              from W H = W - Σ_k W_k² / W
    entropy   Σ_k (W_Lk log2 W_Lk + W_Rk log2 W_Rk) - W_L log2 W_L - W_R log2 W_R
    variance  S² (1/W_L + 1/W_R)    S = Σ_{i in L} w_i (y_i - ȳ) = -Σ_{i in R} w_i (y_i - ȳ)

The last is W_L W_R / W (ȳ_L - ȳ_R)², what Friedman's criterion for boosting maximises as well.

Sources: L. Breiman et al., "Classification and Regression Trees", 1984, sections 4.1 and 8.3; J. Friedman, "Greedy
Function Approximation: A Gradient Boosting Machine", Annals of Statistics 29, 2001, equation 35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass
class Summary:
    """What is known of a number of nodes."""

    count: Array  # (nodes,): samples
    weight: Array  # (nodes,): their weight W
    value: Array  # (nodes, K): the classes' shares, or (nodes, 1): the mean
    impurity: Array  # (nodes,): H

    def take(self, nodes: Array) -> Summary:
        return Summary(self.count[nodes], self.weight[nodes], self.value[nodes], self.impurity[nodes])


@dataclass
class Segments:
    """Positions 0 … n - 1, grouped by node: those of node v begin at `first[v]`; `node` (n,) says whose each is."""

    first: Array
    node: Array
    rank: Array  # (n,): 1 for the first of a node, and so on


def exact(weight: Array) -> Array:
    """Whole weights as int64, whose running sums are exact (and several times as fast as those of floats)."""
    whole = weight.astype(np.int64)
    return whole if np.array_equal(whole, weight) else weight.astype(np.float64)


class Criterion:
    """Targets `y` (items,) with `weight` (items,)."""

    def __init__(self, y: Array, weight: Array) -> None:
        self.weight = exact(weight)
        self.unit = bool((self.weight == 1).all())
        self.y = y

    def summary(self, node: Array, items: Array, nodes: int) -> Summary:
        """What is known of `nodes` nodes, where `node[i]` is the node of item `items[i]`."""
        raise NotImplementedError

    def enter(self, parts: Summary, node: Array, items: Array) -> None:
        """Prepare for cuts of these nodes; `node[i]` is the node of item `items[i]`."""

    def scores(self, items: Array, parts: Summary, segments: Segments) -> Array:
        """The score of a cut after each position, (rows, n); `items` (rows, n) are sorted by another feature a row."""
        raise NotImplementedError

    def running(self, values: Array, items: Array, segments: Segments) -> Array:
        """The sums of `values` from a node's first position to each one: (rows, n) float64."""
        sums = values.take(items).cumsum(axis=1)
        # what came before a node is the same samples in every row, whatever their order
        before = sums[0].take(segments.first - 1)
        before[0] = 0
        return np.subtract(sums, before.take(segments.node), dtype=np.float64)

    def weight_left(self, items: Array, segments: Segments) -> Array:
        """W_L of a cut after each position: (rows, n), or (n,) where all weights are 1."""
        return segments.rank.astype(np.float64) if self.unit else self.running(self.weight, items, segments)


class Gini(Criterion):
    """Targets are the numbers of K classes."""

    def __init__(self, y: Array, weight: Array, classes: int) -> None:
        super().__init__(y, weight)
        self.classes = classes
        self.class_weight = [np.where(y == k, self.weight, 0) for k in range(classes - 1)]

    def summary(self, node: Array, items: Array, nodes: int) -> Summary:
        K = self.classes
        parts = np.bincount(node * K + self.y.take(items), self.weight.take(items), minlength=nodes * K)
        parts = parts.reshape(nodes, K)
        weight = parts.sum(axis=1)
        share = parts / weight[:, None]
        return Summary(np.bincount(node, minlength=nodes), weight, share, self.impurity(share))

    def impurity(self, share: Array) -> Array:
        """H of the classes' shares: (nodes, K) -> (nodes,)."""
        return 1.0 - np.square(share).sum(axis=1)

    def scores(self, items: Array, parts: Summary, segments: Segments) -> Array:
        total = parts.value * parts.weight[:, None]  # (nodes, K): the classes' weights
        if self.weight.dtype == np.int64:
            total = np.rint(total)  # as whole as before the division
        left = self.weight_left(items, segments)
        right = parts.weight.take(segments.node) - left
        rest = left
        pure_left: Any = 0.0
        pure_right: Any = 0.0
        for k in range(self.classes):
            if k < self.classes - 1:
                part = self.running(self.class_weight[k], items, segments)
                rest = rest - part
            else:
                part = rest  # of the last class is what no other has
            pure_left = pure_left + self.purity(part)
            pure_right = pure_right + self.purity(total[:, k].take(segments.node) - part)
        return self.combine(pure_left, left) + self.combine(pure_right, right)

    def purity(self, part: Array) -> Array:
        """What a class of weight W_k adds to a side's score."""
        return np.square(part)

    def combine(self, pure: Any, weight: Array) -> Array:
        """A side's score, from the classes' sum and its weight."""
        return pure / weight


class Entropy(Gini):
    """As Gini, in bits."""

    def impurity(self, share: Array) -> Array:
        return 0.0 - xlog2(share).sum(axis=1)  # of a pure node 0, where a minus in front would make it -0

    def purity(self, part: Array) -> Array:
        return xlog2(part)

    def combine(self, pure: Any, weight: Array) -> Array:
        return pure - xlog2(weight)


def xlog2(x: Array) -> Array:
    """x log2 x, and its limit 0 at 0 (also for what rounding has made a little less)."""
    return x * np.log2(np.where(x > 0, x, 1.0))


class Variance(Criterion):
    """Targets are numbers."""

    def summary(self, node: Array, items: Array, nodes: int) -> Summary:
        w, y = self.weight.take(items), self.y.take(items)
        weight = np.bincount(node, w, minlength=nodes)
        mean = np.bincount(node, w * y, minlength=nodes) / weight
        impurity = np.bincount(node, w * np.square(y - mean.take(node)), minlength=nodes) / weight
        return Summary(np.bincount(node, minlength=nodes), weight, mean[:, None], impurity)

    def enter(self, parts: Summary, node: Array, items: Array) -> None:
        # with each node's mean taken off, a node's residuals add up to 0, and sums can run on from one node to the next
        if not hasattr(self, "residual"):
            self.residual = np.empty(len(self.y))
        self.residual[items] = self.weight.take(items) * (self.y.take(items) - parts.value[:, 0].take(node))

    def scores(self, items: Array, parts: Summary, segments: Segments) -> Array:
        left = self.weight_left(items, segments)
        total = parts.weight.take(segments.node)
        score = self.residual.take(items).cumsum(axis=1)
        np.square(score, out=score)
        score *= total / (left * (total - left))
        return score
