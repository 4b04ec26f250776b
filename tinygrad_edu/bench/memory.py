"""How much array memory a training step needs, ours and torch's: `python -m tinygrad_edu.bench.memory [NAME ...]`.

The figure is the allocator's high-water mark during one step above the level before it. Each side counts what it asks
for, so that neither blocks kept for the next time nor a library's scratch memory come in:

- ours by `tracemalloc`, which NumPy tells of every array, as our C++ store does (`array.cpp`); some dozens of KiB of
  Python's own objects are in it too;
- torch's by its profiler, which records each block that its allocator hands out or takes back; the running sum of
  these is the level, its largest value the mark.

A step is measured after some others, when the optimizer's state and the last step's gradients are there.
"""

from __future__ import annotations

import argparse
import gc
import os
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import tinygrad_edu as tg
from tinygrad_edu.bench.nine import NINE, Trainer
from tinygrad_edu.bench.workloads import backends, missing
from tinygrad_edu.errors import require, unknown

WARM_UP = 3
STEPS = 3  # the largest mark of so many
MIB = float(1 << 20)


def _torch() -> Any:
    """torch, its profiler told not to announce each of its starts."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return require("torch", "bench")


def ours(step: Callable[[], object]) -> int:
    """The bytes of arrays, and of Python, that `step` has at once, at most, beyond those before it."""
    tracemalloc.start()
    try:
        step()  # so that what is freed of the step before was seen when it was made
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def torchs(step: Callable[[], object]) -> int:
    """The bytes of torch's allocator that `step` has at once, at most, beyond those before it."""
    torch = _torch()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()  # so that what is freed of the step before was seen when it was made
        with torch.profiler.record_function("measured"):
            step()
    events = profiler.profiler.kineto_results.events()
    begin = next(e.start_ns() for e in events if e.name() == "measured")
    changes = [e for e in events if e.name() == "[memory]"]
    changes.sort(key=lambda e: e.start_ns())
    return max(accumulate((e.nbytes() for e in changes if e.start_ns() >= begin), initial=0))


def high_water(side: Callable[[Callable[[], object]], int], step: Callable[[], Any]) -> float:
    """MiB: the largest mark of some steps, after a warm-up."""
    for _ in range(WARM_UP):
        step()
    return max(side(step) for _ in range(STEPS)) / MIB


def main(argv: Sequence[str] | None = None) -> int:
    """Print each workload's marks and ratios; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads (default: all nine)")
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in NINE:
            parser.error(unknown("workload", name, NINE))
    torch = _torch()
    print("MiB of array memory that a step needs at its peak; in brackets ours / torch's (wanted of cpp: at most 1.00)")
    print(*missing(), sep="\n", end="\n" * bool(missing()))
    for name in args.names or NINE:
        theirs = high_water(torchs, Trainer(torch, NINE[name]).step)
        parts = [f"torch {theirs:.2f}"]
        for backend in [key for key, error in backends().items() if error is None]:
            with tg.use_backend(backend):
                mark = high_water(ours, Trainer(tg, NINE[name]).step)
            parts.append(f"{backend} {mark:.2f} ({mark / theirs:.2f})")
        print(f"{name:10s} " + "  ".join(parts), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
