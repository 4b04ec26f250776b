"""What a set of pictures may hold: another kind, range or label is refused, nothing at all is not."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_edu import data


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 1, 4, 4)), np.zeros(2, np.int64), "expected pictures of float32 in 0..1, got float64 in 0..0"),
        (np.full((2, 1, 4, 4), 255, np.float32), np.zeros(2, np.int64), "got float32 in 255..255"),
        (np.full((2, 1, 4, 4), np.nan, np.float32), np.zeros(2, np.int64), "got float32 in nan..nan"),
        (
            np.zeros((2, 1, 4, 4), np.float32),
            np.array([0, 3]),
            r"expected 2 labels, .*, got int64 \(2,\) in 0..3",
        ),
        (np.zeros((2, 1, 4, 4), np.float32), np.array([-1, 0]), r"got int64 \(2,\) in -1..0"),
        (
            np.zeros((2, 1, 4, 4), np.float32),
            np.zeros(3, np.int64),
            r"expected 2 labels, .*, got int64 \(3,\)",
        ),
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2), r"expected 2 labels, int64 in 0..2, got float64 \(2,\)"),
    ],
)
def test_pictures_of_another_kind_or_range_are_refused(x: np.ndarray, y: np.ndarray, message: str) -> None:
    good = np.zeros((1, 1, 4, 4), np.float32), np.zeros(1, np.int64)
    for parts in ((x, y), good), (good, (x, y)):
        with pytest.raises(ValueError, match=f"mine: .*{message}"):
            data.Dataset("mine", *parts, ("a", "b", "c"), "made up")


def test_no_pictures_at_all_are_fine() -> None:
    nothing = np.zeros((0, 1, 4, 4), np.float32), np.zeros(0, np.int64)
    assert data.Dataset("mine", nothing, nothing, ("a",), "made up").train[0].shape == (0, 1, 4, 4)
