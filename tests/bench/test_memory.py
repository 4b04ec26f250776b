"""The marks of memory, on steps whose memory is known."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.bench import memory
from tinygrad_edu.bench.workloads import backends

LOADED = [name for name, error in backends().items() if error is None]
SIZE = 1 << 18  # float32 numbers: 1 MiB


def step_of(new: Callable[[], Any]) -> Callable[[], None]:
    """Frees the block of the step before, then has at most three at once, and leaves one: a mark of two."""
    kept: list[Any] = []

    def step() -> None:
        kept.clear()
        a, b = new(), new()
        del a
        c = new()
        d = new()
        del c, d
        kept.append(b)

    return step


@pytest.mark.parametrize("backend", LOADED)
def test_our_mark(backend: str) -> None:
    with tg.use_backend(backend):
        x = tg.zeros(SIZE)
        mark = memory.high_water(memory.ours, step_of(lambda: x + 1.0))
    assert mark == pytest.approx(2.0, abs=0.02)  # Python's own objects come in


def test_torchs_mark(needs: Callable[[str], ModuleType]) -> None:
    torch = needs("torch")
    x = torch.zeros(SIZE)
    assert memory.high_water(memory.torchs, step_of(lambda: x + 1.0)) == pytest.approx(2.0, abs=0.001)


def test_main_prints_both_sides(capsys: pytest.CaptureFixture[str], needs: Callable[[str], ModuleType]) -> None:
    needs("torch")
    assert memory.main(["dqn"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.startswith("MiB of array memory")
    name, torch, mark, *ours = line.split()
    assert (name, torch) == ("dqn", "torch")
    activations = 2 * 2 * 128 * 128 * 4 / memory.MIB  # two hidden layers, before and after their ReLU
    assert 0.5 * activations < float(mark) < 4 * activations
    assert np.isclose(float(ours[1]) / float(mark), float(ours[2].strip("()")), rtol=0.1)
    with pytest.raises(SystemExit, match="2"):
        memory.main(["cn"])
    assert "unknown workload 'cn'" in capsys.readouterr().err
