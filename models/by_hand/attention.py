"""Attention in plain NumPy: every vector of a sequence takes a mean of them all; the backward pass derived by hand.

Notation: B sequences of T vectors x (B, T, D). Each makes a query and a key, q and k (B, T, E), and a value, v
(B, T, F). How well query i fits key j is the score sᵢⱼ, which becomes a weight aᵢⱼ: row i of a adds up to 1. cᵢ is the
mean of the values with these weights. For a scalar loss L, gₓ is written for ∂L/∂x; it has the shape of x.

    q = x Wq    k = x Wk    v = x Wv        s = q kᵀ / √E    a = softmax(s)    c = a v        out = c Wo

Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2; here with one head.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from tinygrad_edu.models.by_hand.mlp import Array, Network


def attend(q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, Array]:
    """The means c and their weights a: (..., L, E), (..., S, E), (..., S, F) -> (..., L, F), (..., L, S).

    A product of E independent numbers of variance 1 has variance E: with √E below it scores stay of order 1, however
    long the vectors are. Larger ones would give one key all the weight, and softmax hardly a slope. With `causal` query
    i sees the keys 0 to i: a score of -∞ is a weight of 0. ValueError for shapes that do not fit, or without any key.
    """
    shapes = q.shape, k.shape, v.shape
    lead = {shape[:-2] for shape in shapes}
    if min(map(len, shapes)) < 2 or len(lead) > 1 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"attend: expected q (..., L, E), k (..., S, E), v (..., S, F), got {', '.join(map(str, shapes))}"
        )
    if 0 in k.shape[-2:]:
        raise ValueError(f"attend: expected at least one key, of at least one number, got k of shape {k.shape}")
    s = q @ k.swapaxes(-1, -2) / sqrt(q.shape[-1])
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=np.bool_), s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))  # a factor that cancels below, and keeps exp from overflowing
    a = e / e.sum(axis=-1, keepdims=True)
    return a @ v, a


def attend_backward(g: Array, a: Array, q: Array, k: Array, v: Array) -> tuple[Array, Array, Array]:
    """The gradients gq, gk, gv of `attend`, given that of the means c, (..., L, F), and the weights a.

    cᵢ = Σⱼ aᵢⱼ vⱼ is linear in both:

        ∂L/∂aᵢⱼ = g_cᵢ · vⱼ        g_a = g_c vᵀ
        ∂L/∂vⱼ  = Σᵢ aᵢⱼ g_cᵢ      g_v = aᵀ g_c

    In the softmax a = exp(s) / Σ exp(s) of a row, sⱼ raises its own exp and, through the sum, lowers all weights:

        ∂aₗ/∂sⱼ = aₗ ([l = j] - aⱼ)
        ∂L/∂sⱼ  = Σₗ g_aₗ aₗ ([l = j] - aⱼ) = aⱼ (g_aⱼ - Σₗ g_aₗ aₗ)

    What is the same for all weights of a row has no effect, as they add up to 1: its mean is taken off. Where a mask
    has made aⱼ = 0, nothing is left. And sᵢⱼ = qᵢ · kⱼ / √E is linear in both again:

        ∂L/∂qᵢ = Σⱼ g_sᵢⱼ kⱼ / √E      g_q = g_s k / √E
        ∂L/∂kⱼ = Σᵢ g_sᵢⱼ qᵢ / √E      g_k = g_sᵀ q / √E
    """
    ga = g @ v.swapaxes(-1, -2)  # (..., L, S)
    gs = a * (ga - (ga * a).sum(axis=-1, keepdims=True)) / sqrt(q.shape[-1])  # with the √E that both below need
    return gs @ k, gs.swapaxes(-1, -2) @ q, a.swapaxes(-1, -2) @ g


class Attention(Network):
    """An attention block; its state: `weights` Wq (D, E), Wk (D, E), Wv (D, F), Wo (F, O), and no biases.

    With `causal` no vector sees those after it. ValueError for shapes that do not belong together.
    """

    def __init__(self, weights: Sequence[Array], *, causal: bool = False) -> None:
        super().__init__(weights, [])
        self.causal = causal
        shapes = [W.shape for W in self.weights]
        fit = [len(shape) for shape in shapes] == [2, 2, 2, 2]
        if not fit or shapes[0] != shapes[1] or shapes[2] != (shapes[0][0], shapes[3][0]):
            raise ValueError(f"Attention: expected weights (D, E), (D, E), (D, F), (F, O), got {shapes}")
        self._kept: list[Array] = []  # x, q, k, v, a, c of `forward`, for `backward`

    def forward(self, x: Array) -> Array:
        """(B, T, D) -> (B, T, O). ValueError for other shapes, and for sequences of no vectors."""
        Wq, Wk, Wv, Wo = self.weights
        if x.ndim != 3 or not x.shape[1] or x.shape[2] != len(Wq):
            raise ValueError(f"Attention: expected x (B, T, {len(Wq)}), T > 0, got {x.shape}")
        q, k, v = x @ Wq, x @ Wk, x @ Wv
        c, a = attend(q, k, v, causal=self.causal)
        self._kept = [x, q, k, v, a, c]
        return c @ Wo

    def backward(self, g: Array) -> tuple[list[Array], Array]:
        """The gradients [gWq, gWk, gWv, gWo], and that of x, given that of the result, (B, T, O). Call `forward` first.

        The four products are layers as in `MLP.backward`, with the weights the other way round: y = x W, so

            ∂L/∂W = xᵀ g_y, summed over the batch        g_x = g_y Wᵀ

        where x, being part of three products, takes the sum of what comes back from queries, keys and values.
        """
        x, q, k, v, a, c = self._kept
        Wq, Wk, Wv, Wo = self.weights
        gq, gk, gv = attend_backward(g @ Wo.T, a, q, k, v)
        pairs = ((x, gq), (x, gk), (x, gv), (c, g))
        gradients = [np.tensordot(given, gy, axes=((0, 1), (0, 1))) for given, gy in pairs]  # the sum over B and T
        return gradients, gq @ Wq.T + gk @ Wk.T + gv @ Wv.T
