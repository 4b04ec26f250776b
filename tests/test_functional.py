"""nn.functional beside the table of cases: settings that a row cannot say, what is refused, and the Modules made of it.

Values and gradients of every function against torch are in tinygrad_edu/testing/table/nn.py, run by tests/ops.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.ops import FUSED
from tinygrad_edu.testing import compare_with_torch

Needs = Callable[[str], ModuleType]
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
P, Q = RNG.uniform(0.1, 0.9, (2, 4, 3))
CLASSES, WEIGHT = np.array([0, 2, 1, 2]), np.array([0.5, 2.0, 1.5])


# --- functions -------------------------------------------------------------------------------------------------------


def test_the_fused_ones_are_listed() -> None:
    assert {"cross_entropy", "gelu"} <= FUSED.keys()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore", [-100, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_with_all_its_settings(
    needs: Needs, reduction: str, smoothing: float, ignore: int, weighted: bool
) -> None:
    torch = needs("torch")

    def loss(functional: Any, weight: Any) -> Callable[[Any, Any], Any]:
        chosen = {"ignore_index": ignore, "reduction": reduction, "label_smoothing": smoothing}
        return lambda x, y: functional.cross_entropy(x, y, weight if weighted else None, **chosen)

    theirs = loss(torch.nn.functional, torch.tensor(WEIGHT))
    compare_with_torch(loss(F, tg.tensor(WEIGHT)), theirs, X, CLASSES)


@pytest.mark.parametrize("target", [CLASSES, X], ids=["classes", "probabilities"])
def test_cross_entropy_takes_the_weight_third_as_in_torch(needs: Needs, target: np.ndarray) -> None:
    torch = needs("torch")
    expected = torch.nn.functional.cross_entropy(torch.tensor(X), torch.tensor(target), torch.tensor(WEIGHT))
    found = F.cross_entropy(tg.tensor(X), tg.tensor(target), tg.tensor(WEIGHT))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-13)  # sums of 12 in another order


def test_classes_may_be_uint8_which_has_no_ignore_index() -> None:
    small, x, weight = tg.tensor(CLASSES.astype(np.uint8)), tg.tensor(X), tg.tensor(WEIGHT)
    for f in (F.cross_entropy, F.nll_loss):
        assert f(x, small, weight).item() == f(x, tg.tensor(CLASSES), weight).item()
        with pytest.raises(IndexError, match="target 5 is out of range for 3 classes"):
            f(x, small + 3)


def test_where_all_targets_are_ignored_the_mean_is_nan() -> None:
    x, ignored = tg.tensor(X), tg.tensor([-100] * 4)
    assert np.isnan(F.cross_entropy(x, ignored).item())
    assert np.isnan(F.nll_loss(x, ignored).item())
    assert F.nll_loss(x, ignored, reduction="sum").item() == 0.0


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_shapes_that_differ_are_broadcast_with_a_warning(needs: Needs, name: str) -> None:
    torch = needs("torch")
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    with pytest.warns(
        UserWarning, match=rf"{name}: target of shape \(3,\) is broadcast against input of shape \(4, 3\)"
    ):
        found = ours(tg.tensor(X), tg.tensor(Y[0]), reduction="none")
    with pytest.warns(UserWarning, match="different to the input size"):
        expected = theirs(torch.tensor(X), torch.tensor(Y[0]), reduction="none")
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-14)  # one or two roundings


def test_binary_cross_entropy_stays_finite_at_0_and_1() -> None:
    p = tg.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(p, tg.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    assert losses.tolist() == [100.0, 100.0, 0.0, 0.0]
    losses.sum().backward()
    assert p.grad is not None
    np.testing.assert_allclose(p.grad.numpy(), [-1e12, 1e12, 0.0, 0.0], rtol=1e-6)  # float32


def test_softplus_and_its_kin_do_not_overflow() -> None:
    x = tg.tensor([-1e4, 1e4], requires_grad=True)
    for f, expected in ((F.softplus, [0.0, 1e4]), (F.logsigmoid, [-1e4, 0.0]), (F.mish, [-0.0, 1e4])):
        (g,) = tg.grad(f(x).sum(), x)
        assert f(x).tolist() == expected
        assert g is not None
        assert np.isfinite(g.numpy()).all()


def test_third_gradients() -> None:
    """Each slope's rule is made of ops, and so can be differentiated on and on."""
    s = 1.0 / (1.0 + np.exp(-1.0))
    ds, d2s = s * (1.0 - s), s * (1.0 - s) * (1.0 - 2.0 * s)  # of the sigmoid, at 1
    d3s = ds * (1.0 - 6.0 * ds)
    for f, point, expected in ((F.softplus, 1.0, d2s), (F.silu, 1.0, 3.0 * d2s + d3s), (F.elu, -1.0, np.exp(-1.0))):
        x = tg.tensor(np.array(point), requires_grad=True)
        y: Any = f(x)
        for _ in range(3):
            (y,) = tg.grad(y, x, create_graph=True)
        np.testing.assert_allclose(y.item(), expected, rtol=1e-13)  # some tens of roundings


