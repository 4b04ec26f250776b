"""What an op is: a function on Tensors with its gradient rule beside it, and the decorators that make one.

    @op
    def mul(a, b):
        return a.backend.mul(a.data, b.data)

    mul.vjp = (lambda g, b: g * b, lambda g, a: g * a)

An op computes a backend array, and leaves a `Node` behind if gradients are wanted. `Op` says what a rule may ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial, update_wrapper
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from tinygrad_edu.autograd import NOTHING, Node, Value, is_grad_enabled, share_version, walk, watching
from tinygrad_edu.backend import Array, Backend

if TYPE_CHECKING:
    from tinygrad_edu.tensor import Tensor


def any_tracked(args: Sequence[Value]) -> bool:
    """Whether a gradient is wanted with respect to any of the arguments."""
    return True in [a.tracked for a in args]  # any() of a generator would take twice as long


def check_tensor(name: str, x: Any) -> None:
    """TypeError unless x is a Tensor."""
    if not isinstance(x, Value):
        raise TypeError(f"{name}: expected Tensors, got {type(x).__name__}; make a Tensor with tg.tensor(...)")


def check_same_backend(name: str, args: Sequence[Value]) -> Backend:
    """The backend that all arguments are on. TypeError for what is no Tensor; ValueError names two that differ."""
    try:
        backends = [a.backend for a in args]
    except AttributeError:
        for a in args:
            check_tensor(name, a)
        raise
    first = backends[0]
    for backend in backends:
        if backend is not first:
            raise ValueError(
                f"{name}: expected Tensors of one backend, got '{first.name}' and '{backend.name}'; "
                f"move one with x.to_backend('{first.name}')"
            )
    return first


def _own_code(function: Any, name: str) -> None:
    """Give one of many functions with the same body a copy of the code, so that tracebacks tell them apart."""
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)


class Plan:
    """What an op's nodes keep when the arguments in `needs` want a gradient.

    `keep` are the positions of arguments, None standing for the result; it is None itself for all arguments as they
    are. `names` are what the rules call them; the arguments of a `*name` parameter are called (name, position). `rules`
    holds each rule with what it asks for: None for nothing, a position in `names`, or a tuple of such positions and of
    names of settings; it is None itself for a joint rule.
    """

    __slots__ = ("keep", "names", "needs", "op", "rules")

    def __init__(
        self,
        op: Op,
        needs: tuple[bool, ...],
        names: tuple[Any, ...],
        keep: tuple[int | None, ...] | None,
        rules: tuple[tuple[Any, Any], ...] | None,
    ) -> None:
        self.op, self.needs, self.names, self.keep, self.rules = op, needs, names, keep, rules


class Plans(dict[Any, Plan]):
    """An op's plans, made when first asked for.

    The key says which arguments want a gradient: 0 stands for a single one, the bits of 1 to 3 for two, a tuple for
    more (numbers are quicker to look up).
    """

    def __init__(self, op: Op) -> None:
        self.op = op

    def __missing__(self, key: Any) -> Plan:
        needs = key if isinstance(key, tuple) else (bool(key & 1), bool(key & 2)) if key else (True,)
        self[key] = plan = self.op.plan(needs)
        return plan


class Op:
    """What autograd knows of a differentiable function: how it is computed, and its gradient rule.

    The function itself (`call`) is made by the decorator `op` or one of its kin from the body below it (`forward`).
    The rule is written beside it as the function's attribute `vjp`: a tuple with one rule for each argument (None where
    there is no gradient), or a joint rule that gives a sequence of cotangents; with one argument, its rule alone. A
    rule is a function of the cotangent `g` and of whatever else it names: arguments and settings of the op, `out` (the
    result), `shapes` (of the arguments; not for elementwise ops), and in a joint rule `needs` (which arguments want a
    gradient). Only what is named is kept until the backward pass. The engine undoes broadcasting: a cotangent may have
    the broadcast shape.
    """

    def __init__(self, forward: Callable[..., Any], call: Any, on_arrays: bool = False) -> None:
        self.forward = forward
        self.call: Any = call
        self.first = int(on_arrays)  # an elementwise op's body begins with the backend, and goes on with arrays
        update_wrapper(call, forward)
        if on_arrays:
            del call.__wrapped__  # the arguments are not the body's
        self.call.op = self
        self.name = self.call.__name__ = forward.__name__.strip("_")
        _own_code(call, self.name)
        self.plans = Plans(self)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The arguments and settings of the op."""
        return tuple(signature(self.forward).parameters.values())[self.first :]

    @cached_property
    def rules(self) -> tuple[Any, ...]:
        """The gradient rules. TypeError if there are none."""
        rules = getattr(self.call, "vjp", ())
        if rules == ():
            raise TypeError(f"{self.name}: this op has no gradient rule; declare {self.name}.vjp beside it")
        return rules if isinstance(rules, tuple) else (rules,)

    @cached_property
    def joint(self) -> bool:
        """Whether one rule serves several arguments."""
        arguments = [p for p in self.parameters if p.kind is not p.KEYWORD_ONLY]
        return (len(arguments) > 1 or self.variadic is not None) and not isinstance(self.call.vjp, tuple)

    @cached_property
    def variadic(self) -> str | None:
        """The name of the op's `*name` parameter, if it has one."""
        return next((p.name for p in self.parameters if p.kind is p.VAR_POSITIONAL), None)

    @cached_property
    def asks(self) -> list[tuple[str, ...]]:
        """For each rule, the names that it asks for. TypeError if there is nothing of such a name."""
        known = {"out", "shapes", "needs", *(p.name for p in self.parameters)}
        asks = [tuple(signature(rule).parameters)[1:] if rule else () for rule in self.rules]
        if unknown := {name for names in asks for name in names} - known:
            raise TypeError(f"{self.name}.vjp: a rule asks for {sorted(unknown)}, there are {sorted(known)}")
        return asks

    def plan(self, needs: tuple[bool, ...]) -> Plan:
        """What to keep when the arguments in `needs` want a gradient."""
        asked = {name for i, names in enumerate(self.asks) if self.joint or needs[i] for name in names}
        entries: list[tuple[Any, int | None]] = []
        for i, p in enumerate(self.parameters):
            if p.name in asked and p.kind is p.POSITIONAL_OR_KEYWORD:
                entries.append((p.name, i))
            elif p.name in asked and p.kind is p.VAR_POSITIONAL:
                entries += [((p.name, j), j) for j in range(i, len(needs))]
        entries += [("out", None)] * ("out" in asked)
        names = tuple([name for name, _ in entries])
        rules = None
        if not self.joint:
            places = [tuple([names.index(n) if n in names else n for n in asks]) for asks in self.asks]
            ats = [at[0] if len(at) == 1 and type(at[0]) is int else at or None for at in places]
            each = zip(self.rules, ats, needs, strict=True)
            rules = tuple([(rule, at) if need and rule else (None, None) for rule, at, need in each])
        keep = tuple([i for _, i in entries])
        return Plan(self, needs, names, None if keep == tuple(range(len(needs))) else keep, rules)

    def pull(self, node: Node, g: Tensor, needs: tuple[bool, ...], linked: bool) -> Sequence[Tensor | None]:
        """The cotangents of `node`'s arguments, given its result's: None for those not in `needs`."""
        plan = node.plan
        if plan.rules is not None and plan.needs is needs and not linked:  # nothing to look up by name
            saved = NOTHING if node.saved is NOTHING else node.intact()
            gs: list[Tensor | None] = []
            for rule, at in plan.rules:
                if type(at) is int:
                    gs.append(rule(g, saved[at]))
                elif at is None:
                    gs.append(rule(g) if rule else None)
                else:
                    gs.append(rule(g, *[saved[i] if type(i) is int else node.setting(i) for i in at]))
            return gs
        values = node.unpack(linked)
        if self.joint:
            values["needs"] = needs
            if self.variadic:
                values[self.variadic] = [t for key, t in values.items() if key[0] == self.variadic]
            return self.rules[0](g, *[values[name] for name in self.asks[0]])
        return [
            rule(g, *[values[name] for name in asks]) if need and rule else None
            for rule, asks, need in zip(self.rules, self.asks, needs, strict=True)
        ]


