"""Chapter 7: two moons, a network between them, and the line that it draws.

The demo of micrograd, number for number: 100 points of two interleaved half circles, a network 2-16-16-1 with ReLU, the
loss of a maximal margin, full batches, 100 steps. With `--model perceptron` the hidden layers are left out: one linear
unit, whose boundary is a straight line whatever it learns.

    score s = W₃ relu(W₂ relu(W₁ x + b₁) + b₂) + b₃        perceptron: s = w x + b
    loss    = mean over the points of max(0, 1 - y s)  +  α Σ p²  over all parameters p, biases too

The perceptron has the same data, loss and rate, so that the hidden layers are all that differs. Rosenblatt's own rule
(w += y x for a point on the wrong side) is the descent on max(0, -y s), the same without the margin of 1: it comes to
rest only where a line separates the classes, and here none does. So the margin is kept.

micrograd seeds with 1337. Here 1337 + `--seed` is the seed, of the points and of the weights: 0, the default, is the
demo, another number another sample and another start.

Sources: A. Karpathy, micrograd, demo.ipynb (github.com/karpathy/micrograd); F. Rosenblatt, "The perceptron",
Psychological Review 65, 1958; the margin loss: C. Cortes and V. Vapnik, "Support-vector networks", 1995.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import Tensor, optim
from tinygrad_edu.errors import require
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 1337  # micrograd's
SIZES = {"mlp": (2, 16, 16, 1), "perceptron": (2, 1)}
ALPHA = 1e-4  # weight of Σ p² in the loss
MICROGRAD = (0.8958441028683222, 0.010978370135492717)  # its first loss and its last
FRAMES = 25  # of the animation, besides the start


@dataclass
class Args:
    """Separate two moons, as micrograd's demo does (chapter 7)."""

    model: Literal["mlp", "perceptron"] = "mlp"
    """Two hidden layers of 16 units, or none: the single linear unit."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    steps: int = 100
    """Steps of gradient descent, each on all points; the rate falls from 1 to 0.1 over them."""


def main(args: Args, run: Run) -> None:
    """Sample, train, compare, draw."""
    if args.steps < 1:
        raise ValueError(f"moons: expected --steps of at least 1, got {args.steps}")
    x, y = moons(SEED + run.seed)
    start = weights(SIZES[args.model], SEED + run.seed)
    model = network(start)
    film = Film(args.steps)
    train(args, run, model, film, tg.tensor(x), tg.tensor(y))
    film.take(args.steps, model)
    losses: Any = run.history("loss")[1]  # all are finite, else the run would have ended there
    accuracies: Any = run.history("accuracy")[1]
    run.result(first_loss=losses[0], last_loss=losses[-1])
    run.result(train_accuracy=accuracies[-1], train_seconds=run.train_seconds)
    run.verdict(
        f"{accuracies[-1]:.0%} of {len(y)} points on their side at the last of {args.steps} steps; "
        f"the loss fell from {losses[0]:.4f} to {losses[-1]:.4f} in {run.train_seconds:.2f} s."
    )
    if (args.model, args.steps, run.seed) == ("mlp", 100, 0):
        apart = max(abs(losses[0] - MICROGRAD[0]), abs(losses[-1] - MICROGRAD[1]))
        run.verdict(
            f"micrograd's demo, which takes about four minutes: from {MICROGRAD[0]} to {MICROGRAD[1]}; "
            f"ours from {losses[0]} to {losses[-1]}, at most {apart:.1g} apart."
        )
    if beside_torch.wanted(args.compare):
        compare(args, run, start, x, y, losses)
    else:
        run.verdict("Not compared with torch.")
    draw(args, run, film, x, y)


def moons(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """100 points (100, 2) and their classes -1 and 1 (100,), float64; `seed` as `np.random.seed` would take it."""
    datasets = require("sklearn.datasets", "viz")
    x, y = datasets.make_moons(n_samples=100, noise=0.1, random_state=seed)
    return x, y * 2.0 - 1.0


def weights(sizes: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Weight (out, in), bias (out,), weight, bias, ..., in float64: biases 0, weights uniform in -1 to 1.

    Drawn as micrograd draws them after `random.seed(seed)`: layer by layer, neuron by neuron, input by input.
    """
    draws = random.Random(seed)
    arrays = []
    for n_in, n_out in pairwise(sizes):
        arrays.append(np.array([[draws.uniform(-1, 1) for _ in range(n_in)] for _ in range(n_out)]))
        arrays.append(np.zeros(n_out))
    return arrays


def network(arrays: list[np.ndarray]) -> MLP:
    """The network with these weights and biases, in float64."""
    model = MLP(arrays[0].shape[1], *(len(bias) for bias in arrays[1::2])).double()
    with tg.no_grad():
        for p, array in zip(model.parameters(), arrays, strict=True):
            p.copy_(tg.tensor(array))
    return model


def rate(k: int, steps: int) -> float:
    """The learning rate at step k, counted from 0."""
    return 1.0 - 0.9 * k / steps


def train(args: Args, run: Run, model: MLP, film: Film, x: Tensor, y: Tensor) -> None:
    """Train on our Tensor; what is logged is from before each step's update, as in micrograd."""
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    run.track(model=model, optimizer=optimizer, film=film)
    for step in run.steps(args.steps):
        film.take(step - 1, model)
        scores = model(x).squeeze(1)  # (100,)
        margin = (1.0 - y * scores).relu().mean()
        decay = sum((p * p).sum() for p in model.parameters())
        loss = margin + ALPHA * decay
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate(step - 1, args.steps)
        optimizer.step()
        run.log(loss=loss, accuracy=((scores > 0.0) == (y > 0.0)).double().mean())


