"""Where torch refuses a call, we refuse it too, as a mistake of the user's and with the op's name in the message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.testing.cases import ROWS
from tinygrad_edu.testing.rows import TinygradNames, TorchNames


def _recurrent(t: Any, ours: str, torchs: str, x: Any, state: Any, gates: int = 1) -> Any:
    """A recurrent layer of 3 features and 4 hidden ones on an input and states of these shapes."""
    x, weights = t.ones(x), [t.ones(gates * 4, n) for n in (3, 4)]
    states = [t.ones(state)] * (2 if ours == "lstm" else 1)
    if isinstance(t, TinygradNames):
        return getattr(t, ours)(x, *states, *weights)
    states = [h.unsqueeze(0) for h in states]
    hx = tuple(states) if ours == "lstm" else states[0]
    return getattr(t, torchs)(x, hx, weights, False, 1, 0.0, False, False, False)


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
    # Elementwise.
    "remainder: bools": lambda t: t.remainder(t.ones(2) > 0, t.ones(2) > 0),
    "remainder: shapes that do not broadcast": lambda t: t.remainder(t.ones(2), t.ones(3)),
    "remainder: an integer by 0": lambda t: t.remainder(t.tensor([3]), t.tensor([0])),
    "clamp: no limit": lambda t: t.clamp(t.ones(2)),
    "clamp: shapes that do not broadcast": lambda t: t.clamp(t.ones(2), t.ones(3), t.ones(2)),
    "clamp_min: shapes that do not broadcast": lambda t: t.clamp_min(t.ones(2), t.ones(3)),
    "clamp_min: text": lambda t: t.clamp_min(t.ones(2), "0"),
    "clamp_max: shapes that do not broadcast": lambda t: t.clamp_max(t.ones(2), t.ones(3)),
    "clamp_max: text": lambda t: t.clamp_max(t.ones(2), "0"),
    "lerp: shapes that do not broadcast": lambda t: t.lerp(t.ones(2), t.ones(3), 0.5),
    "lerp: two dtypes": lambda t: t.lerp(t.ones(2), t.ones(2).double(), 0.5),
    "lerp: integers": lambda t: t.lerp(t.tensor([1]), t.tensor([2]), 1),
    "logaddexp: shapes that do not broadcast": lambda t: t.logaddexp(t.ones(2), t.ones(3)),
    "logaddexp: a number": lambda t: t.logaddexp(t.ones(2), 1.0),
    "atan2: shapes that do not broadcast": lambda t: t.atan2(t.ones(2), t.ones(3)),
    "atan2: text": lambda t: t.atan2(t.ones(2), "1"),
    "allclose: shapes that do not broadcast": lambda t: t.allclose(t.ones(2), t.ones(3)),
    "allclose: two dtypes": lambda t: t.allclose(t.ones(2), t.ones(2).double()),
    "logical_xor: shapes that do not broadcast": lambda t: t.logical_xor(t.ones(2), t.ones(3)),
    "maximum: shapes that do not broadcast": lambda t: t.maximum(t.ones(2), t.ones(3)),
    "neg: bools": lambda t: -(t.ones(2) > 0),
    "abs: bools": lambda t: t.abs(t.ones(2) > 0),
    "floor: bools": lambda t: t.floor(t.ones(2) > 0),
    "ceil: bools": lambda t: t.ceil(t.ones(2) > 0),
    "round: bools": lambda t: t.round(t.ones(2) > 0),
    "trunc: bools": lambda t: t.trunc(t.ones(2) > 0),
    "exp: a number": lambda t: t.exp(1.0),
    "exp: text": lambda t: t.exp("a"),
    "erf: a number": lambda t: t.erf(1.0),
    "square: a list": lambda t: t.square([1.0]),
    "sign: None": lambda t: t.sign(None),
    "rsqrt: an array": lambda t: t.rsqrt(np.ones(2)),
    "isnan: a number": lambda t: t.isnan(1.0),
    "isinf: a number": lambda t: t.isinf(1.0),
    "minimum: shapes that do not broadcast": lambda t: t.minimum(t.ones(2), t.ones(3)),
    "logical_and: shapes that do not broadcast": lambda t: t.logical_and(t.ones(2), t.ones(3)),
    "logical_or: shapes that do not broadcast": lambda t: t.logical_or(t.ones(2), t.ones(3)),
    # Reducing.
    "log_softmax: no such dim": lambda t: t.log_softmax(t.ones(2), 1),
    "log_softmax: integers": lambda t: t.log_softmax(t.tensor([1, 2]), 0),
    "logsumexp: no such dim": lambda t: t.logsumexp(t.ones(2), 1),
    "logsumexp: a dim twice": lambda t: t.logsumexp(t.ones(2), (0, 0)),
    "prod: no such dim": lambda t: t.prod(t.ones(2, 3), 2),
    "prod: a tuple of dims": lambda t: t.prod(t.ones(2, 3), (0, 1)),
    "var: integers": lambda t: t.var(t.tensor([1, 2])),
    "var: no such dim": lambda t: t.var(t.ones(2, 3), 2),
    "std: integers": lambda t: t.std(t.tensor([1, 2])),
    "std: a dim twice": lambda t: t.std(t.ones(2, 3), (0, 0)),
    "norm: integers": lambda t: t.norm(t.tensor([1, 2])),
    "norm: no such dim": lambda t: t.norm(t.ones(2, 3), 2, 2),
    "norm: text": lambda t: t.norm(t.ones(2), "two"),
    "norm: the largest of nothing": lambda t: t.norm(t.ones(2, 0), float("inf"), 1),
    "amin: an empty dim": lambda t: t.ones(2, 0).amin(1),
    "amin: no such dim": lambda t: t.ones(2, 3).amin(2),
    "min: an empty dim": lambda t: t.ones(2, 0).min(1),
    "min: a tuple of dims": lambda t: t.ones(2, 3).min((0, 1)),
    "max: a tuple of dims": lambda t: t.ones(2, 3).max((0, 1)),
    "argmin: an empty dim": lambda t: t.ones(2, 0).argmin(1),
    "argmin: bools": lambda t: (t.ones(2) > 0).argmin(),
    "argmin: no such dim": lambda t: t.ones(2).argmin(1),
    "any: no such dim": lambda t: t.ones(2, 3).any(2),
    "any: a dim twice": lambda t: t.ones(2, 3).any((0, 0)),
    "all: no such dim": lambda t: t.ones(2, 3).all(2),
    "all: a float as dim": lambda t: t.ones(2, 3).all(0.5),
    "cumsum: no such dim": lambda t: t.cumsum(t.ones(2), 1),
    "cumsum: text": lambda t: t.cumsum(t.ones(2), "0"),
    "cumprod: no such dim": lambda t: t.cumprod(t.ones(2), -2),
    "cumprod: a list of dims": lambda t: t.cumprod(t.ones(2), [0]),
    "diff: 0-d": lambda t: t.diff(t.tensor(1.0)),
    "diff: a negative n": lambda t: t.diff(t.ones(3), n=-1),
    "diff: no such dim": lambda t: t.diff(t.ones(3), dim=1),
    "diff: prepended shape": lambda t: t.diff(t.ones(2, 3), prepend=t.ones(3, 1)),
    # Products.
    "mm: inner sizes": lambda t: t.mm(t.ones(2, 3), t.ones(2, 3)),
    "mm: a vector": lambda t: t.mm(t.ones(2, 3), t.ones(3)),
    "mm: three dimensions": lambda t: t.mm(t.ones(1, 2, 3), t.ones(3, 2)),
    "mv: sizes": lambda t: t.mv(t.ones(2, 3), t.ones(2)),
    "mv: a matrix": lambda t: t.mv(t.ones(2, 3), t.ones(3, 1)),
    "bmm: batches": lambda t: t.bmm(t.ones(2, 2, 3), t.ones(1, 3, 2)),
    "bmm: matrices": lambda t: t.bmm(t.ones(2, 3), t.ones(3, 2)),
    "dot: sizes": lambda t: t.dot(t.ones(2), t.ones(3)),
    "dot: matrices": lambda t: t.dot(t.ones(2, 2), t.ones(2, 2)),
    "dot: two dtypes": lambda t: t.dot(t.ones(2), t.ones(2).double()),
    "outer: a matrix": lambda t: t.outer(t.ones(2, 2), t.ones(2)),
    "outer: 0-d": lambda t: t.outer(t.tensor(1.0), t.ones(2)),
    "addmm: inner sizes": lambda t: t.addmm(t.ones(2, 2), t.ones(2, 3), t.ones(2, 2)),
    "addmm: another shape": lambda t: t.addmm(t.ones(3, 3), t.ones(2, 3), t.ones(3, 2)),
    "addmm: more dimensions": lambda t: t.addmm(t.ones(1, 2, 2), t.ones(2, 3), t.ones(3, 2)),
    "einsum: a size for two": lambda t: t.einsum("ij,jk->ik", t.ones(2, 3), t.ones(2, 3)),
    "einsum: too few Tensors": lambda t: t.einsum("ij,jk->ik", t.ones(2, 3)),
    "einsum: too many Tensors": lambda t: t.einsum("ij->i", t.ones(2, 3), t.ones(2)),
    "einsum: too few letters": lambda t: t.einsum("i->i", t.ones(2, 3)),
    "einsum: too many letters": lambda t: t.einsum("ijk->i", t.ones(2, 3)),
    "einsum: a letter from nowhere": lambda t: t.einsum("ij->ik", t.ones(2, 3)),
    "einsum: a letter twice in the result": lambda t: t.einsum("ij->ii", t.ones(2, 3)),
    "einsum: a digit": lambda t: t.einsum("i1->i", t.ones(2, 3)),
    "einsum: dots of two shapes": lambda t: t.einsum("...i,...i->...", t.ones(2, 3), t.ones(4, 3)),
    "tensordot: sizes": lambda t: t.tensordot(t.ones(2, 3), t.ones(2, 3), 1),
    "tensordot: too many dims": lambda t: t.tensordot(t.ones(2), t.ones(2), 2),
    "tensordot: a negative count": lambda t: t.tensordot(t.ones(2), t.ones(2), -1),
    "tensordot: dims of two lengths": lambda t: t.tensordot(t.ones(2, 3), t.ones(2, 3), ([0, 1], [0])),
    # Shape.
    "unflatten: sizes": lambda t: t.unflatten(t.ones(6), 0, (4, 2)),
    "unflatten: no such dim": lambda t: t.unflatten(t.ones(6), 1, (3, 2)),
    "unflatten: no sizes": lambda t: t.unflatten(t.ones(6), 0, ()),
    "ravel: a number": lambda t: t.ravel(1.0),
    "movedim: no such dim": lambda t: t.movedim(t.ones(2, 3), 0, 2),
    "movedim: a dim twice": lambda t: t.movedim(t.ones(2, 3), (0, 0), (0, 1)),
    "movedim: dims of two lengths": lambda t: t.movedim(t.ones(2, 3), (0, 1), (0,)),
    "broadcast_to: another size": lambda t: t.broadcast_to(t.ones(2, 3), (2, 4)),
    "broadcast_to: fewer dimensions": lambda t: t.broadcast_to(t.ones(2, 3), (3,)),
    "repeat: too few": lambda t: t.ones(2, 3).repeat(2),
    "repeat: a negative count": lambda t: t.ones(2).repeat(-1),
    "tile: a negative count": lambda t: t.tile(t.ones(2), (-1,)),
    "tile: a float": lambda t: t.tile(t.ones(2), (1.5,)),
    "split: no size": lambda t: t.split(t.ones(4), 0),
    "split: a negative size": lambda t: t.split(t.ones(4), -1),
    "split: sizes that do not add up": lambda t: t.split(t.ones(4), [1, 2]),
    "split: no such dim": lambda t: t.split(t.ones(4), 2, 1),
    "chunk: none": lambda t: t.chunk(t.ones(4), 0),
    "chunk: 0-d": lambda t: t.chunk(t.tensor(1.0), 2),
    "unbind: 0-d": lambda t: t.unbind(t.tensor(1.0)),
    "unbind: no such dim": lambda t: t.unbind(t.ones(2), 1),
    "roll: no such dim": lambda t: t.roll(t.ones(2), 1, 1),
    "roll: counts": lambda t: t.roll(t.ones(2, 3), (1, 2), 0),
    "diag: three dimensions": lambda t: t.diag(t.ones(2, 2, 2)),
    "diag: 0-d": lambda t: t.diag(t.tensor(1.0)),
    "diagonal: a vector": lambda t: t.diagonal(t.ones(3)),
    "diagonal: a dim twice": lambda t: t.diagonal(t.ones(2, 3), 0, 1, 1),
    "trace: three dimensions": lambda t: t.trace(t.ones(2, 2, 2)),
    "trace: a vector": lambda t: t.trace(t.ones(2)),
    "tril: a vector": lambda t: t.tril(t.ones(3)),
    "tril: 0-d": lambda t: t.tril(t.tensor(1.0)),
    "triu: a vector": lambda t: t.triu(t.ones(3)),
    "triu: 0-d": lambda t: t.triu(t.tensor(1.0)),
    # Indices.
    "scatter_add: an index too large": lambda t: t.scatter_add(t.ones(3), 0, t.tensor([3]), t.ones(1)),
    "scatter_add: a negative index": lambda t: t.scatter_add(t.ones(3), 0, t.tensor([-1]), t.ones(1)),
    "scatter_add: a source too small": lambda t: t.scatter_add(t.ones(3), 0, t.tensor([0, 1]), t.ones(1)),
    "scatter_add: dimensions": lambda t: t.scatter_add(t.ones(3, 2), 0, t.tensor([0]), t.ones(1)),
    "scatter_add: a float index": lambda t: t.scatter_add(t.ones(3), 0, t.tensor([0.0]), t.ones(1)),
    "scatter_add: two dtypes": lambda t: t.scatter_add(t.ones(3), 0, t.tensor([0]), t.ones(1).double()),
    "index_select: an index too large": lambda t: t.index_select(t.ones(3), 0, t.tensor([3])),
    "index_select: a negative index": lambda t: t.index_select(t.ones(3), 0, t.tensor([-1])),
    "index_select: a matrix as index": lambda t: t.index_select(t.ones(3), 0, t.tensor([[0]])),
    "index_select: a float index": lambda t: t.index_select(t.ones(3), 0, t.tensor([0.0])),
    "index_select: no such dim": lambda t: t.index_select(t.ones(3), 1, t.tensor([0])),
    "take_along_dim: dimensions": lambda t: t.take_along_dim(t.ones(3, 4), t.tensor([0]), 0),
    "take_along_dim: a float index": lambda t: t.take_along_dim(t.ones(3, 4), t.tensor([[0.0]]), 0),
    "masked_fill: a float mask": lambda t: t.masked_fill(t.ones(2), t.ones(2), 0.0),
    "masked_fill: shapes that do not broadcast": lambda t: t.masked_fill(t.ones(2), t.ones(3) > 0, 0.0),
    "masked_fill: a value of one dimension": lambda t: t.masked_fill(t.ones(2), t.ones(2) > 0, t.ones(2)),
    "masked_select: a float mask": lambda t: t.masked_select(t.ones(2), t.ones(2)),
    "masked_select: shapes that do not broadcast": lambda t: t.masked_select(t.ones(2), t.ones(3) > 0),
    "sort: no such dim": lambda t: t.sort(t.ones(3), 1),
    "sort: text": lambda t: t.sort(t.ones(3), "0"),
    "argsort: no such dim": lambda t: t.argsort(t.ones(3), 1),
    "argsort: text": lambda t: t.argsort(t.ones(3), "0"),
    "topk: too many": lambda t: t.topk(t.ones(3), 4),
    "topk: a negative count": lambda t: t.topk(t.ones(3), -1),
    "topk: no such dim": lambda t: t.topk(t.ones(3), 1, 1),
    "one_hot: floats": lambda t: t.one_hot(t.ones(3)),
    "one_hot: a negative class": lambda t: t.one_hot(t.tensor([-1])),
    "one_hot: a class too large": lambda t: t.one_hot(t.tensor([3]), 3),
    "one_hot: nothing": lambda t: t.one_hot(t.tensor([], dtype=t.int64)),
    # Functions of torch.nn.functional.
    "leaky_relu: text": lambda t: t.leaky_relu(t.ones(2), "0"),
    "elu: integers": lambda t: t.elu(t.tensor([1])),
    "celu: integers": lambda t: t.celu(t.tensor([1])),
    "celu: alpha 0": lambda t: t.celu(t.ones(2), alpha=0.0),
    "glu: an odd size": lambda t: t.glu(t.ones(3)),
    "glu: 0-d": lambda t: t.glu(t.tensor(1.0)),
    "relu6: bools": lambda t: t.relu6(t.ones(2) > 0),
    "hardsigmoid: integers": lambda t: t.hardsigmoid(t.tensor([1])),
    "hardswish: integers": lambda t: t.hardswish(t.tensor([1])),
    "selu: integers": lambda t: t.selu(t.tensor([1])),
    "gelu: integers": lambda t: t.gelu(t.tensor([1])),
    "gelu: no such approximation": lambda t: t.gelu(t.ones(2), approximate="sigmoid"),
    "silu: integers": lambda t: t.silu(t.tensor([1])),
    "mish: integers": lambda t: t.mish(t.tensor([1])),
    "softplus: integers": lambda t: t.softplus(t.tensor([1])),
    "logsigmoid: integers": lambda t: t.logsigmoid(t.tensor([1])),
    "hardtanh: limits": lambda t: t.hardtanh(t.ones(2), 1.0, -1.0),
    "hardtanh: bools": lambda t: t.hardtanh(t.ones(2) > 0),
    "normalize: no such dim": lambda t: t.normalize(t.ones(2)),
    "normalize: integers": lambda t: t.normalize(t.tensor([[1]])),
    "cosine_similarity: shapes that do not broadcast": lambda t: t.cosine_similarity(t.ones(2, 3), t.ones(2, 2)),
    "cosine_similarity: no such dim": lambda t: t.cosine_similarity(t.ones(2), t.ones(2)),
    "cosine_similarity: integers": lambda t: t.cosine_similarity(t.tensor([[1]]), t.tensor([[1]])),
    "pad: an odd count": lambda t: t.pad(t.ones(2, 3), (1,)),
    "pad: too many": lambda t: t.pad(t.ones(2), (1, 1, 1, 1)),
    "pad: less than nothing": lambda t: t.pad(t.ones(2), (-2, -1)),
    "pad: no such mode": lambda t: t.pad(t.ones(2, 3), (1, 1), mode="mirror"),
    "pad: reflected further than it is long": lambda t: t.pad(t.ones(2, 3), (3, 0), mode="reflect"),
    "mse_loss: reduction": lambda t: t.mse_loss(t.ones(2), t.ones(2), reduction="max"),
    "mse_loss: a number": lambda t: t.mse_loss(t.ones(2), 1.0),
    "l1_loss: reduction": lambda t: t.l1_loss(t.ones(2), t.ones(2), reduction="max"),
    "l1_loss: a number": lambda t: t.l1_loss(t.ones(2), 1.0),
    "smooth_l1_loss: reduction": lambda t: t.smooth_l1_loss(t.ones(2), t.ones(2), reduction="max"),
    "smooth_l1_loss: a negative beta": lambda t: t.smooth_l1_loss(t.ones(2), t.ones(2), beta=-1.0),
    "huber_loss: reduction": lambda t: t.huber_loss(t.ones(2), t.ones(2), reduction="max"),
    "huber_loss: delta 0": lambda t: t.huber_loss(t.ones(2), t.ones(2), delta=0.0),
    "binary_cross_entropy: above 1": lambda t: t.binary_cross_entropy(t.full((2,), 1.5), t.ones(2)),
    "binary_cross_entropy: NaN": lambda t: t.binary_cross_entropy(t.full((2,), float("nan")), t.ones(2)),
    "binary_cross_entropy: shapes": lambda t: t.binary_cross_entropy(t.ones(2), t.ones(3)),
    "binary_cross_entropy: integers": lambda t: t.binary_cross_entropy(t.ones(2), t.tensor([0, 1])),
    "binary_cross_entropy: reduction": lambda t: t.binary_cross_entropy(t.ones(2), t.ones(2), reduction="max"),
    "binary_cross_entropy_with_logits: shapes": lambda t: t.binary_cross_entropy_with_logits(t.ones(2), t.ones(3)),
    "binary_cross_entropy_with_logits: reduction": lambda t: t.binary_cross_entropy_with_logits(
        t.ones(2), t.ones(2), reduction="max"
    ),
    "kl_div: reduction": lambda t: t.kl_div(t.ones(2), t.ones(2), reduction="max"),
    "kl_div: a number": lambda t: t.kl_div(t.ones(2), 1.0, reduction="sum"),
    "nll_loss: a class too many": lambda t: t.nll_loss(t.ones(2, 3), t.tensor([0, 3])),
    "nll_loss: a negative class": lambda t: t.nll_loss(t.ones(2, 3), t.tensor([0, -1])),
    "nll_loss: batch sizes": lambda t: t.nll_loss(t.ones(2, 3), t.tensor([0])),
    "nll_loss: reduction": lambda t: t.nll_loss(t.ones(2, 3), t.tensor([0, 1]), reduction="max"),
    "nll_loss: a float target": lambda t: t.nll_loss(t.ones(2, 3), t.ones(2)),
    "nll_loss: a weight for each class": lambda t: t.nll_loss(t.ones(2, 3), t.tensor([0, 1]), weight=t.ones(2)),
    "cross_entropy: a weight for each class": lambda t: t.cross_entropy(
        t.ones(2, 3), t.tensor([0, 1]), weight=t.ones(2)
    ),
    "cross_entropy: smoothing beyond 1": lambda t: t.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), label_smoothing=1.5),
    "cross_entropy: probabilities of another shape": lambda t: t.cross_entropy(t.ones(2, 3), t.ones(2, 2)),
    # Models of sequences.
    "embedding: an index too large": lambda t: t.embedding(t.tensor([5]), t.ones(5, 2)),
    "embedding: a negative index": lambda t: t.embedding(t.tensor([-1]), t.ones(5, 2)),
    "embedding: a float index": lambda t: t.embedding(t.ones(2), t.ones(5, 2)),
    "layer_norm: another shape": lambda t: t.layer_norm(t.ones(2, 3), (2,)),
    "layer_norm: no shape": lambda t: t.layer_norm(t.ones(2, 3), ()),
    "layer_norm: weight": lambda t: t.layer_norm(t.ones(2, 3), (3,), t.ones(2)),
    "layer_norm: integers": lambda t: t.layer_norm(t.tensor([[1, 2]]), (2,)),
    "rms_norm: another shape": lambda t: t.rms_norm(t.ones(2, 3), (2,)),
    "rms_norm: weight": lambda t: t.rms_norm(t.ones(2, 3), (3,), t.ones(2)),
    "group_norm: channels": lambda t: t.group_norm(t.ones(2, 3), 2),
    "group_norm: weight": lambda t: t.group_norm(t.ones(2, 4), 2, t.ones(2)),
    "group_norm: a vector": lambda t: t.group_norm(t.ones(4), 2),
    "scaled_dot_product_attention: a vector": lambda t: t.scaled_dot_product_attention(
        t.ones(4), t.ones(3, 4), t.ones(3, 4)
    ),
    "scaled_dot_product_attention: sizes of query and key": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 5), t.ones(3, 4)
    ),
    "scaled_dot_product_attention: lengths of key and value": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4), t.ones(2, 4)
    ),
    "scaled_dot_product_attention: two dtypes": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4).double(), t.ones(3, 4)
    ),
    "scaled_dot_product_attention: mask": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4), t.ones(3, 4), t.ones(2, 3)
    ),
    "scaled_dot_product_attention: a mask of integers": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4), t.ones(3, 4), t.tensor([1, 1, 0])
    ),
    "rnn: a state of another size": lambda t: _recurrent(t, "rnn", "rnn_tanh", (2, 1, 3), (1, 5)),
    "rnn: no time": lambda t: _recurrent(t, "rnn", "rnn_tanh", (0, 1, 3), (1, 4)),
    "gru: features": lambda t: _recurrent(t, "gru", "gru", (2, 1, 5), (1, 4), gates=3),
    "gru: weights for fewer gates": lambda t: _recurrent(t, "gru", "gru", (2, 1, 3), (1, 4), gates=2),
    "lstm: a matrix": lambda t: _recurrent(t, "lstm", "lstm", (2, 3), (1, 4), gates=4),
    # Creation.
    "linspace: a negative count": lambda t: t.linspace(0, 1, -1),
    "linspace: text": lambda t: t.linspace("0", 1, 3),
    "randint: nothing to draw from": lambda t: t.randint(3, 3, (2,)),
    "full: a negative size": lambda t: t.full((-1,), 0.0),
    "rand: a negative size": lambda t: t.rand(-1),
    "randn: a negative size": lambda t: t.randn(2, -1),
    "from_numpy: a list": lambda t: t.from_numpy([1.0]),
    "from_numpy: text": lambda t: t.from_numpy(np.array(["a"])),
    "from_dlpack: a list": lambda t: t.from_dlpack([1.0]),
    "randint_like: nothing to draw from": lambda t: t.randint_like(t.ones(2), 3, 3),
    "ones: a negative size": lambda t: t.ones(-1),
    "full_like: a number": lambda t: t.full_like(1.0, 2.0),
    "ones_like: a number": lambda t: t.ones_like(1.0),
    "zeros_like: a number": lambda t: t.zeros_like(1.0),
    "rand_like: integers": lambda t: t.rand_like(t.tensor([1])),
    "randn_like: integers": lambda t: t.randn_like(t.tensor([1])),
    **run_path(str(Path(__file__).with_name("refused_by_layers.py")))["CALLS"],
}

# Ops whose messages may name the op that they are made of.
MADE_OF = {
    "addmm": "mm",
    "allclose": "isclose",
    "broadcast_to": "expand",
    "diff": "cat",
    "normalize": "norm",
    "rand_like": "rand",
    "randint_like": "randint",
    "randn": "rand",
    "randn_like": "rand",
}


@pytest.mark.parametrize("what", CALLS)
def test_refused_as_by_torch(what: str, needs) -> None:
    needs("torch")
    # AttributeError: so torch says that a number is no Tensor where its function is written in Python
    with pytest.raises((RuntimeError, ValueError, TypeError, IndexError, NotImplementedError, AttributeError)):
        CALLS[what](TorchNames())
    name = what.partition(":")[0]
    named = rf"^({name}|{MADE_OF.get(name, name)}): "
    with pytest.raises((ValueError, TypeError, IndexError, ZeroDivisionError), match=named):
        CALLS[what](TinygradNames())


def test_every_op_that_can_refuse_is_here() -> None:
    """All but those that take any Tensor, and only need to be given one: `exp: a number` stands for them.

    What indexing and `x.to(dtype)` refuse is in tests of their own.
    """
    anything = {row.name for row in ROWS if row.elementwise and all(len(call.shapes) == 1 for call in row.calls)}
    elsewhere = {"getitem", "setitem", "cast"}
    refusing = {row.name for row in ROWS} - anything - elsewhere - {what.partition(":")[0] for what in CALLS}
    assert not refusing, f"no refusal of {sorted(refusing)}"
