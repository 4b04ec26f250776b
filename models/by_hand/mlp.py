"""A multi-layer perceptron in plain NumPy: forward pass, backward pass derived by hand, gradient descent.

Notation: B samples in a batch, layer l with weight Wₗ (out, in) and bias bₗ (out,), input aₗ₋₁ (B, in),
pre-activation zₗ (B, out). For a scalar loss L, gₓ is written for ∂L/∂x; it has the shape of x.

    zₗ = aₗ₋₁ Wₗᵀ + bₗ        aₗ = max(zₗ, 0), but for the last layer, whose z are the logits

Source: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray


def softmax_cross_entropy(logits: Array, target: Array) -> tuple[float, Array]:
    """The mean loss in nats, and its gradient with respect to the logits: (B, C), (B,) -> scalar, (B, C).

    For one sample with logits z and class y, p = softmax(z) and L = -log p_y = log Σⱼ exp(zⱼ) - z_y, so

        ∂L/∂zₖ = exp(zₖ) / Σⱼ exp(zⱼ) - [k = y] = pₖ - [k = y]

    and the mean over the batch divides by B. The largest logit is subtracted first, which changes neither L nor p and
    keeps exp from overflowing.
    """
    B = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - shifted[np.arange(B), target]).mean())
    g = e / total
    g[np.arange(B), target] -= 1.0
    return loss, g / B


class Network:
    """What the networks by hand have in common: `weights` and `biases`, arrays of their own, one of each a layer."""

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        self.weights = [np.array(W) for W in weights]
        self.biases = [np.array(b) for b in biases]

    def state_dict(self) -> dict[str, Any]:
        """The weights and biases."""
        return {"weights": self.weights, "biases": self.biases}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over weights and biases of the same shapes. ValueError names a shape that differs."""
        for own, value in zip(self.weights + self.biases, [*state["weights"], *state["biases"]], strict=True):
            if own.shape != np.shape(value):
                name = type(self).__name__
                raise ValueError(f"{name}: expected a weight of shape {own.shape}, got {np.shape(value)}")
            own[...] = value


class MLP(Network):
    """Linear layers with a ReLU between each two; its state: `weights` [(out, in), ...], `biases` [(out,), ...]."""

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        super().__init__(weights, biases)
        for W, b in zip(self.weights, self.biases, strict=True):
            if W.ndim != 2 or b.shape != W.shape[:1]:
                raise ValueError(f"MLP: expected weights (out, in) and biases (out,), got {W.shape} and {b.shape}")
        self._inputs: list[Array] = []  # aₗ₋₁ of each layer, kept by `forward` for `backward`

    def forward(self, x: Array) -> Array:
        """(B, ...) -> logits (B, C)."""
        a = x.reshape(len(x), -1)
        self._inputs = []
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            self._inputs.append(a)
            z = a @ W.T + b
            a = np.maximum(z, 0.0) if i < len(self.weights) - 1 else z
        return a

    def backward(self, g: Array) -> list[tuple[Array, Array]]:
        """The gradients [(g_W, g_b), ...] of every layer, given that of the logits, (B, C). Call `forward` first.

        From zᵢⱼ = Σₖ aᵢₖ Wⱼₖ + bⱼ (sample i, output j, input k), by the chain rule, summed over all paths:

            ∂L/∂Wⱼₖ = Σᵢ g_zᵢⱼ aᵢₖ      g_W = g_zᵀ a
            ∂L/∂bⱼ  = Σᵢ g_zᵢⱼ          g_b = Σ over the batch
            ∂L/∂aᵢₖ = Σⱼ g_zᵢⱼ Wⱼₖ      g_a = g_z W

        and through a = max(z, 0), which lets pass where z > 0 (there a > 0) and blocks elsewhere: g_z = g_a [a > 0].
        """
        gradients: list[tuple[Array, Array]] = []
        for i in reversed(range(len(self.weights))):
            a = self._inputs[i]
            gradients.append((g.T @ a, g.sum(axis=0)))
            if i > 0:
                g = (g @ self.weights[i]) * (a > 0.0)
        return gradients[::-1]


class SGD:
    """Gradient descent with momentum μ and weight decay λ: v = μ v + (g + λ p);  p -= η v."""

    def __init__(self, model: Network, momentum: float, weight_decay: float) -> None:
        self.model, self.momentum, self.weight_decay = model, momentum, weight_decay
        self.velocities = [np.zeros_like(p) for p in [*model.weights, *model.biases]]

    def step(self, gradients: Sequence[tuple[Array, Array]], lr: float) -> None:
        """Change the model's weights and biases in place, by `gradients` as `backward` gives them."""
        parameters = [*self.model.weights, *self.model.biases]
        listed = [gW for gW, _ in gradients] + [gb for _, gb in gradients]
        for p, g, v in zip(parameters, listed, self.velocities, strict=True):
            v *= self.momentum
            v += g + self.weight_decay * p
            p -= lr * v

    def state_dict(self) -> dict[str, Any]:
        """The velocities."""
        return {"velocities": self.velocities}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over velocities."""
        for own, value in zip(self.velocities, state["velocities"], strict=True):
            own[...] = value
