"""Chapter 8's lessons: the numbers they print are right, and the networks have learnt something."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

from tinygrad_edu import data
from tinygrad_edu.models.by_hand.attention import Attention
from tinygrad_edu.models.by_hand.rnn import RNN, cross_entropy
from tinygrad_edu.scripts.lessons import ch08
from tinygrad_edu.scripts.lessons import ch08_sequences as seq


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


def cells(out: str, title: str) -> list[list[str]]:
    """The table below the line that begins with `title`: its rows, without their titles."""
    block = out.partition(f"\n{title}")[2].split("\n\n")[1]
    return [re.split(r" {3,}", line.strip())[1:] for line in block.splitlines()]


def numbers(text: str) -> np.ndarray:
    return np.array([float(found) for found in re.findall(r"-?\d+\.\d+", text)])


def test_bptt_is_printed_beside_the_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    ch08.backward_through_time()
    out = "\n" + capsys.readouterr().out
    model = RNN(seq.RNN_WEIGHTS, seq.RNN_BIASES)
    logits, _ = model.forward(seq.X)
    loss, g = cross_entropy(logits, seq.Y)

    _, _, *steps = cells(out, "Forward")
    assert [(row[0], row[3]) for row in steps] == [("a", "b"), ("b", "c"), ("c", "a")]
    half = 0.00051  # of the last of three decimals
    np.testing.assert_allclose([numbers(row[1]) for row in steps], model.states[1:, 0], atol=half)
    chances = np.array([numbers(row[2]) for row in steps])
    np.testing.assert_allclose(
        3 * g[:, 0], chances - np.eye(3)[seq.Y[:, 0]], atol=half
    )  # the mean of three: p - [k = y]
    assert np.mean([float(row[4]) for row in steps]) == pytest.approx(loss, abs=half)
    assert f"L, the mean of the last column: {loss:.6f}; the Tensor's: {loss:.6f}\n" in out

    _, *states = cells(out, "Backward")
    for (own, later, total, theirs), expected in zip(states, model.state_gradients(g)[::-1, 0], strict=True):
        assert total == theirs
        np.testing.assert_allclose(numbers(total), expected, atol=half)
        np.testing.assert_allclose(numbers(own) + numbers(later), expected, atol=2 * half)
    assert (numbers(states[0][1]) == 0).all()  # after the last step comes nothing
    assert (numbers(states[-1][0]) == 0).all()  # the first state makes no logits

    _, *gradients = cells(out, "Every step")
    for (ours, theirs), array in zip(gradients, model.backward(g)[0], strict=True):
        assert ours == theirs
        np.testing.assert_allclose(numbers(ours), array.ravel(), atol=half)
    assert float(out.split()[-1]) < 1e-14
    assert max(map(len, out.splitlines())) <= 120


def test_bptt_would_show_a_difference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = seq.rnn_by_tensor(RNN(seq.RNN_WEIGHTS, seq.RNN_BIASES), seq.X, seq.Y)
    monkeypatch.setattr(seq, "rnn_by_tensor", lambda *args: {**theirs, "h": theirs["h"] + 0.5})
    ch08.backward_through_time()
    assert capsys.readouterr().out.endswith("the Tensor's: 0.5\n")


def test_an_rnn_learns_the_zen_by_heart(capsys: pytest.CaptureFixture[str]) -> None:
    ch08.recurrent()
    out = capsys.readouterr().out
    assert "min-char-rnn: 100 units, 856 characters of text, 45 different." in out
    losses = [float(found) for found in re.findall(r"loss (\d\.\d+)$", out, re.MULTILINE)]
    assert len(losses) == 5
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < np.log(45) / 2
    before, after = (out.partition(title)[2].split("\n\n")[1] for title in ("What it writes:", "What it writes now:"))
    known = set(seq.zen().split())
    assert len(known & set(re.sub(r"^  \| ", "", before, flags=re.MULTILINE).split())) <= 1
    assert len(known & set(re.sub(r"^  \| ", "", after, flags=re.MULTILINE).split())) >= 4
    left = [float(found) for found in out.splitlines()[-1].split()]
    assert left == sorted(left, reverse=True)
    assert left[0] == 1
    assert left[-1] < 0.1


def test_the_zen_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert seq.zen().startswith("The Zen of Python")
    assert capsys.readouterr().out == ""


def test_attention_is_printed_beside_the_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    ch08.look_up()
    out = "\n" + capsys.readouterr().out
    half = 0.00051  # of the last of three decimals
    _, *vectors = cells(out, "Each word")
    for (x, *made), expected in zip(vectors, seq.VECTORS, strict=True):
        np.testing.assert_array_equal(numbers(x), expected)
        for found, W in zip(made, seq.ATTENTION_WEIGHTS, strict=False):
            np.testing.assert_array_equal(numbers(found), expected @ W)
    q, k, v = (seq.VECTORS @ W for W in seq.ATTENTION_WEIGHTS[:3])

    def table(title: str) -> np.ndarray:
        return np.array(cells(out, title)[1:], dtype=np.float64)

    np.testing.assert_allclose(table("Scores"), q @ k.T / np.sqrt(2), atol=half)
    e = np.exp(q @ k.T / np.sqrt(2))
    np.testing.assert_allclose(table("Weights"), e / e.sum(axis=1, keepdims=True), atol=half)
    np.testing.assert_allclose(table("The same"), np.tril(e) / np.tril(e).sum(axis=1, keepdims=True), atol=half)
    assert table("Weights")[3].argmax() == seq.WORDS.index("cat")

    for (c, theirs, result), weights in zip(cells(out, "The means")[1:], e / e.sum(axis=1, keepdims=True), strict=True):
        assert c == theirs
        np.testing.assert_allclose(numbers(c), weights @ v, atol=half)
        np.testing.assert_allclose(numbers(result), weights @ v @ seq.ATTENTION_WEIGHTS[3], atol=half)
    gradients = cells(out, "Gradients")[1:]
    assert len(gradients) == 8
    assert all(ours == theirs for ours, theirs in gradients)
    assert float(out.split()[-1]) < 1e-14
    assert max(map(len, out.splitlines())) <= 120


def test_attention_would_show_a_difference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    c, out, gradients = seq.attention_by_tensor(Attention(seq.ATTENTION_WEIGHTS), seq.VECTORS)
    monkeypatch.setattr(seq, "attention_by_tensor", lambda *args: (c, out - 0.5, gradients))
    ch08.look_up()
    assert capsys.readouterr().out.endswith("the Tensor's: 0.5\n")


def test_numbers_and_tables_as_they_are_printed() -> None:
    assert seq.decimals(np.array([[0.5, -1.0], [-0.0001, 12.3456]])) == "[[ 0.500 -1.000] [ 0.000  12.346]]"
    assert seq.aligned([("a", "", "b"), ("long", "x", "")]) == "  a          b\n  long   x"
