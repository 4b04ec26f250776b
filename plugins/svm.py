"""Support vector machine: the boundary between two classes that leaves the widest margin, by kernel.

With labels y_i = ±1 it minimises 1/2 ||w||² + Σ C_i ξ_i under y_i (w·φ(x_i) + b) >= 1 - ξ_i, ξ_i >= 0 (Bishop, 7.20
and 7.21). Its dual needs φ in products only, K_ij = φ(x_i)·φ(x_j), which a kernel gives without φ: linear x·z,
polynomial (γ x·z + r)^d, radial basis functions exp(-γ ||x - z||²). In terms of β_i = y_i α_i it reads (from 7.32-7.34)

    maximise  Σ_i y_i β_i - 1/2 Σ_ij β_i β_j K_ij       where Σ_i β_i = 0 and l_i <= β_i <= u_i,

[l, u] being [0, C_i] for y = 1 and [-C_i, 0] for y = -1. Only samples inside the margin, or on it, have a β_i that is
not 0: the support vectors. A new x goes by the sign of w·φ(x) + b = Σ_i β_i k(x_i, x) + b (7.13). How the dual is
solved, by sequential minimal optimisation, is in `_smo`. Of several classes each pair gets a machine; they vote.

Source: C. Bishop, "Pattern Recognition and Machine Learning", 2006, section 7.1.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, ClassifierMixin
from tinygrad_edu.plugins._kernels import Array, Kernel
from tinygrad_edu.plugins._smo import solve


class SVC(ClassifierMixin, BaseEstimator):
    """Support vector classifier. `class_weight`, a dict by label or "balanced", multiplies C; `cache_size` is in MB, of
    kernel values in use at a time; `max_iter` limits each pair's steps, -1: not at all."""

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: str = "rbf",
        degree: int = 3,
        gamma: Any = "scale",
        coef0: float = 0.0,
        tol: float = 1e-3,
        cache_size: float = 200,
        class_weight: Any = None,
        max_iter: int = -1,
        decision_function_shape: str = "ovr",
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.tol = tol
        self.cache_size = cache_size
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.decision_function_shape = decision_function_shape

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with its support vectors found: X (N, D), y (N,)."""
        for name in ("C", "tol", "cache_size"):
            self._check_number(name, 0.0, open="[")
        self._check_number("max_iter", -1, whole=True)
        self._check_choice("decision_function_shape", ("ovr", "ovo"))
        X = self._fit_input(X, dtype=np.float64)
        y = self._fit_labels(y, X, at_least=2)
        weight = self._weights(sample_weight, X)
        price = self.C * weight * check.weigh_classes(self.class_weight, self.classes_, y, np.ones(len(y)))
        self._kernel = self._make_kernel(X)
        K = len(self.classes_)
        beta, bias, steps = [], [], []
        for i, j in combinations(range(K), 2):
            own = np.flatnonzero(((y == i) | (y == j)) & (price > 0))
            sign = np.where(y[own] == (1 if K == 2 else i), 1.0, -1.0)
            if np.abs(sign.sum()) == len(own):
                raise ValueError(f"SVC: classes {self.classes_[[i, j]]}: all samples of one have a weight of 0")
            problem = self._kernel, X[own], sign, price[own]
            found = solve(*problem, tol=self.tol, megabytes=self.cache_size, max_iter=self.max_iter)
            if not found.converged:
                check.warn(check.ConvergenceWarning, f"Solver terminated early (max_iter={self.max_iter}).")
            beta.append(np.zeros(len(X)))
            beta[-1][own] = found.beta
            bias.append(found.bias)
            steps.append(found.steps)
        self.intercept_, self.n_iter_ = np.array(bias), np.array(steps, dtype=np.int32)
        self._keep(X, y, np.array(beta))
        return self

    def _make_kernel(self, X: Array) -> Kernel:
        self._check_choice("kernel", ("linear", "poly", "rbf", "sigmoid"))
        constants = self._check_number("degree", 0, whole=True), self._check_number("coef0", -np.inf)
        if isinstance(self.gamma, str):
            self._check_choice("gamma", ("scale", "auto"))
            variance = X.var() if self.gamma == "scale" else 1.0
            gamma = 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0
        else:
            gamma = self._check_number("gamma", 0.0)
        return Kernel(self.kernel, float(gamma), *constants)

    def _keep(self, X: Array, y: Array, beta: Array) -> None:
        """The learned attributes in scikit-learn's layout, from each pair's β (pairs, N)."""
        K = len(self.classes_)
        support = np.flatnonzero((beta != 0).any(axis=0))
        self.support_ = support[np.argsort(y[support], kind="stable")].astype(np.int32)
        self.support_vectors_ = X[self.support_]
        own = y[self.support_]
        self.n_support_ = np.bincount(own, minlength=K).astype(np.int32)
        self._pair_coef = beta[:, self.support_]
        self.dual_coef_ = np.zeros((K - 1, len(own)))
        for (i, j), coef in zip(combinations(range(K), 2), self._pair_coef, strict=True):
            # row by row a sample's β against the other classes, its own left out
            self.dual_coef_[j - 1, own == i], self.dual_coef_[i, own == j] = coef[own == i], coef[own == j]

    def _pairs(self, X: Any) -> Array:
        """Each pair's w·φ(x) + b: positive for the pair's first class, or of two classes for the second."""
        X = self._input(X, dtype=np.float64)
        out = np.empty((len(X), len(self.intercept_)))
        step = max(1, (1 << 21) // max(1, len(self.support_)))  # rows of a kernel matrix of 16 MB
        for first in range(0, len(X), step):
            kernel = self._kernel(X[first : first + step], self.support_vectors_)
            out[first : first + step] = kernel @ self._pair_coef.T + self.intercept_
        return out

    def _votes(self, pairs: Array) -> tuple[Array, Array]:
        """Of each class the pairs that it wins, and by how much in all: (N, K) twice."""
        K = len(self.classes_)
        votes, confidence = np.zeros((2, len(pairs), K))
        for p, (i, j) in enumerate(combinations(range(K), 2)):
            first = pairs[:, p] > 0
            votes[:, i] += first
            votes[:, j] += ~first
            confidence[:, i] += pairs[:, p]
            confidence[:, j] -= pairs[:, p]
        return votes, confidence

    def decision_function(self, X: Any) -> Array:
        """(N,) of two classes, positive for the second. Of more, each pair's (N, pairs) for "ovo", positive for its
        first class; for "ovr" (N, K): votes, and between equal ones the sum of the pairs', squashed to ±1/3."""
        pairs = self._pairs(X)
        if len(self.classes_) == 2 or self.decision_function_shape == "ovo":
            return pairs[:, 0] if len(self.classes_) == 2 else pairs
        votes, confidence = self._votes(pairs)
        return votes + confidence / (3.0 * (np.abs(confidence) + 1.0))

    def predict(self, X: Any) -> Array:
        """The class that wins most pairs: (N, D) -> (N,)."""
        pairs = self._pairs(X)
        two = len(self.classes_) == 2
        return self.classes_[(pairs[:, 0] > 0).astype(int) if two else self._votes(pairs)[0].argmax(axis=1)]

    @property
    def coef_(self) -> Array:
        """w of each pair, for the linear kernel alone: (pairs, D)."""
        if self.kernel != "linear":
            raise AttributeError("coef_ is only available when using a linear kernel")
        return self._pair_coef @ self.support_vectors_
