"""What lessons draw in plain text: blocks side by side, points in a plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def beside(blocks: Mapping[str, list[str]]) -> str:
    """Blocks of as many lines each, side by side under their names."""
    titled = [[name, *lines] for name, lines in blocks.items()]
    widths = [max(map(len, block)) for block in titled]
    lines = zip(*titled, strict=True)
    return "\n".join("  " + "     ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in lines)


def plane(marks: Mapping[str, Any], width: int, height: int, corners: Any = None) -> list[str]:
    """Points in a plane as lines of text, y upwards: `marks` gives each letter its points (n, 2); the later ones win.

    `corners`: ((x0, x1), (y0, y1)) of the picture, by default those of the points.

    >>> plane({"a": [[0, 0], [1, 1]], "b": [[2, 0]]}, 3, 2)
    ['·a·', 'a·b']
    """
    points = {letter: np.asarray(at, dtype=np.float64).reshape(-1, 2) for letter, at in marks.items()}
    if corners is None:
        every = np.concatenate(list(points.values()))
        corners = np.stack([every.min(axis=0), every.max(axis=0)], axis=1)
    low, high = np.asarray(corners, dtype=np.float64).T
    picture = np.full((height, width), "·")
    for letter, at in points.items():
        cells = np.rint((at - low) / (high - low) * (width - 1, height - 1)).astype(int)
        inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
        column, row = cells[inside].T
        picture[height - 1 - row, column] = letter
    return ["".join(row) for row in picture]
