"""The pictures of chapter 9's project, each a function from measured or computed numbers to a matplotlib Figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.scripts.ch09_gpu import WARP, Launch, simulate
from tinygrad_edu.scripts.ch09_ladder import RUNGS, Roofs
from tinygrad_edu.scripts.pictures import Series, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {"forward": "C0", "loss": "C2", "backward": "C1", "update": "C4", "Python between them": "0.7"}
FUNCTIONS = {  # what NumPy's functions are called in the profile
    "matmul": "matrix products",
    "add": "additions",
    "subtract": "subtractions",
    "multiply": "multiplications",
    "divide": "divisions",
    "maximum": "max(z, 0)",
    "greater": "a > 0",
    "add.reduce": "sums",
    "exp": "exponentials",
}
LIBRARIES = {"cpp backend": "C2", "NumPy": "C1", "torch": "C3"}
A, B, C, MARK = "#9ecae1", "#a1d99b", "#f0f0f0", "#d62728"  # the operands, the result, and what is pointed at


def profile(microseconds: Mapping[tuple[str, str], float]) -> Figure:
    """A bar for each NumPy function, in the colours of the step's parts; `microseconds` a step by (function, part)."""
    whole = sum(microseconds.values())
    totals: dict[str, float] = defaultdict(float)
    for (name, _), value in microseconds.items():
        totals[name] += value
    rows: dict[str, dict[str, float]] = {}
    for name in sorted(totals, key=lambda name: -totals[name]):
        label = FUNCTIONS.get(name, name) if totals[name] >= 0.01 * whole else "other functions"
        row = rows.setdefault(label, dict.fromkeys(PARTS, 0.0))
        for part in PARTS:
            row[part] += microseconds.get((name, part), 0.0)
    for label in ("other functions", "everything else"):  # last, whatever they sum up to
        if label in rows:
            rows[label] = rows.pop(label)
    figure = new_figure(8.0, 0.8 + 0.42 * len(rows))
    ax: Any = figure.subplots()
    left = np.zeros(len(rows))
    for part, color in PARTS.items():
        widths = np.array([row[part] for row in rows.values()])
        if widths.any():
            ax.barh(range(len(rows)), widths, left=left, color=color, label=part, height=0.7)
            left += widths
    for i, end in enumerate(left):
        ax.text(end + 0.01 * left.max(), i, f"{end:.0f} µs, {end / whole:.1%}", va="center")
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(0, 1.3 * left.max()), xlabel="microseconds a step", title="Where a training step's time goes")
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right")
    return figure


def ladder(speeds: Mapping[str, float], roofs: Roofs, subject: str) -> Figure:
    """A bar for each rung and library, the peaks as lines; GFLOP/s."""
    figure = new_figure(8.0, 4.0)
    ax: Any = figure.subplots()
    colors = [LIBRARIES.get(name, "C0") for name in speeds]
    bars = ax.bar(range(len(speeds)), speeds.values(), color=colors, width=0.75)
    times = [f"{v:.3g}\n×{v / speeds['naive']:.0f}" if name in RUNGS else f"{v:.3g}" for name, v in speeds.items()]
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    ax.bar_label(bars, times, padding=3, fontsize=9, bbox=plain)
    for text, peak in _peaks(roofs).items():
        ax.axhline(peak, color="black", linewidth=1, linestyle="--")
        ax.text(-0.45, peak, f"{text}, {peak:.0f}", va="bottom", fontsize=9)
    ax.set_xticks(range(len(speeds)), [name.replace(" ", "\n") for name in speeds])
    ax.set(ylabel="GFLOP/s", title=f"A ladder of matrix products, {subject}", xlim=(-0.6, len(speeds) - 0.4))
    ax.set_ylim(0, 1.15 * max(roofs.peak, roofs.peak_all, *speeds.values()))
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _peaks(roofs: Roofs) -> dict[str, float]:
    """The peaks by name; one where there is a single thread."""
    if abs(roofs.peak_all / roofs.peak - 1.0) < 0.1:
        return {"peak of one core": roofs.peak}
    return {"peak of one core": roofs.peak, "peak of all cores": roofs.peak_all}


