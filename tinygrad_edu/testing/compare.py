"""Two computations of one function, held against each other: values, first gradients, second gradients.

`trace` runs a function under one framework (ours on some backend, or torch) and gives every result as a NumPy array
under a readable name; `compare` names the first element in which two traces differ. First gradients are computed twice,
without and with `create_graph`, since these run different code: a backend's kernels in one case, the readable bodies
in the other. All cotangents are random (of a fixed seed): with ones a factor or a transposition could go unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np

import tinygrad_edu
from tinygrad_edu.backend import Backend, get_backend
from tinygrad_edu.tensor import Tensor

Trace = dict[str, np.ndarray]

# Relative to the largest element of a result. Both sides compute the same formula with different libraries and orders
# of summation, so they differ by some units in the last place, more after two differentiations: 100 and 1000 of them.
TOLERANCE = {np.dtype(np.float32): 1.2e-5, np.dtype(np.float64): 2.3e-13}


class Framework(Protocol):
    """What `trace` asks of ours and of torch."""

    def leaf(self, x: Any, requires_grad: bool) -> Any: ...
    def wants_grad(self, x: Any) -> bool: ...
    def grad(self, outputs: Any, inputs: Any, cotangents: Any, create_graph: bool) -> Sequence[Any]: ...
    def numpy(self, x: Any) -> np.ndarray: ...


class Ours:
    """Our Tensors on `backend`."""

    def __init__(self, backend: Backend | None = None) -> None:
        self.backend = backend or get_backend()

    def leaf(self, x: Any, requires_grad: bool) -> Tensor:
        """A Tensor on the backend. One that is there already keeps its memory, and so its strides."""
        if isinstance(x, Tensor) and x.backend is self.backend:
            return x.detach().requires_grad_(requires_grad)
        return Tensor(self.backend.from_numpy(as_numpy(x)), self.backend).requires_grad_(requires_grad)

    def wants_grad(self, x: Any) -> bool:
        return isinstance(x, Tensor) and bool(x.requires_grad)

    def grad(self, outputs: Any, inputs: Any, cotangents: Any, create_graph: bool) -> Sequence[Any]:
        return tinygrad_edu.grad(outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True)

    def numpy(self, x: Any) -> np.ndarray:
        if not isinstance(x, Tensor) or x.backend is not self.backend:
            raise AssertionError(f"expected a Tensor on backend {self.backend.name!r}, got {x!r:.200}")
        return np.array(x.backend.to_numpy(x.data))


class Torch:
    """torch's Tensors on the CPU."""

    def __init__(self) -> None:
        import torch

        self.torch: ModuleType = torch

    def leaf(self, x: Any, requires_grad: bool) -> Any:
        """A torch Tensor with a copy of x (torch has no negative strides)."""
        return self.torch.tensor(as_numpy(x)).requires_grad_(requires_grad)

    def wants_grad(self, x: Any) -> bool:
        return isinstance(x, self.torch.Tensor) and bool(x.requires_grad)

    def grad(self, outputs: Any, inputs: Any, cotangents: Any, create_graph: bool) -> Sequence[Any]:
        return self.torch.autograd.grad(outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True)

    def numpy(self, x: Any) -> np.ndarray:
        # torch hands out gradients of nothing but zeros without memory behind them, and crashes on a view of one
        # (`torch._efficientzerotensor((4, 3))[:, 1].numpy(force=True)`, torch 2.13); a copy has memory.
        return x.clone().numpy(force=True)


def as_numpy(x: Any) -> np.ndarray:
    """A C-contiguous copy of a Tensor's or an array's elements."""
    return np.array(x.backend.to_numpy(x.data) if isinstance(x, Tensor) else x, order="C")


