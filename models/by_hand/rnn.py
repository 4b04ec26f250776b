"""A recurrent network over characters in plain NumPy: forward, backward through time by hand, and min-char-rnn.

Notation: T characters one after the other, B texts side by side, V characters that there are, H units. xₜ is a
character as a one-hot vector (V,), hₜ the state after reading it (H,), zₜ the logits of the next character (V,). For a
scalar loss L, gₓ is written for ∂L/∂x; it has the shape of x.

    aₜ = Wxh xₜ + Whh hₜ₋₁ + bh        hₜ = tanh(aₜ)        zₜ = Why hₜ + by        t = 1, ..., T

Sources: J. Elman, "Finding Structure in Time", 1990; P. Werbos, "Backpropagation Through Time: What It Does and How to
Do It", Proceedings of the IEEE 78, 1990; the setting of A. Karpathy's min-char-rnn.py, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.models.by_hand.mlp import Array, Network, softmax_cross_entropy


def cross_entropy(logits: Array, target: Array) -> tuple[float, Array]:
    """The mean loss in nats a character, and its gradient g_z: (T, B, V), (T, B) -> scalar, (T, B, V)."""
    loss, g = softmax_cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
    return loss, g.reshape(logits.shape)


class RNN(Network):
    """Elman's network; its state: `weights` Wxh (H, V), Whh (H, H), Why (V, H) and `biases` bh (H,), by (V,).

    `states` (T + 1, B, H) are those that the last `forward` went through, h₀ being the first. ValueError for
    shapes that do not belong together.
    """

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        super().__init__(weights, biases)
        shapes = [p.shape for p in (*self.weights, *self.biases)]
        H, V = shapes[0] if len(shapes) == 5 and len(shapes[0]) == 2 else (0, 0)
        if shapes != [(H, V), (H, H), (V, H), (H,), (V,)]:
            raise ValueError(f"RNN: expected weights (H, V), (H, H), (V, H) and biases (H,), (V,), got {shapes}")
        self.states = np.zeros((1, 0, H))
        self._x = np.zeros((0, 0), np.int64)  # what `forward` has read, kept for `backward`

    @classmethod
    def small(cls, V: int, H: int, rng: np.random.Generator) -> RNN:
        """A network as min-char-rnn starts: normal weights of standard deviation 0.01, biases of 0."""
        return cls([0.01 * rng.standard_normal(s) for s in ((H, V), (H, H), (V, H))], [np.zeros(H), np.zeros(V)])

    def forward(self, x: Array, h: Array | None = None) -> tuple[Array, Array]:
        """Logits and last state: characters (T, B), state before them (B, H) -> (T, B, V), (B, H).

        Without `h` the states before are 0. ValueError for other shapes, and for numbers that are no character's.
        """
        Wxh, Whh, Why = self.weights
        bh, by = self.biases
        x = np.asarray(x)
        if x.ndim != 2 or x.dtype.kind not in "iu" or (x.size and not 0 <= x.min() <= x.max() < len(by)):
            raise ValueError(f"RNN: expected integers (T, B) in 0..{len(by) - 1}, got {x.dtype} {x.shape}")
        (T, B), H = x.shape, len(bh)
        if h is not None and h.shape != (B, H):
            raise ValueError(f"RNN: expected a state {(B, H)}, got {h.shape}")
        states = np.empty((T + 1, B, H), Whh.dtype)
        states[0] = 0.0 if h is None else h
        read = Wxh.T[x] + bh  # (T, B, H): Wxh times a one-hot vector is a column of Wxh
        for t in range(T):
            states[t + 1] = np.tanh(read[t] + states[t] @ Whh.T)
        self._x, self.states = x, states
        return states[1:] @ Why.T + by, states[-1]

    def state_gradients(self, g: Array) -> Array:
        """∂L/∂hₜ for t = 0, ..., T, given the logits' gradient: (T, B, V) -> (T + 1, B, H). Call `forward` first.

        hₜ reaches the loss on two ways: through zₜ, which is made of it at once, and through aₜ₊₁, by which it is part
        of all that comes later. The chain rule adds up both:

            ∂L/∂hₜ = Whyᵀ g_zₜ + Whhᵀ g_aₜ₊₁        g_aₜ = (1 - hₜ²) g_hₜ, since tanh' = 1 - tanh²

        h_T has the first part alone, as nothing comes later; h₀ has the second alone, as it makes no logits. Each
        needs the one after it: the loop goes through time backwards.
        """
        _, Whh, Why = self.weights
        h = self.states
        if g.shape != (len(h) - 1, h.shape[1], len(Why)):
            raise ValueError(
                f"RNN: expected the gradient of logits {(len(h) - 1, h.shape[1], len(Why))}, got {g.shape}"
            )
        gh = np.zeros_like(h)
        gh[1:] = g @ Why
        for t in reversed(range(len(g))):
            gh[t] += ((1.0 - h[t + 1] ** 2) * gh[t + 1]) @ Whh
        return gh

    def backward(self, g: Array) -> tuple[list[Array], Array]:
        """The gradients [gWxh, gWhh, gWhy, gbh, gby], and that of the first state, (B, H), given that of the logits.

        If every step had weights of its own, Whh⁽¹⁾ to Whh⁽ᵀ⁾, this would be an MLP of T layers, and from
        aₜ = ... + Whh⁽ᵗ⁾ hₜ₋₁ would follow ∂L/∂Whh⁽ᵗ⁾ = g_aₜ hₜ₋₁ᵀ. But all of them are the one Whh: when it moves, all
        move, and the loss changes by the sum. So it is with each parameter, and the B texts are added up as well:

            ∂L/∂Wxh = Σₜ g_aₜ xₜᵀ        ∂L/∂Whh = Σₜ g_aₜ hₜ₋₁ᵀ        ∂L/∂bh = Σₜ g_aₜ
            ∂L/∂Why = Σₜ g_zₜ hₜᵀ        ∂L/∂by  = Σₜ g_zₜ

        With the g_aₜ of `state_gradients`, in which the later losses are contained.
        """
        h, gh = self.states, self.state_gradients(g)
        ga = (1.0 - h[1:] ** 2) * gh[1:]  # (T, B, H)
        gWxh = np.zeros_like(self.weights[0])
        np.add.at(gWxh.T, self._x, ga)  # g_aₜ xₜᵀ is g_aₜ in the column of the character; add.at: it may come again
        gWhh = np.tensordot(ga, h[:-1], axes=((0, 1), (0, 1)))  # the sum over t and the batch: (H, H)
        gWhy = np.tensordot(g, h[1:], axes=((0, 1), (0, 1)))  # (V, H)
        return [gWxh, gWhh, gWhy, ga.sum(axis=(0, 1)), g.sum(axis=(0, 1))], gh[0]

    def gradient_norms(self, g: Array) -> Array:
        """What is left of the last step's gradient k steps back: |∂L_T/∂h_T₋ₖ| for k = 0, ..., T, (T + 1,).

        g is that of the logits; L_T is the part of the loss that the last step has. Every step back multiplies by
        Whhᵀ diag(1 - hₜ²). Where that shrinks vectors, k steps shrink them exponentially in k, and what is far back is
        hardly learnt from; where it stretches them, gradients explode. Source: Y. Bengio, P. Simard, P. Frasconi,
        "Learning Long-Term Dependencies with Gradient Descent Is Difficult", 1994.
        """
        last = np.zeros_like(g)
        last[-1:] = g[-1:]
        return np.linalg.norm(self.state_gradients(last)[::-1], axis=(1, 2))

    def sample(self, seed: Array, n: int, rng: np.random.Generator, temperature: float = 1.0) -> Array:
        """n characters to follow those of the seed, each drawn from softmax(z / temperature): (S,) -> (n,) int64.

        At temperature 0 it is always the likeliest. Drawn by the Gumbel-max trick: z + temperature * Gumbel noise is
        largest at a place with just that probability. ValueError for an empty seed or a temperature below 0.
        """
        if not len(seed) or not temperature >= 0.0:
            raise ValueError(
                f"sample: expected a seed of characters and temperature >= 0, got {len(seed)} and {temperature}"
            )
        x, h, drawn = np.asarray(seed)[:, None], None, np.empty(n, np.int64)
        for i in range(n):
            z, h = self.forward(x, h)
            drawn[i] = (z[-1, 0] + temperature * rng.gumbel(size=z.shape[2])).argmax()
            x = drawn[i : i + 1, None]
        return drawn


class Adagrad:
    """Gradient descent with a rate for each number, the smaller the more it has moved: m += g²;  p -= η g / √(m + ε).

    ε = 1e-8 keeps 0 / 0 out. Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning
    and Stochastic Optimization", JMLR 12, 2011.
    """

    def __init__(self, model: Network) -> None:
        self.model = model
        self.squares = [np.zeros_like(p) for p in [*model.weights, *model.biases]]

    def step(self, gradients: Sequence[Array], lr: float) -> None:
        """Change the model's weights and biases in place, by gradients in this order."""
        for p, g, m in zip([*self.model.weights, *self.model.biases], gradients, self.squares, strict=True):
            m += g * g
            p -= lr * g / np.sqrt(m + 1e-8)


