"""Chapter 7: the same network in torch and here, line by line, number by number.

Both begin with the same weights and see the same batches, step for step in turn, so that loss, accuracy, time and every
gradient can be laid side by side. What differs is rounding: float32 keeps 7 digits, and the two libraries add the same
numbers up in another order. Each step makes that a little larger, since it begins where the rounded step before ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data
from tinygrad_edu.errors import require
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch07_compare_pictures as pictures

SETTINGS: dict[str, Any] = {"momentum": 0.9, "weight_decay": 1e-4}  # of the optimizers, beside the rate
Gradients = dict[str, np.ndarray]  # by the parameter's name


@dataclass
class Args:
    """Train the same network in torch and here, and compare everything (chapter 7)."""

    dataset: Literal["digits", "mnist", "fashion-mnist"] = "digits"
    """What to learn from; digits needs no download."""
    model: Literal["mlp", "lenet"] = "mlp"
    """A multi-layer perceptron, or a convolutional network."""
    hidden: tuple[int, ...] = (256, 128)
    """Sizes of the perceptron's hidden layers."""
    epochs: int | None = None
    """Passes over the training set; 20 for digits, 3 for the others if not given."""
    batch_size: int = 64
    """Samples a step."""
    lr: float = 0.02
    """The learning rate."""


def step_here(model: Any, optimizer: Any, x: Any, y: Any) -> float:
    """One training step on our Tensor; the loss before it, in nats."""
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def step_in_torch(model: Any, optimizer: Any, x: Any, y: Any) -> float:
    """The same in torch."""
    import torch.nn.functional as F

    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


