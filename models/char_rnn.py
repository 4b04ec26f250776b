"""CharRNN: a recurrent network that writes one character after the other, and looks back at its own past while it does.

A character is looked up in a table; a recurrent layer reads it and changes its state; attention compares the new state
with all states so far and takes a mean of them, the fitting ones weighing most; state and mean together give the logits
of the next character. What the state has long forgotten can still be looked up.

    h_t = GRU(e_t, h_{t-1})        a_ts = softmax_{s <= t}(W h_t · h_s / √D)        c_t = Σ_s a_ts h_s
    logits = V (h_t + U c_t) + b

In the shapes B is the batch, T the time, S the states remembered from before, D the width, V the vocabulary.

Sources: A. Karpathy, "The unreasonable effectiveness of recurrent neural networks", 2015; M. Luong, H. Pham, C.
Manning, "Effective approaches to attention-based neural machine translation", 2015, section 3.1 (the score "general",
there over another sentence's states, here over one's own).
"""

from __future__ import annotations

from typing import Any

import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, cat, nn, tril
from tinygrad_edu.nn.attention import attention_weights

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class CharRNN(nn.Module):
    """Tokens (B, T) -> logits (B, T, vocabulary), and what to go on from.

    `dropout` is that of the characters' vectors and of what goes into the logits. ValueError for a cell that is none
    of `CELLS`.

    >>> logits, state = CharRNN(65, width=32)(__import__("tinygrad_edu").tensor([[1, 2, 3]]))
    >>> logits.shape
    (1, 3, 65)
    """

    def __init__(self, vocabulary: int, width: int = 512, cell: str = "gru", dropout: float = 0.0) -> None:
        if cell not in CELLS:
            raise ValueError(f"CharRNN: expected a cell of {', '.join(CELLS)}, got {cell!r}")
        self.width, self.cell = width, cell
        self.tokens = nn.Embedding(vocabulary, width)
        self.recurrent = CELLS[cell](width, width, batch_first=True)
        self.query = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Tokens (B, T) -> logits (B, T, V), and the state for the call that goes on from there.

        A state is what the recurrent layer gave last, and the past states (B, S, D) to look back at.
        """
        last, past = (None, None) if state is None else state
        h, last = self.recurrent(self.dropout(self.tokens(tokens)), last)  # (B, T, D)
        seen = h if past is None else cat([past, h], 1)  # (B, S + T, D)
        x = h + self.out(self.look_back(h, seen))
        return self.head(self.dropout(x)), (last, seen)

    def look_back(self, h: Tensor, seen: Tensor) -> Tensor:
        """What attention finds in the states up to each of the last ones: (B, T, D), (B, S + T, D) -> (B, T, D)."""
        return F.scaled_dot_product_attention(self.query(h), seen, seen, **not_ahead(h, seen))

    def attention(self, h: Tensor, seen: Tensor) -> Tensor:
        """The weights themselves, (B, T, S + T), each row summing to 1: for pictures."""
        return attention_weights(self.query(h), seen, **not_ahead(h, seen))


def not_ahead(h: Tensor, seen: Tensor) -> dict[str, Any]:
    """Attention's settings that let each state of h (B, T, D) look at those of seen (B, S + T, D) up to itself."""
    T, S = h.shape[1], seen.shape[1] - h.shape[1]
    return {"attn_mask": tril(h.new_ones((T, S + T)), S) > 0.0} if S else {"is_causal": True}


def shortened(state: Any, most: int) -> Any:
    """What the next call goes on from: a state cut off from the graph, with the last `most` past states only.

    Gradients end there (truncated backpropagation through time), and what they needed is freed.
    """
    last, past = state
    cut = tuple(x.detach() for x in last) if isinstance(last, tuple) else last.detach()
    return cut, past[:, max(0, past.shape[1] - most) :].detach() if most else None
