"""The training steps under pytest-benchmark: a group for each workload, all candidates in it.

pytest-benchmark times one candidate after the other; the ratios that are quoted come from `tinygrad-edu bench`, which
takes turns.
"""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_edu import bench
from tinygrad_edu.bench.workloads import OURS, backends

OURS = [OURS + name for name, error in backends().items() if error is None]


@pytest.mark.parametrize("candidate", [*OURS, "torch", "autograd"])
@pytest.mark.parametrize("workload", bench.WORKLOADS)
def test_step(benchmark: Any, workload: str, candidate: str) -> None:
    """One step of one candidate."""
    if candidate == "autograd" and not workload.endswith("mlp"):
        pytest.skip("written for multi-layer perceptrons only")
    steps = bench.WORKLOADS[workload]()
    benchmark.group = workload
    benchmark.pedantic(steps[candidate], rounds=20, warmup_rounds=3)