def roofline(speeds: Mapping[str, float], intensities: Mapping[str, float], roofs: Roofs, subject: str) -> Figure:
    """The rungs under the roofs: GFLOP/s over the operations for each byte loaded or stored, both logarithmic."""
    figure = new_figure(8.0, 5.2)
    ax: Any = figure.subplots()
    x = np.geomspace(0.03, 40.0, 200)
    for (place, rate), style in zip(roofs.reads.items(), ("-", "--", ":"), strict=True):
        ax.plot(x, np.minimum(rate * x, roofs.peak), color="0.35", linestyle=style, linewidth=1.5)
        label = f"one core reading from {'the ' * (place != 'memory')}{place}, {rate:.0f} GB/s"
        ax.plot([], [], color="0.35", linestyle=style, linewidth=1.5, label=label)
    ax.plot(x, np.minimum(roofs.copy * x, roofs.peak_all), color="C9", linewidth=1.2, alpha=0.8)
    ax.plot([], [], color="C9", label=f"all cores copying from memory to memory, {roofs.copy:.0f} GB/s")
    for text, peak in _peaks(roofs).items():
        ax.axhline(peak, color="C9" if peak == roofs.peak_all else "0.35", linewidth=1.0, linestyle="-", zorder=0)
        ax.text(0.033, 1.03 * peak, f"{text}, {peak:.0f} GFLOP/s", va="bottom", fontsize=9)
    spots = [(intensities[rung], speeds[rung]) for rung in RUNGS]
    ax.plot(*zip(*spots, strict=True), color="C0", alpha=0.5, linewidth=1.0)
    heights: dict[float, float] = {}  # of the last label over each place, for labels must not cover each other
    for rung, spot in sorted(zip(RUNGS, spots, strict=True), key=lambda pair: pair[1][1]):
        y = heights[spot[0]] = max(spot[1], 1.3 * heights.get(spot[0], 0.0))
        ax.plot(*spot, "o", color="C0", markersize=8, zorder=3)
        text = f"{RUNGS.index(rung) + 1} {rung}, {spot[1]:.3g}"
        ax.annotate(text, (spot[0], y), (9, 0), textcoords="offset points", va="center", fontsize=10)
    for name, color in LIBRARIES.items():
        if name in speeds:  # how often it goes to memory is its own secret: a mark at the side
            ax.plot([x[-1]], [speeds[name]], marker="<", color=color, markersize=9, clip_on=False, linestyle="none")
            ax.plot([], [], marker="<", color=color, linestyle="none", label=f"{name}, {speeds[name]:.0f} GFLOP/s")
    ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]))
    ax.set_ylim(0.5 * min(speeds.values()), 2.2 * max(roofs.peak, roofs.peak_all))
    ax.set_xlabel("operations for each byte loaded or stored by the program")
    ax.set_ylabel("GFLOP/s")
    ax.set_title(f"Roofline of the ladder, {subject}")
    ax.grid(alpha=0.25, which="both", linewidth=0.5)
    ax.legend(loc="lower right", fontsize=8.5)
    return figure


def sizes(rows: Sequence[int], speeds: Mapping[str, Sequence[float]]) -> Figure:
    """A line for each product: GFLOP/s over the rows of the square matrices, both logarithmic."""
    from matplotlib import colormaps

    figure = new_figure(8.0, 4.4)
    ax: Any = figure.subplots()
    for name, values in speeds.items():
        if name in LIBRARIES:
            ax.plot(rows, values, color=LIBRARIES[name], linestyle="--", marker="s", markersize=4, label=name)
        else:
            number = RUNGS.index(name)  # the higher the rung, the darker
            color = colormaps["viridis"](0.85 * (1 - number / (len(RUNGS) - 1)))
            ax.plot(rows, values, color=color, marker="ovsD^*"[number], label=name)
    ax.set(xscale="log", yscale="log", xlabel="rows and columns", ylabel="GFLOP/s")
    ax.set_title("The ladder by size of the matrices")
    ax.set_xticks(rows, [str(n) for n in rows])
    ax.minorticks_off()
    ax.grid(alpha=0.25, linewidth=0.5)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def network(losses: Mapping[str, Series], seconds: Mapping[str, float]) -> Figure:
    """The sides' loss curves over each other, and bars of their seconds a step."""
    figure = new_figure(10.0, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    for i, (name, (steps, values)) in enumerate(losses.items()):
        left.plot(steps, values, color=f"C{i}", linewidth=6.0 - i, alpha=0.75, label=name)  # the thinner on the thicker
    left.set(xlabel="step", ylabel="loss, nats", title="training loss", yscale="log")
    left.legend(fontsize=8)
    left.grid(alpha=0.25)
    bars = right.barh(range(len(seconds)), [1e6 * s for s in seconds.values()], color=[f"C{i}" for i in range(9)])
    first = next(iter(seconds.values()))
    right.bar_label(bars, [f"{1e6 * s:.0f} µs, ×{s / first:.2f}" for s in seconds.values()], padding=4)
    right.set_yticks(range(len(seconds)), seconds)
    right.set(xlabel="microseconds a step", title="time of a training step", xlim=(0, 1.5e6 * max(seconds.values())))
    right.invert_yaxis()
    right.spines[["top", "right"]].set_visible(False)
    return figure


def gpu(launch: Launch) -> Figure:
    """The grid over C with A and B beside it; one block with its threads and tiles; what each thread does."""
    figure = new_figure(11.0, 5.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    i, j = round(0.6 * launch.M) - 1, round(0.45 * launch.N) - 1  # the element that is followed
    block, thread = launch.owner(i, j)
    _grid(left, launch, block)
    _block(right, launch, block, thread, (i, j))
    for ax in (left, right):
        ax.set_aspect("equal")
        ax.set_anchor("N")
        ax.axis("off")
    return figure


def _rectangle(ax: Any, x: float, y: float, width: float, height: float, color: str, **settings: Any) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x, y), width, height, facecolor=color, **{"edgecolor": "none", **settings}))


