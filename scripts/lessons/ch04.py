"""Chapter 4's lessons: five ways to learn from examples, each small enough for a pencil.

Source: G. James et al., "An Introduction to Statistical Learning", 2nd edition, 2021, sections 3.1, 4.3, 2.2.3 and 9.1;
J. R. Quinlan, "Induction of decision trees", Machine Learning 1, 1986. The project is `tinygrad-edu run predict`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tinygrad_edu.plugins import SVC, KNeighborsClassifier, LinearRegression, LogisticRegression
from tinygrad_edu.scripts.ch04_gain import entropy, entropy_words, gain, share_words

# rooms and rent
ROOMS, RENT = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([3.0, 5.0, 6.0, 9.0, 12.0])

# hours of study, and whether the examination was passed
HOURS = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
PASSED = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0])

ATTRIBUTES = ("outlook", "temperature", "humidity", "wind")
DAYS = """
sunny hot high weak no
sunny hot high strong no
overcast hot high weak yes
rain mild high weak yes
rain cool normal weak yes
rain cool normal strong no
overcast cool normal strong yes
sunny mild high weak no
sunny cool normal weak yes
rain mild normal weak yes
sunny mild normal strong yes
overcast mild high strong yes
overcast hot normal weak yes
rain mild high strong no
"""  # Quinlan's table 1: was it a day for tennis?

# weight in grams and diameter in cm, and what it is
FRUIT = [(110.0, 5.0), (120.0, 6.0), (130.0, 6.5), (150.0, 7.0), (170.0, 7.5), (180.0, 8.0)]
KINDS = ["lemon", "lemon", "lemon", "orange", "orange", "orange"]

# two classes of points in the plane
POINTS = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (2.0, 2.0), (3.0, 2.0), (3.0, 4.0)])
SIDES = np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0])

Row = Mapping[str, str]


def linear_regression() -> None:
    """Linear regression by the normal equation and by gradient descent.

    ŷ = b₀ + b₁ x should be close to y: L(b) = Σ (y - ŷ)², summed over the examples, as small as can be. With a column
    of ones before x this is |y - X b|², and its gradient is -2 Xᵀ(y - X b). Where that is 0, XᵀX b = Xᵀy.
    """
    X = np.stack([np.ones(len(ROOMS)), ROOMS], axis=1)  # (5, 2)
    print(f"x = {ROOMS.tolist()}\ny = {RENT.tolist()}\n")
    A, c = X.T @ X, X.T @ RENT
    print(f"The normal equation: XᵀX b = Xᵀy\n\n  {A[0]}  (b₀)   {c[0]:g}\n  {A[1]}  (b₁) = {c[1]:g}\n")
    b = solve_two(A, c)
    print(f"By elimination, the first line times {A[1, 0] / A[0, 0]:g} taken from the second:", end=" ")
    print(f"b₀ = {b[0]:g}, b₁ = {b[1]:g}\n")
    print("Gradient descent, b ← b + η · 2 Xᵀ(y - X b) with η = 0.008, from (0, 0):\n")
    way = descend(X, RENT, 0.008, 2000)
    for step in (0, 1, 2, 10, 100, 500, 2000):
        print(
            f"  step {step:>4}   b = ({way[step][0]:8.5f}, {way[step][1]:8.5f})   L = {loss(X, RENT, way[step]):9.5f}"
        )
    fitted = LinearRegression().fit(ROOMS[:, None], RENT)
    print(f"\nThe estimator of plugins/linear_regression.py: ({fitted.intercept_:.5f}, {fitted.coef_[0]:.5f})")
    print(f"What remains, y - ŷ: {(RENT - X @ b).round(3).tolist()}; it adds up to {abs((RENT - X @ b).sum()):.1g}.")


def solve_two(A: np.ndarray, c: np.ndarray) -> np.ndarray:
    """b of A b = c for A (2, 2), by elimination."""
    factor = A[1, 0] / A[0, 0]
    second = (c[1] - factor * c[0]) / (A[1, 1] - factor * A[0, 1])
    return np.array([(c[0] - A[0, 1] * second) / A[0, 0], second])


def loss(X: np.ndarray, y: np.ndarray, b: np.ndarray) -> float:
    """|y - X b|²."""
    return float(((y - X @ b) ** 2).sum())


def descend(X: np.ndarray, y: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """All b of a gradient descent from 0: (steps + 1, D)."""
    way = [np.zeros(X.shape[1])]
    for _ in range(steps):
        way.append(way[-1] + rate * 2.0 * X.T @ (y - X @ way[-1]))
    return np.array(way)


def logistic_regression() -> None:
    """Logistic regression with sigmoid and log-likelihood.

    The odds' logarithm is taken to be linear, log p/(1-p) = z = b₀ + b₁ x, so p = σ(z) = 1 / (1 + e⁻ᶻ). The examples
    then have the probability Π p^y (1-p)^(1-y), whose logarithm is ℓ(b) = Σ y log p + (1 - y) log(1 - p). Since
    σ' = σ (1 - σ), each term's derivative by z is y - p, whatever y: the gradient is Xᵀ(y - p).
    """
    print("  z        -4      -2      -1       0       1       2       4")
    print("  σ(z) " + "".join(f"{sigmoid(np.array(z)):8.4f}" for z in (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)))
    print(f"\nhours  {HOURS.tolist()}\npassed {PASSED.astype(int).tolist()}\n")
    X = np.stack([np.ones(len(HOURS)), HOURS], axis=1)  # (8, 2)
    print("Up the gradient, b ← b + 0.1 Xᵀ(y - p), from (0, 0), where all p are 1/2 and ℓ = 8 log 1/2:\n")
    b = np.zeros(2)
    for step in range(2001):
        p = sigmoid(X @ b)
        if step in (0, 1, 2, 10, 100, 2000):
            print(f"  step {step:>4}   b = ({b[0]:8.4f}, {b[1]:7.4f})   ℓ = {log_likelihood(p, PASSED):8.4f}")
        b = b + 0.1 * X.T @ (PASSED - p)
    fitted = LogisticRegression(C=math.inf, tol=1e-10, max_iter=1000).fit(HOURS[:, None], PASSED)
    print(
        f"\nThe estimator of plugins/logistic_regression.py: ({fitted.intercept_[0]:.4f}, {fitted.coef_[0, 0]:.4f})\n"
    )
    for hours in (1.0, 2.0, 3.0):
        z = b[0] + b[1] * hours
        print(f"  {hours:g} hours: z = {z:7.4f}, the examination is passed with p = {sigmoid(z):.2f}")
    print(f"\nAn hour more multiplies the odds p/(1-p) by e^b₁ = {math.exp(b[1]):.2f};", end=" ")
    print(f"they are even after {-b[0] / b[1]:.2f} hours.")


def sigmoid(z: np.ndarray | float) -> np.ndarray:
    """1 / (1 + e⁻ᶻ)."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(z))))


