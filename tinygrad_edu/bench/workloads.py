"""The training steps that speed is measured on, for us and for the peers that are installed.

One step is forward, loss, backward and optimizer update, on fixed random float32 data in memory. A workload is a
function that makes its candidates: {name: step}, ours on every backend there is as `tinygrad_edu BACKEND`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn, optim, registry
from tinygrad_edu.bench import peers

Steps = dict[str, Callable[[], object]]
THREADS = int(os.environ.get("TINYGRAD_EDU_THREADS", "2"))


def _ours(make: Callable[[], Callable[[], object]]) -> Steps:
    """One candidate for each backend."""
    steps = {}
    for name in registry.names("backends"):
        with tg.use_backend(name):
            steps[f"tinygrad_edu {name}"] = make()
    return steps


def _installed(*names: str) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name)]


def _mlp(sizes: tuple[int, ...], batch: int, optimizer: str, lr: float) -> Steps:
    """A multi-layer perceptron with ReLU, cross entropy, one optimizer step."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], batch)
    weights = [rng.uniform(-1, 1, (n, m)).astype(np.float32) / np.sqrt(m, dtype=np.float32) for m, n in pairwise(sizes)]

    def make() -> Callable[[], object]:
        layers: list[nn.Module] = []
        for w in weights:
            layers += [nn.Linear(w.shape[1], w.shape[0]), nn.ReLU()]
        model = nn.Sequential(*layers[:-1])
        model.load_state_dict({f"{2 * i}.weight": w for i, w in enumerate(weights)}, strict=False)
        update = getattr(optim, optimizer)(model.parameters(), lr=lr)
        inputs, target = tg.tensor(x), tg.tensor(y)

        def step() -> None:
            loss = nn.functional.cross_entropy(model(inputs), target)
            update.zero_grad()
            loss.backward()
            update.step()

        return step

    makers = {"torch": peers.torch_mlp, "autograd": peers.autograd_mlp}
    theirs = {name: makers[name](weights, x, y, optimizer, lr, THREADS) for name in _installed("torch", "autograd")}
    return {**_ours(make), **theirs}


def tiny_mlp() -> Steps:
    """2-16-16-2, batch 100, SGD 0.1."""
    return _mlp((2, 16, 16, 2), 100, "SGD", 0.1)


def mlp() -> Steps:
    """784-256-128-10, batch 128, Adam 1e-3."""
    return _mlp((784, 256, 128, 10), 128, "Adam", 1e-3)


def chain_of(lib: Any, x: Any, w: Any, b: Any) -> Callable[[], object]:
    """1,000 ops one after the other on ten numbers, forward and backward: the same lines for us and for torch."""

    def step() -> None:
        y = x
        for _ in range(250):
            y = y * w
            y = y + b
            y = lib.tanh(y)
            y = y - b
        y.sum().backward()
        w.grad = b.grad = None

    return step


def chain() -> Steps:
    """1,000 small ops on ten numbers: multiply, add, tanh, subtract."""
    x, w, b = np.random.default_rng(0).uniform(0, 1, (3, 10)).astype(np.float32)

    def make() -> Callable[[], object]:
        return chain_of(tg, tg.tensor(x), *[tg.tensor(a, requires_grad=True) for a in (w, b)])

    theirs = {name: peers.torch_chain(chain_of, x, w, b, THREADS) for name in _installed("torch")}
    return {**_ours(make), **theirs}


WORKLOADS: dict[str, Callable[[], Steps]] = {"tiny_mlp": tiny_mlp, "mlp": mlp, "chain": chain}
