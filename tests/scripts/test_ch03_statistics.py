"""Chapter 3's statistics from the command line: the published figures, SciPy's beside, a file of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinygrad_edu import cli

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
CSV = "group,height,name\n" + "".join(f"{'ab'[i % 2]},{1.5 + 0.1 * (i % 2) + 0.01 * i},n{i}\n" for i in range(20))


def run(*flags: str, status: int = 0) -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "statistics", "--out", "out", "--json", "figures.json", *flags]) == status
    return json.loads(Path("figures.json").read_text()) if status == 0 else {}


def test_our_figures_are_scipys(needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("scipy")
    figures = run("--compare", "scipy")
    exact = ["t_test", "paired_t_test", "chi_square", *(f"chi_square_{department}" for department in "ABCDEF")]
    for name in exact:
        assert figures[f"{name}_p_value"] == pytest.approx(figures[f"scipy_{name}_p_value"], rel=1e-10), name
    for name in ("permutation_p_value", "bootstrap_low", "bootstrap_high"):  # by other random numbers
        assert figures[name] == pytest.approx(figures[f"scipy_{name}"], abs=0.1), name
    for name in ("normal", "binomial", "poisson"):
        error = figures[f"{name}_deviation_expected"] / 100.0  # of a mean of 10000
        assert figures[f"{name}_mean"] == pytest.approx(figures[f"{name}_mean_expected"], abs=4.0 * error)
    assert figures["t_test_p_value"] == pytest.approx(0.07939, abs=5e-6)
    told = capsys.readouterr().out
    assert "scipy" in told.splitlines()[0]
    assert "Heat causes both, and neither the other" in told


def test_the_same_seed_gives_the_same_figures() -> None:
    flags = ("--compare", "none", "--samples", "500", "--resamples", "200")
    assert run(*flags) == run(*flags) != run(*flags, "--seed", "1")


def test_the_report_opens(open_page: Callable[..., tuple[Any, list[str]]]) -> None:
    run("--compare", "none", "--samples", "500", "--resamples", "200")
    page, complaints = open_page(Path("out/report.html").resolve().as_uri())
    assert complaints == []
    assert page.locator("figure img").count() == 6
    assert all(page.locator("figure img").evaluate_all("images => images.map(i => i.naturalWidth > 100)"))


def test_a_file_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.csv").write_text(CSV)
    figures = run("--data", "mine.csv", "--column", "height", "--by", "group", "--samples", "100", "--resamples", "999")
    assert figures["mean_difference"] == pytest.approx(-0.11, abs=1e-12)
    assert "paired_t_test_p_value" not in figures
    assert figures["t_test_p_value"] == pytest.approx(figures["scipy_t_test_p_value"], rel=1e-10)
    assert "height, a against b: the means differ by -0.11" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--samples", "1"], "expected --samples of at least 2, got 1"),
        (["--probability", "1"], "expected --probability between 0 and 1, got 1.0"),
        (["--rate", "0"], "poisson: expected a rate above 0, 500 at most, got 0.0"),
        (["--data", "mine.csv"], "--data, --column and --by belong together"),
        (
            ["--data", "mine.csv", "--column", "heigth", "--by", "group"],
            "unknown column 'heigth' (did you mean 'height'?)",
        ),
        (["--data", "mine.csv", "--column", "name", "--by", "group"], "--column name: expected numbers, got texts"),
        (
            ["--data", "mine.csv", "--column", "height", "--by", "name"],
            "--by name: expected two groups, got 20: n0, n1",
        ),
        (["--data", "one.csv", "--column", "height", "--by", "group"], "--by group: expected two groups, got 1: a"),
        (["--data", "none.csv", "--column", "x", "--by", "y"], "none.csv: expected a CSV file: No such file"),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.csv").write_text(CSV)
    Path("one.csv").write_text("group,height\na,1\na,2\n")
    run(*flags, status=1)
    assert complaint in capsys.readouterr().err
