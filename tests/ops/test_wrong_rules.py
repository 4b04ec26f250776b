"""That the table can fail: ops' gradient rules, made wrong, are caught by its cases.

Here is a sample of the mutants of `tinygrad_edu.testing.mutants`, that tool's own tests, and some mistakes written out;
`make mutants` tries all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu import ops
from tinygrad_edu.ops.op import op
from tinygrad_edu.testing import compare_with_torch, gradcheck, mutants
from tinygrad_edu.testing.mutants import Mutant, Table, trial
from tinygrad_edu.testing.mutations import source_mutants, with_rule

SAMPLE = 10  # one in so many mutants, another one for each op


@pytest.fixture(scope="module")
def table(needs) -> Table:
    """The first cases of each row. Those left out could catch a mutant, but not let one pass."""
    needs("torch")
    with np.errstate(all="ignore"):
        return Table(each_row=8)


def test_every_op_is_reached(table: Table) -> None:
    missing = sorted(o.name for o in mutants.all_ops() - table.reaching.keys() if [*mutants.mutants(o)])
    assert not missing, f"no case of the table reaches the rules of {missing}"


def test_a_sample_of_mutants_is_caught(table: Table) -> None:
    found = sorted(table.reaching, key=lambda o: o.name)
    chosen = [m for i, o in enumerate(found) for m in [*mutants.mutants(o)][i % SAMPLE :: SAMPLE]]
    with np.errstate(all="ignore"):
        verdicts = {str(mutant): trial(table, mutant).verdict for mutant in chosen}
    assert not [name for name, verdict in verdicts.items() if verdict == "survived"]
    assert sum(verdict == "caught" for verdict in verdicts.values()) > len(found)


def of(o: Any, what: str) -> Mutant:
    """The mutant of an op whose description ends so."""
    (mutant,) = [m for m in mutants.mutants(o.op) if m.what.endswith(what)]
    return mutant


@pytest.mark.parametrize(
    "what",
    ["rule 1, sign", "rule 0, b left out", "rule 0, that of argument 1", "rule 1, line {}: Mult -> Div in `g * a`"],
)
def test_mul_mutants_are_caught_with_a_reason(what: str, table: Table) -> None:
    line = ops.mul.vjp[1].__code__.co_firstlineno
    verdict, by = trial(table, of(ops.mul, what.format(line)))
    assert verdict == "caught"
    assert "gradient of input" in by


def test_a_blind_table_lets_mutants_survive(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases that do not look at second gradients miss what only these show; no cases miss all."""
    first_order = [case._replace(order=1) for case in table.reaching[ops.mul.op]]
    monkeypatch.setitem(table.reaching, ops.mul.op, first_order)
    assert trial(table, of(ops.mul, "rule 0, sign")).verdict == "caught"
    assert trial(table, of(ops.mul, "rule 0, b cut off from its history")).verdict == "survived"
    monkeypatch.delitem(table.reaching, ops.mul.op)
    assert trial(table, of(ops.mul, "rule 0, sign")) == ("survived", "no case reaches this op")


def test_what_is_no_mistake_is_told_from_what_survives(table: Table) -> None:
    """relu's second gradient with respect to its result is 0: no history is lost when that is cut off."""
    assert trial(table, of(ops.relu, "out cut off from its history")).verdict == "no mistake"
    assert trial(table, of(ops.relu, "g cut off from its history")).verdict == "caught"


def test_a_rule_is_put_back(table: Table) -> None:
    right = ops.mul.vjp
    for mutant in mutants.mutants(ops.mul.op):
        trial(table, mutant)
        assert ops.mul.vjp is right
    assert not table.difference(table.reaching[ops.mul.op][0])


def test_a_table_that_fails_as_it_is_is_refused(monkeypatch: pytest.MonkeyPatch, needs) -> None:
    needs("torch")
    monkeypatch.setattr(mutants, "ROWS", [row for row in mutants.ROWS if row.name == "exp"])
    message = r"mutants: exp-.* fails as it is; mend that first: gradient of input 0"
    with with_rule(ops.exp.op, 0, lambda g, out: g), pytest.raises(ValueError, match=message):
        Table()


def test_the_source_of_rules_is_changed_in_every_place() -> None:
    rule = lambda g, x: g * (2.0 - x) if x is not None else -g
    assert [what.partition(": ")[2] for what, _ in source_mutants(rule)] == [
        "Mult -> Div in `g * (2.0 - x)`",
        "without the sign in `-g`",
        "Sub -> Add in `2.0 - x`",
        "2.0 -> 3.0 in `2.0`",
    ]
    assert [wrong(3.0, 1.0) for _, wrong in source_mutants(rule)] == [3.0, 3.0, 9.0, 6.0]
    assert [wrong(3.0, None) for _, wrong in source_mutants(rule)][1] == 3.0


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
