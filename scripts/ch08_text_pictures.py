"""The pictures of chapter 8's text classifier: attention over the characters, and one text followed step by step.

T characters of a text, H features of a direction, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import data
from tinygrad_edu.models.rnn_classifier import RNNClassifier
from tinygrad_edu.scripts import text_pictures
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLOCKS = "▁▂▃▄▅▆▇█"
SHADES = (231, 189, 147, 105, 63, 21)  # of a terminal's 256 colours: from white to blue
CLASSES = 6  # that a table or a picture has room for
FOLLOWED = 80  # characters that a picture has room for


@dataclass(frozen=True)
class Reading:
    """What the network makes of one text of T characters."""

    text: str
    classes: Sequence[str]
    truth: str | None  # its label, if that is known
    states: np.ndarray  # (T, 2 H)
    scores: np.ndarray  # (T,)
    attention: np.ndarray  # (T,), sums to 1
    contributions: np.ndarray  # (T, K): their sum over T, and the bias, are the logits
    bias: np.ndarray  # (K,)

    @property
    def logits(self) -> np.ndarray:
        """(K,)."""
        return self.contributions.sum(0) + self.bias

    @property
    def best(self) -> list[int]:
        """The likeliest classes, the first one being the network's answer."""
        return np.argsort(-self.logits, kind="stable")[:CLASSES].tolist()

    @property
    def answer(self) -> str:
        """The class that the network names."""
        return self.classes[self.best[0]]

    @property
    def says(self) -> str:
        """The answer, what softmax gives it, and the label if that is another one."""
        probability = 1.0 / np.exp(self.logits - self.logits.max()).sum()
        return f"{self.answer} {probability:.1%}" + f" (true: {self.truth})" * self.wrong

    @property
    def wrong(self) -> bool:
        """Whether the label is known, and another one."""
        return self.truth not in (None, self.answer)

    @property
    def part(self) -> slice:
        """The whole text; of one with more than 80 characters, the 80 in a row that have the most weight."""
        n = min(len(self.text), FOLLOWED)
        start = int(np.convolve(self.attention, np.ones(n), "valid").argmax())
        return slice(start, start + n)


@tg.no_grad()
def read(model: RNNClassifier, dataset: data.LabelledText, texts: Mapping[str, str | None]) -> list[Reading]:
    """Have `model` read texts, given with their labels. ValueError for characters that the data have not."""
    readings, (weight, bias) = [], (value.numpy() for value in model.out.state_dict().values())
    for text, truth in texts.items():
        steps = model.steps(*map(tg.tensor, dataset.encode([text])))
        states, scores, attention = (t.numpy()[0].astype(np.float64) for t in steps[:3])
        contributions = attention[:, None] * (states @ weight.T)
        readings.append(Reading(text, dataset.classes, truth, states, scores, attention, contributions, bias))
    return readings


def terminal(reading: Reading, colour: bool, columns: int = 72) -> str:
    """The answer, and the text with what attention gives each character: as shades, or as blocks below it."""
    text, share = visible(reading.text), reading.attention / reading.attention.max()
    lines = [reading.says]
    for i in range(0, len(text), columns):
        part, weights = text[i : i + columns], share[i : i + columns]
        if colour:
            lines.append("".join(map(_shaded, part, weights)) + "\033[0m")
        else:
            lines += [part, "".join(BLOCKS[round(weight * (len(BLOCKS) - 1))] for weight in weights)]
    return "\n".join(lines)


def _shaded(character: str, weight: float) -> str:
    """The terminal's codes for a background as dark as the weight, in 0..1, and the character on it."""
    level = round(weight * (len(SHADES) - 1))
    return f"\033[48;5;{SHADES[level]};38;5;{16 if level < 3 else 231}m{character}"


def visible(text: str) -> str:
    """The text in one line: blanks stay blanks, a line's end and a tab are shown."""
    return "".join(c if c == " " else text_pictures.shown(c) for c in text)


def table(reading: Reading) -> str:
    """One line a character: score, weight, and what it adds to the logits of the likeliest classes; then the sums."""
    best, part, text = reading.best, reading.part, visible(reading.text)
    added = reading.contributions[:, best]  # (T, classes shown)
    rows: list[tuple[str, str, str, np.ndarray]] = [
        (text[t], f"{reading.scores[t]:.3f}", f"{reading.attention[t]:.4f}", added[t])
        for t in range(part.start, part.stop)
    ]
    if len(rows) < len(text):
        rest = f"{1.0 - reading.attention[part].sum():.4f}"
        rows.append(("the others", "", rest, added.sum(0) - added[part].sum(0)))
    rows += [("bias", "", "", reading.bias[best]), ("sum", "", "1.0000", reading.logits[best])]
    lines = [["character", "score s", "weight a", *(reading.classes[k][:12] for k in best)]]
    lines += [[*cells, *(f"{number:+.3f}" for number in numbers)] for *cells, numbers in rows]
    return "\n".join("  ".join(cell.rjust(12) for cell in line) for line in lines)


