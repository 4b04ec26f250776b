"""One picture to be looked at, made into what a network of small pictures reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinygrad_edu.errors import require


def one_picture(name: str, pictures: np.ndarray, invert: bool = False) -> np.ndarray:
    """The picture called `name` as (C, S, S) float32 in 0..1, like one of `pictures` (N, C, S, S).

    `name` is a place in `pictures`, `photograph` (a flower that comes with scikit-learn), or a file that Pillow reads:
    the square in its middle is taken, scaled to S × S pixels, and made grey for C = 1. `invert` gives the negative.
    ValueError for a place that there is not, a file that is missing or no picture.
    """
    if name.isdecimal():
        if int(name) >= len(pictures):
            raise ValueError(f"--image: expected a test picture 0..{len(pictures) - 1}, got {name}")
        picture = pictures[int(name)]
    else:
        picture = _photograph(name, *pictures.shape[1:3])
    return np.asarray(1.0 - picture if invert else picture, np.float32)


def _photograph(name: str, channels: int, size: int) -> np.ndarray:
    """A file, or scikit-learn's flower, as (C, S, S) in 0..1."""
    image_module = require("PIL.Image", "viz")
    if name == "photograph":
        image = image_module.fromarray(require("sklearn.datasets", "viz").load_sample_image("flower.jpg"))
    elif not Path(name).is_file():
        raise ValueError(f"--image: expected a test picture's number, `photograph` or a file that exists, got {name!r}")
    else:
        try:
            with image_module.open(name) as opened:
                image = opened.convert("RGB")
        except (OSError, SyntaxError, image_module.DecompressionBombError) as error:  # Pillow's, for a broken file
            raise ValueError(f"--image: expected {name} to be a picture (PNG, JPEG, ...): {error}") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((size, size), image_module.Resampling.LANCZOS)
    levels = np.asarray(square.convert("L" if channels == 1 else "RGB"), np.float32) / 255.0
    return levels[None] if channels == 1 else levels.transpose(2, 0, 1)  # (C, S, S)