def _grid(ax: Any, launch: Launch, block: tuple[int, int]) -> None:
    """C in blocks; the strips of A and B that one block reads, tile by tile."""
    T, (rows, columns), (by, bx) = launch.tile, launch.grid, block
    gap = 0.12 * max(launch.M, launch.N, launch.K)
    x_a, y_b = -launch.K - gap, -launch.K - gap  # A stands left of C, B above it
    for x, y, height, width, name in (
        (0.0, 0.0, launch.M, launch.N, "C"),
        (x_a, 0.0, launch.M, launch.K, "A"),
        (0.0, y_b, launch.K, launch.N, "B"),
    ):
        _rectangle(ax, x, y, width, height, C, edgecolor="0.4", linewidth=1.0)
        ax.text(x, y - 0.1 * gap, f"{name}  {height} × {width}", fontsize=11, va="bottom")
    _rectangle(ax, x_a, by * T, launch.K, min(T, launch.M - by * T), A)
    _rectangle(ax, bx * T, y_b, min(T, launch.N - bx * T), launch.K, B)
    for p in range(0, launch.K, T):
        ax.plot([x_a + p] * 2, [by * T, by * T + T], color="white", linewidth=1.5)
        ax.plot([bx * T, bx * T + T], [y_b + p] * 2, color="white", linewidth=1.5)
    for row in range(rows + 1):
        ax.plot([0, columns * T], [row * T] * 2, color="0.6", linewidth=0.6)
    for column in range(columns + 1):
        ax.plot([column * T] * 2, [0, rows * T], color="0.6", linewidth=0.6)
    _rectangle(ax, bx * T, by * T, T, T, MARK, alpha=0.85)
    if rows * columns <= 200:
        for row, column in np.ndindex(rows, columns):
            crossed = (row == by and column <= bx) or (column == bx and row <= by)  # by an arrow
            at = (column + 0.5) * T, (row + 0.5) * T
            ax.text(*at, "" if crossed else f"{row},{column}", ha="center", va="center", fontsize=6, color="0.45")
    ax.annotate("", ((bx + 0.5) * T, by * T - 1), ((bx + 0.5) * T, y_b + launch.K + 1), arrowprops={"arrowstyle": "->"})
    ax.annotate("", (bx * T - 1, (by + 0.5) * T), (x_a + launch.K + 1, (by + 0.5) * T), arrowprops={"arrowstyle": "->"})
    box = {"facecolor": "white", "edgecolor": MARK, "boxstyle": "round,pad=0.25"}
    at = (bx + 1.4) * T, (by + 1.4) * T
    ax.text(*at, f"block {block}\n{launch.phases} tiles of A, {launch.phases} of B", va="top", fontsize=9, bbox=box)
    M, K, N = launch.M, launch.K, launch.N
    sums = (
        f"threads: {rows} · {columns} · {T}² = {launch.threads:,}\nreads from the main memory\n"
        f"   each thread by itself: 2 · {M} · {N} · {K} = {launch.direct_reads:,}\n"
        f"   with tiles: {M} · {K} · {columns} + {K} · {N} · {rows} = {launch.tiled_reads:,}"
    )
    ax.text(x_a, rows * T + 0.4 * gap, sums, va="top", fontsize=10, linespacing=1.5)
    ax.set(xlim=(x_a - 2, max(N, columns * T) + 2), ylim=(rows * T + 3 * gap, y_b - 0.6 * gap))
    ax.set_title(f"The grid: {rows} × {columns} blocks, one for each {T} × {T} square of C")


