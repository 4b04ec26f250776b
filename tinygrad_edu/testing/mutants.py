"""The mutation run: every op's gradient rule is made wrong in many ways, and the table of cases must see each of them.

    python -m tinygrad_edu.testing.mutants [--backend NAME] [OP ...]

A mutant that no case catches is a survivor: a mistake that would go unseen. A mutant is left out where it is no mistake
at all: where the wrong rule gives, at every call of every case, the very numbers that the right one gives (`sign` of a
gradient that is zero, the transpose of a single row), or, where it cuts off a history, nothing depends on what was cut.
Ops are found by themselves: all in the modules of `tinygrad_edu.ops`, `functions` and `nn`, and whatever op the cases
reach. A fused op with a kernel has kernel and body made wrong; one without is its body, which is made of ops.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import tinygrad_edu
from tinygrad_edu import autograd
from tinygrad_edu.backend import get_backend, use_backend
from tinygrad_edu.ops.op import Fused, Op
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing import mutations
from tinygrad_edu.testing.cases import ROWS, Case, cases
from tinygrad_edu.testing.compare import Ours, Torch, Trace, compare, trace
from tinygrad_edu.testing.mutations import Mutation, depends, differ, is_float, with_rule, wrapped
from tinygrad_edu.testing.rows import TinygradNames, TorchNames

ENOUGH = 300  # a mutant that so many cases of its op have not caught is a survivor, even if the next one would


class Seen:
    """Whether a mutant has made any difference yet."""

    def __init__(self) -> None:
        self.difference = False


class Mutant(NamedTuple):
    """One mistake: `install(seen)` is a context in which it is made, and `seen` told of each difference it makes."""

    op: Op
    what: str
    install: Callable[[Seen], Any]

    def __str__(self) -> str:
        return f"{self.op.name}: {self.what}"


# Which ops there are, and which cases reach their rules.


def all_ops() -> set[Op]:
    """Every op with a gradient rule in the modules of `ops`, `functions` and `nn`."""
    found = set()
    for package in [importlib.import_module(f"tinygrad_edu.{name}") for name in ("ops", "functions", "nn")]:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for f in vars(importlib.import_module(module.name)).values():
                this = getattr(f, "op", None)
                if isinstance(this, Op) and (isinstance(this, Fused) or hasattr(f, "vjp")):
                    found.add(this)
    return found


class Table:
    """The cases, each with torch's results, and which of them reach which op. ValueError if one fails as it is."""

    def __init__(self, each_row: int | None = None) -> None:
        self.cases: list[Case] = []
        self.torch: dict[int, Trace] = {}  # by id(case), of those in `cases`
        self.reaching: dict[Op, list[Case]] = {}
        for row in ROWS:
            for case in [case for case in cases(row, "float64") if case.order][:each_row]:
                self.cases.append(case)
                reached: set[Op] = set()
                with recorded(reached):
                    error = self.difference(case)
                if error:
                    raise ValueError(f"mutants: {case} fails as it is; mend that first: {error}")
                for op in reached:
                    self.reaching.setdefault(op, []).append(case)
        for op, found in self.reaching.items():  # those meant for the op come first, and the plain ones among them
            found.sort(key=lambda case: (case.row.name != op.name, case.variant != "random"))

    def difference(self, case: Case) -> str:
        """What is wrong with our results of a case, "" if nothing."""
        expected = self.torch.get(id(case))
        if expected is None:
            expected = trace(Torch(), case.f(TorchNames()), case.inputs(get_backend()), case.order)
            self.torch[id(case)] = expected
        try:
            compare(trace(Ours(), case.f(TinygradNames()), case.inputs(get_backend()), case.order), expected, "torch")
        except AssertionError as error:
            return str(error)
        return ""


@contextmanager
def recorded(reached: set[Op]) -> Iterator[None]:
    """Within the block, the ops whose rules are used are added to `reached`."""

    def recording(right: Any) -> Any:
        def pull(self: Op, *args: Any) -> Any:
            reached.add(self)
            return right(self, *args)

        return pull

    with patch.object(Op, "pull", recording(Op.pull)), patch.object(Fused, "pull", recording(Fused.pull)):
        yield


# The mistakes.


