"""Ten digits as a person draws them: each a list of strokes, a stroke a list of points, shares of the paper's side."""

from __future__ import annotations

from math import cos, pi, sin

Point = tuple[float, float]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Part of an ellipse, from an angle to another in turns: 0 is on the right, 1/4 below."""
    steps = 24
    angles = [2.0 * pi * (start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * cos(a), y + ry * sin(a)) for a in angles]


DIGITS: dict[str, list[list[Point]]] = {
    "0": [arc(0.5, 0.5, 0.2, 0.32, -0.25, 0.75)],
    "1": [[(0.42, 0.3), (0.53, 0.18), (0.51, 0.82)]],
    "2": [[*arc(0.48, 0.35, 0.19, 0.18, -0.5, 0.1), (0.3, 0.8), (0.72, 0.79)]],
    "3": [[*arc(0.47, 0.34, 0.18, 0.16, -0.45, 0.25), *arc(0.47, 0.67, 0.21, 0.17, -0.25, 0.42)]],
    "4": [[(0.4, 0.2), (0.28, 0.55), (0.72, 0.53)], [(0.63, 0.22), (0.6, 0.84)]],
    "5": [[(0.68, 0.2), (0.38, 0.21), (0.34, 0.46), *arc(0.47, 0.63, 0.19, 0.18, -0.3, 0.4)]],
    "6": [[(0.58, 0.17), (0.42, 0.36), *arc(0.48, 0.66, 0.15, 0.16, -0.5, 0.55)]],
    "7": [[(0.3, 0.22), (0.7, 0.21), (0.47, 0.83)]],
    "8": [[*arc(0.5, 0.35, 0.15, 0.15, 0.25, -0.75), *arc(0.5, 0.66, 0.18, 0.17, -0.25, 0.75)]],
    "9": [[*arc(0.5, 0.36, 0.16, 0.16, 0.0, -1.0), (0.65, 0.5), (0.58, 0.82)]],
}
