"""Formulas read from text, never by `eval`; what is no formula is told with its place.

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = ("+" | "-") factor | power
    power   = atom [ ("^" | "**") factor ]                  so -x^2 is -(x^2), and 2^3^2 is 2^(3^2)
    atom    = number | name | function "(" sum ")" | "(" sum ")"

Each of these lines is a method of the parser, which calls the methods of what its line consists of (recursive descent).

Source: A. Aho, M. Lam, R. Sethi, J. Ullman, "Compilers", 2nd edition, 2007, section 4.4.1.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import NoReturn

from tinygrad_edu.errors import unknown
from tinygrad_edu.scripts.ch02_expressions import OPERATIONS, Expression, Number, Variable, function

VARIABLES, CONSTANTS = ("x", "y"), {"pi": math.pi, "e": math.e}
FUNCTIONS = [name for name in OPERATIONS if name.isalpha()]
LENGTH, DEPTH = 200, 30  # of a text: its characters, and how deep its brackets go; trees are walked by recursion


def parse(formula: str) -> Expression:
    """The tree of a formula in x, or in x and y. ValueError for what is none, with a mark under the place.

    >>> f = parse("x^4 - 3*x^3 + 2")
    >>> print(f.derivative("x"))
    4*x^3 - 9*x^2
    >>> parse("2*(x + 1")
    Traceback (most recent call last):
    ...
    ValueError: column 9: expected ")" for the "(" of column 3
      2*(x + 1
              ^
    """
    if len(formula) > LENGTH:
        raise ValueError(f"a formula of {len(formula)} characters; {LENGTH} are allowed")
    return _Parser(formula).whole()


class _Parser:
    """The tokens of a formula, read from left to right; `next` is the number of the one to come."""

    TOKEN = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[A-Za-z_]\w*|\*\*|[-+*/^()]")

    def __init__(self, formula: str) -> None:
        self.formula, self.next, self.depth = formula, 0, 0
        self.tokens: list[tuple[str, int]] = []  # with the place where each begins
        at = 0
        while at < len(formula):
            found = self.TOKEN.match(formula, at)
            if found:
                self.tokens.append((found.group(), at))
            elif not formula[at].isspace():
                self.fail(f"cannot read {formula[at]!r}", at)
            at = found.end() if found else at + 1
        self.tokens.append(("", len(formula.rstrip())))

    def fail(self, what: str, at: int) -> NoReturn:
        raise ValueError(f"column {at + 1}: {what}\n  {self.formula}\n  {' ' * at}^")

    def take(self, *wanted: str) -> str:
        """The next token if it is one of these, else "" and nothing is taken."""
        token = self.tokens[self.next][0]
        if token and token in wanted:
            self.next += 1
            return token
        return ""

    def make(self, at: int, how: Callable[..., Expression], *args: Expression) -> Expression:
        """What `how` makes of trees; what has no value, as 1/0, is a mistake of the place `at`."""
        try:
            return how(*args)
        except ValueError as error:
            self.fail(str(error), at)

    def whole(self) -> Expression:
        found = self.sum()
        token, at = self.tokens[self.next]
        if token == ")":
            self.fail('")" without a "(" before it', at)
        if token:
            self.fail(f"expected an operator before {token!r}; a product is written 2*x", at)
        return found

    def sum(self) -> Expression:
        found = self.product()
        while sign := self.take("+", "-"):
            at = self.tokens[self.next - 1][1]
            found = self.make(at, operator.add if sign == "+" else operator.sub, found, self.product())
        return found

    def product(self) -> Expression:
        found = self.factor()
        while sign := self.take("*", "/"):
            at = self.tokens[self.next - 1][1]
            found = self.make(at, operator.mul if sign == "*" else operator.truediv, found, self.factor())
        return found

    def factor(self) -> Expression:
        self.depth += 1
        if self.depth > DEPTH:
            self.fail(f"more than {DEPTH} brackets, signs or powers in each other", self.tokens[self.next][1])
        sign = self.take("+", "-")
        found = self.factor() if sign else self.power()
        self.depth -= 1
        return -found if sign == "-" else found

    def power(self) -> Expression:
        base = self.atom()
        if not self.take("^", "**"):
            return base
        at = self.tokens[self.next - 1][1]
        return self.make(at, operator.pow, base, self.factor())

    def atom(self) -> Expression:
        token, at = self.tokens[self.next]
        self.next += 1
        if token == "(":
            return self.closed(at)
        if token[:1].isdigit() or token[:1] == ".":
            if not math.isfinite(float(token)):
                self.fail(f"{token} is too large a number", at)
            return Number(float(token))
        if not token.isidentifier():
            self.fail(f'expected a number, a name or "(", got {repr(token) if token else "the end"}', at)
        if token in VARIABLES:
            return Variable(token)
        if token in CONSTANTS:
            return Number(CONSTANTS[token])
        if token not in FUNCTIONS:
            self.fail(unknown("name", token, [*VARIABLES, *CONSTANTS, *FUNCTIONS]), at)
        bracket = self.tokens[self.next][1]
        if not self.take("("):
            self.fail(f'expected "(" after {token}', bracket)
        return self.make(at, function(token), self.closed(bracket))

    def closed(self, opened: int) -> Expression:
        found = self.sum()
        if not self.take(")"):
            self.fail(f'expected ")" for the "(" of column {opened + 1}', self.tokens[self.next][1])
        return found
