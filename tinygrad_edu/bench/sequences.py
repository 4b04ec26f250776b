"""Recurrent layers, attention and norms beside torch: `python -m tinygrad_edu.bench.sequences [NAME ...]`.

Forward and backward, our layers on the cpp backend and torch's on the same numbers, float32, 2 threads each,
measured in turn. Wanted for recurrent layers and attention is 1.2 times torch's speed: a ratio of at most 0.83.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import require, unknown

Steps = dict[str, Callable[[], object]]
WANTED = 1 / 1.2


def _step(t: Any, function: Callable[..., Any], inputs: list[Any], parameters: list[Any], g: Any) -> Callable[[], Any]:
    """Forward, and backward to inputs and parameters."""
    grad, leaves = (t.grad if t is tg else t.autograd.grad), [*inputs, *parameters]

    def step() -> Any:
        out = function(*inputs)
        return out, grad([out], leaves, [g])

    return step


def sides(make: Callable[[Any], tuple[Callable[..., Any], list[Any]]], arrays: list[np.ndarray], shape: Any) -> Steps:
    """A step of ours on cpp and one of torch's; `make(t)` gives the function and the parameters of a framework."""
    torch = require("torch", "bench")
    torch.set_num_threads(2)
    g = np.random.default_rng(1).uniform(0.5, 1.5, shape).astype(np.float32)
    steps: Steps = {}
    for name, t in (("ours", tg), ("torch", torch)):
        with tg.use_backend("cpp"):
            function, parameters = make(t)
            inputs = [t.from_numpy(a).requires_grad_() for a in arrays]
            steps[name] = _step(t, function, inputs, parameters, t.from_numpy(g))
    return steps


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def recurrent(kind: str, T: int, B: int, D: int, H: int) -> Steps:
    """One layer over T steps: (T, B, D) -> (T, B, H)."""

    def make(t: Any) -> tuple[Callable[..., Any], list[Any]]:
        layer = getattr(nn if t is tg else t.nn, kind)(D, H)
        return lambda x: layer(x)[0], list(layer.parameters())

    return sides(make, [numbers(T, B, D)], (T, B, H))


def attention(B: int, H: int, T: int, D: int, is_causal: bool) -> Steps:
    """Attention of T places to T places with D features, for B samples and H heads."""

    def make(t: Any) -> tuple[Callable[..., Any], list[Any]]:
        f = (nn if t is tg else t.nn).functional.scaled_dot_product_attention
        return lambda q, k, v: f(q, k, v, is_causal=is_causal), []

    return sides(make, [numbers(B, H, T, D) for _ in range(3)], (B, H, T, D))


def norm(kind: str, rows: int, columns: int) -> Steps:
    """A norm of each row, with its parameters."""

    def make(t: Any) -> tuple[Callable[..., Any], list[Any]]:
        layer = getattr(nn if t is tg else t.nn, kind)(columns)
        return layer, list(layer.parameters())

    return sides(make, [numbers(rows, columns)], (rows, columns))


CASES: dict[str, Callable[[], Steps]] = {
    "rnn": lambda: recurrent("RNN", 64, 32, 64, 256),
    "lstm": lambda: recurrent("LSTM", 64, 32, 64, 256),
    "gru": lambda: recurrent("GRU", 64, 32, 64, 256),
    "lstm_small": lambda: recurrent("LSTM", 20, 4, 16, 32),
    "lstm_large": lambda: recurrent("LSTM", 32, 64, 256, 512),
    "attention_gpt": lambda: attention(12, 4, 64, 32, True),
    "attention_256": lambda: attention(4, 4, 256, 64, True),
    "attention_1024": lambda: attention(1, 4, 1024, 64, True),
    "attention_1024_full": lambda: attention(1, 4, 1024, 64, False),
    "layer_norm_gpt": lambda: norm("LayerNorm", 768, 128),
    "layer_norm_large": lambda: norm("LayerNorm", 4096, 768),
    "rms_norm": lambda: norm("RMSNorm", 768, 128),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print microseconds and the ratio of each case; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case and candidate (default: 1)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)} (default: all)")
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in CASES:
            parser.error(unknown("case", name, CASES))
    print(
        "forward + backward, microseconds, medians, measured in turn, 2 threads each; wanted: at most "
        f"{WANTED:.2f} for recurrent layers and attention"
    )
    print(f"{'':22s}{'cpp':>10s}{'torch':>10s}{'ratio':>8s}")
    for name in args.names or CASES:
        found = alternate(CASES[name](), seconds=args.seconds)
        ours, theirs = found["ours"], found["torch"]
        print(f"{name:22s}{1e6 * ours:10.0f}{1e6 * theirs:10.0f}{ours / theirs:8.2f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
