"""Real tables to learn classic machine learning from: two from files, three that come with scikit-learn.

    housing         California's block groups of the 1990 census: R. K. Pace, R. Barry, "Sparse Spatial
                    Autoregressions", 1997, with A. Géron's column of texts and 207 missing numbers
    iris            R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936, as UCI has it
    diabetes        B. Efron et al., "Least Angle Regression", 2004, section 1
    breast-cancer   W. Street, W. Wolberg, O. Mangasarian, "Nuclear feature extraction for breast tumor diagnosis", 1993

The last column is the one to be predicted, save in housing, where it is `median_house_value`.
"""

from __future__ import annotations

import numpy as np

from tinygrad_edu.data.csv_file import read_csv
from tinygrad_edu.data.fetch import fetch
from tinygrad_edu.data.table import Table, text_column
from tinygrad_edu.errors import require, unknown

SHA256 = {
    "housing.csv": "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e",
    "iris.csv": "bb5751f068bf218d9ea0889d0da1a4c8d056daae9abe17a4f04746975f9f2563",
}
MIRRORS = {
    "housing.csv": ("https://raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/",),
    "iris.csv": ("https://raw.githubusercontent.com/uiuc-cse/data-fa14/gh-pages/data/",),
}
EMBEDDED = {  # name -> scikit-learn's, and what we call the column to be predicted
    "iris": ("load_iris", "species"),
    "diabetes": ("load_diabetes", "progression"),
    "breast-cancer": ("load_breast_cancer", "diagnosis"),
}


def housing() -> Table:
    """20640 block groups, 9 columns of numbers and `ocean_proximity`, a text (1.4 MB, downloaded once).

    ValueError, ConnectionError: see `fetch`.
    """
    return _fetched("housing.csv")


def iris() -> Table:
    """150 flowers: four lengths in cm and the `species` (downloaded once).

    ValueError, ConnectionError: see `fetch`.
    """
    return _fetched("iris.csv")


def embedded(name: str) -> Table:
    """The table called `name` among those of EMBEDDED, which need no download: numbers, and last the target.

    Classes are texts. Its iris has Fisher's values in rows 35 and 38, where UCI's file has two slips of the pen.
    ValueError for an unknown name, MissingExtra without scikit-learn.
    """
    if name not in EMBEDDED:
        raise ValueError(unknown("embedded table", name, EMBEDDED))
    loader, target = EMBEDDED[name]
    bunch = getattr(require("sklearn.datasets", "viz"), loader)()
    columns = {str(title): np.array(column) for title, column in zip(bunch.feature_names, bunch.data.T, strict=True)}
    classes = getattr(bunch, "target_names", None)
    columns[target] = bunch.target if classes is None else text_column([str(classes[k]) for k in bunch.target])
    return Table(columns)


def _fetched(file: str) -> Table:
    return read_csv(fetch("tables", file, SHA256[file], MIRRORS[file]))
