"""Chapter 8's lessons: the numbers they print are right, and the network has learnt something."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

from tinygrad_edu import data
from tinygrad_edu.scripts.lessons import ch08


def arrays(out: str, title: str) -> list[list[list[float]]]:
    """What stands side by side below the line that begins with `title`: rows of each array."""
    block = out.partition(f"\n{title}")[2].split("\n\n")[1]
    rows = [re.split(r" {4,}", line.strip()) for line in block.splitlines()[1:]]
    return [[[float(cell) for cell in row[k].split()] for row in rows] for k in range(len(rows[0]))]


def test_the_filter_is_applied_three_times_with_one_result(capsys: pytest.CaptureFixture[str]) -> None:
    ch08.filter_by_hand()
    out = capsys.readouterr().out
    x, w = ch08.PICTURE, ch08.FILTER
    expected = [[float((x[i : i + 3, j : j + 3] * w).sum()) for j in range(6)] for i in range(4)]
    assert arrays(out, "Convolution") == [expected] * 3
    assert expected[0] == [0, 0, 30, 30, 0, 0]
    largest = [[max(expected[i][j : j + 2] + expected[i + 1][j : j + 2]) for j in (0, 2, 4)] for i in (0, 2)]
    assert arrays(out, "Max-pool") == [largest] * 3
    assert out.endswith("Largest difference between two of the three ways: 0\n")
    assert max(map(len, out.splitlines())) <= 120


def test_the_terms_of_a_window_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    ch08.filter_by_hand()
    out = capsys.readouterr().out
    lines = re.findall(r"^  (.*[+·].*) = (-?\d+)$", out, re.MULTILINE)
    assert len(lines) == 4
    for left, right in lines:
        assert eval(left.replace("·", "*")) == int(right), left
    assert lines[-1][1] == "30"


def test_terms_with_all_signs() -> None:
    window, w = np.array([[1.0, -2.0], [0.0, 3.0]]), np.array([[-1.0, 0.5], [2.0, -4.0]])
    assert ch08.terms(window, w).splitlines() == [
        "  1·(-1) + (-2)·0.5 = -2",
        "  0·2 + 3·(-4) = -12",
        "  (-2) + (-12) = -14",
    ]


def test_the_three_ways_on_other_pictures() -> None:
    rng = np.random.default_rng(0)
    found = ch08.three_ways(rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 3)))
    assert {tuple(array.shape for array in pair) for pair in found.values()} == {((2, 4, 5, 4), (2, 4, 2, 2))}
    assert 0 <= ch08.largest_difference(found) < 1e-13  # sums of 27 products of order 1, in another order


def test_the_lesson_would_show_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ch08.three_ways(ch08.PICTURE[None, None], ch08.FILTER[None, None])
    convolved, pooled = found["Tensor"]
    monkeypatch.setattr(ch08, "three_ways", lambda x, w: {**found, "Tensor": (convolved, pooled - 0.25)})
    ch08.filter_by_hand()
    assert capsys.readouterr().out.endswith("of the three ways: 0.25\n")


def photographs(train: int, test: int) -> data.Dataset:
    """A part of CIFAR-10 where it is at hand; else noise with a colour and a brightness for each of its ten classes."""
    if os.environ.get("TINYGRAD_EDU_DATA"):
        whole = data.load("cifar10")
        parts = [tuple(array[:n] for array in part) for part, n in ((whole.train, train), (whole.test, test))]
        return data.Dataset(whole.name, *parts, whole.classes, whole.source)
    rng = np.random.default_rng(0)
    colours = rng.uniform(0.2, 0.8, (10, 3, 1, 1))

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.permutation(np.arange(n) % 10)
        return np.clip(colours[y] + 0.1 * rng.standard_normal((n, 3, 32, 32)), 0, 1).astype(np.float32), y

    return data.Dataset("cifar10", part(train), part(test), tuple("abcdefghij"), "made up")


@pytest.mark.usefixtures("seeded")
def test_lenet_learns_from_photographs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = photographs(train=1600, test=400)
    monkeypatch.setattr(ch08.data, "load", {"cifar10": dataset}.__getitem__)
    ch08.cifar10()
    out = capsys.readouterr().out
    losses = [float(found) for found in re.findall(r"loss (\d\.\d+)$", out, re.MULTILINE)]
    assert len(losses) == 8
    assert losses[0] < 2.5  # the first steps know nothing, log 10 = 2.303
    assert losses[-1] < losses[0] - 0.1

    ((right, total),) = [
        map(int, found) for found in re.findall(r"^Test pictures: (\d+) of (\d+) right", out, re.MULTILINE)
    ]
    assert total == 400
    assert right / total > 0.2  # twice what chance would have
    rows = re.findall(r"^  (\w+) +(\d+) of +(\d+) right, +(\S+)%(?:   taken for (\w+): (\d+))?$", out, re.MULTILINE)
    assert tuple(row[0] for row in rows) == dataset.classes
    assert [int(row[2]) for row in rows] == np.bincount(dataset.test[1], minlength=10).tolist()
    assert sum(int(row[1]) for row in rows) == right
    for name, correct, of, percent, mistake, times in rows:
        assert float(percent) == pytest.approx(100 * int(correct) / int(of), abs=0.05)  # one decimal is printed
        assert mistake != name
        assert int(times or 0) <= int(of) - int(correct)


@pytest.mark.usefixtures("seeded")
def test_a_class_without_test_pictures_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (3, 1, 8, 8)).astype(np.float32), np.array([0, 1, 1])
    ch08.train_and_judge(data.Dataset("tiny", (x, y), (x[:2], y[:2]), ("no", "yes", "maybe"), "made up"))
    out = capsys.readouterr().out
    assert re.search(r"step    1   loss ", out)
    assert re.search(r"^  maybe +0 of +0 right,   0\.0%$", out, re.MULTILINE)
