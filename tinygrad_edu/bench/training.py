"""The table of training steps: `tinygrad-edu bench [NAME ...]`.

Wanted of the C++ backend, beside torch: no workload above 1.00, and a geometric mean over the nine of at most 0.6. With
`TINYGRAD_EDU_ISA=avx2 tinygrad-edu bench` our kernels keep to AVX2, and the mean may be 0.9.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tinygrad_edu import registry
from tinygrad_edu.bench.nine import NINE
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.bench.workloads import OURS, THREADS, WORKLOADS, backends, check_names, missing

WANTED = {"avx512": 0.6, "avx2": 0.9}  # geometric means over the nine


def main(names: Sequence[str] = (), *, seconds: float = 2.0) -> int:
    """Print, for each workload (all by default), microseconds a step and the ratio to each peer's; returns 0."""
    check_names(names)
    print(f"microseconds a step, medians, measured in turn; in brackets ours / theirs, {THREADS} threads each{isa()}")
    print(*missing(), sep="\n", end="\n" * bool(missing()))
    ratios: dict[str, dict[str, float]] = {}  # by our backend, then by workload: to torch
    for name in names or WORKLOADS:
        found = alternate(WORKLOADS[name](), seconds=seconds)
        ours = {key: value for key, value in found.items() if key.startswith(OURS)}
        print(f"{name:10s} " + "  ".join(f"{key} {1e6 * value:.0f}" for key, value in ours.items()))
        for peer, value in found.items():
            if peer not in ours:
                each = ", ".join(f"{ours[key] / value:.2f}" for key in ours)
                print(f"{'':10s} {peer} {1e6 * value:.0f} ({each})", flush=True)
        for key, value in ours.items():
            if "torch" in found and name in NINE:
                ratios.setdefault(key.removeprefix(OURS), {})[name] = value / found["torch"]
    for backend, by_name in ratios.items():
        if len(by_name) == len(NINE):
            print(summary(backend, by_name))
    return 0


def isa() -> str:
    """What our kernels are compiled for, as the table's heading ends."""
    return "" if backends().get("cpp", ImportError()) else f"; cpp is {registry.backend('cpp').isa}"  # type: ignore[attr-defined]


def geometric_mean(values: Iterable[float]) -> float:
    """The root of the product: the mean for ratios, by which 2 and 1/2 cancel."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def summary(backend: str, ratios: dict[str, float]) -> str:
    """The geometric mean over the nine of a backend's time / torch's, and the worst of them."""
    worst = max(ratios, key=ratios.__getitem__)
    line = f"{backend} / torch, geometric mean over the nine: {geometric_mean(ratios.values()):.2f}"
    line += f", the worst is {worst}: {ratios[worst]:.2f}"
    if backend == "cpp":
        wanted = WANTED.get(registry.backend("cpp").isa)  # type: ignore[attr-defined]
        line += f" (wanted: at most {wanted}, and 1.00 each)" if wanted else ""
    return line
