"""Chapter 7's moons from the command line: micrograd's very numbers, and the report with its pictures."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli, state
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch07_moons

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
SHAPES = [(2, 16), (16, 16), (16, 1)]  # of micrograd's network: inputs, neurons
FIGURES = {"backend", "seed", "first_loss", "last_loss", "train_accuracy", "train_seconds"}


def run(*flags: str, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "moons", "--out", out, "--json", "figures.json", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


def test_it_is_micrograds_demo(needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("torch")
    figures = run("--compare", "torch")
    assert set(figures) == FIGURES | {f"torch_{name}" for name in FIGURES - {"backend", "seed"}}
    for library in ("", "torch_"):
        assert figures[f"{library}first_loss"] == pytest.approx(0.8958441028683222, rel=0.0, abs=1e-10)
        assert figures[f"{library}last_loss"] == pytest.approx(0.010978370135492717, rel=0.0, abs=1e-10)
        assert figures[f"{library}train_accuracy"] == 1.0
        assert figures[f"{library}train_seconds"] > 0.0
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 101))
    assert (lines[0]["loss"], lines[-1]["loss"]) == (figures["first_loss"], figures["last_loss"])
    told = capsys.readouterr().out
    for part in ("100% of 100 points", "micrograd's demo, which takes about four minutes", "torch from the same start"):
        assert part in told
    (apart,) = re.findall(r"no step's loss is more than (\S+) from ours", told)
    assert float(apart) < 1e-10


def test_points_and_weights_are_those_of_the_seeded_process(needs: Needs) -> None:
    """The demo's own lines: the state of the process, where the project keeps to generators of its own."""
    numbers, draws = np.random.get_state(), random.getstate()
    try:
        np.random.seed(1337)
        random.seed(1337)
        points, classes = needs("sklearn.datasets").make_moons(n_samples=100, noise=0.1)
        expected = [[[random.uniform(-1, 1) for _ in range(n_in)] for _ in range(n_out)] for n_in, n_out in SHAPES]
    finally:
        np.random.set_state(numbers)
        random.setstate(draws)
    x, y = ch07_moons.moons(1337)
    found = ch07_moons.weights((2, 16, 16, 1), 1337)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers[1])  # the demo seeds the process, this does not
    assert random.getstate() == draws
    np.testing.assert_array_equal(x, points)
    np.testing.assert_array_equal(y, [1.0 if c == 1 else -1.0 for c in classes])
    assert {array.dtype for array in (x, y, *found)} == {np.dtype(np.float64)}
    for weight, bias, array in zip(found[::2], found[1::2], expected, strict=True):
        np.testing.assert_array_equal(weight, array)
        np.testing.assert_array_equal(bias, np.zeros(len(array)))


def test_another_seed_is_another_sample_and_another_start() -> None:
    figures = run("--compare", "none", "--seed", "1")
    assert set(figures) == FIGURES
    assert figures["first_loss"] != pytest.approx(0.8958441028683222, rel=1e-3)
    assert figures["train_accuracy"] > 0.95
    assert "micrograd's demo" not in Path("out/report.html").read_text()


def test_the_perceptron_stays_at_a_straight_line() -> None:
    """Its scores are linear: the middle of two points has the mean of their scores; no line parts the moons."""
    figures = run("--model", "perceptron", "--compare", "none")
    assert 0.75 < figures["train_accuracy"] < 0.95
    assert figures["last_loss"] > 0.2  # the network's is 0.01
    arrays = state.load(Path("out/checkpoint.safetensors"))["tracked"]["model"]
    assert sorted(array.shape for array in arrays.values()) == [(1,), (1, 2)]


def test_the_perceptron_is_torchs(needs: Needs) -> None:
    needs("torch")
    figures = run("--model", "perceptron", "--compare", "torch", "--steps", "10")
    for name in ("first_loss", "last_loss", "train_accuracy"):
        assert figures[name] == pytest.approx(figures[f"torch_{name}"], rel=0.0, abs=1e-10)
    assert figures["last_loss"] < figures["first_loss"]


def test_the_report_has_its_pictures(needs: Needs) -> None:
    run("--compare", "none", "--steps", "30")
    page = Path("out/report.html").read_text()
    assert len(re.findall(r'src="data:image/png;base64,', page)) == 2
    assert len(re.findall(r'src="data:image/gif;base64,', page)) == 1
    assert len(re.findall(r'src="data:image/svg\+xml;base64,', page)) == 1
    assert "Not compared with torch." in page
    for name in ("end.png", "curves.png"):
        assert Path("out", name).read_bytes().startswith(b"\x89PNG"), name
    graph = Path("out/graph.svg").read_text()
    for name in ("layers.1.weight", "layers.3.bias", "score", "loss", "grad"):
        assert name in graph
    with needs("PIL.Image").open("out/boundary.gif") as film:
        assert film.n_frames == 31  # a frame a step, and the start
        assert film.info["loop"] == 0  # for ever
        first = film.convert("RGB").tobytes()
        film.seek(30)
        assert film.convert("RGB").tobytes() != first


def test_a_longer_training_has_no_more_frames() -> None:
    film = ch07_moons.Film(1000)
    model = ch07_moons.network(ch07_moons.weights((2, 1), 0))
    for updates in range(1001):
        film.take(updates, model)
    assert [updates for updates, _ in film.frames] == list(range(0, 1001, 40))


def test_an_interrupted_run_resumes_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--compare", "none", "--steps", "20"]
    whole = run(*flags, out="whole")
    log = Run.log

    def interrupting(self: Run, **metrics: Any) -> None:
        log(self, **metrics)
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
    try:
        monkeypatch.setattr(Run, "log", interrupting)
        assert cli.main(["run", "moons", *flags, "--out", "out"]) == 130
        monkeypatch.setattr(Run, "log", log)
        resumed = run(*flags, "--resume")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (resumed["first_loss"], resumed["last_loss"]) == (whole["first_loss"], whole["last_loss"])
    assert Path("out/boundary.gif").read_bytes() == Path("whole/boundary.gif").read_bytes()


@pytest.mark.parametrize("steps", ["0", "-3"])
def test_no_steps_is_an_error(steps: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "moons", "--steps", steps, "--out", "out"]) == 1
    assert f"moons: expected --steps of at least 1, got {steps}" in capsys.readouterr().err
