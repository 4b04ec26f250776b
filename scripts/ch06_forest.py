"""Chapter 6: a forest of trees, a single tree and gradient boosting on the same classes; what each does, and why.

1. Tree, forest and boosting from `plugins/`: accuracy, precision, recall on rows not learnt from, the mean of several
   splits, scikit-learn's beside them.
2. A forest written out (`grow`): a bootstrap sample, a tree with a few features a cut, a vote; a hundred times. The
   rows that a tree has not seen judge it: the out-of-bag accuracy is known after every tree.
3. Importances: by the decrease of impurity, and by what goes wrong when a column is shuffled.
4. What bagging does to the boundary between the classes, in the plane of the two most important columns.
5. Boosting stage by stage on a regression problem (`ch06_boosting.py`).

Precision and recall are the mean over the classes ("macro").

Sources: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, chapters 10
and 15; L. Breiman, "Random Forests", Machine Learning 45, 2001 (its section 10: importance by shuffling).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_edu.plugins import (
    DecisionTreeClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    train_test_split,
)
from tinygrad_edu.plugins.metrics import accuracy_score, precision_score, recall_score
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_sklearn, ch06_boosting
from tinygrad_edu.scripts import ch06_pictures as pictures
from tinygrad_edu.scripts.beside_sklearn import twin
from tinygrad_edu.scripts.ch03_columns import Preprocessor
from tinygrad_edu.scripts.labelled_table import LabelledTable, labelled_table
from tinygrad_edu.scripts.pictures import confusion

TOLERANCE = 1.0  # points between our mean scores and scikit-learn's
SHUFFLES = 5  # of each column: the mean of what they cost is its importance
VOTES = {"out_of_bag": "out of bag", "test": "test rows"}
NAMES = {"tree": "the single tree", "forest": "the forest", "boosting": "boosting"}


@dataclass
class Args:
    """Grow a forest, and compare it with a single tree and with boosting (chapter 6)."""

    dataset: Literal["breast-cancer", "iris"] = "breast-cancer"
    """One of the sets that come with scikit-learn."""
    data: Path | None = None
    """A CSV file of your own instead; texts become a column for each category, blanks the column's mean."""
    target: str | None = None
    """The column of your file with the classes."""
    trees: int = 100
    """Trees of the forest, and stages of boosting."""
    max_depth: int = 10
    """Questions that a tree asks at most, in the forest and alone; boosting's trees ask 3."""
    max_features: Literal["sqrt", "log2", "all"] = "sqrt"
    """Features that a cut of a tree in the forest may choose from."""
    test_share: float = 0.25
    """Rows that are not learnt from."""
    splits: int = 5
    """Ways to choose these rows, by chance; the figures are the means."""
    compare: beside_sklearn.Compare = "auto"
    """Fit scikit-learn's as well; auto: where it is installed."""


