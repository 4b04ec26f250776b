"""Chapter 6's lessons: the table's trends, the vote, and boosting whose every printed number follows."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu.scripts.lessons import ch06

Needs = Callable[[str], ModuleType]


def test_what_the_settings_of_a_forest_do(
    capsys: pytest.CaptureFixture[str], needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("sklearn.datasets")
    train, test, y_train, y_test = ch06.halves("digits")
    assert (len(train), len(test)) == (898, 899)
    monkeypatch.setattr(ch06, "halves", lambda name: [train[:400], test[:300], y_train[:400], y_test[:300]])
    ch06.settings()
    out = capsys.readouterr().out
    rows = re.findall(r"^ +(\w+) +([\d.]+) +([\d.]+) +([\d.]+)$", out, re.MULTILINE)
    assert [value for value, *_ in rows] == [
        "1",
        "3",
        "10",
        "30",
        "100",
        "1",
        "sqrt",
        "32",
        "None",
        "1",
        "3",
        "6",
        "None",
    ]
    forest, tree, alike = (dict(enumerate(map(float, column))) for column in list(zip(*rows, strict=True))[1:])
    assert forest[0] == tree[0]  # of one tree
    assert alike[0] == 100.0
    assert forest[0] < forest[1] < forest[2] < forest[4]  # more trees
    assert tree[5] < tree[6] < tree[8]  # more features a cut: better trees,
    assert alike[5] < alike[6] < alike[8]  # more alike,
    assert forest[6] > forest[8]  # and the forest no better
    assert forest[9] < forest[10] < forest[11] < forest[12]  # deeper trees
    assert forest[4] == forest[6] == forest[12]  # the same forest, three times
    assert max(map(len, out.splitlines())) <= 120


def test_two_trees_that_agree_in_half_of_the_samples() -> None:
    said = np.array([[0, 1, 2, 2], [0, 1, 1, 0], [0, 1, 1, 1]])

    class Forest:
        classes_ = np.arange(3)

        def __init__(self, **settings: object) -> None:
            pass

        def fit(self, X: np.ndarray, y: np.ndarray) -> Forest:
            return self

        def score(self, X: np.ndarray, y: np.ndarray) -> float:
            return 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ch06, "RandomForestClassifier", Forest)
        patch.setattr(ch06, "votes", lambda forest, X: said)
        data = [np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4, int), np.array([0, 1, 1, 1])]
        forest, tree, alike = ch06.measured(data, {})
    assert forest == 0.5
    assert tree == pytest.approx((3 + 3 + 2 + 1) / 12)
    assert alike == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)  # of pairs of trees


def test_the_majority_vote(capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    stats = needs("scipy.stats")
    ch06.majority_vote()
    out = capsys.readouterr().out
    flowers = re.findall(r"^  \d+ +((?:\w+ +){6}\w+)$", out, re.MULTILINE)
    assert 3 <= len(flowers) <= 15
    for line in flowers:
        *said, winner, _ = line.split()
        assert said.count(winner) == max(said.count(name) for name in said) <= 3  # outvoted: two or more
    (alone, together) = re.findall(r"right: (.*) alone, (.*)% by majority", out)[0]
    assert float(together) > max(float(share.rstrip("%")) for share in alone.split())
    sizes = [int(B) for B in re.findall(r"B = +(.*)", out)[0].split()]
    for p, row in re.findall(r"^  p = ([\d.]+) +(.*)$", out, re.MULTILINE):
        expected = [stats.binom.sf(B // 2, B, float(p)) for B in sizes]
        np.testing.assert_allclose([float(x) for x in row.split()], expected, atol=0.0005)
    one, independent, real = (float(x) for x in re.findall(r"([\d.]+)%", out.partition("A forest of 101")[2]))
    assert one < real < independent
    assert max(map(len, out.splitlines())) <= 120


def test_a_majority_of_equals_is_the_first() -> None:
    assert ch06.majority(np.array([[0, 2], [1, 1], [1, 2], [0, 1]])).tolist() == [0, 1]


def test_boosting_is_written_out(capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    ch06.boosting()
    out = capsys.readouterr().out

    def rows(name: str) -> list[np.ndarray]:
        found = re.findall(rf"^ +{name} ((?: +-?[\d.]+){{8}})$", out, re.MULTILINE)
        return [np.array([float(x) for x in row.split()]) for row in found]

    ((x,), (y,), (F,), after) = rows("x"), rows("y"), rows("F = mean of y"), rows("F")
    np.testing.assert_array_equal(F, y.mean())
    cuts = re.findall(r"x < ([\d.]+): ([+-][\d.]+), else ([+-][\d.]+)", out)
    assert len(after) == len(cuts) == 2
    for m, (cut, left, right) in enumerate(cuts):
        (r,) = rows(f"round {m + 1}: r = y - F")
        np.testing.assert_allclose(r, y - F, atol=1e-3)  # four digits are printed
        below = x < float(cut)
        assert [r[below].mean(), r[~below].mean()] == pytest.approx([float(left), float(right)], abs=1e-3)
        F = F + 0.5 * np.where(below, float(left), float(right))
        np.testing.assert_allclose(after[m], F, atol=1e-3)
    model = needs("sklearn.ensemble").GradientBoostingRegressor(max_depth=1, learning_rate=0.5, n_estimators=20)
    model.fit(x[:, None], y)
    errors = {int(m): float(e) for m, e in re.findall(r"(\d+): (\d\.\d{3})(?!\d)", out.partition("mean of r²")[2])}
    assert errors.pop(0) == pytest.approx(y.var(), abs=5e-4)
    assert errors.pop(20) == pytest.approx(model.train_score_[-1], abs=5e-4)
    for m, error in errors.items():
        assert error == pytest.approx(model.train_score_[m - 1], abs=5e-4)
    assert re.search(r"GradientBoostingRegressor after 20 rounds: \de-1[4-6]$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 120


def test_the_best_cut_leaves_the_least_error() -> None:
    rng = np.random.default_rng(0)
    x, r = rng.permutation(20).astype(float), rng.standard_normal(20)
    cuts = np.arange(0.5, 19.5)
    left = [np.square(r[s] - r[s].mean()).sum() for s in (x < cut for cut in cuts)]
    right = [np.square(r[s] - r[s].mean()).sum() for s in (x >= cut for cut in cuts)]
    assert ch06.best_cut(x, r) == cuts[np.argmin(np.add(left, right))]
