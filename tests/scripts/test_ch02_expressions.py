"""Formulas: read as Python reads them, differentiated as differences and the Tensor say; a mistake has its place."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.scripts.ch02_expressions import OPERATIONS
from tinygrad_edu.scripts.ch02_parser import DEPTH, FUNCTIONS, LENGTH, parse

FORMULAS = [
    "x", "-x^2", "2^3^2*x", "x^-2", "x - 1 - 2 - y", "x/y/2", "-x - -y", "2*x*3*y", "x*(y + 1)^2", "1e-3*x + .5*y",
    "x^y", "2^x", "x^x", "(x + y)*(x - y)", "x/(y/x)", "x - (y - x)", "6*x/3", "5*x/3", "pi*x + e", "x*x*x", "x^2^y",
    "(x^2)^3", "-(x + 1)^2/2", "3*(2*x + 4*y)", "+x", "0*x + y", "x + 0", "x^0 + x", "x^1",
    *(f"{name}(x*y + 1)/y" for name in FUNCTIONS),
]  # fmt: skip
POINT = {"x": 1.25, "y": 0.75}  # all of FORMULAS have a value there


def python(formula: str) -> float:
    """What Python makes of the same text."""
    names = {name: getattr(math, name) for name in (*FUNCTIONS, "pi", "e")}
    return eval(formula.replace("^", "**"), {"__builtins__": {}}, {**names, **POINT})


@pytest.mark.parametrize("formula", FORMULAS)
def test_it_is_read_as_python_reads_it(formula: str) -> None:
    assert parse(formula)(**POINT) == pytest.approx(python(formula), rel=1e-14)  # sums and products in another order
    again = parse(str(parse(formula)))  # what is printed means the same; numbers are printed with six digits
    assert again(**POINT) == pytest.approx(python(formula), rel=1e-5)


@pytest.mark.parametrize("formula", FORMULAS)
def test_formula_difference_and_tensor_agree(formula: str) -> None:
    f, h = parse(formula), 1e-6
    tensors = {name: tg.tensor(value, dtype=tg.float64, requires_grad=True) for name, value in POINT.items()}
    gradients = tg.grad(f(**tensors), list(tensors.values()), allow_unused=True)
    for name, by_tensor in zip(POINT, gradients, strict=True):
        exact = f.derivative(name)(**POINT)
        moved = [f(**{**POINT, name: POINT[name] + step}) for step in (h, -h)]
        assert exact == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-7, abs=1e-8)  # h² and rounding / h
        assert exact == pytest.approx(0.0 if by_tensor is None else by_tensor.item(), rel=1e-12, abs=1e-15)


def test_derivatives_as_one_would_write_them() -> None:
    for formula, derivative in {
        "x^4 - 3*x^3 + 2": "4*x^3 - 9*x^2",
        "sin(x)^2": "2*sin(x)*cos(x)",
        "exp(-x^2)": "-2*x*exp(-x^2)",
        "x^2/2 + exp(-x)": "x - exp(-x)",
        "sqrt(x)": "1/(2*sqrt(x))",
        "log(x^2 + 1)": "2*x/(x^2 + 1)",
        "1/x": "-1/x^2",
        "3": "0",
        "y": "0",
    }.items():
        assert str(parse(formula).derivative("x")) == derivative


def test_torchs_tensors_go_through_too(needs: Callable[[str], ModuleType]) -> None:
    torch = needs("torch")
    for formula in FORMULAS:
        theirs = parse(formula)(**{name: torch.tensor(value, dtype=torch.float64) for name, value in POINT.items()})
        assert float(theirs) == pytest.approx(python(formula), rel=1e-14)


def test_arrays_are_computed_at_once() -> None:
    x = np.array([[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(parse("x^2 + 1")(x=tg.tensor(x)).numpy(), x**2 + 1)


@pytest.mark.parametrize(
    ("formula", "column", "what"),
    [
        ("", 1, "got the end"),
        ("x +", 4, "got the end"),
        ("2x", 2, "a product is written 2*x"),
        ("x(2)", 2, "expected an operator before '('"),
        ("(x", 3, 'for the "(" of column 1'),
        ("x)", 2, 'without a "("'),
        ("sin x", 5, 'expected "(" after sin'),
        ("sin()", 5, "got ')'"),
        ("2*foo(x)", 3, "unknown name 'foo'"),
        ("x.real", 2, "cannot read '.'"),
        ("__import__(x)", 1, "unknown name '__import__'"),
        ("x $ 2", 3, "cannot read '$'"),
        ("x^^2", 3, "got '^'"),
        ("1/0", 2, "1/0 is not a number"),
        ("sin(log(0))", 5, "log(0) is not a number"),
        ("(-8)^(1/3)", 5, "is not a number"),
        ("exp(1000)", 1, "exp(1000) is not a number"),
        ("1e999", 1, "too large a number"),
        ("(" * (DEPTH + 1) + "x", DEPTH + 1, "brackets, signs or powers"),
    ],
)
def test_a_mistake_has_its_place(formula: str, column: int, what: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(formula)
    first, text, mark = str(error.value).split("\n")
    assert first.startswith(f"column {column}: ")
    assert what in first
    assert (text, mark) == (f"  {formula}", " " * (column + 1) + "^")


def test_a_formula_that_is_too_long() -> None:
    with pytest.raises(ValueError, match=f"a formula of {LENGTH + 1} characters"):
        parse("x" * (LENGTH + 1))


@pytest.mark.parametrize(
    "formula", ["/".join("xy" * (LENGTH // 4)), "*".join("x" * (LENGTH // 2)), "/".join(["sin(x)"] * (LENGTH // 7)),
                "^".join("x" * (DEPTH - 2)), "sin(" * (DEPTH - 2) + "x" + ")" * (DEPTH - 2)]
)  # fmt: skip
def test_the_longest_and_deepest_are_no_recursion_errors(formula: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # Python's own
    try:
        f = parse(formula)
        slope = f.derivative("x")
        assert math.isfinite(slope(**POINT))
        assert str(slope)
    finally:
        sys.setrecursionlimit(limit)


def test_every_operation_is_tested() -> None:
    assert all(any(name in formula for formula in FORMULAS) for name in OPERATIONS)


def test_a_derivative_that_is_no_number() -> None:
    with pytest.raises(ValueError, match=r"log\(-2\) is not a number"):
        parse("(-2)^x").derivative("x")
