"""Text in pictures: a page of it, characters shaded by what attention gives them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

INK = "#1c2430"
WIDE, HIGH = 7.3, 17.0  # pixels of a character and a line, 12 px monospaced


def shown(character: str) -> str:
    """A character that can be seen."""
    return {"\n": "↵", " ": "␣", "\t": "→"}.get(character, character)


def page(text: str, columns: int = 88) -> str:
    """A text as an SVG, lines longer than `columns` broken."""
    lines = [line[i : i + columns] for line in text.splitlines() for i in range(0, max(1, len(line)), columns)]
    width, height = WIDE * columns + 30, HIGH * len(lines) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="monospace" font-size="12" xml:space="preserve">',
        '<rect width="100%" height="100%" fill="#fffdf6" stroke="#ddd"/>',
    ]
    parts += [
        f'<text x="14" y="{HIGH * i + 24:.0f}" fill="{INK}">{escape(line)}</text>' for i, line in enumerate(lines)
    ]
    return "\n".join([*parts, "</svg>"])


def shaded(characters: Sequence[str], weights: np.ndarray, title: str = "", columns: int = 60) -> str:
    """Characters, each on a background as dark as its weight (T,) in 0..1, as an SVG; the last one in a box."""
    wide, high, top = 13.0, 24.0, 34.0 if title else 12.0
    width, height = wide * columns + 28, high * -(-len(characters) // columns) + top + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="monospace" font-size="14" xml:space="preserve">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    if title:
        parts.append(f'<text x="14" y="20" fill="{INK}" font-size="12">{escape(title)}</text>')
    darkest = max(float(np.max(weights)), 1e-9)
    for i, (character, weight) in enumerate(zip(characters, weights, strict=True)):
        x, y = 14 + wide * (i % columns), top + high * (i // columns)
        share = float(weight) / darkest
        frame = ' stroke="#d33" stroke-width="2"' if i == len(characters) - 1 else ""
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide}" height="{high - 4}" fill="rgb({255 - 215 * share:.0f},'
            f'{255 - 150 * share:.0f},255)"{frame}/>'
        )
        ink = "#fff" if share > 0.6 else INK
        parts.append(f'<text x="{x + 2:.1f}" y="{y + 15:.1f}" fill="{ink}">{escape(shown(character))}</text>')
    return "\n".join([*parts, "</svg>"])
