"""Chapter 12's end project from the command line: learns, compares, writes, chats, and knows its vocabulary."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import cli
from tinygrad_edu.models.char_rnn import CharRNN
from tinygrad_edu.scripts.ch12_generate_pictures import look_back, reach

Needs = Callable[[str], ModuleType]
SMALL = ["--width", "24", "--batch-size", "8", "--length", "20", "--characters", "40", "--samples", "2"]


@pytest.fixture(autouse=True)
def a_text(in_an_empty_folder: None) -> None:
    Path("text.txt").write_text("the cat sat on the mat, and the dog lay on the log. " * 60)


def run(*flags: str, out: str = "out") -> dict[str, Any]:
    """Run the project on a small text; its figures."""
    command = ["run", "generate", "--dataset", "text.txt", *SMALL, "--out", out, "--json", "figures.json", *flags]
    assert cli.main(command) == 0
    return json.loads(Path("figures.json").read_text())


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_learns_compares_writes_and_draws(cell: str, needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("torch")
    figures = run("--compare", "torch", "--cell", cell, "--dropout", "0", "--prompt", "the ", "--epochs", "3")
    assert figures["validation_loss_nats"] < 2.8  # log of 20 characters is 3.0
    # float32 in another order of summation, over 51 steps
    assert figures["validation_loss_nats"] == pytest.approx(figures["torch_validation_loss_nats"], abs=0.02)
    out = capsys.readouterr().out
    assert "--- step 25 of 51" in out
    for name in ("curves.png", "samples.svg", "page.svg", "look.svg", "gradients.png", "model.safetensors"):
        assert Path("out", name).stat().st_size > 200, name


def test_by_hand_it_learns_and_draws(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("--by-hand", "--epochs", "6")
    assert set(figures) == {"backend", "seed", "validation_loss_nats", "train_seconds"}
    assert figures["validation_loss_nats"] < 2.3  # log of 20 characters is 3.0
    assert "--- step 337 of 674" in capsys.readouterr().out
    for name in ("curves.png", "samples.svg", "page.svg", "gradients.png"):
        assert Path("out", name).stat().st_size > 200, name


@pytest.mark.parametrize(("flags", "step"), [([], 10), (["--by-hand"], 100)], ids=["tensor", "by hand"])
def test_a_resumed_run_ends_with_the_same_bits(flags: list[str], step: int, interrupted: Any, same_bits: Any) -> None:
    run("--compare", "none", "--epochs", "1", *flags, out="whole")
    command = ["run", "generate", "--dataset", "text.txt", *SMALL, "--compare", "none", "--epochs", "1", *flags]
    with interrupted(at=step):
        assert cli.main([*command, "--out", "out"]) == 130
    assert cli.main([*command, "--out", "out", "--resume"]) == 0
    same_bits("whole", "out")


def test_it_writes_from_saved_weights_and_chats(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = run("--compare", "none", "--epochs", "1")
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("the c\nüber\nthe d\n\nnever read\n"))
    again = run("--weights", "out/model.safetensors", "--chat", "--top-k", "1", out="again")
    assert again["validation_loss_nats"] == trained["validation_loss_nats"]
    assert "train_seconds" not in again
    told = capsys.readouterr().out
    assert told.index("the c") < told.index("got 'b', 'r', 'ü'") < told.index("\nthe d")
    assert "never read" not in told


def test_a_model_of_another_vocabulary_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run("--compare", "none", "--epochs", "1")
    Path("other.txt").write_text("The cat sat on the mat! " * 60)
    capsys.readouterr()
    for weights, dataset, message in [
        ("out/model.safetensors", "other.txt", "only one of the two has '!,.Tdgly'"),
        ("nowhere.safetensors", "text.txt", "--weights: there is no file nowhere.safetensors"),
        ("out/checkpoint.safetensors", "text.txt", "expected out/checkpoint.safetensors to be a model.safetensors"),
    ]:
        assert cli.main(["run", "generate", "--dataset", dataset, "--weights", weights, *SMALL, "--out", "x"]) != 0
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prompt", "é"], "got 'é'"),
        (["--prompt", ""], "--prompt: expected at least one character, got none"),
        (["--temperature", "-1"], "expected a temperature > 0, got -1.0"),
        (["--top-k", "0"], "expected top_k of at least 1, got 0"),
        (["--epochs", "0"], "generate: expected --epochs of at least"),
        (["--length", "1000"], "Streams: expected a text of more than"),
    ],
)
def test_mistakes(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "generate", "--dataset", "text.txt", *SMALL, "--out", "out", *flags]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_how_far_a_loss_reaches_is_its_gradient(cell: str) -> None:
    """The last state's gradient is that of the layer's own output; with attention all states have one."""
    tg.manual_seed(0)
    model = CharRNN(5, width=6, cell=cell).double()
    x = np.random.default_rng(0).integers(0, 5, (1, 9))
    found = reach(model, x[:, :-1], x[:, 1:])
    assert [len(norms) for norms in found.values()] == [8, 8]
    with_attention, alone = found.values()
    assert (with_attention > 0.0).all()
    h, _ = model.recurrent(model.tokens(tg.tensor(x[:, :-1])))
    logits = model.head(h[:, -1])
    g = tg.grad(F.cross_entropy(logits, tg.tensor(x[:, -1])), [h])[0]
    assert g is not None
    assert alone[-1] == pytest.approx(float((g[:, -1] ** 2).sum().sqrt().item()), rel=1e-9)


def test_the_look_back_is_drawn_for_every_character() -> None:
    svg = look_back(CharRNN(5, width=6), np.array([0, 1, 2, 3]), "ab\n<e")
    assert svg.count("<text") == 5  # four characters and a title
    assert "↵" in svg
    assert "&lt;" in svg
