"""Figures that several projects draw, each a function from arrays to a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = tuple[Sequence[int], Sequence[float | None]]  # steps and values


def new_figure(width: float, height: float) -> Figure:
    """An empty Figure, in inches, that opens no window whatever the machine's matplotlib is set to."""
    require("matplotlib", extra="viz")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def curves(panels: Mapping[str, Mapping[str, Series]], x_label: str = "step") -> Figure:
    """One panel side by side for each entry, titled by it, with a line for each of its series."""
    figure = new_figure(5.0 * len(panels), 3.4)
    for ax, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label, (steps, values) in lines.items():
            known = [(s, v) for s, v in zip(steps, values, strict=True) if v is not None]
            at, raw = np.array(known).reshape(-1, 2).T
            if len(known) > 200:  # noisy, one value a step: show it faintly, and its running mean
                ax.plot(at, raw, color="C0", alpha=0.2, linewidth=0.7)
                window = len(known) // 50
                ax.plot(at[window - 1 :], np.convolve(raw, np.ones(window) / window, "valid"), label=f"{label}, mean")
            else:
                ax.plot(at, raw, marker=".", label=label)
        ax.set(title=title, xlabel=x_label)
        ax.grid(alpha=0.3)
        ax.legend()
    return figure


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Figure:
    """The confusion matrix of two integer arrays (N,): rows are the true classes, columns the predicted ones."""
    n = len(classes)
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    figure = new_figure(1.5 + 0.45 * n, 1.2 + 0.45 * n)
    ax: Any = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for i, j in np.argwhere(counts):
        ax.text(
            j, i, counts[i, j], ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.5 else "black"
        )
    ax.set(xticks=range(n), yticks=range(n), xlabel="predicted", ylabel="true")
    ax.set_xticklabels(classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    ax.set_yticklabels(classes)
    return figure


def image_grid(images: np.ndarray, titles: Sequence[str] = (), columns: int = 10, cmap: str = "gray_r") -> Figure:
    """Pictures (N, H, W) or (N, 3, H, W) in rows of `columns`; for a diverging `cmap` white is 0."""
    n, columns = len(images), max(1, min(columns, len(images)))
    rows = max(1, -(-n // columns))
    figure = new_figure(1.0 * columns, (1.2 if titles else 1.0) * rows)
    limit = float(np.abs(images).max()) if n else 1.0
    range_ = {"vmin": -limit, "vmax": limit} if cmap in ("RdBu", "RdBu_r", "seismic") else {}
    for i, ax in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        ax.axis("off")
        if i < n:
            ax.imshow(images[i].transpose(1, 2, 0) if images[i].ndim == 3 else images[i], cmap=cmap, **range_)
            if titles:
                ax.set_title(titles[i], fontsize=8)
    return figure


def animation(frames: Iterable[Figure], seconds: float = 0.2) -> bytes:
    """A GIF, as bytes, that shows the Figures one after the other, `seconds` each, and begins anew after the last.

    ValueError for no frames.
    """
    require("matplotlib", extra="viz")
    from PIL import Image  # Pillow comes with matplotlib

    images = []
    for figure in frames:
        canvas: Any = figure.canvas
        canvas.draw()
        images.append(
            Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(64, dither=Image.Dither.NONE)
        )
    if not images:
        raise ValueError("animation: expected at least one frame, got none")
    times = [int(1000 * seconds)] * (len(images) - 1) + [2000]  # milliseconds: a rest on the last picture
    out = BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return out.getvalue()
