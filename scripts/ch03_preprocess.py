"""Chapter 3: a CSV file of mixed columns made into arrays that a model can learn from, Python and NumPy only.

Read (`tinygrad_edu/data/csv_file.py`), shuffle and cut in two, learn means, scales and categories from the training
part, apply them to both (`ch03_columns.py`). scikit-learn's imputer, scalers and encoder do the same beside it.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tinygrad_edu.data.csv_file import MISSING, read_csv
from tinygrad_edu.data.table import Table
from tinygrad_edu.data.tables import housing, iris
from tinygrad_edu.errors import require
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_sklearn
from tinygrad_edu.scripts import ch03_preprocess_pictures as pictures
from tinygrad_edu.scripts.ch03_columns import BLANK, Preprocessor, Scale, split


@dataclass
class Args:
    """Make clean arrays of a CSV file (chapter 3)."""

    data: str = "flats"
    """A CSV file, - for standard input, or: flats (made up, embedded), housing, iris."""
    scale: Scale = "standardise"
    """What becomes of columns of numbers: mean 0 and deviation 1, from 0 to 1, or as they are."""
    test_share: float = 0.2
    """Share of the rows that is kept for the test."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    text: tuple[str, ...] = ()
    """Columns to take for categories, even if they look like numbers."""
    missing: tuple[str, ...] = MISSING
    """Words that stand for nothing in a column of numbers, beside a blank."""
    delimiter: str = ","
    """Between the columns."""
    decimal: str = "."
    """Between whole and fraction."""
    thousands: str = ""
    """Between thousands."""
    encoding: str = "utf-8"
    """Of the file."""
    reader: Literal["ours", "pandas"] = "ours"
    """Whose CSV reader."""
    compare: beside_sklearn.Compare = "auto"
    """Do it with scikit-learn too: auto, where it is installed."""


def main(args: Args, run: Run) -> None:
    """Read, split, learn, apply, compare, draw."""
    if not 0.0 < args.test_share < 1.0:
        raise ValueError(f"preprocess: expected --test-share between 0 and 1, got {args.test_share}")
    table = read(args).drop(*args.drop)
    if len(table) < 2:
        raise ValueError(f"preprocess: expected at least two rows, got {len(table)}")
    train, test = split(table, test_share=args.test_share, seed=run.seed)
    preprocessor = Preprocessor(scale=args.scale).fit(train)
    x_train, x_test = preprocessor.transform(train), preprocessor.transform(test)
    arrays = {"x_train": x_train, "x_test": x_test, "names": np.array(preprocessor.names_)}
    np.savez_compressed(run.out / "arrays.npz", **arrays)  # type: ignore[arg-type]
    missing = sum(int(np.isnan(table[name]).sum()) for name in table.numbers)
    run.result(
        rows=len(table),
        train_rows=len(train),
        test_rows=len(test),
        columns_of_numbers=len(table.numbers),
        columns_of_texts=len(table.texts),
        missing_numbers=missing,
        blank_texts=sum(int((table[name] == "").sum()) for name in table.texts),
        columns_out=x_train.shape[1],
        unseen_categories=unseen(train, test),
    )
    run.verdict(
        f"{len(table)} rows of {len(table.names)} columns became {x_train.shape[0]} + {x_test.shape[0]} rows of "
        f"{x_train.shape[1]} numbers, {missing} missing ones filled in: {run.out / 'arrays.npz'}, which "
        "numpy.load opens."
    )
    if beside_sklearn.wanted(args.compare):
        compare(args.scale, run, train, test, x_train, x_test)
    run.figure("steps", pictures.steps(preprocessor), "What was done to each column, learnt from the training part.")
    caption = (
        "Each column before, and what became of it, as shares of the rows: blue the training part, red the test part. "
        "A peak that is new in the middle is the missing values, which all became the mean."
    )
    for i, figure in enumerate(pictures.columns(train, test, preprocessor, x_train, x_test), start=1):
        run.figure(f"columns-{i}", figure, caption)


