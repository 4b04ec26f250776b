"""Chapter 1's lessons: sorting sorts, trees are walked in order, numbers come to one scale."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu.scripts.lessons import ch01, ch01_normalising


def test_judging_and_strings(capsys: pytest.CaptureFixture[str]) -> None:
    ch01.lists_dictionaries_strings()
    out = capsys.readouterr().out
    assert re.search(r"Bob .*mean 4\.23, failed\n", out)
    assert re.search(r"Dan .*no marks yet\n", out)
    for text, expected in (("", True), ("a", True), ("Ab, bA", True), ("ab", False), ("abca", False)):
        assert ch01.is_palindrome(text) is expected, text
    assert (ch01.vowels("Queue"), ch01.vowels("xyz")) == (4, 0)
    assert ch01.letter_counts("aba") == {"a": 2, "b": 1}


@given(st.lists(st.integers(-5, 5)))
def test_both_sorts_sort(values: list[int]) -> None:
    before = list(values)
    assert ch01.bubble_sort(values) == ch01.merge_sort(values) == sorted(values)
    assert values == before


@pytest.mark.parametrize("sort", [ch01.bubble_sort, ch01.merge_sort])
def test_sorting_is_stable(sort: object) -> None:
    """Equal values that can be told apart: 1 and True, 0 and False."""
    values = [1, True, 0, False, True, 1]
    assert list(map(type, sort(values))) == [int, bool, int, bool, bool, int]  # type: ignore[operator]


def test_comparisons() -> None:
    n = 64
    cases = {"sorted": range(n), "reversed": range(n)[::-1], "random": random.Random(0).sample(range(n), n)}
    for name, values in cases.items():
        bubble, merge = ch01.Comparisons(), ch01.Comparisons()
        ch01.bubble_sort(list(values), bubble)
        ch01.merge_sort(list(values), merge)
        assert bubble.n == {"sorted": n - 1}.get(name, bubble.n) <= n * (n - 1) / 2
        assert merge.n <= n * 6  # n log₂ n
    assert bubble.n > 3 * merge.n


def test_the_sorting_lesson_shows_each_pass(capsys: pytest.CaptureFixture[str]) -> None:
    ch01.sorting()
    out = capsys.readouterr().out
    assert "  [2, 4, 1, 3, 5]\n  [2, 1, 3, 4, 5]\n" in out
    assert "[4, 1, 3] = [4] and [1, 3]" in out


def test_a_tree_is_walked(capsys: pytest.CaptureFixture[str]) -> None:
    values = random.Random(1).choices(range(50), k=40)
    root = None
    for value in values:
        root = ch01.inserted(root, value)
    assert list(ch01.in_order(root)) == list(ch01.in_order_by_stack(root)) == sorted(values)
    for order in (ch01.pre_order, ch01.post_order, ch01.breadth_first):
        assert sorted(order(root)) == sorted(values)
        assert list(order(None)) == []
    assert next(ch01.pre_order(root)) == next(ch01.breadth_first(root)) == list(ch01.post_order(root))[-1] == values[0]
    ch01.tree()
    out = capsys.readouterr().out
    for line in ("in order       20 30 40 50 60 70 80", "pre-order      50 30 20 40 70 60 80"):
        assert line in out
    for line in ("post-order     20 40 30 60 80 70 50", "breadth first  50 30 70 20 40 60 80"):
        assert line in out
    assert "100,000 nodes" in out


def test_normalising(capsys: pytest.CaptureFixture[str]) -> None:
    for values in ([], [7.0], [0.1, 0.1, 0.1]):  # nothing, one, no scale
        assert ch01_normalising.min_max(values) == ch01_normalising.standardise(values) == [0.0] * len(values)
    z = ch01_normalising.standardise([3.0, 4.0, 8.0, 9.0])
    assert sum(z) == pytest.approx(0.0, abs=1e-15)
    assert sum(x * x for x in z) / 4 == pytest.approx(1.0, abs=1e-15)
    assert ch01_normalising.min_max([3, 4, 8]) == [0.0, 0.2, 1.0]
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"expected finite numbers, got {wrong} at place 1"):
            ch01_normalising.standardise([1.0, wrong])
    ch01.normalising()
    assert "0.000      0.048      0.048      1.000" in capsys.readouterr().out
