"""Kernels of the NumPy backend: faster forms of some fused ops and of the optimizers' steps.

Each does what its readable body does (see `tinygrad_edu.ops` and `tinygrad_edu.optim`, which have the formulas), with
fewer passes over memory and fewer Python calls. Tests hold each against its body. A fused op's kernel gives its result
and what its `_vjp` needs; `needs` says which gradients are wanted.
"""

from __future__ import annotations

import contextvars
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.backends.numpy_erf import erf

Array = np.ndarray
Arrays = Sequence[np.ndarray]
_ROOT_HALF, _ROOT_2_PI = math.sqrt(0.5), math.sqrt(2.0 / math.pi)
BLOCK = 1 << 14  # elements: a block of five float32 arrays stays in a 512 KiB cache


class _Quiet(threading.local):
    """`quiet.run(f, ...)` calls f with NumPy's floating-point warnings off: torch gives inf and NaN without a word.

    `np.errstate` would cost a microsecond a call, three times the work itself on a small array. Running in a
    `contextvars.Context` in which they are off for good costs some nanoseconds, and leaves the user's settings alone. A
    context cannot be entered twice: hence one a thread, and what runs in it calls NumPy only, never the backend.
    """

    run: Callable[..., Any]

    def __init__(self) -> None:
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


quiet = _Quiet()


