"""Chapter 8: a recurrent network with attention tells which class a sentence belongs to, and shows where it looked.

The sentences that come with it ask who acts, the animal or the person. The same characters, even the same words, make
"the dog chased the farmer" and "the farmer chased the dog": all depends on their order, and who ignores it can but
guess. That is what logistic regression on the characters' counts does, beside it; and torch, from the same weights and
on the same batches. Then the attention is drawn, and one sentence followed through the network, which is
`models/rnn_classifier.py`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, optim
from tinygrad_edu.errors import require
from tinygrad_edu.models.rnn_classifier import RNNClassifier
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch, pictures
from tinygrad_edu.scripts import ch08_text_pictures as drawn

PART = 100  # texts that are read at once, outside the training


@dataclass
class Args:
    """Train a recurrent network with attention to classify sentences, and see where it looks (chapter 8)."""

    dataset: str = "who-did-it"
    """The texts: who-did-it, a folder (a sub-folder of .txt files for each class), or a CSV file (text,label)."""
    text: tuple[str, ...] = ()
    """Sentences of yours: classified, and their attention drawn."""
    chat: bool = False
    """At the end read sentences from the terminal, until an empty line."""
    compare: beside_torch.Compare = "auto"
    """Train the same network in torch as well; auto: where torch is installed."""
    epochs: int = 15
    """Passes over the training texts."""
    batch_size: int = 32
    """Texts a step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    longest: int = 1000
    """Of a longer text in a folder or file, so many characters are read."""


def main(args: Args, run: Run) -> None:
    """Load, train, compare, draw."""
    dataset = data.labelled_text(args.dataset, args.longest)
    for text in args.text:
        dataset.encode([text])  # an unknown character is found before the training, not after it
    model = RNNClassifier(len(dataset.vocabulary), len(dataset.classes))
    start = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    logits = train(run, args, dataset, model)
    compare(run, args, dataset, logits, start)
    draw(run, args, dataset, model, logits)


