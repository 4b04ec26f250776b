"""Chapter 7: a network that learns to read handwritten digits.

A multi-layer perceptron, trained by gradient descent with momentum while the learning rate falls along a cosine: on our
Tensor, or with `--by-hand` in plain NumPy with the backward pass derived by hand; and beside it torch, from the same
weights and on the same batches. 8 × 8 digits come with scikit-learn; MNIST and Fashion-MNIST are downloaded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, optim
from tinygrad_edu.models.by_hand import mlp as by_hand
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, pictures

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4


@dataclass
class Args:
    """Train a multi-layer perceptron to read handwritten digits (chapter 7)."""

    dataset: Literal["digits", "mnist", "fashion-mnist"] = "digits"
    """What to learn from; digits needs no download."""
    by_hand: bool = False
    """Train the plain NumPy network whose backward pass is derived by hand."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    hidden: tuple[int, ...] = (256, 128)
    """Sizes of the hidden layers."""
    epochs: int | None = None
    """Passes over the training set; 40 for digits, 10 for the others if not given."""
    batch_size: int = 64
    """Samples a step."""
    lr: float = 0.05
    """The first learning rate."""


def main(args: Args, run: Run) -> None:
    """Load, train, compare, draw."""
    task = Task(args, run.seed)
    model = MLP(task.pixels, *args.hidden, len(task.dataset.classes))
    start = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    if args.by_hand:
        arrays = list(start.values())  # weight, bias, weight, bias, ...
        predict, first_layer = train_by_hand(run, task, by_hand.MLP(arrays[::2], arrays[1::2]))
    else:
        predict, first_layer = train(run, task, model)
    predicted = predict(task.test_x)
    accuracy = float((predicted == task.test_y).mean())
    run.result(test_accuracy=accuracy, train_seconds=run.train_seconds)
    theirs = None
    if beside_torch.wanted(args.compare):
        theirs = train_torch(task, start)
        run.result(torch_test_accuracy=theirs[0], torch_train_seconds=theirs[1])
    run.verdict(beside_torch.verdict(accuracy, len(predicted), run.train_seconds, theirs))
    draw(run, task, predicted, first_layer)


class Task:
    """The data, scaled to mean 0 and deviation 1 (of the training set), and the schedule: the same for all networks."""

    def __init__(self, args: Args, seed: int) -> None:
        self.args, self.seed = args, seed
        self.dataset = data.load(args.dataset)
        (x, self.train_y), (self.images, self.test_y) = self.dataset.train, self.dataset.test
        self.train_x, self.test_x = (x - x.mean()) / x.std(), (self.images - x.mean()) / x.std()
        self.pixels = int(np.prod(x.shape[1:]))
        self.epochs = args.epochs or (40 if args.dataset == "digits" else 10)
        self.steps = self.epochs * len(self.loader())

    def loader(self) -> data.DataLoader:
        """The training batches, in the order that the seed gives."""
        return data.DataLoader(self.train_x, self.train_y, batch_size=self.args.batch_size, seed=self.seed)

    def rate(self, step: int) -> float:
        """The learning rate at a step, counted from 0: half a cosine from the first one down to 0."""
        return self.args.lr * (1.0 + cos(pi * step / self.steps)) / 2.0

    def settings(self) -> dict[str, Any]:
        """What the optimizers take, ours and torch's."""
        return {"lr": self.args.lr, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY}


def train(run: Run, task: Task, model: MLP) -> tuple[Any, np.ndarray]:
    """Train on our Tensor; returns the prediction function and the first layer's weights (hidden, pixels)."""
    loader = task.loader()
    optimizer = optim.SGD(model.parameters(), **task.settings())
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, task.steps)
    run.track(model=model, optimizer=optimizer, schedule=schedule, loader=loader)

    @tg.no_grad()
    def predict(x: np.ndarray) -> np.ndarray:
        return model(tg.tensor(x)).argmax(1).numpy()

    for _ in run.epochs(task.epochs):
        for x, y in run.batches(loader):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            run.log(loss=loss)
        run.log(test_accuracy=(predict(task.test_x) == task.test_y).mean())
    return predict, next(model.parameters()).detach().numpy()


def train_by_hand(run: Run, task: Task, model: by_hand.MLP) -> tuple[Any, np.ndarray]:
    """The same in plain NumPy."""
    loader = task.loader()
    optimizer = by_hand.SGD(model, MOMENTUM, WEIGHT_DECAY)
    run.track(model=model, optimizer=optimizer, loader=loader)

    def predict(x: np.ndarray) -> np.ndarray:
        return model.forward(x).argmax(axis=1)

    for _ in run.epochs(task.epochs):
        for x, y in run.batches(loader):
            loss, g = by_hand.softmax_cross_entropy(model.forward(x.numpy()), y.numpy())
            optimizer.step(model.backward(g), task.rate(run.step - 1))
            run.log(loss=loss)
        run.log(test_accuracy=(predict(task.test_x) == task.test_y).mean())
    return predict, model.weights[0]


def train_torch(task: Task, start: dict[str, np.ndarray]) -> tuple[float, float]:
    """The same in torch, from the state `start` and on the same batches: test accuracy, seconds."""
    import torch

    from tinygrad_edu.scripts import torch_models

    sizes = (task.pixels, *task.args.hidden, len(task.dataset.classes))
    model = torch_models.load(torch_models.MLP(*sizes), start)
    optimizer = torch.optim.SGD(model.parameters(), **task.settings())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.steps)
    loader = task.loader()
    begin = time.perf_counter()
    for _ in range(task.epochs):
        for x, y in loader:
            loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x.numpy())), torch.from_numpy(y.numpy()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        predicted = model(torch.from_numpy(task.test_x)).argmax(1).numpy()
    return float((predicted == task.test_y).mean()), seconds


def draw(run: Run, task: Task, predicted: np.ndarray, first_layer: np.ndarray) -> None:
    """The pictures of the report."""
    classes, images = task.dataset.classes, task.images
    panels = {
        "training loss, nats": {"loss": run.history("loss")},
        "test accuracy": {"accuracy": run.history("test_accuracy")},
    }
    run.figure(
        "curves", pictures.curves(panels), "Loss of each step, and accuracy on the test images after each epoch."
    )
    matrix = pictures.confusion(task.test_y, predicted, classes)
    run.figure("confusion", matrix, "What the test images are (rows) and what the network takes them for (columns).")
    wrong = np.flatnonzero(predicted != task.test_y)[:30]
    if len(wrong):
        titles = [f"{classes[task.test_y[i]]} read as {classes[predicted[i]]}" for i in wrong]
        columns = 10 if max(map(len, classes)) < 3 else 6
        run.figure(
            "wrong",
            pictures.image_grid(images[wrong, 0], titles, columns),
            "Test images that it gets wrong (the first 30).",
        )
    weights = first_layer[:40].reshape(-1, *images.shape[-2:])
    run.figure(
        "weights",
        pictures.image_grid(weights, cmap="RdBu_r"),
        "Weights of the first hidden units as pictures: red pixels excite a unit, blue ones hold it back.",
    )
