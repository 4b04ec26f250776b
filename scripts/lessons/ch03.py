"""Chapter 3's lessons: chance, and data as they come.

The samplers are in `scripts/ch03_sampling.py`, the tests in `scripts/ch03_inference.py`, both from scratch; a source
stands with each.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.data.csv_file import read_csv
from tinygrad_edu.data.table import Table
from tinygrad_edu.errors import require
from tinygrad_edu.scripts import ch03_inference as inference
from tinygrad_edu.scripts import ch03_sampling as sampling
from tinygrad_edu.scripts.ch03_statistics import SLEEP

CSV = 'day,degrees,sky,"visitors"\n1,21.5,sunny,120\n2,,rain,35\n3,18,"sun, then rain",\n4,30.5,sunny,190\n'


def samples() -> None:
    """Normal, binomial and Poisson samples, their means and deviations measured and by formula."""
    rng = np.random.default_rng(0)
    print(
        "Made of uniform numbers alone. By how much may a measured mean be off? Its standard error is σ / √n: a hundred"
    )
    print("times the numbers, a tenth of the error.\n")
    print("                              n       mean  expected   error/SE  deviation  expected")
    laws: dict[str, tuple[Callable[[int], np.ndarray], float, float]] = {
        "normal(5, 2)": (lambda n: sampling.normal(rng, n, 5.0, 2.0), 5.0, 2.0),
        "binomial(20, 0.3)": (lambda n: sampling.binomial(rng, n, 20, 0.3), 6.0, math.sqrt(20 * 0.3 * 0.7)),
        "Poisson(4)": (lambda n: sampling.poisson(rng, n, 4.0), 4.0, 2.0),
    }
    for name, (draw, mean, deviation) in laws.items():
        for n in (100, 10_000, 1_000_000):
            x = draw(n)
            off = (x.mean() - mean) / (deviation / math.sqrt(n))
            spread = f"{x.std(ddof=1):>10.4f} {deviation:>9.4f}"
            print(f"  {name:<18} {n:>10,} {x.mean():>10.4f} {mean:>9.4f} {off:>+10.2f} {spread}")
    print("\nNormal numbers in a picture, a line for half a deviation each, • where the density says it should end.\n")
    for line in bars(sampling.normal(rng, 10_000)):
        print(line)


def bars(x: np.ndarray, width: float = 0.5) -> list[str]:
    """A histogram in text of standard normal numbers, with the normal density."""
    lines = []
    for low in np.arange(-3.0, 3.0, width):
        share = float(((x >= low) & (x < low + width)).mean())
        law = float(sampling.normal_density(np.linspace(low, low + width, 101)).mean()) * width
        row = list("█" * round(300 * share)) + [" "] * 80
        row[round(300 * law)] = "•"
        lines.append(f"  {low:>5.1f} to {low + width:>4.1f}  {share:>6.1%}  {''.join(row).rstrip()}")
    return lines


def synthetic() -> None:
    """A synthetic classification set by random sampling, and how well any method can do on it."""
    print("A fair coin chooses the class, its cloud the place. Two clouds of deviation 1, the centres so far apart:\n")
    print("  distance   right, nearer centre   the best there is, Φ(distance / 2)")
    for distance in (0.5, 1.0, 2.0, 4.0):
        x, classes = sampling.two_classes(np.random.default_rng(0), 20_000, distance)
        right = float(((x[:, 0] > 0.0) == classes).mean())
        best = 1.0 - 0.5 * math.erfc(distance / 2.0 / math.sqrt(2.0))
        print(f"  {distance:>8.1f} {right:>22.4f} {best:>36.4f}")
    print("\nWho makes the data knows the answer: a method that claims to be right more often has seen the test.")


def loading_with_pandas() -> None:
    """Loading a CSV file with pandas, and the same with our own reader."""
    pandas: Any = require("pandas", extra="viz")
    print(f"The file.\n\n{indented(CSV)}\n\npandas.read_csv.\n")
    frame = pandas.read_csv(io.StringIO(CSV))
    print(indented(frame.to_string()))
    kinds = ", ".join(f"{name} {dtype}" for name, dtype in frame.dtypes.items())
    print(f"\n  {kinds}\n  missing: {frame.isna().sum().to_dict()}")
    table = read_csv(io.StringIO(CSV))
    print("\nOurs, tinygrad_edu.data.read_csv.\n")
    for name in table.names:
        print(f"  {name:<9} {table.columns[name].tolist()}")
    same = all(np.array_equal(table[n], Table.from_pandas(frame)[n], equal_nan=n in table.numbers) for n in table.names)
    print(f"\nThe same values: {same}. What pandas would guess, ours refuses; a row that is too short, for one:\n")
    try:
        read_csv(io.StringIO(CSV + "5,20\n"))
    except ValueError as error:
        print(f"  ValueError: {error}")


def indented(text: str) -> str:
    """The lines, two blanks before each."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def column_mean(column: np.ndarray) -> float:
    """The mean of the values that are there; ValueError where none is."""
    known = column[~np.isnan(column)]
    if not len(known):
        raise ValueError("column_mean: expected at least one value, got none")
    return float(known.sum() / len(known))


def filled(column: np.ndarray, mean: float) -> np.ndarray:
    """The column with `mean` where a value is missing."""
    return np.where(np.isnan(column), mean, column)


