"""Every differentiable row of the table of cases, ours and torch's in turn: `python -m tinygrad_edu.bench.table`.

The Tensors are as small as in the table, a dozen numbers, so that the time is overhead; forward and backward, float32,
one thread each. A new op is measured as soon as it has its row. Wanted is a median over functions, each the median of
its rows, of at most 1.2 times torch's time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.bench.ops import TIMES, WANTED
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require, unknown
from tinygrad_edu.testing.cases import ROWS
from tinygrad_edu.testing.compare import as_list
from tinygrad_edu.testing.rows import Row, TinygradNames, TorchNames


def largest(row: Row) -> list[np.ndarray]:
    """The arrays of the row's largest call, the first of equal ones."""
    return row.inputs(_call(row), np.float32, np.random.default_rng(0))


def _call(row: Row) -> Any:
    return max(row.calls, key=lambda call: sum(int(np.prod(shape)) for shape in call.shapes))


def differentiable() -> dict[str, Row]:
    """The rows that have gradients, by name and label."""
    return {str(row): row for row in ROWS if row.order and any(a.dtype.kind == "f" for a in largest(row))}


def step(row: Row, t: Any, names: Any) -> Callable[[], Sequence[Any]]:
    """TIMES forward passes of a row's call in a framework, and one backward pass: gives the gradients."""
    f, arrays = row.function(names, _call(row)), largest(row)
    sets = [[t.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays] for _ in range(TIMES)]
    leaves = [x for each in sets for x in each if x.requires_grad]
    grad = t.grad if t is tg else t.autograd.grad
    cotangents = [t.ones_like(out) for out in _roots(f(*sets[0]))] * TIMES

    def run() -> Sequence[Any]:
        outs = [out for each in sets for out in _roots(f(*each))]
        return grad(outs, leaves, cotangents, allow_unused=True)

    return run


def _roots(outs: Any) -> list[Any]:
    return [out for out in as_list(outs) if out.requires_grad]


def main(argv: Sequence[str] | None = None) -> int:
    """Print our time / torch's for each row (all by default), worst last, and the medians; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.05, help="for each row and side (default: 0.05)")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows, as name or name(label) (default: all)")
    args = parser.parse_args(argv)
    rows = differentiable()
    for name in args.rows:
        if name not in rows:
            parser.error(unknown("row", name, rows))
    torch = require("torch", "bench")
    torch.set_num_threads(1)
    ratios = {}
    with tg.use_backend("numpy"):
        for name in args.rows or rows:
            sides = {"ours": step(rows[name], tg, TinygradNames()), "torch": step(rows[name], torch, TorchNames())}
            found = alternate(sides, seconds=args.seconds, block=args.seconds / 3, rest=0.0)
            ratios[name] = found["ours"] / found["torch"]
    for name, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        print(f"{name:40s}{ratio:8.2f}")
    by_function: dict[str, list[float]] = {}
    for name, ratio in ratios.items():
        by_function.setdefault(rows[name].name, []).append(ratio)
    of_functions = median(median(found) for found in by_function.values())
    print(f"median of {len(ratios)} rows: {median(ratios.values()):.2f}")
    print(f"median of {len(by_function)} functions: {of_functions:.2f} (wanted: at most {WANTED['torch']})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
