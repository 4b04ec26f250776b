"""Columns brought to one scale, so that no method takes a column for important because of its unit.

    StandardScaler      z = (x - μ) / σ,                                σ² = Σ (x - μ)² / N, as for a population
    MinMaxScaler        z = a + (x - min) (b - a) / (max - min),        into the range [a, b]

A constant column is only shifted: its σ, or max - min, counts as 1. Missing values (NaN) are passed over in `fit` and
stay missing in `transform`, as in scikit-learn, so that an imputer may follow.

μ is taken once more from what is left after the first subtraction: the sum of large numbers was rounded, the sum of
the small remainders is not (Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983, equation 1.7).

Source of the definitions: G. James et al., An Introduction to Statistical Learning, 2nd edition, 2021, equation (6.6).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins._base import BaseEstimator, TransformerMixin


class _Scaler(TransformerMixin, BaseEstimator):
    """What both share: NaN in, NaN out, and a map of each column by itself."""

    def transform(self, X: Any) -> Any:
        """X scaled, (N, D) -> (N, D)."""
        return self._framed(self._transform(self._input(X, allow_nan=True)), X)

    def _transform(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class StandardScaler(_Scaler):
    """Mean 0 and variance 1 in each column.

    Learns `mean_`, `var_`, `scale_` (σ, 1 for a constant column), float64 (D,), and `n_samples_seen_`.

    >>> StandardScaler().fit_transform([[1.0, 5.0], [3.0, 5.0]]).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    scale_: Any

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from X (N, D)."""
        X = self._fit_input(X, allow_nan=True)
        w = None if sample_weight is None else self._weights(sample_weight, X).astype(np.float64)
        self.n_samples_seen_, self.mean_, self.var_ = _moments(X, w)
        constant = self.var_ <= _rounding(self.n_samples_seen_, self.mean_, self.var_)
        self.scale_ = np.where(constant, 1.0, np.sqrt(self.var_)) if self.with_std else None
        return self

    def _transform(self, X: np.ndarray) -> np.ndarray:
        out = X.copy()
        if self.with_mean:
            np.subtract(out, self.mean_, out=out, casting="same_kind")  # float32 data: subtracted in float64
        if self.with_std:
            np.divide(out, self.scale_, out=out, casting="same_kind")
        return out

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The data that `transform` gives X for."""
        out = self._input(X, allow_nan=True).copy()
        if self.with_std:
            np.multiply(out, self.scale_, out=out, casting="same_kind")
        if self.with_mean:
            np.add(out, self.mean_, out=out, casting="same_kind")
        return out


def _moments(X: np.ndarray, w: np.ndarray | None) -> tuple[Any, np.ndarray, np.ndarray]:
    """The (weighted) number of values, their mean and their variance, column by column, in float64; NaN left out."""
    missing = np.isnan(X) if np.isnan(X.sum(axis=0)).any() else None
    ones = np.ones(len(X)) if w is None else w
    count: Any = ones.sum() if missing is None else ones @ ~missing
    with np.errstate(invalid="ignore"):  # a column without any value: 0 / 0 is NaN, and NaN is all that it holds
        first = _sum(X, w, missing) / count
        rest = X - first  # float64
        shift = _sum(rest, w, missing) / count
        squares = _sum(rest * rest, w, missing) / count - shift**2
    if w is None:
        count = np.asarray(count).astype(np.int64)[()]
    return count, first + shift, squares.clip(0.0)


def _sum(X: np.ndarray, w: np.ndarray | None, missing: np.ndarray | None) -> np.ndarray:
    if missing is not None:
        X = np.where(missing, 0.0, X)
    return X.sum(axis=0, dtype=np.float64) if w is None else w @ X


def _rounding(count: Any, mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    """The variance that rounding alone may give a constant column (Chan, Golub, LeVeque, section 4)."""
    eps = np.finfo(np.float64).eps
    return count * eps * var + (count * mean * eps) ** 2


class MinMaxScaler(_Scaler):
    """Each column into `feature_range`; with `clip`, new data beyond what `fit` saw too.

    Learns `data_min_`, `data_max_`, `data_range_`, `scale_` and `min_` (z = x * scale_ + min_), (D,).

    >>> MinMaxScaler().fit_transform([[1.0], [2.0], [5.0]]).tolist()
    [[0.0], [0.25], [1.0]]
    """

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.clip = clip

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X (N, D)."""
        low, high = self.feature_range
        if low >= high:
            raise ValueError(
                f"Minimum of desired feature range must be smaller than maximum. Got {self.feature_range}."
            )
        X = self._fit_input(X, allow_nan=True)
        self.n_samples_seen_ = len(X)
        self.data_min_, self.data_max_ = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)  # NaN is passed over
        self.data_range_ = self.data_max_ - self.data_min_
        width = np.where(self.data_range_ < 10.0 * np.finfo(X.dtype).eps, 1.0, self.data_range_)
        self.scale_ = ((high - low) / width).astype(X.dtype)
        self.min_ = low - self.data_min_ * self.scale_
        return self

    def _transform(self, X: np.ndarray) -> np.ndarray:
        out = X * self.scale_.astype(X.dtype) + self.min_.astype(X.dtype)
        return out.clip(*self.feature_range) if self.clip else out

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The data that `transform` gives X for."""
        X = self._input(X, allow_nan=True)
        return (X - self.min_.astype(X.dtype)) / self.scale_.astype(X.dtype)
