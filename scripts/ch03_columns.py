"""Chapter 3's preprocessor: a Table of mixed columns to an array of numbers that a model can learn from.

    a column of numbers     missing values become the mean, then min-max or standardisation
    a column of texts       one column for each category, 1 where a row has it and 0 elsewhere; a blank is a category

The mean, the scale and the categories are learnt by `fit`, which must see the training part alone: a test row that
had a part in them would have told the model something about itself. The three steps are the estimators of
`plugins/imputer.py`, `scalers.py` and `encoder.py`; `tinygrad-edu lesson 3.4` writes them out on a column of five.

N is the number of rows, D that of the columns that come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from tinygrad_edu.data.table import Table
from tinygrad_edu.plugins import MinMaxScaler, OneHotEncoder, SimpleImputer, StandardScaler, train_test_split

Scale = Literal["standardise", "min-max", "none"]

BLANK = "(blank)"  # the category of rows that have no text


@dataclass(frozen=True)
class Done:
    """What the preprocessor does to one column: for the report."""

    name: str
    missing: int  # in the training part
    filled: float | None = None  # the mean that takes their place
    shift: float = 0.0  # z = (x - shift) / scale
    scale: float = 1.0
    categories: tuple[str, ...] = ()  # of a column of texts


class Preprocessor:
    """Columns made numbers, in the Table's order, those of numbers first. `fit` on the training part.

    Learns `names_`, those of the D columns that come out, and `done_`, what it does to each column that goes in.

    >>> towns = np.array(["Ulm", "Bonn", "Ulm"], object)
    >>> table = Table({"area": np.array([40.0, np.nan, 60.0]), "town": towns})
    >>> preprocessor = Preprocessor(scale="min-max").fit(table)
    >>> preprocessor.names_, preprocessor.transform(table).tolist()
    (('area', 'town_Bonn', 'town_Ulm'), [[0.0, 0.0, 1.0], [0.5, 1.0, 0.0], [1.0, 0.0, 1.0]])
    """

    def __init__(self, *, scale: Scale = "standardise", most_categories: int = 100) -> None:
        self.scale = scale
        self.most_categories = most_categories

    def fit(self, table: Table) -> Self:
        """Learn from the training part.

        ValueError for no rows, for a column without any value, and for texts of more than `most_categories` kinds.
        """
        if not len(table) or not table.names:
            raise ValueError(f"preprocess: expected rows and columns to learn from, got {len(table)} x {table.names}")
        self._check_values(table)
        self.numbers_, self.texts_ = table.numbers, table.texts
        self._imputer, self._encoder = SimpleImputer(), OneHotEncoder(handle_unknown="ignore")
        self._scaler: Any = {"standardise": StandardScaler, "min-max": MinMaxScaler, "none": None}[self.scale]
        names: list[str] = list(self.numbers_)
        if self.numbers_:
            filled = self._imputer.fit_transform(_matrix(table, self.numbers_))
            self._scaler = self._scaler and self._scaler().fit(filled)
        if self.texts_:
            self._encoder.fit(_categories(table, self.texts_))
            names += self._encoder.get_feature_names_out(np.array(self.texts_, object)).tolist()
        self.names_ = tuple(names)
        self.done_ = tuple(self._done(table, name) for name in table.names)
        return self

    def transform(self, table: Table) -> np.ndarray:
        """The rows as numbers, (N, D) float64. A category that `fit` did not see is 0 in all its columns."""
        blocks = [np.empty((len(table), 0))]
        if self.numbers_:
            filled = self._imputer.transform(_matrix(table, self.numbers_))
            blocks.append(self._scaler.transform(filled) if self._scaler else filled)
        if self.texts_:
            blocks.append(self._encoder.transform(_categories(table, self.texts_)))
        return np.hstack(blocks)

    def _check_values(self, table: Table) -> None:
        for name in table.numbers:
            if np.isnan(table[name]).all():
                raise ValueError(f"column {name!r} has no value to take the mean of: leave it out")
            if np.isinf(table[name]).any():
                raise ValueError(f"column {name!r} holds infinity, of which there is no mean: leave it out")
        for name in table.texts:
            if (kinds := len(set(table[name]))) > self.most_categories:
                raise ValueError(
                    f"column {name!r} has {kinds} different texts in {len(table)} rows, more than "
                    f"{self.most_categories}: that is no category, leave it out"
                )

    def _done(self, table: Table, name: str) -> Done:
        column = table[name]
        if name in self.texts_:
            categories = self._encoder.categories_[self.texts_.index(name)]
            return Done(name, int((column == "").sum()), categories=tuple(categories.tolist()))
        i, shift, scale = self.numbers_.index(name), 0.0, 1.0
        if self.scale == "standardise":
            shift, scale = self._scaler.mean_[i], self._scaler.scale_[i]
        elif self.scale == "min-max":
            shift, scale = self._scaler.data_min_[i], 1.0 / self._scaler.scale_[i]
        return Done(name, int(np.isnan(column).sum()), float(self._imputer.statistics_[i]), float(shift), float(scale))


def split(table: Table, *, test_share: float = 0.2, seed: int = 0) -> tuple[Table, Table]:
    """The rows shuffled and cut in two, the training and the test part: by `seed` alone, the same every time.

    ValueError for a share that is not between 0 and 1, or leaves a part without rows.
    """
    train, test = train_test_split(np.arange(len(table)), test_size=float(test_share), random_state=seed)
    return table.take(train), table.take(test)


def _matrix(table: Table, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([table[name] for name in names], axis=1)  # (N, numbers)


def _categories(table: Table, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([np.where(table[name] == "", BLANK, table[name]) for name in names], axis=1)  # (N, texts)
