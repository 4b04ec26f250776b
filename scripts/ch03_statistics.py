"""Chapter 3: chance drawn and measured. Samples beside their laws, the law of large numbers, tests and intervals from
scratch with SciPy's p-values beside, a set to classify, and a correlation that is no cause.

The sampling is in `ch03_sampling.py`, the tests in `ch03_inference.py`, the tails they need in `ch03_p_values.py`.
Two sets of real data are small enough to stand here: Student's patients, who slept longer after one drug than after
another (1908), and the six largest departments of Berkeley, which admitted more men than women (P. Bickel, E. Hammel,
J. O'Connell, "Sex bias in graduate admissions: data from Berkeley", Science 187, 1975).
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tinygrad_edu.data.csv_file import read_csv
from tinygrad_edu.errors import require
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch03_inference as inference
from tinygrad_edu.scripts import ch03_sampling as sampling
from tinygrad_edu.scripts import ch03_statistics_pictures as pictures

SLEEP = (  # hours of sleep gained by ten patients, from each of two drugs
    np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]),
    np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]),
)
BERKELEY = {  # department -> men admitted and rejected, women admitted and rejected
    "A": ((512, 313), (89, 19)),
    "B": ((353, 207), (17, 8)),
    "C": ((120, 205), (202, 391)),
    "D": ((138, 279), (131, 244)),
    "E": ((53, 138), (94, 299)),
    "F": ((22, 351), (24, 317)),
}


@dataclass
class Args:
    """Draw and measure chance (chapter 3)."""

    samples: int = 10_000
    """Numbers to draw from each distribution."""
    trials: int = 20
    """Of the binomial distribution."""
    probability: float = 0.3
    """Of success in each of them."""
    rate: float = 4.0
    """Events that are expected, of the Poisson distribution."""
    resamples: int = 9999
    """Of the permutation test and the bootstrap."""
    data: str | None = None
    """A CSV file with two samples to compare, instead of Student's patients."""
    column: str | None = None
    """Its column of numbers to compare."""
    by: str | None = None
    """Its column that tells the two groups apart."""
    compare: Literal["auto", "scipy", "none"] = "auto"
    """Test with SciPy too: auto, where it is installed."""


def main(args: Args, run: Run) -> None:
    """Draw, measure, test, compare."""
    check(args)
    rng = np.random.default_rng(run.seed)
    distributions(args, run, rng)
    figure, caption = pictures.large_numbers(rng)
    run.figure("large-numbers", figure, caption)
    theirs: Any = require("scipy.stats", extra="viz") if wants_scipy(args.compare) else None
    compare_means(args, run, rng, theirs)
    admissions(run, theirs)
    causes(run, rng)
    x, classes = sampling.two_classes(rng, 600)
    right = float(((x[:, 0] > 0.0) == classes).mean())
    best = 1.0 - 0.5 * math.erfc(1.0 / math.sqrt(2.0))  # Φ(1): the centres are 2 apart
    run.result(class_accuracy_of_best_rule=right, class_accuracy_expected=best)
    run.figure(
        "classes",
        pictures.classes(x, classes),
        f"A set to classify, made by chance: the best rule there is, the dashed line, is right for {right:.1%} of "
        f"these points, and for {best:.1%} of endlessly many.",
    )


def check(args: Args) -> None:
    """Raise ValueError for flags that make no sense, or not together."""
    for name, value, least in (
        ("samples", args.samples, 2),
        ("trials", args.trials, 1),
        ("resamples", args.resamples, 1),
    ):
        if value < least:
            raise ValueError(f"statistics: expected --{name} of at least {least}, got {value}")
    if not 0.0 < args.probability < 1.0:
        raise ValueError(f"statistics: expected --probability between 0 and 1, got {args.probability}")
    if len({args.data is None, args.column is None, args.by is None}) > 1:
        raise ValueError("statistics: --data, --column and --by belong together")


