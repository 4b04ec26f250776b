"""Chapter 12's end: a recurrent network with attention learns to write like a text, character by character.

Characters become whole numbers; the network (`models/char_rnn.py`) learns to expect the next one, and reads the text in
many places at once, keeping its state from piece to piece while gradients end at a piece's start (truncated
backpropagation through time). As it learns it writes samples; at the end it goes on from a text of yours, one character
at a time. The report shows what it looked back at, and how far back in time a loss reaches. `--by-hand` is the same in
plain NumPy, without attention: min-char-rnn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, nn, optim, state
from tinygrad_edu.models import writing
from tinygrad_edu.models.char_rnn import CharRNN, shortened
from tinygrad_edu.models.sampling import check_sampling
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, ch12_generate_by_hand, pictures
from tinygrad_edu.scripts import ch12_generate_pictures as drawn
from tinygrad_edu.scripts.one_text import first_characters, in_rows, one_text
from tinygrad_edu.scripts.text_pictures import page as text_page

CLIP = 1.0  # of the gradients' common norm


@dataclass
class Args:
    """Train a recurrent network with attention on a text, and let it write (chapter 12)."""

    dataset: str = "python-docs"
    """The text: python-docs (comes with Python), shakespeare, alice, or a file."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    by_hand: bool = False
    """Train Karpathy's min-char-rnn instead, in plain NumPy, its backward pass derived by hand."""
    cell: Literal["gru", "lstm"] = "gru"
    """The recurrent layer."""
    width: int = 256
    """Numbers in its state."""
    dropout: float = 0.2
    """The share of numbers that a training step leaves out."""
    epochs: float = 4.0
    """Passes over the text; part of one will do."""
    batch_size: int = 50
    """Places of the text that are read at once."""
    length: int = 100
    """Characters between two steps: so far back gradients and attention reach."""
    lr: float = 4e-3
    """Adam's first learning rate; it falls to a twentieth along half a cosine."""
    samples: int = 8
    """How many times it writes a sample while it learns."""
    weights: Path | None = None
    """Do not train: take the weights of the file model.safetensors that an earlier run left in its folder."""
    prompt: str | None = None
    """The text to go on from; the data set's first character if not given."""
    characters: int = 600
    """How many to write."""
    temperature: float = 0.8
    """Below 1: likelier characters; above 1: bolder ones."""
    top_k: int | None = None
    """Draw from the k likeliest only."""
    top_p: float | None = None
    """Draw from the fewest only that have this probability together."""
    look: int = -1
    """The place in what it wrote, negative from the end, whose look back is drawn."""
    chat: bool = False
    """At the end read texts from the terminal and go on from each, until an empty line."""


def main(args: Args, run: Run) -> None:
    """Load, train, compare, write, draw."""
    check_sampling(args.temperature, args.top_k, args.top_p)
    task = Task(args)
    if args.by_hand:
        ch12_generate_by_hand.generate(run, task, Samples())
        return
    if args.weights is not None:
        model = load(args.weights, task.vocabulary)
        samples = Samples()
        run.result(validation_loss_nats=validation_loss(model, task))
    else:
        model = CharRNN(len(task.vocabulary), args.width, args.cell, args.dropout)
        start = {key: value.numpy().copy() for key, value in model.state_dict().items()}
        samples = train(run, task, model)
        save(run.out / "model.safetensors", model, task.vocabulary)
        compare(run, task, model, start)
    written = write(model, task, task.prompt, args.characters, np.random.default_rng(run.seed))
    page = task.vocabulary.decode(task.prompt) + "".join(written)
    print(page)
    report(run, task, model, samples, page)
    if args.chat:
        chat(model, task, np.random.default_rng(run.seed))


