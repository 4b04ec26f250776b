"""A module to be used again: numbers brought to one scale, in core Python. Lesson 1.4 imports it, and so may you.

    min-max             z = (x - min) / (max - min)         from 0 to 1
    standardisation     z = (x - μ) / σ                     mean 0 and standard deviation 1, σ² = Σ (x - μ)² / N

Values that are all the same have no scale: they become 0. `plugins/scalers.py` does it for columns of an array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def min_max(values: Sequence[float]) -> list[float]:
    """The values, the smallest as 0 and the largest as 1.

    >>> min_max([2, 4, 10])
    [0.0, 0.25, 1.0]
    """
    low, high = _finite(values, min(values, default=0)), max(values, default=0)
    return [(x - low) / (high - low) if high > low else 0.0 for x in values]


def standardise(values: Sequence[float]) -> list[float]:
    """The values as numbers of standard deviations above their mean.

    >>> standardise([1, 3, 5, 7])[-1] == 3 / math.sqrt(5)
    True
    """
    mean = _finite(values, math.fsum(values)) / max(1, len(values))
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / max(1, len(values)))
    constant = len(set(values)) < 2  # not deviation == 0: the mean of equal values may be rounded
    return [0.0 if constant else (x - mean) / deviation for x in values]


def _finite(values: Sequence[float], result: float) -> float:
    """`result`, or ValueError for values that are no finite numbers, of which there is no smallest and no mean."""
    for i, x in enumerate(values):
        if not math.isfinite(x):
            raise ValueError(f"normalising: expected finite numbers, got {x} at place {i}")
    return result