def wants_scipy(compare: str) -> bool:
    """Whether to ask SciPy as well."""
    return compare == "scipy" or (compare == "auto" and importlib.util.find_spec("scipy") is not None)


def distributions(args: Args, run: Run, rng: np.random.Generator) -> None:
    """Sample three distributions; their means and deviations, measured and by formula."""
    n, trials, p, rate = args.samples, args.trials, args.probability, args.rate
    samples = {
        "normal": (sampling.normal(rng, n), 0.0, 1.0),
        "binomial": (sampling.binomial(rng, n, trials, p), trials * p, math.sqrt(trials * p * (1.0 - p))),
        "poisson": (sampling.poisson(rng, n, rate), rate, math.sqrt(rate)),
    }
    for name, (x, mean, deviation) in samples.items():
        found = {f"{name}_mean": x.mean(), f"{name}_deviation": x.std(ddof=1)}
        run.result(**found, **{f"{name}_mean_expected": mean, f"{name}_deviation_expected": deviation})
        off = (x.mean() - mean) / (deviation / math.sqrt(n))
        run.verdict(
            f"{n} {name.replace('poisson', 'Poisson')} numbers: mean {x.mean():.4f} for {mean:.4f}, {off:+.2f} "
            f"standard errors away; deviation {x.std(ddof=1):.4f} for {deviation:.4f}."
        )
    k = [np.arange(int(x.max()) + 1) for x, _, _ in (samples["binomial"], samples["poisson"])]
    k[0] = k[0][k[0] <= trials]
    laws = (sampling.binomial_probability(k[0], trials, p), sampling.poisson_probability(k[1], rate))
    figure = pictures.distributions(samples["normal"][0], samples["binomial"][0], samples["poisson"][0], k, laws)
    run.figure("distributions", figure, f"{n} numbers from each distribution (bars) beside its law (line, dots).")


def two_samples(args: Args) -> tuple[dict[str, np.ndarray], str]:
    """The samples to compare by name, and what is measured. ValueError for a file that has no two groups."""
    if args.data is None or args.column is None or args.by is None:
        return {"drug 2": SLEEP[1], "drug 1": SLEEP[0]}, "hours of sleep gained"
    table = read_csv(args.data, text=[args.by])
    values, groups = table[args.column], table[args.by]
    if args.column in table.texts:
        raise ValueError(f"statistics: --column {args.column}: expected numbers, got texts; numbers: {table.numbers}")
    labels = sorted(set(groups) - {""})
    if len(labels) != 2:
        raise ValueError(f"statistics: --by {args.by}: expected two groups, got {len(labels)}: {', '.join(labels[:9])}")
    return {label: values[(groups == label) & ~np.isnan(values)] for label in labels}, args.column


