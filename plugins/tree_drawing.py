"""A decision tree for people: in words (`tree_text`) and drawn (`tree_svg`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from tinygrad_edu.plugins._tree import Tree

WIDTH, HEIGHT, GAP = 150, 44, 28  # of a node's box, and of the room between two levels, in pixels


def tree_text(estimator: Any, *, feature_names: Sequence[str] | None = None, decimals: int = 2) -> str:
    """The rules of a fitted decision tree, one a line, as scikit-learn's `export_text` prints them.

    >>> from tinygrad_edu.plugins import DecisionTreeClassifier
    >>> print(tree_text(DecisionTreeClassifier().fit([[1.0], [3.0]], ["cat", "dog"]), feature_names=["weight"]))
    |--- weight <= 2.00
    |   |--- class: cat
    |--- weight >  2.00
    |   |--- class: dog
    <BLANKLINE>
    """
    tree, names, answer = _read(estimator, feature_names, decimals)

    def lines() -> Iterator[str]:
        todo = [(0, 0, "")]  # node, depth, the question that led here; a stack, as trees may be deeper than recursion
        while todo:
            node, depth, question = todo.pop()
            if question:
                yield "|   " * (depth - 1) + "|--- " + question
            if tree.feature[node] < 0:
                yield "|   " * depth + "|--- " + answer(node)
                continue
            name, threshold = names[tree.feature[node]], f"{tree.threshold[node]:.{decimals}f}"
            left, right = map(int, tree.children[node])
            todo += [(right, depth + 1, f"{name} >  {threshold}"), (left, depth + 1, f"{name} <= {threshold}")]

    return "\n".join(lines()) + "\n"


def tree_svg(estimator: Any, *, feature_names: Sequence[str] | None = None, decimals: int = 2) -> str:
    """A picture of a fitted decision tree, as the text of an SVG file. At each node: yes is left, no is right."""
    tree, names, answer = _read(estimator, feature_names, decimals)
    depth, column = [0] * len(tree), [0.0] * len(tree)
    leaves = 0
    for node in range(len(tree)):  # a parent comes before its children
        if tree.feature[node] < 0:
            column[node] = leaves
            leaves += 1
        else:
            for child in tree.children[node]:
                depth[child] = depth[node] + 1
    for node in reversed(range(len(tree))):
        if tree.feature[node] >= 0:
            column[node] = sum(column[child] for child in tree.children[node]) / 2
    shapes = []
    for node in range(len(tree)):
        x, y = column[node] * (WIDTH + 10) + 5, depth[node] * (HEIGHT + GAP) + 5
        inner = tree.feature[node] >= 0
        for child in tree.children[node] if inner else ():
            end = column[child] * (WIDTH + 10) + 5 + WIDTH / 2
            shapes.append(
                f'<line x1="{x + WIDTH / 2:.0f}" y1="{y + HEIGHT}" x2="{end:.0f}" y2="{y + HEIGHT + GAP}" '
                'stroke="#888"/>'
            )
        first = f"{names[tree.feature[node]]} ≤ {tree.threshold[node]:.{decimals}f}" if inner else answer(node)
        second = f"{int(tree.count[node])} samples, impurity {tree.impurity[node]:.{decimals}f}"
        shapes.append(
            f'<rect x="{x:.0f}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{"#eef" if inner else "#efe"}" '
            f'stroke="#888"/><text x="{x + WIDTH / 2:.0f}" y="{y + 18}">{escape(first)}</text>'
            f'<text x="{x + WIDTH / 2:.0f}" y="{y + 34}" fill="#666">{escape(second)}</text>'
        )
    size = f'width="{leaves * (WIDTH + 10)}" height="{(tree.depth + 1) * (HEIGHT + GAP)}"'
    text = 'font-family="sans-serif" font-size="11" text-anchor="middle"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {text}>', *shapes, "</svg>\n"])


def _read(
    estimator: Any, feature_names: Sequence[str] | None, decimals: int
) -> tuple[Tree, Sequence[str], Callable[[int], str]]:
    """The tree, its features' names, and a function that says what a leaf answers."""
    estimator._check_fitted()
    tree, count = estimator.tree_, estimator.n_features_in_
    names = getattr(estimator, "feature_names_in_", None) if feature_names is None else feature_names
    names = [f"feature_{i}" for i in range(count)] if names is None else list(names)
    if len(names) != count:
        raise ValueError(f"feature_names must contain {count} elements, got {len(names)}")

    def answer(node: int) -> str:
        if hasattr(estimator, "classes_"):
            return f"class: {estimator.classes_[tree.value[node].argmax()]}"
        return f"value: [{tree.value[node, 0]:.{decimals}f}]"

    return tree, names, answer
