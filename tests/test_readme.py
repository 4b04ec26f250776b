"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.testing import gradcheck

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_example_prints_what_it_says(capsys) -> None:
    exec(BLOCKS[0], {})
    (said,) = re.findall(r"# (tensor\(.*\))", BLOCKS[0])
    assert capsys.readouterr().out.strip() == said


def test_the_op_has_right_gradients_to_second_order() -> None:
    names: dict = {}
    exec(BLOCKS[1], names)
    gradcheck(names["cube"], tg.tensor(np.array([0.5, -2.0])), order=2)


def test_the_hooks_are_hooks() -> None:
    names: dict = {"MyBackend": object, "MyEstimator": object}
    exec(BLOCKS[2], names)
    assert set(names["register_backends"]()) == {"mine"}
    assert names["register_estimators"]()["my-method"]() is object


def test_the_tools_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    exec(BLOCKS[3], {"tg": tg, "model": lambda x: x * x, "x": x})
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.5]
    assert "<svg" in Path("graph.svg").read_text()
