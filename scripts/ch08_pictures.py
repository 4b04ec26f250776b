"""The pictures of chapter 8: what a network sees, its filters, and the feature maps after every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.models.resnet import Block
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (nn.Conv2d, nn.MaxPool2d, nn.Linear, Block)  # the layers whose outputs are drawn; a Block as one
ACROSS = 16  # pictures in a row


@tg.no_grad()
def outputs(model: nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """What every layer of `model` gives for the picture x (C, S, S), by the layer's name: (C, H, W) or (features,)."""
    found: dict[str, np.ndarray] = {}
    layers: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside_a_block = any(name.startswith(f"{outer}.") for outer, m in layers.items() if isinstance(m, Block))
        if isinstance(module, SHOWN) and not inside_a_block:
            layers[name] = module
    handles = [
        module.register_forward_hook(lambda module, args, out, name=name: found.update({name: out.numpy()[0]}))
        for name, module in layers.items()
    ]
    model.eval()
    model(tg.tensor(x[None]))
    for handle in handles:
        handle.remove()
    return found


def seen(picture: np.ndarray, logits: np.ndarray, classes: Sequence[str]) -> Figure:
    """The picture (C, S, S) as the network gets it, beside the probabilities of the classes."""
    e = np.exp(logits - logits.max())
    probabilities = e / e.sum()
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    left.imshow(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0), cmap="gray", vmin=0.0, vmax=1.0)
    left.axis("off")
    best = int(probabilities.argmax())
    right.barh(classes, probabilities, color=["C1" if i == best else "C0" for i in range(len(classes))])
    right.invert_yaxis()
    right.set(xlim=(0.0, 1.0), xlabel="probability", title=f"{classes[best]}: {probabilities[best]:.1%}")
    return figure


def maps(layers: Mapping[str, np.ndarray], rows: int = 2) -> Figure:
    """The feature maps of every layer, (C, H, W) each, at most `rows` rows of 16; flat layers as a strip of cells.

    Red is positive, blue negative, white 0; every layer has its own scale.
    """
    heights = [min(rows, -(-len(out) // ACROSS)) if out.ndim == 3 else 1 for out in layers.values()]
    figure, parts = strips(heights)
    for part, height, (name, out) in zip(parts, heights, layers.items(), strict=True):
        shown = min(len(out), height * ACROSS) if out.ndim == 3 else len(out)
        left_out = "" if shown == len(out) else f", the first {shown}"
        part.suptitle(f"{name}: {' × '.join(map(str, out.shape))}{left_out}", fontsize=9, x=0.01, ha="left")
        if out.ndim == 1:
            show(part.subplots(), out[None], np.abs(out).max(), aspect="auto")
            continue
        for i, ax in enumerate(part.subplots(height, ACROSS, squeeze=False).flat):
            show(ax, out[i] if i < shown else None, np.abs(out).max())
    return figure


def filters(model: nn.Module, layers: int = 3) -> Figure:
    """The filters of the first convolutions, 32 each at most: in colour if they read three channels, else one channel.

    Red is positive, blue negative, white 0.
    """
    convolutions = [(name, m.weight) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)][:layers]
    heights = [-(-min(len(w), 2 * ACROSS) // ACROSS) for _, w in convolutions]
    figure, parts = strips(heights)
    for part, height, (name, weight) in zip(parts, heights, convolutions, strict=True):
        w = weight.detach().numpy()  # (out, in, K, K)
        limit = np.abs(w).max()
        what = "its channels as red, green, blue" if w.shape[1] == 3 else f"what it does with channel 1 of {w.shape[1]}"
        part.suptitle(f"{name}: {' × '.join(map(str, w.shape))}, {what}", fontsize=9, x=0.01, ha="left")
        for i, ax in enumerate(part.subplots(height, ACROSS, squeeze=False).flat):
            show(ax, picture(w[i], limit) if i < len(w) else None, limit)
    return figure


def picture(w: np.ndarray, limit: float) -> np.ndarray:
    """A filter (C, K, K) as a picture: in colour for three channels, grey where a weight is 0; else its first one."""
    return 0.5 + 0.5 * w.transpose(1, 2, 0) / limit if len(w) == 3 else w[0]


def strips(heights: Sequence[int]) -> tuple[Figure, Any]:
    """A figure of parts below each other, each a title and so many rows of pictures; the figure and its parts."""
    inches = [0.62 * height + 0.35 for height in heights]
    figure = new_figure(0.62 * ACROSS, sum(inches))
    return figure, figure.subfigures(len(heights), 1, height_ratios=inches, squeeze=False)[:, 0]


def show(ax: Any, image: np.ndarray | None, limit: float, aspect: str = "equal") -> None:
    """Draw a picture, (H, W) in -limit..limit or (H, W, 3) in 0..1, without axes; None leaves the place empty."""
    ax.axis("off")
    limit = limit or 1.0  # a layer that is silent
    if image is not None:
        ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect=aspect)