class Part(NamedTuple):
    """Rows to learn from and others to be judged by: X (N, D), y (N,) codes, the names of the D columns."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    columns: tuple[str, ...]


def main(args: Args, run: Run) -> None:
    """Grow, compare, draw."""
    check(args)
    samples = labelled_table(args.dataset, args.data, args.target)
    parts = [part(samples, args.test_share, run.seed + i) for i in range(args.splits)]
    ours, scores = judge(args, run.seed, parts)
    run.result(**scores)
    theirs: list[Any] = []
    if beside_sklearn.wanted(args.compare):
        theirs, their_scores = judge(args, run.seed, parts, ask=twin)
        run.result(**{f"sklearn_{name}": value for name, value in their_scores.items()})
        compare(run, samples, parts, scores, their_scores)
    else:
        run.verdict(f"{told(samples, parts, scores)}. Not compared with scikit-learn.")
    grow(args, run, parts[0])
    draw(run, samples, parts, ours, theirs)
    stage_by_stage(args, run)


def check(args: Args) -> None:
    """Raise ValueError for flags that make no sense."""
    if args.data is not None and args.target is None:
        raise ValueError("forest: --data FILE needs --target COLUMN, the column with the classes")
    for flag in ("trees", "max_depth", "splits"):
        if getattr(args, flag) < 1:
            raise ValueError(f"forest: expected --{flag.replace('_', '-')} of at least 1, got {getattr(args, flag)}")
    if not 0.0 < args.test_share < 1.0:
        raise ValueError(f"forest: expected --test-share between 0 and 1, got {args.test_share}")


def part(samples: LabelledTable, test_share: float, seed: int) -> Part:
    """Cut the rows in two, each class in its share, and make numbers of the columns as the training rows have them."""
    y = samples.codes
    assert y is not None
    train, test = train_test_split(np.arange(len(y)), test_size=test_share, random_state=seed, stratify=y)
    columns = Preprocessor(scale="none").fit(samples.table.take(train))  # for a tree no scale matters
    X, X_test = (columns.transform(samples.table.take(rows)) for rows in (train, test))
    return Part(X, y[train], X_test, y[test], columns.names_)


def grow(args: Args, run: Run, part: Part) -> None:
    """A forest written out, a tree a step of the run, and what the rows that each tree has not seen say of it."""
    X, y, X_test, y_test, _ = part
    rng, classes = np.random.default_rng(run.seed), np.eye(y.max() + 1)  # (K, K): a vote for each class
    unseen_votes, votes, alone = np.zeros((len(X), len(classes))), np.zeros((len(X_test), len(classes))), []
    for _ in run.steps(args.trees):
        bag = rng.integers(len(X), size=len(X))  # the bootstrap sample: N rows, drawn with replacement
        tree = DecisionTreeClassifier(
            max_depth=args.max_depth, max_features=features(args), random_state=int(rng.integers(2**31))
        ).fit(X[bag], y[bag])
        unseen = np.setdiff1d(np.arange(len(X)), bag)  # out of the bag: about a third
        unseen_votes[unseen] += classes[tree.predict(X[unseen])]
        predicted = tree.predict(X_test)
        votes += classes[predicted]  # (M, K)
        known = unseen_votes.any(axis=1)
        alone.append(accuracy_score(y_test, predicted))
        run.log(
            out_of_bag_accuracy=accuracy_score(y[known], unseen_votes[known].argmax(axis=1)) if known.any() else np.nan,
            test_accuracy=accuracy_score(y_test, votes.argmax(axis=1)),
            tree_accuracy=float(np.mean(alone)),
        )
    last = run.metrics.last
    run.result(by_hand_out_of_bag_accuracy=last["out_of_bag_accuracy"], by_hand_test_accuracy=last["test_accuracy"])
    run.verdict(
        f"Written out, on the first split: one of the {args.trees} trees is right in {last['tree_accuracy']:.1%} of "
        f"the test rows, on the mean; their vote in {last['test_accuracy']:.1%}; out of bag, without test rows, in "
        f"{last['out_of_bag_accuracy'] or np.nan:.1%}."
    )


def features(args: Args) -> str | None:
    """`--max-features` as the estimators have it."""
    return None if args.max_features == "all" else args.max_features


def judge(
    args: Args, seed: int, parts: list[Part], ask: Callable[[Any], Any] = lambda ours: ours
) -> tuple[list[Any], dict[str, float]]:
    """The forests of all parts; the mean scores of tree, forest and boosting, and their seconds, over all parts.

    `ask` gives the estimator to use for one of ours: scikit-learn's twin, or ours itself.
    """
    found: dict[str, list[float]] = {}
    forests = []
    for i, (X, y, X_test, y_test, _) in enumerate(parts):
        limits: dict[str, Any] = {"max_depth": args.max_depth, "random_state": seed + i}
        models = {
            "tree": ask(DecisionTreeClassifier(**limits)),
            "forest": ask(RandomForestClassifier(args.trees, max_features=features(args), **limits)),
            "boosting": ask(GradientBoostingClassifier(n_estimators=args.trees, random_state=seed + i)),
        }
        for name, model in models.items():
            begin = time.perf_counter()
            model.fit(X, y)
            seconds = time.perf_counter() - begin
            predicted, mean = model.predict(X_test), {"average": "macro", "zero_division": 0}
            scores = {
                "test_accuracy": accuracy_score(y_test, predicted),
                "test_precision": precision_score(y_test, predicted, **mean),
                "test_recall": recall_score(y_test, predicted, **mean),
                "fit_seconds": seconds,
            }
            for score, value in scores.items():
                found.setdefault(f"{name}_{score}", []).append(value)
        forests.append(models["forest"])
    return forests, {name: float(np.mean(values)) for name, values in found.items()}


def told(samples: LabelledTable, parts: list[Part], scores: dict[str, float]) -> str:
    """The accuracies in words."""
    right = ", ".join(f"{said} {scores[f'{name}_test_accuracy']:.1%}" for name, said in NAMES.items())
    return (
        f"{samples.name}, {len(samples.table)} rows, {len(parts[0].columns)} columns, {len(samples.labels)} classes. "
        f"Right on test rows, the mean of {len(parts)} splits: {right}"
    )


def compare(
    run: Run, samples: LabelledTable, parts: list[Part], ours: dict[str, float], theirs: dict[str, float]
) -> None:
    """Say how the scores stand beside scikit-learn's."""
    right = ", ".join(f"{theirs[f'{name}_test_accuracy']:.1%}" for name in NAMES)
    apart = {name: 100.0 * abs(ours[name] - theirs[name]) for name in ours if not name.endswith("seconds")}
    worst = max(apart, key=lambda name: apart[name])
    close = "within" if apart[worst] <= TOLERANCE else "NOT within"
    run.verdict(
        f"{told(samples, parts, ours)}; scikit-learn's, same splits and settings: {right}. Accuracies, precisions and "
        f"recalls are at most {apart[worst]:.2f} points apart ({worst}), {close} the {TOLERANCE:g} point allowed (each "
        "library draws its own random numbers)."
    )


