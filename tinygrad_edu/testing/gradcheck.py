"""Gradient rules held against finite differences: slow, approximate, and independent of every formula of ours.

For a function s of numbers, (s(x + h) - s(x - h)) / 2h differs from its derivative by h² s'''/6 and, through rounding,
by about ε |s| / h. In float64, where ε = 2.2e-16, the sum of both is smallest near h = ε^(1/3) = 6e-6, at about 1e-10.
Source: W. Press et al., "Numerical Recipes", 3rd ed. 2007, section 5.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.compare import Framework, Ours, as_list, as_numpy

STEP = 6e-6  # ε^(1/3), see above; times the size of x where that is larger than 1
# 1e-10 is what smooth functions reach; the rest is room for large third derivatives. A wrong rule is off by far more.
RTOL, ATOL = 1e-6, 1e-7
# Relative to the largest element: a function of some hundred ops may lose six of float64's sixteen digits on the way.
TORCH_RTOL = 1e-10


class Gradient(NamedTuple):
    """One gradient of one input, found in two or three ways, as float64 arrays of the input's shape."""

    name: str
    ours: np.ndarray
    numeric: np.ndarray
    torch: np.ndarray | None

    def check(self, rtol: float = RTOL, atol: float = ATOL) -> None:
        """AssertionError at the first element where ours differs from the numeric one, or from torch's."""
        assert self.ours.shape == self.numeric.shape, f"{self.name}: shape {self.ours.shape}, not {self.numeric.shape}"
        numeric_agrees = np.abs(self.ours - self.numeric) <= atol + rtol * np.abs(self.numeric)
        torch_agrees = np.ones_like(numeric_agrees)
        if self.torch is not None:
            scale = np.abs(self.torch[np.isfinite(self.torch)]).max(initial=0.0)
            torch_agrees = np.isclose(self.ours, self.torch, rtol=TORCH_RTOL, atol=TORCH_RTOL * scale, equal_nan=True)
        wrong = np.argwhere(~(numeric_agrees & torch_agrees))
        if not len(wrong):
            return
        index = tuple(int(i) for i in wrong[0])
        found = f"{self.name} at index {index}: ours {self.ours[index]:.10g}, numeric {self.numeric[index]:.10g}"
        if self.torch is None:
            raise AssertionError(found)
        hint = "the rule is wrong"
        if torch_agrees[index]:
            hint = "finite differences mean nothing at a kink, a jump or a tie"
        elif numeric_agrees[index]:
            hint = "torch computes another function, or goes another way at a kink"
        raise AssertionError(f"{found}, torch's {self.torch[index]:.10g} ({hint})")


