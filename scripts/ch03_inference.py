"""Chapter 3: tests and intervals from scratch: t, chi-square, permutation, bootstrap.

A test asks: if there were nothing to find, how often would chance alone give a difference at least as large as the
one observed? That is the p-value. It is not the probability that there is nothing to find.

Sources: "Student", "The probable error of a mean", 1908; B. Welch, 1947 (unequal variances); K. Pearson, 1900 (χ²);
B. Phipson, G. Smyth, "Permutation P-values should never be zero", 2010; B. Efron, R. Tibshirani, An Introduction to
the Bootstrap, 1993, section 13.3 (percentiles).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad_edu.scripts.ch03_p_values import chi_square_p_value, t_p_value

BLOCK = 4_000_000  # numbers drawn at a time


class Result(NamedTuple):
    """A test's statistic, its degrees of freedom (NaN where it has none) and the p-value."""

    statistic: float
    freedom: float
    p_value: float


def t_test(a: np.ndarray, b: np.ndarray) -> Result:
    """Do two samples come from populations of one mean? Welch's test, which does not ask for equal variances.

        t = (ā - b̄) / √(s²_a / n + s²_b / m)            s² with n - 1 below

    ValueError for samples of less than two values, and for two that do not vary at all.
    """
    parts = [x.var(ddof=1) / len(x) for x in _samples("t_test", a, b)]
    variance = sum(parts)
    if variance == 0.0:
        raise ValueError("t_test: expected samples that vary, got two constant ones")
    t = (a.mean() - b.mean()) / math.sqrt(variance)
    freedom = variance**2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True))  # Welch's (26)
    return Result(float(t), float(freedom), t_p_value(t, freedom))


def paired_t_test(a: np.ndarray, b: np.ndarray) -> Result:
    """The same for two measurements of the same things, (N,) each: is the mean of their differences 0?

    t = d̄ / (s_d / √N), N - 1 degrees of freedom. ValueError as above, and for samples of unequal lengths.
    """
    _samples("paired_t_test", a, b)
    if len(a) != len(b):
        raise ValueError(f"paired_t_test: expected pairs, got {len(a)} and {len(b)} values")
    differences = a - b
    if not differences.any() or differences.std() == 0.0:
        raise ValueError("paired_t_test: expected differences that vary, got a constant one")
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(len(a)))
    return Result(float(t), len(a) - 1, t_p_value(t, len(a) - 1))


def chi_square_independence(table: np.ndarray) -> Result:
    """Are two properties independent? `table` (R, C) counts those that have the r-th of one and the c-th of the other.

        χ² = Σ (observed - expected)² / expected,       expected = row's sum × column's sum / all

    ValueError for less than two rows or columns, negative counts, and a row or column of zeros.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or (table < 0.0).any():
        raise ValueError(f"chi_square: expected counts, at least 2 x 2 of them, got {table.shape}")
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if not (rows.all() and columns.all()):
        raise ValueError("chi_square: expected counts in every row and column, got one with none")
    return _chi_square(table, np.outer(rows, columns) / table.sum(), (len(rows) - 1) * (len(columns) - 1))


def chi_square_fit(observed: np.ndarray, shares: np.ndarray) -> Result:
    """Do counts (K,) follow a law that gives each of K kinds its share? K - 1 degrees of freedom."""
    observed, shares = np.asarray(observed, np.float64), np.asarray(shares, np.float64)
    return _chi_square(observed, observed.sum() * shares / shares.sum(), len(observed) - 1)


def _chi_square(observed: np.ndarray, expected: np.ndarray, freedom: int) -> Result:
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    return Result(chi2, freedom, chi_square_p_value(chi2, freedom))


def permutation_test(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, *, resamples: int = 9999
) -> tuple[Result, np.ndarray]:
    """Would the difference of means be as large if the labels were dealt out at random? And the differences then.

    Nothing is asked of the populations. p = (1 + as large or larger) / (1 + resamples): what was observed is itself
    one of the ways to deal, so p is never 0.
    """
    _samples("permutation_test", a, b)
    observed, everything = a.mean() - b.mean(), np.concatenate([a, b])
    differences = np.empty(resamples)
    for rows in _blocks(resamples, len(everything)):
        dealt = rng.permuted(np.tile(everything, (len(rows), 1)), axis=1)
        differences[rows] = dealt[:, : len(a)].mean(axis=1) - dealt[:, len(a) :].mean(axis=1)
    # Equal but for rounding counts as equal: sums in another order differ in their last digits.
    larger = (np.abs(differences) >= abs(observed) * (1.0 - 1e-12)).sum()
    return Result(float(observed), math.nan, float(1 + larger) / (1 + resamples)), differences


def bootstrap(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, *, resamples: int = 9999, level: float = 0.95
) -> tuple[tuple[float, float], np.ndarray]:
    """The percentile interval of ā - b̄ that covers `level`, and the differences that it is made from.

    The samples stand for their populations: each is drawn from again, with replacement, as often as it has values.
    """
    _samples("bootstrap", a, b)
    differences = np.zeros(resamples)
    for sample, sign in ((a, 1.0), (b, -1.0)):
        for rows in _blocks(resamples, len(sample)):
            drawn = sample[rng.integers(0, len(sample), (len(rows), len(sample)))]
            differences[rows] += sign * drawn.mean(axis=1)
    low, high = np.quantile(differences, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return (float(low), float(high)), differences


def _samples(owner: str, *samples: np.ndarray) -> tuple[np.ndarray, ...]:
    for sample in samples:
        if len(sample) < 2 or not np.isfinite(sample).all():
            raise ValueError(f"{owner}: expected at least two finite values in each sample, got {sample}")
    return samples


def _blocks(rows: int, width: int) -> list[np.ndarray]:
    """Indices 0 to rows - 1 in blocks of rows whose numbers fit in memory."""
    step = max(1, BLOCK // width)
    return [np.arange(start, min(start + step, rows)) for start in range(0, rows, step)]
