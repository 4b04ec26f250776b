"""The transformer's layers, beside what `test_sequences_random.py` holds against torch: how they begin, dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.nn import transformer_layers

pytestmark = pytest.mark.usefixtures("seeded")
RTOL = 1e-10  # float64: sums of some tens of products


# --- attention's layer -----------------------------------------------------------------------------------------------


def test_attentions_parameters_begin_as_torchs() -> None:
    for layer, fans in ((nn.MultiheadAttention(64, 4), 64 + 192), (nn.MultiheadAttention(64, 4, kdim=8), None)):
        for name, p in layer.named_parameters():
            a = p.detach().numpy()
            if "bias" in name:
                assert not a.any()
                continue
            # Xavier's bound, of all three matrices together where they are one; a Linear's is 1 / sqrt(64).
            bound = 1 / 8 if name.startswith("out") else math.sqrt(6 / (fans or sum(a.shape)))
            assert np.abs(a).max() <= bound
            assert a.std() == pytest.approx(bound / math.sqrt(3), rel=4 / math.sqrt(a.size))


def test_attention_drops_weights_in_training_only() -> None:
    layer, x = nn.MultiheadAttention(4, 2, dropout=0.25).double(), tg.randn(30, 3, 4, dtype=tg.float64)
    dropped = layer(x, x, x, average_attn_weights=False)[1].detach().numpy()
    weights = layer.eval()(x, x, x, average_attn_weights=False)[1].detach().numpy()
    kept = dropped != 0.0
    np.testing.assert_allclose(dropped[kept], weights[kept] / 0.75, rtol=RTOL)
    assert kept.mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.25 * 0.75 / kept.size))
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=RTOL)
    layer.dropout = 1.0
    assert (layer(x, x, x, need_weights=False)[0] == layer.train()(x, x, x, need_weights=False)[0]).sum() == 0


def test_weights_are_not_formed_unless_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer_layers, "attention_weights", None)
    layer, x = nn.TransformerEncoderLayer(4, 2, 8), tg.randn(5, 3, 4)
    assert layer(x, src_key_padding_mask=tg.zeros(3, 5) > 0.0, is_causal=True).shape == (5, 3, 4)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        layer.self_attn(x, x, x)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_that_may_see_nothing_finds_0(need_weights: bool) -> None:
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), tg.randn(2, 3, 4).requires_grad_()
    padding = tg.tensor([[True, True, True], [False, False, True]])
    out, _ = layer(x, x, x, key_padding_mask=padding, need_weights=need_weights)
    assert out[0].tolist() == [[0.0] * 4] * 3
    (gx,) = tg.grad(out.sum(), [x])
    assert gx[0].tolist() == [[0.0] * 4] * 3
    assert np.isfinite(gx.numpy()).all()


@pytest.mark.parametrize("place", ["dropout", "dropout1", "dropout2"])
def test_each_dropout_of_a_layer_acts_in_its_place(place: str) -> None:
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation=tg.tanh), tg.randn(5, 3, 4)
    getattr(layer, place).p = 1.0
    attended = layer.norm1(x if place == "dropout1" else x + layer.self_attn(x, x, x)[0])
    fed = layer.linear2(tg.tanh(layer.linear1(attended)) * float(place != "dropout")) * float(place != "dropout2")
    expected = layer.norm2(attended + fed)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected.detach().numpy(), atol=1e-6)  # float32, of size 1
    assert (layer.eval()(x) != expected).any()


# --- positions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [6, 5, 1])
def test_sinusoids_follow_the_formula(width: int) -> None:
    layer, x = nn.SinusoidalPositions(width, 50), tg.randn(2, 40, width)
    expected = [
        [(math.sin, math.cos)[j % 2](t / 10000 ** (2 * (j // 2) / width)) for j in range(width)] for t in range(40)
    ]
    found = (layer(x) - x).numpy()
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)  # float32, of sums up to 5
    assert list(layer.state_dict()) == ["table"]
    assert not list(layer.parameters())


def test_learned_positions_are_trained() -> None:
    layer, x = nn.LearnedPositions(300, 100), tg.randn(3, 5, 100)
    table = layer.table.detach().numpy()
    assert table.std() == pytest.approx(0.02, rel=4 / math.sqrt(2 * table.size))
    np.testing.assert_array_equal(layer(x).detach().numpy(), x.numpy() + table[:5])
    layer(x).sum().backward()
    assert layer.table.grad.tolist() == [[3.0] * 100] * 5 + [[0.0] * 100] * 295


# --- mistakes --------------------------------------------------------------------------------------------------------


def attended(*shapes: tuple[int, ...], settings: dict[str, Any] | None = None, **given: Any) -> Any:
    return nn.MultiheadAttention(4, 2, **settings or {})(*map(tg.ones, shapes), **given)


X = ((5, 3, 4),) * 3
MISTAKES: list[tuple[type[Exception], Callable[[], Any], str]] = [
    (ValueError, lambda: nn.MultiheadAttention(0, 1), "MultiheadAttention: expected embed_dim to be an int > 0, got 0"),
    (ValueError, lambda: nn.MultiheadAttention(4, 3), "expected num_heads to divide embed_dim, got 3 and 4"),
    (ValueError, lambda: nn.MultiheadAttention(4, 2, 1.5), "a probability between 0 and 1, got dropout=1.5"),
    (
        ValueError,
        lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
        "expected add_bias_kv=False, got True; it is not",
    ),
    (ValueError, lambda: nn.MultiheadAttention(4, 2, add_zero_attn=True), "expected add_zero_attn=False, got True; it"),
    (
        ValueError,
        lambda: attended((5, 3, 4), (6, 3, 4), (6, 3, 2), settings={"kdim": 3, "vdim": 2}),
        r"expected \(L, B, 4\), \(S, B, 3\), \(S, B, 2\), or all without B, got \(5, 3, 4\), \(6, 3, 4\), \(6, 3, 2\)",
    ),
    (
        ValueError,
        lambda: attended((5, 3, 4), (6, 2, 4), (6, 2, 4), settings={"batch_first": True}),
        r"expected \(B, L, 4\), \(B, S, 4\), \(B, S, 4\), or all without B",
    ),
    (ValueError, lambda: attended((5, 3, 4), (6, 2, 4), (6, 2, 4)), r"got \(5, 3, 4\), \(6, 2, 4\), \(6, 2, 4\)"),
    (ValueError, lambda: attended((5, 4), (6, 4), (5, 4)), r"got \(5, 4\), \(6, 4\), \(5, 4\)"),
    (ValueError, lambda: attended((4,), (4,), (4,)), r"got \(4,\), \(4,\), \(4,\)"),
    (
        ValueError,
        lambda: attended(*X, key_padding_mask=tg.ones(5, 3)),
        r"MultiheadAttention: expected key_padding_mask of shape \(3, 5\), got \(5, 3\)",
    ),
    (
        ValueError,
        lambda: attended(*X, attn_mask=tg.ones(3, 5, 5)),
        r"MultiheadAttention: expected attn_mask of shape \(5, 5\) or \(6, 5, 5\), got \(3, 5, 5\)",
    ),
    (
        TypeError,
        lambda: attended(*X, attn_mask=tg.ones(5, 5).double()),
        "MultiheadAttention: expected attn_mask of bool or float32, got float64",
    ),
    (
        ValueError,
        lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"),
        "TransformerEncoderLayer: expected activation 'relu' or 'gelu', got 'tanh'",
    ),
    (ValueError, lambda: nn.TransformerEncoderLayer(4, 2, 0), "expected dim_feedforward to be an int > 0, got 0"),
    (
        ValueError,
        lambda: nn.SinusoidalPositions(4, 8)(tg.ones(2, 9, 4)),
        "SinusoidalPositions: expected a sequence of at most max_len = 8, got 9",
    ),
    (
        ValueError,
        lambda: nn.LearnedPositions(8, 4)(tg.ones(2, 9, 4)),
        "LearnedPositions: expected a sequence of at most max_len = 8, got 9",
    ),
    (ValueError, lambda: nn.LearnedPositions(8, 4)(tg.ones(2, 8, 1)), r"expected \(B, T, C\), C = 4, got \(2, 8, 1\)"),
    (ValueError, lambda: nn.SinusoidalPositions(4, 0), "SinusoidalPositions: expected max_len to be an int > 0, got 0"),
]


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_mistakes(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()
