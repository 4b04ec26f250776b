"""Chapter 9's lessons: one costly operation in C++, and a matrix product on a GPU's grid, blocks and threads.

Sources: the pybind11 documentation, "First steps" and "NumPy"; for the GPU see `scripts/ch09_gpu.py`.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require
from tinygrad_edu.scripts.ch09_gpu import KERNEL, Launch, simulate

SOURCE = Path(__file__).with_name("ch09_distances.cpp")
POINTS, DIMENSIONS, FEW = 1000, 16, 20  # FEW: of the points, for the loops in Python


def in_cpp() -> None:
    """One costly operation in C++ through pybind11, benchmarked against NumPy.

    The squared distances between all pairs of points, on which chapter 4's nearest neighbours spend their time: with
    loops in Python, in NumPy, and in forty lines of C++ that are compiled now.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = build_command(SOURCE, Path(folder))
        print(f"The source is {SOURCE.name}, beside this lesson. It is compiled to a Python module:\n")
        print(f"  {shlex.join(command)}\n")
        module = build(command, SOURCE.stem)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((POINTS, DIMENSIONS)), rng.standard_normal((POINTS, DIMENSIONS))
    ways: dict[str, Callable[[], object]] = {
        "NumPy, by broadcasting": lambda: by_broadcasting(x, y),
        "NumPy, by a matrix product": lambda: by_product(x, y),
        "C++": lambda: module.squared_distances(x, y),
    }
    seconds = alternate(ways, seconds=0.6)
    few = alternate({"": lambda: by_loops(x[:FEW], y[:FEW])}, seconds=0.1)[""]
    seconds = {"loops in Python": few * (POINTS / FEW) ** 2, **seconds}
    print(f"{POINTS} points and {POINTS} points in {DIMENSIONS} dimensions (the loops: {FEW} and {FEW}, scaled up):\n")
    for name, took in seconds.items():
        print(f"  {name:<28} {1e3 * took:9.2f} ms   {took / seconds['C++']:8.2f} times C++'s")
    exact = by_loops(x[:FEW], y[:FEW])
    print("\nLargest difference from the loops in Python:\n")
    for name, way in ways.items():
        print(f"  {name:<28} {np.abs(np.asarray(way())[:FEW, :FEW] - exact).max():.1g}")
    print(
        "\nBroadcasting makes arrays of a million times 16 numbers and walks through them several times; the C++ loop"
    )
    print(
        "keeps its sum in a register. The matrix product is quick, being compiled too, but subtracts large numbers from"
    )
    print("each other: for points close to one another, far from the origin, few digits would be left.")


def by_loops(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances of points (n, d) and (m, d), as the formula reads -> (n, m)."""
    return np.array([[sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) for b in y.tolist()] for a in x.tolist()])


def by_broadcasting(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same: n m d differences at once."""
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)


