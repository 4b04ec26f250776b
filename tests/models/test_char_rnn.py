"""CharRNN beside its twin in torch; going on from a state; attention that sees the past alone."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.char_rnn import CharRNN, shortened

Needs = Callable[[str], ModuleType]
TOKENS = np.random.default_rng(0).integers(0, 11, (3, 7))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_is_torchs(needs: Needs, cell: str) -> None:
    torch = needs("torch")
    from tinygrad_edu.scripts import torch_models

    tg.manual_seed(0)
    ours = CharRNN(11, width=8, cell=cell).double()
    theirs = torch_models.CharRNN(11, width=8, cell=cell).double()
    torch_models.load(theirs, {key: value.numpy() for key, value in ours.state_dict().items()})
    (out, _), (expected, _) = ours(tg.tensor(TOKENS)), theirs(torch.tensor(TOKENS))
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    for p, (name, q) in zip(ours.parameters(), theirs.named_parameters(), strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("pieces", [(3, 4), (1, 1, 5), (6, 1)])
def test_piece_by_piece_is_as_in_one_go(cell: str, pieces: tuple[int, ...]) -> None:
    tg.manual_seed(0)
    model = CharRNN(11, width=8, cell=cell).double().eval()
    whole, _ = model(tg.tensor(TOKENS))
    parts, state, start = [], None, 0
    for length in pieces:
        logits, state = model(tg.tensor(TOKENS[:, start : start + length]), state)
        parts.append(logits.detach().numpy())
        start += length
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_a_shortened_state_has_no_graph_and_so_many_past_states() -> None:
    model = CharRNN(11, width=8, cell="lstm")
    _, state = model(tg.tensor(TOKENS))
    (h, c), past = shortened(state, 3)
    assert past is not None
    assert past.shape == (3, 3, 8)
    assert not any(x.requires_grad for x in (h, c, past))
    assert shortened(state, 99)[1].shape == (3, 7, 8)
    assert shortened(state, 0)[1] is None


def test_attention_sums_to_one_and_sees_the_past_alone() -> None:
    model = CharRNN(11, width=8)
    h, _ = model.recurrent(model.tokens(tg.tensor(TOKENS)))
    weights = model.attention(h[:, 4:], h).detach().numpy()  # (3, 3, 7)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)
    assert (weights[:, 0, 5:] == 0.0).all()
    assert (weights[:, 2] > 0.0).all()
    seen = model.look_back(h[:, 4:], h).detach().numpy()
    np.testing.assert_allclose(weights @ h.detach().numpy(), seen, rtol=1e-4, atol=1e-6)


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="CharRNN: expected a cell of gru, lstm, got 'rnn'"):
        CharRNN(11, cell="rnn")
