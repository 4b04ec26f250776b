"""Chapter 7's lessons: their numbers are right, by torch and by finite differences, and they are printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu.scripts.lessons import ch07

Needs = Callable[[str], ModuleType]


def loss(**example: np.ndarray) -> float:
    """The loss of lesson 7.1's network."""
    return float(ch07.by_hand(**example)[0]["L"])


@pytest.mark.parametrize("seed", [None, 0, 1], ids=["the example", "seed 0", "seed 1"])
def test_by_hand_is_by_tensor(seed: int | None) -> None:
    example = ch07.EXAMPLE
    if seed is not None:
        rng = np.random.default_rng(seed)
        example = {name: rng.standard_normal(array.shape) for name, array in example.items()}
    (values, gradients), (theirs, their_gradients) = ch07.by_hand(**example), ch07.by_tensor(**example)
    assert list(values) == list(ch07.FORWARD)
    assert list(gradients) == list(ch07.BACKWARD)
    # the example is in halves, quarters, eighths, which float64 holds exactly; elsewhere sums are rounded
    atol = 0.0 if seed is None else 1e-14
    for name in values:
        np.testing.assert_allclose(values[name], theirs[name], rtol=0.0, atol=atol, err_msg=name)
    for name in gradients:
        np.testing.assert_allclose(gradients[name], their_gradients[name], rtol=0.0, atol=atol, err_msg=name)


def test_by_hand_gradients_are_finite_differences() -> None:
    """Independent of every formula of ours: both sides of each weight, bias and input."""
    _, gradients = ch07.by_hand(**ch07.EXAMPLE)
    for name in ("x", "W1", "b1", "W2", "b2", "W3", "b3"):
        for index in np.ndindex(ch07.EXAMPLE[name].shape):
            losses = []
            for h in (1e-6, -1e-6):
                moved = {key: array.copy() for key, array in ch07.EXAMPLE.items()}
                moved[name][index] += h
                losses.append(loss(**moved))
            assert gradients[name][index] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-7), (name, index)


def test_by_hand_gradients_are_torchs(needs: Needs) -> None:
    torch = needs("torch")
    t = {name: torch.tensor(array, requires_grad=name != "y") for name, array in ch07.EXAMPLE.items()}
    a1 = (t["W1"] @ t["x"] + t["b1"]).relu()
    a2 = (t["W2"] @ a1 + t["b2"]).relu()
    (0.5 * ((t["W3"] @ a2 + t["b3"] - t["y"]) ** 2).sum()).backward()
    _, gradients = ch07.by_hand(**ch07.EXAMPLE)
    for name in ("x", "W1", "b1", "W2", "b2", "W3", "b3"):
        np.testing.assert_array_equal(gradients[name], t[name].grad.numpy(), err_msg=name)


def test_the_lesson_shows_every_number_beside_the_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    ch07.three_layers()
    out = capsys.readouterr().out
    for formula in (*ch07.FORWARD.values(), *ch07.BACKWARD.values()):
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {formula}   ")]
        hand, tensor = re.split(r" {3,}", line.strip())[1:]
        assert hand == tensor, line
    assert re.search(r"L = ½ \(z3 - y\)² +1\.125 +1\.125\n", out)
    assert re.search(r"∂L/∂W1 = ∂L/∂z1 xᵀ +\[\[3 -6\] \[0 0\] \[-3\.75 7\.5\]\] ", out)
    assert out.endswith("Largest difference between a number by hand and the Tensor's: 0\n")
    assert max(map(len, out.splitlines())) <= 120


def test_the_lesson_would_show_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values, gradients = ch07.by_hand(**ch07.EXAMPLE)
    monkeypatch.setattr(ch07, "by_hand", lambda **example: (values, {**gradients, "W2": gradients["W2"] + 0.25}))
    ch07.three_layers()
    assert capsys.readouterr().out.endswith("the Tensor's: 0.25\n")


def test_numpy_alone_learns_exclusive_or(capsys: pytest.CaptureFixture[str]) -> None:
    ch07.numpy_alone()
    out = capsys.readouterr().out
    pairs = re.findall(r"slope +(\S+) +gradient +(\S+)", out)
    assert len(pairs) == 3
    assert all(float(slope) == pytest.approx(float(g), abs=1e-7) for slope, g in pairs)  # 8 decimals are printed
    assert all(float(g) != 0.0 for _, g in pairs)
    losses = [float(found) for found in re.findall(r"loss (\S+)", out)]
    assert losses[-1] < 0.1 < losses[0]
    assert [line[-1] for line in out.splitlines()[-4:]] == ["0", "1", "1", "0"]