def attention(readings: Sequence[Reading], columns: int = 64) -> str:
    """Texts below each other, each character on a background as dark as its weight; an SVG.

    At the left the answer and its probability, red if it is wrong. A text's largest weight is the darkest.
    """
    wide, high, left = 10.0, 26.0, 8.0 * max(len(reading.says) for reading in readings) + 24
    columns = min(columns, max(len(reading.text) for reading in readings))
    y, parts = 12.0, []
    for reading in readings:
        color = "#c00" if reading.wrong else text_pictures.INK
        parts.append(f'<text x="12" y="{y + 17:.0f}" fill="{color}">{escape(reading.says)}</text>')
        share = reading.attention / reading.attention.max()
        for t, (character, s) in enumerate(zip(visible(reading.text), share, strict=True)):
            x, top = left + wide * (t % columns), y + high * (t // columns)
            fill = f"rgb({255 - 215 * s:.0f},{255 - 150 * s:.0f},255)"
            parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide}" height="{high - 3}" fill="{fill}"/>')
            if character != " ":
                at = f'x="{x + wide / 2:.1f}" y="{top + 17:.1f}" text-anchor="middle" font-family="monospace"'
                ink = "#fff" if s > 0.6 else text_pictures.INK
                parts.append(f'<text {at} font-size="16" fill="{ink}">{escape(character)}</text>')
        y += high * -(-len(reading.text) // columns) + 6
    width = left + wide * columns + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{y + 6:.0f}" font-size="14"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([f'{head} font-family="sans-serif">{paper}', *parts, "</svg>"])


def trace(reading: Reading) -> Figure:
    """Over the characters: states, scores, weights, what each adds to the logits, and how these grow."""
    part, H = reading.part, reading.states.shape[1] // 2
    n = part.stop - part.start
    at = np.arange(n)
    figure = new_figure(max(7.0, 2.0 + 0.2 * n), 9.5)
    axes: Any = figure.subplots(5, 1, sharex=True, height_ratios=(3, 1, 1, 1.3, 1.6))
    heat, scores, weights, added, grown = axes
    states = reading.states[part].T  # (2 H, T)
    peak = states[:, reading.attention[part].argmax()]
    order = np.concatenate([np.argsort(peak[:H]), H + np.argsort(peak[H:])])  # so that a picture is seen, not noise
    image = heat.imshow(states[order], cmap="RdBu_r", vmin=-1.0, vmax=1.0, aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=heat, pad=0.01)
    heat.axhline(H - 0.5, color="black", linewidth=0.8)
    heat.set_yticks([H / 2, 1.5 * H], ["forwards", "backwards"], rotation=90, va="center")
    heat.set_title(f"states h, 2 · {H} numbers, sorted by value where the weight is largest", fontsize=10, loc="left")
    scores.bar(at, reading.scores[part], color="0.55")
    scores.set_title("scores s = v · tanh(W h + b)", fontsize=10, loc="left")
    weights.bar(at, reading.attention[part], color="#2868ff")
    weights.set_title("weights a = softmax(s)", fontsize=10, loc="left")
    height = np.concatenate([np.zeros_like(reading.bias)[None], reading.contributions]).cumsum(0) + reading.bias
    for i, k in enumerate(reading.best):
        width = 0.8 / len(reading.best)
        offset, color = (i - (len(reading.best) - 1) / 2) * width, f"C{k % 10}"
        added.bar(at + offset, reading.contributions[part, k], width=width, color=color)
        label = f"{reading.classes[k]}: {reading.logits[k]:+.2f}"
        grown.plot(np.arange(n + 1) - 0.5, height[part.start : part.stop + 1, k], color=color, label=label)
    added.set_title("what a character adds to the logits, a U h", fontsize=10, loc="left")
    grown.set_title("the logits as they grow, from the bias d on", fontsize=10, loc="left")
    grown.legend(fontsize=9, loc="best")
    for ax in axes:
        ax.set_xticks(at, list(visible(reading.text)[part]), family="monospace")
        ax.tick_params(axis="x", length=0, labelbottom=True)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[1:]:
        ax.axhline(0.0, color="black", linewidth=0.6)
    heat.set_xlim(-0.5, n - 0.5)
    figure.suptitle(f"{reading.text if n == len(reading.text) else '…'} → {reading.says}")
    return figure