class Side:
    """A library with its model, its optimizer, and its way from NumPy arrays to tensors and back."""

    def __init__(self, model: Any, step: Callable[..., float], lib: Any, tensor: Callable[[Any], Any], lr: float):
        self.model, self._step, self.tensor = model, step, tensor
        self.cross_entropy = lib.nn.functional.cross_entropy
        self.optimizer = lib.optim.SGD(model.parameters(), lr=lr, **SETTINGS)

    def step(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """One training step: the loss before it, and milliseconds."""
        begin = time.perf_counter()
        loss = self._step(self.model, self.optimizer, self.tensor(x), self.tensor(y))
        return loss, 1e3 * (time.perf_counter() - begin)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        """The gradient of every parameter for one batch; nothing is trained."""
        self.optimizer.zero_grad()
        self.cross_entropy(self.model(self.tensor(x)), self.tensor(y)).backward()
        return {name: p.grad.numpy() for name, p in self.model.named_parameters()}

    def logits(self, x: np.ndarray) -> np.ndarray:
        """(N, ...) -> (N, classes), 500 at a time."""
        parts = [self.model(self.tensor(x[i : i + 500])).detach().numpy() for i in range(0, len(x), 500)]
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, Any]:
        """Of model and optimizer."""
        return {"model": dict(self.model.state_dict()), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a `state_dict()`, its arrays those of this library or of NumPy."""

        def convert(tree: Any) -> Any:
            if isinstance(tree, dict):
                return {key: convert(value) for key, value in tree.items()}
            if isinstance(tree, list):
                return [convert(value) for value in tree]
            return self.tensor(tree) if isinstance(tree, np.ndarray) else tree

        self.model.load_state_dict(convert(state["model"]))
        self.optimizer.load_state_dict(convert(state["optimizer"]))


def main(args: Args, run: Run) -> None:
    """Build both, compare gradients, train in turn, compare gradients again, draw."""
    torch = require("torch", "bench")
    from tinygrad_edu.scripts import torch_models

    dataset = data.load(args.dataset)
    (x, y), (test_x, test_y) = dataset.train, dataset.test
    x, test_x = (x - x.mean()) / x.std(), (test_x - x.mean()) / x.std()
    sizes: tuple[int, ...] = (x.shape[1], x.shape[2], len(dataset.classes))
    if args.model == "mlp":
        sizes = (int(np.prod(x.shape[1:])), *args.hidden, len(dataset.classes))
    ours_class, theirs_class = {"mlp": (MLP, torch_models.MLP), "lenet": (LeNet, torch_models.LeNet)}[args.model]
    model: Any = ours_class(*sizes)
    twin = torch_models.load(theirs_class(*sizes), arrays(model))
    ours = Side(model, step_here, tg, tg.from_numpy, args.lr)
    theirs = Side(twin, step_in_torch, torch, torch.from_numpy, args.lr)

    loader = data.DataLoader(x, y, batch_size=args.batch_size, seed=run.seed)
    run.track(ours=ours, theirs=theirs, loader=loader)
    batch = x[: args.batch_size], y[: args.batch_size]
    differences = {"at the start": apart(ours.gradients(*batch), theirs.gradients(*batch))}
    for _ in run.epochs(args.epochs or (20 if args.dataset == "digits" else 3)):
        for bx, by in run.batches(loader):
            sides = {"": ours, "torch_": theirs} if run.step % 2 else {"torch_": theirs, "": ours}  # each first in turn
            found = {name: side.step(bx.numpy(), by.numpy()) for name, side in sides.items()}
            run.log(**{f"{name}loss": loss for name, (loss, _) in found.items()})
            run.log(**{f"{name}milliseconds": ms for name, (_, ms) in found.items()})

    accuracies = {}
    for name, side in (("", ours), ("torch_", theirs)):
        logits = side.logits(test_x)
        accuracies[name] = float((logits.argmax(1) == test_y).mean())
        loss = F.cross_entropy(tg.from_numpy(logits), tg.from_numpy(test_y)).item()
        seconds = sum(ms or 0.0 for ms in run.history(f"{name}milliseconds")[1]) / 1e3
        run.result(**{f"{name}test_accuracy": accuracies[name], f"{name}test_loss_nats": loss})
        run.result(**{f"{name}train_seconds": seconds})
    weights = apart(arrays(model), arrays(twin))
    torch_models.load(twin, arrays(model))
    differences["at the end, both with our weights"] = apart(ours.gradients(*batch), theirs.gradients(*batch))
    report(run, (ours_class, step_here), (theirs_class, step_in_torch), differences, weights, accuracies)


def arrays(model: Any) -> dict[str, np.ndarray]:
    """The parameters by name, ours or torch's, as arrays of their own."""
    return {key: value.numpy().copy() for key, value in model.state_dict().items()}


def apart(ours: Gradients, theirs: Gradients) -> dict[str, float]:
    """The largest difference in each array, as a share of the array's largest number."""
    assert list(ours) == list(theirs)
    return {
        name: float(np.abs(ours[name] - theirs[name]).max() / max(np.abs(theirs[name]).max(), 1e-30)) for name in ours
    }


def report(
    run: Run,
    ours: tuple[Any, ...],
    theirs: tuple[Any, ...],
    differences: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, float],
    accuracies: Mapping[str, float],
) -> None:
    """Figures, verdicts and pictures."""
    largest = max(value for found in differences.values() for value in found.values())
    times = {name: run.history(f"{name}milliseconds")[1] for name in ("", "torch_")}
    ratio = float(np.median(times[""]) / np.median(times["torch_"]))  # type: ignore[arg-type]
    run.result(largest_relative_gradient_difference=largest, largest_relative_weight_difference=max(weights.values()))
    run.verdict(
        f"With the same weights every gradient agrees with torch's to {largest:.0e} of its largest number (a float32 "
        f"keeps 6e-08); after {run.step} steps of their own the weights are {max(weights.values()):.0e} apart."
    )
    run.verdict(
        f"{accuracies['']:.2%} of the test images right, torch {accuracies['torch_']:.2%}; "
        f"the median step took {ratio:.2f} times torch's time."
    )
    run.figure("sources", pictures.side_by_side(ours, theirs), "The network and its training step, here and in torch.")
    lines = {"here": run.history("loss"), "torch": run.history("torch_loss")}
    run.figure("losses", pictures.losses(lines), "Loss of each step, and how far the two are apart.")
    caption = "How far the gradients of the loss are apart, parameter by parameter, as a share of their largest number."
    run.figure("gradients", pictures.gradients(differences), caption)
    run.figure("times", pictures.times({"here": times[""], "torch": times["torch_"]}), "Milliseconds a training step.")
