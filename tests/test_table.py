"""Tables: what may be one, what is chosen from it, pandas' frames, and the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu import data
from tinygrad_edu.data.table import Table, text_column

Needs = Callable[[str], ModuleType]


@pytest.fixture
def table() -> Table:
    """Two columns of numbers and one of texts, three rows."""
    return Table({"x": np.array([1.0, 2.0, 3.0]), "town": text_column(["Ulm", "", "Bonn"]), "y": np.zeros(3)})


def test_names_by_kind(table: Table) -> None:
    assert (len(table), table.names) == (3, ("x", "town", "y"))
    assert (table.numbers, table.texts) == (("x", "y"), ("town",))
    assert len(Table({})) == 0


def test_columns_and_rows_are_chosen(table: Table) -> None:
    assert table.choose("y", "x").names == ("y", "x")
    assert table.drop("town").names == ("x", "y")
    assert table.take(np.array([2, 0]))["town"].tolist() == ["Bonn", "Ulm"]
    assert table.take(table["x"] > 1.5)["x"].tolist() == [2.0, 3.0]
    assert len(table.take(np.array([], int))) == 0


@pytest.mark.parametrize("method", ["__getitem__", "choose", "drop"])
def test_an_unknown_column_lists_those_there_are(table: Table, method: str) -> None:
    with pytest.raises(ValueError, match=r"unknown column 'towm' \(did you mean 'town'\?\); there are: town, x, y"):
        getattr(table, method)("towm")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": np.zeros(2), "b": np.zeros(3)}, r"expected columns of one length, got \{'a': 2, 'b': 3\}"),
        ({"a": np.zeros((2, 2))}, r"expected column 'a' as \(N,\) of float64 or texts, got float64 \(2, 2\)"),
        ({"a": np.zeros(2, np.float32)}, "got float32"),
        ({"a": np.array(["x"])}, "got <U1"),
    ],
)
def test_other_columns_are_refused(columns: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=f"Table: .*{message}"):
        Table(columns)


def test_pandas_frames(needs: Needs) -> None:
    pandas = needs("pandas")
    frame = pandas.DataFrame(
        {
            "whole": pandas.array([1, None], "Int64"),
            "real": [0.5, np.nan],
            "true": [True, False],
            "maybe": pandas.array([True, None], "boolean"),
            "text": ["x", None],
            "kind": pandas.Categorical(["u", "v"]),
            "day": pandas.to_datetime(["2024-01-05", None]),
        },
        index=[7, 3],
    )
    table = Table.from_pandas(frame)
    assert table.numbers == ("whole", "real", "true", "maybe")
    for name, expected in {"whole": [1.0, np.nan], "real": [0.5, np.nan], "true": [1, 0], "maybe": [1, np.nan]}.items():
        np.testing.assert_array_equal(table[name], expected)
    assert table["text"].tolist() == ["x", ""]
    assert table["kind"].tolist() == ["u", "v"]
    assert table["day"].tolist() == ["2024-01-05 00:00:00", ""]
    for names in ([0, 1], ["a", "a"]):
        with pytest.raises(ValueError, match="from_pandas: expected column names that are different strings, got"):
            Table.from_pandas(pandas.DataFrame([[1, 2]], columns=names))


def test_ours_is_pandas_table(real_data: Callable[[str], Path], needs: Needs) -> None:
    folder, pandas = real_data("tables"), needs("pandas")
    for file in ("housing.csv", "iris.csv"):
        ours, theirs = data.read_csv(folder / file), Table.from_pandas(pandas.read_csv(folder / file))
        assert ours.names == theirs.names
        for name in ours.names:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_real_tables(real_data: Callable[[str], Path]) -> None:
    real_data("tables")
    housing, iris = data.housing(), data.iris()
    assert (len(housing), len(housing.numbers), housing.texts) == (20640, 9, ("ocean_proximity",))
    assert {name: int(np.isnan(housing[name]).sum()) for name in housing.numbers if np.isnan(housing[name]).any()} == {
        "total_bedrooms": 207
    }
    assert (len(iris), iris.texts, sorted(set(iris["species"]))) == (
        150,
        ("species",),
        ["setosa", "versicolor", "virginica"],
    )


@pytest.mark.parametrize(
    ("name", "rows", "columns", "target"),
    [("iris", 150, 5, "species"), ("diabetes", 442, 11, "progression"), ("breast-cancer", 569, 31, "diagnosis")],
)
def test_the_embedded_tables(name: str, rows: int, columns: int, target: str, needs: Needs) -> None:
    needs("sklearn")
    table = data.embedded(name)
    assert (len(table), len(table.names), table.names[-1]) == (rows, columns, target)
    assert (target in table.texts) == (name != "diabetes")


def test_fishers_flowers_are_ucis_but_for_two_slips(real_data: Callable[[str], Path], needs: Needs) -> None:
    needs("sklearn")
    real_data("tables")
    ours, theirs = data.embedded("iris"), data.iris()
    values, others = (np.stack([t[name] for name in t.numbers], axis=1) for t in (ours, theirs))
    assert sorted(set(np.argwhere(values != others)[:, 0] + 1)) == [35, 38]
    assert ours["species"].tolist() == theirs["species"].tolist()


def test_an_unknown_embedded_table_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown embedded table 'wine'; there are: breast-cancer, diabetes, iris"):
        data.embedded("wine")
