"""Kernels: products of samples that were sent, unseen, into a space of more dimensions.

    linear    k(x, z) = x·z
    poly      k(x, z) = (γ x·z + r)^d
    rbf       k(x, z) = exp(-γ ||x - z||²),    ||x - z||² = ||x||² + ||z||² - 2 x·z
    sigmoid   k(x, z) = tanh(γ x·z + r)

Source: C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 6.2, equations 6.13, 6.23 and 6.37.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CHUNK = 1 << 17  # numbers finished at a time: 1 MB stays in the cache meanwhile


@dataclass
class Kernel:
    """k with its constants: γ `gamma`, d `degree`, r `coef0`."""

    name: str
    gamma: float
    degree: int
    coef0: float

    def __call__(self, X: Array, Z: Array, out: Array | None = None) -> Array:
        """k of each row of X with each of Z: (N, D), (M, D) -> (N, M), written to `out` if that is given."""
        K = np.matmul(X, Z.T, out=out)
        x, z = squares(X)[:, None], squares(Z)
        step = max(1, CHUNK // max(1, len(Z)))
        for first in range(0, len(X), step):
            part = slice(first, first + step)
            self._finish(K[part], x[part], z)
        return K

    def _finish(self, K: Array, x: Array, z: Array) -> None:
        """Turn products x·z into k; for rbf, with the squares ||x||² and ||z||²."""
        if self.name == "rbf":
            K *= 2.0
            K -= x
            K -= z
            np.minimum(K, 0.0, out=K)  # a distance of 0 may be a little less by rounding
            K *= self.gamma
            np.exp(K, out=K)
        elif self.name != "linear":
            K *= self.gamma
            K += self.coef0
            if self.name == "poly":
                K **= self.degree
            else:
                np.tanh(K, out=K)


def squares(X: Array) -> Array:
    """||x||² of each row: (N, D) -> (N,)."""
    return np.einsum("ij,ij->i", X, X)
