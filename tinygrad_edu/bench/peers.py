"""The same steps in other libraries. Each function makes one candidate; its library is imported only here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Step = Callable[[], object]


def torch_mlp(weights: list[Array], x: Array, y: Array, optimizer: str, lr: float, threads: int) -> Step:
    """torch, eager."""
    import torch

    torch.set_num_threads(threads)
    layers: list[Any] = []
    for w in weights:
        layers += [torch.nn.Linear(w.shape[1], w.shape[0]), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for layer, w in zip(layers[::2], weights, strict=True):
            layer.weight.copy_(torch.from_numpy(w))
    update = getattr(torch.optim, optimizer)(model.parameters(), lr=lr)
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(model(inputs), target)
        update.zero_grad()
        loss.backward()
        update.step()

    return step


def torch_chain(chain_of: Callable[..., Step], x: Array, w: Array, b: Array, threads: int) -> Step:
    """The chain of small ops in torch, eager."""
    import torch

    torch.set_num_threads(threads)
    return chain_of(torch, torch.from_numpy(x), *[torch.from_numpy(a).requires_grad_() for a in (w, b)])


def autograd_mlp(weights: list[Array], x: Array, y: Array, optimizer: str, lr: float, threads: int) -> Step:
    """HIPS autograd, on NumPy's threads; the update in place, as its examples write it."""
    import autograd
    import autograd.numpy as anp

    params = [(w.copy(), np.zeros(len(w), np.float32)) for w in weights]
    m = [[np.zeros_like(p) for p in layer] for layer in params]
    v = [[np.zeros_like(p) for p in layer] for layer in params]
    rows, steps = np.arange(len(y)), 0

    def loss(params: list[tuple[Array, Array]]) -> Any:
        a = x
        for w, b in params[:-1]:
            a = anp.maximum(anp.dot(a, w.T) + b, 0.0)
        w, b = params[-1]
        z = anp.dot(a, w.T) + b
        z = z - anp.max(z, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[rows, y])

    gradient = autograd.grad(loss)

    def step() -> None:
        nonlocal steps
        steps += 1
        for layer, gs, ms, vs in zip(params, gradient(params), m, v, strict=True):
            for p, g, first, second in zip(layer, gs, ms, vs, strict=True):
                if optimizer == "SGD":
                    p -= lr * g
                    continue
                first += 0.1 * (g - first)
                second += 0.001 * (g * g - second)
                p -= (lr / (1 - 0.9**steps)) * first / (np.sqrt(second / (1 - 0.999**steps)) + 1e-8)

    return step
