"""How decision trees grow: all nodes of a level, and of several trees, at once.

At a node with samples Q of weight W a tree takes the feature j and threshold t that leave the parts Q_L = {x_j <= t}
and Q_R as pure as can be (`_tree_criteria` says what that is), i.e. that minimise

    G(j, t) = W_L/W H(Q_L) + W_R/W H(Q_R)

A textbook's recursion visits the nodes one by one: tens of thousands of small steps, which are slow in NumPy. Here
`order` (F, n) lists the samples once by each feature, grouped by node. Running sums along its rows give the sums over
Q_L for every cut of every node in one go. For the next level each row is parted in two: all samples that go left, then
all that go right. Those of a node stay together, and stay sorted, so nothing is ever sorted twice.

Sources: L. Breiman, J. Friedman, R. Olshen, C. Stone, "Classification and Regression Trees", 1984, section 2.4;
presorted and level by level: M. Mehta, R. Agrawal, J. Rissanen, "SLIQ: A Fast Scalable Classifier for Data Mining",
EDBT 1996. Limits and rounding are scikit-learn's: features are float32, values no further apart than 1e-7 count as
equal, thresholds lie half-way, nodes are numbered depth first.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from tinygrad_edu.plugins._tree import Tree, to_trees
from tinygrad_edu.plugins._tree_criteria import Array, Criterion, Segments, Summary

EQUAL = np.float32(1e-7)
PURE = np.finfo(np.float64).eps  # an impurity that rounding may leave of none
CHUNK = 1 << 15  # numbers handled at a time: temporary arrays stay in the processor's cache


@dataclass
class Limits:
    """Where growth stops. A node looks at `max_features` features, drawn anew each time; 0 means at all of them."""

    max_depth: float = inf
    min_samples_split: int = 2
    min_samples_leaf: int = 1
    min_weight_fraction_leaf: float = 0.0
    min_impurity_decrease: float = 0.0
    max_features: int = 0


class Items:
    """What is sorted: sample `sample[i]` as seen by tree `tree[i]`, for all trees that grow together, tree by tree."""

    def __init__(self, columns: Array, order: Array, seen: Array) -> None:
        """`columns` (F, n) float32 are the features, `order` (F, n) their `argsort`; `seen` (trees, n) is of bools."""
        self.tree, self.sample = np.nonzero(seen)
        if seen.all() and len(seen) == 1:
            self.columns, self.order = columns, order
            return
        number = np.cumsum(seen).reshape(seen.shape) - 1  # of the item, (trees, n)
        self.columns = columns.take(self.sample, axis=1)
        self.order = np.empty(self.columns.shape, dtype=np.intp)
        for f in range(len(columns)):
            there = seen.take(order[f], axis=1)
            self.order[f] = number.take(order[f], axis=1)[there]


class Cut(NamedTuple):
    """The nodes of a level that are cut. Of S of them the j-th has children j, left, and S + j, right."""

    nodes: Array  # (S,)
    feature: Array  # (S,)
    threshold: Array  # (S,)
    items: Array  # (n,): the samples in them
    child: Array  # (n,): where each goes
    children: Summary  # of the 2 S


def grow(items: Items, criterion: Criterion, limits: Limits, rng: np.random.Generator) -> tuple[list[Tree], Array]:
    """The trees, and the leaf of each item, (items,), by its number within the tree."""
    return _Growth(items, criterion, limits, rng).run()


class _Growth:
    def __init__(self, items: Items, criterion: Criterion, limits: Limits, rng: np.random.Generator) -> None:
        self.items, self.criterion, self.limits, self.rng = items, criterion, limits, rng
        self.order = items.order  # (F, n), of the n items whose node may still be cut
        self.leaf = items.tree.copy()  # (items,): the node each is in by now

    def run(self) -> tuple[list[Tree], Array]:
        trees, start, depth = int(self.items.tree[-1]) + 1, 0, 0
        level = self.criterion.summary(self.items.tree, np.arange(len(self.leaf)), trees)
        self.root_weight = level.weight
        tree = np.arange(trees)
        alive = self._may_be_cut(level, depth)
        if not alive.all():
            self._part(np.where(alive.take(self.items.tree), 1, 0).astype(np.int8))
        levels = []
        while True:
            nodes = len(level.count)
            feature, threshold = np.full(nodes, -1), np.full(nodes, np.nan)
            children = np.repeat(start + np.arange(nodes), 2).reshape(nodes, 2)  # of a leaf: itself
            levels.append((feature, threshold, children, level, tree))
            if not alive.any():
                return to_trees(levels, self.leaf)
            cut = self._cut(level, np.flatnonzero(alive), tree)
            if cut is None:
                return to_trees(levels, self.leaf)
            split, items, child, level = cut.nodes, cut.items, cut.child, cut.children
            feature[split], threshold[split] = cut.feature, cut.threshold
            start, depth = start + nodes, depth + 1
            children[split] = start + np.arange(2 * len(split)).reshape(2, -1).T
            self.leaf[items] = start + child
            tree = np.tile(tree[split], 2)
            alive = self._may_be_cut(level, depth)
            side = np.zeros(len(self.leaf), dtype=np.int8)
            side[items] = np.where(alive.take(child), 1 + (child >= len(split)), 0)
            self._part(side)

    def _may_be_cut(self, level: Summary, depth: int) -> Array:
        limits = self.limits
        least = max(limits.min_samples_split, 2 * limits.min_samples_leaf)
        return (level.count >= least) & (level.impurity > PURE) & (depth < limits.max_depth)

    def _part(self, side: Array) -> None:
        """Keep of each row what goes left (`side` 1), then what goes right (2), and drop the rest."""
        kept = side.take(self.order[0])
        left, right = int((kept == 1).sum()), int((kept == 2).sum())
        order = np.empty((len(self.order), left + right), dtype=np.intp)
        for rows in _chunks(*self.order.shape):
            old = self.order[rows]
            to = side.take(old).ravel()
            order[rows, :left] = old.take(np.flatnonzero(to == 1)).reshape(len(old), left)
            order[rows, left:] = old.take(np.flatnonzero(to == 2)).reshape(len(old), right)
        self.order = order

    def _cut(self, level: Summary, alive: Array, tree: Array) -> Cut | None:
        """Cut the nodes `alive` where there is a way to."""
        parts = level.take(alive)
        first = np.cumsum(parts.count) - parts.count
        node = np.repeat(np.arange(len(alive)), parts.count)
        self.criterion.enter(parts, node, self.order[0])
        least = self.limits.min_weight_fraction_leaf * self.root_weight[tree[alive]]
        gain, feature, place = self._search(parts, first, least)
        found = np.flatnonzero(gain > -inf)
        if not len(found):
            return None
        n, N = self.order.shape[1], len(self.leaf)
        here = feature[found] * n + place[found]  # the last that goes left
        below, above = self.order.take(here), self.order.take(here + 1)
        values = [self.items.columns.take(feature[found] * N + item).astype(np.float64) for item in (below, above)]
        threshold = 0.5 * values[0] + 0.5 * values[1]
        position = np.flatnonzero((gain > -inf).take(node))
        node = node.take(position)
        items = self.order.take(feature.take(node) * n + position)
        right = position > place.take(node)
        number = np.cumsum(gain > -inf) - 1
        child = number.take(node) + right * len(found)
        below_level = self.criterion.summary(child, items, 2 * len(found))
        split = alive[found]
        if self.limits.min_impurity_decrease > 0:
            keep = self._decrease(level, below_level, split, tree) >= self.limits.min_impurity_decrease - PURE
            if not keep.any():
                return None
            kept = np.tile(keep, 2)
            stay = kept.take(child)
            items, child = items[stay], (np.cumsum(kept) - 1).take(child[stay])
            split, found, threshold, below_level = split[keep], found[keep], threshold[keep], below_level.take(kept)
        return Cut(split, feature[found], threshold, items, child, below_level)

    def _decrease(self, level: Summary, below: Summary, split: Array, tree: Array) -> Array:
        """By how much each cut lowers the tree's impurity: W/W_root (H - G)."""
        loss = (below.weight * below.impurity).reshape(2, -1).sum(axis=0)
        return (level.weight[split] * level.impurity[split] - loss) / self.root_weight[tree[split]]

    def _search(self, parts: Summary, first: Array, least: Array) -> tuple[Array, Array, Array]:
        """Of each node the best cut's score (-inf if there is none), its feature, and the last position on its left.

        A node's positions begin at `first`; `least` is the weight that either side of its cut must have. A node none of
        whose drawn features can be cut goes on to draw, as in scikit-learn.
        """
        F, nodes = len(self.order), len(first)
        best = np.full(nodes, -inf), np.zeros(nodes, dtype=np.intp), np.zeros(nodes, dtype=np.intp)
        at_once = self.limits.max_features or F
        todo = np.arange(nodes)
        drawn = self.rng.random((nodes, F), dtype=np.float32).argsort(axis=1) if at_once < F else np.arange(F)[None]
        for slot in range(0, F, at_once):
            features = drawn[todo if len(drawn) > 1 else slice(None), slot : slot + at_once].T  # (slots, nodes or 1)
            found = self._best_of(parts.take(todo), first[todo], least[todo], features)
            for all_best, new in zip(best, found, strict=True):
                all_best[todo] = new
            todo = todo[best[0][todo] == -inf]
            if not len(todo):
                break
        return best

    def _best_of(self, parts: Summary, begin: Array, least: Array, features: Array) -> tuple[Array, Array, Array]:
        """As above, of `features` (slots, nodes); a node's positions begin at `begin`."""
        n, N, leaf = self.order.shape[1], len(self.leaf), self.limits.min_samples_leaf
        first = np.cumsum(parts.count) - parts.count
        node = np.repeat(np.arange(len(first)), parts.count)
        rank = np.arange(1, len(node) + 1) - first.take(node)
        position = rank - 1 + begin.take(node)
        segments = Segments(first, node, rank)
        inside = (rank >= leaf) & (parts.count.take(node) - rank >= leaf)
        scores = np.empty((len(features), len(node)))
        for slots in _chunks(*scores.shape):
            feature = features[slots] if features.shape[1] == 1 else features[slots].take(node, axis=1)
            items = self.order.take(feature * n + position)
            x = self.items.columns.take(feature * N + items)
            allowed = np.zeros(x.shape, dtype=bool)
            # ignored are scores of cuts with an empty side, which are not allowed, and differences as good as infinite
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                np.greater(x[:, 1:] - x[:, :-1], EQUAL, out=allowed[:, :-1])
                allowed &= inside
                if self.limits.min_weight_fraction_leaf > 0:
                    left, needed = self.criterion.weight_left(items, segments), least.take(node)
                    allowed &= (left >= needed) & (parts.weight.take(node) - left >= needed)
                score = self.criterion.scores(items, parts, segments)
            scores[slots] = np.where(allowed, score, -inf)
        best = np.maximum.reduceat(scores, first, axis=1)  # (slots, nodes)
        slot = best.argmax(axis=0)
        gain = best.max(axis=0)
        row = np.arange(len(node)) + slot.take(node) * len(node)
        hits = np.flatnonzero(scores.take(row) == gain.take(node))
        place = hits.take(np.searchsorted(node.take(hits), np.arange(len(first))))  # the first of equally good cuts
        feature = features[slot, 0] if features.shape[1] == 1 else features[slot, np.arange(len(first))]
        return gain, feature, position.take(place)


def _chunks(rows: int, length: int) -> list[slice]:
    """Slices of `rows` rows, of about CHUNK numbers each."""
    step = max(1, CHUNK // max(1, length))
    return [slice(first, first + step) for first in range(0, rows, step)]
