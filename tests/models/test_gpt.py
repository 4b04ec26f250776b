"""GPT: against the same in torch, that no place sees what comes after it, and that it can learn."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import optim, registry
from tinygrad_edu.models.gpt import GPT

Needs = Callable[[str], ModuleType]
RTOL, ATOL = 1e-11, 1e-13  # float64: some hundreds of operations deep
SIZES: dict[str, int] = {"vocabulary": 11, "context": 6, "layers": 2, "heads": 2, "width": 8}


def torchs(torch: Any, state: dict[str, Any], tokens: Any, layers: int, heads: int) -> Any:
    """The logits, from torch's functions and a state of ours."""
    f = torch.nn.functional
    norm = lambda x, name: f.layer_norm(x, x.shape[-1:], state[f"{name}.weight"])
    split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
    x = state["tokens.weight"][tokens] + state["positions.weight"][: tokens.shape[1]]
    for i in range(layers):
        block = f"blocks.{i}"
        y = norm(x, f"{block}.norm_1")
        q, k, v = (split(y @ state[f"{block}.attention.{n}.weight"].T) for n in ("query", "key", "value"))
        y = f.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + y @ state[f"{block}.attention.out.weight"].T
        y = f.gelu(norm(x, f"{block}.norm_2") @ state[f"{block}.mlp.0.weight"].T)
        x = x + y @ state[f"{block}.mlp.2.weight"].T
    return norm(x, "norm") @ state["tokens.weight"].T


def test_values_and_gradients_are_torchs(needs: Needs) -> None:
    torch = needs("torch")
    tg.manual_seed(0)
    model = GPT(**SIZES).double()
    for name, p in model.named_parameters():  # so that norms and their order matter
        p.detach().copy_(tg.tensor(np.random.default_rng(len(name)).uniform(0.5, 1.5, p.shape)))
    state = {name: torch.tensor(p.detach().numpy()).requires_grad_() for name, p in model.named_parameters()}
    tokens = np.random.default_rng(0).integers(0, 11, (3, 5))
    found, expected = model(tg.tensor(tokens)), torchs(torch, state, torch.tensor(tokens), 2, 2)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=RTOL, atol=ATOL)
    g = np.random.default_rng(1).standard_normal(found.shape)
    found.backward(tg.tensor(g))
    expected.backward(torch.tensor(g))
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), state[name].grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


def test_the_past_does_not_see_the_future() -> None:
    tg.manual_seed(0)
    model = GPT(**SIZES)
    a = np.array([[1, 2, 3, 4, 5]])
    b = np.array([[1, 2, 3, 9, 5]])
    first, second = (model(tg.tensor(x)).detach().numpy() for x in (a, b))
    np.testing.assert_array_equal(first[:, :3], second[:, :3])
    assert (first[:, 3:] != second[:, 3:]).all(axis=-1).all()


def test_it_learns_a_text_by_heart() -> None:
    tg.manual_seed(0)
    model = GPT(**SIZES)
    text = tg.tensor([[3, 1, 4, 1, 5, 9, 2]])
    inputs, targets = text[:, :-1], text[0, 1:]
    adam = optim.AdamW(model.parameters(), lr=1e-2)
    assert F.cross_entropy(model(inputs)[0], targets).item() == pytest.approx(np.log(11), rel=0.1)
    for _ in range(100):
        adam.zero_grad()
        loss = F.cross_entropy(model(inputs)[0], targets)
        loss.backward()
        adam.step()
    assert loss.item() < 0.05


def test_it_begins_as_gpt_2() -> None:
    tg.manual_seed(0)
    state = registry.get("models", "gpt")().state_dict()
    assert sum(v.numel() for v in state.values()) == 4 * (12 * 128**2 + 2 * 128) + (65 + 64 + 1) * 128
    for name, std in (
        ("tokens.weight", 0.02),
        ("blocks.0.attention.query.weight", 0.02),
        ("blocks.0.attention.out.weight", 0.02 / 8**0.5),
        ("blocks.3.mlp.2.weight", 0.02 / 8**0.5),
    ):
        n = state[name].numel()
        assert state[name].numpy().std() == pytest.approx(std, rel=4 / np.sqrt(2 * n)), name


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="GPT: expected a width that the heads divide, got width 8 and 3 heads"):
        GPT(heads=3, width=8)
    with pytest.raises(ValueError, match=r"GPT: expected tokens \(B, T\) with T at most 6, got \(1, 7\)"):
        GPT(**SIZES)(tg.zeros(1, 7).long())
