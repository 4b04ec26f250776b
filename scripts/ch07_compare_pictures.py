"""The pictures of chapter 7's comparison: two sources side by side, two losses, gradients, times."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.scripts.pictures import Series, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = tuple[str | None, str | None, bool]  # a line of each side, and whether they are equal

WIDTH, HEIGHT = 7.3, 17  # pixels of a letter and a line, 12 px monospaced


def code(*objects: Any) -> list[str]:
    """The lines of functions and classes, without comments and docstrings, in one way of writing."""
    lines: list[str] = []
    for thing in objects:
        tree = ast.parse(dedent(inspect.getsource(thing)))
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        lines += [*ast.unparse(tree).splitlines(), ""]
    return lines[:-1]


def rows(left: Sequence[str], right: Sequence[str]) -> list[Row]:
    """Two texts in rows: a line of each, None where one has nothing to set against it; and whether they are equal."""
    found: list[Row] = []
    for what, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for i in range(max(b - a, d - c)):
            pair = left[a + i] if a + i < b else None, right[c + i] if c + i < d else None
            found.append((*pair, what == "equal"))
    return found


def side_by_side(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """An SVG with the sources of ours (left) and theirs (right); lines that differ are set off."""
    table = rows(code(*ours), code(*theirs))
    columns = [max(len(line or "") for line in side) * WIDTH + 24 for side in list(zip(*table, strict=True))[:2]]
    width, height = sum(columns), HEIGHT * (len(table) + 2) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="monospace" '
        'font-size="12" xml:space="preserve">',
        f'<rect width="{width:.0f}" height="{height}" fill="#fff"/>',
    ]
    starts = (12.0, 12.0 + columns[0])
    for x, title in zip(starts, ("tinygrad_edu", "torch"), strict=True):
        parts.append(f'<text x="{x:.0f}" y="{HEIGHT}" font-weight="bold">{title}</text>')
    for i, (left, right, same) in enumerate(table):
        y = HEIGHT * (i + 2.5)
        for x, column, text in zip(starts, columns, (left, right), strict=True):
            if not same:
                at = f'x="{x - 6:.0f}" y="{y - 13:.1f}" width="{column - 12:.0f}" height="{HEIGHT}"'
                parts.append(f'<rect {at} fill="{"#fff3d6" if text is not None else "#eee"}"/>')
            if text:
                parts.append(f'<text x="{x:.0f}" y="{y:.1f}">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>"])


def losses(lines: Mapping[str, Series]) -> Figure:
    """Two losses over the steps, and their difference on a logarithmic axis."""
    figure = new_figure(10.0, 3.4)
    left, right = figure.subplots(1, 2)
    (_, first), (_, second) = lines.values()
    for (label, (steps, values)), style in zip(lines.items(), ("-", "--"), strict=True):
        left.plot(steps, values, style, linewidth=1.0, label=label)
    left.set(title="loss, nats", xlabel="step", yscale="log")
    left.legend()
    difference = np.abs(np.array(first, float) - np.array(second, float))
    right.plot(steps, np.maximum(difference, 1e-9), ".", markersize=2)
    right.set(title="difference of the losses", xlabel="step", yscale="log")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    return figure


def gradients(differences: Mapping[str, Mapping[str, float]]) -> Figure:
    """A bar for each parameter and each time: the relative difference, on a logarithmic axis."""
    names = list(next(iter(differences.values())))
    figure = new_figure(8.0, 1.2 + 0.4 * len(names))
    ax: Any = figure.subplots()
    height = 0.8 / len(differences)
    for i, (when, found) in enumerate(differences.items()):
        places = np.arange(len(names)) + (i - (len(differences) - 1) / 2) * height
        ax.barh(places, [max(found[name], 1e-9) for name in names], height=height, label=when)
    ax.axvline(2.0**-24, color="black", linewidth=1.0, linestyle=":", label="float32's rounding, 6e-8")
    ax.set(
        yticks=range(len(names)), xscale="log", xlim=(1e-9, 1e-3), xlabel="difference / largest number of the gradient"
    )
    ax.set_yticklabels(names)
    ax.invert_yaxis()
    ax.grid(alpha=0.3, axis="x")
    ax.legend(fontsize=8)
    return figure


def times(sides: Mapping[str, Sequence[float | None]]) -> Figure:
    """The distribution of a step's milliseconds, each side's median marked."""
    figure = new_figure(8.0, 2.8)
    ax: Any = figure.subplots()
    values = {name: np.array(found, float) for name, found in sides.items()}
    most = 3.0 * float(max(np.median(found) for found in values.values()))  # the few that were interrupted stay out
    for i, (name, found) in enumerate(values.items()):
        ax.hist(found, bins=np.linspace(0.0, most, 80), alpha=0.6, color=f"C{i}", label=name)
        ax.axvline(np.median(found), color=f"C{i}", linewidth=1.5, label=f"median {np.median(found):.3g} ms")
    ax.set(xlabel="milliseconds a step", ylabel="steps", xlim=(0.0, most))
    ax.legend(fontsize=8)
    return figure
