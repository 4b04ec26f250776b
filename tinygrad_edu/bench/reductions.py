"""Reductions and softmax on the C++ backend, timed in turn: `python -m tinygrad_edu.bench.reductions [NAME ...]`.

Beside torch, with 2 threads each, and beside our NumPy backend; float32, 10³ to 10⁷ elements, along either dimension,
forward alone and forward with backward. Wanted: torch's speed at least on each, twice NumPy's in the median.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require, unknown

SHAPES = ((100, 10), (100, 1_000), (1_000, 1_000), (100_000, 10), (10_000, 1_000))
THREADS = int(os.environ.get("TINYGRAD_EDU_THREADS", "2"))

# Of a framework and Tensors. The last one, if it has integers, are classes.
OPS: dict[str, Callable[..., Any]] = {
    "sum rows": lambda t, x: x.sum(1),
    "sum columns": lambda t, x: x.sum(0),
    "sum all": lambda t, x: x.sum(),
    "max rows": lambda t, x: x.amax(1),
    "max columns": lambda t, x: x.amax(0),
    "max all": lambda t, x: x.amax(),
    "mean rows": lambda t, x: x.mean(1),
    "mean columns": lambda t, x: x.mean(0),
    "var rows": lambda t, x: x.var(1),
    "var columns": lambda t, x: x.var(0),
    "softmax rows": lambda t, x: t.softmax(x, 1),
    "softmax columns": lambda t, x: t.softmax(x, 0),
    "log_softmax rows": lambda t, x: t.log_softmax(x, 1),
    "log_softmax columns": lambda t, x: t.log_softmax(x, 0),
    "cross_entropy": lambda t, x, y: t.nn.functional.cross_entropy(x, y),
}


def arrays(name: str, shape: tuple[int, int]) -> list[np.ndarray]:
    """Logits, and classes where the op wants them."""
    rng = np.random.default_rng(0)
    found = [rng.standard_normal(shape, dtype=np.float32)]
    return [*found, rng.integers(0, shape[1], shape[0])] if name == "cross_entropy" else found


def step(t: Any, name: str, shape: tuple[int, int], backward: bool) -> Callable[[], Any]:
    """One call of an op in a framework (ours on the backend in use), with or without its gradient."""
    inputs = [t.tensor(a) for a in arrays(name, shape)]
    f = OPS[name]
    if not backward:
        return lambda: f(t, *inputs)
    x = inputs[0].requires_grad_()
    g = t.ones_like(f(t, *inputs))
    grad = t.grad if t is tg else t.autograd.grad
    return lambda: grad(f(t, *inputs), x, g)


def ratios(name: str, shape: tuple[int, int], backward: bool, seconds: float) -> tuple[float, float]:
    """torch's time and the NumPy backend's, divided by the C++ backend's."""
    torch = require("torch", "bench")
    torch.set_num_threads(THREADS)
    candidates = {"torch": step(torch, name, shape, backward)}
    for backend in ("cpp", "numpy"):
        with tg.use_backend(backend):
            candidates[backend] = step(tg, name, shape, backward)
    found = alternate(candidates, seconds=seconds, block=seconds / 5, rest=0.005)
    return found["torch"] / found["cpp"], found["numpy"] / found["cpp"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print, for each op and shape, how many times as fast as the others the C++ backend is; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="for each op, shape and candidate (default: 0.2)")
    parser.add_argument("ops", nargs="*", metavar="NAME", help="ops (default: all)")
    args = parser.parse_args(argv)
    for name in args.ops:
        if name not in OPS:
            parser.error(unknown("op", name, OPS))
    print(f"times as fast as torch / as NumPy, the C++ backend, float32, measured in turn, {THREADS} threads each")
    print(f"{'':34s}" + "".join(f"{f'{n}x{m}':>17s}" for n, m in SHAPES))
    everything: list[tuple[float, float]] = []
    for name in args.ops or OPS:
        for backward in (False, True):
            row = [ratios(name, shape, backward, args.seconds) for shape in SHAPES]
            everything += row
            print(f"{name + (', and backward' if backward else ''):34s}", end="")
            print("".join(f"{f'{a:.2f} / {b:.2f}':>17s}" for a, b in row), flush=True)
    beside_torch, beside_numpy = zip(*everything, strict=True)
    lost = sum(ratio < 0.95 for ratio in beside_torch)
    print(f"slower than torch by more than 5 % in {lost} of {len(everything)} (wanted: none)")
    print(
        f"median, times as fast: as torch {median(beside_torch):.2f}, as NumPy {median(beside_numpy):.2f} (wanted: 2)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
