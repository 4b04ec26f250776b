"""What can be wrong with a gradient rule: the mutations that `tinygrad_edu.testing.mutants` tries on every op.

A *mutation* is a function `(rule, g, values) -> result` that goes wrong in one way, where `rule(g, values)` is the
right one and `values` holds what the rule asks for, by name. The second kind changes the rule's source: one operator,
comparison or constant of it.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import Parameter, Signature
from typing import Any
from unittest.mock import patch

import numpy as np

from tinygrad_edu import autograd, ops
from tinygrad_edu.create import ones_like
from tinygrad_edu.ops.op import Op, identity
from tinygrad_edu.tensor import Tensor

# Two results count as the same up to the difference that the comparison with torch allows.
SAME = 1e-12

Rule = Callable[[Any, dict[str, Any]], Any]
Mutation = Callable[[Rule, Any, dict[str, Any]], Any]


def each(change: Callable[[Tensor], Tensor], result: Any) -> Any:
    """`change` of every cotangent that a rule, joint or not, has given."""
    if isinstance(result, (tuple, list)):
        return [None if x is None else change(x) for x in result]
    return change(result)


def is_float(x: Any) -> bool:
    """Whether x is a float Tensor."""
    return isinstance(x, Tensor) and x.dtype.kind == "f"


# Wrong results. Each keeps the shape, so that it is a test that must see it and not a check of shapes.


def _shifted(x: Tensor) -> Tensor:
    """Every element in its neighbour's place."""
    flat = x.reshape(-1)
    return ops.cat([flat[1:], flat[:1]]).reshape(x.shape)


def _transposed(x: Tensor) -> Tensor:
    """The elements in the order of the transpose."""
    return x.mT.reshape(x.shape) if x.ndim > 1 else x


def _averaged(x: Tensor) -> Tensor:
    """As if the last dimension had been summed and broadcast again."""
    return x.mean(-1, keepdim=True).expand(x.shape) if x.ndim and x.numel() else x


RESULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": lambda x: -x,
    "factor": lambda x: x * 1.01,
    "zero": lambda x: x * 0.0,
    "offset": lambda x: x + 0.01,
    "shifted": _shifted,
    "transposed": _transposed,
    "averaged": _averaged,
}
# Wrong arguments of a rule: a factor forgotten, a number that is a little off.
ARGUMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "left out": ones_like,
    "1 % off": lambda x: x * 1.01,
}


def of_result(change: Callable[[Tensor], Tensor]) -> Mutation:
    """What the rule gives, changed."""
    return lambda rule, g, values: each(change, rule(g, values))


def of_cotangent(change: Callable[[Tensor], Tensor]) -> Mutation:
    """The rule of a changed cotangent."""
    return lambda rule, g, values: rule(change(g), values)


def of_argument(name: str, change: Callable[[Tensor], Tensor]) -> Mutation:
    """The rule with one of the Tensors that it asks for changed."""

    def mutation(rule: Rule, g: Any, values: dict[str, Any]) -> Any:
        x = values[name]
        changed = (
            [change(t) if is_float(t) else t for t in x] if isinstance(x, list) else change(x) if is_float(x) else x
        )
        return rule(g, {**values, name: changed})

    return mutation


def exchanged(first: str, second: str) -> Mutation:
    """The rule with two of the Tensors that it asks for exchanged, where their shapes allow it."""

    def mutation(rule: Rule, g: Any, values: dict[str, Any]) -> Any:
        a, b = values[first], values[second]
        if is_float(a) and is_float(b) and a.shape == b.shape:
            values = {**values, first: b, second: a}
        return rule(g, values)

    return mutation


# Putting a wrong rule in a right one's place.


@contextmanager
def with_rule(op: Op, position: int, wrong: Callable[..., Any]) -> Iterator[None]:
    """Within the block, one rule of an op is another."""
    rules = [*op.rules]
    rules[position] = wrong

    def forget() -> None:
        """Drop what the op has worked out from its rules."""
        op.plans.clear()
        for name in ("rules", "joint", "asks"):
            vars(op).pop(name, None)

    with patch.object(op.call, "vjp", tuple(rules) if isinstance(op.call.vjp, tuple) else wrong):
        forget()
        try:
            yield
        finally:
            forget()


