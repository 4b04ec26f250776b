"""Missing values filled in, column by column, by a number that the column's other values suggest.

    mean            the value with the smallest sum of squared distances to those there are
    median          the value with the smallest sum of distances: a few extreme values do not move it
    most_frequent   the mode, the smallest of several
    constant        `fill_value`

What is filled in is learnt in `fit`, on the training data alone. It is the same for every row, so that a column's
variance shrinks; the first two are those of "An Introduction to Statistical Learning", 2nd edition, section 12.3.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, TransformerMixin

STRATEGIES = ("mean", "median", "most_frequent", "constant")


class SimpleImputer(TransformerMixin, BaseEstimator):
    """Missing values replaced by `statistics_` (D,), one a column. Numbers only.

    `missing_values` is what counts as missing: NaN, or a number. A column without any value is left out of the result,
    with a warning; with `keep_empty_features` it becomes 0 (`fill_value` with "constant").

    >>> SimpleImputer().fit_transform([[1.0], [float("nan")], [3.0]]).ravel().tolist()
    [1.0, 2.0, 3.0]
    """

    def __init__(
        self,
        *,
        missing_values: float = np.nan,
        strategy: str = "mean",
        fill_value: float | None = None,
        keep_empty_features: bool = False,
    ) -> None:
        self.missing_values = missing_values
        self.strategy = strategy
        self.fill_value = fill_value
        self.keep_empty_features = keep_empty_features

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X (N, D)."""
        self._check_choice("strategy", STRATEGIES)
        X = self._fit_input(X, allow_nan=self._nan_is_missing())
        missing = self._missing(X)
        columns = (column[~absent] for column, absent in zip(X.T, missing.T, strict=True))
        self.statistics_ = np.array([self._statistic(values) for values in columns], X.dtype)
        return self

    def transform(self, X: Any) -> Any:
        """X without missing values, (N, D) -> (N, D), or less where a column had no value in `fit`."""
        return self._framed(self._transform(self._input(X, allow_nan=self._nan_is_missing())), X)

    def _transform(self, X: np.ndarray) -> np.ndarray:
        kept = self._kept()
        if not kept.all():
            check.warn(
                UserWarning,
                f"Skipping features without any observed values: {self._names_in()[~kept].tolist()}. At least one "
                f"non-missing value is needed for imputation with strategy={self.strategy!r}.",
            )
        return np.where(self._missing(X), self.statistics_.astype(X.dtype), X)[:, kept]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that come out: those that went in and have a value."""
        self._check_fitted()
        return self._names_in(input_features)[self._kept()]

    def _kept(self) -> np.ndarray:
        return ~np.isnan(self.statistics_)

    def _statistic(self, values: np.ndarray) -> float:
        """What a column's missing values become; NaN where it has no value and is left out."""
        constant = 0.0 if self.fill_value is None or self.strategy != "constant" else self.fill_value
        if not len(values):
            return constant if self.keep_empty_features else np.nan
        if self.strategy == "constant":
            return constant
        if self.strategy == "most_frequent":
            found, counts = np.unique(values, return_counts=True)
            return found[counts.argmax()]
        return np.median(values) if self.strategy == "median" else values.mean(dtype=np.float64)

    def _nan_is_missing(self) -> bool:
        return bool(np.isnan(self.missing_values))

    def _missing(self, X: np.ndarray) -> np.ndarray:
        return np.isnan(X) if self._nan_is_missing() else np.equal(X, self.missing_values)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._nan_is_missing()
        return tags
