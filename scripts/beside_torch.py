"""What the projects that train the same network in torch, too, have in common."""

from __future__ import annotations

import importlib.util
from typing import Literal

Compare = Literal["auto", "torch", "none"]


def wanted(compare: Compare) -> bool:
    """Whether to train in torch as well: `auto` means where torch is installed."""
    return compare == "torch" or (compare == "auto" and importlib.util.find_spec("torch") is not None)


def verdict(accuracy: float, images: int, seconds: float, theirs: tuple[float, float] | None) -> str:
    """The sentence that compares two test accuracies and training times; `theirs` is torch's accuracy and seconds."""
    if theirs is None:
        return f"{accuracy:.2%} of {images} test images right; not compared with torch."
    points = 100.0 * (accuracy - theirs[0])
    return (
        f"{accuracy:.2%} of {images} test images right, torch from the same start {theirs[0]:.2%} "
        f"({points:+.2f} points); training took {seconds / theirs[1]:.2f} times torch's time."
    )


def loss_verdict(loss: float, of: str, seconds: float, theirs: tuple[float, float] | None) -> str:
    """The sentence that compares two losses, in nats `of` something, and times; `theirs`: torch's loss and seconds."""
    if theirs is None:
        return f"{loss:.4f} nats {of}; not compared with torch."
    return (
        f"{loss:.4f} nats {of}, torch from the same start {theirs[0]:.4f} ({loss - theirs[0]:+.4f}); "
        f"training took {seconds / theirs[1]:.2f} times torch's time."
    )
