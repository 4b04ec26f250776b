"""Long sequences on the cpp backend: `python -m tinygrad_edu.bench.long_sequences`.

Attention over 8,192 positions, forward and backward: the memory that it needs beyond its inputs, beside what the matrix
of all weights alone would take, which the kernel never forms. And an LSTM over up to 10,000 steps: time and memory,
which should both double when the steps do. Memory is that of arrays, counted as in `memory.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.bench.memory import MIB, ours
from tinygrad_edu.bench.timing import run

POSITIONS, HEADS, FEATURES = 8192, 4, 32
STEPS, WIDTH, BATCH = (1250, 2500, 5000, 10000), 64, 4
FLOAT = 4  # bytes


def attention(positions: int) -> Callable[[], object]:
    """Forward and backward of attention (1, 4, T, 32), every position to every other."""
    q, k, v, g = [tg.randn(1, HEADS, positions, FEATURES) for _ in range(4)]
    inputs = [x.requires_grad_() for x in (q, k, v)]
    return lambda: tg.grad(F.scaled_dot_product_attention(*inputs), inputs, g)


def lstm(steps: int) -> Callable[[], object]:
    """Forward and backward of an LSTM over (T, 4, 64), with 64 hidden features."""
    layer, x = nn.LSTM(WIDTH, WIDTH), tg.randn(steps, BATCH, WIDTH).requires_grad_()
    g, leaves = tg.randn(steps, BATCH, WIDTH), [x, *layer.parameters()]
    return lambda: tg.grad(layer(x)[0], leaves, g)


def main(argv: Sequence[str] | None = None) -> int:
    """Print memory of attention, then time and memory of each length of the LSTM; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--positions", type=int, default=POSITIONS, help=f"of attention (default: {POSITIONS})")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help=f"of the LSTM (default: {STEPS})")
    parser.add_argument("--seconds", type=float, default=1.0, help="to time each length for (default: 1)")
    args = parser.parse_args(argv)
    with tg.use_backend("cpp"):
        T, mark = args.positions, ours(attention(args.positions)) / MIB
        print(f"attention, forward + backward, B=1 H={HEADS} T={T} E={FEATURES}: MiB beyond its inputs at the peak")
        print(f"  ours {mark:.1f}, the T x T matrix of weights {HEADS * T * T * FLOAT / MIB:.1f}", flush=True)
        print(f"LSTM, forward + backward, B={BATCH} D=H={WIDTH}: milliseconds and MiB, in brackets for 1,000 steps")
        for steps in args.steps:
            step, thousands = lstm(steps), steps / 1000
            mark = ours(step) / MIB
            ms = 1e3 * median(run(step, args.seconds))
            print(
                f"  {steps:6d} {ms:9.1f} ms ({ms / thousands:.1f}) {mark:8.1f} MiB ({mark / thousands:.2f})", flush=True
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
