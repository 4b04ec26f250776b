"""Chapter 2's descent from the command line: the way is the formula's, divergence is said, bad flags are named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import cli
from tinygrad_edu.scripts import ch02_gradient_descent as project
from tinygrad_edu.scripts import ch02_pictures
from tinygrad_edu.scripts.ch02_parser import parse

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time."""
    monkeypatch.setattr(ch02_pictures, "FRAMES", 3)


def run(*flags: str, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "gradient-descent", "--out", out, "--json", "figures.json", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


@pytest.mark.usefixtures("few_frames")
def test_the_valley_and_its_report(needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("torch")
    figures = run("--compare", "torch")
    x = 4.0  # plain steps, by the formula
    for _ in range(50):
        x -= 0.2 * (x - np.exp(-x))
    assert figures["plain_x"] == pytest.approx(x, abs=1e-12)
    assert figures["plain_value"] == pytest.approx(x**2 / 2 + np.exp(-x), abs=1e-12)
    assert figures["plain_steps"] == 50
    assert figures["gradient_error_tensor"] < 1e-15  # two or three operations
    assert figures["gradient_error_finite_difference"] < 1e-9
    for name in ("plain", "momentum", "adam"):
        assert not figures[f"{name}_diverged"]
        assert figures[f"{name}_value"] == pytest.approx(figures[f"torch_{name}_value"], abs=1e-12)
    told = capsys.readouterr().out
    assert "f = x^2/2 + exp(-x); ∂f/∂x = x - exp(-x)." in told
    assert float(re.findall(r"torch, the same steps: .* than (\S+) from ours", told)[0]) < 1e-12
    page = Path("out/report.html").read_text()
    assert [page.count(f'src="data:image/{kind};base64,') for kind in ("gif", "png")] == [1, 2]
    assert page.count('<div class="player">') == 1
    with needs("PIL.Image").open("out/descent.gif") as film:
        assert film.n_frames == len(json.loads(re.findall(r"titles = (.*);", Path("out/player.html").read_text())[0]))


@pytest.mark.usefixtures("few_frames")
@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_two_variables_on_both_backends(backend: str, needs: Needs) -> None:
    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    figures = run("--function", "x^2/2 + 25*y^2", "--x", "4", "--lr", "0.03", "--compare", "none", "--backend", backend)
    assert figures["plain_x"] == pytest.approx(4.0 * 0.97**50)
    assert figures["plain_y"] == pytest.approx(0.0, abs=1e-12)  # (1 - 0.03 · 50)^50
    assert "torch_plain_value" not in figures


def quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "draw", lambda *args: None)


def test_too_large_a_learning_rate_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """2/λ = 1 for the parabola; with momentum 0.9 it is 1.9; Adam's steps are never much longer than η."""
    quietly(monkeypatch)
    flags = ("--function", "parabola", "--compare", "none")
    for rate, astray in {"0.95": [], "1.1": ["plain"], "2": ["plain", "momentum"]}.items():
        figures = run(*flags, "--lr", rate)
        assert [name for name in project.OPTIMIZERS if figures[f"{name}_diverged"]] == astray
        told = capsys.readouterr().out
        for name, limit in {"plain": "1", "momentum": "1.9"}.items():
            said = re.findall(rf"^{name}, .* has to be below ([\d.]+)\.$", told, re.MULTILINE)
            assert said == [limit] * (name in astray)
    assert run(*flags, "--lr", "100")["plain_steps"] < 10  # there it stops


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["adam", "--lr", "100", "--steps", "3"], "It has gone astray: try a smaller learning rate"),
        (["plain", "--function", "exp(x^2)", "--x", "3", "--lr", "10"], "its next step leads to"),  # where f overflows
        (["plain", "--function", "log(x)"], "where f is nan"),
        (["plain", "--function", "x^3", "--x", "-1"], "f has no lowest point this way"),
    ],
    ids=["higher than at the start", "overflow", "leaves the domain", "no minimum"],
)
def test_what_goes_astray_is_said(
    flags: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quietly(monkeypatch)
    figures = run("--optimizer", *flags, "--compare", "none")
    assert figures[f"{flags[0]}_diverged"]
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--function", "x^2 +"], "column 6"),
        (["--function", "parabolla"], "none of valley, parabola,"),
        (["--function", "y^2"], "expected a formula in x, or in x and y, got 'y^2'"),
        (["--function", "(-2)^x"], "its slope x = nan"),
        (["--function", "log(x)", "--x", "-1"], "is nan at x = -1"),
        (["--function", "sqrt(x)", "--x", "0"], "its slope x = inf"),
        (["--lr", "0"], "expected --lr above 0, at most 1000, got 0"),
        (["--lr", "nan"], "expected --lr above 0, at most 1000, got nan"),
        (["--steps", "0"], "expected --steps from 1 to 10000, got 0"),
        (["--y", "1"], "--y 1: x^2/2 + exp(-x) is a function of x alone"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_flags_that_make_no_sense(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "gradient-descent", *flags, "--out", "out"]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", project.EXAMPLES)
def test_the_examples_go_down(name: str) -> None:
    formula, start, lr, steps = project.EXAMPLES[name]
    walks = {optimizer: project.Walk(optimizer, start, lr) for optimizer in project.OPTIMIZERS}
    project.descend(lambda point: project.at(parse(formula), point), walks, range(steps))
    for walk in walks.values():
        assert not walk.end
        assert len(walk.values) == steps + 1
        assert walk.values[-1] < walk.values[0]


def test_the_largest_rate() -> None:
    f = lambda p: p[0] ** 2.0 + p[0] * p[1] + p[1] ** 2.0  # eigenvalues of the Hessian: 1 and 3
    assert project.largest_rate(f, np.array([0.3, -0.7])) == pytest.approx(2.0 / 3.0)
    assert project.largest_rate(lambda p: p[0] ** 2.0 - p[1] ** 2.0, np.zeros(2)) is None
    assert project.largest_rate(lambda p: p[0].log(), np.array([0.0])) is None


def test_an_interrupted_run_resumes_to_the_same_way(
    monkeypatch: pytest.MonkeyPatch, interrupted: Callable[..., AbstractContextManager[None]]
) -> None:
    quietly(monkeypatch)
    flags = ["--function", "bowl", "--compare", "none"]
    whole = run(*flags, out="whole")
    monkeypatch.setattr("tinygrad_edu.run.Run.checkpoint_steps", 5)
    log = project.Run.log

    def interrupting(self: Any, **values: Any) -> None:
        log(self, **values)
        if self.step == 17:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(project.Run, "log", interrupting)
        assert cli.main(["run", "gradient-descent", *flags, "--out", "out"]) == 130
    assert run(*flags, "--resume") == whole


def test_where_walks_were_is_in_the_window() -> None:
    f = lambda point: project.at(parse("x^2 + y^2"), point)
    walks = {"plain": project.Walk("plain", (3.0, 0.0), 0.1), "far": project.Walk("plain", (3.0, 0.0), 2.0)}
    project.descend(f, walks, range(5))
    (left, right), (low, high) = ch02_pictures.window(walks)
    assert left < 0.0 < 3.0 < right < 30.0  # the second is at ± 729 by then
    assert low < 0.0 < high  # all points have y = 0
    assert tg.tensor(walks["plain"].points).shape == (6, 2)
