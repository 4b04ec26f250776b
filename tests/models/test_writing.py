"""Text that goes on: the same characters as by a plain loop, and the weights that attention really had."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.models.char_rnn import CharRNN
from tinygrad_edu.models.gpt import GPT
from tinygrad_edu.models.sampling import draw
from tinygrad_edu.models.writing import write
from tinygrad_edu.scripts.ch12_transformer_pictures import Look

PROMPT, LENGTH = np.array([3, 1, 4, 1, 5, 9, 2, 6]), 6


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_network_writes_as_if_it_read_all_anew(cell: str) -> None:
    model = CharRNN(10, width=8, cell=cell, dropout=0.5).eval()
    text, rng = PROMPT.tolist(), np.random.default_rng(0)
    for token, weights in write(model, PROMPT, 5, np.random.default_rng(0), length=100, temperature=0.5):
        with tg.no_grad():
            h, _ = model.recurrent(model.tokens(tg.tensor([text])))
            logits, _ = model(tg.tensor([text]))
            expected = model.attention(h, h).numpy()[0, -1]
        np.testing.assert_allclose(weights, expected, atol=1e-6)  # float32; the states were computed one by one
        assert token == draw(logits.numpy()[0, -1], rng, 0.5)
        text.append(token)
    lengths = [len(weights) for _, weights in write(model, PROMPT[:3], 5, np.random.default_rng(0), length=LENGTH)]
    assert lengths == [3, 4, 5, 6, 6]


@pytest.mark.usefixtures("seeded")
def test_a_transformer_writes_within_its_context() -> None:
    model = GPT(10, LENGTH, layers=2, heads=2, width=8)
    for weight in model.parameters():
        weight.data = weight.data * 20.0  # far from uniform: attention has something to say
    text, rng = PROMPT.tolist(), np.random.default_rng(0)
    for token, weights in write(model, PROMPT, 5, np.random.default_rng(0), length=LENGTH, top_k=5):
        look = Look(model, np.array(text[-LENGTH:]))
        np.testing.assert_allclose(weights, look.weights[-1][:, -1].mean(0), atol=1e-6)  # float32, another order
        assert weights.max() > 2.0 / LENGTH
        assert token == draw(look.logits[-1], rng, 1.0, 5)
        text.append(token)
    assert all(not module._forward_hooks for module in model.modules())


def test_other_models_write_without_weights() -> None:
    class Next(nn.Module):
        """After n comes n + 1."""

        def __init__(self) -> None:
            self.scale = nn.Parameter(tg.tensor(100.0))

        def forward(self, tokens: tg.Tensor) -> tg.Tensor:
            return tg.tensor(np.eye(10, dtype=np.float32)[(tokens.numpy() + 1) % 10]) * self.scale

    written = list(write(Next(), np.array([7]), 4, np.random.default_rng(0), length=3))
    assert written == [(8, None), (9, None), (0, None), (1, None)]
    with pytest.raises(ValueError, match="a prompt of at least one character"):
        next(write(Next(), np.array([], np.int64), 1, np.random.default_rng(0), length=3))