def log_likelihood(p: np.ndarray, y: np.ndarray) -> float:
    """Σ y log p + (1 - y) log(1 - p), in nats."""
    return float((y * np.log(p) + (1.0 - y) * np.log(1.0 - p)).sum())


def decision_tree() -> None:
    """A decision tree with information gain worked by hand.

    Quinlan's fourteen days: is it a day for tennis? A question is worth what it takes off the answer's entropy, on
    average over the days. The best one is asked first, and in each of its branches the same begins anew (ID3).
    """
    days = [dict(zip((*ATTRIBUTES, "tennis"), line.split(), strict=True)) for line in DAYS.split("\n") if line]
    print(f"All {len(days)} days: {share_words(('yes', 'no'), counts(days))}, {entropy_words(counts(days))}.\n")
    best = max(ATTRIBUTES, key=lambda name: gain([counts(part) for part in parted(days, name).values()]))
    for name in ATTRIBUTES:
        parts = parted(days, name)
        for value, part in parts.items():
            shares = share_words(("yes", "no"), counts(part))
            print(f"  {name + ' ' + value:<18} {shares:<12} H = {entropy(counts(part)):.4f}")
        rest = " + ".join(f"{len(part)}/{len(days)} · {entropy(counts(part)):.4f}" for part in parts.values())
        worth = gain([counts(part) for part in parts.values()])
        print(f"  gain of {name}: {entropy(counts(days)):.4f} - ({rest}) = {worth:.4f}\n")
    print(f"{best.capitalize()} gains most. The same in each branch, until all its days agree:\n")
    print("\n".join(grow(days, ATTRIBUTES)))
    print("\nplugins/tree.py asks about thresholds, which suits numbers, and cuts in two: tinygrad-edu run predict")


def counts(days: Sequence[Row]) -> list[int]:
    """How many are for tennis, and how many not."""
    return [sum(day["tennis"] == answer for day in days) for answer in ("yes", "no")]


def parted(days: Sequence[Row], name: str) -> dict[str, list[Row]]:
    """The days by an attribute's values, in order of appearance."""
    parts: dict[str, list[Row]] = {}
    for day in days:
        parts.setdefault(day[name], []).append(day)
    return parts


def grow(days: Sequence[Row], names: Sequence[str], indent: str = "  ") -> list[str]:
    """The tree in lines: ID3."""
    if 0 in counts(days) or not names:
        return [f"{indent}{'yes' if counts(days)[0] >= counts(days)[1] else 'no'} ({len(days)} days)"]
    best = max(names, key=lambda name: gain([counts(part) for part in parted(days, name).values()]))
    lines = []
    for value, part in parted(days, best).items():
        lines.append(f"{indent}{best} {value}?")
        lines += grow(part, [name for name in names if name != best], indent + "    ")
    return lines


