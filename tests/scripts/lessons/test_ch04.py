"""Chapter 4's lessons: what is worked out by hand is what NumPy, SciPy's formulas and Quinlan's paper say."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from tinygrad_edu.plugins import SVC
from tinygrad_edu.scripts import ch04_gain
from tinygrad_edu.scripts.lessons import ch04

Capture = pytest.CaptureFixture[str]


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+\.\d+", text)]


def test_both_ways_to_the_line(capsys: Capture) -> None:
    slope, intercept = np.polyfit(ch04.ROOMS, ch04.RENT, 1)
    ch04.linear_regression()
    out = capsys.readouterr().out
    assert f"b₀ = {intercept:g}, b₁ = {slope:g}" in out
    last, estimator = re.findall(r"step 2000   (.*)   L", out)[0], re.findall(r"linear_regression.py: (.*)", out)[0]
    assert numbers(last) == numbers(estimator) == [round(intercept, 5), round(slope, 5)]
    losses = [float(found) for found in re.findall(r"L = +(\S+)", out)]
    assert losses == sorted(losses, reverse=True)


def test_elimination_solves_two_equations() -> None:
    A, b = np.array([[2.0, 1.0], [-3.0, 4.0]]), np.array([0.5, -2.0])
    np.testing.assert_allclose(ch04.solve_two(A, A @ b), b, rtol=1e-14)


def test_the_likelihood_goes_up_to_the_estimators(capsys: Capture) -> None:
    ch04.logistic_regression()
    out = capsys.readouterr().out
    steps = re.findall(r"step +\d+ +b = \( *(\S+), +(\S+)\) +ℓ = +(\S+)", out)
    likelihoods = [float(step[2]) for step in steps]
    assert likelihoods[0] == round(8 * math.log(0.5), 4)
    assert likelihoods == sorted(likelihoods)
    assert numbers(re.findall(r"logistic_regression.py: (.*)", out)[0]) == [float(x) for x in steps[-1][:2]]


def test_the_gradient_of_the_likelihood() -> None:
    """Xᵀ(y - p), as the lesson says, by differences."""
    X, b, h = np.stack([np.ones(8), ch04.HOURS], axis=1), np.array([0.3, -0.2]), 1e-6
    for i in (0, 1):
        moved = [ch04.log_likelihood(ch04.sigmoid(X @ (b + step * np.eye(2)[i])), ch04.PASSED) for step in (h, -h)]
        found = (X.T @ (ch04.PASSED - ch04.sigmoid(X @ b)))[i]
        assert found == pytest.approx((moved[0] - moved[1]) / (2 * h), abs=1e-7)  # rounding / h


def test_quinlans_gains_and_tree(capsys: Capture) -> None:
    ch04.decision_tree()
    out = capsys.readouterr().out
    gains = {name: float(worth) for name, worth in re.findall(r"gain of (\w+): .* = (\S+)", out)}
    # his section 4 has 0.246, 0.029, 0.151, 0.048, from entropies that were rounded first
    assert gains == pytest.approx({"outlook": 0.246, "temperature": 0.029, "humidity": 0.151, "wind": 0.048}, abs=1e-3)
    tree = out[out.index("  outlook sunny?") :].split("\n\n")[0]
    assert re.sub(r"\s+", " ", tree).strip() == (
        "outlook sunny? humidity high? no (3 days) humidity normal? yes (2 days) outlook overcast? yes (4 days) "
        "outlook rain? wind weak? yes (3 days) wind strong? no (2 days)"
    )
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(("counts", "bits"), [([], 0.0), ([0, 0], 0.0), ([5], 0.0), ([1, 1], 1.0), ([1, 1, 1, 1], 2.0)])
def test_entropy(counts: list[int], bits: float) -> None:
    assert ch04_gain.entropy(counts) == bits


def test_gain_of_questions_that_say_nothing_and_everything() -> None:
    assert ch04_gain.gain([[2, 2], [1, 1]]) == pytest.approx(0.0, abs=1e-15)
    assert ch04_gain.gain([[4, 0], [0, 4]]) == 1.0
    assert ch04_gain.gain([[4, 4], [0, 0]]) == pytest.approx(0.0, abs=1e-15)  # nobody answers no


def test_the_neighbours_vote(capsys: Capture) -> None:
    ch04.nearest_neighbours()
    out = capsys.readouterr().out
    votes = re.findall(r"k = (\d): .*: (\w+)$", out, re.MULTILINE)
    assert votes == [(k, kind) for kind in ("orange", "lemon") for k in "135"]  # in grams and cm, then scaled
    assert out.endswith("on the latter: lemon, lemon, lemon\n")
    for p, q in (((0.0,), (3.0,)), ((1.0, 2.0), (4.0, 6.0)), ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))):
        assert ch04.distance(p, q) == pytest.approx(np.linalg.norm(np.subtract(p, q)))
    assert ch04.vote(["b", "a", "a", "b"]) == "b"  # a draw: the nearer


def test_the_widest_margin(capsys: Capture) -> None:
    ch04.hyperplane()
    out = capsys.readouterr().out
    margins = [float(found) for found in re.findall(r"margin (\d\.\d+)", out)]
    best = 3.0 / math.sqrt(2.0)  # from x₁ + x₂ = 1, where two points lie, to x₁ + x₂ = 4
    assert max(margins[:-2]) < margins[-2] == margins[-1] == round(best, 4)
    supporting = re.findall(r"\((\S+), (\S+)\) .*support vector", out)
    assert supporting == [("1", "0"), ("0", "1"), ("2", "2")]
    lines = re.findall(r"0\.6667 x₁ \+ 0\.6667 x₂ - 1\.667 = 0", out)
    assert len(lines) == 3  # by hand, by the estimator, by its support vectors alone
    with pytest.raises(ValueError, match="does not separate the classes"):
        ch04.to_margin(np.array([1.0, 0.0]), 0.0)
    assert SVC(kernel="linear", C=1e6).fit(ch04.POINTS, ch04.SIDES).score(ch04.POINTS, ch04.SIDES) == 1.0
