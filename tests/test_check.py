"""`testing.check`: rule, finite differences and torch, and what it says when one of them differs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.ops.op import op
from tinygrad_edu.testing import check
from tinygrad_edu.testing.check import load, report

X, Y = np.random.default_rng(0).uniform(0.5, 1.5, (2, 2, 3))


@op
def product(a, b):
    return a.backend.mul(a.data, b.data)


product.vjp = (lambda g, b: g * b, lambda g, a: g * a.detach())  # the second gradient is cut off


def test_what_is_right_passes(needs) -> None:
    torch = needs("torch")
    check(lambda x, y: tg.logsumexp(x * y, 1), X, Y, torch_f=lambda x, y: torch.logsumexp(x * y, 1))
    check(lambda x, i: x[i], X, np.array([1, 0, 1]), torch_f=lambda x, i: x[i])
    check(lambda x: (x.exp(), x.sum()), X)
    check(lambda x: (x > 1.0).double(), X, torch_f=lambda x: (x > 1.0).double())  # no gradient: zeros in all three
    check(lambda x: x * 2.0, np.zeros((0, 3)), torch_f=lambda x: x * 2.0)


def test_inputs_stay_as_they_are() -> None:
    x = tg.tensor(X.astype(np.float32))
    check(lambda x: x * x, x)
    assert x.dtype == np.float32
    assert x.grad is None
    assert not x.requires_grad
    np.testing.assert_array_equal(x.numpy(), X.astype(np.float32))


def test_a_wrong_second_gradient_is_named_with_its_three_values(needs) -> None:
    torch = needs("torch")
    check(product, X, Y, torch_f=torch.mul, order=1)
    with pytest.raises(AssertionError) as caught:
        check(product, X, Y, torch_f=torch.mul)
    found = re.fullmatch(
        r"second gradient of input 0 at index \(0, 0\): ours (\S+), numeric (\S+), torch's (\S+) \(the rule is wrong\)",
        str(caught.value),
    )
    assert found
    ours, numeric, torchs = map(float, found.groups())
    assert abs(numeric - torchs) < 1e-8 < abs(ours - torchs)


def test_a_kink_and_another_function_are_told_apart(needs) -> None:
    torch = needs("torch")
    hint = r"gradient of input 0 at index \(1,\): ours 0, numeric .*, torch's 0 \(finite differences mean nothing at a"
    with pytest.raises(AssertionError, match=hint):
        check(tg.relu, np.array([1.0, 0.0]), torch_f=torch.relu)
    with pytest.raises(AssertionError, match=r"gradient of input 0 .* \(torch computes another function"):
        check(tg.exp, X, torch_f=lambda x: x.exp().detach() + 0.0 * x)


@pytest.mark.parametrize(
    ("torch_f", "message"),
    [
        (lambda x: x * 1.5, r"value 0 at index \(0, 0\): ours .*, torch's"),
        (lambda x: x.sum(), r"value 0: ours is float64 of shape \(2, 3\), torch's is float64 of \(\)"),
        (lambda x: (x, x), r"expected \['value 0', 'value 1'\] as torch has"),
    ],
)
def test_values_come_first(torch_f, message: str, needs) -> None:
    needs("torch")
    with pytest.raises(AssertionError, match=message):
        check(lambda x: x * 1.0, X, torch_f=torch_f)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="check: expected order 1 or 2, got 3"):
        check(tg.exp, X, order=3)
    with pytest.raises(ValueError, match=r"check: expected at least one float input, got \['int64'\]"):
        check(tg.exp, np.array([1, 2]))


def test_a_file_may_import_from_its_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beside_it.py").write_text("def double(x):\n    return x + x\n")
    (tmp_path / "main.py").write_text(
        "from beside_it import double\n\ndef f(x=[1.0], y=2, *, z='z'):\n    assert (y, z) == (2, 'z')\n"
        "    return double(x) ** y\n\ntorch_f = f\n"
    )
    f, inputs, torch_f = load(f"{tmp_path / 'main.py'}:f")
    assert [x.tolist() for x in inputs] == [[1.0]]
    assert f(3.0) == torch_f(3.0) == 36.0
    assert report(f"{tmp_path / 'main.py'}:f")
    assert "second gradient of input 0" in capsys.readouterr().out
