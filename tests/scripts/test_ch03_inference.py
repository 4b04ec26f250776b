"""Chapter 3's tests, tails and samplers: SciPy's numbers, the published ones, the laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu.scripts import ch03_inference as inference
from tinygrad_edu.scripts import ch03_p_values as tails
from tinygrad_edu.scripts import ch03_sampling as sampling
from tinygrad_edu.scripts.ch03_statistics import BERKELEY, SLEEP

Needs = Callable[[str], ModuleType]


@pytest.mark.parametrize("freedom", [1, 2, 3.5, 10, 57.3, 1000, 1e5])
def test_the_tails_of_t_are_scipys(freedom: float, needs: Needs) -> None:
    stats = needs("scipy.stats")
    for t in (0.0, 0.1, 1.0, -1.0, 2.0, 5.0, 12.0, 40.0):
        # lgamma of 5e4 is 5e5 and rounded in its 16th digit: so far the logarithm, and p relatively, may be off
        assert tails.t_p_value(t, freedom) == pytest.approx(2.0 * stats.t.sf(abs(t), freedom), rel=1e-10, abs=1e-290)
    assert tails.t_p_value(math.inf, freedom) == 0.0


def test_a_t_value_near_zero_keeps_its_digits() -> None:
    """One degree of freedom is Cauchy's distribution: p = 1 - 2 arctan(t) / π."""
    for t in (1e-12, 1e-8, 1e-4, 1.0, 1e4):
        assert tails.t_p_value(t, 1) == pytest.approx(2.0 / math.pi * math.atan2(1.0, t), rel=1e-14)


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 30, 500, 10_000])
def test_the_tails_of_chi_square_are_scipys(freedom: float, needs: Needs) -> None:
    stats = needs("scipy.stats")
    for x in (0.0, 1e-6, 0.1, 1.0, 5.0, 30.0, freedom, freedom + 3.0 * math.sqrt(2.0 * freedom), 2.0 * freedom + 50.0):
        expected = stats.chi2.sf(x, freedom)
        assert tails.chi_square_p_value(x, freedom) == pytest.approx(expected, rel=1e-10, abs=1e-290)


def test_tails_outside_their_domain() -> None:
    with pytest.raises(ValueError, match=r"incomplete_beta: expected x and y in 0\.\.1, got 1\.5 and -0\.5"):
        tails.incomplete_beta(1.0, 1.0, 1.5, -0.5)
    with pytest.raises(ValueError, match="incomplete_gamma: expected x of at least 0, got -1"):
        tails.incomplete_gamma(1.0, -1.0)


def test_students_own_figures(needs: Needs) -> None:
    """The sleep data's published values, as R's t.test(extra ~ group) prints them, and SciPy's to the last digits."""
    stats = needs("scipy.stats")
    a, b = SLEEP
    welch, paired = inference.t_test(a, b), inference.paired_t_test(a, b)
    assert welch.statistic == pytest.approx(-1.8608, abs=5e-5)
    assert (welch.freedom, welch.p_value) == (pytest.approx(17.776, abs=5e-4), pytest.approx(0.07939, abs=5e-6))
    assert (paired.statistic, paired.p_value) == (pytest.approx(-4.0621, abs=5e-5), pytest.approx(0.002833, abs=5e-7))
    for ours, theirs in ((welch, stats.ttest_ind(a, b, equal_var=False)), (paired, stats.ttest_rel(a, b))):
        assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-13)
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-12)


def test_chi_square_is_scipys(needs: Needs) -> None:
    stats = needs("scipy.stats")
    for table in (np.array(list(BERKELEY.values())).sum(axis=0), [[1, 2, 3], [4, 5, 60]], [[5, 5], [5, 5]]):
        ours, theirs = (
            inference.chi_square_independence(np.array(table)),
            stats.chi2_contingency(table, correction=False),
        )
        assert (ours.statistic, ours.freedom) == (pytest.approx(theirs.statistic, rel=1e-12, abs=1e-12), theirs.dof)
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-10)
    fit = inference.chi_square_fit(np.array([315, 108, 101, 32]), np.array([9, 3, 3, 1]))
    assert fit.statistic == pytest.approx(0.470024, abs=5e-7)  # Mendel's peas, as every textbook has them
    assert fit.p_value == pytest.approx(stats.chisquare([315, 108, 101, 32], 556 * np.array([9, 3, 3, 1]) / 16).pvalue)


def test_a_permutation_test_of_few_values_is_exact() -> None:
    """3 against 3: of 20 ways to deal, 2 are as far apart; and a p-value is never 0."""
    a, b = np.array([1.0, 2.0, 3.0]), np.array([10.0, 11.0, 12.0])
    result, differences = inference.permutation_test(a, b, np.random.default_rng(0), resamples=20_000)
    assert result.p_value == pytest.approx(0.1, abs=4.0 * math.sqrt(0.1 * 0.9 / 20_000))  # four standard errors
    assert len(set(differences.round(9))) == 12  # sums of three are 6, 13 to 17, 22 to 26 and 33
    far, _ = inference.permutation_test(
        np.arange(20.0), np.arange(100.0, 120.0), np.random.default_rng(0), resamples=99
    )
    assert far.p_value == 0.01


