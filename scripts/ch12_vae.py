"""Chapter 12: a variational autoencoder learns to draw.

It squeezes every picture into a few numbers and draws it again from them; and since these numbers are kept close to a
normal distribution, numbers drawn from one give pictures that nobody has seen. The networks and the loss, its two terms
derived, are in `models/vae.py`. Beside it torch, from the same weights and on the same batches; the noise is its own.

With the default settings on MNIST this is PyTorch's example, https://github.com/pytorch/examples/tree/main/vae.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import data, optim
from tinygrad_edu.models.vae import VAE, ConvVAE, divergence, negative_evidence
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch
from tinygrad_edu.scripts import ch12_vae_pictures as pictures


@dataclass
class Args:
    """Train a variational autoencoder, and let it draw (chapter 12)."""

    dataset: Literal["digits", "mnist", "fashion-mnist"] = "digits"
    """What to learn from; digits needs no download."""
    model: Literal["vae", "conv-vae"] = "vae"
    """Linear layers, or convolutions."""
    code: int = 20
    """How many numbers a picture is squeezed into; 2 can be drawn as a plane."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    epochs: int | None = None
    """Passes over the training set; 100 for digits, 10 for the others if not given."""
    batch_size: int = 128
    """Samples a step."""
    lr: float = 1e-3
    """Adam's learning rate."""


def main(args: Args, run: Run) -> None:
    """Load, train, compare, draw."""
    if args.code < 2:
        raise ValueError(f"vae: expected --code of at least 2, got {args.code}")
    task = Task(args, run.seed)
    model = VAE(task.size, code=args.code) if args.model == "vae" else ConvVAE(task.size, code=args.code)
    start = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    film = Film(args.code)
    loss = train(run, task, model, film)
    run.result(test_loss_nats=loss, train_seconds=run.train_seconds)
    theirs = None
    if beside_torch.wanted(args.compare):
        theirs = train_torch(task, start)
        run.result(torch_test_loss_nats=theirs[0], torch_train_seconds=theirs[1])
    run.verdict(beside_torch.loss_verdict(loss, "a test image", run.train_seconds, theirs))
    check_divergence(run, task, model)
    draw(run, task, model, film)


class Task:
    """The pictures, levels 0..1 as they are, since the loss takes a level as the probability of white."""

    def __init__(self, args: Args, seed: int) -> None:
        self.dataset, self.seed, self.args = data.load(args.dataset), seed, args
        self.train_x, self.test_x = self.dataset.train[0], self.dataset.test[0]
        self.size = self.test_x.shape[2]
        self.epochs = args.epochs or (100 if args.dataset == "digits" else 10)

    def loader(self) -> data.DataLoader:
        """The training batches, in the order that the seed gives."""
        return data.DataLoader(self.train_x, batch_size=self.args.batch_size, seed=self.seed)


