"""The losses that boosting lowers, with the derivatives that its trees are made from: see `boosting` for the formulas.

F (N, K) are the model's raw numbers so far, r = -∂L/∂F the residuals, h = ∂²L/∂F² the curvature, K the trees a round.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tinygrad_edu.plugins._tree_criteria import Array


class Loss(Protocol):
    """What `boosting` asks of a loss."""

    def start(self, y: Array, weight: Array) -> Array:
        """The best constant, F_0: (K,)."""
        ...

    def residuals(self, y: Array, F: Array) -> tuple[Array, Array]:
        """r and h: (N, K) each."""
        ...

    def mean(self, y: Array, F: Array, weight: Array) -> float:
        """What goes into `train_score_`: the loss's weighted mean, twice that where L is half of a customary number."""
        ...


class SquaredError:
    """L = (y - F)² / 2."""

    def start(self, y: Array, weight: Array) -> Array:
        return np.array([np.average(y, weights=weight)])

    def residuals(self, y: Array, F: Array) -> tuple[Array, Array]:
        return y[:, None] - F, np.ones_like(F)

    def mean(self, y: Array, F: Array, weight: Array) -> float:
        return float(np.average(np.square(y - F[:, 0]), weights=weight))


class LogLoss:
    """L = -log p_y for `y` of codes 0 … classes - 1; two classes share one F, the second's log-odds."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def start(self, y: Array, weight: Array) -> Array:
        share = np.bincount(y, weight, minlength=self.classes) / weight.sum()
        tiny = np.finfo(np.float32).eps  # a share of 0 has no logarithm; this is how far scikit-learn goes
        log = np.log(np.clip(share, tiny, 1 - tiny))
        return log[1:] - log[:1] if self.classes == 2 else log - log.mean()

    def probability(self, F: Array) -> Array:
        """(N, 1) of two classes, the second's, else (N, K)."""
        if self.classes == 2:
            return 0.5 * (1.0 + np.tanh(0.5 * F))  # the logistic function, which can't overflow like this
        e = np.exp(F - F.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def residuals(self, y: Array, F: Array) -> tuple[Array, Array]:
        p = self.probability(F)
        target = y[:, None] == (1 if self.classes == 2 else np.arange(self.classes))
        return target - p, p * (1.0 - p)

    def mean(self, y: Array, F: Array, weight: Array) -> float:
        if self.classes == 2:
            return float(2.0 * np.average(np.logaddexp(0.0, np.where(y == 1, -F[:, 0], F[:, 0])), weights=weight))
        top = F.max(axis=1)
        log_sum = top + np.log(np.exp(F - top[:, None]).sum(axis=1))
        return float(np.average(log_sum - F[np.arange(len(y)), y], weights=weight))
