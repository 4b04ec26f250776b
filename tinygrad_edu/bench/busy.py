"""Training steps on a busy machine: `python -m tinygrad_edu.bench.busy [NAME ...]`.

Each workload's step is timed while the machine is idle, and while another process on each core does nothing but keep it
occupied. Half of each core is left then, so that a step may well take twice its idle time; threads that wait for each
other by spinning take far more, since they spin away what time they get. Wanted of ours: at most 3 times.

The others are stopped and continued by signals, so that idle and busy take turns.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

from tinygrad_edu.bench.nine import NINE
from tinygrad_edu.bench.timing import run
from tinygrad_edu.bench.workloads import OURS, nine
from tinygrad_edu.errors import unknown

WANTED = 3.0
TURNS = 5
BURN = "while True: pass"


@contextmanager
def others(count: int) -> Iterator[Callable[[bool], None]]:
    """So many processes that compute in vain, stopped at first: call what this gives to let them run, or stop them."""
    processes = [subprocess.Popen([sys.executable, "-S", "-c", BURN]) for _ in range(count)]

    def busy(now: bool) -> None:
        for process in processes:
            process.send_signal(signal.SIGCONT if now else signal.SIGSTOP)
        time.sleep(0.05)  # until the scheduler has taken note, and waiting threads have fallen asleep

    try:
        busy(False)
        yield busy
    finally:
        for process in processes:
            process.kill()
            process.wait()


def compare(
    steps: Mapping[str, Callable[[], object]], busy: Callable[[bool], None], seconds: float
) -> dict[str, tuple[float, float]]:
    """The median seconds of each candidate's step, idle and busy, measured in turn for `seconds` each."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in steps}
    for step in steps.values():
        run(step, seconds / TURNS)  # warm-up
    for _ in range(TURNS):
        for name, step in steps.items():
            for state in (False, True):
                busy(state)
                times[name][state].extend(run(step, seconds / TURNS))
            busy(False)
    return {name: (median(idle), median(loaded)) for name, (idle, loaded) in times.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Print each candidate's time idle and busy, and the ratio; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each candidate, idle and busy (default: 1)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads (default: all nine)")
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in NINE:
            parser.error(unknown("workload", name, NINE))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"microseconds a step, idle and with {cores} other processes on {cores} cores; in brackets busy / idle")
    print(f"(wanted of cpp: at most {WANTED:.0f}; the steps' own times say nothing here of one beside another)")
    with others(cores) as busy:
        for name in args.names or NINE:
            steps = {key: step for key, step in nine(name).items() if key in (f"{OURS}cpp", f"{OURS}numpy", "torch")}
            found = compare(steps, busy, args.seconds)
            parts = [
                f"{key.removeprefix(OURS)} {1e6 * i:.0f} {1e6 * b:.0f} ({b / i:.2f})" for key, (i, b) in found.items()
            ]
            print(f"{name:10s} " + "  ".join(parts), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
