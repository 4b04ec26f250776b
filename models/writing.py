"""Text that goes on from its beginning, one character at a time, and what the model looked back at for each of them.

The look back is attention: of a CharRNN the weights over its past states, of a GPT the last block's, the mean over its
heads. Symbols: T characters read so far, V the vocabulary, H heads, C the width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn, use_backend
from tinygrad_edu.models.char_rnn import CharRNN, shortened
from tinygrad_edu.models.gpt import Attention
from tinygrad_edu.models.layer_outputs import watched
from tinygrad_edu.models.sampling import draw

Step = tuple[np.ndarray, np.ndarray | None]  # logits (V,) of the next character; weights (T,) of those read, or None


def write(
    model: nn.Module, prompt: np.ndarray, characters: int, rng: np.random.Generator, *, length: int, **sampling: Any
) -> Iterator[tuple[int, np.ndarray | None]]:
    """The numbers of `characters` characters that go on from the prompt (T,), each with the weights of those before it.

    The model reads the last `length` characters. Weights are (S,), S at most `length`, the nearest character's last,
    and None for a model without attention that we know. `sampling`: temperature, top_k, top_p of `sampling.draw`. The
    model is put into evaluation mode. ValueError for an empty prompt.
    """
    if not len(prompt):
        raise ValueError("write: expected a prompt of at least one character, got none")
    steps = _char_rnn if isinstance(model, CharRNN) else _whole_text
    model.eval()
    parameter: Any = next(model.parameters())
    reading = steps(model, prompt[-length:], length)
    token: int | None = None
    for _ in range(characters):
        with use_backend(parameter.backend.name), tg.no_grad():
            logits, weights = next(reading) if token is None else reading.send(token)
        token = draw(logits, rng, **sampling)
        yield token, weights


def _char_rnn(model: Any, prompt: np.ndarray, length: int) -> Any:
    """What a CharRNN says after the prompt, and after each character that is sent; it keeps its state."""
    logits, state = model(tg.tensor(prompt[None]))
    while True:
        seen = state[1]  # (1, S, D): the past states, the newest last
        token = yield logits.numpy()[0, -1], model.attention(seen[:, -1:], seen).numpy()[0, 0]
        logits, state = model(tg.tensor([[token]]), shortened(state, length - 1))


def _whole_text(model: Any, prompt: np.ndarray, length: int) -> Any:
    """The same of a model that reads the text anew for each character."""
    text = prompt.tolist()
    layers = {name: module for name, module in model.named_modules() if isinstance(module, Attention)}
    last = next(reversed(layers), None)
    with watched(layers) as seen:
        while True:
            logits = model(tg.tensor([text[-length:]]))  # (1, T, V)
            weights = None if last is None else layers[last].weights(*seen[last][0]).numpy()  # (1, H, T, T)
            text.append((yield logits.numpy()[0, -1], None if weights is None else weights[0, :, -1].mean(0)))