def train(run: Run, args: Args, dataset: data.LabelledText, model: RNNClassifier) -> np.ndarray:
    """Train on our Tensor; returns the logits of the test texts, (N, K)."""
    loader = data.DataLoader(*dataset.train, batch_size=args.batch_size, seed=run.seed)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    run.track(model=model, optimizer=optimizer, loader=loader)
    for _ in run.epochs(args.epochs):
        for x, mask, y in run.batches(loader):
            loss = F.cross_entropy(model(x, mask), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
        accuracy, test_loss = judge(predict(model, dataset), dataset.test[2])
        run.log(test_accuracy=accuracy, test_loss=test_loss)
    return predict(model, dataset)


@tg.no_grad()
def predict(model: RNNClassifier, dataset: data.LabelledText) -> np.ndarray:
    """The logits (N, K) of the test texts."""
    x, mask, _ = dataset.test
    parts = (slice(i, i + PART) for i in range(0, len(x), PART))
    return np.concatenate([model(tg.tensor(x[part]), tg.tensor(mask[part])).numpy() for part in parts])


def judge(logits: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The share of right answers, and the mean cross entropy in nats: (N, K), (N,)."""
    return float((logits.argmax(1) == y).mean()), F.cross_entropy(tg.tensor(logits), tg.tensor(y)).item()


def compare(run: Run, args: Args, dataset: data.LabelledText, logits: np.ndarray, start: dict[str, np.ndarray]) -> None:
    """Note the results, beside those of a bag of characters and, where it is wanted, of torch."""
    y = dataset.test[2]
    (accuracy, loss), bag = judge(logits, y), bag_of_characters(dataset)
    run.result(test_accuracy=accuracy, test_loss_nats=loss, train_seconds=run.train_seconds)
    run.result(sklearn_test_accuracy=bag)
    run.verdict(
        f"{accuracy:.2%} of {len(y)} held-out texts right; logistic regression on their characters' counts, which "
        f"knows no order, {bag:.2%} ({100 * (accuracy - bag):+.2f} points for the network); who always names the "
        f"commonest class, {np.bincount(y).max() / len(y):.2%}."
    )
    if not beside_torch.wanted(args.compare):
        run.verdict("The training was not compared with torch.")
        return
    torch_logits, seconds = train_torch(args, dataset, start, run.seed)
    theirs, torch_loss = judge(torch_logits, y)
    run.result(torch_test_accuracy=theirs, torch_test_loss_nats=torch_loss, torch_train_seconds=seconds)
    run.verdict(
        f"torch, from the same start and on the same batches: {theirs:.2%} (ours {100 * (accuracy - theirs):+.2f} "
        f"points); training took {run.train_seconds / seconds:.2f} times torch's time."
    )


def bag_of_characters(dataset: data.LabelledText) -> float:
    """The test accuracy of logistic regression on how often each character occurs in a text."""
    (x, mask, y), (test_x, test_mask, test_y) = dataset.train, dataset.test
    counts, test_counts = (
        np.stack([np.bincount(row[kept], minlength=len(dataset.vocabulary)) for row, kept in zip(a, m, strict=True)])
        for a, m in ((x, mask), (test_x, test_mask))
    )
    scale = np.maximum(counts.std(0), 1e-9)  # frequent and rare characters alike; one that is always there counts for 0
    model = require("sklearn.linear_model", "viz").LogisticRegression(max_iter=1000)
    return float(model.fit(counts / scale, y).score(test_counts / scale, test_y))


def train_torch(
    args: Args, dataset: data.LabelledText, start: dict[str, np.ndarray], seed: int
) -> tuple[np.ndarray, float]:
    """The same in torch, from the state `start` and on the same batches: the logits of the test texts, seconds."""
    import torch

    from tinygrad_edu.scripts import torch_models

    model: Any = torch_models.RNNClassifier(len(dataset.vocabulary), len(dataset.classes))
    torch_models.load(model, start)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    loader = data.DataLoader(*dataset.train, batch_size=args.batch_size, seed=seed)
    begin = time.perf_counter()
    for _ in range(args.epochs):
        for batch in loader:
            x, mask, y = (torch.from_numpy(t.numpy()) for t in batch)
            loss = torch.nn.functional.cross_entropy(model(x, mask), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # ours logs it
    seconds = time.perf_counter() - begin
    parts = zip(*(torch.from_numpy(array).split(PART) for array in dataset.test[:2]), strict=True)
    with torch.no_grad():
        return torch.cat([model(x, mask) for x, mask in parts]).numpy(), seconds


def draw(run: Run, args: Args, dataset: data.LabelledText, model: RNNClassifier, logits: np.ndarray) -> None:
    """The pictures of the report, and those in the terminal."""
    panels = {
        "training loss, nats": {"loss": run.history("loss")},
        "test accuracy": {"accuracy": run.history("test_accuracy")},
    }
    run.figure("curves", pictures.curves(panels), "Loss of each step, and accuracy on the test texts after each epoch.")
    matrix = pictures.confusion(dataset.test[2], logits.argmax(1), dataset.classes)
    run.figure("confusion", matrix, "The test texts' labels (rows) and what the network says (columns).")
    held_out = drawn.read(model, dataset, some_of_the_test(dataset))
    print(*(drawn.terminal(reading, sys.stdout.isatty()) for reading in held_out), sep="\n\n")
    caption = "Held-out texts, each character as dark as its weight; at the left what the network says, red if wrong."
    run.figure("attention", drawn.attention(held_out), caption)
    yours = drawn.read(model, dataset, dict.fromkeys(args.text))
    for reading in yours:
        print("", drawn.terminal(reading, sys.stdout.isatty()), sep="\n")
    yours += chat(model, dataset) if args.chat else []
    if yours:
        run.figure("yours", drawn.attention(yours), "Your sentences.")
    followed = yours[0] if yours else min(held_out, key=lambda reading: len(reading.text))
    print("", drawn.table(followed), sep="\n")
    caption = (
        f'"{followed.text[: drawn.FOLLOWED]}", followed through the network. A state has read the whole text: a weight '
        "shows where the network reads its answer off, not which characters alone are the reason."
    )
    run.figure("trace", drawn.trace(followed), caption)


def some_of_the_test(dataset: data.LabelledText, pairs: int = 5) -> dict[str, str | None]:
    """Texts from all over the test with their labels, two neighbours each time: in who-did-it, partners."""
    x, mask, y = dataset.test
    first = np.unique(np.linspace(0, len(x) - 2, pairs).astype(int) // 2 * 2)
    return {dataset.decode(x[i], mask[i]): dataset.classes[y[i]] for i in np.stack([first, first + 1], 1).flat}


def chat(model: RNNClassifier, dataset: data.LabelledText) -> list[drawn.Reading]:
    """Draw each line that is typed; one with unknown characters is told, and the next one awaited."""
    print("\nType a sentence; an empty line ends this.")
    readings: list[drawn.Reading] = []
    for line in iter(lambda: sys.stdin.readline().strip(), ""):
        try:
            readings += drawn.read(model, dataset, {line: None})
            print(drawn.terminal(readings[-1], sys.stdout.isatty()))
        except ValueError as error:
            print(error)
    return readings
