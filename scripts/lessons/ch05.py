"""Chapter 5's lessons: structure in data that nobody has labelled.

Source: C. Bishop, Pattern Recognition and Machine Learning, 2006, sections 9.1 (k-means) and 12.1 (principal
components).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.plugins import PCA, KMeans
from tinygrad_edu.scripts.lessons.in_text import beside, plane

# Lesson 5.1: two groups, and a start that is a bad one on purpose: both centres lie in the same group.
POINTS = np.array([[1, 1], [2, 1], [1, 2], [2, 3], [4, 2], [7, 5], [8, 4], [8, 6], [9, 5], [7, 7]], dtype=np.float64)
START = POINTS[[0, 1]]
# Lesson 5.2: five samples of two columns whose covariance has round eigenvalues.
SAMPLES = np.array([[2, 2], [5, 6], [12, 2], [13, 10], [18, 10]], dtype=np.float64)


def k_means() -> None:
    """k-means, its assignments and its updates of the centres until nothing changes, every turn drawn.

    The estimator is in `plugins/kmeans.py`; the project is `tinygrad-edu run cluster`.
    """
    print("Ten points, two centres A and B. They take turns, until a turn changes nothing:\n")
    print("  assign   each point to the nearest centre       c_n = argmin over k of ‖x_n - μ_k‖²")
    print("  update   each centre to the mean of its points   μ_k = mean of the x_n with c_n = k\n")
    print("Neither can raise J, the sum of the squared distances of all points to their centres: so it ends.")
    print("a and b are the points of A and B, drawn as they have just been assigned:\n")
    centres, labels, frames = START, None, {}
    for turn in range(1, 100):
        new = assign(POINTS, centres)
        if labels is not None and (new == labels).all():
            break
        labels = new
        frames[f"turn {turn}"] = board(labels, centres)
        moved = update(POINTS, labels, centres)
        print(
            f"  turn {turn}   a: {(labels == 0).sum()} points, b: {(labels == 1).sum()}   J = {J(labels, centres):.4g}"
        )
        for k, name in enumerate("AB"):
            print(f"           {name} from {point(centres[k])} to {point(moved[k])}")
        print(f"           J = {J(labels, moved):.4g} with the centres moved")
        centres = moved
    print(f"  turn {turn}   no point changes its centre: the end\n")
    print(beside(frames))
    model = KMeans(2, init=START).fit(POINTS)
    same = np.allclose(model.cluster_centers_, centres) and (model.labels_ == labels).all()
    print(f"\nThe estimator KMeans from the same start: {'the same' if same else 'other'} centres and labels.")
    print(
        "It ends in a minimum of J, though not always in the lowest: so one begins several times, and keeps the best."
    )


def assign(X: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre of each point: (N, D), (K, D) -> (N,)."""
    squared = ((X[:, None] - centres) ** 2).sum(axis=2)  # (N, K)
    return squared.argmin(axis=1)