def shuffled(model: Any, X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """What shuffling a column costs of the accuracy, the mean of some times: (D,)."""
    rng, whole = np.random.default_rng(seed), accuracy_score(y, model.predict(X))
    costs = np.zeros(X.shape[1])
    for column in range(X.shape[1]):
        for _ in range(SHUFFLES):
            other = X.copy()
            other[:, column] = rng.permutation(X[:, column])
            costs[column] += (whole - accuracy_score(y, model.predict(other))) / SHUFFLES
    return costs


def draw(run: Run, samples: LabelledTable, parts: list[Part], ours: list[Any], theirs: list[Any]) -> None:
    """The pictures of the report, but for the regression problem; `ours` and `theirs`: the forests of all parts."""
    part, forest = parts[0], ours[0]
    votes = {f"vote, {said}": run.history(f"{name}_accuracy") for name, said in VOTES.items()}
    run.figure(
        "trees",
        pictures.trees(votes, run.metrics.last["tree_accuracy"] or np.nan),
        "A vote of more and more trees. Out of bag: each training row is judged by the trees alone that have not seen "
        "it; that follows the accuracy on test rows, and costs none of them.",
    )
    matrix = confusion(part.y_test, forest.predict(part.X_test), samples.labels)
    run.figure("confusion", matrix, "The forest on the test rows of the first split.")
    if len({part.columns for part in parts}) == 1:  # else a rare category is in some training parts only
        sides = {"ours": ours, "scikit-learn": theirs} if theirs else {"ours": ours}
        shares = {name: np.mean([f.feature_importances_ for f in forests], axis=0) for name, forests in sides.items()}
        costs = np.stack([shuffled(f, part.X_test, part.y_test, run.seed) for f, part in zip(ours, parts, strict=True)])
        run.figure(
            "importances",
            pictures.importances(shares, costs, part.columns),
            "The most important columns, the mean of all splits. Left: the share of the impurity's decrease that cuts "
            "by it brought, while learning. Right: what the forest loses on test rows when the column is shuffled. "
            "The lines are the deviation among the splits. Where columns say nearly the same, shuffling one costs "
            "little: the others stand in for it.",
        )
    two = np.argsort(-forest.feature_importances_, kind="stable")[:2]
    if len(two) == 2:
        run.figure(
            "boundary",
            pictures.boundary(part.X[:, two], part.y, [part.columns[i] for i in two], samples.labels, run.seed),
            "What bagging does to the boundary, in the two most important columns. Each tree has seen another sample "
            "of the rows, and cuts off single ones: other rows would make another tree. The mean of many is calmer.",
        )


def stage_by_stage(args: Args, run: Run) -> None:
    """Boosting on a curve, and the forest on the same: drawn, compared, and the difference said."""
    data = ch06_boosting.problem(run.seed)
    stages = list(ch06_boosting.boost(data))
    errors = ch06_boosting.errors(data, stages)
    of_forest, of_boosting = errors["forest, new samples"], errors["boosting, new samples"]
    best = int(of_boosting.argmin())
    run.result(curve_boosting_mse=of_boosting[-1], curve_best_boosting_mse=of_boosting[best])
    run.result(curve_forest_mse=of_forest[-1], curve_best_boosting_trees=best + 1)
    if beside_sklearn.wanted(args.compare):
        run.result(sklearn_curve_boosting_mse=ch06_boosting.sklearn_error(data))
    run.verdict(
        "A forest grows its trees side by side: each on its own sample of the rows, deep, and wrong in its own way. "
        "Their mean takes the chance out (less variance), and more trees never do harm."
    )
    run.verdict(
        "Boosting grows its trees one after the other: each is small, and learns what the sum of those before it still "
        "gets wrong (less bias). Too many of them learn the noise as well: on the curve the squared error on new "
        f"samples is lowest after {best + 1} trees, {of_boosting[best]:.3f}, and {of_boosting[-1]:.3f} after "
        f"{len(of_boosting)}; the forest's, with as many, is {of_forest[-1]:.3f}."
    )
    run.figure(
        "boosting",
        pictures.stages(data, [stage for stage in stages if stage.trees in ch06_boosting.SHOWN]),
        "Boosting stage by stage on y = x sin x with noise. Left: the sum so far. Right: what it leaves over, and the "
        f"tree that is fitted to that; {ch06_boosting.RATE:g} of it is added to the sum.",
    )
    caption = "The squared error by the number of trees; on new samples none can be less than the noise's variance."
    run.figure("errors", pictures.errors(errors, ch06_boosting.NOISE**2), caption)
