"""The training steps under pytest-benchmark: a group for each workload, all candidates in it.

pytest-benchmark times one candidate after the other; the ratios that are quoted come from `tinygrad-edu bench`, which
takes turns.
"""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_edu import bench
from tinygrad_edu.bench.workloads import OURS, backends

SIDES = [*(OURS + name for name, error in backends().items() if error is None), "torch"]
CASES = [(workload, side) for workload in bench.WORKLOADS for side in SIDES]
CASES += [(workload, "autograd") for workload in bench.WORKLOADS if workload.endswith("mlp")]


@pytest.mark.parametrize(("workload", "candidate"), CASES, ids=[" ".join(case) for case in CASES])
def test_step(benchmark: Any, workload: str, candidate: str) -> None:
    """One step of one candidate."""
    steps = bench.WORKLOADS[workload]()
    benchmark.group = workload
    benchmark.pedantic(steps[candidate], rounds=20, warmup_rounds=3)