def _block(ax: Any, launch: Launch, block: tuple[int, int], thread: tuple[int, int], element: tuple[int, int]) -> None:
    """One block: its threads in warps, its two tiles in shared memory, and what the marked thread reads of them."""
    T, (ty, tx), gap = launch.tile, thread, 0.18 * launch.tile
    x_a, y_b = -T - gap, -T - gap
    for x, y, color, name in ((x_a, 0.0, A, "tile of A"), (0.0, y_b, B, "tile of B")):
        _rectangle(ax, x, y, T, T, color, alpha=0.45, edgecolor="0.4")
        ax.text(x + T / 2, y - 0.25 * gap, f"{name}, in shared memory", ha="center", fontsize=9)
        for k in range(1, T):
            ax.plot([x + k] * 2, [y, y + T], color="white", linewidth=0.5)
            ax.plot([x, x + T], [y + k] * 2, color="white", linewidth=0.5)
    _rectangle(ax, x_a, ty, T, 1, "#3182bd")
    _rectangle(ax, tx, y_b, 1, T, "#31a354")
    for y, x in np.ndindex(T, T):
        warp = (y * T + x) // WARP
        _rectangle(ax, x, y, 1, 1, "#fdd0a2" if warp % 2 else "#feedde", edgecolor="white", linewidth=0.5)
    _rectangle(ax, tx, ty, 1, 1, MARK)
    ax.annotate("", (tx + 0.5, ty), (tx + 0.5, y_b + T), arrowprops={"arrowstyle": "->"})
    ax.annotate("", (tx, ty + 0.5), (x_a + T, ty + 0.5), arrowprops={"arrowstyle": "->"})
    warps = -(-T * T // WARP)
    ax.text(
        T / 2, T + 0.25 * gap, f"{T} × {T} threads, {warps} warp{'s' * (warps > 1)}", ha="center", va="top", fontsize=9
    )
    ax.text(
        x_a,
        y_b,
        f"i = {block[0]} · {T} + {ty} = {element[0]}\nj = {block[1]} · {T} + {tx} = {element[1]}\n\n"
        "for each pair of tiles:\n  fetch one number of each\n  wait for the others\n"
        "  sum += row · column\n  wait for the others",
        va="top",
        fontsize=9,
        linespacing=1.4,
    )
    ax.set(xlim=(x_a - 0.3, T + 0.3), ylim=(T + gap, y_b - 0.8 * gap))
    ax.set_title(f"Block {block}, and its thread {thread}: C[{element[0]}, {element[1]}]")


def gpu_reads(launch: Launch, tiles: Sequence[int] = (1, 2, 4, 8, 16, 32)) -> Figure:
    """Reads from the main memory by tile: of this product, and of a small one, counted thread by thread."""
    figure = new_figure(8.0, 3.8)
    ax: Any = figure.subplots()
    small = [max(1, n // 8) for n in (launch.M, launch.K, launch.N)]
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(small[:2]), rng.standard_normal(small[1:])
    for (M, K, N), color, counted in (((launch.M, launch.K, launch.N), "C0", False), (small, "C1", True)):
        reads = [Launch(M, K, N, tile).tiled_reads for tile in tiles]
        ax.plot(tiles, reads, color=color, marker=None if counted else "o", label=f"{M} × {K} by {K} × {N}")
        if counted:
            dots = [simulate(a, b, tile)[1] for tile in tiles]
            ax.plot(tiles, dots, "o", color=color, markersize=8, markerfacecolor="none", label="the same, counted")
    for tile in tiles:
        count = Launch(launch.M, launch.K, launch.N, tile).tiled_reads
        ax.annotate(f"{count:,}", (tile, count), (0, 7), textcoords="offset points", ha="center", fontsize=8.5)
    ax.set(xscale="log", yscale="log", xlabel="rows and columns of a tile (1: every thread for itself)")
    ax.set(ylabel="numbers read", title="Reads from the GPU's main memory", xlim=(0.8, 40))
    ax.set_xticks(tiles, [str(tile) for tile in tiles])
    ax.minorticks_off()
    ax.margins(y=0.15)
    ax.grid(alpha=0.25)
    ax.legend()
    return figure
