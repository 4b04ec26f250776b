"""The pictures of chapter 11's Pong: the learning curve, the way to the policy's input, a game with what mattered."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.errors import require
from tinygrad_edu.models.by_hand import pong as by_hand
from tinygrad_edu.run import Run
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 210  # pixels of the film, as many as the emulator's picture has
LEVELS = 5  # of red
FRAME_SECONDS = 4 / 60  # four frames of a television


class Look(NamedTuple):
    """What the agent saw and did at one step."""

    frames: np.ndarray  # (4, 210, 160, 3) uint8: the game, the newest picture last
    seen: np.ndarray  # (H, W) from 0 to 1: the newest of the policy's pictures
    saliency: np.ndarray  # (H, W): the size of the gradient of log π(a|s) with respect to each pixel
    action: int  # 0 stay, 1 up, 2 down
    probability: float  # of the action


def look_cnn(model: nn.Module, observation: np.ndarray, frames: np.ndarray) -> Look:
    """The likeliest action of an actor-critic; a pixel matters as much as it does in the picture where it does most."""
    x = tg.tensor(observation[None].astype(np.float32), requires_grad=True)
    log_p = F.log_softmax(model(x)[0], 1)  # (1, A)
    probabilities = np.exp(log_p.detach().numpy()[0])
    action = int(probabilities.argmax())
    (g,) = tg.grad(log_p[0, action], [x])  # (1, 4, H, W)
    assert g is not None
    saliency = np.abs(g.numpy()[0]).max(axis=0)
    return Look(frames, observation[-1] / 255.0, saliency, action, float(probabilities[action]))


def look_pixels(learner: Any, frames: np.ndarray) -> Look:
    """The likelier action of Karpathy's policy."""
    before, now = by_hand.shapes(frames[-2:]).astype(np.float32)
    x = now - before
    z = float(learner.logits(x[None])[0])
    # log σ(z) has the slope 1 - σ(z) in z, and log σ(-z) the slope -σ(z): either way 1 - π(a|s) in size
    probability = float(1.0 / (1.0 + np.exp(-abs(z))))
    saliency = (1.0 - probability) * np.abs(learner.slopes(x))
    side = (by_hand.SIDE, by_hand.SIDE)
    return Look(frames, (x.reshape(side) + 1.0) / 2.0, saliency.reshape(side), 1 if z > 0 else 2, probability)


def game(env: Any, look: Callable[[np.ndarray, np.ndarray], Look], *, steps: int, seed: int) -> list[Look]:
    """The first steps of a game of `rl.pong.Pong`, the likeliest action taken."""
    observation, _ = env.reset(seed=seed)
    looks: list[Look] = []
    for _ in range(steps):
        looks.append(look(observation, env.frames))
        observation, _, terminated, truncated, _ = env.step(looks[-1].action)
        if terminated or truncated:
            break
    return looks


def curve(run: Run) -> Figure:
    """Returns by steps of the environments: of the games that ended in a round, and of 20 games."""
    at = dict(zip(*run.history("environment_steps"), strict=True))
    figure = new_figure(7.0, 3.6)
    ax: Any = figure.subplots()
    for name, label, alpha in (("game_return", "a round's games", 0.3), ("mean_of_20_games", "20 games", 1.0)):
        rounds, values = run.history(name)
        ax.plot([at[i] for i in rounds], values, ".-", color="C0", markersize=2, alpha=alpha, label=label)
    ax.axhline(0.0, color="black", linestyle="--", linewidth=1.0)
    ax.set(title=f"after {run.train_seconds / 60:.0f} minutes", xlabel="steps of the environments", ylim=(-21.5, 21.5))
    ax.set_ylabel("points more than the built-in player")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure


def steps_of_the_input(looks: Sequence[Look], agent: str) -> Figure:
    """From the raw frame to what the policy sees, each step a picture: of where there is most to be seen."""
    from tinygrad_edu.rl import pong

    raw = max((look.frames for look in looks), key=lambda frames: by_hand.shapes(frames[-2:]).sum())
    if agent == "cnn":
        grey = pong.grey(raw)
        small = pong.shrink(grey)
        fields = pong.field(small)
        panels = {"raw, 210 × 160 × 3": raw[-1], "grey": grey[-1], "shrunk to 42 × 40": small[-1]}
        panels |= {f"the field, {3 - i} before" if i < 3 else "the field, now": fields[i] for i in range(4)}
    else:
        side = (by_hand.SIDE, by_hand.SIDE)
        before, now = by_hand.shapes(raw[-2]).reshape(side), by_hand.shapes(raw[-1]).reshape(side)
        panels = {"raw, 210 × 160 × 3": raw[-1], "red of the field": raw[-1][35:195:2, ::2, 0], "shapes before": before}
        panels |= {"shapes now": now, "difference, 80 × 80": now.astype(int) - before}
    figure = new_figure(1.7 * len(panels), 2.3)
    for ax, (title, picture) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        ax.imshow(picture, cmap="gray")
        ax.set_title(title, fontsize=8)
        ax.axis("off")
    return figure


def film(looks: Sequence[Look]) -> bytes:
    """The game, what the policy sees of it, and what mattered (red) side by side, as a GIF in the game's own time."""
    require("PIL", extra="viz")
    from PIL import Image, ImageDraw

    images = []
    for look in looks:
        seen = np.repeat((255.0 * stretched(look.seen)).astype(np.uint8)[..., None], 3, axis=2)
        # in few levels: of smooth shades the file becomes many times as large
        share = np.round(LEVELS * stretched(look.saliency / max(look.saliency.max(), 1e-12)))[..., None] / LEVELS
        mattered = (0.5 * seen * (1.0 - share) + np.array([255.0, 60.0, 30.0]) * share).astype(np.uint8)
        gap = np.full((HEIGHT, 4, 3), 255, np.uint8)
        image = Image.fromarray(np.concatenate([look.frames[-1], gap, seen, gap, mattered], axis=1))
        name = ("stay", "up", "down")[look.action]
        ImageDraw.Draw(image).text((168, 2), f"{name} {100 * look.probability:.0f}%", fill=(255, 220, 0))
        images.append(image.quantize(64, dither=Image.Dither.NONE))
    out = BytesIO()
    images[0].save(
        out, "GIF", save_all=True, append_images=images[1:], duration=round(1000 * FRAME_SECONDS / 10) * 10, loop=0
    )
    return out.getvalue()


def stretched(picture: np.ndarray) -> np.ndarray:
    """(H, W) -> (HEIGHT, HEIGHT): as square as the field itself."""
    rows, columns = (np.arange(HEIGHT) * side // HEIGHT for side in picture.shape)
    return picture[rows][:, columns]


def show(path: Path) -> str:
    """Open a picture in the user's viewer; what was done, or that there is no display."""
    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return f"--watch: there is no display here; the game is in {path}"
    webbrowser.open(path.resolve().as_uri())
    return f"--watch: opened {path}"
