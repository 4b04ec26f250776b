"""Layers of models of sequences beside the table of cases: states exchanged with torch, settings, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.testing import compare_with_torch

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("seeded")
RTOL = 1e-12  # float64: sums of at most some tens of products, each library in its own order
RNG = np.random.default_rng(0)


def same_state(torch: Any, ours: Any, theirs: Any) -> None:
    """The keys, their order and the shapes are torch's; torch takes our values, and we take torch's, which stay."""
    state = {key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(state)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.rand(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    ours.load_state_dict(theirs.state_dict())
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def same_gradients(ours: Any, theirs: Any) -> None:
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=RTOL, atol=RTOL, err_msg=name)


# --- embedding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [None, 0, -2])
def test_embedding_is_torchs(needs: Needs, padding: int | None) -> None:
    torch = needs("torch")
    ours, theirs = nn.Embedding(5, 3, padding).double(), torch.nn.Embedding(5, 3, padding, dtype=torch.float64)
    index, g = np.array([[1, 3, 0], [3, 3, 4]]), RNG.standard_normal((2, 3, 3))
    if padding is not None:
        assert ours.weight[padding].tolist() == theirs.weight[padding].tolist() == [0.0] * 3
        assert ours.padding_idx == theirs.padding_idx
    same_state(torch, ours, theirs)
    found, expected = ours(tg.tensor(index)), theirs(torch.tensor(index))
    np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy())
    found.backward(tg.tensor(g))
    expected.backward(torch.tensor(g))
    same_gradients(ours, theirs)
    assert repr(ours) == repr(theirs)


def test_embedding_begins_standard_normal() -> None:
    weight = nn.Embedding(300, 300).weight.detach().numpy()
    assert abs(weight.mean()) < 4 / 300  # four standard errors of 90,000 numbers
    assert weight.std() == pytest.approx(1.0, abs=4 / 300)


# --- norms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "settings"),
    [
        ("LayerNorm", (4,), {}),
        ("LayerNorm", ((3, 4),), {"eps": 0.1}),
        ("LayerNorm", (4,), {"bias": False}),
        ("LayerNorm", ([4],), {"elementwise_affine": False}),
        ("RMSNorm", (4,), {}),
        ("RMSNorm", ((3, 4), 0.1), {}),
        ("RMSNorm", (4,), {"elementwise_affine": False}),
        ("GroupNorm", (3, 6), {}),
        ("GroupNorm", (1, 6, 0.1), {"affine": False}),
        ("GroupNorm", (2, 6), {"bias": False}),
    ],
)
def test_norm_layers_are_torchs(needs: Needs, name: str, args: tuple[Any, ...], settings: dict[str, Any]) -> None:
    torch = needs("torch")
    ours = getattr(nn, name)(*args, **settings).double()
    theirs = getattr(torch.nn, name)(*args, **settings, dtype=torch.float64)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):  # ones and zeros
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    same_state(torch, ours, theirs)
    x = RNG.standard_normal((2, 6, 3, 4))
    compare_with_torch(ours, theirs, x)
    if name != "RMSNorm":  # torch's says nothing of eps when it is None
        assert repr(ours) == repr(theirs)


def test_layer_norm_takes_a_bias_without_a_weight(needs: Needs) -> None:
    torch = needs("torch")
    ours, theirs = (lambda x, b, f=f: f.layer_norm(x, (4,), None, b) for f in (F, torch.nn.functional))
    # Of order 1: torch's own second gradient of this fails.
    compare_with_torch(ours, theirs, RNG.standard_normal((3, 4)), RNG.standard_normal(4), order=1)


# --- attention -------------------------------------------------------------------------------------------------------


def test_attention_drops_weights_and_scales_the_rest() -> None:
    """With the values an identity matrix, the result is the weights: each is 0, or what it was times 1 / (1 - p)."""
    q, k = (tg.tensor(RNG.standard_normal((2, 30, 4))) for _ in range(2))
    v = tg.tensor(np.broadcast_to(np.eye(30), (2, 30, 30)).copy())
    weights = F.scaled_dot_product_attention(q, k, v).numpy()
    dropped = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).numpy()
    kept = dropped != 0.0
    np.testing.assert_allclose(dropped[kept], weights[kept] / 0.75, rtol=RTOL)
    assert kept.mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.25 * 0.75 / kept.size))


def test_attention_with_every_key_masked_gives_zeros_and_no_nan(needs: Needs) -> None:
    torch = needs("torch")
    mask = np.array([[True, False, True], [False, False, False]])
    x = RNG.standard_normal((3, 2, 3, 4))
    for given in (mask, np.where(mask, 0.0, -np.inf)):

        def attend(t: Any, q: Any, k: Any, v: Any, given: np.ndarray = given) -> Any:
            function = F if t is tg else torch.nn.functional
            return function.scaled_dot_product_attention(q[:, :2], k, v, t.tensor(given))

        compare_with_torch(lambda *xs: attend(tg, *xs), lambda *xs: attend(torch, *xs), *x)
        assert attend(tg, *map(tg.tensor, x))[:, 1].tolist() == [[0.0] * 4] * 2


# --- recurrent layers ------------------------------------------------------------------------------------------------

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("RNN", (3, 4), {}),
    ("RNN", (3, 4, 2, "relu"), {"bias": False, "bidirectional": True}),
    ("RNN", (3, 4), {"nonlinearity": "relu", "batch_first": True}),
    ("LSTM", (3, 4), {}),
    ("LSTM", (3, 4, 2), {"bidirectional": True}),
    ("LSTM", (3, 4, 3), {"bias": False, "batch_first": True}),
    ("GRU", (3, 4), {}),
    ("GRU", (3, 4, 2), {"batch_first": True, "bidirectional": True}),
    ("GRU", (1, 1), {"bias": False}),
]


def flat(results: Any) -> list[Any]:
    """The Tensors in nested tuples, one after the other."""
    return [x for part in results for x in flat(part)] if isinstance(results, (tuple, list)) else [results]


@pytest.mark.parametrize(("name", "args", "settings"), LAYERS)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize("batched", [True, False], ids=["batch", "no batch"])
def test_recurrent_layers_are_torchs(
    needs: Needs, name: str, args: tuple[Any, ...], settings: dict[str, Any], given: bool, batched: bool
) -> None:
    """Outputs, last states and the gradients of everything, among them the first states'."""
    torch = needs("torch")
    ours, theirs = getattr(nn, name)(*args, **settings).double(), getattr(torch.nn, name)(*args, **settings).double()
    same_state(torch, ours, theirs)
    x = RNG.standard_normal((5, 2, args[0]) if batched else (5, args[0]))
    batch = x.shape[0 if ours.batch_first else 1]
    count = ours.num_layers * (2 if ours.bidirectional else 1)
    states = [RNG.standard_normal((count, batch, args[1]) if batched else (count, args[1])) for _ in range(ours.states)]

    def run(layer: Any, x: Any, *states: Any) -> Any:
        return flat(layer(x, *([states if len(states) > 1 else states[0]] if given else [])))

    # Of order 1: torch's LSTM of sequences has no second gradients; ours are tested by the table of cases.
    compare_with_torch(lambda *xs: run(ours, *xs), lambda *xs: run(theirs, *xs), x, *states, order=1)
    for t, layer in ((tg, ours), (torch, theirs)):
        total = sum((out * out).sum() for out in run(layer, t.tensor(x), *map(t.tensor, states)))
        total.backward()
    same_gradients(ours, theirs)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_recurrent_parameters_begin_as_torchs(name: str) -> None:
    layer = getattr(nn, name)(100, 64, num_layers=2)
    for p in layer.parameters():
        a = p.detach().numpy()
        assert np.abs(a).max() <= 1 / 8
        assert a.std() == pytest.approx(1 / 8 / np.sqrt(3), rel=4 / np.sqrt(a.size))