def update(X: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The mean of each centre's points, (K, D); a centre without points stays where it is."""
    return np.stack([X[labels == k].mean(axis=0) if (labels == k).any() else centres[k] for k in range(len(centres))])


def J(labels: np.ndarray, centres: np.ndarray) -> float:
    """The sum of the squared distances of the points to their centres."""
    return float(((POINTS - centres[labels]) ** 2).sum())


def board(labels: np.ndarray, centres: np.ndarray) -> list[str]:
    """The points as a and b, the centres as A and B."""
    marks = {"a": POINTS[labels == 0], "b": POINTS[labels == 1], "A": centres[0], "B": centres[1]}
    return plane(marks, 19, 8, ((0, 9), (0, 7)))


def point(at: np.ndarray) -> str:
    """(1.5, 2)."""
    return "(" + ", ".join(f"{x:.3g}" for x in at) + ")"


def principal_components() -> None:
    """PCA by the covariance matrix: its eigenvalues, its eigenvectors, the projection; then iris from 4 columns to 2.

    The estimator is in `plugins/pca.py`.
    """
    print("Wanted: the direction u, of length 1, along which the samples vary most. The variance along u is uᵀSu, with")
    print(
        "the covariance matrix S. At the maximum its gradient, 2Su, is in line with that of uᵀu, 2u (if it were not, a"
    )
    print("turn of u would still gain something): S u = λ u. So u is an eigenvector of S, and the variance along it,")
    print("uᵀSu = uᵀλu = λ, its eigenvalue.\n")
    mean = SAMPLES.mean(axis=0)
    centred = SAMPLES - mean  # (N, D)
    S = centred.T @ centred / (len(SAMPLES) - 1)  # (D, D)
    print(f"  five samples x         {'  '.join(map(point, SAMPLES))}   mean {point(mean)}")
    print(f"  without the mean       {'  '.join(map(point, centred))}")
    (a, b), (_, d) = S
    print(f"  S = Σ (x - x̄)(x - x̄)ᵀ / (N - 1) = [[{a:g} {b:g}] [{b:g} {d:g}]]\n")
    trace, determinant = a + d, a * d - b * b
    root = np.sqrt(trace**2 / 4 - determinant)
    eigenvalues = np.array([trace / 2 + root, trace / 2 - root])
    print("Eigenvalues: (S - λ) u = 0 has a solution besides 0 only where det(S - λ) = 0:")
    print(
        f"  λ² - {trace:g} λ + {determinant:g} = 0, so λ = {trace / 2:g} ± √({trace / 2:g}² - {determinant:g}): ",
        end="",
    )
    print(" and ".join(f"{value:g}" for value in eigenvalues))
    print("Eigenvectors: the first row of (S - λ) u = 0 says u ∝ (b, λ - a) for S = [[a b] [b d]]:")
    U = np.array([[b, value - a] for value in eigenvalues])
    U /= np.linalg.norm(U, axis=1, keepdims=True)  # a row each
    for value, u in zip(eigenvalues, U, strict=True):
        print(f"  λ = {value:g}: ({b:g}, {value:g} - {a:g}), of length 1: u = {point(u)}")
    directions(S)
    z = centred @ U.T  # (N, 2)
    back = mean + z[:, :1] * U[0]
    print(f"Projection on the first: z = uᵀ(x - x̄) = {'  '.join(f'{value:.3g}' for value in z[:, 0])}")
    share = f"{eigenvalues[0] / trace:.0%} of all variance (λ₁ + λ₂ = {trace:g})"
    print(f"  variance of z: {z[:, 0].var(ddof=1):g} = λ₁, {share}")
    print(f"  back again, x̄ + z u:  {'  '.join(map(point, back))}")
    lost = ((SAMPLES - back) ** 2).sum() / (len(SAMPLES) - 1)
    print(f"  what is lost, Σ ‖x - (x̄ + z u)‖² / (N - 1) = {lost:g} = λ₂")
    iris()


def directions(S: np.ndarray) -> None:
    """Print the variance along some directions: it is largest where the eigenvector points."""
    angles = [0.0, 15.0, 26.565, 45.0, 90.0, 116.565, 150.0]  # degrees; u = (2, 1)/√5 lies at 26.565
    print("Variance uᵀSu in other directions (degrees from the first axis):")
    units = [np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) for angle in angles]
    print("  " + "   ".join(f"{angle:.0f}°: {u @ S @ u:.1f}" for angle, u in zip(angles, units, strict=True)) + "\n")


def iris() -> None:
    """Print the same steps for iris, four columns to two, beside the estimator's numbers."""
    datasets: Any = require("sklearn.datasets", extra="viz")
    X, y = datasets.load_iris(return_X_y=True)
    S = np.cov(X.T)  # the same S, (4, 4)
    eigenvalues, vectors = np.linalg.eigh(S)  # ascending; a column each
    eigenvalues, U = eigenvalues[::-1], vectors.T[::-1]
    model = PCA(2).fit(X)
    U = U[:2] * np.sign((U[:2] * model.components_).sum(axis=1, keepdims=True))  # a direction has two signs
    z = (X - X.mean(axis=0)) @ U.T  # (150, 2)
    print("\nIris, 150 flowers, 4 lengths each: np.linalg.eigh gives the eigenvalues of S, and the estimator PCA has:")
    print(f"  by hand   λ = {'  '.join(f'{v:.4f}' for v in eigenvalues[:2])}   of a sum of {eigenvalues.sum():.4f}")
    print(f"  PCA       λ = {'  '.join(f'{v:.4f}' for v in model.explained_variance_)}")
    for name, by_hand, estimator in zip(("u₁", "u₂"), U, model.components_, strict=True):
        print(f"  {name}        by hand {point(by_hand)}   PCA {point(estimator)}")
    apart = np.abs(z - model.transform(X)).max()
    print(f"  largest difference of a projected flower: {apart:.1g}")
    print(f"\n{eigenvalues[:2].sum() / eigenvalues.sum():.1%} of the variance lie in this plane:")
    print("s is a setosa, c a versicolor, v a virginica, drawn by their true names, which PCA was not told.\n")
    marks = {letter: z[y == k] for k, letter in enumerate("scv")}
    print("\n".join("  " + line for line in plane(marks, 76, 16)))


LESSONS: dict[str, Callable[[], None]] = {"5.1": k_means, "5.2": principal_components}