def rule_mutants(op: Op) -> Iterator[Mutant]:
    """Every mistake in every rule of an op."""
    for position, rule in enumerate(op.rules):
        if rule is None:
            continue
        asks = op.asks[position]
        where = f"rule {position}, " if len(op.rules) > 1 else ""
        plan: dict[str, Mutation] = {name: mutations.of_result(change) for name, change in mutations.RESULTS.items()}
        for name, change in mutations.ARGUMENTS.items():
            plan[f"g {name}"] = mutations.of_cotangent(change)
            plan |= {f"{asked} {name}": mutations.of_argument(asked, change) for asked in tensors(op, asks)}
        for a, b in combinations(tensors(op, asks), 2):
            plan[f"{a} and {b} exchanged"] = mutations.exchanged(a, b)
        for what, mutation in plan.items():
            yield Mutant(op, where + what, _numbers(op, position, mutation))
        for cut in ("g", *tensors(op, asks)):
            yield Mutant(op, f"{where}{cut} cut off from its history", _history(op, position, cut))
        for other, another in enumerate(op.rules):
            if another is not None and other != position:
                yield Mutant(op, f"{where}that of argument {other}", _replaced(op, position, another, op.asks[other]))
        for what, another in mutations.source_mutants(rule):
            yield Mutant(op, where + what, _replaced(op, position, another, asks))


def tensors(op: Op, asks: Iterable[str]) -> list[str]:
    """Those among the names that a rule asks for which are Tensors: arguments and the result."""
    settings = {p.name for p in op.parameters if p.kind is p.KEYWORD_ONLY}
    return [name for name in asks if name not in settings | {"shapes", "needs"}]


def _numbers(op: Op, position: int, mutation: Mutation) -> Callable[[Seen], Any]:
    """A mutation that gives other numbers."""
    rule, asks = op.rules[position], op.asks[position]

    def right(g: Any, values: dict[str, Any]) -> Any:
        return rule(g, *[values[name] for name in asks])

    def install(seen: Seen) -> Any:
        def call(g: Any, values: dict[str, Any]) -> Any:
            wrong = mutation(right, g, values)
            seen.difference = seen.difference or differ(wrong, right(g, values))
            return wrong

        return with_rule(op, position, wrapped(asks, call))

    return install


def _replaced(op: Op, position: int, another: Any, its_asks: Sequence[str]) -> Callable[[Seen], Any]:
    """Another rule in a rule's place."""
    rule, asks = op.rules[position], op.asks[position]

    def install(seen: Seen) -> Any:
        def call(g: Any, values: dict[str, Any]) -> Any:
            wrong = another(g, *[values[name] for name in its_asks])
            right = rule(g, *[values[name] for name in asks])
            seen.difference = seen.difference or differ(wrong, right)
            return wrong

        return with_rule(op, position, wrapped(dict.fromkeys([*asks, *its_asks]), call))

    return install


def _history(op: Op, position: int, cut: str) -> Callable[[Seen], Any]:
    """A rule that sees one of its Tensors without its history: right numbers, wrong gradients of the gradient."""
    rule, asks = op.rules[position], op.asks[position]

    def install(seen: Seen) -> Any:
        def call(g: Any, values: dict[str, Any]) -> Any:
            values = {"g": g, **values}
            seen.difference = seen.difference or depends(rule, asks, values, cut)
            x = values[cut]
            values[cut] = [t.detach() for t in x] if isinstance(x, list) else x.detach()
            return rule(values["g"], *[values[name] for name in asks])

        return with_rule(op, position, wrapped(asks, call))

    return install


# Fused ops, and the engine.


def fused_mutants(op: Fused) -> Iterator[Mutant]:
    """Mistakes in the kernel pair of a fused op, and in the body that its second gradients come from."""
    backend = get_backend()
    if getattr(backend, op.name, None) is None:
        return
    for k, name in enumerate([p.name for p in op.parameters if p.kind is not p.KEYWORD_ONLY]):
        for what, factor in (("sign", -1.0), ("factor", 1.01), ("zero", 0.0)):
            yield Mutant(op, f"kernel, gradient of {name}, {what}", _kernel(op, k, factor))
        yield Mutant(op, f"body, {name} cut off from its history", _body(op, _argument(k, Tensor.detach), k))
        yield Mutant(op, f"body, {name} 1 % off", _body(op, _argument(k, lambda x: x * 1.01)))
    for what, change in mutations.RESULTS.items():
        if what == "offset":  # leaves a body's gradients as they are
            continue
        yield Mutant(op, f"body, {what}", _body(op, lambda right, args, change=change: change(right(*args))))


def _kernel(op: Fused, k: int, factor: float) -> Callable[[Seen], Any]:
    """A kernel whose gradient of argument k is multiplied."""
    backend: Any = get_backend()
    right = getattr(backend, f"{op.name}_vjp")

    def install(seen: Seen) -> Any:
        def wrong(saved: Any, g: Any, needs: Any) -> Any:
            gs = [*right(saved, g, needs)]
            if k < len(gs) and gs[k] is not None:
                seen.difference = seen.difference or bool(np.any(backend.to_numpy(gs[k]) != 0.0))
                gs[k] = backend.mul(gs[k], factor)
            return gs

        return patch.object(backend, f"{op.name}_vjp", wrong)

    return install


