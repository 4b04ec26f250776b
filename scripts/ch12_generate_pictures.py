"""The pictures of chapter 12's character generator, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu.models.char_rnn import CharRNN
from tinygrad_edu.nn.recurrent import gru_cell, lstm_cell
from tinygrad_edu.scripts.pictures import new_figure
from tinygrad_edu.scripts.text_pictures import shaded, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@tg.no_grad()
def look_back(model: CharRNN, tokens: np.ndarray, vocabulary: Sequence[str]) -> str:
    """What attention looks back at after the last of the tokens (T,), as an SVG."""
    h, _ = model.recurrent(model.tokens(tg.tensor(tokens[None])))  # (1, T, D)
    weights = model.attention(h, h).numpy()[0, -1]  # (T,)
    characters = [vocabulary[i] for i in tokens]
    best = characters[int(weights.argmax())]
    title = f"most of all at {shown(best)!r}: {weights.max():.0%} of the weight"
    return shaded(characters, weights, title)


def reach(model: CharRNN, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The length of the last character's loss's gradient in every state h_t, with attention and without: (T,) each.

    x and y (B, T); the mean over the batch. The recurrent layer is done step by step here, to have each state at hand.
    """
    step: Any = {"gru": gru_cell, "lstm": lstm_cell}[model.cell]
    weights = [getattr(model.recurrent, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    found = {}
    for name in ("with attention", "through the recurrent layer alone"):
        state: list[Any] = [model.head.weight.new_zeros((len(x), model.width))] * (2 if model.cell == "lstm" else 1)
        states = []
        for t in range(x.shape[1]):
            after = step(model.tokens(tg.tensor(x[:, t])), *state, *weights)
            state = list(after) if isinstance(after, tuple) else [after]
            states.append(state[0])  # (B, D)
        last = states[-1][:, None]  # (B, 1, D)
        if name == "with attention":
            last = last + model.out(model.look_back(last, tg.stack(states, 1)))
        loss = F.cross_entropy(model.head(last[:, 0]), tg.tensor(y[:, -1]), reduction="sum")
        gradients: Any = tg.grad(loss, states)
        found[name] = np.array([(g * g).sum(1).sqrt().mean().item() for g in gradients])
    return found


def reaches(norms: Mapping[str, np.ndarray]) -> Figure:
    """Lengths of gradients (T,) over the steps back, as shares of the last one's, on a logarithmic axis."""
    figure = new_figure(8.0, 3.6)
    ax: Any = figure.subplots()
    for name, lengths in norms.items():
        ax.plot(np.arange(len(lengths))[::-1], np.maximum(lengths / lengths[-1], 1e-9), label=name)
    ax.set(yscale="log", xlabel="steps back from the loss", ylabel="length of the gradient / the last step's")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure
