"""Chapter 9: where a network's time goes, and how a matrix product in C++ gets it back.

1. Profile: chapter 7's network by hand, in NumPy. Its arrays report each NumPy function that touches them.
2. Ladder: the matrix product in C++, six times, each rung one idea faster (`backends/cpp/src/ladder.cpp` reads like a
   lesson); measured, compared to the bit, and drawn on a roofline: what the processor and its memories allow.
3. Network: the same training with the product in NumPy and in C++, by hand and on the Tensor; nothing else differs.
4. GPU: how such a product is spread over grid, blocks and threads, computed on paper (`ch09_gpu.py`).

Both backends are measured, whatever `--backend` says. Speeds are medians, the candidates measured in turn
(`tinygrad_edu.bench.timing`).

Sources: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", Communications of the ACM 52, 2009; for the rest see the modules named above.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import optim, registry
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.models.by_hand import mlp as by_hand
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, ch09_gpu
from tinygrad_edu.scripts import ch07_digits as ch07
from tinygrad_edu.scripts import ch09_ladder as ladder
from tinygrad_edu.scripts import ch09_pictures as pictures
from tinygrad_edu.scripts.ch09_ladder import RUNGS

TILE = 16  # of the GPU: 256 threads a block
STEP_NAMES = {  # the sides of the third part, and what their time is called among the figures
    "NumPy by hand": "by_hand_step_microseconds",
    "by hand, product in C++": "by_hand_cpp_step_microseconds",
    "Tensor, numpy": "numpy_step_microseconds",
    "Tensor, cpp": "step_microseconds",
    "torch": "torch_step_microseconds",
}


@dataclass
class Args:
    """Profile a network in NumPy, and speed it up in C++ (chapter 9)."""

    dataset: Literal["digits", "mnist", "fashion-mnist"] = "digits"
    """What the network learns from; digits needs no download."""
    compare: beside_torch.Compare = "auto"
    """Measure torch as well; auto: where it is installed."""
    hidden: tuple[int, ...] = (512, 256)
    """Sizes of the hidden layers."""
    epochs: int = 10
    """Passes over the training set."""
    batch_size: int = 128
    """Samples a step."""
    lr: float = 0.05
    """Learning rate."""
    size: int = 2048
    """Rows and columns of the largest matrices on the ladder, a power of two of at least 64."""
    seconds: float = 0.3
    """Seconds that each candidate is measured for, in each of the comparisons."""


def main(args: Args, run: Run) -> None:
    """Profile, climb, train, draw."""
    if args.size < 64 or args.size & (args.size - 1):
        raise ValueError(f"optimize: expected --size of a power of two of at least 64, got {args.size}")
    if args.epochs < 1:
        raise ValueError(f"optimize: expected --epochs of at least 1, got {args.epochs}")
    if args.seconds <= 0:
        raise ValueError(f"optimize: expected --seconds above 0, got {args.seconds}")
    cpp: Any = registry.backend("cpp")  # ImportError says how to get the kernels where they are not built
    with_torch = beside_torch.wanted(args.compare)
    task = ch07.Task(ch07.Args(args.dataset, batch_size=args.batch_size, lr=args.lr, epochs=args.epochs), run.seed)
    start = [p.detach().numpy().copy() for p in MLP(task.pixels, *args.hidden, len(task.dataset.classes)).parameters()]
    profile(run, task, start)
    climb(args, run, cpp, with_torch)
    train(args, run, task, sides(task, start, cpp, with_torch))
    gpu(run, ch09_gpu.Launch(args.batch_size, task.pixels, args.hidden[0], TILE))


# 1. Profile


class Intercepted(np.ndarray):
    """An array whose NumPy functions (ufuncs) are called by `through(name, function, inputs)`; so are its results'."""

    through: Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **settings: Any) -> Any:
        """Take the disguise off, call, and put it on again; in place, the array itself is what comes back."""
        plain = tuple(x.view(np.ndarray) if isinstance(x, Intercepted) else x for x in inputs)
        if out:
            settings["out"] = tuple(x.view(np.ndarray) if isinstance(x, Intercepted) else x for x in out)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        result = type(self).through(name, lambda *args: getattr(ufunc, method)(*args, **settings), plain)
        return out[0] if out else result.view(type(self)) if isinstance(result, np.ndarray) else result


