"""Gaussian naive Bayes: each class a normal distribution, its features taken as independent.

By Bayes's rule P(k | x) ~ π_k Π_d N(x_d; μ_kd, σ²_kd): "naive" is the product, as if within a class one feature told
nothing of another (Hastie et al., 6.26). In logarithms, which can't underflow,

    log P(k | x) = log π_k - 1/2 Σ_d [ log 2π σ²_kd + (x_d - μ_kd)² / σ²_kd ] - log of the sum over the classes

π_k is the share of class k, μ_kd and σ²_kd its mean and variance. Every variance gets `var_smoothing` times the largest
variance of a feature on top, lest a feature that is constant within a class divide by 0. `partial_fit` joins n_a
samples with n_b more, by means and sums of squared differences M = n σ² (Chan et al., 2.1):

    μ = (n_a μ_a + n_b μ_b) / n          M = M_a + M_b + n_a n_b / n (μ_a - μ_b)²          n = n_a + n_b

Sources: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, section
6.6.3; T. Chan, G. Golub, R. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import BaseEstimator, ClassifierMixin

Array = np.ndarray[Any, Any]


class GaussianNB(ClassifierMixin, BaseEstimator):
    """Gaussian naive Bayes classifier; `priors` (K,) replaces the classes' shares."""

    def __init__(self, *, priors: Any = None, var_smoothing: float = 1e-9) -> None:
        self.priors = priors
        self.var_smoothing = var_smoothing

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """The estimator itself, with the classes' means and variances: X (N, D), y (N,)."""
        X = self._fit_input(X)
        codes = self._fit_labels(y, X)
        self._forget()
        return self._join(X, codes, self._weights(sample_weight, X))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """As `fit`, with these samples joined to those before. The first call must name all `classes`."""
        if first := not hasattr(self, "theta_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            X = self._fit_input(X)
        else:
            X = self._input(X)
        known = np.unique(classes) if first else self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")
        codes = self._fit_labels(y, X)
        self.classes_, seen = known, self.classes_
        if not np.isin(seen, known).all():
            raise ValueError(f"The target label(s) {seen[~np.isin(seen, known)]} in y do not exist in {known}")
        if first:
            self._forget()
        return self._join(X, np.searchsorted(known, seen)[codes], self._weights(sample_weight, X))

    def _forget(self) -> None:
        shape = len(self.classes_), self.n_features_in_
        self.class_count_, self.theta_, self._spread = np.zeros(shape[0]), np.zeros(shape), np.zeros(shape)

    def _join(self, X: Array, codes: Array, weight: Array) -> Self:
        self._check_number("var_smoothing", 0.0)
        X = X.astype(np.float64, copy=False)
        self.epsilon_ = self.var_smoothing * X.var(axis=0).max()
        for k in range(len(self.classes_)):
            own = (codes == k) & (weight > 0)
            w, new = weight[own].astype(np.float64), X[own]
            if not len(w):
                continue
            old_count, count = self.class_count_[k], w.sum()
            mean = w @ new / count
            total = old_count + count
            apart = mean - self.theta_[k]
            self._spread[k] += w @ np.square(new - mean) + old_count * count / total * np.square(apart)
            self.theta_[k] += count / total * apart
            self.class_count_[k] = total
        seen = np.maximum(self.class_count_, np.finfo(float).tiny)[:, None]
        self.var_ = self._spread / seen + self.epsilon_
        self.class_prior_ = self._prior()
        return self

    def _prior(self) -> Array:
        if self.priors is None:
            return self.class_count_ / self.class_count_.sum()
        priors = np.asarray(self.priors, dtype=float)
        if len(priors) != len(self.classes_):
            raise ValueError("Number of priors must match number of classes.")
        if not np.isclose(priors.sum(), 1.0):
            raise ValueError("The sum of the priors should be 1.")
        if (priors < 0).any():
            raise ValueError("Priors must be non-negative.")
        return priors

    def predict_joint_log_proba(self, X: Any) -> Array:
        """log π_k N(x; μ_k, σ²_k): (N, D) -> (N, K)."""
        X = self._input(X)
        with np.errstate(divide="ignore"):  # a class that was never seen: log 0 = -∞, and it is never predicted
            joint = np.log(self.class_prior_) - 0.5 * np.log(2.0 * np.pi * self.var_).sum(axis=1)
        out = np.empty((len(X), len(self.classes_)))
        for k, (mean, variance) in enumerate(zip(self.theta_, self.var_, strict=True)):
            out[:, k] = joint[k] - 0.5 * (np.square(X - mean) / variance).sum(axis=1)
        return out

    def predict_log_proba(self, X: Any) -> Array:
        """log P(k | x), in nats: (N, D) -> (N, K)."""
        joint = self.predict_joint_log_proba(X)
        top = joint.max(axis=1, keepdims=True)
        return joint - top - np.log(np.exp(joint - top).sum(axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> Array:
        """P(k | x): (N, D) -> (N, K)."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> Array:
        """The most probable class: (N, D) -> (N,)."""
        joint = self.predict_joint_log_proba(X)
        return self.classes_[joint.argmax(axis=1)]
