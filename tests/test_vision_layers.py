"""Layers for images beside torch's: states exchanged both ways, outputs, gradients, running statistics, mistakes.

Values and gradients of the functions behind them are in tinygrad_edu/testing/table/vision.py, run by tests/ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.ops import FUSED

Needs = Callable[[str], ModuleType]
RNG = np.random.default_rng(0)
IMAGES, SEQUENCES, ROWS = RNG.standard_normal((3, 4, 7, 8)), RNG.standard_normal((3, 4, 9)), RNG.standard_normal((5, 4))
# Sums of some hundred products in another order: 1e-16 each, and some room.
CLOSE = {"rtol": 1e-11, "atol": 1e-12}

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], np.ndarray]] = [
    ("Conv1d", (4, 6, 3), {}, SEQUENCES),
    ("Conv1d", (4, 6, 3, 2, 1), {"groups": 2, "bias": False}, SEQUENCES),
    ("Conv1d", (4, 2, (4,)), {"padding": "same", "padding_mode": "circular"}, SEQUENCES),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    ("Conv2d", (4, 6, 3), {}, IMAGES[0]),
    ("Conv2d", (4, 6, (3, 2), (1, 2), (2, 0), 2, 2, False), {}, IMAGES),
    ("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, IMAGES),
    ("Conv2d", (4, 2, (3, 4)), {"padding": "same", "dilation": (2, 1), "padding_mode": "reflect"}, IMAGES),
    ("Conv2d", (4, 2, 3), {"padding": (2, 1), "padding_mode": "replicate"}, IMAGES),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGES),
    ("ConvTranspose2d", (4, 6, (2, 3), 2, (0, 1), 1, 2, False, 2), {}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("MaxPool2d", (3, 2, 1, 1, False, True), {}, IMAGES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3, 2, 1, True, False), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((3, 5),), {}, IMAGES),
    ("BatchNorm1d", (4,), {}, ROWS),
    ("BatchNorm1d", (4, 1e-2, 0.3), {}, SEQUENCES),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": None}, IMAGES),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
]
IDS = [f"{name}{args}{settings or ''}{x.shape}" for name, args, settings, x in LAYERS]


def both(needs: Needs, name: str, args: tuple[Any, ...], settings: dict[str, Any]) -> tuple[Any, Any]:
    """Our layer and torch's, in float64 and with the same state."""
    torch = needs("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **settings).double()
    ours = getattr(nn, name)(*args, **settings).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch's, of its speed
@pytest.mark.parametrize(("name", "args", "settings", "x"), LAYERS, ids=IDS)
def test_layers_are_torchs(needs: Needs, name: str, args: Any, settings: Any, x: np.ndarray) -> None:
    """In training and in evaluation, three batches one after the other, and what they leave in the state."""
    torch = needs("torch")
    ours, theirs = both(needs, name, args, settings)
    for step in range(4):
        if step == 3:
            ours, theirs = ours.eval(), theirs.eval()
        a, b = tg.tensor(x + step, requires_grad=True), torch.tensor(x + step, requires_grad=True)
        out, expected = ours(a), theirs(b)
        np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), **CLOSE)
        g = np.random.default_rng(step).standard_normal(out.shape)
        for p in ours.parameters():
            p.grad = None
        theirs.zero_grad()
        out.backward(tg.tensor(g))
        expected.backward(torch.tensor(g))
        for p, q in zip([a, *ours.parameters()], [b, *theirs.parameters()], strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), **CLOSE)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        assert (value.shape, str(value.dtype)) == (tuple(state[key].shape), str(state[key].numpy().dtype))
        np.testing.assert_allclose(value.numpy(), state[key].numpy(), err_msg=key, **CLOSE)


@pytest.mark.parametrize(("name", "args", "settings", "x"), LAYERS, ids=IDS)
def test_our_state_loads_into_torch(needs: Needs, name: str, args: Any, settings: Any, x: np.ndarray) -> None:
    torch = needs("torch")
    ours, theirs = getattr(nn, name)(*args, **settings), getattr(torch.nn, name)(*args, **settings)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    assert {key: value.tolist() for key, value in ours.state_dict().items()} == {
        key: value.tolist() for key, value in theirs.state_dict().items()
    }


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Conv1d(20, 300, 5), 100),
        (nn.Conv2d(40, 120, 3, groups=2), 180),
        (nn.ConvTranspose2d(300, 40, 3, groups=2), 180),  # of the weight's second dimension, as in torch
    ],
    ids=["Conv1d", "Conv2d", "ConvTranspose2d"],
)
def test_convolutions_begin_within_one_over_the_root_of_their_inputs(layer: Any, fan_in: int) -> None:
    bound = 1.0 / math.sqrt(fan_in)
    for p in (layer.weight, layer.bias):
        values = p.detach().numpy()
        assert 0.9 * bound < np.abs(values).max() <= bound
        # 4 standard errors of a uniform distribution's mean and (nearly) of its deviation
        assert values.mean() == pytest.approx(0.0, abs=4 * bound / math.sqrt(3 * values.size))
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=4 / math.sqrt(values.size))


