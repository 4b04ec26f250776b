"""Layers of models of sequences beside the table of cases: states exchanged with torch, settings, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.testing import compare_with_torch

Needs = Callable[[str], ModuleType]
RTOL = 1e-12  # float64: sums of at most some tens of products, each library in its own order
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Seed 0 before, and the default stream as it was afterwards."""
    before = tg.random.get_state()
    tg.manual_seed(0)
    yield
    tg.random.set_state(before)


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
