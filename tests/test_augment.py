"""Random crops and flips: each picture one of the possible ones, all of them in time, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_edu import data


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_crop_moves_each_picture_by_itself_and_fills_with_zeros() -> None:
    picture = np.arange(1.0, 25.0, dtype=np.float32).reshape(2, 3, 4)
    x = np.stack([picture] * 500)
    out = data.random_crop(x, rng(), padding=1)
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    wide = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    possible = {wide[:, top : top + 3, left : left + 4].tobytes() for top in range(3) for left in range(3)}
    found = [image.tobytes() for image in out]
    assert set(found) == possible
    # 500 draws of 9 kinds: 56 each, and 5 standard deviations of 7
    assert all(20 < found.count(kind) < 92 for kind in possible)


def test_a_flip_mirrors_about_half_of_the_pictures() -> None:
    x = rng().standard_normal((500, 2, 3, 4)).astype(np.float32)
    out = data.random_flip(x, rng())
    assert out.dtype == x.dtype
    kept, flipped = ((out == other).all((1, 2, 3)) for other in (x, x[..., ::-1]))
    assert (kept ^ flipped).all()
    assert 190 < flipped.sum() < 310  # 250, and 5 standard deviations of 11


@pytest.mark.parametrize("change", [data.random_crop, data.random_flip])
def test_they_are_functions_of_the_seed_and_leave_the_batch_alone(change: object) -> None:
    assert callable(change)
    x = rng().standard_normal((20, 1, 8, 8))
    before = x.copy()
    assert np.array_equal(change(x, rng(1)), change(x, rng(1)))
    assert not np.array_equal(change(x, rng(1)), change(x, rng(2)))
    assert np.array_equal(x, before)
    assert change(x[:0], rng()).shape == (0, 1, 8, 8)
    with pytest.raises(ValueError, match=r"expected pictures of shape \(B, C, H, W\), got \(8, 8\)"):
        change(x[0, 0], rng())
