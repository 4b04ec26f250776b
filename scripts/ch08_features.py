"""Chapter 8: a convolutional network, and what each of its layers makes of a picture.

First the network learns to tell what is on small pictures; then one picture is followed through it: the filters, and
after every layer the feature maps, up to the classes. `--model lenet` and `convnet` are trained as in their sources,
`resnet` with pictures that are shifted and mirrored at random; `--by-hand` is LeNet in plain NumPy with the backward
pass derived by hand. Beside it torch, from the same weights and on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, nn, optim
from tinygrad_edu.models.by_hand import cnn as by_hand
from tinygrad_edu.models.by_hand import mlp as by_hand_mlp
from tinygrad_edu.models.convnet import ConvNet
from tinygrad_edu.models.layer_outputs import layer_outputs
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.resnet import ResNet
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, pictures
from tinygrad_edu.scripts.ch08_pictures import filters, maps, seen
from tinygrad_edu.scripts.one_picture import one_picture

MOMENTUM = 0.9
OURS = SimpleNamespace(LeNet=LeNet, ConvNet=ConvNet, ResNet=ResNet)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: what is not given by a flag."""

    lr: float
    batch_size: int
    epochs: int
    weight_decay: float = 0.0


# LeNet: as in chapter 7. ConvNet: PyTorch's example, Adadelta with a rate that falls by 0.7 after each epoch. ResNet:
# the paper's rate and momentum, but for few pictures and little time: smaller batches, a cosine, more decay.
RECIPES = {
    "lenet": Recipe(lr=0.05, batch_size=64, epochs=10, weight_decay=5e-4),
    "convnet": Recipe(lr=1.0, batch_size=64, epochs=14),
    "resnet": Recipe(lr=0.1, batch_size=64, epochs=15, weight_decay=5e-4),
}


@dataclass
class Args:
    """Train a convolutional network, then see what its layers make of a picture (chapter 8)."""

    dataset: Literal["digits", "mnist", "fashion-mnist", "cifar10"] = "digits"
    """What to learn from; digits needs no download."""
    model: Literal["lenet", "convnet", "resnet"] = "lenet"
    """The network."""
    image: str = "0"
    """The picture to follow: the number of a test picture, `photograph` (scikit-learn's flower), or a file."""
    invert: bool = False
    """Take the picture's negative: for dark ink on white paper, where the digits are white on black."""
    by_hand: bool = False
    """Train the plain NumPy LeNet whose backward pass is derived by hand."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    epochs: int | None = None
    """Passes over the training set; the model's own number if not given, 30 for the few digits."""
    batch_size: int | None = None
    """Samples a step; the model's own number if not given."""
    lr: float | None = None
    """The first learning rate; the model's own if not given."""


def main(args: Args, run: Run) -> None:
    """Load, train, compare, follow one picture."""
    if args.by_hand and args.model != "lenet":
        raise ValueError(f"features: --by-hand is there for --model lenet, got {args.model}")
    task = Task(args, run.seed)
    picture = one_picture(args.image, task.dataset.test[0], args.invert)  # (C, S, S): a wrong name fails at once
    model = new_model(task, OURS)
    start = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    logits = train_by_hand(run, task, model) if args.by_hand else train(run, task, model)
    accuracy, loss = judge(logits, task.test_y)
    run.result(test_accuracy=accuracy, test_loss_nats=loss, train_seconds=run.train_seconds)
    theirs = None
    if beside_torch.wanted(args.compare):
        torch_logits, seconds = train_torch(task, start)
        theirs = judge(torch_logits, task.test_y)[0], seconds
        run.result(torch_test_accuracy=theirs[0], torch_test_loss_nats=judge(torch_logits, task.test_y)[1])
        run.result(torch_train_seconds=seconds)
    run.verdict(beside_torch.verdict(accuracy, len(task.test_y), run.train_seconds, theirs))
    draw(run, task, model, logits, picture)


