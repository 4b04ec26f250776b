"""The candidates of each workload: us on every backend that loads, and the peers that are installed.

A workload is a function that makes its candidates: {name: step}, ours as `tinygrad_edu BACKEND`. The nine are those of
`nine.py`; beside them stands `chain`, a thousand ops on ten numbers, which is overhead alone.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import registry
from tinygrad_edu.bench import peers
from tinygrad_edu.bench.nine import NINE, Trainer, weights
from tinygrad_edu.errors import unknown

Steps = dict[str, Callable[[], object]]
THREADS = int(os.environ.get("TINYGRAD_EDU_THREADS", "2"))
OURS = "tinygrad_edu "  # how the names of our candidates begin


@functools.cache
def backends() -> dict[str, Exception | None]:
    """Every backend by name: None, or why it does not load."""
    found: dict[str, Exception | None] = {}
    for name in registry.names("backends"):
        try:
            registry.backend(name)
            found[name] = None
        except Exception as error:  # kept and reported: the others can be measured all the same
            found[name] = error
    return found


def missing() -> list[str]:
    """A line for each backend that does not load, with its reason."""
    return [f"without backend '{name}', which does not load: {error}" for name, error in backends().items() if error]


def ours(make: Callable[[], Callable[[], object]]) -> Steps:
    """One candidate for each backend that loads."""
    steps = {}
    for name, error in backends().items():
        if error is None:
            with tg.use_backend(name):
                steps[OURS + name] = make()
    return steps


def torchs() -> Any:
    """torch, with as many threads as we have; None if it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch = importlib.import_module("torch")
    torch.set_num_threads(THREADS)
    return torch


def nine(name: str) -> Steps:
    """The candidates of one of the nine."""
    workload = NINE[name]
    steps = ours(lambda: Trainer(tg, workload).step)
    if torch := torchs():
        steps["torch"] = Trainer(torch, workload).step
    if name.endswith("mlp") and importlib.util.find_spec("autograd"):
        x, y = (a.astype(np.float32) if i == 0 else a for i, a in enumerate(workload.data(np.random.default_rng(0))))
        steps["autograd"] = peers.autograd_mlp([*weights(workload).values()], x, y, workload.optimizer, workload.lr)
    return steps


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
    x, *wb = np.random.default_rng(0).uniform(0, 1, (3, 10)).astype(np.float32)

    def make(lib: Any) -> Callable[[], object]:
        return chain_of(lib, lib.from_numpy(x), *[lib.from_numpy(a.copy()).requires_grad_() for a in wb])

    steps = ours(lambda: make(tg))
    if torch := torchs():
        steps["torch"] = make(torch)
    return steps


WORKLOADS: dict[str, Callable[[], Steps]] = {name: functools.partial(nine, name) for name in NINE}
WORKLOADS["chain"] = chain


def check_names(names: Iterable[str]) -> None:
    """ValueError for a name that no workload has."""
    for name in names:
        if name not in WORKLOADS:
            raise ValueError(unknown("workload", name, WORKLOADS))
