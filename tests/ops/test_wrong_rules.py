"""That the table can fail: every op's gradient rules, made wrong one at a time, are caught by a case of the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import ops
from tinygrad_edu.backend import get_backend
from tinygrad_edu.ops import elementwise, index, linalg, reduce, shape, softmax
from tinygrad_edu.ops.agree import _cast
from tinygrad_edu.ops.op import Fused, Op, op
from tinygrad_edu.testing import compare_with_torch, gradcheck
from tinygrad_edu.testing.cases import ROWS, Case, cases
from tinygrad_edu.testing.rows import TorchNames

WRONG: dict[str, Callable[[Any], Any]] = {
    "sign": lambda gx: -gx,
    "factor": lambda gx: gx * 1.01,
    "zero": lambda gx: gx * 0.0,
}
# Ops that no row is named after: they are part of others.
FOUND_IN = {"take": "getitem", "put_add": "getitem", "slice": "getitem", "pad": "getitem", "concat": "cat"}


def ops_with_rules() -> list[Op]:
    """Every op of our modules that has a gradient rule, once."""
    modules = (elementwise, index, linalg, reduce, shape, softmax)
    calls = [_cast, *[f for module in modules for f in vars(module).values()]]
    found = {f.op for f in calls if callable(f) and hasattr(f, "vjp")}
    return sorted((o for o in found if not isinstance(o, Fused)), key=lambda o: o.name)


def rules_of(o: Op) -> list[tuple[Op, int]]:
    """(op, argument) for each rule; a joint rule counts as one."""
    return [(o, i) for i, rule in enumerate(o.rules) if rule is not None]


@pytest.fixture
def with_rule(monkeypatch: pytest.MonkeyPatch):
    """A function that gives an op another rule for the time of a test."""

    def replace(o: Op, position: int, wrong: Callable[[Any], Any]) -> None:
        rule: Any = o.rules[position]
        n_rules, is_tuple = len(o.rules), isinstance(o.call.vjp, tuple)

        @functools.wraps(rule)  # keeps the names that it asks for
        def mutant(*args: Any) -> Any:
            gx = rule(*args)
            return [None if g is None else wrong(g) for g in gx] if isinstance(gx, (tuple, list)) else wrong(gx)

        rules = tuple([mutant if i == position else o.rules[i] for i in range(n_rules)])
        forget(o)
        monkeypatch.setattr(o.call, "vjp", rules if is_tuple else mutant)
        touched.append(o)

    def forget(o: Op) -> None:
        """Drop what an op has worked out from its rules."""
        o.plans.clear()
        for name in ("rules", "joint", "asks"):
            o.__dict__.pop(name, None)

    touched: list[Op] = []
    yield replace
    monkeypatch.undo()
    for o in touched:
        forget(o)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("o", "position"), [pair for o in ops_with_rules() for pair in rules_of(o)], ids=lambda x: getattr(x, "name", x)
)
def test_wrong_rule_is_caught(o: Op, position: int, wrong: str, with_rule, needs) -> None:
    needs("torch")
    with_rule(o, position, WRONG[wrong])
    name = FOUND_IN.get(o.name, o.name)
    mine = [case for row in ROWS if row.name == name for case in cases(row, "float64")]
    assert mine, f"no row for op {o.name!r}"
    found = next(filter(None, map(difference, mine)), None)
    assert found, f"{o.name}: rule {position}, {wrong} wrong, went unseen in {len(mine)} cases"
    assert "gradient" in found


def difference(case: Case) -> str | None:
    """What compare_with_torch says of a case, None if it finds no difference."""
    try:
        compare_with_torch(case.f(tg), case.f(TorchNames()), *case.inputs(get_backend()), order=case.order)
    except AssertionError as error:
        return str(error)
    return None


# Mistakes that one makes, each in an op of its own.


@op
def square_with_wrong_second(x):
    return x.backend.mul(x.data, x.data)


square_with_wrong_second.vjp = lambda g, x: g * x.detach() * 2.0  # right, but x is cut off


@op
def scaled(a, b):
    return a.backend.mul(a.data, b.data)


scaled.vjp = (lambda g, b: g * b, lambda g, a: (g * a).sum().expand(g.shape))  # summed over the wrong dimensions


@op
def product(a, b):
    return a.backend.matmul(a.data, b.data)


product.vjp = (lambda g, b: product(g, b), lambda g, a: product(a.mT, g))  # a transposition forgotten


@op
def kinked(x):
    return x.backend.maximum(x.data, 0.0)


kinked.vjp = lambda g, x: ops.where(x < 0, 0.0, g)  # 1 at 0, where torch has 0

A, B = np.random.default_rng(0).normal(size=(2, 3, 3))


def test_wrong_second_gradient_is_caught_at_order_2_only(needs) -> None:
    torch = needs("torch")
    compare_with_torch(square_with_wrong_second, torch.square, A, order=1)
    with pytest.raises(AssertionError, match=r"second gradient of input 0 at index \(0, 0\): ours 0.0, torch's"):
        compare_with_torch(square_with_wrong_second, torch.square, A)
    gradcheck(square_with_wrong_second, A)
    with pytest.raises(AssertionError, match=r"second gradient of input 0 at index \(0, 0\): ours 0, numeric"):
        gradcheck(square_with_wrong_second, A, order=2)


def test_wrong_sum_is_caught(needs) -> None:
    torch = needs("torch")
    with pytest.raises(AssertionError, match=r"gradient of input 1 at index \(0,\): ours .*, torch's"):
        compare_with_torch(scaled, torch.mul, A, B[0])
    with pytest.raises(AssertionError, match=r"gradient of input 1 at index \(0,\): ours .*, numeric"):
        gradcheck(scaled, A, B[0])


def test_forgotten_transposition_is_caught(needs) -> None:
    torch = needs("torch")
    with pytest.raises(AssertionError, match="gradient of input 0"):
        compare_with_torch(product, torch.matmul, A, B)
    with pytest.raises(AssertionError, match="gradient of input 0"):
        gradcheck(product, A, B)


def test_wrong_gradient_at_a_kink_is_caught(needs) -> None:
    torch = needs("torch")
    compare_with_torch(kinked, torch.relu, A)
    with pytest.raises(AssertionError, match=r"gradient of input 0 at index \(1,\): ours .*, torch's -?0.0 "):
        compare_with_torch(kinked, torch.relu, np.array([1.0, 0.0]))
