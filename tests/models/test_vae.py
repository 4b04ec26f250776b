"""VAE: its loss beside torch's distributions, the divergence beside sampling, gradients through the sampled code."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.vae import VAE, ConvVAE, divergence, negative_evidence

Needs = Callable[[str], ModuleType]
RNG = np.random.default_rng(0)
MEAN, LOG_VAR = RNG.standard_normal((3, 4)), RNG.uniform(-2.0, 1.0, (3, 4))


def test_the_divergence_is_torchs(needs: Needs) -> None:
    torch = needs("torch")
    normal = torch.distributions.Normal
    q = normal(torch.tensor(MEAN), torch.tensor(LOG_VAR).div(2).exp())
    p = normal(torch.zeros(3, 4, dtype=torch.float64), 1.0)
    expected = torch.distributions.kl_divergence(q, p).sum(1).numpy()
    np.testing.assert_allclose(divergence(tg.tensor(MEAN), tg.tensor(LOG_VAR)).numpy(), expected, rtol=1e-13)


def test_the_divergence_is_what_sampling_gives() -> None:
    """The mean of log q - log p over samples of q; 5 of its standard errors."""
    sigma = np.exp(LOG_VAR / 2)
    z = MEAN + sigma * np.random.default_rng(1).standard_normal((200_000, 3, 4))
    difference = (z**2 / 2 - ((z - MEAN) / sigma) ** 2 / 2 - np.log(sigma)).sum(2)  # (200000, 3)
    error = difference.std(0) / np.sqrt(len(z))
    found = divergence(tg.tensor(MEAN), tg.tensor(LOG_VAR)).numpy()
    assert (np.abs(found - difference.mean(0)) < 5 * error).all()


def test_a_code_from_the_prior_costs_nothing() -> None:
    assert divergence(tg.zeros(2, 4), tg.zeros(2, 4)).tolist() == [0.0, 0.0]


def test_the_loss_is_summed_over_pixels_and_a_mean_over_pictures(needs: Needs) -> None:
    torch = needs("torch")
    logits, x = RNG.standard_normal((3, 1, 4, 4)), RNG.uniform(0, 1, (3, 1, 4, 4))
    found = negative_evidence(*map(tg.tensor, (logits, x, MEAN, LOG_VAR))).item()
    pixels = torch.nn.functional.binary_cross_entropy(torch.tensor(logits).sigmoid(), torch.tensor(x), reduction="sum")
    kld = -0.5 * torch.sum(1 + torch.tensor(LOG_VAR) - torch.tensor(MEAN) ** 2 - torch.tensor(LOG_VAR).exp())
    assert found == pytest.approx((pixels + kld).item() / 3, rel=1e-12)  # as PyTorch's example has it, an image


@pytest.mark.parametrize("model", [lambda: VAE(8, 16, 3), lambda: ConvVAE(8, 4, 3)], ids=["dense", "convolutional"])
def test_gradients_reach_every_parameter(model: Callable[[], VAE]) -> None:
    tg.manual_seed(0)
    vae, x = model(), tg.rand(5, 1, 8, 8)
    logits, mean, log_var = vae(x)
    assert (logits.shape, mean.shape, log_var.shape) == ((5, 1, 8, 8), (5, 3), (5, 3))
    negative_evidence(logits, x, mean, log_var).backward()
    for name, p in vae.named_parameters():
        assert p.grad is not None
        assert np.abs(p.grad.numpy()).max() > 0, name
    assert vae.decode(tg.zeros(2, 3)).shape == (2, 1, 8, 8)


def test_the_code_is_a_sample() -> None:
    """Many samples of one picture's code have its mean and deviation: seen in a decoder that changes nothing."""
    tg.manual_seed(0)
    vae = VAE(2, 8, 4)
    vae.decode = lambda z: z  # type: ignore[method-assign]
    x = tg.ones(1, 1, 2, 2).expand(20_000, 1, 2, 2)
    z, mean, log_var = (t.detach().numpy() for t in vae(x))
    sigma = np.exp(log_var[0] / 2)
    assert np.abs(z.mean(0) - mean[0]).max() < 5 * sigma.max() / np.sqrt(len(z))
    np.testing.assert_allclose(z.std(0), sigma, rtol=5 / np.sqrt(2 * len(z)))


@pytest.mark.parametrize("model", [VAE, ConvVAE])
def test_mistakes(model: type[VAE]) -> None:
    with pytest.raises(ValueError, match=rf"{model.__name__}: expected pictures of shape \(B, 1, 28, 28\), got \(2, 1"):
        model()(tg.zeros(2, 1, 32, 32))
    with pytest.raises(ValueError, match="ConvVAE: expected a size that is a multiple of 4, got 30"):
        ConvVAE(30)
