"""Chapter 3's lessons: their functions are right, and what they print is."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu.scripts.lessons import ch03

Needs = Callable[[str], ModuleType]
NAN = float("nan")


def test_samples_are_as_near_as_they_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    ch03.samples()
    out = capsys.readouterr().out
    errors = [float(found) for found in re.findall(r"([+-]\d\.\d\d) +\d+\.\d{4} +\d+\.\d{4}\n", out)]
    assert len(errors) == 9
    assert max(map(abs, errors)) < 4.0  # standard errors
    assert len(re.findall(r"█+ *•|•█", out)) >= 10


def test_a_set_to_classify_is_as_hard_as_it_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    ch03.synthetic()
    rows = re.findall(r"^ +(\d\.\d) +(0\.\d+) +(0\.\d+)$", capsys.readouterr().out, re.MULTILINE)
    assert len(rows) == 4
    for _, right, best in rows:
        assert float(right) == pytest.approx(float(best), abs=4.0 * 0.5 / np.sqrt(20_000))  # four standard errors


def test_pandas_and_our_reader_agree(capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    needs("pandas")
    ch03.loading_with_pandas()
    out = capsys.readouterr().out
    assert "The same values: True." in out
    assert "missing: {'day': 0, 'degrees': 1, 'sky': 0, 'visitors': 1}" in out
    assert "row 6, column 3: expected 4 columns, got 2" in out


def test_cleaning_from_scratch_is_the_estimators(capsys: pytest.CaptureFixture[str]) -> None:
    from tinygrad_edu.plugins import MinMaxScaler, SimpleImputer, StandardScaler

    column = np.array([3.0, NAN, 7.0, -1.0, NAN])
    filled = ch03.filled(column, ch03.column_mean(column))
    one = column[:, None]
    np.testing.assert_array_equal(filled, SimpleImputer().fit_transform(one)[:, 0])
    by_hand = ch03.min_max(filled, filled.min(), filled.max())
    np.testing.assert_allclose(by_hand, MinMaxScaler().fit_transform(filled[:, None])[:, 0], rtol=1e-15, atol=1e-15)
    by_hand = ch03.standardised(filled, filled.mean(), filled.std())
    np.testing.assert_allclose(by_hand, StandardScaler().fit_transform(filled[:, None])[:, 0], rtol=1e-15, atol=1e-15)
    with pytest.raises(ValueError, match="column_mean: expected at least one value, got none"):
        ch03.column_mean(np.array([NAN]))
    ch03.cleaning()
    out = capsys.readouterr().out
    assert "mean of what is there     5\n" in out
    assert "[0.    0.5   0.333 0.667 1.   ], [0.5   1.333]" in out


def test_hypothesis_tests_print_the_published_figures(capsys: pytest.CaptureFixture[str]) -> None:
    ch03.hypothesis_tests()
    out = capsys.readouterr().out
    for part in ("= 4.0621", "= 0.002833", "t = 1.8608, 17.78 degrees of freedom, p = 0.07939", "= 0.470, p = 0.925"):
        assert part in out
    (wrong,) = re.findall(r"(\d\.\d)% of them are below 0\.05", out)
    assert float(wrong) == pytest.approx(5.0, abs=2.0)  # four standard errors of 2000


def test_correlation_goes_with_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    ch03.correlation_and_cause()
    seen, given, by_lot = (float(r) for r in re.findall(r"([+-]0\.\d{3})$", capsys.readouterr().out, re.MULTILINE))
    assert seen > 0.7
    assert max(abs(given), abs(by_lot)) < 4.0 / np.sqrt(1000)  # four standard errors
