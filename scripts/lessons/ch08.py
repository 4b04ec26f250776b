"""Chapter 8's lessons: a filter that is slid over a picture, and a network that learns its filters.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, zip_longest

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, optim
from tinygrad_edu.models.by_hand.cnn import conv2d, conv2d_loops, max_pool2d, max_pool2d_loops
from tinygrad_edu.models.lenet import LeNet

# Lesson 8.1: a picture whose left half is bright, and a filter that answers where it gets darker to the right.
PICTURE = np.array([[10.0] * 4 + [0.0] * 4] * 6)  # (6, 8)
FILTER = np.array([[1.0, 0.0, -1.0]] * 3)  # (3, 3)
WINDOW = (1, 2)  # row and column of the window that is written out

Results = dict[str, tuple[np.ndarray, np.ndarray]]


def filter_by_hand() -> None:
    """A 2-D convolution and a max-pool: a filter applied to an array by hand.

    The filter finds an upright edge. First one window term by term; then all of them, as loops, as one matrix product
    (both in `models/by_hand/cnn.py`) and on the Tensor.
    """
    (i, j), K = WINDOW, len(FILTER)
    print("The picture x (6, 8), bright on the left, and the filter w (3, 3): its left column less its right one.\n")
    print(side_by_side({"x": PICTURE, "w": FILTER}))
    print(f"\nThe window of x whose corner is in row {i}, column {j} (counted from 0), times w, place by place:\n")
    print(terms(PICTURE[i : i + K, j : j + K], FILTER))
    found = three_ways(PICTURE[None, None], FILTER[None, None])
    print("\nConvolution: such a sum for each of the 4 x 6 places that the filter fits on.\n")
    print(side_by_side({name: convolved[0, 0] for name, (convolved, _) in found.items()}))
    print("\nMax-pool: the largest number of each 2 x 2 of them.\n")
    print(side_by_side({name: pooled[0, 0] for name, (_, pooled) in found.items()}))
    print(
        "\nThe sum is 0 where a window is all bright or all dark, and 30 where it lies across the edge. The pool has a"
    )
    print("quarter of the numbers left: it still says that there is an edge, and where, but only to within two pixels.")
    print(f"\nLargest difference between two of the three ways: {largest_difference(found):g}")


def three_ways(x: np.ndarray, w: np.ndarray) -> Results:
    """The convolution of pictures with kernels, and the 2 × 2 max-pool of that, by the name of the way.

    (B, C, H, W), (O, C, K, K) -> (B, O, H - K + 1, W - K + 1) and half as many rows and columns.
    """
    b = np.zeros(len(w))
    looped, multiplied, tensor = conv2d_loops(x, w, b), conv2d(x, w, b), F.conv2d(tg.tensor(x), tg.tensor(w))
    return {
        "loops": (looped, max_pool2d_loops(looped)),
        "one matrix product": (multiplied, max_pool2d(multiplied)),
        "Tensor": (tensor.numpy(), F.max_pool2d(tensor, 2).numpy()),
    }


def largest_difference(found: Results) -> float:
    """The largest difference between two numbers of the same place that were found in different ways."""
    pairs = [pair for two in combinations(found.values(), 2) for pair in zip(*two, strict=True)]
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)


def terms(window: np.ndarray, w: np.ndarray) -> str:
    """The sum of all products of a window and a filter, both (K, K): a line a row, and one for the sum of these."""
    products = [[f"{shown(a)}·{shown(b)}" for a, b in zip(*rows, strict=True)] for rows in zip(window, w, strict=True)]
    sums = (window * w).sum(axis=1) + 0.0  # makes -0 a plain 0
    lines = [f"  {' + '.join(row)} = {total:g}" for row, total in zip(products, sums, strict=True)]
    return "\n".join([*lines, f"  {' + '.join(map(shown, sums))} = {sums.sum():g}"])


def shown(value: float) -> str:
    """The number as a part of a sum or product, in brackets if it has a sign."""
    return f"{value:g}" if value >= 0 else f"({value:g})"


def side_by_side(arrays: Mapping[str, np.ndarray]) -> str:
    """Arrays (rows, columns) under their names, each to the right of the one before; the last one may be lower."""
    blocks = []
    for name, array in arrays.items():
        cells = [[f"{value + 0.0:g}" for value in row] for row in array]  # + 0.0: no -0
        width = max(len(cell) for row in cells for cell in row)
        lines = [name, *(" ".join(f"{cell:>{width}}" for cell in row) for row in cells)]
        blocks.append([f"{line:<{max(map(len, lines))}}" for line in lines])
    return "\n".join(f"  {'     '.join(row)}".rstrip() for row in zip_longest(*blocks, fillvalue=""))


def cifar10() -> None:
    """A CNN on CIFAR-10: LeNet sees 10000 photographs once, and is judged class by class.

    The photographs are downloaded if they are not in the folder TINYGRAD_EDU_DATA. Where the C++ kernels are built,
    TINYGRAD_EDU_BACKEND=cpp makes it several times faster.
    """
    train_and_judge(data.load("cifar10"))


def train_and_judge(dataset: data.Dataset) -> None:
    """Train LeNet for one epoch of a dataset of pictures (N, C, S, S), and print how it does on the test pictures."""
    (x, y), (test_x, test_y), classes = dataset.train, dataset.test, dataset.classes
    mean, std = x.mean(), x.std()  # of the training pictures alone: the others are not known yet
    tg.manual_seed(0)
    model = LeNet(channels=x.shape[1], size=x.shape[2], classes=len(classes))
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader = data.DataLoader((x - mean) / std, y, batch_size=32)
    weights = sum(p.numel() for p in model.parameters())
    print(f"LeNet, {weights} weights, sees {len(x)} pictures {x.shape[1:]} once, 32 a step. The loss is the mean since")
    print(f"the line before; who knows nothing has log {len(classes)} = {np.log(len(classes)):.3f}.\n")

    losses: list[float] = []
    for step, (inputs, targets) in enumerate(loader, start=1):
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % max(1, len(loader) // 8) == 0:
            print(f"  step {step:>4}   loss {np.mean(losses):.3f}")
            losses.clear()

    parts = np.split((test_x - mean) / std, range(500, len(test_x), 500))  # all at once would need much memory
    with tg.no_grad():
        predicted = np.concatenate([model(tg.tensor(part)).argmax(1).numpy() for part in parts])
    hits = predicted == test_y
    print(f"\nTest pictures: {hits.sum()} of {len(hits)} right, {hits.mean():.1%}.\n")
    for k, name in enumerate(classes):
        answers = np.bincount(predicted[test_y == k], minlength=len(classes))
        right, total = answers[k], answers.sum()
        answers[k] = 0  # what is left are mistakes
        mistake = f"   taken for {classes[answers.argmax()]}: {answers.max()}" if answers.any() else ""
        print(f"  {name:<12} {right:>4} of {total:>4} right, {right / max(total, 1):6.1%}{mistake}")


LESSONS: dict[str, Callable[[], None]] = {"8.1": filter_by_hand, "8.2": cifar10}
