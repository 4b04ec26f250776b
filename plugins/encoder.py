"""Categories as numbers: one column for each, 1 where a sample has it and 0 elsewhere.

Numbers 0, 1, 2 … instead would claim that the categories have an order and distances. The columns of one feature sum
to 1, so that a linear model with an intercept can't tell them apart from it; `drop` leaves one out, and the others then
say how they differ from that one.

Source: G. James et al., An Introduction to Statistical Learning, 2nd edition, 2021, section 3.3.1, "dummy variables".
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._base import BaseEstimator, TransformerMixin


class OneHotEncoder(TransformerMixin, BaseEstimator):
    """Columns of 0 and 1, one for each category of each feature: strings or numbers, missing ones a category too.

    `categories`: "auto", those seen in `fit`, sorted; or a list of lists. `drop`: None, "first", or "if_binary", the
    first where there are two. `handle_unknown`: "error", or "ignore", which gives a row of zeros. The result is an
    array, as scikit-learn's with `sparse_output=False`; its default is a sparse matrix.

    >>> encoder = OneHotEncoder().fit([["red"], ["blue"]])
    >>> encoder.get_feature_names_out().tolist(), encoder.transform([["red"]]).tolist()
    (['x0_blue', 'x0_red'], [[0.0, 1.0]])
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        drop: str | None = None,
        handle_unknown: str = "error",
        dtype: Any = np.float64,
    ) -> None:
        self.categories = categories
        self.drop = drop
        self.handle_unknown = handle_unknown
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the categories of X (N, D)."""
        self._check_choice("drop", (None, "first", "if_binary"))
        self._check_choice("handle_unknown", ("error", "ignore"))
        columns = _columns(X, type(self).__name__)
        self._keep_columns(X, len(columns))
        if isinstance(self.categories, str):
            self._check_choice("categories", ("auto",))
            self.categories_ = [_distinct(column)[0] for column in columns]
        else:
            if len(self.categories) != len(columns):
                raise ValueError(f"Shape mismatch: X has {len(columns)} features, categories {len(self.categories)}.")
            kinds = (None if column.dtype.kind == "U" else column.dtype for column in columns)  # strings: any length
            self.categories_ = [np.asarray(given, kind) for given, kind in zip(self.categories, kinds, strict=True)]
            for i, column in enumerate(columns):
                self._codes(i, column, "fit")
        self._dropped = [
            int(self.drop == "first" or (self.drop == "if_binary" and len(c) == 2)) for c in self.categories_
        ]
        return self

    def transform(self, X: Any) -> Any:
        """The columns of 0 and 1, (N, D) -> (N, categories of all features)."""
        self._check_fitted()
        self._check_names(X)
        columns = _columns(X, type(self).__name__)
        self._check_width(len(columns))
        blocks = []
        for i, column in enumerate(columns):
            codes = self._codes(i, column, "transform")
            kept = np.arange(self._dropped[i], len(self.categories_[i]))
            blocks.append((codes[:, None] == kept).astype(self.dtype))
        return self._framed(np.hstack(blocks), X)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The categories, (N, categories of all features) -> (N, D), as objects where their types differ.

        A row of zeros is the category that `drop` left out, or None where there is none: an unknown one.
        """
        self._check_fitted()
        X, wanted = np.asarray(X), sum(map(len, self.categories_)) - sum(self._dropped)
        if X.ndim != 2 or X.shape[1] != wanted:
            raise ValueError(f"Shape of the passed X data is not correct. Expected {wanted} columns, got {X.shape}.")
        out, start = [], 0
        for categories, dropped in zip(self.categories_, self._dropped, strict=True):
            block = X[:, start : start + len(categories) - dropped]
            start += block.shape[1]
            zero = ~block.any(axis=1)
            found = categories[np.where(zero, 0, dropped + (block.argmax(axis=1) if block.shape[1] else 0))]
            if zero.any() and not dropped:
                found = found.astype(object)
                found[zero] = None
            out.append(found)
        same = len({column.dtype for column in out}) == 1
        return np.stack(out if same else [column.astype(object) for column in out], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that come out: the feature's, `_`, and the category."""
        self._check_fitted()
        names = zip(self._names_in(input_features), self.categories_, self._dropped, strict=True)
        return np.array([f"{name}_{category}" for name, found, d in names for category in found[d:]], object)

    def _codes(self, i: int, column: np.ndarray, doing: str) -> np.ndarray:
        """The number of each value's category, -1 for an unknown one where that is no error."""
        categories = self.categories_[i]
        numbers = {_key(category): code for code, category in enumerate(categories.tolist())}
        values, where = _distinct(column)
        codes = np.array([numbers.get(_key(value), -1) for value in values.tolist()], np.int64)
        if self.handle_unknown == "error" and (codes < 0).any():
            raise ValueError(f"Found unknown categories {values[codes < 0].tolist()} in column {i} during {doing}")
        return codes[where]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _columns(X: Any, owner: str) -> list[np.ndarray]:
    """X's columns (N,), each of its own type: numbers, strings or objects."""
    check.refuse_sparse(X, owner)
    if hasattr(X, "columns"):
        array = np.asarray(X, object)  # a data frame: column by column of another type
    else:
        array = np.asarray(X)
        if array.dtype.kind == "U" and not isinstance(X, np.ndarray):
            array = np.asarray(X, object)  # a list of lists, whose numbers must not become strings
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{owner}: X is {array.dtype}")
    check.check_matrix(array, owner, allow_nan=True)
    return list(array.T)


NAN = object()  # what stands for every NaN in a look-up, since no NaN is equal to another


def _key(value: Any) -> Any:
    return NAN if value != value else value


def _distinct(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values, sorted, None and NaN last, and the place of each of the column's among them."""
    if column.dtype.kind != "O":
        return np.unique(column, return_inverse=True)
    values = column.tolist()
    try:
        first = {_key(value): value for value in values}
        last = [first.pop(key) for key in (None, NAN) if key in first]
        found = [*sorted(first.values()), *last]
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in values})
        raise TypeError(f"OneHotEncoder: its argument must be all strings or all numbers, got {kinds}") from error
    place = {_key(value): code for code, value in enumerate(found)}
    return np.array(found, object), np.array([place[_key(value)] for value in values], np.int64)