def _argument(k: int, change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """Argument k changed, if there is such a float Tensor."""

    def call(right: Callable[..., Any], args: Sequence[Any]) -> Any:
        return right(*[change(a) if i == k and is_float(a) else a for i, a in enumerate(args)])

    return call


def _body(op: Fused, call: Callable[..., Any], cut: int | None = None) -> Callable[[Seen], Any]:
    """A body called in a wrong way when it is differentiated: with other numbers, or argument `cut` cut off."""
    body = op.forward

    def install(seen: Seen) -> Any:
        def wrong(*args: Any, **settings: Any) -> Any:
            def right(*args: Any) -> Any:
                return body(*args, **settings)

            out = call(right, args)
            if cut is None:
                now = differ(out, right(*args))
            else:  # no mistake where nobody wants that gradient, as that of a mask
                now = cut < len(args) and is_float(args[cut]) and args[cut].requires_grad
            seen.difference = seen.difference or now
            return out

        return patch.object(op, "forward", wrong)

    return install


def engine_mutants() -> Iterator[Mutant]:
    """Mistakes in the engine's undoing of broadcasting, which every op relies on; the cases of `add` must see them."""
    for what, wrong in mutations.source_mutants(autograd._unbroadcast):
        yield Mutant(tinygrad_edu.add.op, f"engine, undoing of broadcasting, {what}", _engine(wrong))


def _engine(wrong: Callable[..., Any]) -> Callable[[Seen], Any]:
    right = autograd._unbroadcast

    def install(seen: Seen) -> Any:
        def call(*args: Any) -> Any:
            out = wrong(*args)
            seen.difference = seen.difference or differ(out, right(*args))
            return out

        return patch.object(autograd, "_unbroadcast", call)

    return install


def mutants(op: Op) -> Iterator[Mutant]:
    """Every mutant of one op; with those of `add`, the engine's."""
    yield from fused_mutants(op) if isinstance(op, Fused) else rule_mutants(op)
    if op is tinygrad_edu.add.op:
        yield from engine_mutants()


class Outcome(NamedTuple):
    """What became of a mutant: 'caught', 'survived', or 'no mistake'; and by which case, or complaint."""

    verdict: str
    by: str


def trial(table: Table, mutant: Mutant) -> Outcome:
    """Let the cases that reach a mutant's op look for it, until one has found it."""
    seen = Seen()
    found = table.reaching.get(mutant.op, [])
    with mutant.install(seen):
        for case in found[:ENOUGH]:
            try:
                complaint = table.difference(case)
            except Exception as error:  # a mutant may do anything; the suite would fail
                return Outcome("caught", f"{case}: {type(error).__name__}: {error}")
            if complaint:
                return Outcome("caught", f"{case}: {complaint}")
    if found and not seen.difference:
        return Outcome("no mistake", f"the same numbers in {len(found[:ENOUGH])} cases")
    return Outcome("survived", f"unseen in {len(found[:ENOUGH])} cases" if found else "no case reaches this op")


def main(argv: Sequence[str] | None = None) -> int:
    """Try every mutant; print the survivors, what was left out, and the sum. 1 if one survived."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--backend", default="numpy", help="whose kernels are made wrong too (default: numpy)")
    parser.add_argument("--list", action="store_true", help="name every mutant, and what became of it")
    parser.add_argument("ops", nargs="*", metavar="OP", help="ops (default: all)")
    args = parser.parse_args(argv)
    with use_backend(args.backend), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(var|std)\(\): degrees of freedom")  # torch's; it gives NaN, and so do we
        table = Table()
        known = sorted(all_ops() | table.reaching.keys(), key=lambda op: op.name)
        if unknown := set(args.ops) - {op.name for op in known}:
            parser.error(f"unknown op {', '.join(sorted(unknown))}; there are: {', '.join(op.name for op in known)}")
        outcomes: list[str] = []
        left_out: dict[str, list[str]] = {}
        for op in [op for op in known if not args.ops or op.name in args.ops]:
            for mutant in mutants(op):
                outcome = trial(table, mutant)
                outcomes.append(outcome.verdict)
                if outcome.verdict == "no mistake":
                    left_out.setdefault(op.name, []).append(mutant.what)
                if args.list or outcome.verdict == "survived":
                    print(f"{outcome.verdict}: {mutant} ({outcome.by:.150})", flush=True)
    print("left out, since they made no difference to any number in any case:")
    print(*[f"  {name}: {'; '.join(whats)}" for name, whats in left_out.items()], sep="\n")
    caught, survived, same = (outcomes.count(v) for v in ("caught", "survived", "no mistake"))
    print(f"{caught + survived} mutants, {caught} caught, {survived} survived ({same} left out)")
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
