"""Gradient rules held against finite differences: slow, approximate, and independent of every formula of ours.

For a function s of numbers, (s(x + h) - s(x - h)) / 2h differs from its derivative by h² s'''/6 and, through rounding,
by about ε |s| / h. In float64, where ε = 2.2e-16, the sum of both is smallest near h = ε^(1/3) = 6e-6, at about 1e-10.
Source: W. Press et al., "Numerical Recipes", 3rd ed. 2007, section 5.7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import autograd
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.compare import Ours, as_list, as_numpy

STEP = 6e-6  # ε^(1/3), see above; times the size of x where that is larger than 1
# 1e-10 is what smooth functions reach; the rest is room for large third derivatives. A wrong rule is off by far more.
RTOL, ATOL = 1e-6, 1e-7


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
    backend = next((x.backend for x in inputs if isinstance(x, Tensor)), None)
    ours = Ours(backend)
    arrays = [as_numpy(x) for x in inputs]
    arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    _check(ours, f, arrays, "gradient", rtol, atol, np.random.default_rng(seed))
    if order == 2:
        rng = np.random.default_rng(seed)  # the same cotangents at every call: f_gradients must be one function

        def f_gradients(*leaves: Tensor) -> list[Tensor]:
            leaves = tuple([x if x.requires_grad or x.dtype.kind != "f" else x.requires_grad_() for x in leaves])
            with autograd.enable_grad():
                outputs = [out for out in as_list(f(*leaves)) if out.requires_grad]
                cotangents = [_weights(ours, out, np.random.default_rng(seed + i)) for i, out in enumerate(outputs)]
                wanted = [x for x in leaves if x.requires_grad]
                found = autograd.grad(outputs, wanted, cotangents, create_graph=True, allow_unused=True)
            return [g for g in found if g is not None]

        _check(ours, f_gradients, arrays, "second gradient", rtol, atol, rng)


def _weights(ours: Ours, out: Tensor, rng: np.random.Generator) -> Tensor:
    return ours.leaf(rng.uniform(0.5, 1.5, out.shape).astype(out.dtype), False)


def _check(
    ours: Ours,
    f: Callable[..., Any],
    arrays: list[np.ndarray],
    what: str,
    rtol: float,
    atol: float,
    rng: np.random.Generator,
) -> None:
    """Hold the gradient of s = Σ w f(*arrays), with random weights w, against finite differences of s."""
    leaves = [ours.leaf(a, a.dtype.kind == "f") for a in arrays]
    outputs = as_list(f(*leaves))
    weights = [_weights(ours, out, rng) for out in outputs]
    tracked = [(out, w) for out, w in zip(outputs, weights, strict=True) if out.requires_grad]
    wanted = [(i, x) for i, x in enumerate(leaves) if x.requires_grad]
    found: tuple[Tensor | None, ...] = (None,) * len(wanted)
    if tracked:
        found = autograd.grad(
            [out for out, _ in tracked], [x for _, x in wanted], [w for _, w in tracked], allow_unused=True
        )

    def s() -> float:
        with autograd.no_grad():
            values = as_list(f(*[ours.leaf(a, False) for a in arrays]))
        return sum(float(np.sum(ours.numpy(v) * ours.numpy(w))) for v, w in zip(values, weights, strict=True))

    for (i, _), g in zip(wanted, found, strict=True):
        gradient = np.zeros_like(arrays[i]) if g is None else ours.numpy(g)
        assert gradient.shape == arrays[i].shape, f"{what} of input {i}: {gradient.shape}, expected {arrays[i].shape}"
        for index in np.ndindex(arrays[i].shape):
            numeric = _slope(s, arrays[i], index)
            if not abs(gradient[index] - numeric) <= atol + rtol * abs(numeric):
                raise AssertionError(
                    f"{what} of input {i} at index {index}: ours {gradient[index]:.10g}, numeric {numeric:.10g}"
                )


def _slope(s: Callable[[], float], a: np.ndarray, index: tuple[int, ...]) -> float:
    """ds/da[index] by central differences; `a` is changed for a moment, and restored."""
    before = a[index]
    h = STEP * max(1.0, abs(before))
    try:
        a[index] = before + h
        above = s()
        a[index] = before - h
        below = s()
    finally:
        a[index] = before
    return (above - below) / (2 * h)
