"""Chapter 4's project: scikit-learn's figures exactly, a table of one's own, what is told of a bad one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli
from tinygrad_edu.data import embedded
from tinygrad_edu.scripts import ch04_pictures
from tinygrad_edu.scripts.ch03_columns import split
from tinygrad_edu.scripts.ch04_predict import is_class

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
MODELS = ("", "svm_", "tree_", "neighbours_")


def run(*flags: str) -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "predict", "--out", "out", "--json", "figures.json", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


def as_sklearn(figures: dict[str, Any], names: list[str]) -> None:
    for name in names:
        assert figures[name] == pytest.approx(figures[f"sklearn_{name}"], rel=1e-9), name


def test_the_embedded_tables_are_scikit_learns(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("--compare", "sklearn")
    as_sklearn(figures, ["diabetes_mse", "diabetes_r2"])
    as_sklearn(figures, [f"{table}_{model}test_accuracy" for table in ("breast_cancer", "iris") for model in MODELS])
    assert figures["diabetes_mse"] < 0.7 * figures["diabetes_mean_mse"]
    assert min(figures[f"breast_cancer_{model}test_accuracy"] for model in MODELS) > 0.92
    told = capsys.readouterr().out
    assert len(re.findall(r"scikit-learn [\d.]+%, no predictions differ", told)) == 8
    assert float(re.findall(r"differs by more than (\S+) of the target's range", told)[0]) < 1e-12
    before, after, gain = map(float, re.findall(r"Gain: (\S+) - (\S+) = (\S+) bits", told)[0])
    assert gain == pytest.approx(before - after, abs=2e-4)  # four digits are printed
    page = Path("out/report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 9
    assert page.count('src="data:image/svg+xml;base64,') == 2


def test_the_first_questions_gain_is_the_best_of_all() -> None:
    """Every threshold of every column of iris, by the definition."""
    figures = run("--dataset", "iris", "--compare", "none")
    assert "sklearn_test_accuracy" not in figures
    told = Path("out/report.html").read_text()
    counts = re.findall(r"(Before it|Yes|No): (\d+) setosa, (\d+) versicolor, (\d+) virginica", told)
    whole, yes, no = (np.array([int(n) for n in row[1:]]) for row in counts)
    assert (whole == yes + no).all()
    assert whole.sum() == 120
    gain = float(re.findall(r"= (\S+) bits; no other question gains more", told)[0])
    assert gain == pytest.approx(gained(yes, no), abs=1e-4)  # four digits are printed
    train, _ = split(embedded("iris"), seed=0)
    y = np.stack([train["species"] == name for name in ("setosa", "versicolor", "virginica")], axis=1)
    cuts = [train[name] <= value for name in train.numbers for value in np.unique(train[name])[:-1]]
    assert gain == pytest.approx(max(gained(y[cut].sum(axis=0), y[~cut].sum(axis=0)) for cut in cuts), abs=1e-4)


def gained(yes: np.ndarray, no: np.ndarray) -> float:
    n = yes.sum() + no.sum()
    return bits(yes + no) - (yes.sum() * bits(yes) + no.sum() * bits(no)) / n


def bits(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def test_house_prices(real_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    real_data("tables")
    figures = run("--dataset", "housing", "--compare", "sklearn")
    as_sklearn(figures, ["mse", "r2"])
    assert 0.6 < figures["r2"] < 0.7
    told = capsys.readouterr().out
    assert "16512 rows to learn from, 4128 to judge by" in told
    assert re.search(r"\d+ missing numbers filled by the column's mean, 1 of texts made columns of 0 and 1: 13", told)


def own(rows: str) -> list[str]:
    Path("own.csv").write_text(rows)
    return ["--data", "own.csv"]


CLASSES = "age,town,name,ill\n" + "".join(
    f"{20 + i},{('Ulm', 'Bonn', '')[i % 3]},n{i},{'yes' if i > 20 else 'no'}\n" for i in range(40)
)


def test_a_table_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    rows = CLASSES.replace("30,Bonn,n10,no", ",Bonn,n10,no").replace("41,Ulm,n21,yes", "41,Ulm,n21,")
    figures = run(*own(rows), "--target", "ill", "--leave-out", "name", "--neighbours", "3", "--depth", "1")
    as_sklearn(figures, [f"{model}test_accuracy" for model in MODELS])
    told = capsys.readouterr().out
    assert "1 rows without ill were left out." in told
    assert "own, the tree's first question is age <= " in told
    numbers = run(*own(rows), "--target", "age", "--leave-out", "name")
    assert numbers["mse"] == pytest.approx(numbers["sklearn_mse"], rel=1e-9)


def test_a_single_column_and_the_numbers_of_classes() -> None:
    figures = run(
        *own("x,kind\n" + "".join(f"{i},{i // 15}\n" for i in range(45))), "--target", "kind", "--neighbours", "25"
    )
    assert figures["tree_test_accuracy"] > 0.8
    assert re.search(r">class: 2<", Path("out/tree.svg").read_text())  # not 2.0
    assert not Path("out/boundaries.png").exists()  # there is no plane


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--data", "no.csv", "--target", "a"], "no.csv"),
        (["--data", ".", "--target", "a"], "."),
        (["--data", "own.csv"], "which --target? There are: age, town, name, ill"),
        (
            ["--data", "own.csv", "--target", "il"],
            "unknown column 'il' (did you mean 'ill'?); there are: age, ill, name",
        ),
        (["--data", "own.csv", "--target", "ill", "--leave-out", "nam"], "unknown column 'nam'"),
        (["--data", "own.csv", "--target", "name"], "40 different values are too many classes, at most 20"),
        (["--data", "own.csv", "--target", "ill", "--task", "number"], "column 'ill' holds texts, such as"),
        (["--data", "one.csv", "--target", "kind"], "all rows have the same, a: nothing to learn"),
        (["--target", "ill"], "of which table?"),
        (["--test-share", "1.5"], "1.5"),
        (["--neighbours", "0", "--dataset", "iris"], "n_neighbors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_learnt_from(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    own(CLASSES)
    Path("one.csv").write_text("x,kind\n" + "".join(f"{i},a\n" for i in range(9)))
    assert cli.main(["run", "predict", *flags, "--out", "out"]) == 1
    assert told in capsys.readouterr().err


def test_which_targets_are_classes() -> None:
    texts = np.array(["a", "b"], object)
    assert is_class("auto", "t", texts)
    assert is_class("auto", "t", np.array([0.0, 1.0, 1.0]))
    assert not is_class("auto", "t", np.array([0.5, 1.0]))
    assert not is_class("auto", "t", np.arange(21.0))
    assert not is_class("number", "t", np.array([0.0, 1.0]))
    assert is_class("class", "t", np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="different values are too many classes, at most 20"):
        is_class("class", "progression", embedded("diabetes")["progression"])


def test_pictures_of_one_bar_and_many() -> None:
    assert len(ch04_pictures.coefficients(["a"], np.array([1.0])).axes[0].patches) == 1
    values = np.arange(-50.0, 50.0)
    bars = ch04_pictures.coefficients([str(v) for v in values], values).axes[0].patches
    assert len(bars) == ch04_pictures.MOST_BARS
    assert bars[-1].get_width() == -50.0  # the largest on top


def test_confusions_count() -> None:
    truth = np.array(["a", "a", "b"], object)
    figure = ch04_pictures.confusions(truth, {"one": np.array(["a", "b", "b"], object), "two": truth}, ["a", "b", "c"])
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["1", "1", "1"], ["2", "1"]]