def min_max(column: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0 at `low` to 1 at `high`."""
    return (column - low) / (high - low)


def standardised(column: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """Deviations above the mean."""
    return (column - mean) / deviation


def cleaning() -> None:
    """Missing values by the column mean, min-max and standardisation from scratch, learnt from the training part."""
    train, test = np.array([2.0, math.nan, 4.0, 6.0, 8.0]), np.array([math.nan, 10.0])
    mean = column_mean(train)
    print(f"The training part {train}, the test part {test}.\n")
    print(f"  mean of what is there     {mean:g}")
    a, b = filled(train, mean), filled(test, mean)
    print(f"  filled in                 {a}, {b}")
    low, high = a.min(), a.max()
    print(f"  min-max, {low:g} to {high:g}         {min_max(a, low, high).round(3)}, {min_max(b, low, high).round(3)}")
    center, deviation = a.mean(), math.sqrt(((a - a.mean()) ** 2).sum() / len(a))
    print(f"  standardised, σ = {deviation:.4f}   {standardised(a, center, deviation).round(3)}", end=", ")
    print(f"{standardised(b, center, deviation).round(3)}")
    print(
        "\nThe test part's 10 lies beyond 1, as a new value may. Had it had a part in mean and scale, the model would"
    )
    print("have learnt something of the test before it: that is called leakage.")
    print(f"\nFilling in has a price. Deviation of the four values {np.nanstd(train):.4f}, of the five {a.std():.4f}.")


def hypothesis_tests() -> None:
    """Hypothesis tests and p-values: what one is, and t, permutation and chi-square tests worked out."""
    first, second = SLEEP
    differences = second - first
    print("Student's ten patients, hours of sleep gained by drug 1 and by drug 2 (1908).\n")
    print(f"  drug 1       {numbers(first)}\n  drug 2       {numbers(second)}\n  difference   {numbers(differences)}\n")
    n, mean, deviation = len(differences), differences.mean(), differences.std(ddof=1)
    result = inference.paired_t_test(second, first)
    print(f"  t = mean / (deviation / √n) = {mean:.2f} / ({deviation:.4f} / √{n}) = {result.statistic:.4f}")
    print(f"  p = P(|T| ≥ {result.statistic:.4f}) with {n - 1} degrees of freedom = {result.p_value:.6f}\n")
    print(
        "If neither drug were better, a mean this far from 0 would come about in 3 of 1000 such trials. That is not the"
    )
    print("probability that neither is better. As two groups of strangers, the same numbers would tell less:\n")
    welch, rng = inference.t_test(second, first), np.random.default_rng(0)
    dealt, _ = inference.permutation_test(second, first, rng)
    p = f"p = {welch.p_value:.5f}"
    print(f"  Welch's t-test     t = {welch.statistic:.4f}, {welch.freedom:.2f} degrees of freedom, {p}")
    print(f"  permutation test   difference {dealt.statistic:.2f}, p = {dealt.p_value:.4f}")
    print("\nMendel's 556 peas, round or wrinkled, yellow or green; his law says 9 : 3 : 3 : 1 (1866).\n")
    observed, shares = np.array([315.0, 108.0, 101.0, 32.0]), np.array([9.0, 3.0, 3.0, 1.0])
    expected = observed.sum() * shares / 16.0
    fit = inference.chi_square_fit(observed, shares)
    terms = " + ".join(f"{(o - e) ** 2 / e:.3f}" for o, e in zip(observed, expected, strict=True))
    print(f"  observed {numbers(observed)}\n  expected {numbers(expected)}")
    print(f"  χ² = Σ (observed - expected)² / expected = {terms} = {fit.statistic:.3f}, p = {fit.p_value:.3f}")
    print("\nHow p falls out where there is nothing to find: 2000 t-tests of two samples of one population.\n")
    found = [inference.t_test(*sampling.normal(rng, 40).reshape(2, 20)).p_value for _ in range(2000)]
    for low in np.arange(0.0, 1.0, 0.2):
        share = float(((np.array(found) >= low) & (np.array(found) < low + 0.2)).mean())
        print(f"  {low:.1f} to {low + 0.2:.1f}  {share:>6.1%}  {'█' * round(100 * share)}")
    wrong = float((np.array(found) < 0.05).mean())
    print(f"\n{wrong:.1%} of them are below 0.05: who tries twenty things finds one, though there is none.")


def numbers(values: np.ndarray) -> str:
    """Numbers in columns of seven."""
    return "".join(f"{x:>7g}" if float(x).is_integer() else f"{x:>7.1f}" for x in values)


def correlation_and_cause() -> None:
    """Correlation against causation: ice cream and sunburn, seen, accounted for, and decided by lot."""
    rng = np.random.default_rng(0)
    seen, forced = sampling.summer(rng, 1000), sampling.summer(rng, 1000, forced=True)
    r = sampling.correlation(seen.ice_cream, seen.sunburn)
    print("A summer, made up: heat sells ice cream, and heat burns skins. Nobody is burnt by ice cream.\n")
    print(f"  correlation of ice cream and sunburn, as seen            {r:+.3f}")
    given = sampling.partial_correlation(seen.ice_cream, seen.sunburn, seen.temperature)
    print(f"  ... with what the heat explains of both taken away       {given:+.3f}")
    by_lot = sampling.correlation(forced.ice_cream, forced.sunburn)
    print(f"  ... in a summer where sales were decided by lot          {by_lot:+.3f}")
    slope = r * seen.sunburn.std() / seen.ice_cream.std()
    print(
        f"\nWho only looks would say: a hundred portions less, {100 * slope:.1f} cases less. Who tries sees no change."
    )
    print(
        "To see that some days have less ice cream is not to make it less; the experiment cuts the arrow from heat to"
    )
    print("sales. Where none can be made, one accounts for the common cause, if it was thought of and measured.")


LESSONS: dict[str, Callable[[], None]] = {
    "3.1": samples,
    "3.2": synthetic,
    "3.3": loading_with_pandas,
    "3.4": cleaning,
    "3.5": hypothesis_tests,
    "3.6": correlation_and_cause,
}