def test_dropout_is_between_layers_and_in_training_only() -> None:
    layer, x = nn.GRU(3, 50, num_layers=2, dropout=1.0), tg.tensor(RNG.standard_normal((4, 2, 3)).astype(np.float32))
    out, last = layer(x)
    below = nn.GRU(3, 50)
    below.load_state_dict({k: v for k, v in layer.state_dict().items() if k.endswith("l0")})
    np.testing.assert_array_equal(last[0].detach().numpy(), below(x)[1][0].detach().numpy())  # before it is dropped
    above = nn.GRU(50, 50)
    above.load_state_dict({k.replace("l1", "l0"): v for k, v in layer.state_dict().items() if k.endswith("l1")})
    np.testing.assert_array_equal(out.detach().numpy(), above(tg.zeros(4, 2, 50))[0].detach().numpy())
    assert (layer.eval()(x)[0] != out).any()


def test_sequences_may_come_in_pieces() -> None:
    """The states after the first piece are the first states of the second."""
    for name in ("RNN", "LSTM", "GRU"):
        layer, x = getattr(nn, name)(3, 4, num_layers=2).double(), tg.tensor(RNG.standard_normal((6, 2, 3)))
        whole, last = layer(x)
        first, between = layer(x[:2])
        second, end = layer(x[2:], between)
        np.testing.assert_allclose(tg.cat([first, second]).detach().numpy(), whole.detach().numpy(), rtol=RTOL)
        for a, b in zip(flat(end), flat(last), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=RTOL)


