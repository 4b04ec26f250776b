"""What chapter 8's lessons on sequences need: their examples, the same on the Tensor, and tables to print.

The examples are small and in halves, so that every number can be checked with a calculator.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu.models.by_hand.attention import Attention
from tinygrad_edu.models.by_hand.rnn import RNN

Arrays = dict[str, np.ndarray]

# Lesson 8.3: three characters, two units; the network reads a, b, c and is to say b, c, a.
CHARACTERS = "abc"
X, Y = np.array([[0], [1], [2]]), np.array([[1], [2], [0]])  # (T, 1)
RNN_WEIGHTS = [
    np.array([[1.0, -0.5, 0.5], [-0.5, 1.0, 0.5]]),
    np.array([[0.5, -1.0], [1.0, 0.5]]),
    np.array([[1.0, -1.0], [0.5, 1.0], [-1.0, 0.5]]),
]
RNN_BIASES = [np.array([0.0, 0.5]), np.array([0.0, 0.0, 0.5])]
RNN_NAMES = ("Wxh", "Whh", "Why", "bh", "by")

# Lesson 8.4: how far each word is a thing, a deed, and one that stands for another. A query asks for a thing (its first
# number) or a deed (its second), a key offers one: things ask who acts on them, deeds who does them.
WORDS = ("the", "cat", "saw", "itself")
VECTORS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # (T, D)
ATTENTION_WEIGHTS = [
    np.array([[0.0, 2.0], [2.0, 0.0], [4.0, 0.0]]),
    np.array([[1.5, 0.0], [0.0, 1.5], [0.5, 0.0]]),
    np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.5]]),
    np.array([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]]),
]
ATTENTION_NAMES = ("Wq", "Wk", "Wv", "Wo", *(f"x {word}" for word in WORDS))


def rnn_by_tensor(model: RNN, x: np.ndarray, y: np.ndarray) -> Arrays:
    """The gradients of all parameters and, as h (T + 1, H), of all states for one text, (T, 1) each; as L its loss."""
    parameters = [tg.tensor(p, requires_grad=True) for p in (*model.weights, *model.biases)]
    Wxh, Whh, Why, bh, by = parameters
    states = [tg.tensor(np.zeros(len(model.biases[0])), requires_grad=True)]
    for character in x[:, 0]:
        states.append((Wxh[:, int(character)] + Whh @ states[-1] + bh).tanh())
    loss = F.cross_entropy(tg.stack(states[1:]) @ Why.T + by, tg.tensor(y[:, 0]))
    gradients: Any = tg.grad(loss, [*parameters, *states])
    arrays = [g.numpy() for g in gradients]
    return dict(zip(RNN_NAMES, arrays[:5], strict=True)) | {"h": np.stack(arrays[5:]), "L": loss.detach().numpy()}


def attention_by_tensor(block: Attention, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, Arrays]:
    """The means c, the result, and the gradients of L = ½ Σ out² in the weights and in each vector of x (T, D)."""
    Wq, Wk, Wv, Wo, t = inputs = [tg.tensor(array, requires_grad=True) for array in (*block.weights, x)]
    c = F.scaled_dot_product_attention(t @ Wq, t @ Wk, t @ Wv)
    out = c @ Wo
    gradients: Any = tg.grad(0.5 * (out * out).sum(), inputs)
    *weights, gx = (g.numpy() for g in gradients)
    return c.detach().numpy(), out.detach().numpy(), dict(zip(ATTENTION_NAMES, [*weights, *gx], strict=True))


def zen() -> str:
    """The Zen of Python, 856 characters: `import this` prints it, and keeps it moved by 13 letters."""
    with redirect_stdout(StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)


def by_word(words: Sequence[str], array: np.ndarray) -> str:
    """A table (T, T) with the words as titles of its rows and columns."""
    return aligned([("", *words), *((word, *map(decimals, row)) for word, row in zip(words, array, strict=True))])


def decimals(array: Any) -> str:
    """The numbers on one line, each with three decimals: [ 0.500 -1.000]."""
    if np.ndim(array) == 0:
        return f"{round(float(array), 3) + 0.0: .3f}"  # + 0.0 makes -0 a plain 0
    return f"[{' '.join(decimals(row) for row in array)}]"


def beside(ours: Arrays, theirs: Arrays) -> str:
    """A line for each gradient: its name, what it is by hand, and what the Tensor has there; the names are the same."""
    rows = [(f"∂L/∂{name}", decimals(array), decimals(theirs[name])) for name, array in ours.items()]
    return aligned([("", "by hand", "Tensor"), *rows])


def furthest_apart(ours: Arrays, theirs: Arrays) -> float:
    """The largest difference between two numbers of the same place; the names are the same."""
    return max(float(np.abs(array - theirs[name]).max()) for name, array in ours.items())
