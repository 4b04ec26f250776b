"""Formulas as trees: computed on Tensors, and differentiated by the rules that one learns first.

A derivative is another tree, made by one rule for each operation and the chain rule. What need not be written, such as
0 + a, 1 · a, or numbers among themselves, is taken out where a tree is made. `ch02_parser.py` makes trees of text.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Expression:
    """A tree: Number, Variable or Operation. `+ - * / **` of it, and the functions below, are larger trees."""

    def __call__(self, **values: Any) -> Any:
        """The value where the variables are these Tensors, ours or torch's, all of one shape."""
        raise NotImplementedError

    def derivative(self, name: str) -> Expression:
        """The partial derivative by the variable `name`."""
        raise NotImplementedError

    def variables(self) -> set[str]:
        """The names of the variables in it."""
        return set()

    def __add__(self, other: Expression | float) -> Expression:
        return add(self, tree(other))

    def __sub__(self, other: Expression | float) -> Expression:
        return add(self, mul(Number(-1.0), tree(other)))

    def __mul__(self, other: Expression | float) -> Expression:
        return mul(self, tree(other))

    def __truediv__(self, other: Expression | float) -> Expression:
        return div(self, tree(other))

    def __pow__(self, other: Expression | float) -> Expression:
        return power(self, tree(other))

    def __neg__(self) -> Expression:
        return mul(Number(-1.0), self)

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True)
class Number(Expression):
    """A number."""

    value: float

    def __call__(self, **values: Any) -> Any:
        return self.value

    def derivative(self, name: str) -> Expression:
        return ZERO


@dataclass(frozen=True)
class Variable(Expression):
    """x or y."""

    name: str

    def __call__(self, **values: Any) -> Any:
        return values[self.name]

    def derivative(self, name: str) -> Expression:
        return ONE if name == self.name else ZERO

    def variables(self) -> set[str]:
        return {self.name}


@dataclass(frozen=True)
class Operation(Expression):
    """One of OPERATIONS, on other trees."""

    name: str
    args: tuple[Expression, ...]

    def __call__(self, **values: Any) -> Any:
        return OPERATIONS[self.name].compute(*(arg(**values) for arg in self.args))

    def derivative(self, name: str) -> Expression:
        total: Expression = ZERO
        for rule, arg in zip(OPERATIONS[self.name].rules, self.args, strict=True):
            inner = arg.derivative(name)
            if inner != ZERO:  # else the rule is not asked: that of a^b by b has a logarithm of a
                total = total + rule(inner, *self.args)
        return total

    def variables(self) -> set[str]:
        return set().union(*(arg.variables() for arg in self.args))


ZERO, ONE = Number(0.0), Number(1.0)