def test_the_fused_ones_are_listed() -> None:
    assert {"conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "batch_norm"} <= FUSED.keys()


def test_two_batches_may_pass_before_one_goes_back() -> None:
    """The running statistics change with the second, but the gradient through the first does not depend on them."""
    layer, x = nn.BatchNorm1d(4), tg.tensor(ROWS.astype(np.float32), requires_grad=True)
    first = (layer(x) ** 3).sum()
    layer(x + 1.0)
    first.backward()
    assert x.grad is not None
    expected = nn.BatchNorm1d(4)
    (g,) = tg.grad((expected(x) ** 3).sum(), x)
    assert x.grad.tolist() == g.tolist()


def test_a_small_network_learns() -> None:
    """All layers together: stripes along the rows from stripes along the columns, which no average tells apart."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 64)
    waves = np.sin(np.arange(8) * math.pi / 2 + rng.uniform(0, 6, (64, 1)))
    images = np.where(y[:, None, None] == 1, waves[:, :, None], waves[:, None, :])[:, None] * np.ones((8, 8))
    x, target = tg.tensor(images.astype(np.float32)), tg.tensor(y)
    before = tg.random.get_state()
    tg.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)),
    )
    tg.random.set_state(before)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(40):
        loss = F.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 < math.log(2.0)


MISTAKES: list[tuple[type[Exception], Callable[[], Any], str]] = [
    (ValueError, lambda: nn.Conv2d(3, 4, 2, groups=2), "Conv2d: expected in_channels to be a .* groups=2, got 3"),
    (ValueError, lambda: nn.Conv2d(0, 4, 2), "Conv2d: expected in_channels to be a positive multiple"),
    (ValueError, lambda: nn.Conv2d(3, 4, 0), "Conv2d: expected kernel_size >= 1, got 0"),
    (TypeError, lambda: nn.Conv2d(3, 4, (2, 2, 2)), r"Conv2d: expected kernel_size to be .* got \(2, 2, 2\)"),
    (ValueError, lambda: nn.Conv2d(3, 4, 3, 2, "same"), r"Conv2d: padding 'same' needs a stride of 1, got \(2, 2\)"),
    (ValueError, lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "Conv2d: expected padding_mode .* got 'mirror'"),
    (ValueError, lambda: nn.Conv2d(3, 4, 3)(tg.ones(1, 2, 5, 5)), r"conv2d: .*\(1, 2, 5, 5\) has 2 channels"),
    (ValueError, lambda: nn.Conv2d(3, 4, 3)(tg.ones(3, 2, 5)), r"conv2d: a kernel of \(3, 3\), .* has 2 in shape"),
    (ValueError, lambda: nn.MaxPool2d(2)(tg.ones(4, 4)), r"max_pool2d: expected an input of shape .* got \(4, 4\)"),
    (TypeError, lambda: nn.MaxPool2d(), "MaxPool2d.*missing"),  # type: ignore[call-arg]
    (ValueError, lambda: nn.BatchNorm2d(3)(tg.ones(2, 3)), r"BatchNorm2d: expected an input of 4 dimensions, got"),
    (ValueError, lambda: nn.BatchNorm1d(3)(tg.ones(1, 3)), "batch_norm: in training more than one value a channel"),
    (ValueError, lambda: nn.BatchNorm1d(2)(tg.ones(4, 3)), r"batch_norm: expected running_mean of shape \(3,\), one"),
    (
        ValueError,
        lambda: F.max_pool2d(tg.ones(1, 1, 2, 2), 2, padding=1, dilation=3),
        "max_pool2d: with padding 1 and dilation .* a window lies in the padding alone",
    ),
    (TypeError, lambda: F.max_pool2d(tg.ones(1, 2, 2).long(), 2), "max_pool2d: expected a float Tensor, got int64"),
]


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES, ids=[m[2].partition(":")[0] for m in MISTAKES])
def test_mistakes(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()