def op(forward: Callable[..., Array], view: bool = False, recorded: bool = True) -> Any:
    """Turn a function from Tensors (positional) and settings (keyword-only) to a backend array into a recorded op."""

    def call(*args: Value, **settings: Any) -> Tensor:
        x = args[0]
        if len(args) == 1 and isinstance(x, Value):  # quicker than the loops that are needed for more
            backend, wanted = x.backend, x.tracked
        else:
            backend, wanted = check_same_backend(this.name, args), any_tracked(args)
        out = Value.kind(forward(*args, **settings), backend)
        if view:
            share_version(x, out)
        if recorded and wanted and is_grad_enabled():
            out.node, out.tracked = Node(this, args, settings, out), True
        if watching:
            watching[0].made(this, (*args, *settings.values()), out)
        return out

    this = Op(forward, call)
    return call


unrecorded_op = partial(op, recorded=False)  # without a gradient, such as an op that gives indices
view_op = partial(op, view=True)  # whose result may share its argument's memory, and so its count of changes


@view_op
def identity(x: Value) -> Array:
    """The same array under a new node: a place for a backward pass to stop at."""
    return x.data


identity.vjp = lambda g: g

FUSED: dict[str, Fused] = {}


class Fused(Op):
    """An op with a readable body in Tensor ops, for which a backend may have a kernel pair.

    The pair is `NAME(*arrays, **settings) -> (out, saved)` and `NAME_vjp(saved, g, needs) -> gradients`: one for each
    argument, None where `needs` says that none is wanted, else a fresh array of the argument's shape. Without the pair
    the body runs. For the gradient of a gradient the body is recomputed from the saved inputs, and differentiated.
    """

    rules = (None,)

    def plan(self, needs: tuple[bool, ...]) -> Plan:
        names = tuple([p.name for p in self.parameters[: len(needs)]])
        return Plan(self, needs, names, None, None)

    def pull(self, node: Node, g: Tensor, needs: tuple[bool, ...], linked: bool) -> Sequence[Tensor | None]:
        saved = node.intact()
        if not linked:
            arrays = getattr(g.backend, self.name + "_vjp")(node.extra, g.data, needs)
            return [None if array is None else Value.kind(array, g.backend) for array in arrays]
        entries: list[Any] = [identity(a) if need else a for a, need in zip(saved, needs, strict=True)]
        out = self.forward(*entries, **node.settings)
        wanted = [entry for entry, need in zip(entries, needs, strict=True) if need]
        gradients = iter(walk([out], [g], wanted, retain_graph=True, create_graph=True, stop=True))
        return [next(gradients) if need else None for need in needs]


def fused(check: Callable[..., None]) -> Callable[[Callable[..., Tensor]], Any]:
    """Make a function from Tensors to a Tensor a `Fused` op; `check` takes the same arguments and raises on bad ones.

    Trailing arguments that are None are left out.
    """

    def decorate(body: Callable[..., Tensor]) -> Any:
        def call(*args: Any, **settings: Any) -> Tensor:
            while args[-1] is None:
                args = args[:-1]
            backend = check_same_backend(this.name, args)
            check(*args, **settings)
            kernel = getattr(backend, this.name, None)
            if kernel is None:
                return body(*args, **settings)
            array, extra = kernel(*[a.data for a in args], **settings)
            out = Value.kind(array, backend)
            if is_grad_enabled() and any_tracked(args):
                out.node, out.tracked = Node(this, args, settings, out), True
                out.node.extra = extra
            if watching:
                watching[0].made(this, args, out)
            return out

        this = FUSED[body.__name__.strip("_")] = Fused(body, call)
        return call

    return decorate
