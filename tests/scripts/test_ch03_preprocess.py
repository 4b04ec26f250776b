"""Chapter 3's preprocessor, by itself and from the command line: right, and learnt from the training part alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli
from tinygrad_edu.data import Table, read_csv
from tinygrad_edu.scripts.ch03_columns import Preprocessor, split
from tinygrad_edu.scripts.ch03_preprocess import flats

Needs = Callable[[str], ModuleType]
NAN = float("nan")

TRAIN = "x,town,y\n1,Ulm,5\n,Bonn,5\n5,,5\n"
TEST = "x,town,y\n,Bonn,6\n9,Trier,5\n"


def tables(*texts: str) -> list[Table]:
    return [read_csv(StringIO(text)) for text in texts]


@pytest.mark.parametrize(
    ("scale", "x", "y", "x_test", "y_test"),
    [
        ("none", [1, 3, 5], [5, 5, 5], [3, 9], [6, 5]),
        ("min-max", [0, 0.5, 1], [0, 0, 0], [0.5, 2.0], [1, 0]),
        ("standardise", [-(1.5**0.5), 0, 1.5**0.5], [0, 0, 0], [0, 6 / (8 / 3) ** 0.5], [1, 0]),
    ],
)
def test_every_number(scale: Any, x: list[float], y: list[float], x_test: list[float], y_test: list[float]) -> None:
    """By hand: the mean of 1 and 5 is 3; a constant column is only shifted; Trier was never seen."""
    train, test = tables(TRAIN, TEST)
    preprocessor = Preprocessor(scale=scale).fit(train)
    assert preprocessor.names_ == ("x", "y", "town_(blank)", "town_Bonn", "town_Ulm")
    towns = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_allclose(preprocessor.transform(train), np.column_stack([x, y, towns]), rtol=1e-15, atol=1e-15)
    found = preprocessor.transform(test)
    np.testing.assert_allclose(found, np.column_stack([x_test, y_test, [[0, 1, 0], [0, 0, 0]]]), rtol=1e-15, atol=1e-15)


def test_what_was_done_is_told_and_true() -> None:
    (train,) = tables(TRAIN)
    for scale in ("none", "min-max", "standardise"):
        preprocessor = Preprocessor(scale=scale).fit(train)  # type: ignore[arg-type]
        x, town, _ = preprocessor.done_
        assert (x.name, x.missing, x.filled) == ("x", 1, 3.0)
        assert (town.missing, town.categories) == (1, ("(blank)", "Bonn", "Ulm"))
        z = (np.array([1.0, 3.0, 5.0]) - x.shift) / x.scale
        np.testing.assert_allclose(preprocessor.transform(train)[:, 0], z, rtol=1e-15, atol=1e-15)


def test_the_test_part_has_no_part_in_it() -> None:
    train, test = split(read_csv(StringIO(flats())), seed=3)
    before = Preprocessor().fit(train)
    one = before.transform(train)
    changed = {n: test[n] * 1000.0 if n in test.numbers else test[n] for n in test.names}
    before.transform(Table(changed))
    np.testing.assert_array_equal(before.transform(train), one)
    np.testing.assert_allclose(one[:, :5].mean(axis=0), 0.0, atol=1e-14)
    assert abs(before.transform(test)[:, :5].mean(axis=0)).max() > 0.05


def test_a_split_is_reproducible_and_loses_no_row() -> None:
    table = Table({"row": np.arange(50.0)})
    (a, b), (c, d), (e, _) = split(table, seed=1), split(table, seed=1), split(table, seed=2)
    assert (len(a), len(b)) == (40, 10)
    assert sorted([*a["row"], *b["row"]]) == list(range(50))
    np.testing.assert_array_equal(a["row"], c["row"])
    np.testing.assert_array_equal(b["row"], d["row"])
    assert a["row"].tolist() != e["row"].tolist()
    assert a["row"].tolist() != sorted(a["row"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "expected rows and columns to learn from"),
        ({"x": np.zeros(0)}, "expected rows and columns to learn from"),
        ({"x": np.array([NAN, NAN])}, "column 'x' has no value to take the mean of"),
        ({"x": np.array([1.0, np.inf])}, "column 'x' holds infinity"),
        (
            {"name": np.array([f"n{i}" for i in range(101)], object)},
            "column 'name' has 101 different texts in 101 rows",
        ),
    ],
)
def test_columns_that_cannot_be_learnt_from(columns: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessor().fit(Table(columns))


def test_another_table_is_refused() -> None:
    train, test = tables(TRAIN, TEST)
    with pytest.raises(ValueError, match="unknown column 'y'"):
        Preprocessor().fit(train).transform(test.drop("y"))


# from the command line ------------------------------------------------------------------------------------------------


def run(*flags: str, status: int = 0) -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "preprocess", "--out", "out", "--json", "figures.json", *flags]) == status
    return json.loads(Path("figures.json").read_text()) if status == 0 else {}


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize("scale", ["standardise", "min-max", "none"])
def test_it_is_scikit_learns(scale: str, needs: Needs) -> None:
    needs("sklearn")
    figures = run("--scale", scale, "--compare", "sklearn")
    assert (figures["train_rows"], figures["test_rows"], figures["columns_out"]) == (160, 40, 13)
    assert figures["sklearn_columns_out"] == 13
    assert figures["largest_difference_from_sklearn"] < 1e-12
    assert figures["missing_numbers"] > 30
    with np.load("out/arrays.npz") as arrays:  # plain arrays: no pickle is allowed
        assert arrays["x_train"].shape == (160, 13)
        assert np.isfinite(arrays["x_train"]).all()
        assert arrays["names"][-1].startswith("heating_")


@pytest.mark.usefixtures("in_an_empty_folder")
def test_the_report_tells_of_each_column(open_page: Callable[..., tuple[Any, list[str]]]) -> None:
    run("--compare", "none")
    page, complaints = open_page(Path("out/report.html").resolve().as_uri())
    assert complaints == []
    told = page.locator("figure table").inner_text()
    for part in ("area_m2", "missing ones became the mean", "z = (x - ", "district_Centre, old town"):
        assert part in told
    assert all(page.locator("figure img").evaluate_all("images => images.map(i => i.naturalWidth > 100)"))


@pytest.mark.usefixtures("in_an_empty_folder")
def test_a_file_of_ones_own(needs: Needs) -> None:
    Path("mine.csv").write_text("id;price;kind\n" + "".join(f"{i};1.00{i},5;{'ab'[i % 2]}\n" for i in range(10)))
    signs = ("--delimiter", ";", "--decimal", ",", "--thousands", ".")
    ours = run("--data", "mine.csv", *signs, "--drop", "id", "--compare", "none")
    assert (ours["columns_of_numbers"], ours["columns_of_texts"], ours["columns_out"]) == (1, 1, 3)
    needs("pandas")
    with np.load("out/arrays.npz") as one:
        x = one["x_train"].copy()
    assert run("--data", "mine.csv", *signs, "--drop", "id", "--compare", "none", "--reader", "pandas") == ours
    with np.load("out/arrays.npz") as two:
        np.testing.assert_array_equal(x, two["x_train"])
    assert run("--data", "mine.csv", *signs, "--text", "id", "--compare", "none")["columns_of_texts"] == 2


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--data", "none.csv"], "none.csv: expected a CSV file: No such file"),
        (["--data", "ragged.csv"], "ragged.csv, row 3, column 2: expected 2 columns, got 1"),
        (["--drop", "rooom"], "unknown column 'rooom' (did you mean 'rooms'?)"),
        (["--test-share", "1.5"], "expected --test-share between 0 and 1, got 1.5"),
        (["--data", "one.csv"], "expected at least two rows, got 1"),
        (["--data", "."], "expected a CSV file: Is a directory"),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ragged.csv").write_text("a,b\n1,2\n3\n")
    Path("one.csv").write_text("a\n1\n")
    run(*flags, status=1)
    assert complaint in capsys.readouterr().err


@pytest.mark.usefixtures("in_an_empty_folder")
def test_real_tables(real_data: Callable[[str], Path]) -> None:
    real_data("tables")
    figures = run("--data", "housing", "--drop", "median_house_value")
    assert (figures["rows"], figures["missing_numbers"], figures["columns_out"]) == (20640, 207, 13)
    assert figures["largest_difference_from_sklearn"] < 1e-10
    assert run("--data", "iris", "--compare", "none")["columns_out"] == 7
