"""Ops written by hand in plain NumPy, forward and backward: what our NumPy backend's speed is measured against.

Each entry says on which arrays the op works, how it is called on Tensors (ours or torch's, `t` being the framework),
and how one would write value and gradients without a framework: `by_hand(g, *arrays) -> (out, *gradients)`, `g` being
the result's cotangent. What forward and backward have in common is computed once, as a careful person would. Each
gradient is an array of its own, never `g` itself or a view, since its owner may change it in place; so are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Shape = tuple[int, ...]


class ByHand(NamedTuple):
    """One op. `shapes(n)` are its arguments' for about n elements; arguments lie between `low` and `high`."""

    op: Callable[..., Any]
    by_hand: Callable[..., tuple[Array, ...]]
    shapes: Callable[[int], tuple[Shape, ...]]
    low: float = -2.0
    high: float = 2.0

    def arrays(self, n: int, dtype: Any = np.float32) -> list[Array]:
        """Random arguments, the same at every call."""
        rng = np.random.default_rng(0)
        return [rng.uniform(self.low, self.high, shape).astype(dtype) for shape in self.shapes(n)]


def one(n: int) -> tuple[Shape, ...]:
    """One row of numbers."""
    return ((n,),)


def two(n: int) -> tuple[Shape, ...]:
    """Two rows of numbers."""
    return (n,), (n,)


