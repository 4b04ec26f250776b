"""Chapter 12's generator in plain NumPy: Karpathy's min-char-rnn, its backward pass derived by hand.

The network and its training are in `models/by_hand/rnn.py`: hidden 100, sequences of 25 characters, Adagrad, gradients
clipped to ±5. It has no attention and reads the text in one place only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.models.by_hand.rnn import RNN, MinCharRNN, cross_entropy
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch12_generate_pictures as drawn
from tinygrad_edu.scripts import pictures
from tinygrad_edu.scripts.one_text import in_rows
from tinygrad_edu.scripts.text_pictures import page

HIDDEN, EVERY = 100, 100  # units; steps between two lines of the log


def generate(run: Run, task: Any, samples: Any) -> None:
    """Train on the task's text, write, draw; `samples` takes what it writes meanwhile."""
    model = train(run, task, samples)
    loss = validation_loss(model, task.validation)
    run.result(validation_loss_nats=loss, train_seconds=run.train_seconds)
    run.verdict(f"{loss:.4f} nats a character of unseen text.")
    text = written(model, task, task.args.characters, run.seed)
    print(text)
    smoothed = {"training loss, smoothed, nats a character": {"loss": run.history("loss")}}
    run.figure("curves", pictures.curves(smoothed), "The smoothed loss.")
    told = "\n\n".join(f"--- after {step} steps\n{sample}" for step, sample in samples.texts.items())
    run.figure("samples", page(told), "What it writes while it learns.")
    run.figure("page", page(text), "What it writes at the end.")
    x, y = task.validation[None, :100].T, task.validation[None, 1:101].T  # (T, 1)
    logits, _ = model.forward(x)
    _, g = cross_entropy(logits, y)
    back = {"through the recurrent layer": model.gradient_norms(g)[::-1]}
    caption = "How far back in time the loss at the last character reaches: the length of its gradient in each state."
    run.figure("gradients", drawn.reaches(back), caption)


def train(run: Run, task: Any, samples: Any) -> RNN:
    """min-char-rnn's loop."""
    model = RNN.small(len(task.vocabulary), HIDDEN, np.random.default_rng(run.seed))
    trainer = MinCharRNN(model, task.text)
    run.track(model=model, trainer=trainer, samples=samples)
    steps = max(1, round(task.args.epochs * len(task.text) / trainer.length))
    every = max(1, steps // max(1, task.args.samples))
    for step in run.steps(steps):
        smoothed = next(trainer)
        if step % EVERY == 0 or step == steps:
            run.log(loss=smoothed / trainer.length)
        if step % every == 0 or step == steps:
            with run.paused():
                samples.texts[step] = written(model, task, 200, run.seed)
                print(f"\n--- step {step} of {steps}\n{samples.texts[step]}", flush=True)
    return model


def written(model: RNN, task: Any, characters: int, seed: int) -> str:
    """The task's prompt, and characters that go on from it."""
    drawn_ones = model.sample(task.prompt, characters, np.random.default_rng(seed), task.args.temperature)
    return task.vocabulary.decode([*task.prompt, *drawn_ones])


def validation_loss(model: RNN, text: np.ndarray, length: int = 100) -> float:
    """The mean loss over the validation text, in nats a character, the state kept from piece to piece."""
    total, characters, h = 0.0, 0, None
    for x, y in in_rows(text, length):
        logits, h = model.forward(x.T, h)
        total += cross_entropy(logits, y.T)[0] * y.size
        characters += y.size
    return total / characters
