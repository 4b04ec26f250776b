"""Tables: columns of numbers and of texts, each by its name. `csv_file.py` reads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.errors import unknown


@dataclass(frozen=True)
class Table:
    """Columns by name, all of one length: float64 (N,), NaN where there is no value, or texts, "" where there is none.

    Texts are an array of objects, each a str: a single long one then takes no more room than it needs. ValueError for
    columns of other kinds or of unequal lengths.

    >>> table = Table({"area": np.array([50.0, np.nan]), "district": np.array(["north", ""], object)})
    >>> len(table), table.names, table.numbers, table.texts
    (2, ('area', 'district'), ('area',), ('district',))
    """

    columns: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"Table: expected columns of one length, got {lengths}")
        for name, column in self.columns.items():
            if column.ndim != 1 or column.dtype not in (np.float64, np.object_):
                found = f"{column.dtype} {column.shape}"
                raise ValueError(f"Table: expected column {name!r} as (N,) of float64 or texts, got {found}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        """One column. ValueError for an unknown one lists those there are."""
        if name not in self.columns:
            raise ValueError(unknown("column", name, self.columns))
        return self.columns[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(self.columns)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of the columns of numbers."""
        return tuple(name for name, column in self.columns.items() if column.dtype == np.float64)

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of the columns of texts."""
        return tuple(name for name, column in self.columns.items() if column.dtype != np.float64)

    def choose(self, *names: str) -> Table:
        """The Table of these columns, in this order."""
        return Table({name: self[name] for name in names})

    def drop(self, *names: str) -> Table:
        """The Table without these columns."""
        dropped = self.choose(*names)  # an unknown name is an error here too
        return Table({name: column for name, column in self.columns.items() if name not in dropped.columns})

    def take(self, rows: np.ndarray) -> Table:
        """The Table of some rows: their indices, or a mask (N,) bool."""
        return Table({name: column[rows] for name, column in self.columns.items()})

    @classmethod
    def from_pandas(cls, frame: Any) -> Table:
        """The Table of a pandas DataFrame: numbers and truth values as float64, everything else as text."""
        columns: dict[str, np.ndarray] = {}
        for name, series in frame.items():
            if not isinstance(name, str) or name in columns:
                raise ValueError(f"from_pandas: expected column names that are different strings, got {name!r}")
            if series.dtype.kind in "iufb":  # pandas' own Int64 and boolean have these kinds too
                columns[name] = series.to_numpy(np.float64, na_value=np.nan)
            else:
                given = zip(series.isna(), series, strict=True)
                columns[name] = text_column(["" if missing else str(value) for missing, value in given])
        return cls(columns)


def text_column(texts: Sequence[str]) -> np.ndarray:
    """Texts as a Table has them: an array of objects (N,)."""
    out = np.empty(len(texts), object)
    out[:] = texts
    return out
