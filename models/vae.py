"""Variational autoencoders: pictures to a distribution over a few numbers, and from those back to pictures.

The encoder makes of a picture x the mean μ and the logarithm of the variance σ² of a normal distribution over the code
z; a sample of it, z = μ + σ ε with ε from N(0, 1) (so that gradients reach μ and σ), goes through the decoder to the
probability of each pixel. What is minimised is the negative evidence lower bound, in nats an image,

    -log p(x | z)  +  KL(q(z | x) ‖ N(0, 1)),

the binary cross entropy summed over the pixels, and how far the code's distribution is from the one that new codes are
drawn from. B is the batch, Z the code's size.

Sources: D. Kingma, M. Welling, "Auto-encoding variational Bayes", 2013, arXiv:1312.6114; the dense one has the sizes of
PyTorch's example, https://github.com/pytorch/examples/tree/main/vae.
"""

from __future__ import annotations

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn
from tinygrad_edu.models.pictures import check_pictures


class VAE(nn.Module):
    """(B, 1, S, S) -> logits (B, 1, S, S), means (B, Z), log variances (B, Z), with linear layers alone.

    >>> logits, mean, log_var = VAE()(tg.zeros(2, 1, 28, 28))
    >>> logits.shape, mean.shape, log_var.shape
    ((2, 1, 28, 28), (2, 20), (2, 20))
    """

    def __init__(self, size: int = 28, hidden: int = 400, code: int = 20) -> None:
        self.size, self.code = size, code
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size * size, hidden), nn.ReLU())
        self.mean, self.log_var = nn.Linear(hidden, code), nn.Linear(hidden, code)
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, size * size))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 1, S, S), or ValueError -> means and log variances of their codes, (B, Z) each."""
        check_pictures(type(self).__name__, x, 1, self.size)
        h = self.encoder(x)
        return self.mean(h), self.log_var(h)

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, Z) -> logits (B, 1, S, S); their sigmoid is the probability that a pixel is white."""
        return self.decoder(z).reshape(-1, 1, self.size, self.size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (B, 1, S, S) -> logits of one sample of each, means and log variances of their codes."""
        mean, log_var = self.encode(x)
        z = mean + (0.5 * log_var).exp() * tg.randn(*mean.shape)
        return self.decode(z), mean, log_var


class ConvVAE(VAE):
    """The same with convolutions that halve the picture and transposed ones that double it; S a multiple of 4.

    ValueError for other sizes.
    """

    def __init__(self, size: int = 28, channels: int = 32, code: int = 20) -> None:
        if size < 4 or size % 4:
            raise ValueError(f"ConvVAE: expected a size that is a multiple of 4, got {size}")
        self.size, self.code = size, code
        few, many, side = channels, 2 * channels, size // 4
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, few, 3, stride=2, padding=1), nn.ReLU()),  # (B, few, S / 2, S / 2)
            *(nn.Conv2d(few, many, 3, stride=2, padding=1), nn.ReLU()),  # (B, many, S / 4, S / 4)
            nn.Flatten(),
        )
        self.mean, self.log_var = nn.Linear(many * side * side, code), nn.Linear(many * side * side, code)
        self.from_code = nn.Linear(code, many * side * side)
        self.decoder = nn.Sequential(
            *(nn.ConvTranspose2d(many, few, 3, stride=2, padding=1, output_padding=1), nn.ReLU()),
            nn.ConvTranspose2d(few, 1, 3, stride=2, padding=1, output_padding=1),
        )

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, Z) -> logits (B, 1, S, S)."""
        side = self.size // 4
        maps = self.from_code.weight.shape[0] // side**2  # said, and not left to reshape, for the sake of empty batches
        return self.decoder(self.from_code(z).relu().reshape(len(z), maps, side, side))


def divergence(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)), summed over the code: (B, Z), (B, Z) -> (B,), in nats.

    For one number z of the code, with q = N(μ, σ²) and p = N(0, 1),

        log q(z) - log p(z) = -log σ - (z - μ)² / 2σ² + z² / 2,

    and under q the expectations are E (z - μ)² = σ² and E z² = μ² + σ², hence

        KL = E [log q(z) - log p(z)] = (μ² + σ² - 1 - log σ²) / 2.

    The numbers of the code are independent, so their divergences add up.
    """
    return 0.5 * (mean * mean + log_var.exp() - 1.0 - log_var).sum(1)


def negative_evidence(logits: Tensor, x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """The negative evidence lower bound in nats an image: summed over pixels and code, the mean over the batch.

    logits and x (B, 1, S, S), x in 0..1. PyTorch's example takes the sum over the batch instead, and divides by the
    number of images when it prints; with Adam, whose steps do not depend on the loss's scale, both train alike.
    """
    pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / float(len(x))
    return pixels + divergence(mean, log_var).mean()