def train_torch(args: Args, start: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[list[float], float, float]:
    """The same in torch, from the same weights: the loss of each step, the last accuracy, seconds."""
    import torch

    layers: list[Any] = []
    for weight in start[::2]:
        layers += [torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for p, array in zip(model.parameters(), start, strict=True):
            p.copy_(torch.from_numpy(array))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    inputs, classes = torch.from_numpy(x), torch.from_numpy(y)
    losses, accuracy = [], 0.0
    begin = time.perf_counter()
    for k in range(args.steps):
        scores = model(inputs).squeeze(1)
        margin = (1.0 - classes * scores).relu().mean()
        loss = margin + ALPHA * sum((p * p).sum() for p in model.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate(k, args.steps)
        optimizer.step()
        losses.append(loss.item())
        accuracy = ((scores > 0.0) == (classes > 0.0)).double().mean().item()
    return losses, accuracy, time.perf_counter() - begin


def compare(
    args: Args, run: Run, start: list[np.ndarray], x: np.ndarray, y: np.ndarray, losses: Sequence[float]
) -> None:
    """Say how torch's losses, accuracy and seconds stand beside ours; `losses` are ours, a step each."""
    theirs, accuracy, seconds = train_torch(args, start, x, y)
    run.result(torch_first_loss=theirs[0], torch_last_loss=theirs[-1])
    run.result(torch_train_accuracy=accuracy, torch_train_seconds=seconds)
    apart = max(abs(a - b) for a, b in zip(losses, theirs, strict=True))
    run.verdict(
        f"torch from the same start: {accuracy:.0%}, and no step's loss is more than {apart:.1g} from ours; "
        f"training took {run.train_seconds / seconds:.2f} times torch's time."
    )


class Film:
    """The network as it was at some of the steps; a checkpoint keeps it, so that a resumed run shows its beginning."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.frames: list[tuple[int, list[np.ndarray]]] = []  # updates made until then, weights and biases

    def take(self, updates: int, model: MLP) -> None:
        """Keep the model, if a frame is due after so many updates."""
        if updates % max(1, self.steps // FRAMES) == 0 or updates == self.steps:
            self.frames.append((updates, [p.detach().numpy().copy() for p in model.parameters()]))

    def state_dict(self) -> dict[str, Any]:
        """The frames."""
        return {"frames": self.frames}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the frames."""
        self.frames = list(state["frames"])


def draw(args: Args, run: Run, film: Film, x: np.ndarray, y: np.ndarray) -> None:
    """The pictures of the report."""
    frames = [boundary(network(arrays), x, y, f"after {updates} steps") for updates, arrays in film.frames]
    run.figure("boundary", pictures.animation(frames), "The decision boundary as it forms.")
    run.figure(
        "end",
        frames[-1],
        "The end. Black: score 0, the boundary. Where the colour no longer changes, the score is beyond 1 or -1: "
        "outside the margin, where a point costs nothing on its own side.",
    )
    panels = {"training loss": {"loss": run.history("loss")}, "accuracy": {"accuracy": run.history("accuracy")}}
    run.figure("curves", pictures.curves(panels), "Loss and accuracy on all points, before each step's update.")
    sizes, what = ((2, 2, 1), "a network of two hidden units") if args.model == "mlp" else ((2, 1), "the perceptron")
    run.figure(
        "graph",
        graph(weights(sizes, SEED + run.seed), x, y),
        f"The graph of a small loss: what one point, x with class y, costs in {what} before the first step. The arrows "
        "go forward, from point and parameters to the loss; the gradients (grad) were found on the way back.",
    )


def graph(start: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> str:
    """The graph, an SVG document, of the loss of the one point that costs most in the network with weights `start`."""
    model = network(start)
    with tg.no_grad():
        worst = int((1.0 - tg.tensor(y) * model(tg.tensor(x)).squeeze(1)).argmax())
    point = tg.tensor(x[worst : worst + 1], requires_grad=True)  # (1, 2); its gradient is shown too
    target = tg.tensor(y[worst : worst + 1])  # (1,)
    score = model(point).squeeze(1)  # (1,)
    loss = (1.0 - target * score).relu().sum()
    score.retain_grad()
    loss.backward(retain_graph=True)  # the graph is wanted for the drawing
    return tg.draw(loss, {**dict(model.named_parameters()), "x": point, "y": target, "score": score, "loss": loss})


@tg.no_grad()
def boundary(model: MLP, x: np.ndarray, y: np.ndarray, title: str) -> Figure:
    """The points over the model's scores: red for class -1, blue for class 1."""
    low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    columns, rows = (np.linspace(low[i], high[i], 100) for i in (0, 1))
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)  # (100, 100, 2)
    scores = model(tg.tensor(grid.reshape(-1, 2))).numpy().reshape(grid.shape[:2])
    figure = pictures.new_figure(5.0, 4.0)
    ax = figure.subplots()
    extent = (low[0], high[0], low[1], high[1])
    within = np.clip(scores, -1.0, 1.0)  # the margin; in half of the colours, so that the points stand out
    ax.imshow(within, cmap="RdBu", vmin=-2.0, vmax=2.0, origin="lower", extent=extent, aspect="auto")
    if scores.min() < 0.0 < scores.max():
        ax.contour(columns, rows, scores, levels=[0.0], colors="black")
    ax.scatter(x[:, 0], x[:, 1], c=y, cmap="RdBu", edgecolors="black", s=25)
    ax.set(title=title, xlabel="x₁", ylabel="x₂")
    return figure
