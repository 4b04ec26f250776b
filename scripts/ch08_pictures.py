"""The pictures of chapter 8: what a network sees, its filters, and the feature maps after every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_edu import nn
from tinygrad_edu.models.sampling import probabilities
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 16  # pictures in a row


def seen(picture: np.ndarray, logits: np.ndarray, classes: Sequence[str]) -> Figure:
    """The picture (C, S, S) as the network gets it, beside the probabilities of the classes."""
    p = probabilities(logits)
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    left.imshow(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0), cmap="gray", vmin=0.0, vmax=1.0)
    left.axis("off")
    best = int(p.argmax())
    right.barh(classes, p, color=["C1" if i == best else "C0" for i in range(len(classes))])
    right.invert_yaxis()
    right.set(xlim=(0.0, 1.0), xlabel="probability", title=f"{classes[best]}: {p[best]:.1%}")
    return figure


def maps(layers: Mapping[str, np.ndarray], rows: int = 2) -> Figure:
    """The feature maps of every layer, (C, H, W) each, at most `rows` rows of 16; flat layers as a strip of cells.

    Red is positive, blue negative, white 0; every layer has its own scale.
    """
    strips = []
    for name, out in layers.items():
        shown = out[: rows * ACROSS] if out.ndim == 3 else out
        left_out = "" if len(shown) == len(out) else f", the first {len(shown)}"
        title = f"{name}: {' × '.join(map(str, out.shape))}{left_out}"
        strips.append((title, tiled(shown) if out.ndim == 3 else out[None]))
    return figure_of(strips)


def filters(model: nn.Module, layers: int = 3) -> Figure:
    """The filters of the first convolutions, 32 each at most: in colour if they read three channels, else one channel.

    Red is positive, blue negative, white 0; in colour, grey is 0.
    """
    strips = []
    for name, weight in [(name, m.weight) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)][:layers]:
        w = weight.detach().numpy()  # (out, in, K, K)
        title = f"{name}: {' × '.join(map(str, w.shape))}, "
        if w.shape[1] == 3:
            colours = 0.5 + 0.5 * w / np.abs(w).max()  # each channel as a picture of one colour
            image = np.stack([tiled(colours[: 2 * ACROSS, c]) for c in range(3)], axis=-1)
            strips.append((title + "its channels as red, green, blue", image))
        else:
            strips.append((title + f"what it does with channel 1 of {w.shape[1]}", tiled(w[: 2 * ACROSS, 0])))
    return figure_of(strips)


def tiled(images: np.ndarray) -> np.ndarray:
    """Pictures (N, H, W) side by side, 16 in a row, a gap of NaN around each: one picture, drawn at once."""
    N, H, W = images.shape
    rows, gap = -(-N // ACROSS), max(1, H // 10)
    out = np.full((rows, ACROSS, H + gap, W + gap), np.nan, np.float32)
    out.reshape(rows * ACROSS, H + gap, W + gap)[:N, :H, :W] = images
    return out.swapaxes(1, 2).reshape(rows * (H + gap), ACROSS * (W + gap))


def figure_of(strips: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Pictures below each other, each under its title; (H, W) red and blue about 0, or colours (H, W, 3) in 0..1."""
    width = 0.62 * ACROSS  # inches
    inches = [0.35 + (0.5 if len(image) == 1 else width * image.shape[0] / image.shape[1]) for _, image in strips]
    figure = new_figure(width, sum(inches))
    axes = figure.subplots(len(strips), 1, height_ratios=inches, squeeze=False)[:, 0]
    for ax, (title, image) in zip(axes, strips, strict=True):
        limit = float(np.nanmax(np.abs(image))) or 1.0  # 1 for a layer that is silent
        aspect = "auto" if len(image) == 1 else "equal"
        shown = np.nan_to_num(image, nan=1.0) if image.ndim == 3 else image
        ax.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect=aspect)
        ax.set_title(title, fontsize=9, loc="left")
        ax.axis("off")
    return figure
