"""Actor and critic: networks that give a policy, as logits of the actions, and the value of the state, v(s).

`MLPActorCritic` is for observations of a few numbers, `CNNActorCritic` for stacks of small pictures. Both begin with
orthogonal weights, which keep the size of what goes through them; the policy's last layer begins near 0, so that at
first all actions are about equally likely.

Sources: V. Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016 (policy and value, one body);
A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
networks", ICLR 2014 (orthogonal weights); M. Andrychowicz et al., "What Matters In On-Policy Reinforcement Learning?",
ICLR 2021 (separate bodies, a small last layer).

`B` observations, `D` numbers in one, `A` actions; `C` pictures of H × W pixels.
"""

from __future__ import annotations

from math import sqrt
from typing import TypeVar

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def orthogonal(layer: Layer, gain: float) -> Layer:
    """The layer, its weight seen as a matrix (out, in) now orthogonal times `gain`, its bias 0.

    Drawn from the default random stream: the same weights on every backend for one seed, up to rounding.
    """
    out, fan_in = layer.weight.shape[0], layer.weight.numel() // layer.weight.shape[0]
    normal = tg.randn(max(out, fan_in), min(out, fan_in), dtype=tg.float64).numpy()
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diag(r))  # QR leaves the signs open: with these every orthogonal matrix is equally likely
    w = gain * (q if out >= fan_in else q.T).reshape(layer.weight.shape)
    assert layer.bias is not None
    with tg.no_grad():
        layer.weight.copy_(tg.tensor(w, dtype=tg.float32))
        layer.bias.zero_()
    return layer


class MLPActorCritic(nn.Module):
    """(B, D) -> logits (B, A), values (B,): two networks of two tanh layers each, one for either result.

    ValueError for observations of another shape.

    >>> logits, values = MLPActorCritic(4, 2)(__import__("tinygrad_edu").zeros(8, 4))
    >>> logits.shape, values.shape
    ((8, 2), (8,))
    """

    def __init__(self, observations: int, actions: int, width: int = 64) -> None:
        self.observations = observations
        self.actor, self.critic = (
            nn.Sequential(
                orthogonal(nn.Linear(observations, width), sqrt(2.0)),
                nn.Tanh(),
                orthogonal(nn.Linear(width, width), sqrt(2.0)),
                nn.Tanh(),
                orthogonal(nn.Linear(width, out), gain),
            )
            for out, gain in ((actions, 0.01), (1, 1.0))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) -> logits (B, A), values (B,)."""
        if x.ndim != 2 or x.shape[1] != self.observations:
            raise ValueError(f"MLPActorCritic: expected observations (B, {self.observations}), got {x.shape}")
        return self.actor(x), self.critic(x).squeeze(1)


class CNNActorCritic(nn.Module):
    """(B, C, H, W), brightness from 0 to 255 -> logits (B, A), values (B,): one body for both.

    Two convolutions and a hidden layer. ValueError for observations of another shape.

    >>> logits, values = CNNActorCritic((4, 32, 40), 3)(__import__("tinygrad_edu").zeros(8, 4, 32, 40))
    >>> logits.shape, values.shape
    ((8, 3), (8,))
    """

    def __init__(self, shape: tuple[int, int, int], actions: int, width: int = 128) -> None:
        self.shape = shape
        self.conv1 = orthogonal(nn.Conv2d(shape[0], 16, 5, stride=3), sqrt(2.0))
        self.conv2 = orthogonal(nn.Conv2d(16, 32, 3, stride=2), sqrt(2.0))
        rows, columns = (((side - 5) // 3 - 2) // 2 + 1 for side in shape[1:])  # of the second convolution's maps
        self.fc = orthogonal(nn.Linear(32 * rows * columns, width), sqrt(2.0))
        self.actor = orthogonal(nn.Linear(width, actions), 0.01)
        self.critic = orthogonal(nn.Linear(width, 1), 1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) uint8 or float -> logits (B, A), values (B,)."""
        if x.ndim != 4 or x.shape[1:] != self.shape:
            C, H, W = self.shape
            raise ValueError(f"CNNActorCritic: expected observations (B, {C}, {H}, {W}), got {x.shape}")
        scaled = self.conv1.weight * (1.0 / 255.0)  # in place of all the pixels
        x = F.conv2d(x.to(tg.float32), scaled, self.conv1.bias, stride=self.conv1.stride).relu()
        x = self.conv2(x).relu()
        x = self.fc(x.flatten(1)).relu()  # (B, width)
        return self.actor(x), self.critic(x).squeeze(1)
