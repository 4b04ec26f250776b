"""Chapter 12: a transformer learns to write, character by character; and what happens inside one of its blocks.

The network is GPT (`models/gpt.py`) with nanoGPT's settings for a CPU. After the training it writes a page; then a
line of the text is followed through its first block: the report shows every step with the real shapes, and what each
head looks at. Beside it torch, from the same weights and on the same batches.

Source of the settings: A. Karpathy, nanoGPT, https://github.com/karpathy/nanoGPT, README and train.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, nn, optim
from tinygrad_edu.models import writing
from tinygrad_edu.models.gpt import GPT
from tinygrad_edu.models.sampling import check_sampling
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, pictures
from tinygrad_edu.scripts import ch12_transformer_pictures as drawn
from tinygrad_edu.scripts.one_text import first_characters, mean_loss, one_text
from tinygrad_edu.scripts.text_pictures import page as text_page

WEIGHT_DECAY, BETAS, CLIP = 0.1, (0.9, 0.99), 1.0
LAST_RATE = 0.1  # of the first one
EVALUATIONS = 8


@dataclass
class Args:
    """Train a transformer on a text, let it write, and look into one of its blocks (chapter 12)."""

    dataset: str = "python-docs"
    """The text: python-docs (comes with Python), shakespeare, alice, or a file."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    steps: int = 2000
    """Training steps."""
    batch_size: int = 12
    """Pieces of text a step."""
    context: int = 64
    """Characters of a piece: how far back the network sees."""
    layers: int = 4
    """Blocks one after the other."""
    heads: int = 4
    """Heads of attention in a block."""
    width: int = 128
    """Numbers that stand for a character inside."""
    lr: float = 1e-3
    """The learning rate after the warm-up; it falls to a tenth along half a cosine."""
    prompt: str | None = None
    """What the page that it writes begins with; the text's first character if not given."""
    length: int = 500
    """Characters of that page."""
    temperature: float = 0.8
    """Below 1: likelier characters; above 1: bolder ones."""


def main(args: Args, run: Run) -> None:
    """Load, train, compare, write, draw."""
    task = Task(args, run.seed)
    check_sampling(args.temperature, None, None)
    model = GPT(len(task.vocabulary), args.context, args.layers, args.heads, args.width)
    start = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    train(run, task, model)
    loss = validation_loss(model, task)
    run.result(validation_loss_nats=loss, train_seconds=run.train_seconds)
    theirs = None
    if beside_torch.wanted(args.compare):
        theirs = train_torch(task, start)
        run.result(torch_validation_loss_nats=theirs[0], torch_train_seconds=theirs[1])
    run.verdict(beside_torch.loss_verdict(loss, "a character of unseen text", run.train_seconds, theirs))
    page = task.vocabulary.decode(write(model, task.prompt, args, np.random.default_rng(run.seed)))
    print(page)
    report(run, task, model, page)


class Task:
    """The text as numbers, in pieces for training, and how to learn from them."""

    def __init__(self, args: Args, seed: int) -> None:
        if args.steps < 1:
            raise ValueError(f"transformer: expected --steps of at least 1, got {args.steps}")
        dataset = one_text(args.dataset)
        self.args, self.vocabulary, self.validation = args, data.Vocabulary(dataset.classes), dataset.test[0]
        self.prompt = first_characters(args.prompt, dataset)
        self.windows = data.Windows(dataset.train[0], batch_size=args.batch_size, length=args.context, seed=seed)

    def optimizer(self, lib: Any, model: Any) -> tuple[Any, Any]:
        """AdamW, where matrices decay, and the schedule of its rate; `lib` is `optim`, ours or torch's."""
        matrices = [p for p in model.parameters() if p.ndim >= 2]
        others = [p for p in model.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        optimizer = lib.AdamW(groups, lr=self.args.lr, betas=BETAS)
        return optimizer, lib.lr_scheduler.LambdaLR(optimizer, self.rate)

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step, counted from 0: up in a straight line, then down a cosine."""
        warm_up = min(100, self.args.steps // 10)
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        done = min(1.0, (step - warm_up) / (self.args.steps - warm_up))
        return LAST_RATE + (1.0 - LAST_RATE) * (1.0 + cos(pi * done)) / 2.0


def train(run: Run, task: Task, model: GPT) -> None:
    """Train on our Tensor."""
    optimizer, schedule = task.optimizer(optim, model)
    run.track(model=model, optimizer=optimizer, schedule=schedule)
    every = max(1, task.args.steps // EVALUATIONS)
    for step in run.steps(task.args.steps):
        x, y = (tg.from_numpy(array) for array in task.windows(step))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        run.log(loss=loss)
        if step % every == 0:
            with run.paused():
                run.log(validation_loss=validation_loss(model, task))


@tg.no_grad()
def validation_loss(model: GPT, task: Task) -> float:
    """The mean loss over the whole validation text, in nats a character."""

    def loss(x: np.ndarray, y: np.ndarray) -> float:
        return F.cross_entropy(model(tg.tensor(x)).flatten(0, 1), tg.tensor(y).flatten()).item()

    return mean_loss(loss, task.validation, task.args.context)


def train_torch(task: Task, start: dict[str, np.ndarray]) -> tuple[float, float]:
    """The same in torch, from the state `start` and on the same batches: validation loss, seconds."""
    import torch

    from tinygrad_edu.bench.peers import torch_gpt
    from tinygrad_edu.scripts import torch_models

    args, cross_entropy = task.args, torch.nn.functional.cross_entropy
    model = torch_gpt(torch, len(task.vocabulary), args.context, args.layers, args.heads, args.width)
    torch_models.load(model, start)
    optimizer, schedule = task.optimizer(torch.optim, model)
    begin = time.perf_counter()
    for step in range(1, args.steps + 1):
        x, y = (torch.from_numpy(array) for array in task.windows(step))
        loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        loss.item()  # ours logs it
    seconds = time.perf_counter() - begin

    def judge(x: np.ndarray, y: np.ndarray) -> float:
        return cross_entropy(model(torch.from_numpy(x)).flatten(0, 1), torch.from_numpy(y).flatten()).item()

    with torch.no_grad():
        return mean_loss(judge, task.validation, args.context), seconds


def write(model: GPT, prompt: np.ndarray, args: Args, rng: np.random.Generator) -> list[int]:
    """`prompt` and `args.length` characters that go on from it, each drawn from what the model expects there."""
    going_on = writing.write(model, prompt, args.length, rng, length=args.context, temperature=args.temperature)
    return [*prompt.tolist(), *(token for token, _ in going_on)]


def report(run: Run, task: Task, model: GPT, page: str) -> None:
    """The pictures."""
    panels = {
        "training loss, nats a character": {"loss": run.history("loss")},
        "validation loss, nats a character": {"loss": run.history("validation_loss")},
    }
    run.figure("curves", pictures.curves(panels), "Loss of each step, and on the text that it does not learn from.")
    run.figure("page", text_page(page), "What it writes.")
    look = drawn.Look(model, task.validation[: min(task.args.context, 32)])
    caption = "One line of text on its way through the first block, with the shapes that it really has, top to bottom."
    run.figure("block", drawn.block(look, task.vocabulary.characters), caption)
    caption = "What attention looks at: row by row, how each character weighs those up to itself."
    run.figure("attention", drawn.attention(look, task.vocabulary.characters), caption)