def matrix(n: int) -> tuple[Shape, ...]:
    """One matrix, not far from square."""
    rows = max(2, math.isqrt(n) // 2)
    return ((rows, n // rows),)


def with_row(n: int) -> tuple[Shape, ...]:
    """A matrix and a row that is broadcast."""
    ((rows, columns),) = matrix(n)
    return (rows, columns), (columns,)


def square(n: int) -> tuple[Shape, ...]:
    """Two square matrices."""
    m = math.isqrt(n)
    return (m, m), (m, m)


def three(n: int) -> tuple[Shape, ...]:
    """Input, weight and bias of a linear layer."""
    m = math.isqrt(n)
    return (m, m), (m, m), (m,)


def _tanh(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.tanh(x)
    return out, g * (1 - out * out)


def _exp(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.exp(x)
    return out, g * out


def _exp2(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.exp2(x)
    return out, g * out * math.log(2)


def _expm1(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.expm1(x)
    return out, g * (out + 1)


def _sqrt(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.sqrt(x)
    return out, g / (2 * out)


def _rsqrt(g: Array, x: Array) -> tuple[Array, ...]:
    out = 1 / np.sqrt(x)
    return out, -0.5 * g * out * out * out


def _reciprocal(g: Array, x: Array) -> tuple[Array, ...]:
    out = 1 / x
    return out, -g * out * out


def _sigmoid(g: Array, x: Array) -> tuple[Array, ...]:
    out = 1 / (1 + np.exp(-x))
    return out, g * out * (1 - out)


def _relu(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.maximum(x, 0)
    return out, np.where(out > 0, g, 0)


def _tan(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.tan(x)
    return out, g * (1 + out * out)


def _pow(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    out = a**b
    return out, g * b * a ** (b - 1), g * out * np.log(a)


def _div(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    out, ga = a / b, g / b
    return out, ga, -ga * out


def _maximum(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    half = np.where(a == b, g * 0.5, 0)
    return np.maximum(a, b), np.where(a > b, g, half), np.where(a < b, g, half)


def _minimum(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    half = np.where(a == b, g * 0.5, 0)
    return np.minimum(a, b), np.where(a < b, g, half), np.where(a > b, g, half)


def _where(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    first = a > b
    return np.where(first, a, b), np.where(first, g, 0), np.where(first, 0, g)


def _atan2(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    scaled = g / (a * a + b * b)
    return np.arctan2(a, b), scaled * b, -scaled * a


def _logaddexp(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    out = np.logaddexp(a, b)
    return out, g * np.exp(a - out), g * np.exp(b - out)


def _clamp(g: Array, x: Array) -> tuple[Array, ...]:
    return np.clip(x, -1, 1), np.where((x >= -1) & (x <= 1), g, 0)


def _amax(g: Array, x: Array) -> tuple[Array, ...]:
    out = x.max(1, keepdims=True)
    hit = x == out
    return out[:, 0], hit * (g[:, None] / hit.sum(1, keepdims=True, dtype=x.dtype))


def _max(g: Array, x: Array) -> tuple[Array, ...]:
    at, rows = x.argmax(1), np.arange(len(x))
    gx = np.zeros_like(x)
    gx[rows, at] = g
    return x[rows, at], gx


def _sort(g: Array, x: Array) -> tuple[Array, ...]:
    order = x.argsort(1, kind="stable")
    gx = np.empty_like(x)
    np.put_along_axis(gx, order, g, 1)
    return np.take_along_axis(x, order, 1), gx


def _prod(g: Array, x: Array) -> tuple[Array, ...]:
    out = x.prod(1)
    return out, (g * out)[:, None] / x


def _var(g: Array, x: Array) -> tuple[Array, ...]:
    centred = x - x.mean(1, keepdims=True)
    scale = 1 / (x.shape[1] - 1)
    return (centred * centred).sum(1) * scale, (2 * scale * g)[:, None] * centred


def _std(g: Array, x: Array) -> tuple[Array, ...]:
    centred = x - x.mean(1, keepdims=True)
    scale = 1 / (x.shape[1] - 1)
    out = np.sqrt((centred * centred).sum(1) * scale)
    return out, (scale * g / out)[:, None] * centred


def _norm(g: Array, x: Array) -> tuple[Array, ...]:
    out = np.sqrt((x * x).sum(1))
    return out, x * (g / out)[:, None]


def _softmax(g: Array, x: Array) -> tuple[Array, ...]:
    e = np.exp(x - x.max(1, keepdims=True))
    out = e / e.sum(1, keepdims=True)
    return out, (g - (g * out).sum(1, keepdims=True)) * out


def _log_softmax(g: Array, x: Array) -> tuple[Array, ...]:
    shifted = x - x.max(1, keepdims=True)
    out = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return out, g - np.exp(out) * g.sum(1, keepdims=True)


def _logsumexp(g: Array, x: Array) -> tuple[Array, ...]:
    top = x.max(1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(1, keepdims=True)
    return (np.log(total) + top)[:, 0], e * (g[:, None] / total)


def _cumsum(g: Array, x: Array) -> tuple[Array, ...]:
    return x.cumsum(1), g[:, ::-1].cumsum(1)[:, ::-1]


def _take(g: Array, x: Array) -> tuple[Array, ...]:
    at = np.arange(len(x))[::2]
    gx = np.zeros_like(x)
    np.add.at(gx, at, g)
    return x[at], gx


def _slice(g: Array, x: Array) -> tuple[Array, ...]:
    gx = np.zeros_like(x)
    gx[:, 1:] = g
    return x[:, 1:], gx


def _cat(g: Array, a: Array, b: Array) -> tuple[Array, ...]:
    return np.concatenate([a, b]), g[: len(a)].copy(), g[len(a) :].copy()


BY_HAND: dict[str, ByHand] = {
    "abs": ByHand(lambda t, x: t.abs(x), lambda g, x: (np.abs(x), g * np.sign(x)), one),
    "add": ByHand(lambda t, a, b: a + b, lambda g, a, b: (a + b, g.copy(), g.copy()), two),
    "add a row": ByHand(lambda t, a, b: a + b, lambda g, a, b: (a + b, g.copy(), g.sum(0)), with_row),
    "add a number": ByHand(lambda t, a: a + 2.5, lambda g, a: (a + 2.5, g.copy()), one),
    "amax": ByHand(lambda t, x: t.amax(x, 1), _amax, matrix),
    "atan": ByHand(lambda t, x: t.atan(x), lambda g, x: (np.arctan(x), g / (1 + x * x)), one),
    "atan2": ByHand(lambda t, a, b: t.atan2(a, b), _atan2, two),
    "cat": ByHand(lambda t, a, b: t.cat([a, b]), _cat, two),
    "clamp": ByHand(lambda t, x: t.clamp(x, -1.0, 1.0), _clamp, one),
    "cos": ByHand(lambda t, x: t.cos(x), lambda g, x: (np.cos(x), -g * np.sin(x)), one),
    "cosh": ByHand(lambda t, x: t.cosh(x), lambda g, x: (np.cosh(x), g * np.sinh(x)), one),
    "cumsum": ByHand(lambda t, x: t.cumsum(x, 1), _cumsum, matrix),
    "div": ByHand(lambda t, a, b: a / b, _div, two, 0.5),
    "dot": ByHand(lambda t, a, b: t.dot(a, b), lambda g, a, b: (a @ b, g * b, g * a), two),
    "exp": ByHand(lambda t, x: t.exp(x), _exp, one),
    "exp2": ByHand(lambda t, x: t.exp2(x), _exp2, one),
    "expm1": ByHand(lambda t, x: t.expm1(x), _expm1, one),
    "flip": ByHand(lambda t, x: t.flip(x, (1,)), lambda g, x: (x[:, ::-1], g[:, ::-1].copy()), matrix),
    "getitem, indices": ByHand(lambda t, x: x[t.arange(len(x))[::2]], _take, matrix),
    "getitem, slice": ByHand(lambda t, x: x[:, 1:], _slice, matrix),
    "linear": ByHand(
        lambda t, x, w, b: t.nn.functional.linear(x, w, b),
        lambda g, x, w, b: (x @ w.T + b, g @ w, g.T @ x, g.sum(0)),
        three,
    ),
    "log": ByHand(lambda t, x: t.log(x), lambda g, x: (np.log(x), g / x), one, 0.5),
    "log1p": ByHand(lambda t, x: t.log1p(x), lambda g, x: (np.log1p(x), g / (1 + x)), one, 0.5),
    "log2": ByHand(lambda t, x: t.log2(x), lambda g, x: (np.log2(x), g / (x * math.log(2))), one, 0.5),
    "log_softmax": ByHand(lambda t, x: t.log_softmax(x, 1), _log_softmax, matrix),
    "logaddexp": ByHand(lambda t, a, b: t.logaddexp(a, b), _logaddexp, two),
    "logsumexp": ByHand(lambda t, x: t.logsumexp(x, 1), _logsumexp, matrix),
    "matmul": ByHand(lambda t, a, b: a @ b, lambda g, a, b: (a @ b, g @ b.T, a.T @ g), square),
    "max": ByHand(lambda t, x: t.max(x, 1)[0], _max, matrix),
    "maximum": ByHand(lambda t, a, b: t.maximum(a, b), _maximum, two),
    "mean": ByHand(lambda t, x: x.mean(), lambda g, x: (x.mean(), np.full_like(x, g / x.size)), matrix),
    "minimum": ByHand(lambda t, a, b: t.minimum(a, b), _minimum, two),
    "mul": ByHand(lambda t, a, b: a * b, lambda g, a, b: (a * b, g * b, g * a), two),
    "mul by a row": ByHand(lambda t, a, b: a * b, lambda g, a, b: (a * b, g * b, (g * a).sum(0)), with_row),
    "neg": ByHand(lambda t, x: -x, lambda g, x: (-x, -g), one),
    "norm": ByHand(lambda t, x: t.norm(x, dim=1), _norm, matrix),
    "outer": ByHand(
        lambda t, a, b: t.outer(a, b),
        lambda g, a, b: (np.outer(a, b), g @ b, g.T @ a),
        lambda n: ((math.isqrt(n),), (math.isqrt(n),)),
    ),
    "pow": ByHand(lambda t, a, b: a**b, _pow, two, 0.5),
    "prod": ByHand(lambda t, x: t.prod(x, 1), _prod, matrix, 0.9, 1.1),
    "reciprocal": ByHand(lambda t, x: t.reciprocal(x), _reciprocal, one, 0.5),
    "relu": ByHand(lambda t, x: t.relu(x), _relu, one),
    "rsqrt": ByHand(lambda t, x: t.rsqrt(x), _rsqrt, one, 0.5),
    "sigmoid": ByHand(lambda t, x: t.sigmoid(x), _sigmoid, one),
    "sin": ByHand(lambda t, x: t.sin(x), lambda g, x: (np.sin(x), g * np.cos(x)), one),
    "sinh": ByHand(lambda t, x: t.sinh(x), lambda g, x: (np.sinh(x), g * np.cosh(x)), one),
    "softmax": ByHand(lambda t, x: t.softmax(x, 1), _softmax, matrix),
    "sort": ByHand(lambda t, x: t.sort(x, 1)[0], _sort, matrix),
    "sqrt": ByHand(lambda t, x: t.sqrt(x), _sqrt, one, 0.5),
    "square": ByHand(lambda t, x: t.square(x), lambda g, x: (x * x, 2 * g * x), one),
    "std": ByHand(lambda t, x: t.std(x, 1), _std, matrix),
    "sub": ByHand(lambda t, a, b: a - b, lambda g, a, b: (a - b, g.copy(), -g), two),
    "sum": ByHand(lambda t, x: x.sum(), lambda g, x: (x.sum(), np.full_like(x, g)), matrix),
    "sum over rows": ByHand(lambda t, x: x.sum(0), lambda g, x: (x.sum(0), np.broadcast_to(g, x.shape).copy()), matrix),
    "tan": ByHand(lambda t, x: t.tan(x), _tan, one, -1.0, 1.0),
    "tanh": ByHand(lambda t, x: t.tanh(x), _tanh, one),
    "transpose": ByHand(lambda t, x: x.mT * 2.0, lambda g, x: (x.T * 2, (g * 2).T.copy()), matrix),
    "tril": ByHand(lambda t, x: t.tril(x), lambda g, x: (np.tril(x), np.tril(g)), matrix),
    "var": ByHand(lambda t, x: t.var(x, 1), _var, matrix),
    "where": ByHand(lambda t, a, b: t.where(a > b, a, b), _where, two),
}
