"""k-means: K centres, each sample with the nearest, and each centre the mean of its samples.

Wanted are the centres μ and the assignments c with the smallest inertia, the sum of squared distances

    J = Σ_n w_n ‖x_n - μ_{c_n}‖²                                                       (9.1)

Lloyd's algorithm takes turns, and neither can raise J, so that it ends; in a minimum, not always the lowest:

    c_n = argmin over k of ‖x_n - μ_k‖²                                                  (9.2)
    μ_k = Σ_{c_n = k} w_n x_n / Σ_{c_n = k} w_n                                            (9.4)

Where it ends depends on where it begins. k-means++ draws the first centres far apart: each next one with a probability
proportional to the squared distance to the nearest so far, here the best of 2 + log K draws, as its authors advise.
`n_init` starts, of which the lowest J is kept.

(9.2) needs no distances: ‖x‖² is the same for all k, so that ‖μ_k‖²/2 - μ_k·x decides, which is a matrix product. The
data are centred first, so that this difference is not one of large numbers. The turns are in `_lloyd.py`.

Symbols: X (N, D), μ (K, D), w (N,).

Source: C. Bishop, Pattern Recognition and Machine Learning, 2006, section 9.1; D. Arthur, S. Vassilvitskii, "k-means++:
the advantages of careful seeding", 2007.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, ClusterMixin, NamedByClass
from tinygrad_edu.plugins._lloyd import inertia, lloyd, nearest


class KMeans(NamedByClass, ClusterMixin, BaseEstimator):
    """k-means by Lloyd's algorithm from k-means++, random samples ("random"), or given centres (an array).

    Learns `cluster_centers_` (K, D), `labels_` int32 (N,), `inertia_` (J) and `n_iter_`. Ends when no label changes, or
    the centres move by less than `tol` times the mean variance of the columns. `n_init="auto"` is 1, for "random" 10.
    One seed draws the same centres as scikit-learn's.

    >>> KMeans(2, init=[[0.0], [9.0]]).fit_predict([[0.0], [9.0], [1.0]]).tolist()
    [0, 1, 0]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the clusters of X (N, D)."""
        K = self._check_number("n_clusters", 1, whole=True)
        self._check_number("max_iter", 1, whole=True)
        self._check_number("tol", 0.0)
        X = self._fit_input(X)
        if len(X) < K:
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={K}.")
        w = self._weights(sample_weight, X)
        mean, starts, rng = X.mean(axis=0), self._starts(), check.random_state(self.random_state)
        X = X - mean
        enough = self.tol * X.var(axis=0).mean()
        best = lloyd(X, w, self._begin(X, w, mean, rng), self.max_iter, enough)
        for _ in range(starts - 1):
            run = lloyd(X, w, self._begin(X, w, mean, rng), self.max_iter, enough)
            if run[0] < (1.0 - 1e-9) * best[0]:  # the same clusters, found again, differ by rounding alone
                best = run
        self.inertia_, self.labels_, centres, self.n_iter_ = best
        self.cluster_centers_ = centres + mean
        self._n_columns_out = K
        if (found := len(np.unique(self.labels_))) < K:
            check.warn(
                check.ConvergenceWarning,
                f"Number of distinct clusters ({found}) found smaller than n_clusters ({K}). Possibly due to duplicate "
                "points in X.",
            )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster nearest to each sample, int32 (N,)."""
        X = self._input(X)
        return nearest(X, self.cluster_centers_.astype(X.dtype))

    def _transform(self, X: np.ndarray) -> np.ndarray:
        """The distance to each centre, (N, D) -> (N, K)."""
        return np.stack([np.linalg.norm(X - centre, axis=1) for centre in self.cluster_centers_], axis=1)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """-J of X: the higher, the nearer its samples are to their centres."""
        X, labels = self._input(X), self.predict(X)
        return -inertia(X, self._weights(sample_weight, X), labels, self.cluster_centers_)

    def _starts(self) -> int:
        if isinstance(self.init, str):
            self._check_choice("init", ("k-means++", "random"))
            if isinstance(self.n_init, str):
                self._check_choice("n_init", ("auto",))
                return 10 if self.init == "random" else 1
            return self._check_number("n_init", 1, whole=True)
        return 1  # given centres lead to one end only

    def _begin(self, X: np.ndarray, w: np.ndarray, mean: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        K = self.n_clusters
        if isinstance(self.init, str):
            if self.init == "random":
                return X[rng.choice(len(X), K, replace=False, p=w / w.sum())]
            return plus_plus(X, w, K, rng)
        centres = check.to_array(self.init, "KMeans", name="init", dtype=X.dtype)
        if centres.shape != (K, X.shape[1]):
            raise ValueError(
                f"The shape of the initial centers {centres.shape} does not match the number of clusters {K} and of "
                f"features {X.shape[1]}."
            )
        check.check_finite(centres, "KMeans", name="init")
        return centres - mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def plus_plus(X: np.ndarray, w: np.ndarray, K: int, rng: np.random.RandomState) -> np.ndarray:
    """K samples far apart: each next one the best of 2 + log K draws, as likely as w times its distance squared."""
    squares = np.einsum("nd,nd->n", X, X)

    def to(points: list[int] | np.ndarray) -> np.ndarray:
        """The squared distances of all samples to some of them, (points, N)."""
        return (squares[points, None] + squares - 2.0 * X[points] @ X.T).clip(0.0)

    chosen = [rng.choice(len(X), p=w / w.sum())]
    closest = to(chosen)[0]
    for _ in range(1, K):
        draws = rng.uniform(size=2 + int(np.log(K))) * (closest @ w)
        candidates = np.searchsorted(np.cumsum(w * closest), draws).clip(max=len(X) - 1)
        reached = np.minimum(closest, to(candidates))
        best = int(np.argmin(reached @ w))
        closest = reached[best]
        chosen.append(candidates[best])
    return X[chosen]
