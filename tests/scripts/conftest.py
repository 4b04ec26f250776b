"""What the tests of the projects have in common."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import state
from tinygrad_edu.run import Run


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: Callable[[str], ModuleType]) -> None:
    """Runs the test where nothing lies about, with what projects need for data and pictures."""
    needs("sklearn")
    needs("matplotlib")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def same_bits() -> Callable[[str, str], dict[str, np.ndarray]]:
    """Holds the checkpoints of two runs' folders against each other, to the last bit; gives the first one's arrays."""

    def check(out: str, other: str) -> dict[str, np.ndarray]:
        one, two = (state.load(Path(folder) / "checkpoint.safetensors") for folder in (out, other))
        (tree, arrays), (tree_2, arrays_2) = state.flatten(one["tracked"]), state.flatten(two["tracked"])
        assert (one["step"], tree) == (two["step"], tree_2)
        for name, array in arrays.items():
            assert array.tobytes() == arrays_2[name].tobytes(), name
        return arrays

    return check


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[None]]:
    """`with interrupted(at=10):` a run within ends at its 10th step as by Ctrl-C, a checkpoint some steps behind it."""

    @contextmanager
    def until(at: int) -> Iterator[None]:
        log = Run.log

        def interrupting(self: Run, **metrics: Any) -> None:
            log(self, **metrics)
            if self.step == at and "loss" in metrics:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Run, "log", interrupting)
            patch.setattr(Run, "checkpoint_steps", at // 2 + 2)
            yield

    return until


KILLED = """
import os, signal, sys
from tinygrad_edu import cli
from tinygrad_edu.run import Run
{setup}
log = Run.log

def killing(self, **metrics):
    log(self, **metrics)
    if self.step == {at}:
        os.kill(os.getpid(), signal.SIGKILL)

Run.log, Run.checkpoint_steps = killing, {checkpoint_steps}
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def killed() -> Callable[..., None]:
    """`killed(["run", ...], at=40)`: the command in a process of its own, which dies by SIGKILL when step 40 is logged.

    `setup`: lines of Python before it.
    """

    def run(command: list[str], *, at: int, checkpoint_steps: int = 15, setup: str = "") -> None:
        code = KILLED.format(at=at, checkpoint_steps=checkpoint_steps, setup=setup)
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr

    return run
