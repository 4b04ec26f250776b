"""Multi-layer perceptron: linear layers with a ReLU between each two.

Source: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.
"""

from __future__ import annotations

from itertools import pairwise

from tinygrad_edu import Tensor, nn


class MLP(nn.Module):
    """(B, ...) -> (B, sizes[-1]): each sample flattened to sizes[0] numbers, then a Linear for each two neighbours.

    ValueError for fewer than two sizes.

    >>> MLP(784, 256, 10)(__import__("tinygrad_edu").zeros(32, 1, 28, 28)).shape
    (32, 10)
    """

    def __init__(self, *sizes: int) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: expected at least an input and an output size, got {sizes}")
        self.sizes = sizes
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # none after the last: its outputs are logits

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> logits (B, sizes[-1])."""
        return self.layers(x)