@pytest.mark.parametrize(
    ("mode", "pad", "expected"),
    [
        ("constant", (1, 2), [9.0, 1.0, 2.0, 3.0, 9.0, 9.0]),
        ("constant", (-1, 1), [2.0, 3.0, 9.0]),
        ("reflect", (2, 1), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]),
        ("replicate", (2, -1), [1.0, 1.0, 1.0, 2.0]),
        ("circular", (1, 2), [3.0, 1.0, 2.0, 3.0, 1.0, 2.0]),
        ("circular", (-1, 1), [2.0, 3.0, 2.0]),
    ],
)
def test_pad(mode: str, pad: tuple[int, int], expected: list[float]) -> None:
    x = tg.tensor([[1.0, 2.0, 3.0]])
    assert F.pad(x, pad, mode, 9.0 if mode == "constant" else None).tolist() == [expected]


def test_padding_by_nothing_gives_memory_of_its_own() -> None:
    for mode in ("constant", "reflect"):
        x = tg.zeros(1, 2)
        F.pad(x, (0, 0), mode).fill_(1.0)
        assert x.tolist() == [[0.0, 0.0]]


def test_one_hot_of_everything() -> None:
    assert F.one_hot(tg.tensor([[1], [0]])).tolist() == [[[0, 1]], [[1, 0]]]
    assert F.one_hot(tg.tensor([1]), 3).tolist() == [[0, 1, 0]]