def network(start: list[np.ndarray], through: Any) -> tuple[by_hand.MLP, by_hand.SGD]:
    """Chapter 7's network by hand and its optimizer, every NumPy function on their arrays called by `through`."""
    kind = type("Arrays", (Intercepted,), {"through": staticmethod(through)})
    model = by_hand.MLP(start[::2], start[1::2])
    model.weights = [W.view(kind) for W in model.weights]
    model.biases = [b.view(kind) for b in model.biases]
    return model, by_hand.SGD(model, ch07.MOMENTUM, ch07.WEIGHT_DECAY)


def profile(run: Run, task: ch07.Task, start: list[np.ndarray], steps: int = 50) -> None:
    """Time every NumPy function in training steps of the network by hand, by part of the step."""
    seconds: dict[tuple[str, str], float] = {}  # of the step in progress, by function and part of the step
    part = ""

    def timed(name: str, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        begin = time.perf_counter()
        result = function(*inputs)
        seconds[name, part] = seconds.get((name, part), 0.0) + time.perf_counter() - begin
        return result

    model, optimizer = network(start, timed)
    x, y = next((x.numpy(), y.numpy()) for x, y in task.loader())
    profiles = []
    for _ in range(steps):
        seconds, begin = {}, time.perf_counter()
        part = "forward"
        logits = model.forward(x)
        part = "loss"
        _, g = by_hand.softmax_cross_entropy(logits, y)
        part = "backward"
        gradients = model.backward(g)
        part = "update"
        optimizer.step(gradients, task.args.lr)
        seconds["everything else", "Python between them"] = time.perf_counter() - begin - sum(seconds.values())
        profiles.append(seconds)
    microseconds = {key: 1e6 * median(found[key] for found in profiles) for key in profiles[0]}
    whole = sum(microseconds.values())
    share = sum(value for (name, _), value in microseconds.items() if name == "matmul") / whole
    run.result(profiled_step_microseconds=whole, product_share=share)
    run.verdict(
        f"Where the time goes: {share:.0%} of a training step of the network by hand are NumPy's matrix products. "
        f"Were they free, the step would be {1 / (1 - share):.1f} times as fast, and no faster (Amdahl's law)."
    )
    run.figure(
        "profile",
        pictures.profile(microseconds),
        f"One training step of the network {' - '.join(map(str, widths(start)))} in NumPy, {len(x)} samples, by NumPy "
        f"function and part of the step: medians of {steps} steps.",
    )


def widths(start: list[np.ndarray]) -> list[int]:
    """Inputs, hidden units, outputs of the network with these weights and biases."""
    return [start[0].shape[1], *(len(bias) for bias in start[1::2])]


# 2. Ladder


def climb(args: Args, run: Run, cpp: Any, with_torch: bool) -> None:
    """Compare and measure the rungs, NumPy and torch on squares of 64 rows to `size`, and draw them."""
    products = ladder.products(cpp, with_torch)
    sizes = [2**i for i in range(6, args.size.bit_length())]
    speeds: dict[str, list[float]] = {name: [] for name in products}  # in GFLOP/s, a number for each size
    rng = np.random.default_rng(run.seed)
    for n in sizes:
        a, b = rng.standard_normal((n, n), np.float32), rng.standard_normal((n, n), np.float32)
        ladder.check(products, a[:100], b)
        for name, speed in ladder.measure(products, a, b, args.seconds).items():
            speeds[name].append(speed)
    last, roofs = {name: found[-1] for name, found in speeds.items()}, ladder.measure_roofs(cpp, args.seconds)
    run.result(**{f"{rung}_gflops": last[rung] for rung in RUNGS})
    run.result(product_gflops=last["cpp backend"], numpy_product_gflops=last["NumPy"])
    if with_torch:
        run.result(torch_product_gflops=last["torch"])
    run.result(peak_gflops=roofs.peak_all, one_core_peak_gflops=roofs.peak, copy_gb_per_second=roofs.copy)
    top = last["threaded"]
    peers = " and ".join(f"{top / last[peer]:.2f} times {peer}'s speed" for peer in ("NumPy", "torch") if peer in last)
    run.verdict(
        f"The ladder, {args.size} × {args.size} float32: from {last['naive']:.1f} to {top:.0f} GFLOP/s, "
        f"{top / last['naive']:.0f} times as fast, with the same bits. That is {top / roofs.peak_all:.0%} of the "
        f"{roofs.peak_all:.0f} that {cpp.threads()} thread{'s' * (cpp.threads() > 1)} can do here, and {peers}. The "
        f"backend's own product: {last['cpp backend']:.0f}."
    )
    if roofs.peak_all < 0.75 * cpp.threads() * roofs.peak:
        run.verdict(
            f"The machine was busy with something else: {cpp.threads()} threads at once reached {roofs.peak_all:.0f} "
            f"GFLOP/s where one alone reached {roofs.peak:.0f}. Take these speeds with care, or measure again."
        )
    draw_ladder(run, cpp, sizes, speeds, roofs)


def draw_ladder(run: Run, cpp: Any, sizes: list[int], speeds: dict[str, list[float]], roofs: ladder.Roofs) -> None:
    """The ladder's three pictures."""
    last, subject = {name: found[-1] for name, found in speeds.items()}, f"{sizes[-1]} × {sizes[-1]} float32"
    run.figure(
        "ladder",
        pictures.ladder(last, roofs, subject),
        "The rungs, the backend's own product and the libraries. The results of all rungs are equal to the last bit.",
    )
    run.figure(
        "roofline",
        pictures.roofline(last, ladder.intensities(cpp.kernels.LADDER_TILE), roofs, subject),
        "The roofline. A point's place from left to right is how much a rung computes for each byte that its "
        "instructions load or store; the slanted lines are what memory and caches can deliver at that rate, the level "
        "ones what the cores can compute. Reordering makes use of whole cache lines and vectors; the tile in registers "
        "asks for far fewer bytes; packing lets them come without delay.",
    )
    run.figure(
        "sizes",
        pictures.sizes(sizes, speeds),
        "The same by size. The naive product falls when the columns of b no longer fit into the caches, the reordered "
        "one when b as a whole does not; what goes block by block stays where it was.",
    )


# 3. Network

Side = Callable[[np.ndarray, np.ndarray], float]  # a training step: batch and classes -> the loss before it


def sides(task: ch07.Task, start: list[np.ndarray], cpp: Any, with_torch: bool) -> dict[str, Side]:
    """The same network, from the same weights: by hand and on the Tensor, each with the product in NumPy and in C++."""

    def product_in_cpp(name: str, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        return cpp.matmul(*inputs) if name == "matmul" else function(*inputs)

    model = by_hand.MLP(start[::2], start[1::2])
    found = {
        "NumPy by hand": side_by_hand(task, model, by_hand.SGD(model, ch07.MOMENTUM, ch07.WEIGHT_DECAY)),
        "by hand, product in C++": side_by_hand(task, *network(start, product_in_cpp)),
        "Tensor, numpy": side_on_tensor(task, start, "numpy"),
        "Tensor, cpp": side_on_tensor(task, start, "cpp"),
    }
    return found | ({"torch": side_in_torch(task, start)} if with_torch else {})


def side_by_hand(task: ch07.Task, model: by_hand.MLP, optimizer: by_hand.SGD) -> Side:
    """In NumPy, or with what the model's arrays put in its place."""

    def step(x: np.ndarray, y: np.ndarray) -> float:
        loss, g = by_hand.softmax_cross_entropy(model.forward(x), y)
        optimizer.step(model.backward(g), task.args.lr)
        return loss

    return step


def side_on_tensor(task: ch07.Task, start: list[np.ndarray], backend: str) -> Side:
    """On our Tensor, on one of the backends."""
    with tg.use_backend(backend):
        model = MLP(*widths(start))
        with tg.no_grad():
            for p, value in zip(model.parameters(), start, strict=True):
                p.copy_(tg.tensor(value))
        optimizer = optim.SGD(model.parameters(), **task.settings())

    def step(x: np.ndarray, y: np.ndarray) -> float:
        with tg.use_backend(backend):
            loss = F.cross_entropy(model(tg.from_numpy(x)), tg.from_numpy(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

    return step


def side_in_torch(task: ch07.Task, start: list[np.ndarray]) -> Side:
    """In torch."""
    import torch

    from tinygrad_edu.scripts import torch_models

    model = torch_models.MLP(*widths(start))
    torch_models.load(model, dict(zip(model.state_dict(), start, strict=True)))
    optimizer = torch.optim.SGD(model.parameters(), **task.settings())

    def step(x: np.ndarray, y: np.ndarray) -> float:
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def train(args: Args, run: Run, task: ch07.Task, steps: Mapping[str, Side]) -> None:
    """Train all sides on the same batches, then time a step of each in turn."""
    loader = task.loader()
    for _ in run.epochs(task.epochs):
        for x, y in run.batches(loader):
            run.log(**{f"loss, {name}": step(x.numpy(), y.numpy()) for name, step in steps.items()})
    losses = {name: run.history(f"loss, {name}") for name in steps}
    first = np.array(losses["NumPy by hand"][1])
    apart = max(float(np.abs(np.array(values) - first).max()) for _, values in losses.values())
    run.result(last_loss=first[-1], largest_loss_difference=apart)

    images, classes = (batch.numpy() for batch in next(iter(task.loader())))
    calls = {name: partial(step, images, classes) for name, step in steps.items()}
    found = alternate(calls, seconds=4 * args.seconds)
    run.result(**{STEP_NAMES[name]: 1e6 * seconds for name, seconds in found.items()})
    cpp = found["Tensor, cpp"]
    peers = [(name, cpp / seconds) for name, seconds in found.items() if name != "Tensor, cpp"]
    run.verdict(
        f"The network: a step on the cpp backend takes {1e6 * cpp:.0f} microseconds, "
        + ", ".join(f"{ratio:.2f} times that of {name!r}" for name, ratio in peers)
        + f". In {run.step} steps from the same start no loss was more than {apart:.1g} from that of NumPy by hand: "
        "sums are rounded in another order, nothing else differs."
    )
    run.figure(
        "network",
        pictures.network(losses, found),
        "The same network from the same start on the same batches. Left: the losses of all sides, one line over the "
        "other. Right: the median time of a training step.",
    )


# 4. GPU


def gpu(run: Run, launch: ch09_gpu.Launch) -> None:
    """Draw how the first layer's product would be spread over a GPU, and what the tiles in shared memory save."""
    saved = launch.direct_reads / launch.tiled_reads
    rows, columns = launch.grid
    run.result(gpu_direct_reads=launch.direct_reads, gpu_tiled_reads=launch.tiled_reads)
    run.verdict(
        f"On a GPU (computed, not measured) the first layer's product, {launch.M} × {launch.K} by {launch.K} × "
        f"{launch.N}, is a grid of {rows} × {columns} blocks of {launch.tile} × {launch.tile} threads; the tiles in "
        f"shared memory make {launch.direct_reads:,} reads from the main memory {launch.tiled_reads:,}, {saved:.0f} "
        "times fewer."
    )
    run.figure(
        "gpu",
        pictures.gpu(launch),
        "One matrix product on a GPU. Left: each block of the grid computes a square of C, from the rows of A and the "
        "columns of B beside it. Right: one block and its threads, two rows a warp; the marked thread computes one "
        "element, from a row of one tile and a column of the other, which all its block has fetched together.",
    )
    run.figure(
        "gpu_reads",
        pictures.gpu_reads(launch),
        "Numbers read from the main memory by the size of the tile; the formula (line), and counted in a simulation, "
        "thread by thread, of a product with an eighth of the rows and columns (dots, on that product's own line).",
    )
