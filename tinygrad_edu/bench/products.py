"""Matrix products timed in turn, ours beside NumPy's and torch's: `python -m tinygrad_edu.bench.products`.

Wanted (see the issue of the C++ backend): NumPy's and torch's speed at least on every shape of the table and on 200
random shapes, of which at most 5 % may be slower by more than 5 % and none by more than 20 %; 85 % of the peak at 1024
and 2048; two threads 1.8 times as fast as one at 1024. A ratio above 1 says that we are faster. Two threads each; how
the peak is measured, `backends/cpp/src/peak.cpp` tells.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from tinygrad_edu import registry
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require

Shape = tuple[int, int, int]  # m, k, n: (m, k) @ (k, n)
TABLE: tuple[Shape, ...] = (
    (64, 64, 64),
    (128, 784, 256),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (128, 256, 10),
    (8192, 27, 32),
)
THREADS = 2
LAYOUTS = ("x @ y", "x @ y.T", "x.T @ y")  # forward by hand, a linear layer's forward, its weight's gradient


def operands(shape: Shape, dtype: str = "float32", layout: str = "x @ y") -> tuple[np.ndarray, np.ndarray]:
    """Random x (m, k) and y (k, n), one of them a transposed view where the layout says so."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    return (np.asfortranarray(x) if layout == "x.T @ y" else x), (np.asfortranarray(y) if layout == "x @ y.T" else y)


def random_shapes(count: int, largest: int = 4096) -> list[Shape]:
    """Sizes whose logarithms are uniform: as many between 1 and 2 as between 2048 and 4096."""
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(0.0, np.log(largest + 1), (count, 3))).astype(int)
    return [(int(m), int(k), int(n)) for m, k, n in sizes]


def measure(cpp: Any, torch: Any, x: np.ndarray, y: np.ndarray, seconds: float) -> dict[str, float]:
    """Median seconds of one product by each candidate."""
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    candidates = {"ours": lambda: cpp.matmul(x, y), "numpy": lambda: np.matmul(x, y), "torch": lambda: a @ b}
    return alternate(candidates, seconds=seconds, block=seconds / 3)


def print_table(cpp: Any, torch: Any, shapes: Sequence[Shape], dtype: str, layout: str, seconds: float) -> None:
    """GFLOP/s, the share of the peak, and how much faster than the others, shape by shape."""
    peak = cpp.kernels.peak(dtype)
    print(f"\n{dtype}, {layout}: ours in GFLOP/s and as a share of the peak, {peak:.0f}; speed / NumPy's, / torch's")
    for shape in shapes:
        found = measure(cpp, torch, *operands(shape, dtype, layout), seconds)
        speed = 2e-9 * float(np.prod(shape)) / found["ours"]
        ratios = "".join(f"{found[peer] / found['ours']:8.2f}" for peer in ("numpy", "torch"))
        print(f"{' x '.join(map(str, shape)):20s}{speed:8.1f}{speed / peak:8.0%}{ratios}", flush=True)


def print_random(cpp: Any, torch: Any, count: int, layout: str, seconds: float) -> None:
    """Of how many random shapes we lose, by how much, and the worst of them."""
    rows = [(shape, measure(cpp, torch, *operands(shape, layout=layout), seconds)) for shape in random_shapes(count)]
    print(f"\nfloat32, {layout}, {count} random shapes from 1 to 4096: speed / NumPy's, / torch's")
    for peer in ("numpy", "torch"):
        ratios = [found[peer] / found["ours"] for _, found in rows]
        lost, badly = (sum(r < bound for r in ratios) / count for bound in (1 / 1.05, 1 / 1.2))
        worst, _ = rows[ratios.index(min(ratios))]
        print(
            f"{peer}: median {median(ratios):.2f}, lost by more than 5 % {lost:.1%}, by more than 20 % {badly:.1%}, "
            f"least {min(ratios):.2f} at {' x '.join(map(str, worst))}",
            flush=True,
        )


def print_threads(cpp: Any, seconds: float) -> None:
    """How much faster two threads are than one."""
    x, y = operands((1024, 1024, 1024))

    def with_threads(count: int) -> Any:
        def run() -> None:
            cpp.kernels.set_threads(count)
            cpp.matmul(x, y)

        return run

    found = alternate({"one": with_threads(1), "two": with_threads(THREADS)}, seconds=seconds)
    cpp.kernels.set_threads(THREADS)
    print(f"\n1024 x 1024 x 1024: {THREADS} threads {found['one'] / found['two']:.2f} times as fast as one")


def main(argv: Sequence[str] | None = None) -> int:
    """Print all of it; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each shape and candidate (default: 0.3)")
    parser.add_argument("--random", type=int, default=200, metavar="N", help="random shapes (default: 200)")
    args = parser.parse_args(argv)
    torch = require("torch", "bench")
    torch.set_num_threads(THREADS)
    cpp: Any = registry.backend("cpp")
    cpp.kernels.set_threads(THREADS)
    print(f"matrix products, instruction set {cpp.isa}, {THREADS} threads each, medians, measured in turn")
    for layout in LAYOUTS:
        print_table(cpp, torch, TABLE, "float32", layout, args.seconds)
    print_table(cpp, torch, TABLE, "float64", LAYOUTS[0], args.seconds)
    print_threads(cpp, args.seconds)
    for layout in LAYOUTS[:2]:
        print_random(cpp, torch, args.random, layout, args.seconds / 3)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
