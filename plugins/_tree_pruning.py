"""Cutting a tree back, weakest link first: minimal cost-complexity pruning.

With R(t) = W_t/W H(t) the impurity that node t would leave as a leaf, R(T_t) that of the leaves below it and |T_t|
their number, a leaf costing α, it pays to cut at t as soon as R(t) + α <= R(T_t) + α |T_t|, that is from

    g(t) = (R(t) - R(T_t)) / (|T_t| - 1)

on. Cutting at the node of the smallest g, again and again, passes through the best trees for every α.

The other way to keep a tree small is to stop early: `first_leaves` keeps those cuts that lower the impurity most.

Source: L. Breiman, J. Friedman, R. Olshen, C. Stone, "Classification and Regression Trees", 1984, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

import numpy as np

from tinygrad_edu.plugins._tree import Tree
from tinygrad_edu.plugins._tree_criteria import Array


class PruningPath(NamedTuple):
    """Of each tree on the way from the full one to the root alone: from which price on, and what impurity it leaves."""

    ccp_alphas: Array
    impurities: Array


def prune(tree: Tree, alpha: float) -> Tree:
    """The smallest tree that minimises R(T) + alpha |T|."""
    leaf = tree.feature < 0
    for weakest, node, _ in _cuts(tree):
        if weakest > alpha:
            break
        leaf[node] = True
    return _cut_at(tree, leaf)


def first_leaves(tree: Tree, most: int) -> Tree:
    """What a tree grows to if that leaf is cut next whose cut lowers the impurity most, until it has `most` leaves.

    Where a node is cut does not depend on when: the whole tree has all the cuts, and what is left is to choose.
    """
    loss, inner = _loss(tree), tree.feature >= 0
    decrease = loss - loss[tree.children].sum(axis=1)  # of inner nodes
    leaf = np.ones(len(tree), dtype=bool)
    waiting = [(-decrease[0], 0)] if inner[0] else []
    for _ in range(most - 1):
        if not waiting:
            break
        _, node = heappop(waiting)
        leaf[node] = False
        for child in tree.children[node]:
            if inner[child]:
                heappush(waiting, (-decrease[child], int(child)))
    return _cut_at(tree, leaf)


def _cut_at(tree: Tree, leaf: Array) -> Tree:
    """The tree with the nodes `leaf` (nodes,) as leaves, and nothing below them."""
    inside, size = np.ones(len(tree), dtype=bool), _sizes(tree)
    for node in np.flatnonzero(leaf & (tree.feature >= 0)):
        inside[node + 1 : node + size[node]] = False  # depth first: what is below a node follows it
    number = np.cumsum(inside) - 1
    own = np.flatnonzero(inside)
    kept = {name: getattr(tree, name)[own] for name in ("value", "impurity", "count", "weight")}
    cut = replace(
        tree,
        feature=np.where(leaf, -1, tree.feature)[own],
        threshold=np.where(leaf, np.nan, tree.threshold)[own],
        children=number[np.where(leaf[:, None], np.arange(len(tree))[:, None], tree.children)[own]],
        **kept,
    )
    return replace(cut, depth=_depth(cut))


def pruning_path(tree: Tree) -> PruningPath:
    """All the prices at which the tree loses leaves."""
    steps = [(0.0, float(_loss(tree)[tree.feature < 0].sum()))]
    steps += [(alpha, impurity) for alpha, _, impurity in _cuts(tree)]
    alphas, impurities = np.array(steps).T
    return PruningPath(alphas, impurities)


def _cuts(tree: Tree) -> Iterator[tuple[float, int, float]]:
    """One cut after the other: its g, its node, and the impurity of the tree that it leaves."""
    loss, size = _loss(tree), _sizes(tree)
    leaves, below = (tree.feature < 0).astype(int), np.where(tree.feature < 0, loss, 0.0)
    parent = np.full(len(tree), -1)
    for node in np.flatnonzero(tree.feature >= 0)[::-1]:  # children have larger numbers
        left, right = tree.children[node]
        parent[[left, right]] = node
        leaves[node], below[node] = leaves[left] + leaves[right], below[left] + below[right]
    g = np.where(leaves > 1, (loss - below) / np.maximum(leaves - 1, 1), inf)
    while leaves[0] > 1:
        node = int(g.argmin())
        weakest = float(g[node])
        g[node : node + size[node]] = inf
        fewer, more = leaves[node] - 1, loss[node] - below[node]
        leaves[node], below[node] = 1, loss[node]
        above = parent[node]
        while above >= 0:
            leaves[above] -= fewer
            below[above] += more
            g[above] = (loss[above] - below[above]) / (leaves[above] - 1)
            above = parent[above]
        yield weakest, node, float(below[0])


def _loss(tree: Tree) -> Array:
    return tree.weight / tree.weight[0] * tree.impurity


def _sizes(tree: Tree) -> Array:
    """The number of nodes from each one down."""
    size = np.ones(len(tree), dtype=np.intp)
    for node in np.flatnonzero(tree.feature >= 0)[::-1]:
        size[node] += size[tree.children[node]].sum()
    return size


def _depth(tree: Tree) -> int:
    depth = np.zeros(len(tree), dtype=np.intp)
    for node in np.flatnonzero(tree.feature >= 0):
        depth[tree.children[node]] = depth[node] + 1
    return int(depth.max())
