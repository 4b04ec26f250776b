"""checkpoint: compute a part of a model twice, so as not to keep what its backward pass needs in between.

A network of n layers keeps n layers' results until the backward pass. With a checkpoint around each of its sqrt(n)
segments it keeps the segments' inputs, and one segment's results at a time: about 2 sqrt(n) in all, for a second
forward pass. Source: T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu import ops, random
from tinygrad_edu.autograd import NO_SETTINGS, Node, Value, clock, enable_grad, is_grad_enabled, walk
from tinygrad_edu.ops.agree import result_type
from tinygrad_edu.ops.op import Op, Plan, Plans
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.transforms import leaves, nest, sources


def checkpoint(f: Callable[..., Any], *inputs: Any) -> Any:
    """`f(*inputs)`, without keeping what its backward pass needs: f is computed a second time then.

    Gradients arrive as without it, also those of Tensors that f uses besides (a Module's weights), within `grad`, with
    `create_graph`, and through hooks; only the terms of a sum of gradients may be added in another order.
    Numbers drawn from the default generator come out the same. f gives a Tensor or a tuple of them, and must do the
    same again: RuntimeError if it does not, or if an input or a leaf was changed in place in between. What f does
    besides, such as updating running statistics, it does twice.

    Deviation from torch: there is no `use_reentrant`; this is what False gives there.

    >>> import tinygrad_edu as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> tg.checkpoint(lambda x: (x * x).exp().log(), x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    if not is_grad_enabled():
        return f(*inputs)
    state, since = random.get_state(), next(clock)
    result = f(*inputs)  # recorded, for a moment: that is how we learn what f uses besides its inputs
    outs = list(leaves("checkpoint", result))
    inside = [out for out in outs if _is_inside(out, since)]
    if not inside:
        return result
    joined = _join(inside)
    out = joined.alias(Tensor)
    used = [Tensor(None, joined.backend, x) if isinstance(x, Node) else x for x in sources(inside, since)]
    out.node, out.tracked = Node(_recompute, tuple(used), NO_SETTINGS, out, True), True
    out.node.extra = f, inputs, _versions(inputs), state
    parts = iter(_split(out, inside))
    return nest(result, iter([next(parts) if _is_inside(x, since) else x for x in outs]))


class _Recompute(Op):
    """The op of a checkpoint's node. Its parents are the leaves, and the results from outside, that f used."""

    def __init__(self) -> None:
        self.name, self.plans = "checkpoint", Plans(self)

    def plan(self, needs: tuple[bool, ...]) -> Plan:
        """All arguments are kept, to see whether they are changed in place."""
        return Plan(self, needs, tuple([f"Tensor {i}" for i in range(len(needs))]), None, None)

    def pull(self, node: Node, g: Tensor, needs: tuple[bool, ...], linked: bool) -> Sequence[Tensor | None]:
        """Compute f again, recorded, and walk back from there to where f began."""
        used = node.intact()
        f, inputs, versions, state = node.extra
        if _versions(inputs) != versions:
            raise RuntimeError("checkpoint: an input was changed in place after the forward pass; change a copy")
        now, since = random.get_state(), next(clock)
        random.set_state(state)
        try:
            with enable_grad():
                inside = [out for out in leaves("checkpoint", f(*inputs)) if _is_inside(out, since)]
                joined = _join(inside) if inside else None
        finally:
            random.set_state(now)
        if joined is None or joined.shape != g.shape or {*sources(inside, since)} != {*node.parents}:
            raise RuntimeError("checkpoint: the function did not do the same when it was computed again")
        wanted: list[Any] = [x for x, need in zip(used, needs, strict=True) if need]
        found = iter(walk([joined], [g], wanted, retain_graph=linked, create_graph=linked, stop=True))
        return [next(found) if need else None for need in needs]


_recompute = _Recompute()


def _is_inside(out: Tensor, since: int) -> bool:
    return out.node is not None and out.node.born >= since


def _versions(inputs: Sequence[Any]) -> list[int]:
    return [x.version[0] if isinstance(x, Value) and x.version else 0 for x in inputs]


def _join(outs: list[Tensor]) -> Tensor:
    """One Tensor with all elements, in the widest dtype, since a node has one result; a single one as it is."""
    return outs[0] if len(outs) == 1 else ops.cat([x.to(result_type(*outs)).reshape(x.numel()) for x in outs])


def _split(joined: Tensor, outs: list[Tensor]) -> list[Tensor]:
    """What `_join` was given: to the bit, since widening a float and narrowing it again is exact."""
    if len(outs) == 1:
        return [joined]
    parts, start = [], 0
    for x in outs:
        parts.append(joined[start : start + x.numel()].reshape(x.shape).to(x.dtype))
        start += x.numel()
    return parts
