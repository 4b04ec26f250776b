"""Chapter 12's VAE from the command line: learns, compares, draws, and goes on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli
from tinygrad_edu.scripts.ch12_vae_pictures import quantiles

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def run(*flags: str, epochs: int = 3, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    command = ["run", "vae", "--epochs", str(epochs), "--out", out, "--json", "figures.json", *flags]
    assert cli.main(command) == 0
    return json.loads(Path("figures.json").read_text())


@pytest.mark.parametrize("flags", [[], ["--model", "conv-vae", "--code", "2"]], ids=["dense", "convolutional"])
def test_it_learns_compares_and_draws(flags: list[str], needs: Needs) -> None:
    needs("torch")
    figures = run("--compare", "torch", *flags)
    assert set(figures) > {"test_loss_nats", "train_seconds", "torch_test_loss_nats", "torch_train_seconds"}
    # From the same weights on the same batches; the noise differs, and moves the loss of 360 images by some 0.1 nats.
    assert figures["test_loss_nats"] == pytest.approx(figures["torch_test_loss_nats"], abs=0.5)
    assert figures["test_loss_nats"] < 40.0  # 64 pixels, ln 2 each, are 44 nats at the start
    assert figures["kl_nats"] == pytest.approx(figures["sampled_kl_nats"], rel=0.05)
    for name in ("curves", "reconstructions", "samples", "plane", "codes", "between"):
        assert Path("out", f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert Path("out/training.gif").read_bytes().startswith(b"GIF8")


def test_a_resumed_run_ends_with_the_same_bits_and_the_whole_film(same_bits: Callable[[str, str], Any]) -> None:
    run("--compare", "none", epochs=3, out="whole")
    run("--compare", "none", epochs=1, out="out")
    run("--compare", "none", "--resume", epochs=3, out="out")
    film = [name for name in same_bits("whole", "out") if name.startswith("film.")]
    assert len(film) == 4  # the start, and after each epoch


def test_quantiles_hold_equal_shares() -> None:
    normal = np.sort(np.random.default_rng(0).standard_normal(100_000))
    shares = np.diff(np.searchsorted(normal, quantiles(4))) / len(normal)
    np.testing.assert_allclose(shares, 0.2, atol=0.01)  # 8 standard errors


def test_a_code_of_one_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "vae", "--code", "1", "--out", "out"]) != 0
    assert "vae: expected --code of at least 2, got 1" in capsys.readouterr().err
