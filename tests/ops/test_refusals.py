"""Where torch refuses a call, we refuse it too, as a mistake of the user's and with the op's name in the message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_edu as tg
from tinygrad_edu.testing.rows import TorchNames

CALLS: dict[str, Callable[[Any], Any]] = {
    "add: shapes that do not broadcast": lambda t: t.ones(2, 3) + t.ones(2),
    "where: a number as condition": lambda t: t.where(1, t.ones(2), t.ones(2)),
    "where: a float condition": lambda t: t.where(t.ones(2), t.ones(2), t.ones(2)),
    "where: shapes that do not broadcast": lambda t: t.where(t.ones(3) > 0, t.ones(2), t.ones(2)),
    "sub: bools": lambda t: (t.ones(2) > 0) - (t.ones(2) > 0),
    "pow: an integer to a negative power": lambda t: t.tensor([2]) ** -1,
    "mean: integers": lambda t: t.tensor([1, 2]).mean(),
    "mean: no such dim": lambda t: t.ones(2, 3).mean(2),
    "sum: no such dim": lambda t: t.ones(2, 3).sum(-3),
    "sum: a dim twice": lambda t: t.ones(2, 3).sum((0, -2)),
    "sum: a float as dim": lambda t: t.ones(2, 3).sum(0.5),
    "amax: an empty dim": lambda t: t.ones(2, 0).amax(1),
    "amax: nothing at all": lambda t: t.ones(0).max(),
    "max: an empty dim": lambda t: t.ones(2, 0).max(1),
    "argmax: an empty dim": lambda t: t.ones(2, 0).argmax(1),
    "argmax: nothing at all": lambda t: t.ones(0).argmax(),
    "argmax: bools": lambda t: (t.ones(2) > 0).argmax(),
    "matmul: inner sizes": lambda t: t.ones(2, 3) @ t.ones(2, 3),
    "matmul: inner sizes, 1-D": lambda t: t.ones(3) @ t.ones(2),
    "matmul: batches": lambda t: t.ones(2, 2, 3) @ t.ones(3, 3, 2),
    "matmul: 0-d": lambda t: t.matmul(t.tensor(1.0), t.ones(2)),
    "matmul: two dtypes": lambda t: t.ones(2, 2) @ t.ones(2, 2).double(),
    "matmul: a number": lambda t: t.matmul(t.ones(2, 2), 2.0),
    "linear: features": lambda t: t.linear(t.ones(2, 3), t.ones(4, 2)),
    "linear: bias": lambda t: t.linear(t.ones(2, 3), t.ones(4, 3), t.ones(3)),
    "softmax: no such dim": lambda t: t.softmax(t.ones(2), 1),
    "softmax: integers": lambda t: t.softmax(t.tensor([1, 2]), 0),
    "cross_entropy: a class too many": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 3])),
    "cross_entropy: a negative class": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, -1])),
    "cross_entropy: batch sizes": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0])),
    "cross_entropy: reduction": lambda t: t.nn.functional.cross_entropy(
        t.ones(2, 3), t.tensor([0, 1]), reduction="max"
    ),
    "reshape: counts": lambda t: t.ones(2, 3).reshape(4, 2),
    "reshape: not divisible": lambda t: t.ones(2, 3).reshape(4, -1),
    "reshape: two unknown": lambda t: t.ones(2, 3).reshape(-1, -1),
    "reshape: a size below -1": lambda t: t.ones(2, 3).reshape(-2, 3),
    "reshape: -1 of nothing": lambda t: t.ones(0, 3).reshape(0, -1),
    "expand: another size": lambda t: t.ones(2, 3).expand(2, 4),
    "expand: fewer dimensions": lambda t: t.ones(2, 3).expand(3),
    "expand: -1 for a new dimension": lambda t: t.ones(4).expand(2, -1, 4),
    "expand: a size below -1": lambda t: t.ones(1).expand(-3),
    "permute: too few": lambda t: t.ones(2, 3).permute(0),
    "permute: one twice": lambda t: t.ones(2, 3).permute(0, 0),
    "transpose: no such dim": lambda t: t.ones(2, 3).transpose(0, 2),
    "flatten: from behind": lambda t: t.ones(2, 3).flatten(1, 0),
    "unsqueeze: no such dim": lambda t: t.ones(2).unsqueeze(2),
    "squeeze: no such dim": lambda t: t.ones(2).squeeze(1),
    "flip: a dim twice": lambda t: t.ones(2, 3).flip((0, 0)),
    "cat: nothing": lambda t: t.cat([]),
    "cat: sizes": lambda t: t.cat([t.ones(2, 3), t.ones(2, 4)], 0),
    "cat: dimensions": lambda t: t.cat([t.ones(2, 3), t.ones(2)], 0),
    "stack: shapes": lambda t: t.stack([t.ones(2), t.ones(3)]),
    "stack: nothing": lambda t: t.stack([]),
    "gather: a float index": lambda t: t.gather(t.ones(3, 4), 0, t.tensor([[0.0]])),
    "gather: a negative index": lambda t: t.gather(t.ones(3, 4), 0, t.tensor([[-1]])),
    "gather: an index too large": lambda t: t.gather(t.ones(3, 4), 0, t.tensor([[3]])),
    "gather: dimensions": lambda t: t.gather(t.ones(3, 4), 0, t.tensor([0])),
    "arange: the wrong way": lambda t: t.arange(2, 5, -1),
    "arange: no step": lambda t: t.arange(0, 5, 0),
    "zeros: a negative size": lambda t: t.zeros(-1),
    "eye: a negative size": lambda t: t.eye(-1),
    "tensor: ragged": lambda t: t.tensor([[1.0, 2.0], [1.0]]),
    "tensor: text": lambda t: t.tensor("a"),
}


@pytest.mark.parametrize("what", CALLS)
def test_refused_as_by_torch(what: str, needs) -> None:
    needs("torch")
    with pytest.raises((RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)):
        CALLS[what](TorchNames())
    with pytest.raises((ValueError, TypeError, IndexError), match=rf"^{what.partition(':')[0]}: "):
        CALLS[what](tg)
