"""Chapter 7's lessons: where a network's gradients come from.

Source: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", Nature 323, 1986.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.models.by_hand.mlp import MLP, softmax_cross_entropy

# The network of lesson 7.1, small and in halves, so that every number can be checked with a pencil.
EXAMPLE = {
    "x": np.array([1.0, -2.0]),
    "y": np.array([0.5]),
    "W1": np.array([[0.5, -0.5], [1.0, 1.0], [-0.5, -1.0]]),
    "b1": np.array([0.5, 0.0, -0.5]),
    "W2": np.array([[0.5, 1.0, -0.5], [-1.0, 0.5, 1.5]]),
    "b2": np.array([0.5, 1.0]),
    "W3": np.array([[2.0, -1.0]]),
    "b3": np.array([0.5]),
}

# What lesson 7.1 computes, line by line as in the function `by_hand`, and in its order.
FORWARD = {
    "z1": "z1 = W1 x + b1",
    "a1": "a1 = max(z1, 0)",
    "z2": "z2 = W2 a1 + b2",
    "a2": "a2 = max(z2, 0)",
    "z3": "z3 = W3 a2 + b3",
    "L": "L = ½ (z3 - y)²",
}
BACKWARD = {
    "z3": "∂L/∂z3 = z3 - y",
    "W3": "∂L/∂W3 = ∂L/∂z3 a2ᵀ",
    "b3": "∂L/∂b3 = ∂L/∂z3",
    "a2": "∂L/∂a2 = W3ᵀ ∂L/∂z3",
    "z2": "∂L/∂z2 = ∂L/∂a2 where z2 > 0, else 0",
    "W2": "∂L/∂W2 = ∂L/∂z2 a1ᵀ",
    "b2": "∂L/∂b2 = ∂L/∂z2",
    "a1": "∂L/∂a1 = W2ᵀ ∂L/∂z2",
    "z1": "∂L/∂z1 = ∂L/∂a1 where z1 > 0, else 0",
    "W1": "∂L/∂W1 = ∂L/∂z1 xᵀ",
    "b1": "∂L/∂b1 = ∂L/∂z1",
    "x": "∂L/∂x = W1ᵀ ∂L/∂z1",
}

Arrays = dict[str, np.ndarray]


def three_layers() -> None:
    """The gradients of a three-layer network for one training example, by hand.

    A network 2-3-2-1 with ReLU after the first two layers and half the squared error as its loss. Every number that
    the formulas give stands beside the one that the Tensor finds by itself.
    """
    values, gradients = by_hand(**EXAMPLE)
    theirs, their_gradients = by_tensor(**EXAMPLE)
    print("The network and the one training example: 2 inputs, layers of 3, 2 and 1 units.\n")
    for name, array in EXAMPLE.items():
        print(f"  {name:<2} = {shown(array)}")
    print("\nForward, from the input to the loss.\n")
    table(FORWARD, values, theirs)
    print("\nBackward, from the loss to the input: each line needs only what stands above it.\n")
    table(BACKWARD, gradients, their_gradients)
    print(
        "\nThe second unit of the first layer had z1 < 0. It was silent, so nothing about it could have mattered: the"
    )
    print("second row of ∂L/∂W1 and the second number of ∂L/∂b1 are 0, and so is the second column of ∂L/∂W2.")
    apart = max(largest_difference(values, theirs), largest_difference(gradients, their_gradients))
    print(f"\nLargest difference between a number by hand and the Tensor's: {apart:g}")


def by_hand(
    x: np.ndarray,
    y: np.ndarray,
    W1: np.ndarray,
    b1: np.ndarray,
    W2: np.ndarray,
    b2: np.ndarray,
    W3: np.ndarray,
    b3: np.ndarray,
) -> tuple[Arrays, Arrays]:
    """The values of the forward pass and the gradients of the loss, by name: every step a formula.

    One example: x (n0,), Wl (nl, nl-1), bl, zl and al (nl,), L (). A gradient has the shape of what it belongs to.
    """
    # forward
    z1 = W1 @ x + b1
    a1 = np.maximum(z1, 0.0)
    z2 = W2 @ a1 + b2
    a2 = np.maximum(z2, 0.0)
    z3 = W3 @ a2 + b3
    L = 0.5 * ((z3 - y) ** 2).sum()

    # backward: gz3 stands for ∂L/∂z3, and so on
    gz3 = z3 - y  # from L = ½ (z3 - y)²
    gW3 = np.outer(gz3, a2)  # z3ᵢ = Σⱼ W3ᵢⱼ a2ⱼ + b3ᵢ, so ∂z3ᵢ/∂W3ᵢⱼ = a2ⱼ
    gb3 = gz3  # ∂z3ᵢ/∂b3ᵢ = 1
    ga2 = W3.T @ gz3  # a2ⱼ is in every z3ᵢ, with factor W3ᵢⱼ: the sum over all of them
    gz2 = ga2 * (z2 > 0.0)  # the slope of max(z, 0) is 1 where z > 0, else 0
    gW2 = np.outer(gz2, a1)  # from here on the same three steps again, a layer earlier
    gb2 = gz2
    ga1 = W2.T @ gz2
    gz1 = ga1 * (z1 > 0.0)
    gW1 = np.outer(gz1, x)
    gb1 = gz1
    gx = W1.T @ gz1

    values = {"z1": z1, "a1": a1, "z2": z2, "a2": a2, "z3": z3, "L": L}
    gradients = {"z3": gz3, "W3": gW3, "b3": gb3, "a2": ga2, "z2": gz2, "W2": gW2}
    gradients |= {"b2": gb2, "a1": ga1, "z1": gz1, "W1": gW1, "b1": gb1, "x": gx}
    return values, gradients


def by_tensor(**example: np.ndarray) -> tuple[Arrays, Arrays]:
    """The same as `by_hand`, but the backward pass is one call."""
    x, y, W1, b1, W2, b2, W3, b3 = (tg.tensor(example[name], requires_grad=name != "y") for name in EXAMPLE)
    z1 = W1 @ x + b1
    a1 = z1.relu()
    z2 = W2 @ a1 + b2
    a2 = z2.relu()
    z3 = W3 @ a2 + b3
    L = 0.5 * ((z3 - y) ** 2).sum()
    values = {"z1": z1, "a1": a1, "z2": z2, "a2": a2, "z3": z3, "L": L}
    wanted = {**values, "x": x, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "W3": W3, "b3": b3}
    gradients: Any = tg.grad(L, [wanted[name] for name in BACKWARD])
    return (
        {name: value.detach().numpy() for name, value in values.items()},
        {name: g.numpy() for name, g in zip(BACKWARD, gradients, strict=True)},
    )


def table(formulas: Mapping[str, str], ours: Arrays, theirs: Arrays) -> None:
    """Print a line for each formula: the formula, what it gives by hand, what the Tensor has there."""
    rows = [("", "by hand", "Tensor")]
    rows += [(formula, shown(ours[name]), shown(theirs[name])) for name, formula in formulas.items()]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for formula, hand, tensor in rows:
        print(f"  {formula:<{widths[0]}}   {hand:<{widths[1]}}   {tensor}".rstrip())


def shown(array: Any) -> str:
    """The numbers on one line, as short as they are: [[0.5 1] [2 -3]]."""
    array = np.asarray(array)
    if array.ndim == 0:
        return f"{array + 0.0:g}"  # + 0.0 makes -0, which is a 0 times a negative number, a plain 0
    return "[" + " ".join(shown(row) for row in array) + "]"


def largest_difference(ours: Arrays, theirs: Arrays) -> float:
    """The largest difference between two numbers of the same place; the names must be the same."""
    if ours.keys() != theirs.keys():
        raise ValueError(f"largest_difference: expected {sorted(ours)}, got {sorted(theirs)}")
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def numpy_alone() -> None:
    """Forward and backward passes in NumPy alone: a network learns exclusive or.

    The network by hand of `models/by_hand/mlp.py`, 2-4-2, on the four points of exclusive or. Its gradients are held
    against finite differences first: a formula can be wrong, and then the loss may fall all the same, only worse.
    """
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([0, 1, 1, 0])
    rng = np.random.default_rng(0)
    model = MLP([rng.normal(size=(4, 2)), rng.normal(size=(2, 4))], [np.zeros(4), np.zeros(2)])

    _, g = softmax_cross_entropy(model.forward(x), y)
    (found, _), _ = model.backward(g)
    print("One weight moved by h = 1e-6 to both sides: the slope of the loss, and the backward pass's gradient.\n")
    for i, j in ((0, 0), (1, 1), (3, 0)):
        slope = finite_difference(model, x, y, i, j)
        print(f"  W1[{i},{j}]   slope {slope: .8f}   gradient {found[i, j]: .8f}")

    print("\nGradient descent, rate 0.5.\n")
    for step in range(201):
        loss, g = softmax_cross_entropy(model.forward(x), y)
        if step % 40 == 0:
            print(f"  step {step:>3}   loss {loss:.4f}")
        for W, b, (gW, gb) in zip(model.weights, model.biases, model.backward(g), strict=True):
            W -= 0.5 * gW
            b -= 0.5 * gb

    print("\nWhat it says now.\n")
    for point, says in zip(x, model.forward(x).argmax(axis=1), strict=True):
        print(f"  {point[0]:g} xor {point[1]:g} = {says}")


def finite_difference(model: MLP, x: np.ndarray, y: np.ndarray, i: int, j: int, h: float = 1e-6) -> float:
    """The slope of the loss in the first layer's weight [i, j], from two losses 2h apart; the weight is put back."""
    W, before = model.weights[0], model.weights[0][i, j]
    losses = []
    for moved in (before + h, before - h):
        W[i, j] = moved
        losses.append(softmax_cross_entropy(model.forward(x), y)[0])
    W[i, j] = before
    return (losses[0] - losses[1]) / (2.0 * h)


LESSONS: dict[str, Callable[[], None]] = {"7.1": three_layers, "7.2": numpy_alone}