def gradcheck(
    f: Callable[..., Any], *inputs: Any, order: int = 1, rtol: float = RTOL, atol: float = ATOL, seed: int = 0
) -> None:
    """Hold the gradients of `f` against central finite differences in float64; `order=2`: those of its gradients too.

    `inputs` are NumPy arrays or Tensors of any shape; the float ones are taken to float64 and differentiated. `f` takes
    Tensors and gives one or several. AssertionError names the first element that differs: input, index, ours, numeric.
    `f` must be smooth near the inputs: at a kink or a tie finite differences mean nothing.

    >>> import numpy as np, tinygrad_edu as tg
    >>> gradcheck(tg.tanh, np.array([0.5, -1.0]), order=2)
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: expected order 1 or 2, got {order}")
    for gradient in gradients(f, inputs, order, seed=seed):
        gradient.check(rtol, atol)


def ours_for(inputs: Any) -> Ours:
    """Our Tensors, on the backend of the first Tensor among `inputs`, else on the current one."""
    return Ours(next((x.backend for x in inputs if isinstance(x, Tensor)), None))


def in_float64(inputs: Any) -> list[np.ndarray]:
    """Copies of the inputs as arrays, the float ones in float64."""
    arrays = [as_numpy(x) for x in inputs]
    return [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]


def gradients(
    f: Callable[..., Any],
    inputs: Any,
    order: int,
    torch: tuple[Framework, Callable[..., Any]] | None = None,
    seed: int = 0,
) -> Iterator[Gradient]:
    """Every gradient up to `order` in two ways, or in three, with torch's Tensors and a function of them.

    The first gradients come without and with create_graph=True, which run different code. A second gradient is that of
    the first ones' sum, weighted at random.
    """
    ours, arrays = ours_for(inputs), in_float64(inputs)
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    sides: list[tuple[Framework, Callable[..., Any]]] = [(ours, f), *([torch] if torch else [])]
    for what in ("gradient", "second gradient")[:order]:
        numeric = [_slopes(ours, f, arrays, i, seed) for i in floats]
        for create_graph in (False, True) if what == "gradient" else (False,):
            found = [_backward(side, function, arrays, create_graph, seed) for side, function in sides]
            path = f"{what}, create_graph=True," if create_graph else what
            for k, i in enumerate(floats):
                theirs = found[1][k] if torch else None
                yield Gradient(f"{path} of input {i}", found[0][k], numeric[k], theirs)
        sides = [(side, _first_gradients(side, function, floats, seed)) for side, function in sides]
        f = sides[0][1]


def _weights(shape: Any, dtype: Any, position: int, seed: int) -> np.ndarray:
    """The weights of one output: the same at every call, so that the weighted sum is one function."""
    return np.random.default_rng(seed + position).uniform(0.5, 1.5, tuple(shape)).astype(dtype)


def _backward(
    framework: Framework, f: Callable[..., Any], arrays: list[np.ndarray], create_graph: bool, seed: int
) -> list[np.ndarray]:
    """The gradient of s = Σ w f(*arrays), with random weights w, with respect to each float array."""
    leaves = [framework.leaf(a, a.dtype.kind == "f") for a in arrays]
    found = _grad(framework, f, leaves, [x for x in leaves if framework.wants_grad(x)], create_graph, seed)
    floats = [a for a in arrays if a.dtype.kind == "f"]
    return [np.zeros_like(a) if g is None else framework.numpy(g) for a, g in zip(floats, found, strict=True)]


def _grad(
    framework: Framework, f: Callable[..., Any], leaves: list[Any], wanted: list[Any], create_graph: bool, seed: int
) -> list[Any]:
    """The gradients of Σ w f(*leaves) with respect to `wanted`, None where nothing depends on one."""
    outputs = [(i, out) for i, out in enumerate(as_list(f(*leaves))) if framework.wants_grad(out)]
    if not outputs or not wanted:
        return [None] * len(wanted)
    weights = [framework.leaf(_weights(out.shape, framework.numpy(out).dtype, i, seed), False) for i, out in outputs]
    return list(framework.grad([out for _, out in outputs], wanted, weights, create_graph))


def _first_gradients(
    framework: Framework, f: Callable[..., Any], floats: list[int], seed: int
) -> Callable[..., list[Any]]:
    """The function that gives the first gradients of `f`, which can be differentiated in turn."""

    def f_gradients(*leaves: Any) -> list[Any]:
        wanted = [x if framework.wants_grad(x) else x.requires_grad_() for x in [leaves[i] for i in floats]]
        return [g for g in _grad(framework, f, list(leaves), wanted, True, seed) if g is not None]

    return f_gradients


def _slopes(ours: Ours, f: Callable[..., Any], arrays: list[np.ndarray], position: int, seed: int) -> np.ndarray:
    """The slopes of s = Σ w f(*arrays) along each element of one array, by central differences."""
    arrays = [*arrays[:position], arrays[position].copy(), *arrays[position + 1 :]]
    a = arrays[position]

    def s() -> float:
        values = [ours.numpy(v) for v in as_list(f(*[ours.leaf(x, False) for x in arrays]))]
        return sum(float(np.sum(v * _weights(v.shape, v.dtype, i, seed))) for i, v in enumerate(values))

    slopes = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        before = float(a[index])
        h = STEP * max(1.0, abs(before))
        a[index] = before + h
        above = s()
        a[index] = before - h
        slopes[index] = (above - s()) / (2 * h)
        a[index] = before
    return slopes
