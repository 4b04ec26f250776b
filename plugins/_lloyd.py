"""Lloyd's algorithm for k-means, without looking at samples whose cluster can't have changed.

Symbols and equations are those of `kmeans.py`. For each sample `near` bounds the distance to its own centre from above,
and `far` that to every other centre from below. When centres move, near grows by its centre's step and far shrinks by
the longest step of all: where near < far still holds, the label is the same, and no distance is needed. As the centres
come to rest that is nearly everywhere. The clusters' sums are kept and changed by the samples that leave and join.

Source: G. Hamerly, "Making k-means even faster", 2010, algorithm 1 (without its first bound).
"""

from __future__ import annotations

import numpy as np

BLOCK = 8192  # rows at a time: their scores stay in the cache


def lloyd(
    X: np.ndarray, w: np.ndarray, centres: np.ndarray, max_iter: int, enough: float
) -> tuple[float, np.ndarray, np.ndarray, int]:
    """J, the labels, the centres and the number of turns, from given centres on; X (N, D) best centred, w (N,).

    Ends when no label changes, the centres' squared steps sum to `enough` or less, or after `max_iter` turns.
    """
    squares = np.einsum("nd,nd->n", X, X)
    labels, near, far = np.zeros(len(X), np.int32), np.full(len(X), np.inf, X.dtype), np.zeros(len(X), X.dtype)
    sums, weights = cluster_sums(X, w, labels, len(centres))
    turn, shift = 0, np.inf
    while True:
        rows = np.flatnonzero(near >= far)  # the first time all
        new, near[rows], far[rows] = nearest_two(X[rows], squares[rows], centres)
        changed = new != labels[rows]
        settled = turn > 0 and not changed.any()
        if settled or turn == max_iter or shift <= enough:
            break
        turn += 1
        rows, new = rows[changed], new[changed]
        lost, joined = (cluster_sums(X[rows], w[rows], k, len(centres)) for k in (labels[rows], new))
        sums, weights = sums - lost[0] + joined[0], weights - lost[1] + joined[1]
        labels[rows] = new
        moved = means(sums, weights, X, w, labels, centres)
        steps = np.sqrt(((moved - centres) ** 2).sum(axis=1))
        near += steps[labels]
        far -= steps.max()
        shift, centres = (steps**2).sum(), moved
    labels[rows] = new  # those of the last centres, as `nearest` gives them
    return inertia(X, w, labels, centres), labels, centres, min(turn + settled, max_iter)


def nearest(X: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The centre nearest to each sample (9.2), int32 (N,); the first of several."""
    mean = centres.mean(axis=0)
    centred = centres - mean
    offsets = 0.5 * (centred * centred).sum(axis=1) + centred @ mean  # x - mean, without another X
    blocks = (X[begin : begin + BLOCK] for begin in range(0, len(X), BLOCK))
    return np.concatenate([(offsets - block @ centred.T).argmin(axis=1) for block in blocks]).astype(np.int32)


def nearest_two(X: np.ndarray, squares: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest centre (9.2), the distance to it and, less what rounding may add, to the second; each (N,)."""
    labels, near, far = np.empty(len(X), np.int32), np.empty_like(squares), np.empty_like(squares)
    half = 0.5 * (centres * centres).sum(axis=1)
    for begin in range(0, len(X), BLOCK):
        block = slice(begin, begin + BLOCK)
        scores = half - X[block] @ centres.T  # (rows, K)
        rows = np.arange(len(scores))
        labels[block] = scores.argmin(axis=1)
        near[block] = scores[rows, labels[block]]
        scores[rows, labels[block]] = np.inf
        far[block] = scores.min(axis=1)
    near, far = (np.sqrt((squares + 2.0 * score).clip(0.0)) for score in (near, far))
    far -= np.sqrt(squares.max(initial=0.0) * np.finfo(X.dtype).eps)
    return labels, near, far


def cluster_sums(X: np.ndarray, w: np.ndarray, labels: np.ndarray, K: int) -> tuple[np.ndarray, np.ndarray]:
    """Σ w x (K, D) and Σ w (K,) of each cluster."""
    sums, clusters = np.zeros((K, X.shape[1]), X.dtype), np.arange(K, dtype=labels.dtype)
    for begin in range(0, len(X), BLOCK):
        block = slice(begin, begin + BLOCK)
        sums += (X[block].T @ ((labels[block, None] == clusters) * w[block, None])).T  # (D, rows) @ (rows, K)
    return sums, np.bincount(labels, w, K).astype(X.dtype)


def means(
    sums: np.ndarray, weights: np.ndarray, X: np.ndarray, w: np.ndarray, labels: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """The mean of each cluster (9.4). One without samples takes the sample that is farthest from its centre."""
    tiny = 1e-12 * w.sum()  # what the adding up and taking away of weights may leave of 0
    if (empty := np.flatnonzero(weights <= tiny)).size:
        sums, weights = sums.copy(), weights.copy()
        distances = (w > 0.0) * ((X - centres[labels]) ** 2).sum(axis=1)
        for k, n in zip(empty, np.argsort(-distances, kind="stable"), strict=False):
            sums[labels[n]] -= w[n] * X[n]
            weights[labels[n]] -= w[n]
            sums[k], weights[k] = w[n] * X[n], w[n]
    return np.divide(sums, weights[:, None], out=centres.copy(), where=weights[:, None] > tiny)


def inertia(X: np.ndarray, w: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> float:
    """J (9.1)."""
    difference = X - centres[labels]
    return float(np.einsum("n,nd,nd->", w, difference, difference))
