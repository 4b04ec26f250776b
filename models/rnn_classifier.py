"""A recurrent network with attention that tells which class a text belongs to, and where it looked.

Each character is looked up in a table; one recurrent layer reads the text forwards, another backwards, so that a state
knows what stands before and behind its character. Attention gives every state a score, the softmax of the scores over
the text are weights, and the states' weighted sum, the context, gives the logits:

    h_t = [GRU(e_t, h_{t-1}), GRU(e_t, h_{t+1})]
    s_t = v · tanh(W h_t + b)        a_t = softmax_t(s_t)        c = Σ_t a_t h_t        logits = U c + d

As c is a sum, so are the logits: the place t adds a_t U h_t. A picture can show who contributed what.

In the shapes B is the batch, T the time, H the features of a direction, K the classes.

Sources: D. Bahdanau, K. Cho, Y. Bengio, "Neural machine translation by jointly learning to align and translate", 2015
(the score); Z. Yang et al., "Hierarchical attention networks for document classification", 2016 (no query but a
learned v; theirs also has words below sentences).
"""

from __future__ import annotations

from typing import NamedTuple

import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, logical_not, nn


class Steps(NamedTuple):
    """All that the network computes on its way: what a text is followed through."""

    states: Tensor  # h (B, T, 2 H), forwards and then backwards; 0 behind a text's end
    scores: Tensor  # s (B, T)
    attention: Tensor  # a (B, T), each row sums to 1; 0 behind a text's end
    context: Tensor  # c (B, 2 H)
    logits: Tensor  # (B, K)


class RNNClassifier(nn.Module):
    """Characters (B, T) with a mask (B, T) bool, True where there is one -> logits (B, classes).

    Without a mask all T are characters. What stands where the mask is False has no influence; at least one character
    of each text must be there. `data.padded` makes both of texts of unequal lengths.

    >>> import tinygrad_edu as tg
    >>> mask = tg.tensor([[True, True, True], [True, False, False]])
    >>> RNNClassifier(26, 2)(tg.tensor([[1, 2, 3], [4, 0, 0]]), mask).shape
    (2, 2)
    """

    def __init__(self, vocabulary: int, classes: int, width: int = 32, hidden: int = 64) -> None:
        self.characters = nn.Embedding(vocabulary, width)
        self.recurrent = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.attend = nn.Linear(2 * hidden, 2 * hidden)  # W, b
        self.score = nn.Linear(2 * hidden, 1, bias=False)  # v
        self.out = nn.Linear(2 * hidden, classes)  # U, d

    def forward(self, characters: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T), (B, T) -> logits (B, K). ValueError for other shapes and dtypes."""
        return self.steps(characters, mask).logits

    def steps(self, characters: Tensor, mask: Tensor | None = None) -> Steps:
        """The same, with all that is on the way: (B, T), (B, T) -> `Steps`."""
        _check(characters, mask)
        states, _ = self.recurrent(self.characters(characters), mask=mask)  # (B, T, 2 H)
        scores = self.score(self.attend(states).tanh())[..., 0]  # (B, T)
        kept = scores if mask is None else scores.masked_fill(logical_not(mask), -float("inf"))  # whose exp is 0
        attention = F.softmax(kept, 1)
        context = (attention[..., None] * states).sum(1)  # (B, 2 H)
        return Steps(states, scores, attention, context, self.out(context))


def _check(characters: Tensor, mask: Tensor | None) -> None:
    """ValueError unless the mask is that of the characters (B, T)."""
    hint = "data.padded makes both of texts of unequal lengths"
    if not isinstance(characters, Tensor) or characters.ndim != 2:
        found = characters.shape if isinstance(characters, Tensor) else f"a {type(characters).__name__}"
        raise ValueError(f"RNNClassifier: expected a Tensor of characters (B, T) and its mask, got {found}; {hint}")
    if mask is not None and (mask.shape != characters.shape or str(mask.dtype) != "bool"):
        expected = f"a mask {characters.shape} of bool"
        raise ValueError(f"RNNClassifier: expected {expected}, got {mask.shape} of {mask.dtype}; {hint}")