ONES, TWO = tg.ones(2, 3), tg.tensor([0, 1])
MISTAKES: list[tuple[type[Exception], Callable[[], Any], str]] = [
    (TypeError, lambda: F.elu(tg.tensor([1])), "elu: expected a float Tensor, got int64"),
    (TypeError, lambda: F.elu(np.ones(2)), "elu: expected .* got ndarray"),  # type: ignore[arg-type]
    (TypeError, lambda: F.elu(ONES, "1"), "elu: expected alpha to be a number, got str"),  # type: ignore[arg-type]
    (ValueError, lambda: F.celu(ONES, 0.0), "celu: expected alpha other than 0"),
    (ValueError, lambda: F.hardtanh(ONES, 1.0, 0.0), "hardtanh: expected min_val <= max_val, got 1.0 and 0.0"),
    (ValueError, lambda: F.gelu(ONES, approximate="erf"), "gelu: expected approximate 'none' or 'tanh', got 'erf'"),
    (ValueError, lambda: F.glu(ONES), "glu: expected an even size to halve, got 3 along dimension 1"),
    (TypeError, lambda: F.mse_loss(TWO, TWO), "mse_loss: expected a float Tensor, got int64"),
    (TypeError, lambda: F.mse_loss(ONES, 1.0), "mse_loss: expected Tensors, got float"),  # type: ignore[arg-type]
    (ValueError, lambda: F.mse_loss(ONES, ONES, weight=tg.ones(3)), r"mse_loss: expected a weight of .* got \(3,\)"),
    (
        ValueError,
        lambda: F.l1_loss(ONES, ONES, reduction="batchmean"),
        "l1_loss: expected reduction 'mean', 'sum' or 'n",
    ),
    (
        ValueError,
        lambda: F.kl_div(ONES, ONES, reduction="all"),
        "kl_div: expected reduction 'batchmean', 'mean', 'sum' o",
    ),
    (ValueError, lambda: F.huber_loss(ONES, ONES, delta=0.0), "huber_loss: expected delta > 0, got 0.0"),
    (ValueError, lambda: F.smooth_l1_loss(ONES, ONES, beta=-1.0), "smooth_l1_loss: expected beta >= 0, got -1.0"),
    (
        ValueError,
        lambda: F.binary_cross_entropy(ONES * 2.0, ONES),
        "binary_cross_entropy: expected every input between 0 and 1, got 2.0 to 2.0",
    ),
    (
        ValueError,
        lambda: F.binary_cross_entropy(ONES, -ONES),
        "binary_cross_entropy: expected every target between 0 and 1, got -1.0 to -1.0",
    ),
    (
        TypeError,
        lambda: F.binary_cross_entropy(ONES, ONES.double()),
        "binary_cross_entropy: expected Tensors of one dtype, got float32 and float64",
    ),
    (
        ValueError,
        lambda: F.binary_cross_entropy_with_logits(ONES, ONES, tg.ones(3, requires_grad=True)),
        r"binary_cross_entropy_with_logits: there is no gradient with respect to weight; use weight.detach\(\)",
    ),
    (
        ValueError,
        lambda: F.nll_loss(ONES, TWO, tg.ones(3, requires_grad=True)),
        "nll_loss: there is no gradient with respect to weight",
    ),
    (
        ValueError,
        lambda: F.nll_loss(ONES, TWO, tg.ones(2)),
        r"nll_loss: expected a weight of shape \(3,\), one for each",
    ),
    (IndexError, lambda: F.nll_loss(ONES, TWO + 2), "nll_loss: target 3 is out of range for 3 classes"),
    (IndexError, lambda: F.cross_entropy(ONES, tg.tensor([-100, -1])), "cross_entropy: target -1 is out of range"),
    (
        ValueError,
        lambda: F.cross_entropy(ONES, TWO, label_smoothing=1.5),
        "cross_entropy: expected label_smoothing betw",
    ),
    (
        ValueError,
        lambda: F.cross_entropy(ONES, ONES, ignore_index=0),
        "cross_entropy: with probabilities there is no ig",
    ),
    (TypeError, lambda: F.one_hot(ONES), "one_hot: expected an int64 Tensor, got float32"),
    (ValueError, lambda: F.one_hot(TWO, 1), r"one_hot: index 1 is not within 0\.\.0"),
    (ValueError, lambda: F.one_hot(tg.tensor([-1])), "one_hot: index -1 is not within"),
    (ValueError, lambda: F.one_hot(tg.zeros(0).long()), "one_hot: expected num_classes > 0"),
    (ValueError, lambda: F.cosine_similarity(ONES, tg.ones(2)), "cosine_similarity: shapes .* do not broadcast"),
    (ValueError, lambda: F.pad(ONES, (1, 1), "mirror"), "pad: expected mode 'constant', 'reflect', .* got 'mirror'"),
    (ValueError, lambda: F.pad(ONES, (1,)), r"pad: expected two numbers for each of at most 2 dimensions, got \(1,\)"),
    (TypeError, lambda: F.pad(ONES, (1.5, 1)), r"pad: expected ints, got \(1\.5, 1\)"),  # type: ignore[arg-type]
    (ValueError, lambda: F.pad(ONES, (-2, -2)), r"pad: cannot cut \(-2, -2\) off dimension 1 of size 3"),
    (
        ValueError,
        lambda: F.pad(ONES, (3, 0), "reflect"),
        r"pad: 'reflect' cannot pad dimension 1 of size 3 by \(3, 0\)",
    ),
    (ValueError, lambda: F.pad(ONES, (4, 0), "circular"), r"pad: 'circular' cannot pad dimension 1 of size 3"),
    (ValueError, lambda: F.pad(tg.ones(3), (1, 0), "replicate"), "pad: expected 1 to 3 pairs for 'replicate'"),
    (ValueError, lambda: F.pad(ONES, (1, 0), "reflect", 1.0), "pad: mode 'reflect' takes no value, got 1.0"),
]


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES, ids=[m[2].partition(":")[0] for m in MISTAKES])
def test_mistakes(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()


# --- Modules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "settings"),
    [
        ("Identity", (3,), {"any": 1}),
        ("LeakyReLU", (0.2,), {}),
        ("ELU", (), {"alpha": 0.5}),
        ("SELU", (), {}),
        ("CELU", (2.0,), {}),
        ("GELU", ("tanh",), {}),
        ("GELU", (), {}),
        ("SiLU", (), {}),
        ("Mish", (), {}),
        ("Softplus", (2.0, 1.0), {}),
        ("Softsign", (), {}),
        ("LogSigmoid", (), {}),
        ("Hardtanh", (-0.5,), {"max_val": 0.2}),
        ("ReLU6", (), {}),
        ("Hardsigmoid", (), {}),
        ("Hardswish", (), {}),
        ("GLU", (0,), {}),
        ("LogSoftmax", (1,), {}),
    ],
)
def test_activation_layers_are_torchs(needs: Needs, name: str, args: tuple[Any, ...], settings: dict[str, Any]) -> None:
    ours, theirs = getattr(nn, name)(*args, **settings), getattr(needs("torch").nn, name)(*args, **settings)
    compare_with_torch(ours, theirs, X, order=0)
    assert dict(ours.state_dict()) == {}


