"""Chapter 5's clusters from the command line: found, compared with labels and scikit-learn, drawn; refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli
from tinygrad_edu.scripts import ch05_cluster

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out, which take longer than all the rest."""
    monkeypatch.setattr(ch05_cluster, "draw", lambda *args: None)


def run(*flags: str) -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "cluster", "--out", "out", "--json", "figures.json", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


def file(*rows: str) -> list[str]:
    """The flag for a CSV file of these rows."""
    Path("mine.csv").write_text("\n".join(rows) + "\n")
    return ["--data", "mine.csv"]


TWO_GROUPS = ("a,b,word", *(f"{x + 10 * k},{x * x % 3},w" for k in (0, 1) for x in range(5)))


def test_iris_is_clustered_as_scikit_learn_does_it(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run()
    for name in ("explained_variance_share", "inertia", "silhouette", "adjusted_rand"):
        assert figures[name] == pytest.approx(figures[f"sklearn_{name}"], rel=1e-6), name  # the same seed
    assert figures["explained_variance_share"] == pytest.approx(0.97769, abs=1e-5)  # iris, as many books have it
    assert figures["purity"] == pytest.approx((50 + 47 + 36) / 150)
    out = capsys.readouterr().out
    assert "scikit-learn, same settings and seed: the same clusters." in out
    assert "within the tolerance" in out
    assert "NOT" not in out
    for name in ("clusters", "elbow", "components", "counts"):
        assert Path("out", f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    turns = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    inertia = [turn["inertia"] for turn in turns]
    assert inertia == sorted(inertia, reverse=True)  # a turn can't raise it
    assert [turn["moved"] > 0 for turn in turns] == [True] * (len(turns) - 1) + [False]  # to the end, and no further
    assert Path("out/film.html").read_text().count("data:image/png") == 2 * len(turns)


@pytest.mark.usefixtures("undrawn")
def test_a_difference_from_scikit_learn_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stay(sums: Any, weights: Any, X: Any, w: Any, labels: Any, centres: np.ndarray) -> np.ndarray:
        return centres

    monkeypatch.setattr("tinygrad_edu.plugins._lloyd.means", stay)
    run("--starts", "1")
    assert "NOT within the tolerance" in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_a_file_without_labels(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(*file(*TWO_GROUPS), "--compare", "none", "--most-clusters", "4")
    out = capsys.readouterr().out
    assert "2 clusters there" in out  # as the silhouette says
    assert "Left out, since texts have no distances: word." in out
    assert "Not compared with scikit-learn." in out
    assert not [name for name in figures if name.startswith("sklearn") or "rand" in name]


@pytest.mark.usefixtures("undrawn")
def test_a_column_whose_unit_decides(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["small,other,large", *(f"{x % 3},{x % 2},{1000 * x}" for x in range(12))]
    flags = [*file(*rows), "--clusters", "3", "--compare", "none", "--columns", "large", "small", "other"]
    run(*flags)
    assert "Column 'large' spreads" in capsys.readouterr().out
    run(*flags, "--scale", "standardise")
    assert "spreads" not in capsys.readouterr().out


def test_a_file_with_labels_is_drawn_too() -> None:
    rows = [f"{row},{'ab'[i // 5]}{i % 2}" for i, row in enumerate(TWO_GROUPS[1:])]
    figures = run(*file(f"{TWO_GROUPS[0]},label", *rows), "--target", "label", "--clusters", "2", "--compare", "none")
    assert figures["purity"] == pytest.approx(0.6)  # two labels in each of the two clusters, 3 of 5 the one
    assert Path("out/counts.png").exists()


@pytest.mark.parametrize(
    ("clusters", "codes", "names"),
    [
        ([0, 0, 1, 1, 2], [2, 2, 0, 0, 1], [2, 2, 0, 0, 1]),
        ([0, 0, 0, 1, 1], [1, 1, 0, 1, 0], [1, 1, 1, 0, 0]),  # 1 is taken by the cluster that has more of it
        ([0, 1, 2], [0, 0, 1], [0, 2, 1]),  # more clusters than labels
        ([0, 0, 0, 0], [0, 1, 1, 2], [1, 1, 1, 1]),
    ],
)
def test_clusters_are_numbered_like_the_labels(clusters: list[int], codes: list[int], names: list[int]) -> None:
    assert ch05_cluster.like_classes(np.array(clusters), np.array(codes)).tolist() == names


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--clusters", "1"], "cluster: expected --clusters of at least 2, got 1"),
        (["--starts", "0"], "cluster: expected --starts of at least 1, got 0"),
        (["--most-clusters", "1"], "cluster: expected --most-clusters of at least 2, got 1"),
        (["--clusters", "9"], "cluster: 9 clusters: expected 2 to 8"),
        (["--target", "species"], "--target is for a file of your own"),
        (["--data", "none.csv"], "none.csv: expected a CSV file: No such file"),
        (["--columns", "petal"], "unknown column 'petal'; there are: petal length (cm)"),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "cluster", "--out", "out", *flags]) != 0
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "flags", "complaint"),
    [
        (["a,b", "1,2", "1,2", "3,4"], [], "cluster: expected at least 3 different rows, got 2"),
        (["a,b", "1,x", "2,x", "3,x"], [], "cluster: expected at least two columns of numbers, got ['a']"),
        (["a,b", "1,x", "2,y", "3,z"], ["--columns", "a", "b"], "column 'b' holds texts, which have no distances"),
        (
            ["a,b,c", "1,2,x", "3,5,x", "4,4,x"],
            ["--target", "c"],
            "--target c: expected 2 to 20 different labels, got 1",
        ),
        (["a,b,c", "1,2,x", "3,5,y", "4,4,z"], ["--target", "C"], "unknown column 'C'"),
        (["a,b,c", *(f"{i},{i * i},{i}" for i in range(30))], ["--target", "c"], "got 30"),
    ],
)
def test_files_that_are_of_no_use(
    rows: list[str], flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "cluster", "--out", "out", *file(*rows), *flags]) != 0
    assert complaint in capsys.readouterr().err