def as_list(outputs: Any) -> list[Any]:
    """One result, or several, as a list."""
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def trace(framework: Framework, f: Callable[..., Any], inputs: Sequence[Any], order: int, seed: int = 0) -> Trace:
    """Every result of `f(*inputs)` up to gradients of `order`, by name. Float inputs want a gradient."""
    if order == 0:
        outputs = as_list(f(*[framework.leaf(x, False) for x in inputs]))
        return {f"value {i}": framework.numpy(out) for i, out in enumerate(outputs)}
    rng = np.random.default_rng(seed)
    found: Trace = {}
    for create_graph in (False, True):
        leaves = [framework.leaf(x, _is_float(x)) for x in inputs]
        outputs = as_list(f(*leaves))
        wanted = {f"input {i}": leaf for i, leaf in enumerate(leaves) if framework.wants_grad(leaf)}
        roots = {f"cotangent {i}": out for i, out in enumerate(outputs) if framework.wants_grad(out)}
        if not create_graph:
            found = {f"value {i}": framework.numpy(out) for i, out in enumerate(outputs)}
            seeds = {name: _like(framework.numpy(out), rng) for name, out in roots.items()}
        if not roots:
            return found
        cotangents = {name: framework.leaf(seeds[name], create_graph) for name in roots}
        first = framework.grad([*roots.values()], [*wanted.values()], [*cotangents.values()], create_graph)
        path = "gradient, create_graph=True," if create_graph else "gradient"
        found |= _named(framework, path, wanted, first)
    if order > 1:
        rest = [g for g in first if g is not None and framework.wants_grad(g)]
        again = [framework.leaf(_like(framework.numpy(g), rng), False) for g in rest]
        wanted |= cotangents
        second = framework.grad(rest, [*wanted.values()], again, False) if rest else [None] * len(wanted)
        found |= _named(framework, "second gradient", wanted, second)
    return found


def _is_float(x: Any) -> bool:
    return x.dtype.kind == "f" if isinstance(x, (Tensor, np.ndarray)) else isinstance(x, float)


def _like(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random array of x's shape and dtype, away from 0, so that no product with it hides a difference."""
    return (rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1, 1], x.shape)).astype(x.dtype)


def _named(framework: Framework, what: str, wanted: dict[str, Any], gradients: Sequence[Any]) -> Trace:
    """Gradients by name; one that is None, which means that nothing depends on the input, counts as zeros."""
    return {
        f"{what} of {name}": np.zeros_like(framework.numpy(x)) if g is None else framework.numpy(g)
        for (name, x), g in zip(wanted.items(), gradients, strict=True)
    }


def compare(ours: Trace, theirs: Trace, whose: str, rtol: float | None = None, atol: float | None = None) -> None:
    """AssertionError naming the first element of `ours` that differs from `theirs`."""
    assert ours.keys() == theirs.keys(), f"expected {[*theirs]} as {whose} has, got {[*ours]}"
    for name, expected in theirs.items():
        got = ours[name]
        if (got.shape, got.dtype) != (expected.shape, expected.dtype):
            raise AssertionError(
                f"{name}: ours is {got.dtype} of shape {got.shape}, {whose}'s is {expected.dtype} of {expected.shape}"
            )
        tolerance = TOLERANCE.get(got.dtype, 0.0) * (10 if name.startswith("second") else 1)
        assert_close(name, got, expected, whose, tolerance if rtol is None else rtol, atol)


def assert_close(
    name: str, got: np.ndarray, expected: np.ndarray, whose: str, rtol: float, atol: float | None = None
) -> None:
    """AssertionError at the first element where |got - expected| > atol + rtol |expected|.

    `atol` defaults to `rtol` times the largest finite element, since terms of that size may have cancelled. NaN equals
    NaN; infinities must be the same.
    """
    sizes = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    if atol is None:
        atol = rtol * float(sizes.max(initial=0.0))
    close = np.isclose(got.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
    if got.dtype.kind in "iub":
        close &= got == expected  # int64 beyond 2**53
    if not close.all():
        index = tuple(int(i) for i in np.argwhere(~close)[0])
        raise AssertionError(
            f"{name} at index {index}: ours {got[index]}, {whose}'s {expected[index]} "
            f"({got.dtype}, shape {got.shape}, {int((~close).sum())} of {close.size} differ, rtol {rtol:g}, "
            f"atol {atol:g})"
        )


def compare_with_torch(
    f: Callable[..., Any],
    torch_f: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Hold `f` against `torch_f` on `inputs`, NumPy arrays or Tensors: values, dtypes, shapes, gradients to `order`.

    Both functions take Tensors of their framework and give one or several. Where a gradient comes in two ways (by
    kernels, or recorded for a second one) both are compared. AssertionError names the first result, its index and both
    values. Tolerances, unless given, are those of `TOLERANCE`.

    >>> import torch, numpy as np, tinygrad_edu as tg
    >>> compare_with_torch(tg.exp, torch.exp, np.ones((2, 3)))
    """
    compare(trace(Ours(), f, inputs, order), trace(Torch(), torch_f, inputs, order), "torch", rtol, atol)