class MinCharRNN:
    """Trains a network on a text (N,) over and over: `next` is one step, and gives the smoothed loss, nats a sequence.

    Karpathy's setting, with `RNN.small(V, 100, rng)`: sequences of 25 characters, one a step, each starting from the
    state the last one ended in, but no gradient goes back over that border; the loss is their sum; every number of the
    gradients is clipped to ±5, lest one explosion ruin the weights; Adagrad with rate 0.1. The smoothed loss begins at
    that of who knows nothing, 25 log V, and moves by a thousandth. ValueError for a text no longer than a sequence.
    """

    def __init__(self, model: RNN, text: Array, *, length: int = 25) -> None:
        if len(text) <= length:
            raise ValueError(f"MinCharRNN: expected a text of more than {length} characters, got {len(text)}")
        self.model, self.text, self.length = model, text, length
        self.optimizer = Adagrad(model)
        self.smoothed = length * float(np.log(len(model.biases[1])))
        self.place, self.h = 0, np.zeros((1, len(model.biases[0])), model.biases[0].dtype)

    def __iter__(self) -> MinCharRNN:
        return self

    def __next__(self) -> float:
        if self.place + self.length >= len(self.text):  # the end: once more, with nothing in mind
            self.place, self.h = 0, np.zeros_like(self.h)
        piece = self.text[self.place : self.place + self.length + 1, None]  # (T + 1, 1)
        self.place += self.length
        z, self.h = self.model.forward(piece[:-1], self.h)
        loss, g = cross_entropy(z, piece[1:])
        gradients, _ = self.model.backward(self.length * g)  # of the sum, where `loss` is the mean
        self.optimizer.step([np.clip(g, -5.0, 5.0) for g in gradients], lr=0.1)
        self.smoothed = 0.999 * self.smoothed + 0.001 * self.length * loss
        return self.smoothed

    def state_dict(self) -> dict[str, Any]:
        """What the training goes on from, the model aside."""
        return {"place": self.place, "h": self.h, "smoothed": self.smoothed, "squares": self.optimizer.squares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`."""
        self.place, self.h, self.smoothed = int(state["place"]), np.array(state["h"]), float(state["smoothed"])
        for own, value in zip(self.optimizer.squares, state["squares"], strict=True):
            own[...] = value
