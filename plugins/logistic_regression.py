"""Logistic regression: the log-odds of a class are linear in x.

For two classes, with β·x understood to contain the intercept (x is followed by a 1):

    P(y = 1 | x) = p(x) = 1 / (1 + exp(-β·x))                                          (4.2 of ISL)

and for K classes, one β_k each, the softmax

    P(y = k | x) = p_k(x) = exp(β_k·x) / Σ_l exp(β_l·x)                                 (4.13 of ISL)

β minimises the mean negative log-likelihood and an L2 penalty, as scikit-learn scales them (w_i are the weights, W
their sum; the intercepts go free):

    J(β) = 1/W Σ_i w_i [-log p_{y_i}(x_i)] + ‖β‖² / (2 C W)

It is convex. With r_ik = w_i / W and y_ik = 1 where y_i = k:

    ∂J/∂β_k       = Σ_i r_ik (p_ik - y_ik) x_i + β_k / (C W)                              (4.21 of ESL)
    ∂²J/∂β_k∂β_l  = Σ_i r_ik p_ik (δ_kl - p_il) x_i x_iᵀ + δ_kl I / (C W)                  (4.22 of ESL)

`solver`: "lbfgs" and "gradient" need the first line only, "newton" both (few steps, each dear where K D is large). The
same vector added to all the β_k changes no p; the penalty settles that for the weights, and for the intercepts we keep
their sum at 0, where they begin.

Symbols: X (N, D + 1) with the column of ones, y (N,), β (D + 1,) or (K, D + 1), P (K, N).

Source: G. James et al., An Introduction to Statistical Learning (ISL), 2nd edition, 2021, section 4.3; T. Hastie et
al., The Elements of Statistical Learning (ESL), 2nd edition, 2009, section 4.4.1.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, ClassifierMixin
from tinygrad_edu.plugins._optimize import LBFGS, Direction, GradientDescent, Newton, minimize


class LogisticRegression(ClassifierMixin, BaseEstimator):
    """Classes by linear log-odds, `coef_` (1 or K, D) and `intercept_` (1 or K,); binary or multinomial, L2 penalty.

    `C` is the inverse of the penalty's strength (inf: none); `class_weight` a dict by label, or "balanced". Ends when
    no component of J's gradient exceeds `tol`, and warns (ConvergenceWarning) if that takes more than `max_iter` steps.

    >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
    >>> model.predict([[0.5], [2.5]]).tolist()
    ['no', 'yes']
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        class_weight: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
    ) -> None:
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (N, D) and labels y (N,) of two classes or more."""
        self._check_choice("solver", ("lbfgs", "newton", "gradient"))
        self._check_number("C", 0.0, open="[")
        self._check_number("tol", 0.0)
        self._check_number("max_iter", 1, whole=True)
        X = self._fit_input(X)
        codes = self._fit_labels(y, X, at_least=2)
        w = check.weigh_classes(self.class_weight, self.classes_, codes, self._weights(sample_weight, X))
        dtype, w = X.dtype, w.astype(np.float64)
        D, K = X.shape[1], len(self.classes_)
        X = np.hstack([X, np.ones((len(X), int(self.fit_intercept)))])  # float64 (N, D + 1)
        penalty = np.where(np.arange(X.shape[1]) < D, 1.0 / (self.C * w.sum()), 0.0)
        problem = (_Binary if K == 2 else _Multinomial)(X, codes, w / w.sum(), penalty, K)
        directions: dict[str, Direction] = {
            "lbfgs": LBFGS(), "newton": Newton(problem.hessian), "gradient": GradientDescent()
        }  # fmt: skip
        start = np.zeros(problem.size)
        beta, steps = minimize(problem, start, directions[self.solver], tol=self.tol, max_iter=self.max_iter)
        if steps > self.max_iter:
            check.warn(
                check.ConvergenceWarning,
                f"LogisticRegression: {self.solver} failed to converge after {self.max_iter} iteration(s). Increase "
                "max_iter, or scale the data (StandardScaler).",
            )
        beta = beta.reshape(-1, X.shape[1]).astype(dtype)
        self.coef_ = np.ascontiguousarray(beta[:, :D])
        self.intercept_ = beta[:, D].copy() if self.fit_intercept else np.zeros(len(beta), dtype)
        self.n_iter_ = np.array([min(max(steps, 1), self.max_iter)], np.int32)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The log-odds β·x: (N, D) -> (N,) for two classes, else (N, K)."""
        z = self._input(X) @ self.coef_.T + self.intercept_
        return z[:, 0] if len(self.classes_) == 2 else z

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sample, (N,)."""
        z = self.decision_function(X)
        return self.classes_[(z > 0.0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, D) -> (N, K); rows sum to 1."""
        z = self.decision_function(X)
        if z.ndim == 1:
            return np.stack([_sigmoid(-z), _sigmoid(z)], axis=1)
        return _softmax(z.T)[0].T

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`, (N, D) -> (N, K)."""
        return np.log(self.predict_proba(X))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(z))  # never overflows
    return np.where(z >= 0.0, 1.0, e) / (1.0 + e)


def _softmax(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (K, N) and the logarithms of the sums (N,); the maximum is taken out so that exp can't overflow."""
    top = Z.max(axis=0)
    P = np.exp(Z - top)
    sums = P.sum(axis=0)
    return P / sums, top + np.log(sums)


class _Binary:
    """J for two classes: call it with β (D + 1,) for its value and gradient."""

    def __init__(self, X: np.ndarray, codes: np.ndarray, r: np.ndarray, penalty: np.ndarray, K: int) -> None:
        self.X, self.y, self.r, self.penalty = X, codes.astype(np.float64), r, penalty
        self.size = X.shape[1]

    def __call__(self, beta: np.ndarray) -> tuple[float, np.ndarray]:
        z = self.X @ beta
        e = np.exp(-np.abs(z))
        p = np.where(z >= 0.0, 1.0, e) / (1.0 + e)
        losses = np.maximum(z, 0.0) + np.log1p(e) - self.y * z  # log(1 + exp(z)) - y z
        value = self.r @ losses + 0.5 * (self.penalty * beta) @ beta
        return float(value), (self.r * (p - self.y)) @ self.X + self.penalty * beta

    def hessian(self, beta: np.ndarray) -> np.ndarray:
        p = _sigmoid(self.X @ beta)
        return self.X.T @ (self.X * (self.r * p * (1.0 - p))[:, None]) + np.diag(self.penalty)


class _Multinomial:
    """J for K classes: call it with β (K (D + 1),) for its value and gradient."""

    def __init__(self, X: np.ndarray, codes: np.ndarray, r: np.ndarray, penalty: np.ndarray, K: int) -> None:
        self.X, self.r, self.penalty = X, r, penalty
        self.shape = K, X.shape[1]
        self.size = K * X.shape[1]
        self.where = codes, np.arange(len(X))

    def __call__(self, beta: np.ndarray) -> tuple[float, np.ndarray]:
        B = beta.reshape(self.shape)
        Z = B @ self.X.T  # (K, N)
        P, logsum = _softmax(Z)
        value = self.r @ (logsum - Z[self.where]) + 0.5 * (self.penalty * B * B).sum()
        P[self.where] -= 1.0
        return float(value), ((P * self.r) @ self.X + self.penalty * B).ravel()

    def hessian(self, beta: np.ndarray) -> np.ndarray:
        K, D = self.shape
        P, _ = _softmax(beta.reshape(self.shape) @ self.X.T)
        H = np.empty((K, D, K, D))
        for k in range(K):
            for l in range(k + 1):
                block = self.X.T @ (self.X * (self.r * P[k] * ((k == l) - P[l]))[:, None])
                H[k, :, l] = H[l, :, k] = block + np.diag(self.penalty) * (k == l)
        if self.penalty[-1] == 0.0:
            H[:, -1, :, -1] += 1.0  # (Σ intercepts)² / 2: is 0 all along, and makes H invertible
        return H.reshape(self.size, self.size)
