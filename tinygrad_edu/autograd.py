"""Reverse-mode automatic differentiation: how an op is recorded, and how the record is walked backwards.

An op computes an array. When gradients are wanted it also leaves a `Node`: which op, where its arguments came from, and
the few arrays its gradient rule asks for. The nodes form a graph that points from results to arguments only, so there
is no cycle in it, and a graph that nobody holds any more is freed at once. `backward` visits the nodes newest first
(an argument is always older than a result), turns each node's cotangent `g` into its arguments' cotangents by the op's
rule, and adds up those that meet.

Rules are written in Tensor ops, so the gradient of a gradient needs nothing further: with `create_graph=True` the ops
of the rules are recorded in turn.

Sources: A. Griewank and A. Walther, "Evaluating Derivatives", 2nd ed. 2008, ch. 3; the vector-Jacobian products of HIPS
autograd; torch for the names and the semantics.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.gradient_hooks import call_hooks

if TYPE_CHECKING:
    from tinygrad_edu.debug import Watch
    from tinygrad_edu.ops.op import Op
    from tinygrad_edu.tensor import Tensor


_recording = ContextVar("recording", default=True)  # each thread begins with the default
is_grad_enabled = _recording.get  # whether operations are recorded for gradients in this thread


@contextmanager
def set_grad_enabled(enabled: bool) -> Iterator[None]:
    """Within the block, and in this thread only, record operations for gradients or not."""
    token = _recording.set(enabled)
    try:
        yield
    finally:
        _recording.reset(token)


def no_grad() -> Any:
    """A context manager, or decorator, within which nothing is recorded for gradients."""
    return set_grad_enabled(False)


def enable_grad() -> Any:
    """A context manager, or decorator, within which operations are recorded again inside a `no_grad`."""
    return set_grad_enabled(True)


class Value:
    """An array, and what autograd needs to know of it. `Tensor` (one floor up) adds the mathematics.

    `tracked`: gradients are wanted with respect to it. `version`: a list of one number, the count of changes in place,
    shared by an array and its views; None, which stands for [0], as long as there is no view and no change. `hooks`
    are a leaf's, and not there without any; a result's are its node's.
    """

    __slots__ = ("__weakref__", "backend", "data", "grad", "hooks", "node", "tracked", "version")

    # What ops return, and what backward passes compute with; tensor.py sets them, as this floor cannot import that one.
    kind: type[Tensor]
    cotangent: type[Tensor]

    def __init__(self, data: Array, backend: Backend, node: Node | None = None) -> None:
        self.data = data
        self.backend = backend
        self.node = node
        self.tracked = node is not None
        self.grad: Tensor | None = None
        self.version: list[int] | None = None

    def alias(self, kind: type[Tensor]) -> Tensor:
        """The same array without its history, and with the same count of changes."""
        out = kind(self.data, self.backend)
        share_version(self, out)
        return out

    def changed(self) -> None:
        """Count a change in place, so that a backward pass which saved this array before it is refused."""
        if self.version is None:
            self.version = [0]
        self.version[0] += 1


clock = itertools.count()
watching: list[Watch] = []  # what sees every op, once for each `detect_anomaly` that is at work
NO_SETTINGS: dict[str, Any] = {}
NOTHING: tuple[Value, ...] = ()


class Node:
    """One recorded operation.

    `parents` holds, for each argument, the node that made it, the Tensor itself if it is a leaf that wants a gradient,
    or None if no gradient is wanted. `plan` says which, and names the Tensors that the rules ask for, which are in
    `saved` (None once the node has been walked and freed); `stamps` are their counts of changes then, None where all
    were 0. `shapes` are the arguments' shapes, None where they are all the result's. Arguments are older than the node
    and cannot point back at it, and the result is saved as an alias without history: so there is no cycle.
    """

    __slots__ = ("born", "extra", "hooks", "line", "parents", "plan", "saved", "settings", "shapes", "stamps")

    def __init__(
        self, op: Op, args: tuple[Value, ...], settings: dict[str, Any], out: Value, same_shape: bool = False
    ) -> None:
        self.born = next(clock)
        self.settings = settings
        self.shapes = None if same_shape else tuple([a.data.shape for a in args])
        self.extra: Any  # what a fused op's kernel keeps for its backward pass
        self.line: Any  # the user's that called the op: `detect_anomaly` notes it
        self.parents: tuple[Any, ...]
        if len(args) == 1:  # unrolled for one and two: a comprehension costs as much as the rest of this
            (a,) = args
            self.plan = plan = op.plans[0]
            self.parents = (a.node or a,)
        elif len(args) == 2:
            a, b = args
            self.plan = plan = op.plans[a.tracked + 2 * b.tracked]
            self.parents = ((a.node or a) if a.tracked else None, (b.node or b) if b.tracked else None)
        else:
            self.plan = plan = op.plans[tuple([a.tracked for a in args])]
            self.parents = tuple([(a.node or a) if a.tracked else None for a in args])
        self.stamps: list[int] | None
        self.stamps = self.hooks = None
        saved, keep = args, plan.keep
        if keep is not None:
            if not keep:
                saved = NOTHING
            elif keep[0] is None:  # the result alone
                saved = (out.alias(Value.cotangent),)
            else:
                saved = tuple([out.alias(Value.cotangent) if i is None else args[i] for i in keep])
        self.saved: tuple[Value, ...] | None = saved
        for a in saved:
            if a.version is not None and a.version[0]:
                self.stamps = _stamps(saved)
                break

    def intact(self) -> tuple[Value, ...]:
        """What was saved. RuntimeError if it was freed, or changed in place since."""
        saved = self.saved
        if saved is None:
            raise RuntimeError(
                f"backward: the graph was already walked and freed (noticed at op '{self.plan.op.name}'); to walk it "
                "again, call the first backward() or grad() with retain_graph=True"
            )
        stamps = self.stamps
        for i, tensor in enumerate(saved):
            if tensor.version is not None and tensor.version[0] != (0 if stamps is None else stamps[i]):
                self.check_unchanged(saved)
        return saved

    def setting(self, name: str) -> Any:
        """A setting of the op, or the arguments' `shapes`."""
        return self.shapes if name == "shapes" else self.settings[name]

    def unpack(self, linked: bool) -> dict[str, Any]:
        """What rules can ask for, by name: settings, shapes, saved Tensors; `linked`: the result with its history."""
        values: dict[str, Any] = {"shapes": self.shapes, **self.settings}
        values.update(zip(self.plan.names, self.intact(), strict=True))
        if linked and "out" in values:
            values["out"] = Value.kind(values["out"].data, values["out"].backend, self)
        return values

    def check_unchanged(self, saved: tuple[Value, ...]) -> None:
        """RuntimeError if a saved array was changed in place since."""
        then = [*(self.stamps or ()), *[0] * len(saved)]
        for name, tensor, before, now in zip(self.plan.names, saved, then, _stamps(saved), strict=False):
            if now != before:
                raise RuntimeError(
                    f"backward: '{name}' of op '{self.plan.op.name}', shape {tensor.data.shape}, was changed in place "
                    f"after it was saved for the gradient (version {now}, saved at {before}); change a copy, or change "
                    "it after backward()"
                )


