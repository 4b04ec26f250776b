"""The page on what chapter 3's preprocessor did to each column: a table, and histograms before and after."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.data.table import Table
from tinygrad_edu.scripts.ch03_columns import BLANK, Done, Preprocessor
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 5  # columns of the table in a figure
MOST_BARS = 12


def steps(preprocessor: Preprocessor) -> str:
    """A line of HTML for each column that went in: what was missing, what was put there, and the formula."""
    rows = [("column", "missing", "what was done", "columns out")]
    for done in preprocessor.done_:
        if done.filled is None:
            kinds = ", ".join(f"{done.name}_{category}" for category in done.categories)
            rows.append(
                (
                    done.name,
                    f"{done.missing}",
                    f"1 where a row has the category, else 0: {kinds}",
                    str(len(done.categories)),
                )
            )
        else:
            filled = f"missing ones became the mean, {done.filled:.6g}" if done.missing else "nothing to fill in"
            rows.append((done.name, f"{done.missing}", f"{filled}; {formula(done)}", "1"))
    whole = ' style="white-space: nowrap"'  # a column's name is not broken
    head, *body = (
        "".join(f"<td{whole if k < 2 else ''}>{escape(cell)}</td>" for k, cell in enumerate(row)) for row in rows
    )
    lines = "".join(f"<tr>{line}</tr>" for line in body)
    return (
        f"<div><table><thead><tr>{head.replace('<td', '<th').replace('/td>', '/th>')}</tr></thead>{lines}</table></div>"
    )


def formula(done: Done) -> str:
    """What became of a number.

    >>> formula(Done("area", 0, filled=1.0, shift=-2.5, scale=10.0))
    'z = (x + 2.5) / 10'
    """
    if (done.shift, done.scale) == (0.0, 1.0):
        return "then left as it is"
    return f"z = (x {'-' if done.shift >= 0.0 else '+'} {abs(done.shift):.6g}) / {done.scale:.6g}"


def columns(
    train: Table, test: Table, preprocessor: Preprocessor, x_train: np.ndarray, x_test: np.ndarray
) -> Iterator[Figure]:
    """Figures with a row for each column: histogram before and after, or how often each category occurs and its share.

    Both parts are drawn as shares of their own rows, so that they can be compared.
    """
    names = preprocessor.numbers_ + preprocessor.texts_
    for start in range(0, len(names), ROWS):
        some = names[start : start + ROWS]
        figure = new_figure(9.0, 2.1 * len(some))
        for (left, right), name in zip(figure.subplots(len(some), 2, squeeze=False), some, strict=True):
            if name in preprocessor.numbers_:
                k = preprocessor.numbers_.index(name)
                done = next(done for done in preprocessor.done_ if done.name == name)
                histogram(left, train[name], test[name], f"{name}: {done.missing} of {len(train)} missing")
                histogram(right, x_train[:, k], x_test[:, k], formula(done))
            else:
                shares(left, right, name, train[name], test[name])
        yield figure


def histogram(ax: Any, train: np.ndarray, test: np.ndarray, title: str) -> None:
    """Both parts of a column of numbers, missing ones left out."""
    train, test = train[~np.isnan(train)], test[~np.isnan(test)]
    edges = np.histogram_bin_edges(train, bins=30)
    for values, colour, filled in ((train, "C0", True), (test, "C3", False)):
        weights = np.full(len(values), 1.0 / max(1, len(values)))
        kind = {"histtype": "stepfilled", "alpha": 0.5} if filled else {"histtype": "step"}
        ax.hist(values, bins=edges, weights=weights, color=colour, **kind)
    ax.set_title(title, fontsize=9)
    ax.tick_params(labelsize=8)


def shares(left: Any, right: Any, name: str, train: np.ndarray, test: np.ndarray) -> None:
    """The categories of a column of texts, the most frequent first, and the 0s and 1s of its first rows."""
    found, counts = np.unique(np.where(train == "", BLANK, train).astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_BARS]
    shown = found[order]
    places = np.arange(len(shown))
    of_test = [(np.where(test == "", BLANK, test) == category).mean() if len(test) else 0.0 for category in shown]
    left.barh(places - 0.2, counts[order] / len(train), 0.4, color="C0", alpha=0.5)
    left.barh(places + 0.2, of_test, 0.4, color="C3", alpha=0.7)
    left.set_yticks(places, shown)
    left.invert_yaxis()
    left.set_title(f"{name}: {len(found)} categories", fontsize=9)
    first = np.where(train == "", BLANK, train)[:12]
    right.imshow((first[:, None] == shown).T, cmap="Blues", aspect="auto", vmin=0.0, vmax=1.5)
    right.set_yticks(places, shown)
    right.set_title(f"{name} of the first {len(first)} rows, one column each: blue is 1", fontsize=9)
    right.set_xticks([])
    for ax in (left, right):
        ax.tick_params(labelsize=8)
