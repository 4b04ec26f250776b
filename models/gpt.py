"""GPT: a transformer that gives, for every place of a text, the logits of the token that comes next.

Tokens and places are looked up in two tables and added up; then come blocks, each adding to that stream what attention
gathers from the places before, and what a small network makes of each place alone; at the end, a linear layer whose
weight is the table of the tokens. Norms stand before what they serve ("pre-norm"), and there are no biases.

In the shapes B is the batch, T the time, C the width, H the heads, V the vocabulary.

Sources: A. Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019; for the sizes,
nanoGPT's setting for CPUs. These two make queries, keys and values by one layer of 3 C outputs, here each has its own.
"""

from __future__ import annotations

import math

import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, arange, nn, use_backend
from tinygrad_edu.nn.attention import attention_weights

STD = 0.02  # of the initial weights, as in GPT-2


class Attention(nn.Module):
    """Every place looks at itself and those before it, in H ways at once: (B, T, C) -> (B, T, C)."""

    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        q, k, v = (self.by_head(layer(x)) for layer in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, C / H)
        return self.out(seen.transpose(1, 2).reshape(x.shape))

    def by_head(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, H, T, C / H)."""
        B, T, C = x.shape
        return x.reshape(B, T, self.heads, C // self.heads).transpose(1, 2)

    def weights(self, x: Tensor) -> Tensor:
        """How much each place looks at each, (B, T, C) -> (B, H, T, T), each row summing to 1: for pictures."""
        return attention_weights(self.by_head(self.query(x)), self.by_head(self.key(x)), is_causal=True)


class Block(nn.Module):
    """What attention finds, and then what two linear layers make of it, added to the stream: (B, T, C) -> (B, T, C)."""

    def __init__(self, width: int, heads: int) -> None:
        self.norm_1 = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads)
        self.norm_2 = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class GPT(nn.Module):
    """Tokens (B, T) -> logits (B, T, vocabulary), T at most `context`.

    ValueError for a width that the heads do not divide, and for texts longer than the context.

    >>> GPT(vocabulary=65)(__import__("tinygrad_edu").tensor([[1, 2, 3]])).shape
    (1, 3, 65)
    """

    def __init__(
        self, vocabulary: int = 65, context: int = 64, layers: int = 4, heads: int = 4, width: int = 128
    ) -> None:
        if heads < 1 or width % heads:
            raise ValueError(f"GPT: expected a width that the heads divide, got width {width} and {heads} heads")
        self.context = context
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                # 2 layers sums go into the stream: smaller terms keep its variance from growing with the depth
                last = name.endswith(("attention.out.weight", "mlp.2.weight"))
                nn.init.normal_(weight, std=STD / math.sqrt(2 * layers) if last else STD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), integers -> logits (B, T, V)."""
        if tokens.ndim != 2 or tokens.shape[1] > self.context:
            raise ValueError(f"GPT: expected tokens (B, T) with T at most {self.context}, got {tokens.shape}")
        with use_backend(tokens.backend.name):
            places = arange(tokens.shape[1])
        x = self.tokens(tokens) + self.positions(places)  # (B, T, C) + (T, C)
        return F.linear(self.norm(self.blocks(x)), self.tokens.weight)  # the tokens' table again: "tied"
