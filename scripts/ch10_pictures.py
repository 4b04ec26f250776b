"""The picture of chapter 10: how long services take to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def latencies(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Per panel and service the share of requests that are answered within a time; seconds, drawn as milliseconds."""
    figure = new_figure(5.0 * len(panels), 3.6)
    axes: Any = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (title, services) in zip(axes, panels.items(), strict=True):
        for name, seconds in services.items():
            ms = 1000.0 * np.sort(seconds)
            (line,) = ax.step(ms, np.arange(1, len(ms) + 1) / len(ms), where="post", label=name)
            ax.plot([np.median(ms)], [0.5], "o", color=line.get_color())
        ax.set(title=title, xlabel="milliseconds until the answer is there", xscale="log")
        ax.grid(alpha=0.3, which="both")
        ax.legend()
    axes[0].set_ylabel("share of the requests")
    return figure