def _stamps(tensors: tuple[Value, ...]) -> list[int]:
    return [0 if x.version is None else x.version[0] for x in tensors]


def share_version(x: Value, view: Value) -> None:
    """Let `view`, made of x's memory, count changes in place together with x."""
    if x.version is None:
        x.version = [0]
    view.version = x.version


def _unbroadcast(g: Tensor, shape: tuple[int, ...], recorded: bool) -> Tensor:
    """Sum `g` over the dimensions along which an argument of `shape` was broadcast."""
    extra = g.ndim - len(shape)
    dims = tuple(range(extra)) + tuple([i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1])
    if recorded:
        return g.sum(dims, keepdim=True).reshape(shape)
    return Value.cotangent(g.backend.reshape(g.backend.sum(g.data, dims, True), shape), g.backend)


def _history(roots: list[Any], stop: set[Any]) -> list[Node]:
    """The nodes that `roots` were computed from, oldest first, without going past those in `stop`."""
    seen = {r for r in roots if isinstance(r, Node)}
    todo = list(seen - stop)
    while todo:
        for parent in todo.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                if parent not in stop:
                    todo.append(parent)
    return sorted(seen, key=attrgetter("born"))


def walk(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    inputs: Sequence[Tensor] | None,
    *,
    retain_graph: bool,
    create_graph: bool,
    stop: bool = False,
) -> list[Tensor | None]:
    """Carry `cotangents` of `outputs` back to `inputs`, or to every leaf's `.grad` when `inputs` is None.

    With `inputs` only what leads to one of them is computed; with `stop`, nothing beyond them is looked at.
    """
    roots = [out.node or out for out in outputs]
    wanted = [x.node or x for x in inputs or ()]
    targets = set(wanted)
    history = _history(roots, targets if stop else set())
    useful = set(wanted)
    for node in history if inputs is not None else ():
        if not useful.isdisjoint(node.parents):
            useful.add(node)
    arrived: dict[Any, Tensor] = {}  # the sum so far of the cotangents that reached a node or a leaf
    for root, g in zip(roots, cotangents, strict=True):
        if not create_graph:
            g = Value.cotangent(g.data, g.backend)
        arrived[root] = arrived[root] + g if root in arrived else g
    found: dict[Any, Tensor] = {}
    token = _recording.set(create_graph)  # what `set_grad_enabled` does, in a tenth of the time
    try:
        while history:
            node = history.pop()
            cotangent = arrived.pop(node, None)
            if cotangent is None:
                continue
            if stop and node in targets:  # its hooks are called by the walk around this one
                found[node] = cotangent
                continue
            g = cotangent if node.hooks is None else call_hooks(node.hooks, cotangent, create_graph)
            needs: tuple[bool, ...] = node.plan.needs
            if inputs is not None:
                if node in targets:
                    found[node] = g
                wanted_of = tuple([parent in useful for parent in node.parents])
                if True not in wanted_of:
                    continue
                needs = needs if wanted_of == needs else wanted_of  # the op knows its own by identity
            parents, shapes = node.parents, node.shapes
            op: Any = watching[0] if watching else node.plan.op
            for i, gx in enumerate(op.pull(node, g, needs, create_graph)):
                parent = parents[i]
                if gx is None or parent is None:  # a joint rule may give more than is wanted
                    continue
                if shapes is not None and gx.data.shape != shapes[i]:
                    gx = _unbroadcast(gx, shapes[i], create_graph)
                before = arrived.get(parent)
                if before is not None:
                    gx = before + gx
                elif inputs is None and (gx is g or gx.version is not None) and isinstance(parent, Value):
                    gx = gx.clone()  # neither g itself nor a view: what is in .grad may be changed in place
                arrived[parent] = gx
            if not retain_graph:
                node.saved = node.extra = None  # not the parents: a second walk must find out where it comes through
        for leaf in () if stop else arrived:
            if getattr(leaf, "hooks", None):
                arrived[leaf] = call_hooks(leaf.hooks, arrived[leaf], create_graph)
        found.update(arrived)
        if not create_graph:
            found = {key: Value.kind(g.data, g.backend) for key, g in found.items()}
        if inputs is not None:
            return [found.get(key) for key in wanted]
        for leaf, g in found.items():
            leaf.grad = g if leaf.grad is None else leaf.grad + g
    finally:
        _recording.reset(token)
    return []


