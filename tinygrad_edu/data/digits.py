"""Handwritten digits of 8 × 8 grey levels, the set that comes with scikit-learn: nothing to download.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part, 1797 digits).
"""

from __future__ import annotations

import numpy as np

from tinygrad_edu.data.dataset import Dataset
from tinygrad_edu.errors import require


def digits() -> Dataset:
    """1797 handwritten digits, 8 × 8: 1437 to learn from, 360 to be judged by.

    x `(N, 1, 8, 8)` float32 in 0..1, y `(N,)` int64 in 0..9. The split is the same for everybody and every seed.
    Raises MissingExtra without scikit-learn.
    """
    bunch = require("sklearn.datasets", "viz").load_digits()
    x = (bunch.images / 16).astype(np.float32)[:, None]  # (1797, 1, 8, 8); the file has grey levels 0..16
    y = bunch.target.astype(np.int64)
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(x))  # the file goes writer by writer
    train, test = order[:1437], order[1437:]  # 80 % and 20 %
    source = "scikit-learn's load_digits: UCI, Optical Recognition of Handwritten Digits (Alpaydin, Kaynak, 1998)"
    return Dataset("digits", (x[train], y[train]), (x[test], y[test]), tuple("0123456789"), source)