def nearest_neighbours() -> None:
    """k-NN by Euclidean distance: the k examples nearest to a new one vote.

    d(p, q) = √ Σ (p_i - q_i)². Nothing is learnt beforehand but the examples; how near they are depends on the units.
    """
    new = (150.0, 6.0)
    print(f"The new one: {new[0]:g} g, {new[1]:g} cm. How far is it from each of the others?\n")
    for point, kind in zip(FRUIT, KINDS, strict=True):
        squares = " + ".join(f"({p:g} - {q:g})²" for p, q in zip(new, point, strict=True))
        print(f"  {kind:<7} √({squares}) = {distance(new, point):.3f}")
    print()
    for k in (1, 3, 5):
        print(f"  k = {k}: {', '.join(nearest(FRUIT, KINDS, new, k))}: {vote(nearest(FRUIT, KINDS, new, k))}")
    low, high = np.min(FRUIT, axis=0), np.max(FRUIT, axis=0)
    scaled = [tuple((np.array(point) - low) / (high - low)) for point in FRUIT]
    now = tuple((np.array(new) - low) / (high - low))
    print("\nGrams outweigh centimetres, since they are the larger numbers. With both from 0 to 1 (min-max):\n")
    for k in (1, 3, 5):
        print(f"  k = {k}: {', '.join(nearest(scaled, KINDS, now, k))}: {vote(nearest(scaled, KINDS, now, k))}")
    says = [KNeighborsClassifier(k).fit(scaled, KINDS).predict([now])[0] for k in (1, 3, 5)]
    print(f"\nThe estimator of plugins/neighbors.py, on the latter: {', '.join(says)}")


def distance(p: Sequence[float], q: Sequence[float]) -> float:
    """√ Σ (p_i - q_i)²."""
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(p, q, strict=True)))


def nearest(points: Sequence[Sequence[float]], kinds: Sequence[str], new: Sequence[float], k: int) -> list[str]:
    """The kinds of the k points nearest to a new one, nearest first."""
    order = sorted(range(len(points)), key=lambda i: distance(points[i], new))
    return [kinds[i] for i in order[:k]]


def vote(kinds: Sequence[str]) -> str:
    """The commonest, of equally common ones the first."""
    return Counter(kinds).most_common(1)[0][0]


def hyperplane() -> None:
    """The hyperplane of an SVM: of all lines between two classes the one that stays furthest from both.

    The line is w·x + b = 0. Scaled so that the nearest points have |w·x + b| = 1, it has the margin 2/|w| between them:
    the widest margin is the smallest |w| with y (w·x + b) ≥ 1 for all. Points with exactly 1 are the support vectors.
    """
    print("Some lines that separate the classes, scaled; margin 2/|w|:\n")
    for w, b in (((1.0, 0.0), -1.5), ((0.0, 1.0), -1.2), ((1.0, 2.0), -3.0), ((1.0, 1.0), -2.5)):
        scaled, offset = to_margin(np.array(w), b)
        print(f"  {line(np.array(w), b):<22} -> {line(scaled, offset):<34} margin {2.0 / np.linalg.norm(scaled):.4f}")
    print("\nThe last is the best there is: its nearest points, on both sides, hold it. What plugins/svm.py finds:\n")
    model = SVC(kernel="linear", C=1e6, tol=1e-8).fit(POINTS, SIDES)
    w, b = model.coef_[0], float(model.intercept_[0])
    print(f"  {line(w, b)}   margin {2.0 / np.linalg.norm(w):.4f}\n")
    for i, (point, side) in enumerate(zip(POINTS, SIDES, strict=True)):
        value = side * (w @ point + b)
        where = f"y (w·x + b) = {value:7.4f}   distance {value / np.linalg.norm(w):.4f}"
        held = "   support vector" * (i in model.support_)
        print(f"  ({point[0]:g}, {point[1]:g})   y = {side:+g}   {where}{held}")
    kept = SVC(kernel="linear", C=1e6, tol=1e-8).fit(POINTS[model.support_], SIDES[model.support_])
    print(
        f"\nLearnt from the support vectors alone: {line(kept.coef_[0], float(kept.intercept_[0]))}. The others may go."
    )


def to_margin(w: np.ndarray, b: float) -> tuple[np.ndarray, float]:
    """The same line w·x + b = 0, scaled so that the nearest point has 1; ValueError if it does not separate them."""
    values = SIDES * (POINTS @ w + b)
    if values.min() <= 0.0:
        raise ValueError(f"to_margin: {line(w, b)} does not separate the classes")
    return w / values.min(), b / values.min()


def line(w: np.ndarray, b: float) -> str:
    """The line's equation in words."""
    return f"{w[0]:.4g} x₁ + {w[1]:.4g} x₂ {'-' if b < 0.0 else '+'} {abs(b):.4g} = 0"


LESSONS: dict[str, Callable[[], None]] = {
    "4.1": linear_regression,
    "4.2": logistic_regression,
    "4.3": decision_tree,
    "4.4": nearest_neighbours,
    "4.5": hyperplane,
}
