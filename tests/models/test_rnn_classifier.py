"""The text classifier: torch's function and gradients, padding without influence, attention, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import data, registry
from tinygrad_edu.models.rnn_classifier import RNNClassifier

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("seeded")
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, 7, length) for length in (5, 1, 9, 3)]


def model() -> RNNClassifier:
    return RNNClassifier(7, 3, width=4, hidden=6).double()


def test_it_is_torchs(needs: Needs) -> None:
    """With packed sequences there. Sums of some hundred products in another order: 1e-15 each."""
    torch = needs("torch")
    from tinygrad_edu.scripts import torch_models

    ours, theirs = model(), torch_models.RNNClassifier(7, 3, width=4, hidden=6).double()
    torch_models.load(theirs, {key: value.numpy() for key, value in ours.state_dict().items()})
    x, mask = data.padded(TEXTS)
    out, expected = ours(tg.tensor(x), tg.tensor(mask)), theirs(torch.tensor(x), torch.tensor(mask))
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-11)
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-13, err_msg=name)


def test_padding_changes_nothing() -> None:
    """Each text alone, in a batch, and in one that is padded further with other characters: values and gradients."""
    ours, (x, mask) = model(), data.padded(TEXTS)
    wide, wide_mask = np.full((4, 15), 6), np.zeros((4, 15), bool)
    wide[:, :9], wide_mask[:, :9] = np.where(mask, x, 5), mask
    found = []
    for characters, there in ((x, mask), (wide, wide_mask)):
        ours.zero_grad()
        logits = ours(tg.tensor(characters), tg.tensor(there))
        (logits * logits).sum().backward()
        found.append([logits.detach().numpy(), *(p.grad.numpy() for p in ours.parameters() if p.grad is not None)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)  # products of matrices of another size
    alone = np.concatenate([ours(tg.tensor(text[None])).detach().numpy() for text in TEXTS])
    np.testing.assert_allclose(alone, found[0][0], rtol=1e-12)


def test_attention_is_a_share_of_the_characters_and_the_logits_are_a_sum_over_them() -> None:
    ours, (x, mask) = model(), data.padded(TEXTS)
    steps = ours.steps(tg.tensor(x), tg.tensor(mask))
    states, scores, attention, context, logits = (t.detach().numpy() for t in steps)
    assert [a.shape for a in (states, scores, attention, context)] == [(4, 9, 12), (4, 9), (4, 9), (4, 12)]
    np.testing.assert_allclose(attention.sum(1), 1.0, rtol=1e-14)
    assert not attention[~mask].any()
    assert (attention[mask] > 0.0).all()
    for i, there in enumerate(mask):
        e = np.exp(scores[i, there])
        np.testing.assert_allclose(attention[i, there], e / e.sum(), rtol=1e-12)
    added = attention[..., None] * (states @ ours.out.weight.detach().numpy().T)  # (B, T, K)
    assert ours.out.bias is not None
    np.testing.assert_allclose(added.sum(1) + ours.out.bias.detach().numpy(), logits, rtol=1e-12)


def test_order_matters() -> None:
    ours = model()
    there_and_back = ours(tg.tensor([[1, 2, 3], [3, 2, 1]])).detach().numpy()
    assert np.abs(there_and_back[0] - there_and_back[1]).max() > 1e-4


def test_it_is_registered() -> None:
    ours = registry.get("models", "rnn-classifier")(vocabulary=5, classes=4)
    assert ours(tg.tensor([[0, 4]])).shape == (1, 4)


@pytest.mark.parametrize(
    ("characters", "mask", "message"),
    [
        ([[1, 2], [3]], None, "expected a Tensor of characters .* got a list; data.padded makes both of texts"),
        (tg.tensor([1, 2]), None, r"expected a Tensor of characters \(B, T\) and its mask, got \(2,\)"),
        (tg.tensor([[1, 2]]), tg.tensor([[True]]), r"expected a mask \(1, 2\) of bool, got \(1, 1\) of bool"),
        (tg.tensor([[1, 2]]), tg.tensor([[1, 1]]), r"expected a mask \(1, 2\) of bool, got \(1, 2\) of int64"),
        (tg.tensor([[1, 2], [3, 4]]), tg.tensor([[True, True], [False, False]]), "1 has no items"),
    ],
)
def test_mistakes(characters: Any, mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model()(characters, mask)
