"""The training steps under pytest-benchmark: a group for each workload, all candidates in it.

pytest-benchmark times one candidate after the other; the ratios that are quoted come from `tinygrad-edu bench`, which
takes turns.
"""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_edu import bench

CASES = [(workload, candidate) for workload, make in bench.WORKLOADS.items() for candidate in make()]


@pytest.mark.parametrize(("workload", "candidate"), CASES, ids=[" ".join(case) for case in CASES])
def test_step(benchmark: Any, workload: str, candidate: str) -> None:
    """One step of one candidate."""
    benchmark.group = workload
    benchmark(bench.WORKLOADS[workload]()[candidate])
