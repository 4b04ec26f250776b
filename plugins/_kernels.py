"""Kernels, and the rows of a kernel matrix that is too large to keep.

    linear    k(x, z) = x·z
    poly      k(x, z) = (γ x·z + r)^d
    rbf       k(x, z) = exp(-γ ||x - z||²),    ||x - z||² = ||x||² + ||z||² - 2 x·z
    sigmoid   k(x, z) = tanh(γ x·z + r)

Source: C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 6.2, equations 6.13, 6.23 and 6.37.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass
class Kernel:
    """k with its constants: γ `gamma`, d `degree`, r `coef0`."""

    name: str
    gamma: float
    degree: int
    coef0: float

    def __call__(self, X: Array, Z: Array) -> Array:
        """k of each row of X with each of Z: (N, D), (M, D) -> (N, M)."""
        return self._finish(X @ Z.T, squares(X)[:, None], squares(Z))

    def _finish(self, K: Array, x: Array, z: Array) -> Array:
        """k, from products x·z and, for rbf, the squares ||x||² and ||z||²; overwrites K."""
        if self.name == "linear":
            return K
        if self.name == "rbf":
            K *= 2.0
            K -= x
            K -= z
            np.minimum(K, 0.0, out=K)  # a distance of 0 may be a little less by rounding
            K *= self.gamma
            return np.exp(K, out=K)
        K *= self.gamma
        K += self.coef0
        return K**self.degree if self.name == "poly" else np.tanh(K, out=K)

    def diagonal(self, X: Array) -> Array:
        """k of each row with itself: (N, D) -> (N,)."""
        square = squares(X)
        return self._finish(square.copy(), square, square)

    def rows(self, X: Array, megabytes: float) -> Callable[[int], Array]:
        """A function that gives row i of the kernel matrix of X with itself, (N,), and does not always compute it.

        If it fits into `megabytes` the whole matrix is made (at once is faster); else the rows used last are kept.
        """
        fit = int(megabytes * 2**20 / X.itemsize / len(X))
        if fit >= len(X):
            return self(X, X).__getitem__
        square = squares(X)
        return lru_cache(max(2, fit))(lambda i: self._finish(X @ X[i], square[i], square))


def squares(X: Array) -> Array:
    """||x||² of each row: (N, D) -> (N,)."""
    return np.einsum("ij,ij->i", X, X)