class Film:
    """What the model draws from the same few codes after each epoch; a checkpoint keeps it."""

    def __init__(self, code: int, pictures: int = 64) -> None:
        self.codes = np.random.default_rng(0).standard_normal((pictures, code)).astype(np.float32)
        self.frames: list[np.ndarray] = []  # (pictures, S, S) each

    @tg.no_grad()
    def take(self, model: VAE) -> None:
        """Keep what the model draws now."""
        self.frames.append(model.decode(tg.tensor(self.codes)).sigmoid().numpy()[:, 0])

    def state_dict(self) -> dict[str, Any]:
        """The frames."""
        return {"frames": self.frames}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the frames."""
        self.frames = list(state["frames"])


def train(run: Run, task: Task, model: VAE, film: Film) -> float:
    """Train on our Tensor; returns the test loss in nats an image."""
    loader = task.loader()
    optimizer = optim.Adam(model.parameters(), lr=task.args.lr)
    film.take(model)
    run.track(model=model, optimizer=optimizer, loader=loader, film=film)
    for _ in run.epochs(task.epochs):
        for (x,) in run.batches(loader):
            logits, mean, log_var = model(x)
            loss = negative_evidence(logits, x, mean, log_var)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
        run.log(test_loss=judge(model, task.test_x))
        film.take(model)
    return judge(model, task.test_x)


@tg.no_grad()
def judge(model: VAE, x: np.ndarray) -> float:
    """The negative evidence lower bound in nats an image, over pictures (N, 1, S, S), a sampled code for each."""
    total = 0.0
    for part in (tg.tensor(x[i : i + 500]) for i in range(0, len(x), 500)):
        logits, mean, log_var = model(part)
        total += negative_evidence(logits, part, mean, log_var).item() * len(part)
    return total / len(x)


def train_torch(task: Task, start: dict[str, np.ndarray]) -> tuple[float, float]:
    """The same in torch, from the state `start` and on the same batches: test loss in nats an image, seconds."""
    import torch

    from tinygrad_edu.scripts import torch_models

    torch.manual_seed(task.seed)
    kind = torch_models.VAE if task.args.model == "vae" else torch_models.ConvVAE
    model: Any = torch_models.load(kind(task.size, code=task.args.code), start)
    optimizer = torch.optim.Adam(model.parameters(), lr=task.args.lr)
    loader, begin = task.loader(), time.perf_counter()
    for _ in range(task.epochs):
        for (batch,) in loader:
            x = torch.from_numpy(batch.numpy())
            logits, mean, log_var = model(x)
            loss = torch_models.negative_evidence(logits, x, mean, log_var)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - begin
    total = 0.0
    with torch.no_grad():
        for x in torch.from_numpy(task.test_x).split(500):
            logits, mean, log_var = model(x)
            total += torch_models.negative_evidence(logits, x, mean, log_var).item() * len(x)
    return total / len(task.test_x), seconds


@tg.no_grad()
def check_divergence(run: Run, task: Task, model: VAE, pictures: int = 100, samples: int = 1000) -> None:
    """Hold the formula for KL(q(z | x) ‖ N(0, 1)) against the mean of log q(z) - log p(z) over sampled codes."""
    mean, log_var = model.encode(tg.tensor(task.test_x[:pictures]))
    noise = tg.randn(samples, *mean.shape)  # (samples, pictures, Z)
    z = mean + (0.5 * log_var).exp() * noise
    each = (0.5 * (z * z - noise * noise - log_var)).sum(2).mean(1).numpy()  # (samples,)
    formula, error = divergence(mean, log_var).mean().item(), float(each.std() / np.sqrt(samples))
    run.result(kl_nats=formula, sampled_kl_nats=float(each.mean()))
    run.verdict(
        f"The code of a test image is {formula:.2f} nats away from the normal distribution; "
        f"sampled, without the formula, {each.mean():.2f} ± {error:.2f}."
    )


@tg.no_grad()
def draw(run: Run, task: Task, model: VAE, film: Film) -> None:
    """The pictures of the report."""
    losses = {"training, each step": run.history("loss"), "test, each epoch": run.history("test_loss")}
    run.figure("curves", pictures.losses(losses), "Loss in nats an image: reconstruction and divergence together.")

    x = task.test_x[:12]
    means, log_vars = (t.numpy() for t in model.encode(tg.tensor(task.test_x)))
    drawn = decoded(model, means[:12])
    caption = "Test images (above), and what is drawn from the mean of their codes (below)."
    run.figure("reconstructions", pictures.rows([x[:, 0], drawn]), caption)

    caption = "New images: codes from a normal distribution, decoded, as they became over the training."
    run.figure("training", pictures.film(film.frames), caption)
    run.figure("samples", pictures.rows(film.frames[-1].reshape(4, 16, task.size, task.size)), "The last of them.")

    alone = [tg.tensor(array.reshape(-1, 1)) for array in (means, log_vars)]  # each number as a code of its own
    told = divergence(*alone).numpy().reshape(means.shape).mean(0)  # (Z,) nats
    first, second = np.argsort(-told)[:2]
    grid = np.zeros((15, 15, model.code), np.float32)
    at = pictures.quantiles(15)
    grid[..., first], grid[..., second] = at[None, :], at[:, None]
    plane = decoded(model, grid.reshape(225, -1)).reshape(15, 15, task.size, task.size)
    what = "" if model.code == 2 else f"; two numbers of {model.code}, those that tell the most, the others 0"
    caption = f"The plane of codes{what}. The steps hold equal shares of the normal distribution."
    run.figure("plane", pictures.rows(plane), caption)
    codes, labels, classes = means[:, [first, second]], task.dataset.test[1], task.dataset.classes
    caption = "Where the test images' codes lie in that plane. Nothing told the network what they show."
    run.figure("codes", pictures.scatter(codes, labels, classes), caption)
    one_of_each = [int(np.flatnonzero(labels == kind)[0]) for kind in range(len(classes))]
    steps = np.linspace(0.0, 1.0, 11, dtype=np.float32)[:, None]
    walks = [decoded(model, (1.0 - steps) * means[a] + steps * means[b]) for a, b in pairwise(one_of_each)]
    caption = "From one test image (left) to another (right) in a straight line through the codes."
    run.figure("between", pictures.rows(walks), caption)


def decoded(model: VAE, codes: np.ndarray) -> np.ndarray:
    """Codes (N, Z) -> pictures (N, S, S) in 0..1."""
    return model.decode(tg.tensor(codes)).sigmoid().numpy()[:, 0]
