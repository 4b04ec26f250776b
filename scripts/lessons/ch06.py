"""Chapter 6's lessons: many trees instead of one, side by side (a forest) or one after the other (boosting).

Sources: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, sections 8.7
(bagging), 10.3 and 10.10 (boosting), 15.2 (random forests); L. Breiman, "Random Forests", Machine Learning 45, 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.plugins import GradientBoostingRegressor, RandomForestClassifier, train_test_split
from tinygrad_edu.scripts.lessons.in_text import beside, plane

# Lesson 6.3: eight points, the share of each step that is taken, how many steps
X = np.arange(1.0, 9.0)
Y = np.array([1.0, 2.0, 6.0, 8.0, 8.0, 7.0, 3.0, 5.0])
RATE, ROUNDS = 0.5, 20


def settings() -> None:
    """A RandomForestClassifier: what the number of trees, of features a cut may choose from, and the depth each do.

    The estimator is in `plugins/forest.py`; the project is `tinygrad-edu run forest`.
    """
    data = halves("digits")
    print(
        "Handwritten digits, 898 to learn from and 899 to be judged by, 64 grey levels of each. A forest is as good as"
    )
    print("its trees are, and as they differ: of an error that all make no vote can rid it. So, in per cent:\n")
    print("  forest   right by the forest's vote\n  tree     right by one of its trees, on the mean")
    print("  alike    how often two of its trees say the same\n")
    columns = f"{'forest':>26}{'tree':>9}{'alike':>9}"
    defaults: dict[str, Any] = {"n_estimators": 100, "max_features": "sqrt", "max_depth": None}
    for name, values, what in (
        ("n_estimators", (1, 3, 10, 30, 100), "more trees: better, and ever less so; what they cost is time"),
        ("max_features", (1, "sqrt", 32, None), "fewer features a cut: worse trees, but less alike (sqrt 8, None 64)"),
        (
            "max_depth",
            (1, 3, 6, None),
            "deeper trees: better ones; where they err each errs in its own way, which the vote mends",
        ),
    ):
        print(f"{name:>14}{columns}")
        for value in values:
            forest, tree, alike = measured(data, {**defaults, name: value})
            print(f"  {value!s:>12}{100 * forest:>26.1f}{100 * tree:>9.1f}{100 * alike:>9.1f}")
        print(f"  {what}\n")


def halves(name: str) -> list[np.ndarray]:
    """One of scikit-learn's bundled sets in two halves: X_train, X_test, y_train, y_test."""
    datasets: Any = require("sklearn.datasets", extra="viz")
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return train_test_split(X, y, train_size=len(y) // 2, random_state=0)


def measured(data: list[np.ndarray], settings: dict[str, Any]) -> tuple[float, float, float]:
    """The share that a forest of these settings gets right, that one of its trees does, that two trees agree on."""
    train, test, y_train, y_test = data
    forest = RandomForestClassifier(**settings, random_state=0).fit(train, y_train)
    said = votes(forest, test)  # (B, N)
    B, counts = len(said), np.stack([(said == k).sum(axis=0) for k in forest.classes_])  # (K, N)
    pairs = (counts * (counts - 1)).sum(axis=0)  # of trees that agree, each pair twice
    alike = pairs.mean() / (B * (B - 1)) if B > 1 else 1.0
    return forest.score(test, y_test), float((said == y_test).mean()), float(alike)


def votes(forest: Any, X: np.ndarray) -> np.ndarray:
    """The class that each tree names, (B, N): the trees know the classes by their numbers."""
    return np.stack([tree.predict_proba(X).argmax(axis=1) for tree in forest.estimators_])


def majority_vote() -> None:
    """The majority vote: trees that disagree, the vote's arithmetic, and why real trees gain less than it promises."""
    datasets: Any = require("sklearn.datasets", extra="viz")
    species = datasets.load_iris().target_names
    train, test, y_train, y_test = halves("iris")
    forest = RandomForestClassifier(5, max_depth=2, max_samples=20, random_state=10).fit(train, y_train)
    said = votes(forest, test)  # (5, 75)
    winners = majority(said)
    print("Five small trees on iris. Of 75 flowers that they have not seen, those on which two or more are outvoted:\n")
    print("  flower   " + "".join(f"tree {t + 1:<7}" for t in range(5)) + "majority    truth")
    for n in np.flatnonzero((said != winners).sum(axis=0) > 1):
        names = "".join(f"{species[k]:<12}" for k in (*said[:, n], winners[n], y_test[n]))
        print(f"  {n:<9}{names.rstrip()}")
    alone = (said == y_test).mean(axis=1)
    print(f"\n  right: {'  '.join(f'{share:.1%}' for share in alone)} alone, ", end="")
    print(f"{(winners == y_test).mean():.1%} by majority")
    print("  (RandomForestClassifier.predict adds the shares in the leaves instead of whole votes: nearly the same.)\n")
    print("If B voters are right with probability p each, and independent, their majority is right with probability")
    print("Σ over k > B/2 of C(B, k) pᵏ (1 - p)ᴮ⁻ᵏ:\n")
    sizes = (1, 3, 5, 11, 25, 101)
    print("  B =     " + "".join(f"{B:>8}" for B in sizes))
    for p in (0.4, 0.5, 0.6, 0.7, 0.9):
        print(f"  p = {p:g} " + "".join(f"{majority_right(B, p):>8.3f}" for B in sizes))
    dependent()


def majority(said: np.ndarray) -> np.ndarray:
    """The class that most of the trees name, of several the first: (B, N) -> (N,)."""
    counts = np.stack([(said == k).sum(axis=0) for k in range(said.max() + 1)])  # (K, N)
    return counts.argmax(axis=0)


def majority_right(B: int, p: float) -> float:
    """How likely more than half of B independent voters, an odd number, are right."""
    return sum(comb(B, k) * p**k * (1 - p) ** (B - k) for k in range(B // 2 + 1, B + 1))


def dependent() -> None:
    """Print what the vote of real trees gains beside what independent ones would."""
    train, test, y_train, y_test = halves("breast_cancer")
    said = votes(RandomForestClassifier(101, random_state=0).fit(train, y_train), test)
    right = said == y_test
    p, together = right.mean(), (majority(said) == y_test).mean()
    alone = majority_right(101, p)
    print(f"\nA forest of 101 trees on breast cancer: one tree is right in {p:.1%}, 101 independent ones would be in")
    print(
        f"{alone:.1%}, these are in {together:.1%}. They have learnt from the same tumours, and those that are hard for"
    )
    print("one are hard for all: that is why a forest does all it can to make its trees differ.")


class Step(NamedTuple):
    """A round of boosting: what was left, the cut, the means on both sides of it, the sum afterwards."""

    residual: np.ndarray
    cut: float
    left: float
    right: float
    F: np.ndarray


def boosting() -> None:
    """Gradient boosting for a regression problem: every number of two rounds, then the curve as it forms.

    The estimator is in `plugins/boosting.py`, its formulas for other losses too.
    """
    print(
        "Eight points (x, y). The model F is a sum, and begins with the best constant, the mean of y. Each round looks"
    )
    print(
        "at what is left, the residual r = y - F: of the loss (y - F)²/2 that is the negative gradient -∂L/∂F, the way"
    )
    print("in which F should go. A small tree, here with a single cut, is fitted to r, and a share ν of it is added:\n")
    print("  F ← F + ν tree(x)          a steepest descent, whose steps are trees\n")
    print(f"ν = {RATE}. The tree cuts where the squared error of r is the least, and says r's mean on either side:\n")
    steps = list(boost(X, Y, RATE, ROUNDS))
    print("  x                   " + numbers(X))
    print("  y                   " + numbers(Y))
    print("  F = mean of y       " + numbers(np.full(len(Y), Y.mean())))
    for m, step in enumerate(steps[:2], 1):
        print(f"  round {m}: r = y - F  " + numbers(step.residual))
        print(f"    x < {step.cut:g}: {step.left:+.4g}, else {step.right:+.4g}")
        print("    F                 " + numbers(step.F))
    print("\nThe mean of r², round after round:\n")
    print("  " + "  ".join(f"{m}: {((Y - F) ** 2).mean():.3f}" for m, F in after(steps, (0, 1, 2, 5, 10, ROUNDS))))
    print("\ny as o, F as #:\n")
    print(beside({f"after {m} rounds": sketch(F) for m, F in after(steps, (0, 1, 5, ROUNDS))}))
    model = GradientBoostingRegressor(max_depth=1, learning_rate=RATE, n_estimators=ROUNDS).fit(X[:, None], Y)
    apart = np.abs(model.predict(X[:, None]) - steps[-1].F).max()
    print(f"\nLargest difference from GradientBoostingRegressor after {ROUNDS} rounds: {apart:.1g}")
    print("\nA forest's trees are grown side by side, deep, each on other samples: their mean has less variance. Those")
    print(
        "of boosting are grown one after the other, small, each on what is left: their sum has less bias, and too many"
    )
    print("of them learn the noise.")


def boost(x: np.ndarray, y: np.ndarray, rate: float, rounds: int) -> Iterator[Step]:
    """Gradient boosting of the squared error with trees of one cut; x, y and F (N,), x without equal numbers."""
    F = np.full(len(y), y.mean())
    for _ in range(rounds):
        r = y - F
        cut = best_cut(x, r)
        left, right = r[x < cut].mean(), r[x >= cut].mean()
        F = F + rate * np.where(x < cut, left, right)
        yield Step(r, cut, left, right, F)


def best_cut(x: np.ndarray, r: np.ndarray) -> float:
    """The middle between two neighbours at which the squared error of r around its two means is the least."""
    at = np.sort(x)
    cuts = (at[:-1] + at[1:]) / 2
    return min(cuts, key=lambda cut: r[x < cut].var() * (x < cut).sum() + r[x >= cut].var() * (x >= cut).sum())


def after(steps: list[Step], rounds: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """F (N,) after so many rounds; after none the mean of y."""
    for m in rounds:
        yield m, steps[m - 1].F if m else np.full(len(Y), Y.mean())


def sketch(F: np.ndarray) -> list[str]:
    """The points and the model in text."""
    marks = {"o": np.stack([X, Y], axis=1), "#": np.stack([X, F], axis=1)}
    return plane(marks, 22, 9, ((X[0], X[-1]), (0.0, 8.0)))


def numbers(values: np.ndarray) -> str:
    """Numbers in columns of one width."""
    return "".join(f"{value:>9.4g}" for value in values)


LESSONS: dict[str, Callable[[], None]] = {"6.1": settings, "6.2": majority_vote, "6.3": boosting}