class Task:
    """The text as numbers, read from several places at once, and how to learn from it."""

    def __init__(self, args: Args) -> None:
        dataset = one_text(args.dataset)
        self.args, self.vocabulary, self.text = args, data.Vocabulary(dataset.classes), dataset.train[0]
        self.prompt = first_characters(args.prompt, dataset)
        self.streams = data.Streams(dataset.train[0], batch_size=args.batch_size, length=args.length)
        self.validation = dataset.test[0]
        self.steps = round(args.epochs * len(self.streams))
        if self.steps < 1:
            raise ValueError(f"generate: expected --epochs of at least {1 / len(self.streams):.2g}, got {args.epochs}")

    def optimizer(self, lib: Any, model: Any) -> tuple[Any, Any]:
        """The optimizer and the schedule of its rate; `lib` is `optim`, ours or torch's."""
        optimizer = lib.Adam(model.parameters(), lr=self.args.lr)
        return optimizer, lib.lr_scheduler.CosineAnnealingLR(optimizer, self.steps, eta_min=self.args.lr / 20)


class Memory:
    """The recurrent layer's state between two steps; a checkpoint keeps it."""

    def __init__(self) -> None:
        self.state: Any = None

    def state_dict(self) -> dict[str, Any]:
        """What the recurrent layer gave last: None, one Tensor or two."""
        return {"last": None if self.state is None else self.state[0]}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take it over."""
        last = tree["last"]
        if last is not None:
            last = tuple(tg.tensor(x) for x in last) if isinstance(last, tuple) else tg.tensor(last)
            self.state = last, None


class Samples:
    """What the model wrote while it learned, by the step; a checkpoint keeps it."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}

    def state_dict(self) -> dict[str, Any]:
        """The texts."""
        return {"texts": self.texts}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take over texts."""
        self.texts = dict(tree["texts"])


def train(run: Run, task: Task, model: CharRNN) -> Samples:
    """Train on our Tensor; returns what it wrote meanwhile."""
    optimizer, schedule = task.optimizer(optim, model)
    memory, samples = Memory(), Samples()
    run.track(model=model, optimizer=optimizer, schedule=schedule, memory=memory, samples=samples)
    every = max(1, task.steps // max(1, task.args.samples))
    for step in run.steps(task.steps):
        x, y = (tg.from_numpy(array) for array in task.streams(step))
        logits, after = model(x, memory.state if task.streams.place(step) else None)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        memory.state = shortened(after, 0)
        run.log(loss=loss)
        if step % every == 0 or step == task.steps:
            with run.paused():
                run.log(validation_loss=validation_loss(model, task))
                sample = "".join(write(model, task, task.prompt, 200, np.random.default_rng(run.seed)))
                samples.texts[step] = sample
                print(f"\n--- step {step} of {task.steps}\n{sample}", flush=True)
    return samples


@tg.no_grad()
def validation_loss(model: CharRNN, task: Task) -> float:
    """The mean loss in nats a character over the validation text, read as in the training, without dropout."""
    model.eval()
    total, characters, memory = 0.0, 0, None
    for x, y in in_rows(task.validation, task.args.length):
        logits, memory = model(tg.tensor(x), memory)
        memory = shortened(memory, 0)
        total += F.cross_entropy(logits.flatten(0, 1), tg.tensor(y).flatten()).item() * y.size
        characters += y.size
    model.train()
    return total / characters


def compare(run: Run, task: Task, model: CharRNN, start: dict[str, np.ndarray]) -> None:
    """Note the results, torch's beside ours where it is wanted."""
    loss = validation_loss(model, task)
    run.result(validation_loss_nats=loss, train_seconds=run.train_seconds)
    theirs = None
    if beside_torch.wanted(task.args.compare):
        theirs = train_torch(task, start, run.seed)
        run.result(torch_validation_loss_nats=theirs[0], torch_train_seconds=theirs[1])
    run.verdict(beside_torch.loss_verdict(loss, "a character of unseen text", run.train_seconds, theirs))


def train_torch(task: Task, start: dict[str, np.ndarray], seed: int) -> tuple[float, float]:
    """The same in torch, from the state `start` and on the same pieces: validation loss, seconds."""
    import torch

    from tinygrad_edu.scripts import torch_models

    torch.manual_seed(seed)  # of dropout, whose masks are torch's own
    args, cross_entropy = task.args, torch.nn.functional.cross_entropy
    model = torch_models.load(torch_models.CharRNN(len(task.vocabulary), args.width, args.cell, args.dropout), start)
    optimizer, schedule = task.optimizer(torch.optim, model)
    begin, last = time.perf_counter(), None
    for step in range(1, task.steps + 1):
        x, y = (torch.from_numpy(array) for array in task.streams(step))
        logits, last = model(x, last if task.streams.place(step) else None)
        loss = cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        last = tuple(h.detach() for h in last) if isinstance(last, tuple) else last.detach()
        loss.item()  # ours logs it
    seconds = time.perf_counter() - begin
    model.eval()
    total, characters, last = 0.0, 0, None
    with torch.no_grad():
        for x, y in in_rows(task.validation, args.length):
            logits, last = model(torch.tensor(x), last)
            total += cross_entropy(logits.flatten(0, 1), torch.tensor(y).flatten()).item() * y.size
            characters += y.size
    return total / characters, seconds


