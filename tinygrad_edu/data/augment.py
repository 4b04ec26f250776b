"""Random crops and flips: a network that sees each picture a little different each time learns what does not matter.

Both take a batch (B, C, H, W) and a random generator, as `DataLoader(transform=...)` gives them, and return a new one.
Source: the augmentation of K. He et al., "Deep residual learning for image recognition", 2015, section 4.2.
"""

from __future__ import annotations

import numpy as np


def random_crop(x: np.ndarray, rng: np.random.Generator, padding: int = 4) -> np.ndarray:
    """Each picture moved by up to `padding` pixels up, down, left and right, zeros where nothing was: (B, C, H, W).

    ValueError unless x is (B, C, H, W).
    """
    B, _, H, W = _shape("random_crop", x)
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    views = np.lib.stride_tricks.sliding_window_view(wide, (H, W), axis=(2, 3))  # (B, C, 2p + 1, 2p + 1, H, W)
    top, left = rng.integers(0, 2 * padding + 1, (2, B))
    return views[np.arange(B), :, top, left]  # (B, C, H, W)


def random_flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each picture mirrored, left for right, with probability one half: (B, C, H, W). ValueError for another shape."""
    B, _, _, _ = _shape("random_flip", x)
    flipped = rng.random(B) < 0.5
    return np.where(flipped[:, None, None, None], x[..., ::-1], x)


def _shape(name: str, x: np.ndarray) -> tuple[int, ...]:
    if x.ndim != 4:
        raise ValueError(f"{name}: expected pictures of shape (B, C, H, W), got {x.shape}")
    return x.shape
