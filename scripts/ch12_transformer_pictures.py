"""The pictures of chapter 12's transformer, made from what really flows through the model."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.models.gpt import GPT, Attention
from tinygrad_edu.models.layer_outputs import watched
from tinygrad_edu.models.sampling import probabilities
from tinygrad_edu.scripts.pictures import new_figure
from tinygrad_edu.scripts.text_pictures import INK, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, FILL, MAIN = "#6b7685", "#eef2f7", "#dcebff"


class Look:
    """One piece of text on its way through a model: every module's result, by its name, and the attention's weights.

    `shapes["blocks.0.attention.query"]` is (1, T, C); `weights[layer]` is (H, T, T), each row summing to 1.
    """

    @tg.no_grad()
    def __init__(self, model: GPT, tokens: np.ndarray) -> None:
        with watched({name: module for name, module in model.named_modules() if name}) as seen:
            self.logits = model(tg.tensor(tokens[None])).numpy()[0]  # (T, V)
        self.tokens = tokens
        self.shapes = {name: out.shape for name, (_, out) in seen.items()}
        self.width = model.tokens.weight.shape[1]
        layers = [(module, *seen[name][0]) for name, module in model.named_modules() if isinstance(module, Attention)]
        self.heads = layers[0][0].heads
        self.weights = [layer.weights(x).numpy()[0] for layer, x in layers]


def attention(look: Look, vocabulary: Sequence[str]) -> Figure:
    """A heat map (T, T) for each layer (a row of pictures) and head (a column)."""
    layers, heads, T = len(look.weights), look.heads, len(look.tokens)
    figure = new_figure(3.1 * heads, 3.2 * layers)
    letters = [shown(vocabulary[i]) for i in look.tokens]
    for i, axes in enumerate(figure.subplots(layers, heads, squeeze=False)):
        for j, ax in enumerate(axes):
            ax.imshow(look.weights[i][j], cmap="magma_r", vmin=0.0, vmax=1.0, interpolation="nearest")
            ax.set_title(f"block {i + 1}, head {j + 1}", fontsize=9)
            ax.set(xticks=range(T), yticks=range(T))
            ax.set_xticklabels(letters, fontsize=5, family="monospace")
            ax.set_yticklabels(letters, fontsize=5, family="monospace")
            ax.tick_params(length=0)
    return figure


def block(look: Look, vocabulary: Sequence[str]) -> str:
    """The first block as an SVG: boxes for what is computed, top to bottom, beside each the shape that leaves it."""
    characters = [vocabulary[i] for i in look.tokens]
    T, H, C, V = len(characters), look.heads, look.width, len(vocabulary)
    at = "blocks.0."
    shape = {name.removeprefix(at): f"({', '.join(map(str, s[1:]))})" for name, s in look.shapes.items()}
    canvas = _Canvas()
    canvas.text(20, 28, "One piece of text on its way through the transformer", bold=True)
    canvas.text(20, 48, f"T = {T} characters, C = {C} numbers each, H = {H} heads, V = {V} characters to choose from")
    y = canvas.letters(80, characters)
    y = canvas.box(y, "look up: tokens + positions", shape["tokens"], "each character, and each place, has its row")
    stream = y
    y = canvas.box(y, "norm_1", shape["norm_1"], "each row to mean 0 and deviation 1, then scaled")
    y = canvas.three(y, [("query", shape["attention.query"]), ("key", shape["attention.key"]),
                         ("value", shape["attention.value"])])  # fmt: skip
    y = canvas.box(y, f"split into {H} heads", f"({H}, {T}, {C // H})", "each head compares with its own share of C")
    y = canvas.maps(y, look.weights[0], f"softmax(q kᵀ / √{C // H}), nothing ahead: ({H}, {T}, {T})")
    y = canvas.box(y, "weights × value, heads side by side", f"({T}, {C})", "a mean of the values, by these weights")
    y = canvas.box(y, "out", shape["attention.out"], "the heads' findings mixed")
    y = canvas.add(y, stream, shape["attention.out"])
    stream = y
    y = canvas.box(y, "norm_2", shape["norm_2"], "")
    y = canvas.box(y, "linear", shape["mlp.0"], "each place for itself, four times as wide")
    y = canvas.box(y, "GELU", shape["mlp.1"], "")
    y = canvas.box(y, "linear", shape["mlp.2"], "and back")
    y = canvas.add(y, stream, shape["mlp.2"])
    more = len(look.weights) - 1
    y = canvas.box(y, f"{more} more block{'s' * (more != 1)} like this one", shape["norm"], "", main=True)
    y = canvas.box(y, "norm, times the table of the tokens", f"({T}, {V})", "logits: how well each character would fit")
    return canvas.svg(canvas.chances(y, probabilities(look.logits[-1]), vocabulary))


class _Canvas:
    """An SVG drawn from top to bottom: a method draws one step at height y, and gives where the next begins."""

    LEFT, WIDE, HIGH, GAP = 120, 300, 30, 22  # pixels

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, x: float, y: float, text: str, *, bold: bool = False, size: int = 12, middle: bool = False) -> None:
        weight, anchor = (' font-weight="bold"' if bold else ""), (' text-anchor="middle"' if middle else "")
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{INK}"{weight}{anchor}>{escape(text)}</text>'
        )

    def rect(self, x: float, y: float, width: float, height: float, fill: str, line: str = LINE) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" stroke="{line}"/>'
        )

    def line(self, points: Sequence[tuple[float, float]]) -> None:
        path = " L ".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.parts.append(f'<path d="M {path}" fill="none" stroke="{LINE}" marker-end="url(#head)"/>')

    @property
    def middle(self) -> float:
        return self.LEFT + self.WIDE / 2

    def letters(self, y: float, characters: Sequence[str]) -> float:
        for i, character in enumerate(characters):
            self.rect(20 + 16 * i, y, 16, 20, "#fff")
            self.text(28 + 16 * i, y + 14, shown(character), middle=True)
        self.line([(self.middle, y + 20), (self.middle, y + 20 + self.GAP)])
        return y + 20 + self.GAP

    def box(self, y: float, label: str, shape: str, note: str, *, main: bool = False) -> float:
        self.rect(self.LEFT, y, self.WIDE, self.HIGH, MAIN if main else FILL)
        self.text(self.middle, y + 19, label, middle=True)
        bottom = y + self.HIGH
        self.line([(self.middle, bottom), (self.middle, bottom + self.GAP)])
        self.text(self.middle + 8, bottom + 15, shape, size=11)
        self.text(self.LEFT + self.WIDE + 40, y + 19, note, size=11)
        return bottom + self.GAP

    def three(self, y: float, boxes: Sequence[tuple[str, str]]) -> float:
        width = self.WIDE / 3 - 8
        for i, (label, shape) in enumerate(boxes):
            x = self.LEFT + i * (width + 12)
            self.rect(x, y, width, self.HIGH, FILL)
            self.text(x + width / 2, y + 19, label, middle=True)
            self.text(x + width / 2, y + self.HIGH + 14, shape, size=11, middle=True)
        self.text(self.LEFT + self.WIDE + 40, y + 19, "what it asks for, what it offers, what it gives", size=11)
        return y + self.HIGH + self.GAP

    def maps(self, y: float, weights: np.ndarray, label: str) -> float:
        side, T, top = 130.0, weights.shape[1], y + 24
        cell = side / T
        self.text(80, y + 14, label, size=11)
        for h, head in enumerate(weights):
            x = 80 + h * (side + 14)
            self.rect(x, top, side, side, "#fff")
            for i, j in np.argwhere(head > 0.02):
                shade = int(255 * (1.0 - head[i, j]))
                self.parts.append(
                    f'<rect x="{x + j * cell:.2f}" y="{top + i * cell:.2f}" width="{cell:.2f}" height="{cell:.2f}" '
                    f'fill="rgb({shade},{shade},255)"/>'
                )
        bottom = top + side
        self.line([(self.middle, bottom), (self.middle, bottom + self.GAP)])
        return bottom + self.GAP

    def add(self, y: float, stream: float, shape: str) -> float:
        """The sum with what came past the boxes since height `stream`."""
        self.parts.append(f'<circle cx="{self.middle}" cy="{y + 10:.1f}" r="10" fill="#fff" stroke="{LINE}"/>')
        self.text(self.middle, y + 14, "+", middle=True, bold=True)
        start, x = stream - self.GAP / 2, self.LEFT - 60
        self.line([(self.middle, start), (x, start), (x, y + 10), (self.middle - 11, y + 10)])
        self.line([(self.middle, y + 20), (self.middle, y + 20 + self.GAP)])
        self.text(self.middle + 8, y + 20 + 15, shape, size=11)
        self.text(self.LEFT + self.WIDE + 40, y + 14, "added to the stream that goes past", size=11)
        return y + 20 + self.GAP

    def chances(self, y: float, p: np.ndarray, vocabulary: Sequence[str]) -> float:
        best = np.argsort(-p)[:8]
        self.text(20, y + 14, "the last place's answer, softmax of its logits:", size=11)
        for i, k in enumerate(best):
            self.rect(20, y + 24 + 16 * i, 200 * float(p[k]), 12, MAIN)
            self.text(228, y + 34 + 16 * i, f"{shown(vocabulary[k])}  {p[k]:.1%}", size=11)
        return y + 40 + 16 * len(best)

    def svg(self, height: float) -> str:
        width = max(self.LEFT + self.WIDE + 380, 620)
        head = (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="{LINE}"/></marker></defs>'
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
                'font-family="monospace">',
                head,
                f'<rect width="{width}" height="{height:.0f}" fill="#fff"/>',
                *self.parts,
                "</svg>",
            ]
        )