def write(model: CharRNN, task: Task, prompt: np.ndarray, characters: int, rng: np.random.Generator) -> Iterator[str]:
    """The characters that go on from `prompt`, one after the other, each drawn from what the model expects there."""
    args, training = task.args, model.training
    sampling = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    for token, _ in writing.write(model, prompt, characters, rng, length=args.length, **sampling):
        yield task.vocabulary.decode([token])
    model.train(training)


def chat(model: CharRNN, task: Task, rng: np.random.Generator) -> None:
    """Go on from each line that is typed; one with unknown characters is told, and the next one awaited."""
    print("\nType the beginning of something; an empty line ends this.")
    for line in iter(lambda: sys.stdin.readline().rstrip("\n"), ""):
        try:
            prompt = task.vocabulary.encode(line)
        except ValueError as error:
            print(error)
            continue
        print(line, end="")
        for character in write(model, task, prompt, task.args.characters, rng):
            print(character, end="", flush=True)
        print()


def save(path: Path, model: CharRNN, vocabulary: data.Vocabulary) -> None:
    """Keep the model in a file that `load` reads."""
    settings = {"width": model.width, "cell": model.cell}
    tree = {"vocabulary": "".join(vocabulary.characters), **settings, "model": dict(model.state_dict())}
    state.save(path, tree)


def load(path: Path, vocabulary: data.Vocabulary) -> CharRNN:
    """The model that `save` kept. ValueError if the file holds none, or one of another vocabulary."""
    if not path.is_file():
        raise ValueError(f"--weights: there is no file {path}")
    tree = state.load(path)
    if not isinstance(tree, dict) or not {"vocabulary", "width", "cell", "model"} <= tree.keys():
        raise ValueError(f"--weights: expected {path} to be a model.safetensors that `generate` left")
    known, wanted = set(tree["vocabulary"]), set(vocabulary.characters)
    if known != wanted:
        raise ValueError(
            f"--weights: expected a model of this text's {len(wanted)} characters, got one of {len(known)} in {path}; "
            f"only one of the two has {''.join(sorted(known ^ wanted))!r}: give the --dataset that it was trained on"
        )
    model = CharRNN(len(known), tree["width"], tree["cell"])
    model.load_state_dict(tree["model"])
    return model


def report(run: Run, task: Task, model: CharRNN, samples: Samples, page: str) -> None:
    """The pictures."""
    model.eval()
    if samples.texts:
        panels = {
            "training loss, nats a character": {"loss": run.history("loss")},
            "validation loss, nats a character": {"loss": run.history("validation_loss")},
        }
        run.figure("curves", pictures.curves(panels), "Loss of each step, and on text that it does not learn from.")
        text = "\n\n".join(f"--- after {step} steps\n{sample}" for step, sample in samples.texts.items())
        run.figure("samples", text_page(text), "What it writes while it learns.")
    run.figure("page", text_page(page), "What it writes at the end.")
    place = task.args.look % len(page)
    tokens = task.vocabulary.encode(page)[max(0, place + 1 - task.args.length) : place + 1]
    if len(tokens) > 1:
        caption = "What it looked back at before it went on: the darker, the more. The box is the last character read."
        run.figure("look", drawn.look_back(model, tokens, task.vocabulary.characters), caption)
    norms = drawn.reach(model, *task.streams(1))
    caption = (
        "How far back in time the loss at the last character reaches: the length of its gradient in the state of each "
        "step before, as a share of the last one's. In the recurrent layer alone it fades; attention is a shortcut."
    )
    run.figure("gradients", drawn.reaches(norms), caption)
