"""A grown decision tree: its nodes as arrays, which leaf a sample falls into, and what each feature was good for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_edu.plugins._tree_criteria import Array, Summary

BLOCK = 1 << 17  # numbers of X that are looked at over and over before the next ones: they stay in the cache


@dataclass
class Tree:
    """Nodes in depth-first order, as scikit-learn numbers them; `feature` of a leaf is -1, its children are itself."""

    feature: Array  # (nodes,)
    threshold: Array  # (nodes,): x <= threshold goes left
    children: Array  # (nodes, 2): left and right
    value: Array  # (nodes, K): the classes' shares, or (nodes, 1): the mean
    impurity: Array  # (nodes,)
    count: Array  # (nodes,): samples seen in training
    weight: Array  # (nodes,): their weight
    depth: int

    def __len__(self) -> int:
        return len(self.feature)

    def apply(self, X: Array) -> Array:
        """The number of the leaf that each sample falls into: (n, F) float32 -> (n,)."""
        out = np.empty(len(X), dtype=np.intp)
        feature, children, flat = np.maximum(self.feature, 0), self.children.ravel(), X.ravel()
        rows = max(1, BLOCK // X.shape[1])
        for first in range(0, len(X), rows):
            start = np.arange(first, min(first + rows, len(X))) * X.shape[1]
            node = np.zeros(len(start), dtype=np.intp)
            for _ in range(self.depth):
                right = flat.take(start + feature.take(node)) > self.threshold.take(node)
                node = children.take(2 * node + right)
            out[first : first + rows] = node
        return out

    def gains(self, features: int) -> Array:
        """By how much the cuts by each feature lower the tree's impurity: (F,). Breiman et al., 5.3.4."""
        inner = np.flatnonzero(self.feature >= 0)
        loss = self.weight / self.weight[0] * self.impurity
        gain = loss[inner] - loss[self.children[inner]].sum(axis=1)
        return np.bincount(self.feature[inner], gain, minlength=features)

    def importances(self, features: int) -> Array:
        """The gains as shares of their sum (or all 0): (F,)."""
        return shares(self.gains(features))


class Trees:
    """The nodes of several trees in a row, so that all are asked at once: quick where trees are many and small."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        sizes = [len(tree) for tree in trees]
        self.roots = np.cumsum(sizes) - sizes
        self.feature = np.concatenate([np.maximum(tree.feature, 0) for tree in trees])
        self.threshold = np.concatenate([tree.threshold for tree in trees])
        self.children = np.concatenate([tree.children + root for tree, root in zip(trees, self.roots, strict=True)])
        self.value = np.concatenate([tree.value[:, 0] for tree in trees])
        self.depth = max(tree.depth for tree in trees)

    def values(self, X: Array) -> Iterator[tuple[slice, Array]]:
        """A few rows at a time, which ones, and every tree's value for each: (n, F) float32 -> (rows, trees)."""
        rows, flat, children = max(1, BLOCK // len(self.roots)), X.ravel(), self.children.ravel()
        for first in range(0, len(X), rows):
            part = slice(first, min(first + rows, len(X)))
            start = np.arange(part.start, part.stop)[:, None] * X.shape[1]
            node: Array = np.repeat(self.roots[None], len(start), axis=0)
            for _ in range(self.depth):
                right = flat.take(start + self.feature.take(node)) > self.threshold.take(node)
                node = children.take(2 * node + right)
            yield part, self.value.take(node)


def shares(parts: Array) -> Array:
    """`parts` divided by their sum, or all 0 where that is 0."""
    return parts / parts.sum() if parts.sum() > 0 else parts


def to_trees(levels: list[tuple[Array, Array, Array, Summary, Array]], leaf: Array) -> tuple[list[Tree], Array]:
    """Nodes as they grew, level by level, as trees; `leaf` (items,), a node's number there, becomes that in its tree.

    With `size[v]` nodes below v and v itself, depth-first numbers are v's own plus 1 for the left child, and plus 1 and
    the left child's size for the right one.
    """
    feature, threshold, children = (np.concatenate([level[i] for level in levels]) for i in range(3))
    count, weight, value, impurity = (
        np.concatenate([getattr(level[3], name) for level in levels])
        for name in ("count", "weight", "value", "impurity")
    )
    tree = np.concatenate([level[4] for level in levels])
    ends = np.cumsum([len(level[0]) for level in levels])
    inner = [np.flatnonzero(level[0] >= 0) + end - len(level[0]) for level, end in zip(levels, ends, strict=True)]
    size, number, depth = np.ones_like(tree), np.zeros_like(tree), np.zeros_like(tree)
    for nodes in reversed(inner):
        size[nodes] += size[children[nodes]].sum(axis=1)
        depth[nodes] = 1 + depth[children[nodes]].max(axis=1)
    trees = int(ends[0])
    begin = np.cumsum(size[:trees]) - size[:trees]
    number[:trees] = begin
    for nodes in inner:
        left, right = children[nodes].T
        number[left] = number[nodes] + 1
        number[right] = number[nodes] + 1 + size[left]
    place = np.argsort(number)
    children = (number - begin[tree])[children]

    arrays = {"feature": feature, "threshold": threshold, "children": children, "value": value}
    arrays |= {"impurity": impurity, "count": count, "weight": weight}

    def cut(t: int) -> Tree:
        own = place[begin[t] : begin[t] + size[t]]
        return Tree(
            **{name: array[own] for name, array in arrays.items()},
            depth=int(depth[t]),
        )

    return [cut(t) for t in range(trees)], (number - begin[tree])[leaf]