def compare_means(args: Args, run: Run, rng: np.random.Generator, theirs: Any) -> None:
    """Two samples: Welch's t-test, for pairs the paired one, a permutation test, a bootstrap interval."""
    samples, what = two_samples(args)
    (first, a), (second, b) = samples.items()
    tests = {"t_test": inference.t_test(a, b)}
    if args.data is None:
        tests["paired_t_test"] = inference.paired_t_test(a, b)
    tests["permutation"], dealt = inference.permutation_test(a, b, rng, resamples=args.resamples)
    (low, high), drawn = inference.bootstrap(a, b, rng, resamples=args.resamples)
    run.result(mean_difference=float(a.mean() - b.mean()), bootstrap_low=low, bootstrap_high=high)
    run.result(**{f"{name}_p_value": result.p_value for name, result in tests.items()})
    run.verdict(
        f"{what}, {first} against {second}: the means differ by {a.mean() - b.mean():.4g}, 95 % interval {low:.4g} to "
        f"{high:.4g} (bootstrap). p = {tests['t_test'].p_value:.4g} (Welch's t-test), "
        f"{tests['permutation'].p_value:.4g} (permutation)."
    )
    if "paired_t_test" in tests:
        run.verdict(
            f"The ten patients took both drugs: compared each with himself, p = {tests['paired_t_test'].p_value:.4g}. "
            "The patients differ more than the drugs do, and pairing takes that out."
        )
    if theirs is not None:
        found = {"t_test": theirs.ttest_ind(a, b, equal_var=False)}
        if "paired_t_test" in tests:
            found["paired_t_test"] = theirs.ttest_rel(a, b)
        difference = lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis)
        settings = {"n_resamples": args.resamples, "vectorized": True}
        found["permutation"] = theirs.permutation_test(
            (a, b), difference, **settings, rng=np.random.default_rng(run.seed)
        )
        interval = theirs.bootstrap(
            (a, b), difference, **settings, method="percentile", rng=run.seed
        ).confidence_interval
        run.result(**{f"scipy_{name}_p_value": float(result.pvalue) for name, result in found.items()})
        run.result(scipy_bootstrap_low=float(interval.low), scipy_bootstrap_high=float(interval.high))
        apart = max(abs(tests[name].p_value - found[name].pvalue) for name in found if name != "permutation")
        run.verdict(
            f"SciPy's t-tests give the same p-values to {apart:.1g}; its permutation test and bootstrap, which draw "
            f"other numbers, {found['permutation'].pvalue:.4g} and {interval.low:.4g} to {interval.high:.4g}."
        )
    run.figure("means", pictures.means(samples, what, tests["t_test"], dealt, (low, high), drawn), pictures.MEANS)


def admissions(run: Run, theirs: Any) -> None:
    """Berkeley's admissions by sex: all departments together, and each by itself."""
    counts = np.array(list(BERKELEY.values()))  # (departments, sexes, 2)
    together = inference.chi_square_independence(counts.sum(axis=0))
    alone = [inference.chi_square_independence(table) for table in counts]
    run.result(chi_square=together.statistic, chi_square_p_value=together.p_value)
    run.result(**{f"chi_square_{name}_p_value": r.p_value for name, r in zip(BERKELEY, alone, strict=True)})
    if theirs is not None:
        reference = theirs.chi2_contingency(counts.sum(axis=0), correction=False)
        run.result(scipy_chi_square=float(reference.statistic), scipy_chi_square_p_value=float(reference.pvalue))
        for name, table in zip(BERKELEY, counts, strict=True):
            p_value = float(theirs.chi2_contingency(table, correction=False).pvalue)
            run.result(**{f"scipy_chi_square_{name}_p_value": p_value})
    run.verdict(
        f"Berkeley 1973: all together men were admitted more often, p = {together.p_value:.2g}. Department by "
        "department they were not, save in A, where women were: women applied where few of either sex got in."
    )
    run.figure("admissions", pictures.admissions(BERKELEY, counts), "Shares admitted, of men and of women.")


def causes(run: Run, rng: np.random.Generator) -> None:
    """Ice cream and sunburn: correlated as they come, but not with the heat accounted for, nor with sales by lot."""
    seen, forced = sampling.summer(rng, 500), sampling.summer(rng, 500, forced=True)
    found = {
        "correlation_seen": sampling.correlation(seen.ice_cream, seen.sunburn),
        "correlation_given_temperature": sampling.partial_correlation(seen.ice_cream, seen.sunburn, seen.temperature),
        "correlation_in_experiment": sampling.correlation(forced.ice_cream, forced.sunburn),
    }
    run.result(**found)
    run.verdict(
        f"Ice cream and sunburn: correlation {found['correlation_seen']:.2f}; with the heat accounted for "
        f"{found['correlation_given_temperature']:.2f}; where sales are decided by lot "
        f"{found['correlation_in_experiment']:.2f}. Heat causes both, and neither the other."
    )
    run.figure("causes", pictures.causes(seen, forced, found), "A correlation without a cause, seen in three ways.")