def _quietly(kernel: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(kernel)
    def call(*args: Any, **settings: Any) -> Any:
        return quiet.run(kernel, *args, **settings)

    return call


class _Scratch(threading.local):
    """Per thread, two blocks of scratch memory for each dtype."""

    def __init__(self) -> None:
        self.blocks: dict[np.dtype, tuple[Array, Array]] = {}

    def get(self, dtype: np.dtype) -> tuple[Array, Array]:
        if dtype not in self.blocks:
            self.blocks[dtype] = np.empty(BLOCK, dtype), np.empty(BLOCK, dtype)
        return self.blocks[dtype]


_scratch = _Scratch()


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The arrays, flattened, block by block, and two scratch blocks of the same length."""
    if not all(a.flags.c_contiguous for a in arrays):  # flattening would copy, and the copy be changed
        yield (*arrays, np.empty_like(arrays[0]), np.empty_like(arrays[0]))
        return
    s, t = _scratch.get(arrays[0].dtype)
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, arrays[0].size, BLOCK):
        parts = tuple([a[start : start + BLOCK] for a in flat])
        n = parts[0].size
        yield (*parts, s[:n], t[:n])


class Kernels:
    """The kernel pairs and optimizer steps that `NumpyBackend` offers."""

    @_quietly
    def linear(self, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Any]:
        """One matrix product on all rows, the bias added in place."""
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        out = np.matmul(rows, weight.T)
        if bias is not None:
            out += bias
        return out if x.ndim == 2 else out.reshape(*x.shape[:-1], len(weight)), (x.shape, rows, weight)

    @_quietly
    def linear_vjp(self, saved: Any, g: Array, needs: tuple[bool, ...]) -> list[Array | None]:
        """gx = g W, gW = gᵀ x, gb = Σ g over the rows (as a product with ones, which BLAS does faster than a sum)."""
        shape, x, weight = saved
        if g.ndim != 2:
            g = g.reshape(-1, len(weight))
        gx = np.matmul(g, weight).reshape(shape) if needs[0] else None
        gw = np.matmul(g.T, x) if needs[1] else None
        gb = np.matmul(_ones(len(g), g.dtype), g) if needs[-1] else None
        return [gx, gw, gb][: len(needs)]

    @_quietly
    def cross_entropy(self, logits: Array, target: Array, *, reduction: str) -> tuple[Array, Any]:
        """log Σ exp(x) - x[target], row by row."""
        shifted = logits - _row_max(logits)
        e = np.exp(shifted)
        total = _row_sum(e)
        rows = np.arange(len(target))
        losses = np.log(total)
        losses -= shifted[rows, target]
        if reduction == "mean":
            out = np.add.reduce(losses, out=...) / logits.dtype.type(len(target) or np.nan)
        else:
            out = losses if reduction == "none" else np.add.reduce(losses, out=...)
        return np.asarray(out), (e, total, rows, target, reduction)

    @_quietly
    def cross_entropy_vjp(self, saved: Any, g: Array, needs: tuple[bool, ...]) -> list[Array | None]:
        """g (softmax(x) - onehot(target))."""
        e, total, rows, target, reduction = saved
        scale = g / (len(target) or 1) if reduction == "mean" else g  # () or (N,)
        out = e * (scale / total)[:, None]
        out[rows, target] -= scale
        return [out, None]

    @_quietly
    def gelu(self, x: Array, *, approximate: str = "none") -> tuple[Array, Any]:
        """x P, with P = (1 + erf(x / sqrt 2)) / 2, or (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3)."""
        if approximate == "none":
            p = erf(x * _ROOT_HALF)
        else:
            p = np.tanh(x * (x * x * (0.044715 * _ROOT_2_PI) + _ROOT_2_PI))
        p = np.asarray(p)
        p += 1.0
        p *= 0.5
        return np.multiply(x, p, out=...), (x, p, approximate)

    @_quietly
    def gelu_vjp(self, saved: Any, g: Array, needs: tuple[bool, ...]) -> list[Array | None]:
        """g (P + x P'): P' is the normal density exp(-x^2 / 2) / sqrt(2 pi), or 2 P (1 - P) u'."""
        x, p, approximate = saved
        if approximate == "none":
            slope = np.exp(x * x * -0.5) * (0.5 * _ROOT_2_PI)
        else:
            slope = p * (1.0 - p) * (x * x * (6 * 0.044715 * _ROOT_2_PI) + 2 * _ROOT_2_PI)
        slope = np.asarray(slope)
        slope *= x
        slope += p
        slope *= g
        return [slope]

    @_quietly
    def sgd(self, params: Arrays, grads: Arrays, lr: Array, buffers: Arrays = (), **settings: Any) -> None:
        """See `tinygrad_edu.optim.sgd`."""
        momentum, weight_decay = settings["momentum"], settings["weight_decay"]
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            if weight_decay:
                g = g + p * weight_decay
            if buffers:
                v = buffers[i]
                v *= momentum
                v += g
                g = g + v * momentum if settings["nesterov"] else v
            p -= g * float(lr)

    @_quietly
    def adam(
        self,
        params: Arrays,
        grads: Arrays,
        lr: Array,
        steps: Arrays,
        exp_avgs: Arrays,
        exp_avg_sqs: Arrays,
        **settings: Any,
    ) -> None:
        """See `tinygrad_edu.optim.adam`; block by block, so that each block is read from memory once."""
        beta1, beta2, eps, decay = (settings[name] for name in ("beta1", "beta2", "eps", "weight_decay"))
        for p, g, step, exp_avg, exp_avg_sq in zip(params, grads, steps, exp_avgs, exp_avg_sqs, strict=True):
            step += 1.0
            rate, correction = float(lr) / (1.0 - beta1 ** float(step)), (1.0 - beta2 ** float(step)) ** 0.5
            for pb, gb, m, v, s, t in _blocks(p, g, exp_avg, exp_avg_sq):
                if decay and settings["decoupled"]:
                    pb *= 1.0 - float(lr) * decay
                elif decay:
                    gb = np.add(gb, np.multiply(pb, decay, out=t), out=t)
                m *= beta1
                m += np.multiply(gb, 1.0 - beta1, out=s)
                v *= beta2
                v += np.multiply(np.multiply(gb, 1.0 - beta2, out=s), gb, out=s)
                np.sqrt(v, out=s)
                s *= 1.0 / correction
                s += eps
                pb -= np.divide(np.multiply(m, rate, out=t), s, out=t)


def _row_max(x: Array) -> Array:
    """(N, C) -> (N, 1). NumPy's own is slow along short rows: those are folded column by column."""
    if x.shape[1] > 16:
        return np.maximum.reduce(x, axis=1, keepdims=True)
    top = x[:, :1]
    for c in range(1, x.shape[1]):
        top = np.maximum(top, x[:, c : c + 1])
    return top


def _row_sum(x: Array) -> Array:
    """(N, C) -> (N,), as a product with ones: the quickest along short rows."""
    return np.matmul(x, _ones(x.shape[1], x.dtype))


@functools.lru_cache(maxsize=64)
def _ones(n: int, dtype: np.dtype) -> Array:
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones
