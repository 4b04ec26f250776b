"""The nine training steps that speed is measured on, each written once: the same lines run with us and with torch.

`lib` is `tinygrad_edu` or `torch`, whose names agree. A `Workload` is a model, fixed random data, a loss and an
optimizer; `Trainer` puts them together in one library, and its `step` is what is timed: forward, loss, backward,
update. All candidates begin with the same weights, those that our own layers begin with.

In the shapes B is the batch, T the time, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional
import tinygrad_edu.optim  # tg.nn and tg.optim, like torch.nn and torch.optim
from tinygrad_edu.bench import peers

Arrays = tuple[np.ndarray, ...]
Random = np.random.Generator


class Workload(NamedTuple):
    """One training step: `model(lib)`, `data(rng)`, `loss(lib, model, *data)`, and an optimizer's name and rate."""

    model: Callable[[Any], Any]
    data: Callable[[Random], Arrays]
    loss: Callable[..., Any]
    optimizer: str = "Adam"
    lr: float = 1e-3


class Trainer:
    """A workload in one library (ours on the backend that is in use), ready to make steps.

    Floats, of data and of weights, are of `dtype`: float32 as measured, or float64 for tests.
    """

    def __init__(self, lib: Any, workload: Workload, dtype: Any = np.float32) -> None:
        self.lib, self.loss = lib, workload.loss
        self.model = workload.model(lib)
        if dtype == np.float64:
            self.model.double()
        self.model.load_state_dict({key: lib.from_numpy(value) for key, value in weights(workload).items()})
        self.data = [lib.from_numpy(_as(dtype, a)) for a in workload.data(np.random.default_rng(0))]
        self.update = getattr(lib.optim, workload.optimizer)(self.model.parameters(), lr=workload.lr)

    def step(self) -> Any:
        """One training step; gives the loss."""
        loss = self.loss(self.lib, self.model, *self.data)
        self.update.zero_grad()
        loss.backward()
        self.update.step()
        return loss


def weights(workload: Workload) -> dict[str, np.ndarray]:
    """The weights that every candidate begins with, float32."""
    with tg.use_backend("numpy"):
        tg.manual_seed(0)
        return {key: value.numpy() for key, value in workload.model(tg).state_dict().items()}


def _as(dtype: Any, a: np.ndarray) -> np.ndarray:
    return a.astype(dtype) if a.dtype.kind == "f" else a


# Perceptrons and a convolutional network, which tell classes apart.


def mlp(*sizes: int) -> Callable[[Any], Any]:
    """Linear layers with a ReLU between each two."""

    def model(lib: Any) -> Any:
        layers: list[Any] = []
        for n_in, n_out in pairwise(sizes):
            layers += [lib.nn.Linear(n_in, n_out), lib.nn.ReLU()]
        return lib.nn.Sequential(*layers[:-1])

    return model


def cnn(lib: Any) -> Any:
    """Two convolutions with pooling, then two linear layers: (B, 1, 28, 28) -> (B, 10)."""
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),  # (B, 16, 13, 13)
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),  # (B, 32, 5, 5)
        *(nn.Flatten(), nn.Linear(800, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def labelled(shape: tuple[int, ...], classes: int) -> Callable[[Random], Arrays]:
    """Normal inputs of a shape (B, ...), and classes (B,)."""
    return lambda rng: (rng.standard_normal(shape), rng.integers(0, classes, shape[0]))


def classification(lib: Any, model: Any, x: Any, y: Any) -> Any:
    """Cross entropy."""
    return lib.nn.functional.cross_entropy(model(x), y)


# Models of text, which say at each place what character comes next.

VOCABULARY = 65


def characters(kind: str) -> Callable[[Any], Any]:
    """Embedding, recurrent network ("RNN" or "LSTM"), linear layer: (B, T) -> (B, T, V)."""

    def model(lib: Any) -> Any:
        class Characters(lib.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = lib.nn.Embedding(VOCABULARY, 64)
                self.recurrent = getattr(lib.nn, kind)(64, 256, batch_first=True)
                self.head = lib.nn.Linear(256, VOCABULARY)

            def forward(self, tokens: Any) -> Any:
                out, _ = self.recurrent(self.embedding(tokens))
                return self.head(out)

        return Characters()

    return model


def gpt(lib: Any) -> Any:
    """nanoGPT's setting for CPUs: ours, or the same in torch."""
    if lib is not tg:
        return peers.torch_gpt(lib)
    from tinygrad_edu.models.gpt import GPT

    return GPT(vocabulary=VOCABULARY, context=64, layers=4, heads=4, width=128)


def text(batch: int, time: int) -> Callable[[Random], Arrays]:
    """Characters, and those that come next: (B, T) each."""
    return lambda rng: tuple(rng.integers(0, VOCABULARY, (2, batch, time)))


def next_character(lib: Any, model: Any, tokens: Any, targets: Any) -> Any:
    """Cross entropy at every place."""
    logits = model(tokens)
    return lib.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))


# A variational autoencoder.


def vae(lib: Any) -> Any:
    """784-400-(20, 20)-400-784: images and noise -> logits of the images, means and log variances of the code."""
    nn = lib.nn

    class VAE(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.mean, self.log_var = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
            self.decoder, self.image = nn.Linear(20, 400), nn.Linear(400, 784)

        def forward(self, x: Any, noise: Any) -> Any:
            h = lib.relu(self.encoder(x))
            mean, log_var = self.mean(h), self.log_var(h)
            code = mean + lib.exp(0.5 * log_var) * noise
            return self.image(lib.relu(self.decoder(code))), mean, log_var

    return VAE()


def images_and_noise(rng: Random) -> Arrays:
    """(B, 784) between 0 and 1, and (B, 20): the noise is in memory too, so that all candidates have the same."""
    return rng.uniform(0, 1, (128, 784)), rng.standard_normal((128, 20))


def evidence(lib: Any, model: Any, x: Any, noise: Any) -> Any:
    """Binary cross entropy of the pixels, summed, and the divergence of the code from a standard normal one."""
    logits, mean, log_var = model(x, noise)
    image = lib.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return image - 0.5 * lib.sum(1 + log_var - mean * mean - lib.exp(log_var))


# Reinforcement learning.


def episode(rng: Random) -> Arrays:
    """Pong's frames (B, 6400), the actions taken (B, 1), their advantages (B,)."""
    return rng.standard_normal((1024, 6400)), rng.integers(0, 3, (1024, 1)), rng.standard_normal(1024)


def policy_gradient(lib: Any, model: Any, frames: Any, actions: Any, advantages: Any) -> Any:
    """-mean(log π(a) · advantage)."""
    log_pi = lib.nn.functional.log_softmax(model(frames), 1).gather(1, actions).squeeze(1)
    return -(log_pi * advantages).mean()


def transitions(rng: Random) -> Arrays:
    """Observations (B, 4), the actions taken (B, 1), what they turned out to be worth (B,)."""
    return rng.standard_normal((128, 4)), rng.integers(0, 2, (128, 1)), rng.standard_normal(128)


def value_error(lib: Any, model: Any, states: Any, actions: Any, worth: Any) -> Any:
    """Smooth L1 between the chosen actions' values and their worth."""
    return lib.nn.functional.smooth_l1_loss(model(states).gather(1, actions).squeeze(1), worth)


NINE: dict[str, Workload] = {
    "tiny_mlp": Workload(mlp(2, 16, 16, 2), labelled((100, 2), 2), classification, "SGD", 0.1),
    "mlp": Workload(mlp(784, 256, 128, 10), labelled((128, 784), 10), classification),
    "cnn": Workload(cnn, labelled((64, 1, 28, 28), 10), classification),
    "rnn": Workload(characters("RNN"), text(32, 64), next_character),
    "lstm": Workload(characters("LSTM"), text(32, 64), next_character),
    "gpt": Workload(gpt, text(12, 64), next_character, "AdamW"),
    "vae": Workload(vae, images_and_noise, evidence),
    "pong": Workload(mlp(6400, 200, 3), episode, policy_gradient),
    "dqn": Workload(mlp(4, 128, 128, 2), transitions, value_error),
}
