"""Embedding: a table with a vector for each of a vocabulary's entries, and the looking up in it.

It is `take` of rows, and the gradient adds up where a row was taken twice (`put_add`): the same as a matrix product
with one-hot vectors, without the zeros. Source: Y. Bengio et al., "A Neural Probabilistic Language Model", JMLR 2003.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu import Tensor, eq, no_grad, unsqueeze, where, zeros
from tinygrad_edu.nn import init
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.ops.index import check_index, take
from tinygrad_edu.ops.op import check_same_backend


def _row(name: str, padding_idx: Any, rows: int) -> int:
    """`padding_idx` counted from the front."""
    if not isinstance(padding_idx, int) or not -rows <= padding_idx < rows:
        raise ValueError(f"{name}: expected padding_idx from {-rows} to {rows - 1}, got {padding_idx!r}")
    return padding_idx % rows


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """weight[input]: integers of any shape (...), a table (V, D) -> (..., D).

    The row `padding_idx`, if given, gets no gradient from here. TypeError for indices that are no integers, ValueError
    for a weight that is no matrix, IndexError for an index outside 0..V - 1.
    """
    check_same_backend("embedding", (input, weight))
    if input.dtype.kind not in "iu":
        raise TypeError(f"embedding: expected integers as input, got {input.dtype}; convert it first, x.long()")
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected a weight of shape (V, D), got {weight.shape}")
    check_index("embedding", input, weight.shape[0], 0, 0)
    out = take(weight, input)
    if padding_idx is None:
        return out
    padded = unsqueeze(eq(input, _row("embedding", padding_idx, weight.shape[0])), -1)
    return where(padded, out.detach(), out)


class Embedding(Module):
    """A table of `num_embeddings` vectors, looked up by integers: (...) -> (..., embedding_dim).

    `weight` (V, D) begins standard normal, as torch's does. The row `padding_idx`, if given, begins as zeros and stays
    as it is in training.

    >>> import tinygrad_edu as tg
    >>> Embedding(65, 8)(tg.tensor([[1, 2, 3], [0, 0, 64]])).shape
    (2, 3, 8)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        for name, n in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if not isinstance(n, int) or n < 0:
                raise ValueError(f"Embedding: expected {name} to be an int >= 0, got {n!r}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else _row("Embedding", padding_idx, num_embeddings)
        self.weight = Parameter(init.normal_(zeros(num_embeddings, embedding_dim)))
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Tensor) -> Tensor:
        """Integers (...) -> (..., embedding_dim)."""
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
