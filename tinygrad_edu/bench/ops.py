"""Single ops, forward and backward, timed in turn: `python -m tinygrad_edu.bench.ops [OP ...] [--sizes N ...]`.

On large arrays our NumPy backend stands against the same mathematics written by hand in NumPy (`by_hand.py`), where
the arithmetic itself is the same and what we add is to be small: wanted is a median of at most 1.5. On ten numbers it
stands against torch, where the time is overhead: wanted is a median of at most 1.2. One thread each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional  # tg.nn, like torch.nn
from tinygrad_edu.bench.by_hand import BY_HAND
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require, unknown

LARGE, TINY = (10_000, 100_000, 1_000_000), 10
TIMES = 10  # a backward pass is begun once for all ops of a program: what that takes is shared by so many here
WANTED = {"by hand": 1.5, "torch": 1.2}


def cotangent(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Random numbers in the shape of an op's result."""
    shape = BY_HAND[name].op(tg, *[tg.from_numpy(a) for a in arrays]).shape
    return np.random.default_rng(1).uniform(0.5, 1.5, shape).astype(arrays[0].dtype)


def tensor_step(t: Any, name: str, arrays: Sequence[np.ndarray]) -> Callable[[], list[Any]]:
    """TIMES forward passes of an op on Tensors, ours or torch's, and one backward pass: gives results, gradients."""
    op, grad = BY_HAND[name].op, t.grad if t is tg else t.autograd.grad
    sets = [[t.from_numpy(a).requires_grad_() for a in arrays] for _ in range(TIMES)]  # on the same memory
    leaves = [x for each in sets for x in each]
    gs = [t.from_numpy(cotangent(name, arrays))] * TIMES

    def step() -> list[Any]:
        outs = [op(t, *each) for each in sets]
        return [*outs, *grad(outs, leaves, gs)]

    return step


def hand_step(name: str, arrays: Sequence[np.ndarray]) -> Callable[[], list[Any]]:
    """The same by hand: TIMES tuples of result and gradients."""
    by_hand, g = BY_HAND[name].by_hand, cotangent(name, arrays)
    return lambda: [by_hand(g, *arrays) for _ in range(TIMES)]


def steps(name: str, n: int, peer: str) -> dict[str, Callable[[], object]]:
    """Ours and the peer's ("by hand" or "torch"), on about n elements."""
    arrays = BY_HAND[name].arrays(n)
    if peer == "by hand":
        return {"ours": tensor_step(tg, name, arrays), peer: hand_step(name, arrays)}
    torch = require("torch", "bench")
    torch.set_num_threads(1)
    return {"ours": tensor_step(tg, name, arrays), peer: tensor_step(torch, name, arrays)}


def ratio(name: str, n: int, peer: str, seconds: float) -> float:
    """Our time divided by the peer's."""
    found = alternate(steps(name, n, peer), seconds=seconds, block=seconds / 5, rest=0.002)
    return found["ours"] / found[peer]


def main(argv: Sequence[str] | None = None) -> int:
    """Print each op's ratio to the peer for each size, and the medians over ops; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.1, help="for each op, size and candidate (default: 0.1)")
    parser.add_argument("--sizes", type=int, nargs="+", default=LARGE, help="elements, beside NumPy by hand")
    parser.add_argument("ops", nargs="*", metavar="OP", help="ops (default: all)")
    args = parser.parse_args(argv)
    for name in args.ops:
        if name not in BY_HAND:
            parser.error(unknown("op", name, BY_HAND))
    columns = [(n, "by hand") for n in args.sizes] + [(TINY, "torch")]
    print("forward + backward, our time on the NumPy backend / the other's, measured in turn, 1 thread each")
    print(f"{'elements':20s}" + "".join(f"{n:>12,d}" for n, _ in columns))
    print(f"{'other':20s}" + "".join(f"{peer:>12s}" for _, peer in columns))
    ratios: list[list[float]] = []
    with tg.use_backend("numpy"), np.errstate(all="ignore"):
        for name in args.ops or BY_HAND:
            ratios.append([ratio(name, n, peer, args.seconds) for n, peer in columns])
            print(f"{name:20s}" + "".join(f"{r:12.2f}" for r in ratios[-1]), flush=True)
    print(f"{'median':20s}" + "".join(f"{median(column):12.2f}" for column in zip(*ratios, strict=True)))
    large = [r for row in ratios for r, (_, peer) in zip(row, columns, strict=True) if peer == "by hand"]
    print(f"median over all ops and sizes beside NumPy by hand: {median(large):.2f}")
    print(f"{'wanted, at most':20s}" + "".join(f"{WANTED[peer]:12.2f}" for _, peer in columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
