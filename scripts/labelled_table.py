"""What chapters 5 and 6 learn from: a bundled set, or a CSV file of the user's own, and the column of its labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_edu.data import tables
from tinygrad_edu.data.csv_file import read_csv
from tinygrad_edu.data.table import Table

MOST_LABELS = 20  # more different ones are numbers or names, not classes


class LabelledTable(NamedTuple):
    """N rows: the columns to learn from, and the label of each as a code into `labels`; None where there are none."""

    name: str
    table: Table
    codes: np.ndarray | None  # int64 (N,)
    labels: tuple[str, ...]


def labelled_table(dataset: str, data: Path | None, target: str | None) -> LabelledTable:
    """The rows of the file `data` with the labels in its column `target`, or those of a bundled set.

    ValueError for a file that `read_csv` refuses, an unknown column, one label alone and more than MOST_LABELS.
    """
    if data is None:
        if target is not None:
            raise ValueError("--target is for a file of your own: --data FILE --target COLUMN")
        name, table, target = dataset, tables.embedded(dataset), tables.EMBEDDED[dataset][1]
    else:
        name, table = data.name, read_csv(data)
    if target is None:
        return LabelledTable(name, table, None, ())
    texts = [value if isinstance(value, str) else f"{value:g}" for value in table[target]]
    labels, codes = np.unique(texts, return_inverse=True)
    if not 2 <= len(labels) <= MOST_LABELS:
        raise ValueError(f"--target {target}: expected 2 to {MOST_LABELS} different labels, got {len(labels)}")
    return LabelledTable(name, table.drop(target), codes, tuple(labels.tolist()))
