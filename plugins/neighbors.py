"""k nearest neighbours: the answer of the k samples that are closest, by a vote or as their mean.

    p(k | x) = 1/K Σ_{i in N(x)} [y_i = k]          ŷ(x) = 1/K Σ_{i in N(x)} y_i        (Hastie et al., 2.8; 13.3)

where N(x) are the K samples of smallest Euclidean distance; weighted by "distance", each counts 1 / ||x - x_i||.

Nothing is learnt; all work is the search. Written out, ||x - z||² = ||x||² + ||z||² - 2 x·z, all distances are one
matrix product, but subtracting near-equal numbers loses digits, and picking K of N is slower than the product. So:

1. *Filter*, in float32: r(z) = ||z||² - 2 x·z, which orders the samples as the distance does. They are dealt into
   groups; the K-th smallest of the groups' minima is no less than the K-th smallest r. What is above it, by more than
   float32 can be wrong, is not among the K nearest.
2. *Refine*: of the few that are left the distances from differences, in float64, and sorted.

Other distances, (Σ |x_d - z_d|^p)^(1/p), p = ∞ being the largest difference, have no such filter: all are computed.

The error of a product of D terms is at most about D ε Σ |x_d z_d| <= D ε ||x|| ||z|| (Higham, 3.1), ε = 2^-24.

Sources: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, 2.3.2 and
13.3; N. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, 2002, section 3.1.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import BaseEstimator, ClassifierMixin, RegressorMixin

Array = np.ndarray[Any, Any]

BLOCK = 1 << 20  # distances looked at together: 4 MB


class _Neighbors(BaseEstimator):
    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str = "uniform",
        p: float = 2,
        metric: str = "minkowski",
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.p = p
        self.metric = metric
        self.n_jobs = n_jobs

    def _remember(self, X: Array) -> None:
        self._check_number("n_neighbors", 1, whole=True)
        self._check_choice("weights", ("uniform", "distance"))
        powers = {"manhattan": 1, "euclidean": 2, "chebyshev": np.inf, "minkowski": self._check_number("p", 1)}
        self._power = powers[self._check_choice("metric", powers)]
        self.n_samples_fit_ = len(X)
        self._X = X.astype(np.float64, copy=False)
        self._centre = self._X.mean(axis=0)
        centred = self._X - self._centre
        self._scale = float(np.abs(centred).max()) or 1.0  # so that nothing overflows float32
        self._low, self._radius = _with_norms(centred / self._scale)

    def kneighbors(self, X: Any, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """The nearest samples of each row, nearest first: (N, D) -> distances (N, K) and numbers (N, K), or the latter.

        Of samples at the same distance the one that comes first in the training data is the nearer.
        """
        X = self._input(X).astype(np.float64, copy=False)
        K = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(K, int | np.integer) or K < 1:
            raise ValueError(f"Expected n_neighbors > 0 (an int). Got {K!r}")
        if self.n_samples_fit_ < K:
            raise ValueError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {K}, n_samples_fit = {self.n_samples_fit_}, "
                f"n_samples = {len(X)}"
            )
        step = max(1, BLOCK // self.n_samples_fit_)
        blocks = [X[first : first + step] for first in range(0, len(X), step)]
        jobs = 1 if self.n_jobs is None else int(self.n_jobs)
        with ThreadPoolExecutor(jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)) as pool:
            found = list(pool.map(lambda block: self._nearest(block, int(K)), blocks))
        distance, number = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return (distance, number) if return_distance else number

    def _nearest(self, X: Array, K: int) -> tuple[Array, Array]:
        """Distances and numbers of the K nearest samples of each row: (n, D) -> (n, K) twice."""
        if self._power == 2:
            row, number = self._candidates(X, K)
            difference = X.take(row, axis=0)
            difference -= self._X.take(number, axis=0)
            distance = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        else:
            every = self._all_distances(X)
            limit = np.partition(every, K - 1, axis=1)[:, K - 1 : K]
            row, number = np.nonzero(every <= limit)
            distance = every[row, number]
        order = np.lexsort((distance, row))  # stable: the smaller number first where distances are equal
        begin = np.searchsorted(row, np.arange(len(X)))
        best = order[begin[:, None] + np.arange(K)]
        return distance[best], number[best]

    def _all_distances(self, X: Array) -> Array:
        """Of each row from every sample, feature by feature: (n, D) -> (n, N)."""
        total = np.zeros((len(X), self.n_samples_fit_))
        for x, z in zip(X.T, self._X.T, strict=True):
            gap = np.abs(x[:, None] - z)
            if self._power == np.inf:
                np.maximum(total, gap, out=total)
            else:
                total += gap if self._power == 1 else gap**self._power
        return total if self._power in (1, np.inf) else total ** (1.0 / self._power)

    def _candidates(self, X: Array, K: int) -> tuple[Array, Array]:
        """Pairs (row, sample), in that order, with all of each row's K nearest samples among them."""
        n, N = len(X), self.n_samples_fit_
        groups = max(64, 8 * K)
        if 4 * groups > N:
            return np.repeat(np.arange(n), N), np.tile(np.arange(N), n)
        with np.errstate(over="ignore", invalid="ignore"):  # rows so far away that float32 ends: see `~` below
            centred = (X - self._centre) / self._scale
            query = np.hstack([-2.0 * centred, np.ones((n, 1))]).astype(np.float32)
            r = query @ self._low.T  # (n, N)
            size = N // groups
            smallest = r[:, : size * groups].reshape(n, size, groups).min(axis=1)
            limit = np.partition(smallest, K - 1, axis=1)[:, K - 1]
            reach = self._radius**2 + 2.0 * self._radius * np.sqrt(np.square(centred).sum(axis=1))
            wrong = 2.0 * (X.shape[1] + 4) * np.finfo(np.float32).eps * reach
            out = r > (limit + wrong).astype(np.float32)[:, None]
        return np.divmod(np.flatnonzero(~out), N)  # what is not known to be too far, be it NaN, stays


