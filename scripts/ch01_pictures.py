"""The pictures of chapter 1, SVG written by hand: bars, and how often a word occurs by its rank. Core Python alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

INK, BLUE, GREY = "#1c2430", "#4878a8", "#b8c0cc"
CHARACTER = 7.3  # pixels of one, 12 px monospaced


def bars(title: str, rows: Sequence[tuple[str, int]], total: int) -> str:
    """A bar for each (label, count), labels left, counts and their shares of `total` right: an SVG."""
    longest = 24  # characters of a label; what is longer is cut
    left = 20 + CHARACTER * min(longest, max((len(label) for label, _ in rows), default=0))
    most = max((n for _, n in rows), default=1)
    parts = []
    for i, (label, n) in enumerate(rows):
        y, width = 44 + 22 * i, 380 * n / most
        short = label if len(label) <= longest else label[: longest - 1] + "…"
        parts.append(text(left - 8, y + 12, short, "end"))
        parts.append(f'<rect x="{left:.0f}" y="{y}" width="{max(width, 1):.1f}" height="15" fill="{BLUE}"/>')
        parts.append(text(left + width + 6, y + 12, f"{n:,}  {n / total:.1%}"))
    return document(left + 540, 52 + 22 * len(rows), title, parts)


def ranks(title: str, counts: Sequence[int]) -> str:
    """Counts by rank, the highest first, both on logarithmic axes, and Zipf's count of the first / rank: an SVG."""
    left, top, width, height = 70, 58, 520, 340
    decades = [max(1, math.ceil(math.log10(max(2, n)))) for n in (len(counts), counts[0])]  # across, up

    def place(rank: float, n: float) -> tuple[float, float]:
        across, up = math.log10(rank) / decades[0], math.log10(n) / decades[1]
        return left + width * across, top + height * (1 - up)

    parts = []
    for k in range(decades[0] + 1):
        x, _ = place(10**k, 1)
        parts += [line(x, top, x, top + height), text(x, top + height + 18, f"{10**k:,}", "middle")]
    for k in range(decades[1] + 1):
        _, y = place(1, 10**k)
        parts += [line(left, y, left + width, y), text(left - 8, y + 4, f"{10**k:,}", "end")]
    far = min(10 ** decades[0], counts[0])  # where Zipf's line comes down to one
    parts.append(line(*place(1, counts[0]), *place(far, counts[0] / far), "#c44", 'stroke-dasharray="6 4"'))
    shown = sorted({round(1.02**k) for k in range(2000) if 1.02**k <= len(counts)} | {1})  # all would be too many
    for r in shown:
        x, y = place(r, counts[r - 1])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{BLUE}"/>')
    parts.append(text(left + width, top + height + 36, "rank of the word", "end"))
    parts.append(text(left + 4, top - 6, "how often it occurs"))
    parts.append(text(left + width - 6, top + 16, "dashed: the first word's count / rank", "end"))
    return document(left + width + 30, top + height + 50, title, parts)


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Words at a place; `anchor`: start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(words)}</text>'


def line(x0: float, y0: float, x1: float, y1: float, colour: str = GREY, more: str = "") -> str:
    """A straight line."""
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" {more}/>'


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """The SVG with a title above its parts."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="monospace" font-size="12" xml:space="preserve">'
    )
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    name = f'<text x="14" y="24" fill="{INK}" font-size="14">{escape(title)}</text>'
    return "\n".join([head, ground, name, *parts, "</svg>"])
