"""Elementwise chains and activations, beside torch and NumPy: `python -m tinygrad_edu.bench.elementwise [NAME ...]`.

Ours on the cpp backend, torch, and ours on the NumPy backend, on the same float32 numbers, 2 threads each, measured in
turn. A chain is run forward alone, an activation (and dropout) forward and backward. Wanted is torch's speed at least
in each line, and twice the NumPy backend's in the median.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional  # tg.nn, like torch.nn
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require, unknown

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
WANTED = {"torch": 1.0, "numpy": 0.5}
COLUMNS = 100  # of every array: rows are added to and scaled, too

# What is computed of a, b, c (N, 100) and the row r (100,), in the framework t.
CHAINS: dict[str, Callable[..., Any]] = {
    "a * b + c": lambda t, a, b, c, r: a * b + c,
    "tanh(a * b) + c": lambda t, a, b, c, r: t.tanh(a * b) + c,
    "(a - r) * r": lambda t, a, b, c, r: (a - r) * r,
    "x - x.mean": lambda t, a, b, c, r: a - a.mean(1, keepdim=True),
    "exp(-a * a / 2)": lambda t, a, b, c, r: t.exp(-a * a / 2.0),
    "where(a < b, a, c)": lambda t, a, b, c, r: t.where(a < b, a, c),
    "sqrt(a * a + b * b)": lambda t, a, b, c, r: t.sqrt(a * a + b * b),
    "log1p(exp(a))": lambda t, a, b, c, r: t.log1p(t.exp(a)),
    "sin(a) + cos(b)": lambda t, a, b, c, r: t.sin(a) + t.cos(b),
}
ACTIVATIONS = (
    *("relu", "leaky_relu", "tanh", "sigmoid", "silu", "gelu", "elu", "softplus", "mish", "logsigmoid", "hardswish"),
    "dropout",
)


def _chain(t: Any, name: str, arrays: Sequence[np.ndarray]) -> Callable[[], Any]:
    tensors = [t.from_numpy(a) for a in arrays]
    return lambda: CHAINS[name](t, *tensors)


def _activation(t: Any, name: str, arrays: Sequence[np.ndarray]) -> Callable[[], Any]:
    f, grad = getattr(t.nn.functional, name), t.grad if t is tg else t.autograd.grad
    x, g = t.from_numpy(arrays[0]).requires_grad_(), t.from_numpy(arrays[1])
    return lambda: grad([f(x)], [x], [g])


def steps(name: str, n: int) -> dict[str, Callable[[], Any]]:
    """The three candidates of a line, on arrays of n elements."""
    torch = require("torch", "bench")
    torch.set_num_threads(2)
    rng = np.random.default_rng(0)
    shape = (n // COLUMNS, COLUMNS)
    arrays = [rng.normal(size=s).astype(np.float32) for s in (shape, shape, shape, (COLUMNS,))]
    make = _chain if name in CHAINS else _activation
    found = {"torch": make(torch, name, arrays)}
    for backend in ("cpp", "numpy"):
        with tg.use_backend(backend):
            found[backend] = make(tg, name, arrays)
    return found


def measure(names: Sequence[str], sizes: Sequence[int], *, seconds: float) -> dict[str, list[float]]:
    """Print a line for each name and size; the ratios to each peer."""
    ratios: dict[str, list[float]] = {peer: [] for peer in WANTED}
    for name in names:
        for n in sizes:
            found = alternate(steps(name, n), seconds=seconds, block=min(0.1, seconds))
            line = f"{name:20s} {n:>9,d} elements  cpp {1e6 * found['cpp']:9.1f} us"
            for peer in WANTED:
                ratios[peer].append(found["cpp"] / found[peer])
                line += f"  {peer} {1e6 * found[peer]:9.1f} ({ratios[peer][-1]:.2f})"
            print(line)
    return ratios


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the lines and the median ratios; returns 0."""
    every = (*CHAINS, *ACTIVATIONS)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="chains and activations; all by default")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="elements, at least 100")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each candidate of each line")
    args = parser.parse_args(arguments)
    for name in args.names:
        if name not in every:
            parser.error(unknown("chain or activation", name, every))
    print("medians, measured in turn, 2 threads each; in brackets cpp / theirs")
    ratios = measure(args.names or every, args.sizes, seconds=args.seconds)
    for peer, values in ratios.items():
        slow = sum(value > WANTED[peer] for value in values)
        print(
            f"cpp / {peer}: median {median(values):.2f}, worst {max(values):.2f} "
            f"(wanted at most {WANTED[peer]}; above it: {slow} of {len(values)} lines)"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
