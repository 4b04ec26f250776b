"""Chapter 12's transformer from the command line: learns, compares, writes, draws; what it draws is what happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import cli
from tinygrad_edu.models.gpt import GPT
from tinygrad_edu.scripts.ch12_transformer_pictures import Look, block
from tinygrad_edu.scripts.one_text import in_rows, mean_loss

Needs = Callable[[str], ModuleType]
SMALL = ["--width", "16", "--heads", "2", "--layers", "2", "--context", "16", "--length", "30"]


@pytest.fixture(autouse=True)
def a_text(in_an_empty_folder: None) -> None:
    Path("text.txt").write_text("the cat sat on the mat, and the dog lay on the log. " * 40)


def run(*flags: str, steps: int = 20, out: str = "out") -> dict[str, Any]:
    """Run the project on a small text; its figures."""
    command = ["run", "transformer", "--dataset", "text.txt", *SMALL, "--steps", str(steps), "--out", out]
    assert cli.main([*command, "--json", "figures.json", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


def test_it_learns_compares_writes_and_draws(needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("torch")
    figures = run("--compare", "torch", "--prompt", "the ", "--lr", "1e-2", steps=60)
    assert figures["validation_loss_nats"] < 2.5  # log of 20 characters is 3.0
    # float32 in another order of summation, over 60 steps
    assert figures["validation_loss_nats"] == pytest.approx(figures["torch_validation_loss_nats"], abs=0.02)
    assert min(figures["train_seconds"], figures["torch_train_seconds"]) > 0.0
    assert "the " in capsys.readouterr().out
    for name in ("curves.png", "page.svg", "block.svg", "attention.png"):
        assert Path("out", name).stat().st_size > 200, name


def test_a_resumed_run_ends_with_the_same_bits(interrupted: Any, same_bits: Any) -> None:
    run("--compare", "none", out="whole")
    command = ["run", "transformer", "--dataset", "text.txt", *SMALL, "--steps", "20", "--compare", "none"]
    with interrupted(at=10):
        assert cli.main([*command, "--out", "out"]) == 130
    assert cli.main([*command, "--out", "out", "--resume"]) == 0
    same_bits("whole", "out")


def test_what_is_drawn_is_what_flows_through_the_model() -> None:
    tg.manual_seed(0)
    model, tokens = GPT(11, context=8, layers=2, heads=2, width=8), np.arange(5)
    look = Look(model, tokens)
    np.testing.assert_array_equal(look.logits, model(tg.tensor(tokens[None])).detach().numpy()[0])
    assert look.shapes["blocks.0.mlp.0"] == (1, 5, 32)
    assert [weights.shape for weights in look.weights] == [(2, 5, 5)] * 2
    for weights in look.weights:
        np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)
        assert (np.triu(weights, 1) == 0.0).all()
    # the weights, applied to the values, give what the model's own attention gave to `out`
    seen: list[Any] = []
    attention = next(iter(model.blocks.children())).attention
    handles = [
        attention.value.register_forward_hook(lambda module, args, out: seen.append(out)),
        attention.out.register_forward_hook(lambda module, args, out: seen.append(args[0])),
    ]
    model(tg.tensor(tokens[None]))
    for handle in handles:
        handle.remove()
    value, gathered = (x.detach().numpy()[0] for x in seen)
    by_head = look.weights[0] @ value.reshape(5, 2, 4).swapaxes(0, 1)  # (H, T, C / H)
    np.testing.assert_allclose(by_head.swapaxes(0, 1).reshape(5, 8), gathered, rtol=1e-4, atol=1e-6)
    svg = block(look, "abcdefghijk")
    assert "(5, 32)" in svg
    assert "1 more block like this one" in svg


def test_the_mean_loss_is_over_every_character() -> None:
    text = np.arange(11)
    seen: list[int] = []

    def loss(x: np.ndarray, y: np.ndarray) -> float:
        assert np.array_equal(y, x + 1)
        seen.extend(y.ravel().tolist())
        return float(y.mean())

    assert mean_loss(loss, text, length=4, batch=1) == pytest.approx(5.5)
    assert sorted(seen) == list(range(1, 11))


def test_rows_are_read_piece_by_piece() -> None:
    pieces = list(in_rows(np.arange(11), length=3, rows=2))
    assert [x.tolist() for x, _ in pieces] == [[[0, 1, 2], [5, 6, 7]], [[3, 4], [8, 9]]]
    assert all(np.array_equal(y, x + 1) for x, y in pieces)
    assert len(list(in_rows(np.arange(3), length=3))) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "nothing"], "--dataset: expected a text (python-docs, shakespeare, alice) or a file of text"),
        (
            ["--dataset", "digits"],
            "--dataset: expected a text (python-docs, shakespeare, alice, or a file), got 'digits'",
        ),
        (["--dataset", "empty.txt"], "empty.txt: expected a text of at least 20 characters"),
        (["--prompt", "€"], "got '€'"),
        (["--prompt", ""], "--prompt: expected at least one character"),
        (["--temperature", "0"], "expected a temperature > 0, got 0"),
        (["--context", "5000"], "Windows: expected a text of more than 5000 characters"),
        (["--steps", "0"], "transformer: expected --steps of at least 1, got 0"),
    ],
)
def test_mistakes(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.txt").write_text("")
    given = flags if "--dataset" in flags else ["--dataset", "text.txt", *flags]
    assert cli.main(["run", "transformer", "--out", "out", *given]) != 0
    assert message in capsys.readouterr().err