# the rules ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """How an operation is computed, of numbers and of Tensors; and a rule for each argument.

    A rule is given d, the derivative of that argument, and all arguments: it is the chain rule's summand.
    """

    compute: Callable[..., Any]
    rules: tuple[Callable[..., Expression], ...]


def by_name(name: str) -> Callable[[Any], Any]:
    """Of a number what `math` says, of a Tensor its method."""
    return lambda a: getattr(math, name)(a) if isinstance(a, float) else getattr(a, name)()


def function(name: str) -> Callable[[Expression], Expression]:
    """The function of this name, from tree to tree."""
    return lambda a: operation(name, a)


sin, cos, exp, log, sqrt, tanh = map(function, ("sin", "cos", "exp", "log", "sqrt", "tanh"))

OPERATIONS = {
    "+": Rules(operator.add, (lambda d, a, b: d, lambda d, a, b: d)),
    "-": Rules(operator.sub, (lambda d, a, b: d, lambda d, a, b: -d)),
    "*": Rules(operator.mul, (lambda d, a, b: d * b, lambda d, a, b: a * d)),
    "/": Rules(operator.truediv, (lambda d, a, b: d / b, lambda d, a, b: -(a * d) / b**2.0)),
    "^": Rules(operator.pow, (lambda d, a, b: b * a ** (b - 1.0) * d, lambda d, a, b: a**b * log(a) * d)),
    "sin": Rules(by_name("sin"), (lambda d, a: d * cos(a),)),
    "cos": Rules(by_name("cos"), (lambda d, a: -d * sin(a),)),
    "tan": Rules(by_name("tan"), (lambda d, a: d / cos(a) ** 2.0,)),
    "exp": Rules(by_name("exp"), (lambda d, a: d * exp(a),)),
    "log": Rules(by_name("log"), (lambda d, a: d / a,)),
    "sqrt": Rules(by_name("sqrt"), (lambda d, a: d / (sqrt(a) * 2.0),)),
    "tanh": Rules(by_name("tanh"), (lambda d, a: d * (ONE - tanh(a) ** 2.0),)),
}


# making a tree --------------------------------------------------------------------------------------------------------


def tree(value: Expression | float) -> Expression:
    """A tree as it is, a float as a Number."""
    return Number(value) if isinstance(value, float) else value


def operation(name: str, *args: Expression) -> Expression:
    """The operation; of numbers alone, the number that it gives. ValueError where that is none, as in 1/0."""
    made = Operation(name, args)
    if not all(isinstance(arg, Number) for arg in args):
        return made
    try:
        value = made()
    except (ArithmeticError, ValueError):
        value = math.nan
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"{made} is not a number")
    return Number(value)


def factored(a: Expression) -> tuple[float, Expression]:
    """The number in front and the rest: 3 and x of 3*x, 1 and x of x, 3 and 1 of 3."""
    if isinstance(a, Number):
        return a.value, ONE
    if isinstance(a, Operation) and a.name == "*" and isinstance(a.args[0], Number):
        return a.args[0].value, a.args[1]
    return 1.0, a


def add(a: Expression, b: Expression) -> Expression:
    """a + b."""
    (m, first), (n, second) = factored(a), factored(b)
    if m == 0.0 or n == 0.0:
        return a if n == 0.0 else b
    if first == second:
        return mul(operation("+", Number(m), Number(n)), first)
    return operation("-", a, mul(Number(-n), second)) if n < 0.0 else operation("+", a, b)


def mul(a: Expression, b: Expression) -> Expression:
    """a · b, with the numbers in front."""
    (m, first), (n, second) = factored(a), factored(b)
    front = operation("*", Number(m), Number(n))
    rest = second if first == ONE else first if second == ONE else operation("*", first, second)
    if front == ZERO or rest == ONE:
        return front
    return rest if front == ONE else operation("*", front, rest)


def div(a: Expression, b: Expression) -> Expression:
    """a / b, with a's number in front; 6*x/3 is 2*x."""
    m, first = factored(a)
    if b == ONE or (m == 0.0 and not isinstance(b, Number)):
        return a
    if first == ONE:
        return operation("/", a, b)
    if isinstance(b, Number) and b != ZERO and m % b.value == 0.0:
        return mul(Number(m / b.value), first)
    return mul(Number(m), operation("/", first, b))


def power(a: Expression, b: Expression) -> Expression:
    """a to the power b."""
    if b == ZERO:
        return ONE
    return a if b == ONE else operation("^", a, b)


# as text --------------------------------------------------------------------------------------------------------------

LEVELS = {
    "+": 1,
    "-": 1,
    "*": 2,
    "/": 2,
    "^": 3,
}  # what binds more tightly has the higher; the rest: 4


def text(a: Expression, least: int = 0) -> str:
    """The tree as text, numbers with six digits; in brackets if its level is below `least`."""
    if isinstance(a, Number):
        written, level = f"{a.value:.6g}", 2 if a.value < 0.0 else 4
    elif isinstance(a, Operation) and a.name in LEVELS:
        level = LEVELS[a.name]
        left, right = level + (a.name == "^"), level + (a.name in "-/")
        first, second = text(a.args[0], left), text(a.args[1], right)
        sign = f" {a.name} " if level == 1 else a.name
        written = f"-{second}" if (a.name, first) == ("*", "-1") else f"{first}{sign}{second}"
    elif isinstance(a, Operation):
        written, level = f"{a.name}({text(a.args[0])})", 4
    else:
        assert isinstance(a, Variable)
        written, level = a.name, 4
    return f"({written})" if level < least else written
