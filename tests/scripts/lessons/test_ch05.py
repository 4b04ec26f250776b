"""Chapter 5's lessons: every number printed follows from those before it, and ends where scikit-learn ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu.scripts.lessons import ch05


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_k_means_is_written_out_until_nothing_changes(
    capsys: pytest.CaptureFixture[str], needs: Callable[[str], ModuleType]
) -> None:
    ch05.k_means()
    out = capsys.readouterr().out
    inertia = [float(J) for J in re.findall(r"J = ([\d.]+)", out)]
    assert len(inertia) == 6  # three turns, before and after the centres move
    assert inertia == sorted(inertia, reverse=True)
    centres = [numbers(line) for line in re.findall(r"^ +[AB] from (.*)$", out, re.MULTILINE)]
    assert [(c[:2], c[2:]) for c in centres[:2]] == [([1, 1], [1, 1.5]), ([2, 1], [5.88, 4.12])]
    for before, after in zip(centres[:-2], centres[2:], strict=True):
        assert after[:2] == before[2:]  # goes on from where it was
    theirs = needs("sklearn.cluster").KMeans(2, init=ch05.START, n_init=1).fit(ch05.POINTS)
    np.testing.assert_allclose([c[2:] for c in centres[-2:]], theirs.cluster_centers_, atol=0.005)  # three digits
    assert inertia[-1] == pytest.approx(theirs.inertia_)
    assert "The estimator KMeans from the same start: the same centres and labels." in out

    lines = out.splitlines()
    (top,) = [k for k, line in enumerate(lines) if line.startswith("  turn 1    ")]
    boards = lines[top + 1 : top + 9]
    for column, (a, b) in enumerate([(2, 8), (4, 6), (5, 5)]):
        board = "".join(line[2 + 24 * column : 21 + 24 * column] for line in boards)
        assert board.count("A") == board.count("B") == 1
        assert a - 1 <= board.count("a") <= a  # a centre may lie on one of its points
        assert b - 1 <= board.count("b") <= b
    assert max(map(len, lines)) <= 120


def test_a_centre_without_points_stays() -> None:
    X, centres = np.array([[0.0], [1.0]]), np.array([[0.5], [9.0]])
    labels = ch05.assign(X, centres)
    assert labels.tolist() == [0, 0]
    assert ch05.update(X, labels, centres).tolist() == [[0.5], [9.0]]


def test_the_principal_components_are_worked_out(
    capsys: pytest.CaptureFixture[str], needs: Callable[[str], ModuleType]
) -> None:
    needs("sklearn.datasets")
    ch05.principal_components()
    out = capsys.readouterr().out
    (S,) = re.findall(r"\(N - 1\) = \[\[(.*?)\]\]", out)
    np.testing.assert_allclose(np.reshape(numbers(S), (2, 2)), np.cov(ch05.SAMPLES.T))
    assert "λ² - 57.5 λ + 375 = 0" in out
    found = re.findall(r"^  λ = (\S+): .* u = \((.*)\)$", out, re.MULTILINE)
    theirs = needs("sklearn.decomposition").PCA().fit(ch05.SAMPLES)
    for (value, u), variance, component in zip(found, theirs.explained_variance_, theirs.components_, strict=True):
        assert float(value) == pytest.approx(variance)
        assert abs(np.dot(numbers(u), component)) == pytest.approx(1.0, abs=1e-3)  # the sign is free; three digits
    along = [float(v) for v in re.findall(r"°: ([\d.]+)", out)]
    assert max(along) == 50.0
    assert min(along) == 7.5
    (back,) = re.findall(r"back again, x̄ \+ z u: +(.*)$", out, re.MULTILINE)
    one = needs("sklearn.decomposition").PCA(1).fit(ch05.SAMPLES)
    expected = one.inverse_transform(one.transform(ch05.SAMPLES))
    np.testing.assert_allclose(np.reshape(numbers(back), (5, 2)), expected, atol=0.05)
    assert "= 7.5 = λ₂" in out

    by_hand, estimator = (numbers(line) for line in re.findall(r"^  (?:by hand|PCA) +λ = (.*)$", out, re.MULTILINE))
    assert by_hand[:2] == estimator
    for line in re.findall(r"^  u. +by hand (.*)$", out, re.MULTILINE):
        ours, theirs_ = line.split("PCA")
        assert ours.strip() == theirs_.strip()
    assert re.search(r"largest difference of a projected flower: \de-1[3-6]$", out, re.MULTILINE)
    picture = "".join(out.splitlines()[-16:])
    assert {letter: picture.count(letter) > 30 for letter in "scv"} == {"s": True, "c": True, "v": True}
    assert max(map(len, out.splitlines())) <= 120
