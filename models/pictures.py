"""What the models of pictures have in common."""

from __future__ import annotations

from tinygrad_edu import Tensor


def check_pictures(model: str, x: Tensor, channels: int, size: int) -> None:
    """ValueError, in the name of `model`, unless x is (B, channels, size, size)."""
    if x.shape[1:] != (channels, size, size):
        raise ValueError(f"{model}: expected pictures of shape (B, {channels}, {size}, {size}), got {x.shape}")