def test_the_bootstrap_is_scipys(needs: Needs) -> None:
    stats = needs("scipy.stats")
    a, b = SLEEP
    difference = lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis)
    theirs = stats.bootstrap((b, a), difference, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    ours, drawn = inference.bootstrap(b, a, np.random.default_rng(0), resamples=20_000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.06)  # four standard errors of such a quantile
    assert drawn.std() == pytest.approx(math.sqrt((a.var() + b.var()) / 10), rel=0.03)


def test_p_values_are_uniform_where_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(3)
    found = np.array([inference.t_test(*rng.normal(size=(2, 12))).p_value for _ in range(2000)])
    counts = np.histogram(found, bins=10, range=(0.0, 1.0))[0]
    assert inference.chi_square_fit(counts, np.ones(10)).p_value > 0.001


@pytest.mark.parametrize(
    ("test", "samples", "message"),
    [
        (inference.t_test, ([1.0], [1.0, 2.0]), "t_test: expected at least two finite values in each sample"),
        (inference.t_test, ([1.0, np.nan], [1.0, 2.0]), "t_test: expected at least two finite values"),
        (inference.t_test, ([1.0, 1.0], [2.0, 2.0]), "t_test: expected samples that vary, got two constant ones"),
        (inference.paired_t_test, ([1.0, 2.0], [1.0, 2.0, 3.0]), "paired_t_test: expected pairs, got 2 and 3 values"),
        (inference.paired_t_test, ([1.0, 2.0], [2.0, 3.0]), "paired_t_test: expected differences that vary"),
        (inference.paired_t_test, ([1.0, 2.0], [1.0, 2.0]), "paired_t_test: expected differences that vary"),
    ],
)
def test_samples_that_cannot_be_tested(
    test: Callable[..., object], samples: tuple[list[float], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        test(*map(np.array, samples))


@pytest.mark.parametrize("table", [[[1, 2]], [[1], [2]], [[1, -2], [3, 4]], [1, 2]])
def test_tables_that_are_none(table: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="chi_square: expected counts, at least 2 x 2 of them"):
        inference.chi_square_independence(np.array(table))
    with pytest.raises(ValueError, match="expected counts in every row and column, got one with none"):
        inference.chi_square_independence(np.array([[0, 0], [1, 2]]))


N = 200_000


@pytest.mark.parametrize("name", ["normal", "binomial", "poisson"])
def test_samples_follow_their_laws(name: str, needs: Needs) -> None:
    """Each as a chi-square test of 200000 numbers against SciPy's law, in about ten kinds."""
    stats, rng = needs("scipy.stats"), np.random.default_rng(7)
    draw, law = {
        "normal": (sampling.normal(rng, N, 5.0, 2.0), stats.norm(5.0, 2.0)),
        "binomial": (sampling.binomial(rng, N, 20, 0.3), stats.binom(20, 0.3)),
        "poisson": (sampling.poisson(rng, N, 4.0), stats.poisson(4.0)),
    }[name]
    inner = law.ppf(np.linspace(0.1, 0.9, 9))
    edges = np.unique([-np.inf, *inner, np.inf])
    counts = np.histogram(draw, bins=np.where(np.isfinite(edges), edges + (name != "normal") * 0.5, edges))[0]
    assert inference.chi_square_fit(counts, np.diff(law.cdf(edges))).p_value > 0.001
    assert sampling.normal(rng, 3).shape == (3,)  # an odd number too


def test_laws_are_scipys(needs: Needs) -> None:
    stats, k = needs("scipy.stats"), np.arange(200)
    np.testing.assert_allclose(sampling.binomial_probability(k, 199, 0.3), stats.binom.pmf(k, 199, 0.3), rtol=1e-10)
    np.testing.assert_allclose(sampling.poisson_probability(k, 40.0), stats.poisson.pmf(k, 40.0), rtol=1e-10)
    x = np.linspace(-30.0, 30.0, 61)
    np.testing.assert_allclose(sampling.normal_density(x, 1.0, 2.0), stats.norm.pdf(x, 1.0, 2.0), rtol=1e-12)


@pytest.mark.parametrize("rate", [0.0, -1.0, 501.0])
def test_a_rate_that_cannot_be_sampled(rate: float) -> None:
    with pytest.raises(ValueError, match="poisson: expected a rate above 0, 500 at most"):
        sampling.poisson(np.random.default_rng(0), 3, rate)


def test_correlations(needs: Needs) -> None:
    stats, rng = needs("scipy.stats"), np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 50))
    y, x = y + z, x + 2.0 * z
    assert sampling.correlation(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-12)
    xy, xz, yz = (sampling.correlation(*pair) for pair in ((x, y), (x, z), (y, z)))
    formula = (xy - xz * yz) / math.sqrt((1.0 - xz**2) * (1.0 - yz**2))  # the textbook's, from the three
    assert sampling.partial_correlation(x, y, z) == pytest.approx(formula, rel=1e-12)


def test_ice_cream_burns_nobody() -> None:
    rng = np.random.default_rng(0)
    seen, forced = sampling.summer(rng, 20_000), sampling.summer(rng, 20_000, forced=True)
    error = 4.0 / math.sqrt(20_000)  # four standard errors of a correlation of 0
    assert sampling.correlation(seen.ice_cream, seen.sunburn) > 0.7
    assert abs(sampling.partial_correlation(seen.ice_cream, seen.sunburn, seen.temperature)) < error
    assert abs(sampling.correlation(forced.ice_cream, forced.sunburn)) < error
    assert forced.ice_cream.std() == pytest.approx(seen.ice_cream.std(), rel=0.05)