@pytest.mark.parametrize(
    ("name", "target", "args", "settings"),
    [
        ("CrossEntropyLoss", CLASSES, (WEIGHT,), {"label_smoothing": 0.1, "ignore_index": 2}),
        ("CrossEntropyLoss", CLASSES, (), {"reduction": "none"}),
        ("NLLLoss", CLASSES, (WEIGHT,), {"reduction": "sum"}),
        ("BCELoss", Q, (WEIGHT,), {}),
        ("BCEWithLogitsLoss", Q, (WEIGHT,), {"pos_weight": WEIGHT}),
        ("KLDivLoss", Q, (), {"reduction": "batchmean", "log_target": True}),
        ("MSELoss", Y, (), {"reduction": "sum"}),
        ("L1Loss", Y, (), {}),
        ("SmoothL1Loss", Y, (), {"beta": 0.5}),
        ("HuberLoss", Y, ("sum", 0.5), {}),
    ],
)
def test_loss_layers_are_torchs(
    needs: Needs, name: str, target: np.ndarray, args: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    torch = needs("torch")

    def made(library: Any, tensor: Any) -> Any:
        as_tensor = lambda value: tensor(value) if isinstance(value, np.ndarray) else value
        return getattr(library, name)(*map(as_tensor, args), **{k: as_tensor(v) for k, v in settings.items()})

    ours, theirs = made(nn, tg.tensor), made(torch.nn, torch.tensor)
    compare_with_torch(ours, theirs, P if name == "BCELoss" else X, target, order=0)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.parameters()) == []


def test_a_losss_weight_is_a_buffer() -> None:
    loss: Any = nn.CrossEntropyLoss(tg.ones(3))
    loss.load_state_dict({"weight": WEIGHT})
    assert loss.weight.tolist() == WEIGHT.tolist()
    loss.double()
    assert loss(tg.tensor(X), tg.tensor(CLASSES)).dtype == np.float64
    assert (
        loss(tg.tensor(X), tg.tensor(CLASSES)).item()
        == F.cross_entropy(tg.tensor(X), tg.tensor(CLASSES), tg.tensor(WEIGHT)).item()
    )


def test_a_setting_can_be_changed() -> None:
    layer = nn.LeakyReLU()
    layer.negative_slope = 0.5
    assert layer(tg.tensor([-2.0])).tolist() == [-1.0]


def test_settings_that_there_are_not() -> None:
    with pytest.raises(TypeError, match="LeakyReLU: got an unexpected keyword argument 'slope'"):
        nn.LeakyReLU(slope=0.1)
    with pytest.raises(TypeError, match="LogSoftmax: missing a required argument: 'dim'"):
        nn.LogSoftmax()
    with pytest.raises(TypeError, match="unexpected keyword argument 'weight'"):
        nn.MSELoss(weight=tg.ones(3))  # type: ignore[call-arg]


def test_repr_shows_the_settings() -> None:
    assert repr(nn.Hardtanh(-2.0)) == "Hardtanh(min_val=-2.0, max_val=1.0)"
    assert repr(nn.NLLLoss(tg.ones(3))) == "NLLLoss(ignore_index=-100, reduction='mean')"
    assert repr(nn.Mish()) == "Mish()"