def wrapped(names: Iterable[str], call: Callable[[Any, dict[str, Any]], Any]) -> Callable[..., Any]:
    """A rule that asks for `names` and hands them to `call` by name."""
    names = tuple(names)

    def rule(g: Any, *args: Any) -> Any:
        return call(g, dict(zip(names, args, strict=True)))

    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("g", *names)]
    rule.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return rule


def differ(a: Any, b: Any) -> bool:
    """Whether two results of a rule differ in a number."""
    pairs = zip(a, b, strict=True) if isinstance(a, (tuple, list)) else [(a, b)]
    for x, y in pairs:
        if (x is None) != (y is None):
            return True
        if x is not None:
            p, q = (t.backend.to_numpy(t.data) for t in (x, y))
            if p.shape != q.shape or not np.allclose(p, q, rtol=SAME, atol=SAME, equal_nan=True):
                return True
    return False


def depends(rule: Any, asks: Sequence[str], values: dict[str, Any], name: str) -> bool:
    """Whether what a rule gives has a gradient, other than zero, with respect to one of the Tensors it asks for."""
    x = values[name]
    entries = [identity(t) for t in (x if isinstance(x, list) else [x])]
    entries = [t for t in entries if t.requires_grad]
    if not entries or not autograd.is_grad_enabled():
        return False
    values = {**values, name: entries if isinstance(x, list) else entries[0]}
    results = rule(values["g"], *[values[asked] for asked in asks])
    results = results if isinstance(results, (tuple, list)) else [results]
    outputs = [r for r in results if r is not None and r.requires_grad]
    seeds = [r.detach() * 0.0 + 1.0 for r in outputs]
    found = autograd.walk(outputs, seeds, entries, retain_graph=True, create_graph=False, stop=True)
    return any(t is not None and np.any(t.backend.to_numpy(t.data) != 0.0) for t in found)


# Wrong source.

_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


def source_mutants(function: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every rule that differs from `function` by one operator, comparison or float constant, with what was changed.

    None for a function that reads variables of a function around it, since these cannot be compiled again.
    """
    tree = None if function.__closure__ else source_of(function)
    if tree is None:
        return
    for number, node in enumerate(ast.walk(tree)):
        for what, change in _changes(node):
            changed = copy.deepcopy(tree)
            change(list(ast.walk(changed))[number])
            text = f"line {getattr(node, 'lineno', 0)}: {what} in `{ast.unparse(node)}`"
            yield text, _compiled(ast.fix_missing_locations(changed), function)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """What can be changed at one place of the source: the mistake in words, and a function that makes it."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATORS:
        kind = _OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} -> {kind.__name__}", lambda n: setattr(n, "op", kind())
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
        kind = _OPERATORS[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} -> {kind.__name__}", lambda n: setattr(n, "ops", [kind(), *n.ops[1:]])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "without the sign", _negate_operand
    elif isinstance(node, ast.Constant) and type(node.value) is float:
        yield f"{node.value} -> {node.value + 1.0}", lambda n: setattr(n, "value", n.value + 1.0)


def _negate_operand(node: Any) -> None:
    node.operand = ast.UnaryOp(ast.USub(), node.operand)


def source_of(function: Callable[..., Any]) -> ast.AST | None:
    """The part of its module's syntax tree that a function was compiled from; None where there is no source."""
    module = inspect.getmodule(function)
    if module is None:
        return None
    code = function.__code__
    places = {(p[0], p[2]) for p in code.co_positions() if p[0] is not None and p[2] is not None}
    fitting = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            if min([node.lineno, *[d.lineno for d in node.decorator_list]]) == code.co_firstlineno:
                return node
        elif isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            body = (node.body.lineno, node.body.col_offset)
            if body in places and [a.arg for a in node.args.args] == [*code.co_varnames[: code.co_argcount]]:
                fitting.append(node)
    return min(fitting, key=lambda n: len(ast.unparse(n)), default=None)


def _compiled(tree: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a changed syntax tree, among the names that the right one sees."""
    names = function.__globals__
    if isinstance(tree, ast.Lambda):
        return eval(compile(ast.Expression(tree), "<mutant>", "eval"), names)
    tree.decorator_list = []
    found: dict[str, Any] = {}
    exec(compile(ast.Module([tree], []), "<mutant>", "exec"), names, found)
    return found[tree.name]