def read(args: Args) -> Table:
    """The table that `--data` names."""
    tables = {"housing": housing, "iris": iris}
    if args.data in tables:
        return tables[args.data]()
    source: Any = args.data
    if args.data == "flats":
        source = io.StringIO(flats())
    elif args.data == "-":
        source = sys.stdin.buffer
    if args.reader == "pandas":
        pandas: Any = require("pandas", extra="viz")
        settings = {"sep": args.delimiter, "decimal": args.decimal, "thousands": args.thousands or None}
        return Table.from_pandas(
            pandas.read_csv(source, encoding=args.encoding, dtype=dict.fromkeys(args.text, str), **settings)
        )
    return read_csv(
        source,
        delimiter=args.delimiter,
        text=args.text,
        missing=args.missing,
        thousands=args.thousands,
        decimal=args.decimal,
        encoding=args.encoding,
    )


def flats(rows: int = 200) -> str:
    """A CSV of flats to let, made up: numbers and texts, some missing, and a comma within a text.

    >>> print(flats(2), end="")
    area_m2,rooms,floor,built,district,heating,rent_eur
    92.8,5,1,1933,"Centre, old town",,1321
    92.4,5,2,2002,North,heat pump,1034
    """
    rng = np.random.default_rng(1)
    area = np.round(rng.gamma(9.0, 8.0, rows) + 15.0, 1)
    per_room = {'"Centre, old town"': 14.0, "North": 11.0, "South": 12.0, "West": 9.5}
    district, heating = (rng.choice(kinds, rows) for kinds in (list(per_room), ["gas", "heat pump", "oil", ""]))
    built, floor = rng.integers(1900, 2024, rows), rng.integers(0, 7, rows)
    rent = np.round(area * [per_room[d] for d in district] + rng.normal(0.0, 60.0, rows))
    lines = ["area_m2,rooms,floor,built,district,heating,rent_eur"]
    for i in range(rows):
        shown = [f"{area[i]}", f"{area[i] // 22 + 1:.0f}", f"{floor[i]}", f"{built[i]}"]
        shown = ["" if lost else cell for cell, lost in zip(shown, rng.random(4) < (0.0, 0.05, 0.1, 0.2), strict=True)]
        lines.append(",".join([*shown, district[i], heating[i], f"{rent[i]:.0f}"]))
    return "\n".join(lines) + "\n"


def unseen(train: Table, test: Table) -> int:
    """How many texts of the test part are a category that the training part has not."""
    return sum(int((~np.isin(test[name], list(set(train[name])))).sum()) for name in train.texts)


def compare(scale: Scale, run: Run, train: Table, test: Table, *ours: np.ndarray) -> None:
    """The same by scikit-learn, and the largest difference in any number of both parts."""
    theirs = [np.empty((len(part), 0)) for part in (train, test)]
    preprocessing: Any = require("sklearn.preprocessing", extra="viz")
    pipeline: Any = require("sklearn.pipeline", extra="viz").make_pipeline
    imputer: Any = require("sklearn.impute", extra="viz").SimpleImputer
    scalers = {"standardise": preprocessing.StandardScaler, "min-max": preprocessing.MinMaxScaler}
    steps = [imputer(), *([scalers[scale]()] if scale != "none" else [])]
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    for names, fitted in ((train.numbers, pipeline(*steps)), (train.texts, encoder)):
        if names:
            fitted.fit(stacked(train, names))
            blocks = [fitted.transform(stacked(part, names)) for part in (train, test)]
            theirs = [np.hstack(pair) for pair in zip(theirs, blocks, strict=True)]
    apart = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(ours, theirs, strict=True))
    run.result(sklearn_columns_out=theirs[0].shape[1], largest_difference_from_sklearn=apart)
    run.verdict(f"scikit-learn's imputer, scaler and encoder: no number is more than {apart:.2g} from ours.")


def stacked(table: Table, names: Collection[str]) -> np.ndarray:
    """Some columns side by side (N, D); a blank text as the category that ours makes of it."""
    return np.stack(
        [np.where(table[n] == "", BLANK, table[n]) if n in table.texts else table[n] for n in names], axis=1
    )
