"""Chapter 6's forest from the command line: votes, is compared, drawn; the boosting is the estimator's; refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli
from tinygrad_edu.data.table import Table
from tinygrad_edu.plugins import GradientBoostingRegressor, RandomForestRegressor
from tinygrad_edu.scripts import ch06_boosting, ch06_forest
from tinygrad_edu.scripts.ch06_forest import Part
from tinygrad_edu.scripts.labelled_table import LabelledTable

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture(autouse=True)
def few_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boosting on the curve of some stages only."""
    monkeypatch.setattr(ch06_boosting, "STAGES", 30)
    monkeypatch.setattr(ch06_boosting, "SHOWN", (0, 1, 30))
    monkeypatch.setattr(ch06_forest, "SHUFFLES", 1)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out, which take longer than all the rest."""
    monkeypatch.setattr(ch06_forest, "draw", lambda *args: None)
    monkeypatch.setattr(ch06_forest, "stage_by_stage", lambda *args: None)


def run(*flags: str) -> dict[str, Any]:
    """Run the project on few trees; its figures."""
    command = ["run", "forest", "--out", "out", "--json", "figures.json", "--trees", "12", "--splits", "2", *flags]
    assert cli.main(command) == 0
    return json.loads(Path("figures.json").read_text())


def file(*rows: str) -> list[str]:
    """The flags for a CSV file of these rows, whose column `kind` has the classes."""
    Path("mine.csv").write_text("\n".join(rows) + "\n")
    return ["--data", "mine.csv", "--target", "kind"]


def test_breast_cancer_beside_scikit_learn(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run()
    for name in ("tree", "forest", "boosting"):
        for score in ("accuracy", "precision", "recall"):
            ours, theirs = figures[f"{name}_test_{score}"], figures[f"sklearn_{name}_test_{score}"]
            # 286 test rows: either library's chance, with 12 trees a row or two in each split
            assert ours == pytest.approx(theirs, abs=0.03), (name, score)
            assert 0.88 < ours < 0.99
    assert figures["forest_test_accuracy"] > figures["tree_test_accuracy"]
    assert figures["by_hand_test_accuracy"] == pytest.approx(figures["forest_test_accuracy"], abs=0.04)
    assert figures["by_hand_out_of_bag_accuracy"] == pytest.approx(figures["by_hand_test_accuracy"], abs=0.05)
    assert figures["curve_boosting_mse"] == pytest.approx(figures["sklearn_curve_boosting_mse"], rel=1e-6)
    out = capsys.readouterr().out
    assert "scikit-learn's, same splits and settings:" in out
    assert "the 1 point allowed" in out
    assert "side by side" in out
    assert "one after the other" in out
    for name in ("trees", "confusion", "importances", "boundary", "errors"):
        assert Path("out", f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert Path("out/boosting.html").read_text().count("data:image/png") == 3
    assert len(Path("out/metrics.jsonl").read_text().splitlines()) == 12


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("apart", "said"), [(0.009, " within the 1 point"), (0.011, " NOT within the 1 point")])
def test_what_is_said_of_the_difference(
    apart: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {f"{name}_test_{score}": 0.9 for name in ch06_forest.NAMES for score in ("accuracy", "recall")}
    sides = iter([scores, {**scores, "forest_test_recall": 0.9 - apart, "tree_fit_seconds": 1e6}])
    monkeypatch.setattr(ch06_forest, "judge", lambda *args, **settings: ([], next(sides)))
    run("--dataset", "iris")
    out = capsys.readouterr().out
    assert said in out
    assert f"{100 * apart:.2f} points apart (forest_test_recall)" in out


def test_a_file_of_mixed_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{x:.2f},{'red' if x > 0 else 'blue'},{'' if i % 9 else x},{'AB'[int(x > 0)]}"
        for i, x in enumerate(rng.normal(size=60))
    ]
    figures = run(*file("size,colour,holes,kind", *rows), "--compare", "none")
    assert figures["forest_test_accuracy"] == 1.0
    assert not [name for name in figures if name.startswith("sklearn")]
    out = capsys.readouterr().out
    assert "mine.csv, 60 rows, 4 columns, 2 classes." in out  # two colours are two columns
    assert "Not compared with scikit-learn." in out
    assert Path("out/boundary.png").exists()


def test_a_single_column_has_no_boundary() -> None:
    run(*file("size,kind", *(f"{i},{'AB'[i > 20]}" for i in range(40))), "--compare", "none", "--max-features", "all")
    assert not Path("out/boundary.png").exists()
    assert Path("out/importances.png").exists()


def test_the_columns_are_learnt_from_training_rows_alone() -> None:
    x = np.arange(8.0)
    x[[2, 5]] = np.nan
    samples = LabelledTable("mine", Table({"x": x}), np.arange(8) % 2, ("a", "b"))
    filled = 0
    for seed in range(8):
        part = ch06_forest.part(samples, 0.25, seed)
        missing = [value for value in part.X[:, 0] if value not in x]
        if missing:  # else the mean is one of the numbers, or both missing ones are test rows
            known = part.X[np.isin(part.X[:, 0], x), 0]
            np.testing.assert_allclose(missing, known.mean())
            filled += 1
    assert filled >= 4


def test_shuffling_costs_where_a_column_is_used() -> None:
    X = np.stack([np.arange(40.0), np.ones(40)], axis=1)
    y = (X[:, 0] > 19).astype(int)

    class First:
        def predict(self, X: np.ndarray) -> np.ndarray:
            return (X[:, 0] > 19).astype(int)

    cost = ch06_forest.shuffled(First(), X, y, 0)
    assert cost[0] > 0.2
    assert cost[1] == 0.0


def test_the_boosting_written_out_is_the_estimators() -> None:
    data = ch06_boosting.problem(0)
    stages = list(ch06_boosting.boost(data))
    assert len(stages) == 31
    model = GradientBoostingRegressor(n_estimators=30, learning_rate=0.1, max_depth=3).fit(data.x, data.y)
    for stage, ours in zip(stages[1:], model.staged_predict(data.x_test), strict=True):
        np.testing.assert_allclose(stage.at_test, ours, atol=1e-9)
    errors = ch06_boosting.errors(data, stages)
    learnt = errors["boosting, the samples learnt from"]
    np.testing.assert_allclose(learnt, model.train_score_, rtol=1e-9)
    forest = RandomForestRegressor(30, random_state=0).fit(data.x, data.y)
    one = forest.estimators_[0].predict(data.x_test)
    ends = [np.square(data.y_test - predicted).mean() for predicted in (one, forest.predict(data.x_test))]
    np.testing.assert_allclose(errors["forest, new samples"][[0, -1]], ends)


def test_out_of_bag_is_of_trees_that_have_not_seen_the_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Labels by chance: who has seen them knows them by heart, who has not is right in half of them."""
    from tinygrad_edu.run import Run

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.integers(2, size=200)
    args = ch06_forest.Args(trees=20)
    with Run(project="forest", out=tmp_path, backend="numpy", seed=0, settings={}) as run:
        ch06_forest.grow(args, run, Part(X, y, X, y, ("a", "b", "c")))
    last = run.metrics.last
    assert last["test_accuracy"] > 0.9
    assert last["out_of_bag_accuracy"] == pytest.approx(0.5, abs=0.12)  # 3.4 standard deviations of 200 coins


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--trees", "0"], "forest: expected --trees of at least 1, got 0"),
        (["--max-depth", "0"], "forest: expected --max-depth of at least 1, got 0"),
        (["--splits", "0"], "forest: expected --splits of at least 1, got 0"),
        (["--test-share", "1"], "forest: expected --test-share between 0 and 1, got 1.0"),
        (["--target", "kind"], "--target is for a file of your own"),
        (["--data", "none.csv"], "forest: --data FILE needs --target COLUMN"),
        (["--data", "none.csv", "--target", "kind"], "none.csv: expected a CSV file: No such file"),
        (["--data", ".", "--target", "kind"], ".: expected a CSV file: Is a directory"),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "forest", "--out", "out", *flags]) != 0
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["a,species", "1,x", "2,y"], "unknown column 'kind'; there are: a, species"),
        (["a,kind", "1,x", "2,x"], "--target kind: expected 2 to 20 different labels, got 1"),
        (["a,kind", "1,x", "2,x", "3,y"], "The least populated classes in y have only 1 member"),
    ],
)
def test_files_that_are_of_no_use(rows: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "forest", "--out", "out", *file(*rows)]) != 0
    assert complaint in capsys.readouterr().err
