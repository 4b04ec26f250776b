"""Chapter 7's comparison: both sides from the same start, each gradient, the sources in rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinygrad_edu import cli
from tinygrad_edu.scripts.ch07_compare_pictures import code, rows, side_by_side

Needs = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def with_torch(in_an_empty_folder: None, needs: Needs) -> None:
    needs("torch")


@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_both_do_the_same(model: str) -> None:
    command = ["run", "compare-torch", "--model", model, "--hidden", "16", "--epochs", "2", "--out", "out"]
    assert cli.main([*command, "--json", "figures.json"]) == 0
    figures = json.loads(Path("figures.json").read_text())
    # float32: 6e-8 a rounding, sums of some thousand numbers
    assert 0.0 < figures["largest_relative_gradient_difference"] < 1e-4
    assert figures["test_loss_nats"] == pytest.approx(figures["torch_test_loss_nats"], rel=1e-3)
    assert figures["test_accuracy"] == pytest.approx(figures["torch_test_accuracy"], abs=0.01)
    assert figures["train_seconds"] > 0.0
    assert figures["torch_train_seconds"] > 0.0
    for name in ("sources.svg", "losses.png", "gradients.png", "times.png"):
        assert Path("out", name).stat().st_size > 1000, name


def test_both_sides_go_on_after_an_interruption(same_bits: Callable[[str, str], dict[str, Any]]) -> None:
    command = ["run", "compare-torch", "--hidden", "16"]
    assert cli.main([*command, "--epochs", "2", "--out", "whole"]) == 0
    assert cli.main([*command, "--epochs", "1", "--out", "out"]) == 0
    assert cli.main([*command, "--epochs", "2", "--out", "out", "--resume"]) == 0
    assert any("theirs.optimizer" in name for name in same_bits("whole", "out"))


def first(x: int) -> int:
    """A docstring, which is not shown."""
    y = x + 1  # nor is a comment
    return y


def second(x: int) -> int:
    """Another."""
    y = x + 2
    y = y * (1 < 2)
    return y


def test_sources_are_laid_side_by_side() -> None:
    assert code(first) == ["def first(x: int) -> int:", "    y = x + 1", "    return y"]
    table = rows(code(first)[1:], code(second)[1:])
    assert table == [
        ("    y = x + 1", "    y = x + 2", False),
        (None, "    y = y * (1 < 2)", False),
        ("    return y", "    return y", True),
    ]
    svg = side_by_side([first], [second])
    assert "(1 &lt; 2)" in svg
    assert svg.count("#fff3d6") == 5  # two first lines, two second ones, and the one that stands alone
    assert svg.count("#eee") == 1