def by_product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same by |x|² + |y|² - 2 x·y."""
    return (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2.0 * (x @ y.T)


def build_command(source: Path, folder: Path) -> list[str]:
    """The compiler's command line that makes of a C++ file a Python module in `folder`.

    FileNotFoundError if there is no compiler, MissingExtra if there is no pybind11.
    """
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler:
        raise FileNotFoundError(
            "this needs a C++ compiler (Debian: apt-get install g++; macOS: xcode-select --install)"
        )
    includes = [sysconfig.get_path("include"), require("pybind11", "viz").get_include()]
    flags = ["-O3", "-march=native", "-fopenmp-simd", "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden"]
    module = folder / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    return [compiler, *flags, *(f"-I{include}" for include in includes), str(source), "-o", str(module)]


def build(command: list[str], name: str) -> ModuleType:
    """Run a command of `build_command`, and import the module. OSError with the compiler's words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"the compiler failed:\n{done.stderr}")
    spec = importlib.util.spec_from_file_location(name, command[-1])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_a_gpu() -> None:
    """How a matrix multiplication is spread over a GPU's threads, blocks and grids, as a diagram.

    C (5, 8) = A (5, 4) B (4, 8) with blocks of 2 × 2 threads: small enough to see every thread. No GPU is needed;
    `tinygrad-edu run optimize` draws a larger one.
    """
    launch, element = Launch(M=5, K=4, N=8, tile=2), (3, 5)
    a, b = np.arange(20.0).reshape(5, 4) % 7, np.arange(32.0).reshape(4, 8) % 5
    rows, columns = launch.grid
    print(f"C ({launch.M}, {launch.N}) = A ({launch.M}, {launch.K}) B ({launch.K}, {launch.N}), an element a thread.")
    print(f"Grid: {rows} × {columns} blocks. Block: {launch.tile} × {launch.tile} threads, shown by threadIdx.y,x.")
    print(
        f"The one in brackets computes C[{element[0]}, {element[1]}]; a dot is a thread beyond C, with nothing to do.\n"
    )
    print(diagram(launch, element))
    print("The function that each of the threads runs (CUDA C++, T = 2):\n")
    print(KERNEL)
    print("What the thread in brackets does:\n")
    print(life(launch, element, a, b))
    print("\nNumbers read from the main memory, counted thread by thread, and what the formula says:\n")
    print("  tile     counted    M K columns + K N rows")
    for tile in (1, 2, 4, 8):
        c, reads = simulate(a, b, tile)
        rows, columns = (plan := Launch(launch.M, launch.K, launch.N, tile)).grid
        formula = f"{plan.M}·{plan.K}·{columns} + {plan.K}·{plan.N}·{rows} = {plan.tiled_reads}"
        verdict = "the product is right" if (c == a @ b).all() else "the product is WRONG"
        print(f"  {f'{tile} × {tile}':<8} {reads:7d}    {formula:<24}  {verdict}")
    print("\nA tile of 1 × 1 is no tile: every thread reads its row and its column by itself. With tiles of T × T each")
    print("number fetched serves T threads, and the main memory is read T times less, as far as C fills the tiles.")


def diagram(launch: Launch, element: tuple[int, int]) -> str:
    """The threads over C as text, a box for each block; the one that has `element` in brackets."""
    T, (rows, columns) = launch.tile, launch.grid
    line = "  " + ("+" + "-" * (6 * T)) * columns + "+\n"
    text = "  " + "".join(f" {f'block 0,{x}':<{6 * T}}" for x in range(columns)).rstrip() + "\n" + line
    for i in range(rows * T):
        text += "  "
        for j in range(columns * T):
            _, (y, x) = launch.owner(i, j)
            name = f"{y},{x}" if i < launch.M and j < launch.N else "."
            cell = f"[{name}]" if (i, j) == element else name
            text += ("|" if x == 0 else "") + f"{cell:^6}"
        text += f"|{f'  block {i // T},0 to {i // T},{columns - 1}' if i % T == 0 else ''}\n"
        if i % T == T - 1:
            text += line
    return text


def life(launch: Launch, element: tuple[int, int], a: np.ndarray, b: np.ndarray) -> str:
    """What the thread of one element of a @ b does, line by line, with its numbers."""
    (by, bx), (y, x) = launch.owner(*element)
    i, j, T = *element, launch.tile
    lines = [
        f"i = blockIdx.y T + threadIdx.y = {by}·{T} + {y} = {i}",
        f"j = blockIdx.x T + threadIdx.x = {bx}·{T} + {x} = {j}",
    ]
    total = 0.0
    for p in range(0, launch.K, T):
        lines.append(f"fetches A[{i}, {p + x}] = {a[i, p + x]:g} and B[{p + y}, {j}] = {b[p + y, j]:g}, and waits")
        products = [(a[i, q], b[q, j]) for q in range(p, min(p + T, launch.K))]
        total += sum(u * v for u, v in products)
        lines.append(f"sum += {' + '.join(f'{u:g}·{v:g}' for u, v in products)}, which makes {total:g}, and waits")
    lines.append(f"C[{i}, {j}] = {total:g}")
    return "\n".join(f"  {line}" for line in lines)


LESSONS: dict[str, Callable[[], None]] = {"9.1": in_cpp, "9.2": on_a_gpu}