def _with_norms(X: Array) -> tuple[Array, float]:
    """float32 rows [x, ||x||²], and the largest ||x||: with [-2 q, 1] they multiply to ||x||² - 2 q·x."""
    squared = np.square(X).sum(axis=1)
    return np.hstack([X, squared[:, None]]).astype(np.float32), float(np.sqrt(squared.max()))


def _by_distance(distance: Array) -> Array:
    """1 / distance, (N, K); where samples lie at the very place, they alone count."""
    same = distance == 0.0
    weight = 1.0 / np.where(same, 1.0, distance)
    return np.where(same.any(axis=1, keepdims=True), same, weight)


class KNeighborsClassifier(ClassifierMixin, _Neighbors):
    """k nearest neighbours' vote; `weights` "uniform" or "distance"; `metric` "euclidean", "manhattan", "chebyshev" or,
    with its power `p`, "minkowski"; `n_jobs` threads search, -1: one a processor."""

    def fit(self, X: Any, y: Any) -> Self:
        """The estimator itself, which remembers the samples: X (N, D), y (N,)."""
        X = self._fit_input(X)
        self._y = self._fit_labels(y, X)
        self._remember(X)
        return self

    def predict_proba(self, X: Any) -> Array:
        """The classes' shares among the neighbours: (N, D) -> (N, K)."""
        distance, number = self.kneighbors(X)
        weight = _by_distance(distance) if self.weights == "distance" else np.ones_like(distance)
        K = len(self.classes_)
        cell = np.arange(len(number))[:, None] * K + self._y[number]
        votes = np.bincount(cell.ravel(), weight.ravel(), minlength=len(number) * K).reshape(-1, K)
        return votes / votes.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Array:
        """The class with most votes, of equals the first: (N, D) -> (N,)."""
        share = self.predict_proba(X)
        return self.classes_[share.argmax(axis=1)]


class KNeighborsRegressor(RegressorMixin, _Neighbors):
    """k nearest neighbours' mean; settings as for the classifier; y may hold several targets, (N, T)."""

    def fit(self, X: Any, y: Any) -> Self:
        """The estimator itself, which remembers the samples: X (N, D), y (N,) or (N, T)."""
        X = self._fit_input(X)
        self._y = self._fit_targets(y, X, several=True)
        self._remember(X)
        return self

    def predict(self, X: Any) -> Array:
        """The neighbours' mean: (N, D) -> (N,) or (N, T)."""
        distance, number = self.kneighbors(X)
        targets = self._y[number]  # (N, K) or (N, K, T)
        if self.weights == "uniform":
            return targets.mean(axis=1)
        weight = _by_distance(distance)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("nk,nk...->n...", weight, targets)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
