"""Chapter 2's lessons: every number that is printed is the one that NumPy, or the formula, gives."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tinygrad_edu.scripts.lessons import ch02

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (2, 3), (5, 2)], ids=str)
def test_both_ways_to_a_matrix_vector_product(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    A, x = rng.integers(-9, 9, shape).astype(float), rng.integers(-9, 9, shape[1]).astype(float)
    for way in (ch02.by_rows, ch02.by_columns):
        assert way(A.tolist(), x.tolist()) == (A @ x).tolist()  # small whole numbers: no rounding


def test_the_matrix_vector_product_is_shown(capsys: Capture) -> None:
    ch02.matrix_vector()
    out = capsys.readouterr().out
    assert "y_1 = (1)(5) + (3)(6) + (4)(0.5) = 25\n" in out
    assert len(re.findall(r"\[4\.0, 25\.0\]", out)) == 3
    assert "ValueError: matmul: " in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("shapes", [((1, 1), (1, 1)), ((2, 3), (3, 4)), ((4, 1), (1, 2))], ids=str)
def test_both_ways_to_a_matrix_product(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    A, B = (rng.integers(-9, 9, shape).astype(float) for shape in shapes)
    for way in (ch02.three_loops, ch02.row_by_row):
        assert way(A.tolist(), B.tolist()) == (A @ B).tolist()


def test_the_products_are_timed_and_compared(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch02, "SIZES", (2, 8))
    monkeypatch.setattr(
        ch02,
        "alternate",
        lambda ways, seconds: {
            name: float(bool(way()))
            for name, way in {
                "loops": ways["loops"],
                "rows": ways["rows"],
                "dot": lambda: ways["dot"]() is not None,
            }.items()
        },
    )
    ch02.matmul_by_hand()
    rows = re.findall(r"^ +(\d+) +(\S+) +(\S+) +(\S+) +(\S+)   (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert [row[0] for row in rows] == ["2", "8"]
    assert all(float(row[5]) < 1e-13 for row in rows)  # sums of 8 products of order 1, in two orders


@pytest.mark.parametrize(
    ("first", "second"),
    [((3, 4), (4,)), ((3, 4), (3, 1)), ((3, 1), (1, 4)), ((), (2,)), ((2, 1, 3), (5, 1)), ((0,), (1,))],
)
def test_shapes_go_together_as_numpys_do(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert ch02.broadcast(first, second) == np.broadcast_shapes(first, second)
    assert ch02.broadcast(second, first) == np.broadcast_shapes(first, second)


def test_shapes_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"broadcast: \(3, 4\) and \(3,\) do not go together"):
        ch02.broadcast((3, 4), (3,))


def test_broadcasting_is_shown(capsys: Capture) -> None:
    ch02.broadcasting()
    out = capsys.readouterr().out
    assert "two loops over i and j: True" in out
    assert "ValueError: operands could not be broadcast together" in out
    assert re.search(r"\(3, 1\) \+ \(1, 4\) +-> \(3, 4\) +all pairs", out)
    assert "(0, 8) bytes" in out


def test_a_polynomial_its_value_and_its_derivative() -> None:
    p = [2.0, 0.0, -3.0, 1.0]
    assert ch02.polynomial(p) == "2 - 3 x^2 + x^3"
    assert ch02.polynomial(ch02.differentiate(p)) == "-6 x + 3 x^2"
    assert ch02.differentiate([7.0]) == []
    assert (ch02.polynomial([]), ch02.polynomial([0.0])) == ("0", "0")
    assert ch02.polynomial([0.0, -1.0]) == "-1 x"
    x = np.array([-2.0, 0.0, 0.5, 3.0])
    np.testing.assert_array_equal(ch02.value(p, x), 2.0 - 3.0 * x**2 + x**3)


def test_three_ways_to_a_slope(capsys: Capture) -> None:
    ch02.derivative()
    out = capsys.readouterr().out
    rows = re.findall(r"^ +(-?[\d.]+) +(-?\d+\.\d{8}) +(-?\d+\.\d{8}) +(-?\d+\.\d{8})$", out, re.MULTILINE)
    assert len(rows) == 5
    for at, rule, difference, tensor in (map(float, row) for row in rows):
        assert rule == tensor == pytest.approx(3 * at**2 - 6 * at)
        assert difference == pytest.approx(rule, abs=1e-8)  # eight decimals are printed; the error itself is 1e-10
    errors = [float(found) for found in re.findall(r"error (\S+)$", out, re.MULTILINE)]
    assert errors[0] > errors[2] > min(errors) < errors[-1]  # less with h, until rounding is all that is left


def test_what_the_learning_rate_does(capsys: Capture) -> None:
    ch02.gradient_descent()
    out = capsys.readouterr().out
    rows = re.findall(r"^ +([\d.]+) +-?\d\.\d\d .*   ([^\d\n]+)$", out, re.MULTILINE)
    told = {float(rate): words for rate, words in rows}
    assert set(told) == set(ch02.RATES)
    assert told[1.1].endswith("it diverges")
    assert told[0.5] == "there at once"
    assert told[1.0] == "to and fro for ever"
    assert told[0.9] == "from side to side, steadily"
    assert told[0.01] == "from one side, slowly"
    for rate in ch02.RATES:
        assert ch02.descent(6.0, rate, 3)[3] == pytest.approx(2.0 + 4.0 * (1.0 - 2.0 * rate) ** 3)
    by_tensor = re.findall(r"step +(\d+)   f was .* x = (\S+)", out)
    way = ch02.descent(6.0, 0.1, 30)
    assert [(int(step), float(x)) for step, x in by_tensor] == [(k, round(way[k], 6)) for k in (1, 2, 3, 10, 30)]
