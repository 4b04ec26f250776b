"""Chapter 7 from the command line: trains, compares, reports, draws, and goes on after an interruption."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import cli, data, state
from tinygrad_edu.run import Run

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
BRIEF = ["--epochs", "2", "--hidden", "16"]


def run(*flags: str, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    assert cli.main(["run", "digits", *BRIEF, "--out", out, "--json", "figures.json", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


@pytest.mark.parametrize("flags", [[], ["--by-hand"]], ids=["tensor", "by hand"])
def test_it_learns_and_leaves_everything_behind(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("--compare", "none", "--seed", "3", *flags)
    assert set(figures) == {"backend", "seed", "test_accuracy", "train_seconds"}
    assert figures["seed"] == 3
    assert figures["test_accuracy"] > 0.8  # two epochs, where 40 give 98 %
    assert figures["train_seconds"] > 0.0
    out = Path("out")
    for name in ("curves.png", "confusion.png", "wrong.png", "weights.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG"), name
    page = (out / "report.html").read_text()
    for part in ("digits", "of 360 test images right; not compared with torch", "data:image/png"):
        assert part in page
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 2 * 23  # 1437 samples, 64 a batch
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) / 2
    assert len([line for line in lines if "test_accuracy" in line]) == 2
    assert "of 360 test images right" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--by-hand"]], ids=["tensor", "by hand"])
def test_it_compares_with_torch_from_the_same_start(flags: list[str], needs: Needs) -> None:
    needs("torch")
    figures = run("--compare", "torch", *flags)
    assert set(figures) > {"torch_test_accuracy", "torch_train_seconds"}
    # float32 in another order of summation moves single images: 1 % is 3.6 of 360
    assert figures["test_accuracy"] == pytest.approx(figures["torch_test_accuracy"], abs=0.01)
    assert "torch from the same start" in Path("out/report.html").read_text()


def test_by_hand_and_tensor_see_the_same_losses() -> None:
    losses = []
    for flags in ([], ["--by-hand"]):
        run("--compare", "none", *flags, out="-".join(["out", *flags]))
        lines = Path("-".join(["out", *flags]), "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines if "loss" in line])
    # float32: 46 steps, each rounding by some units of 1.2e-7 in its own order
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("flags", [[], ["--by-hand"]], ids=["tensor", "by hand"])
def test_an_interrupted_run_resumes_to_the_same_bits(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], same_bits: Any
) -> None:
    assert threading.current_thread() is threading.main_thread()  # where signals are handled
    command = ["run", "digits", *BRIEF, "--compare", "none", *flags]
    assert cli.main([*command, "--out", "whole"]) == 0
    log = Run.log

    def interrupting(self: Run, **metrics: Any) -> None:
        log(self, **metrics)
        if self.step == 30 and "loss" in metrics:  # in the second epoch
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
    try:
        monkeypatch.setattr(Run, "log", interrupting)
        assert cli.main([*command, "--out", "out"]) == 130
        monkeypatch.setattr(Run, "log", log)
        again = "go on with: tinygrad-edu run digits"
        assert again in capsys.readouterr().err
        assert state.load(Path("out/checkpoint.safetensors"))["step"] == 30
        assert not Path("out/report.html").exists()
        assert cli.main([*command, "--out", "out", "--resume"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert state.load(Path("out/checkpoint.safetensors"))["step"] == 46
    assert len(same_bits("whole", "out")) > 4
    summaries = [json.loads(Path(out, "summary.json").read_text()) for out in ("whole", "out")]
    assert summaries[0]["test_accuracy"] == summaries[1]["test_accuracy"]


def test_a_training_that_diverges_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--compare", "none", "--lr", "1e30", "--epochs", "2", "--hidden", "16", "--out", "out"]
    assert cli.main(["run", "digits", *flags]) == 1
    err = capsys.readouterr().err
    assert "the training has diverged; try a smaller learning rate" in err
    assert "The checkpoint of step 0 is out/checkpoint.safetensors" in err


def test_nothing_wrong_draws_no_wrong_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that gets all test images right: one class, which it cannot miss."""
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 1, 4, 4), np.float32), np.zeros(20, np.int64)
    dataset = data.Dataset("digits", (x, y), (x[:5], y[:5]), ("0",), "made up")
    monkeypatch.setattr(data, "load", lambda name: dataset)
    assert run("--compare", "none")["test_accuracy"] == 1.0
    assert not Path("out/wrong.png").exists()
    assert Path("out/weights.png").exists()
    assert tg.is_grad_enabled()