class Task:
    """The pictures, each channel scaled to mean 0 and deviation 1 (of the training set), and how to learn from them."""

    def __init__(self, args: Args, seed: int) -> None:
        self.dataset, self.seed, self.args = data.load(args.dataset), seed, args
        recipe = RECIPES[args.model]
        (x, self.train_y), (test_x, self.test_y) = self.dataset.train, self.dataset.test
        self.mean = x.mean((0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)  # (1, C, 1, 1)
        self.std = x.std((0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
        self.train_x, self.test_x = self.scaled(x), self.scaled(test_x)
        self.channels, self.size = x.shape[1], x.shape[2]
        self.epochs = args.epochs or (30 if args.dataset == "digits" else recipe.epochs)
        self.lr, self.weight_decay = args.lr or recipe.lr, recipe.weight_decay
        self.batch_size = args.batch_size or recipe.batch_size

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Pictures (N, C, S, S) with levels 0..1, as the network reads them."""
        return (x - self.mean) / self.std

    def loader(self) -> data.DataLoader:
        """The training batches, in the order that the seed gives; colour photographs shifted and mirrored."""
        augment = crop_and_flip if self.args.dataset == "cifar10" else None
        arrays, size = (self.train_x, self.train_y), self.batch_size
        background = augment is not None  # else a second thread costs more than it saves
        return data.DataLoader(*arrays, batch_size=size, seed=self.seed, transform=augment, background=background)

    def optimizer(self, lib: Any, parameters: Any) -> tuple[Any, Any]:
        """The optimizer and the schedule of its rate, stepped with each batch; `lib` is `optim`, ours or torch's."""
        steps = len(self.loader())
        if self.args.model == "convnet":
            optimizer = lib.Adadelta(parameters, lr=self.lr)
            return optimizer, lib.lr_scheduler.StepLR(optimizer, steps, gamma=0.7)
        optimizer = lib.SGD(parameters, lr=self.lr, momentum=MOMENTUM, weight_decay=self.weight_decay)
        return optimizer, lib.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs * steps)


def crop_and_flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The paper's augmentation of CIFAR-10: shifted by up to 4 pixels, and half of them mirrored."""
    return data.random_flip(data.random_crop(x, rng, padding=4), rng)


def new_model(task: Task, models: Any) -> Any:
    """The untrained network for the task's pictures, ours, or torch's if `models` is `torch_models`."""
    classes = len(task.dataset.classes)
    if task.args.model == "resnet":
        return models.ResNet(20, task.channels, classes)
    return (models.LeNet if task.args.model == "lenet" else models.ConvNet)(task.channels, task.size, classes)


def train(run: Run, task: Task, model: nn.Module) -> np.ndarray:
    """Train on our Tensor; returns the logits of the test pictures, (N, classes)."""
    loader = task.loader()
    optimizer, schedule = task.optimizer(optim, model.parameters())
    run.track(model=model, optimizer=optimizer, schedule=schedule, loader=loader)
    for _ in run.epochs(task.epochs):
        model.train()
        for x, y in run.batches(loader):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            run.log(loss=loss)
        accuracy, test_loss = judge(predict(model, task.test_x), task.test_y)
        run.log(test_accuracy=accuracy, test_loss=test_loss)
    return predict(model, task.test_x)


@tg.no_grad()
def predict(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """The logits (N, classes) of scaled pictures."""
    model.eval()
    return in_parts(lambda part: model(tg.tensor(part)).numpy(), x)


def in_parts(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, size: int = 500) -> np.ndarray:
    """function(x), `size` samples at a time: the feature maps of all at once would need gigabytes."""
    return np.concatenate([function(x[i : i + size]) for i in range(0, len(x), size)])


def judge(logits: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The share of right answers, and the mean cross entropy in nats."""
    return float((logits.argmax(1) == y).mean()), by_hand_mlp.softmax_cross_entropy(logits, y)[0]


def train_by_hand(run: Run, task: Task, model: LeNet) -> np.ndarray:
    """The same in plain NumPy, from the weights of `model`, which gets them back trained; the test logits."""
    state = [value.numpy() for value in model.state_dict().values()]  # weight, bias, weight, bias, ...
    network = by_hand.CNN(state[::2], state[1::2], paddings=(int(model.conv1.padding[0]), int(model.conv2.padding[0])))
    loader = task.loader()
    optimizer = by_hand_mlp.SGD(network, MOMENTUM, task.weight_decay)
    run.track(model=network, optimizer=optimizer, loader=loader)
    steps = task.epochs * len(loader)
    for _ in run.epochs(task.epochs):
        for x, y in run.batches(loader):
            loss, g = by_hand_mlp.softmax_cross_entropy(network.forward(x.numpy()), y.numpy())
            rate = task.lr * (1.0 + np.cos(np.pi * (run.step - 1) / steps)) / 2.0
            optimizer.step(network.backward(g), rate)
            run.log(loss=loss)
        accuracy, test_loss = judge(in_parts(network.forward, task.test_x), task.test_y)
        run.log(test_accuracy=accuracy, test_loss=test_loss)
    pairs = [array for pair in zip(network.weights, network.biases, strict=True) for array in pair]
    model.load_state_dict(dict(zip(model.state_dict(), pairs, strict=True)))
    return in_parts(network.forward, task.test_x)


def train_torch(task: Task, start: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """The same in torch, from the state `start` and on the same batches: the logits of the test pictures, seconds."""
    import torch

    from tinygrad_edu.scripts import torch_models

    torch.manual_seed(task.seed)  # of dropout, whose masks are torch's own
    model = torch_models.load(new_model(task, torch_models), start)
    optimizer, schedule = task.optimizer(torch.optim, model.parameters())
    loader, begin = task.loader(), time.perf_counter()
    for _ in range(task.epochs):
        for x, y in loader:
            loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x.numpy())), torch.from_numpy(y.numpy()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - begin
    model.eval()
    with torch.no_grad():
        return torch.cat([model(x) for x in torch.from_numpy(task.test_x).split(500)]).numpy(), seconds


def draw(run: Run, task: Task, model: nn.Module, logits: np.ndarray, picture: np.ndarray) -> None:
    """The pictures of the report."""
    classes = task.dataset.classes
    panels = {
        "training loss, nats": {"loss": run.history("loss")},
        "test accuracy": {"accuracy": run.history("test_accuracy")},
    }
    run.figure(
        "curves", pictures.curves(panels), "Loss of each step, and accuracy on the test images after each epoch."
    )
    matrix = pictures.confusion(task.test_y, logits.argmax(1), classes)
    run.figure("confusion", matrix, "What the test images are (rows) and what the network takes them for (columns).")
    x = task.scaled(picture[None])[0]
    layers = layer_outputs(model, x)
    run.figure(
        "seen", seen(picture, layers[list(layers)[-1]], classes), "The picture, and what the network says of it."
    )
    run.figure("filters", filters(model), "Filters: a convolution answers where the picture looks like one of them.")
    caption = "Every layer's output for the picture: red where a filter found what it looks for, blue for its opposite."
    run.figure("maps", maps(layers), caption)
