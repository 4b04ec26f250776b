"""Functions of functions: vjp, jvp, hvp, jacobian, hessian.

Names, arguments and the nesting of results are torch.func's (and so JAX's). All are exact, and can be differentiated
again: with respect to their inputs, and to whatever Tensor the function uses besides. A backward pass is all there is
to build on: a Jacobian is taken row by row, and `jvp` is the gradient of a gradient. `v -> J^T v` is linear, so its own
gradient with respect to v, pulled back along t, is `J t` (J. Townsend, "A new trick for calculating Jacobian vector
products", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import autograd
from tinygrad_edu.autograd import Node, clock, enable_grad, is_grad_enabled
from tinygrad_edu.create import ones_like, zeros_like
from tinygrad_edu.functions import stack
from tinygrad_edu.ops.op import identity
from tinygrad_edu.tensor import Tensor

Function = Callable[..., Any]


def vjp(f: Function, *primals: Tensor) -> tuple[Any, Callable[[Any], tuple[Tensor, ...]]]:
    """`f(*primals)`, and a function from its cotangent to a tuple with a cotangent for each primal.

    The cotangent is shaped as the result is: a Tensor or a tuple of them. The function may be called more than once.
    ValueError or TypeError names what does not fit.

    >>> import tinygrad_edu as tg
    >>> value, pull = tg.vjp(lambda x: x * x, tg.tensor([1.0, 2.0]))
    >>> pull(tg.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    call = _Call("vjp", f, primals)

    def pull(cotangent: Any) -> tuple[Tensor, ...]:
        given = list(leaves("vjp", cotangent))
        _check_alike("vjp", "cotangent", call.outs, given)
        return call.gradients(call.outs, call.entries, given)

    return call.result, pull


def jvp(f: Function, primals: Sequence[Tensor], tangents: Sequence[Tensor]) -> tuple[Any, Any]:
    """`f(*primals)`, and its derivative along `tangents`, nested as the result is.

    `primals` and `tangents` are tuples of Tensors of the same shapes. ValueError or TypeError names what does not fit.

    >>> import tinygrad_edu as tg
    >>> tg.jvp(lambda x: x * x, (tg.tensor(3.0),), (tg.tensor(0.5),))
    (tensor(9.), tensor(3.))
    """
    call = _Call("jvp", f, primals)
    _check_alike("jvp", "tangent", call.entries, tangents)
    dummies = [ones_like(out, requires_grad=True) for out in call.outs]  # any values would do: J^T v is linear in v
    pulled = call.gradients(call.outs, call.entries, dummies, create_graph=True)
    return call.result, nest(call.result, iter(call.gradients(pulled, dummies, tangents)))


def hvp(f: Function, primals: Any, tangents: Any) -> Any:
    """The Hessian of f times `tangents`: a Tensor, or a tuple where `primals` and `tangents` are tuples.

    `f` gives one number. The Hessian itself is never made: this takes two backward passes. ValueError or TypeError
    names what does not fit.
    """
    single = isinstance(primals, Tensor)
    call = _Call("hvp", f, [primals] if single else primals)
    directions = [tangents] if isinstance(tangents, Tensor) else tangents
    _check_alike("hvp", "tangent", call.entries, directions)
    if [out.numel() for out in call.outs] != [1]:
        raise ValueError(f"hvp: expected a function to one number, got shapes {[out.shape for out in call.outs]}")
    first = call.gradients(call.outs, call.entries, [ones_like(call.outs[0])], create_graph=True)
    products = call.gradients(first, call.entries, directions)  # a Hessian is symmetric
    return products[0] if single else products


def jacobian(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function with f's arguments that gives f's Jacobian, of shape (*result's shape, *argument's shape).

    `argnums` says with respect to which arguments; for a tuple there is a tuple of Jacobians. Where f gives a tuple,
    there is one such entry for each result. It takes one backward pass for each element of the result.

    >>> import tinygrad_edu as tg
    >>> tg.jacobian(lambda x: x * x)(tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def jacobian_of_f(*args: Any) -> Any:
        places = _places(argnums, len(args))

        def f_of_those(*points: Tensor) -> Any:
            replaced = dict(zip(places, points, strict=True))
            return f(*[replaced.get(i, x) for i, x in enumerate(args)])

        call = _Call("jacobian", f_of_those, [args[i] for i in places])
        blocks = [_blocks(call, out) for out in call.outs]
        return nest(call.result, iter(blocks if isinstance(argnums, tuple) else [block[0] for block in blocks]))

    return jacobian_of_f


def hessian(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function with f's arguments that gives f's Hessian: the Jacobian of the Jacobian, and nested like it.

    For f to one number, and an argument of shape s: shape (*s, *s); for a tuple of `argnums` a tuple of tuples.

    >>> import tinygrad_edu as tg
    >>> tg.hessian(lambda x: x[0] * x[1])(tg.tensor([1.0, 2.0]))
    tensor([[0., 1.],
            [1., 0.]])
    """
    return jacobian(jacobian(f, argnums), argnums)


class _Call:
    """A recorded call of `f` on stand-ins for its inputs (`entries`), from which gradients are taken.

    `linked` says whether it depends on anything else that wants a gradient: then its results are recorded, too.
    """

    def __init__(self, name: str, f: Function, primals: Sequence[Tensor]) -> None:
        _check_inputs(name, primals)
        since = next(clock)
        with enable_grad():
            self.entries = [identity(x) if x.tracked else x.detach().requires_grad_() for x in primals]
            result = f(*self.entries)
        self.outs = list(leaves(name, result))
        for out in self.outs:
            if out.dtype.kind != "f":
                raise TypeError(f"{name}: expected float results, got {out.dtype}")
        own = {x.node or x for x in self.entries if not x.node}
        self.linked = is_grad_enabled() and not own.issuperset(sources(self.outs, since))
        self.result = nest(result, iter([out if self.linked else out.detach() for out in self.outs]))

    def gradients(
        self,
        outs: Sequence[Tensor],
        inputs: Sequence[Tensor],
        cotangents: Sequence[Tensor],
        create_graph: bool = False,
    ) -> tuple[Tensor, ...]:
        """Those of `outs` with respect to `inputs`, zeros where they do not depend on them.

        Recorded if asked for, or if anything around this call may want to differentiate them.
        """
        recorded = create_graph or (is_grad_enabled() and (self.linked or any(g.tracked for g in cotangents)))
        used = [(out, g) for out, g in zip(outs, cotangents, strict=True) if out.tracked]
        if not used:
            return tuple([zeros_like(x) for x in inputs])
        found = autograd.grad(
            [out for out, _ in used],
            inputs,
            [g for _, g in used],
            retain_graph=True,
            create_graph=recorded,
            allow_unused=True,
        )
        return tuple([zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)])


def _blocks(call: _Call, out: Tensor) -> tuple[Tensor, ...]:
    """The Jacobians of one result with respect to each entry, row by row."""
    rows = []
    for i in range(out.numel()):
        row = np.zeros(out.numel(), out.dtype)
        row[i] = 1
        cotangent = Tensor(out.backend.from_numpy(row.reshape(out.shape)), out.backend)
        rows.append(call.gradients([out], call.entries, [cotangent]))
    shapes = [out.shape + x.shape for x in call.entries]
    if not rows:
        return tuple([zeros_like(x).expand(shape) for x, shape in zip(call.entries, shapes, strict=True)])
    return tuple([stack(column).reshape(shape) for column, shape in zip(zip(*rows, strict=True), shapes, strict=True)])


def sources(outs: Sequence[Tensor], since: int) -> list[Any]:
    """The leaves, and the nodes older than `since`, that `outs` were computed from, each once."""
    found, seen = [], {None}
    todo: list[Any] = [out.node or out for out in outs if out.tracked]
    while todo:
        x = todo.pop()
        if x in seen:
            continue
        seen.add(x)
        if isinstance(x, Node) and x.born >= since:
            todo += x.parents
        else:
            found.append(x)
    return found


def leaves(name: str, tree: Any) -> Iterator[Tensor]:
    """The Tensors in a Tensor or nested tuples and lists of them. TypeError for anything else."""
    if isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from leaves(name, branch)
    elif isinstance(tree, Tensor):
        yield tree
    else:
        raise TypeError(f"{name}: expected a Tensor or a tuple of Tensors, got {type(tree).__name__}")


def nest(tree: Any, leaves: Iterator[Any]) -> Any:
    """`leaves` in the places that the Tensors have in `tree`."""
    if isinstance(tree, Tensor):
        return next(leaves)
    branches = [nest(branch, leaves) for branch in tree]
    return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)


def _places(argnums: int | tuple[int, ...], count: int) -> list[int]:
    """`argnums` as distinct positions from 0. ValueError if there is no such argument."""
    given = argnums if isinstance(argnums, tuple) else (argnums,)
    places = [i + count if i < 0 else i for i in given]
    if not places or len({*places}) < len(places) or not all(0 <= i < count for i in places):
        raise ValueError(f"jacobian: expected argnums to name some of {count} arguments, each once, got {argnums}")
    return places


def _check_inputs(name: str, primals: Any) -> None:
    if not isinstance(primals, (tuple, list)) or not primals:
        raise TypeError(f"{name}: expected a tuple of Tensors as inputs, got {primals!r}")
    for i, x in enumerate(primals):
        if not isinstance(x, Tensor) or x.dtype.kind != "f":
            found = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{name}: expected a float Tensor as input {i}, got {found}")


def _check_alike(name: str, what: str, expected: Sequence[Tensor], given: Any) -> None:
    """Errors unless `given` are float Tensors of the same number and shapes."""
    if not isinstance(given, (tuple, list)) or len(given) != len(expected):
        found = len(given) if isinstance(given, (tuple, list)) else type(given).__name__
        raise ValueError(f"{name}: expected {len(expected)} {what}s, a tuple of as many, got {found}")
    for i, (x, g) in enumerate(zip(expected, given, strict=True)):
        if not isinstance(g, Tensor):
            raise TypeError(f"{name}: expected a Tensor as {what} {i}, got {type(g).__name__}")
        if g.shape != x.shape:
            raise ValueError(f"{name}: expected {what} {i} of shape {x.shape}, got {g.shape}")
