"""The code of tinygrad_edu/ops/README.md runs as it stands, and checks what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_edu
from tinygrad_edu.cli import main
from tinygrad_edu.testing import compare_with_torch
from tinygrad_edu.testing.cases import ROWS, cases
from tinygrad_edu.testing.rows import TinygradNames, TorchNames

README = (Path(tinygrad_edu.__file__).parent / "ops" / "README.md").read_text()
OP, CHECK, TWIN, ROW = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_op_passes_its_checks(needs) -> None:
    needs("torch")
    names: dict[str, Any] = {}
    exec(OP, names)
    exec(CHECK, names)


def test_the_checks_notice_a_wrong_rule(needs) -> None:
    needs("torch")
    names: dict[str, Any] = {}
    exec(OP.replace("g * 3.0", "g * 2.0"), names)
    with pytest.raises(AssertionError, match="gradient of input 0"):
        exec(CHECK, names)


@pytest.mark.parametrize(("rule", "status"), [("g * 3.0", 0), ("g * 2.0", 1)])
def test_the_command_checks_the_file(rule: str, status: int, tmp_path: Path, capsys, needs) -> None:
    needs("torch")
    path = tmp_path / "my_ops.py"
    path.write_text(OP.replace("g * 3.0", rule) + TWIN)
    assert main(["check", f"{path}:cube"]) == status
    assert ("they differ: gradient of input 0 at index (0,)" in capsys.readouterr().out) == bool(status)


def test_the_row_is_as_in_the_table(needs) -> None:
    needs("torch")
    names: dict[str, Any] = {}
    exec(ROW, names)
    assert names["row"] in ROWS
    for case in cases(names["row"], np.float64):
        compare_with_torch(case.f(TinygradNames()), case.f(TorchNames()), *case.arrays, order=case.order)
