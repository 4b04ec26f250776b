"""Measuring matrix products, and the roofs over them: what the ladder of chapter 9's project stands on.

The rungs are `backends/cpp/src/ladder.cpp`. Speeds are in GFLOP/s, 10^9 additions and multiplications of float32 a
second: a product of (m, k) and (k, n) is 2 m k n of them. The roofs (Williams, Waterman and Patterson's roofline) say
what the machine could do: so many multiply-adds if nothing had to be fetched, so many bytes if nothing was computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.bench.timing import alternate

RUNGS = ("naive", "reordered", "blocked", "vectorised", "packed", "threaded")
READ_KB = {
    "first-level cache": 16,
    "second-level cache": 256,
    "memory": 1 << 17,
}  # arrays that fit there, and not below

Product = Callable[[Any, Any], Any]


def products(cpp: Any, with_torch: bool) -> dict[str, Product]:
    """The rungs, the C++ backend's own product, NumPy's and torch's: each from two arrays to an array."""
    found: dict[str, Product] = {rung: getattr(cpp.kernels, f"ladder_{rung}") for rung in RUNGS}
    found |= {"cpp backend": cpp.matmul, "NumPy": np.matmul}
    if with_torch:
        import torch

        found["torch"] = lambda a, b: torch.matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    return found


def check(products: Mapping[str, Product], a: np.ndarray, b: np.ndarray) -> None:
    """RuntimeError unless the rungs give the very same bits, and the others the same product within rounding."""
    first = products[RUNGS[0]](a, b)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    for name, product in products.items():
        found = product(a, b)
        # float32 rounds each of n additions of numbers of order 1, on their way to a sum of order sqrt(n)
        apart = float(np.abs(found - exact).max())
        if apart > 1e-6 * b.shape[0] or (name in RUNGS and not np.array_equal(found, first)):
            raise RuntimeError(f"optimize: the product {name!r} of {a.shape} and {b.shape} is wrong by {apart:.2g}")


def measure(products: Mapping[str, Product], a: np.ndarray, b: np.ndarray, seconds: float) -> dict[str, float]:
    """The products' speeds in GFLOP/s, measured in turn, on all rows of `a`: slow ones on so many as there is time for.

    Every row of the result costs the same, so that the first ones tell.
    """
    rows: dict[str, int] = {}
    for name, product in products.items():
        rows[name] = min(16, len(a))
        while rows[name] < len(a):
            begin = time.perf_counter()
            product(a[: rows[name]], b)
            if 2 * (time.perf_counter() - begin) > seconds / 3:
                break
            rows[name] = min(2 * rows[name], len(a))
    calls = {name: lambda f=f, r=rows[name]: f(a[:r], b) for name, f in products.items()}
    found = alternate(calls, seconds=seconds, block=seconds / 3)
    return {name: 2e-9 * rows[name] * a.shape[1] * b.shape[1] / took for name, took in found.items()}


@dataclass
class Roofs:
    """What the machine can do: GFLOP/s of multiply-adds on one core and on all; GB/s read by one core, and copied."""

    peak: float
    peak_all: float
    reads: dict[str, float]  # by where the array fits
    copy: float  # from memory to memory, on all cores; bytes read and bytes written both count


def measure_roofs(cpp: Any, seconds: float) -> Roofs:
    """The roofs of this machine."""
    kernels, threads = cpp.kernels, cpp.threads()
    reads = {}
    for place, kb in READ_KB.items():
        array = np.ones(256 * kb, np.float32)
        reads[place] = kernels.read_bandwidth(array, seconds) / 1e9
    try:
        kernels.set_threads(1)
        peak = kernels.peak("float32")
    finally:
        kernels.set_threads(threads)
    return Roofs(peak, kernels.peak("float32"), reads, kernels.bandwidth())


def intensities(tile: tuple[int, int]) -> dict[str, float]:
    """Floating-point operations for each byte that a rung's instructions load or store, in its inner loop."""
    rows, columns = tile
    along_a_row = 2 / 12  # a multiply-add loads b and c, and stores c: 3 numbers of 4 bytes
    in_registers = 2 * rows * columns / (4 * (rows + columns))  # a step of the tile, between c's coming and going
    return {
        "naive": 2 / 8,  # loads a and b
        "reordered": along_a_row,
        "blocked": along_a_row,
        **dict.fromkeys(("vectorised", "packed", "threaded"), in_registers),
    }
