"""Timing candidates in turn, A B A B, in one process: on a noisy machine only such a ratio means anything."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Step = Callable[[], object]


def alternate(
    candidates: Mapping[str, Step], *, seconds: float = 2.0, block: float = 0.1, rest: float = 0.05
) -> dict[str, float]:
    """The median seconds of one call of each candidate.

    Each is called for `block` seconds, then the next, and so on in turn, until each has had `seconds`. A `rest` before
    each block lets the threads of the one before fall asleep: OpenBLAS's spin for some 25 ms after a call, and would
    slow the others down (torch's steps took two to four times as long without it). The garbage collector rests
    throughout, as in `timeit`.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for step in candidates.values():
        run(step, block)  # warm-up
    gc.collect()
    gc.disable()
    try:
        for _ in range(max(1, round(seconds / block))):
            for name, step in candidates.items():
                time.sleep(rest)
                step()
                times[name] += run(step, block)
    finally:
        gc.enable()
    return {name: median(found) for name, found in times.items()}


def run(step: Step, seconds: float) -> list[float]:
    """The seconds of each of as many calls as fit into `seconds`, of one at least."""
    times: list[float] = []
    begin = before = time.perf_counter()
    while before - begin < seconds or not times:
        step()
        now = time.perf_counter()
        times.append(now - before)
        before = now
    return times