def _seed(name: str, output: Tensor, gradient: Tensor | None) -> Tensor:
    """The cotangent to begin with: the one given, checked, or 1 for a result with one element."""
    if not output.tracked:
        raise RuntimeError(
            f"{name}: this Tensor has no graph: none of what it was computed from has requires_grad=True, "
            "or it was computed under no_grad() or detached"
        )
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError(
                f"{name}: expected a result with one element, got shape {output.shape}; "
                "reduce it with sum() or mean(), or pass the cotangent explicitly"
            )
        return output.detach().new_ones(output.shape)
    if not isinstance(gradient, Value):
        raise TypeError(f"{name}: expected a Tensor as cotangent, got {type(gradient).__name__}")
    if gradient.data.shape != output.data.shape:
        raise ValueError(f"{name}: expected a cotangent of the result's shape {output.shape}, got {gradient.shape}")
    if gradient.backend is not output.backend:
        raise ValueError(
            f"{name}: expected a cotangent on backend '{output.backend.name}' like the result, "
            f"got '{gradient.backend.name}'; move it with x.to_backend('{output.backend.name}')"
        )
    if gradient.data.dtype is not output.data.dtype:
        gradient = gradient.to(output.dtype)
    return gradient.clone() if output.node is None else gradient  # a leaf's gradient is its own


def backward(output: Tensor, gradient: Tensor | None = None, *, retain_graph: bool, create_graph: bool) -> None:
    """Add the gradient of `output` with respect to every leaf that requires one to the leaf's `.grad`."""
    seed = _seed("backward", output, gradient)
    walk([output], [seed], None, retain_graph=retain_graph, create_graph=create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the sum of `outputs` with respect to each of `inputs`, without touching any `.grad`.

    `grad_outputs` are the cotangents of `outputs` (1 for a result with one element). With `create_graph=True` the
    gradients can be differentiated again. `retain_graph` defaults to `create_graph`. As in torch, a gradient may be a
    view (of a cotangent, or the same number everywhere): clone it before changing it in place. Raises RuntimeError if
    an output does not depend on an input, unless `allow_unused=True`: then its gradient is None.
    """
    outputs = [outputs] if isinstance(outputs, Value) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Value) else list(inputs)
    given = [grad_outputs] if isinstance(grad_outputs, Value) else list(grad_outputs or [None] * len(outputs))
    if len(given) != len(outputs):
        raise ValueError(f"grad: expected {len(outputs)} grad_outputs, one for each output, got {len(given)}")
    for i, x in enumerate(inputs):
        if not x.tracked:
            raise RuntimeError(
                f"grad: input {i}, shape {x.shape}, does not require a gradient; call x.requires_grad_()"
            )
    seeds = [_seed("grad", out, g) for out, g in zip(outputs, given, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    gradients = walk(outputs, seeds, inputs, retain_graph=keep, create_graph=create_graph)
    for i, g in enumerate(gradients):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i}, shape {inputs[i].shape}; with allow_unused=True its "
                "gradient is None"
            )
    return tuple(gradients)
