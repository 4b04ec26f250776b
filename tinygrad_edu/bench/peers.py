"""What the peers cannot share with us: a GPT in torch's modules, and HIPS autograd's steps: plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Step = Callable[[], object]


def torch_gpt(
    torch: Any, vocabulary: int = 65, context: int = 64, layers: int = 4, heads: int = 4, width: int = 128
) -> Any:
    """`models/gpt.py` in torch's modules, with the same names of parameters."""
    nn, f = torch.nn, torch.nn.functional

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

        def forward(self, x: Any) -> Any:
            split = lambda y: y.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, H, T, C / H)
            q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
            seen = f.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(seen.transpose(1, 2).flatten(2))  # (B, T, C)

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.attention = nn.LayerNorm(width, bias=False), Attention()
            self.norm_2 = nn.LayerNorm(width, bias=False)
            wide, narrow = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
            self.mlp = nn.Sequential(wide, nn.GELU(), narrow)

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm_1(x))
            return x + self.mlp(self.norm_2(x))

    class GPT(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            return f.linear(self.norm(self.blocks(x)), self.tokens.weight)

    return GPT()


def autograd_mlp(weights: list[Array], x: Array, y: Array, optimizer: str, lr: float) -> Step:
    """HIPS autograd, on NumPy's threads; the update in place, as its examples write it.

    `weights` are the layers' weights (out, in) and biases in turn, the former with torch's layout.
    """
    import autograd
    import autograd.numpy as anp

    params = [(weights[i].copy(), weights[i + 1].copy()) for i in range(0, len(weights), 2)]
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

    value_and_gradient = autograd.value_and_grad(loss)

    def step() -> Any:
        nonlocal steps
        steps += 1
        value, gradients = value_and_gradient(params)
        for layer, gs, ms, vs in zip(params, gradients, m, v, strict=True):
            for p, g, first, second in zip(layer, gs, ms, vs, strict=True):
                if optimizer == "SGD":
                    p -= lr * g
                    continue
                first += 0.1 * (g - first)
                second += 0.001 * (g * g - second)
                p -= (lr / (1 - 0.9**steps)) * first / (np.sqrt(second / (1 - 0.999**steps)) + 1e-8)
        return value

    return step