@pytest.mark.parametrize("shape", [(2, 3), (3,)], ids=str)
@pytest.mark.parametrize(
    ("name", "settings"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu", "bias": False}), ("LSTMCell", {}), ("GRUCell", {})],
)
def test_cells_are_torchs(needs: Needs, name: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    torch = needs("torch")
    ours, theirs = getattr(nn, name)(3, 4, **settings).double(), getattr(torch.nn, name)(3, 4, **settings).double()
    same_state(torch, ours, theirs)
    x, *states = RNG.standard_normal(shape), *[RNG.standard_normal((*shape[:-1], 4)) for _ in range(ours.states)]

    def run(cell: Any, x: Any, *states: Any) -> Any:
        return flat(cell(x, *([] if not states else [states] if len(states) > 1 else states)))

    for given in ([], states):
        compare_with_torch(lambda *xs: run(ours, *xs), lambda *xs: run(theirs, *xs), x, *given)
    assert repr(ours) == repr(theirs)


MISTAKES: list[tuple[type[Exception], Callable[[], Any], str]] = [
    (ValueError, lambda: nn.Embedding(3, -1), "Embedding: expected embedding_dim to be an int >= 0, got -1"),
    (ValueError, lambda: nn.Embedding(3, 2, 3), "Embedding: expected padding_idx from -3 to 2, got 3"),
    (ValueError, lambda: F.embedding(tg.tensor([0]), tg.ones(3)), r"embedding: expected a weight of shape \(V, D\)"),
    (IndexError, lambda: nn.Embedding(3, 2)(tg.tensor([[3]])), "embedding: index 3 is out of range for dimension 0 of"),
    (ValueError, lambda: nn.LayerNorm(3)(tg.ones(2, 4)), r"layer_norm: expected input of shape \(..., 3\), as"),
    (TypeError, lambda: nn.LayerNorm(2.5), "LayerNorm: expected normalized_shape to be an int"),  # type: ignore[arg-type]
    (TypeError, lambda: nn.LayerNorm(3)(tg.ones(2, 3).double()), "layer_norm: expected Tensors of one dtype"),
    (ValueError, lambda: nn.GroupNorm(2, 3), "GroupNorm: 3 channels do not divide into 2 groups"),
    (ValueError, lambda: nn.GroupNorm(2, 4)(tg.ones(2, 6)), r"GroupNorm: expected input \(N, 4, ...\), got \(2, 6\)"),
    (
        ValueError,
        lambda: F.scaled_dot_product_attention(*[tg.ones(2, 3)] * 3, tg.ones(2, 2), is_causal=True),
        "scaled_dot_product_attention: expected attn_mask or is_causal, got both",
    ),
    (ValueError, lambda: nn.LSTM(3, 0), "LSTM: expected hidden_size to be an int > 0, got 0"),
    (ValueError, lambda: nn.GRU(3, 4, dropout=2.0), "GRU: expected a probability between 0 and 1, got dropout=2.0"),
    (ValueError, lambda: nn.RNN(3, 4, nonlinearity="sin"), "RNN: expected nonlinearity 'tanh' or 'relu', got 'sin'"),
    (ValueError, lambda: nn.RNN(3, 4)(tg.ones(5, 2, 4)), r"RNN: expected input \(T, B, D\) or \(T, D\), D = 3, got"),
    (ValueError, lambda: nn.RNN(3, 4)(tg.ones(0, 2, 3)), r"rnn: expected input \(T, B, D\), T > 0, and w_hh \(1 H, H"),
    (
        ValueError,
        lambda: nn.GRU(3, 4)(tg.ones(5, 2, 3), tg.ones(1, 3, 4)),
        r"GRU: expected a state of shape \(1, 2, 4\), got \(1, 3, 4\)",
    ),
    (
        TypeError,
        lambda: nn.LSTM(3, 4)(tg.ones(5, 2, 3), tg.ones(1, 2, 4)),
        r"LSTM: expected a tuple of two Tensors, \(h, c\) as state, got Tensor",
    ),
    (
        ValueError,
        lambda: nn.LSTMCell(3, 4)(tg.ones(2, 3), (tg.ones(2, 3), tg.ones(2, 4))),
        r"LSTMCell: expected 2 of shape \(2, 4\) as state, got \[\(2, 3\), \(2, 4\)\]",
    ),
    (
        ValueError,
        lambda: F.gru(tg.ones(2, 1, 3), tg.ones(1, 4), tg.ones(12, 3), tg.ones(12, 4), tg.ones(12)),
        r"gru: expected two biases of shape \(12,\) or none, got \(12,\)",
    ),
    (
        ValueError,
        lambda: F.scaled_dot_product_attention(*[tg.ones(2, 3)] * 3, dropout_p=1.5),
        "dropout: expected a probability between 0 and 1, got p=1.5",
    ),
]


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES, ids=[m[2].partition(":")[0] for m in MISTAKES])
def test_mistakes(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()
