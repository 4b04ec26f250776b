"""Rows of what torch has in torch.nn.functional: activations, losses, and some more."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.testing.rows import Row, TorchNames, call, calls
from tinygrad_edu.testing.table.common import UNARY, UNARY_SHAPES, as_float, rows
from tinygrad_edu.testing.variants import POSITIVE, REAL, Shape, integers, uniform

_rng = np.random.default_rng(0)
REDUCTION = ("mean", "sum", "none")
CROSS_ENTROPY = (
    *[
        call((n, c), (n,), reduction=reduction)
        for reduction in REDUCTION
        for n, c in [(4, 3), (1, 3), *_rng.integers(3, 40, (3, 2)).tolist()]
    ],
    call((3,), ()),
    call((2, 3, 4), (2, 4), reduction="none"),
    call((2, 3, 2, 2), (2, 2, 2)),
    call((0, 3), (0,), reduction="sum"),
    call((0, 3), (0,), reduction="none"),
    call((0, 3), (0,)),
)
_CLASSES: tuple[tuple[Shape, Shape], ...] = (((4, 3), (4,)), ((3,), ()), ((2, 3, 4), (2, 4)), ((2, 3, 2, 2), (2, 2, 2)))
_SAME: tuple[Shape, ...] = ((3, 4), (), (5,), (2, 1, 3), (0,), (1,))
# Input and target. The mean of nothing is in a row of its own.
_SIMPLE = tuple([call(s, s, reduction=r) for r in REDUCTION for s in _SAME if (s, r) != ((0,), "mean")])
_OF_NOTHING = "NaN; torch's second gradient of it is 0, ours is NaN as well"
_CURVED = "a NaN is on no side of the edge: torch's second gradient there is 0, ours the one within"
_OUTSIDE = "refused outside of 0 to 1"
_SLIGHTLY_OFF = f"{_OUTSIDE}; torch's second gradients have 1e-12 added to their factors"
_PROBABILITY, _EDGES = uniform(0.1, 0.9), as_float(lambda rng, shape, dtype: rng.choice([0.0, 0.5, 1.0], shape))
_NO_INFINITY = as_float(lambda rng, shape, dtype: rng.choice([np.nan, -np.inf, 0.0, -0.0, 1.0], shape))
_WIDE = as_float(lambda rng, shape, dtype: rng.choice([-4.0, -3.0, -2.5, 0.0, 2.5, 3.0, 5.0, 6.0, 7.0], shape))
_NEAR = as_float(lambda rng, shape, dtype: rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], shape))

_COSINES = (
    *[((3, 4), (3, 4), 1), ((3, 4), (3, 4), 0), ((4,), (4,), -1), ((2, 1, 4), (3, 4), -1), ((0, 4), (0, 4), 1)],
)
_HALVED = (call((3, 4)), call((2, 3), dim=0), call((2, 0)), call((2,)), call((2, 4, 3), dim=-2))
_PADS = (
    *[((2, 3), (1, 2)), ((2, 3), (1, 0, 2, 1)), ((3, 4), (-1, 2)), ((3, 4), (-1, -1, 0, -2)), ((0, 3), (1, 1))],
    *[((2, 3, 4), (0, 0, 1, 1, 1, 0)), ((2, 3), (0, 0)), ((2, 0), (1, 2)), ((5,), (0, -5))],
)
_MODES = ("reflect", "replicate", "circular")
_BORDERS = (((2, 4), (1, 2)), ((2, 3, 4), (1, 2)), ((2, 3, 4), (2, 1, 1, 2)), ((2, 4), (0, -1)))


def _ignored(rng: np.random.Generator, shape: Shape, dtype: Any) -> np.ndarray:
    """Classes, and -7 among them for those that are to be left out."""
    return np.asarray(rng.choice([-7, 0, 1, 2], shape))


def _weighted(name: str) -> Any:
    """A loss whose third Tensor is the weight, of which torch has no gradient."""
    return lambda t, x, y, weight, **settings: getattr(t, name)(x, y, weight=weight.detach(), **settings)


def _bce_with_pos_weight(t: Any, x: Any, y: Any, weight: Any, pos_weight: Any, **settings: Any) -> Any:
    return t.binary_cross_entropy_with_logits(x, y, weight.detach(), pos_weight=pos_weight.detach(), **settings)


def _hardsigmoid(t: Any, x: Any) -> Any:
    """hardsigmoid; for torch what it is made of: its own has 1/6 to seven digits only, and no second gradient."""
    return t.hardtanh(x + 3.0, 0.0, 6.0) / 6.0 if isinstance(t, TorchNames) else t.hardsigmoid(x)


def _bce_by_formula(t: Any, x: Any, y: Any, reduction: str) -> Any:
    """The loss; for torch its formula, since its own second gradients have 1e-12 added to their factors."""
    if not isinstance(t, TorchNames):
        return t.binary_cross_entropy(x, y, reduction=reduction)
    out = -(y * t.log(x) + (1 - y) * t.log(1 - x))
    return out if reduction == "none" else getattr(out, reduction)()


def _with_probabilities(t: Any, x: Any, y: Any, **settings: Any) -> Any:
    return t.cross_entropy(x, t.softmax(y, 0 if x.ndim == 1 else 1), **settings)


def _activation(name: str, label: str, **settings: Any) -> Row:
    return Row(name, calls(UNARY_SHAPES, **settings), label=label, elementwise=True)


ROWS = (
    # Activations.
    *rows("leaky_relu elu selu silu mish softplus softsign logsigmoid hardtanh", UNARY, elementwise=True),
    *rows("celu relu6 hardswish", UNARY, elementwise=True),
    *rows("relu6 hardswish", UNARY, _WIDE, elementwise=True, label="edges"),
    Row("hardsigmoid", UNARY, uniform(-5, 5), f=_hardsigmoid, elementwise=True),
    Row("hardsigmoid", UNARY, _WIDE, f=_hardsigmoid, elementwise=True, label="edges"),
    Row("glu", _HALVED, special=1, why="the second gradient beside an infinity is inf - inf in one order of computing"),
    Row("gelu", UNARY, elementwise=True, special=None, why="torch's gelu(inf) is NaN in float32"),
    Row(
        "gelu",
        UNARY,
        _NO_INFINITY,
        elementwise=True,
        label="NaN",
        special=None,
        why="torch's gelu(inf) is NaN in float32",
    ),
    _activation("leaky_relu", "0.3", negative_slope=0.3),
    _activation("leaky_relu", "negative", negative_slope=-0.5),
    _activation("leaky_relu", "0", negative_slope=0.0),
    _activation("elu", "alpha", alpha=1.5),
    _activation("celu", "alpha", alpha=0.5),
    _activation("gelu", "tanh", approximate="tanh"),
    _activation("softplus", "beta", beta=2.0),
    _activation("softplus", "threshold", beta=3.0, threshold=2.0),
    _activation("hardtanh", "limits", min_val=-0.5, max_val=1.0),
    # Vectors.
    Row("normalize", (call((3, 4)), call((3, 4), dim=0), call((2, 3, 4), dim=-1), call((5,), dim=0), call((2, 0)))),
    *[Row("normalize", calls([((3, 4),)], p=p), label=f"p={p}") for p in (1, 3, np.inf)],
    Row("normalize", (call((3, 4), eps=1.5), call((1,), dim=0, eps=5.0)), label="eps"),
    Row("cosine_similarity", tuple([call(a, b, dim=d) for a, b, d in _COSINES])),
    Row("cosine_similarity", (call((3, 4), (3, 4), eps=9.0), call((3, 4), (3, 4))), label="eps"),
    # Padding.
    Row("pad", tuple([call(s, args=(p,)) for s, p in _PADS])),
    Row("pad", tuple([call(s, args=(p,), value=-1.5) for s, p in _PADS]), label="value"),
    *[Row("pad", tuple([call(s, args=(p,), mode=mode) for s, p in _BORDERS]), label=mode) for mode in _MODES],
    # Losses of two Tensors of one shape. Both get gradients.
    Row("l1_loss", _SIMPLE),
    *rows("smooth_l1_loss huber_loss", _SIMPLE, special=1, why=_CURVED),
    Row("mse_loss", _SIMPLE, special=1, why="infinities of both signs meet in some order of summation, and give NaN"),
    *rows(
        "mse_loss l1_loss smooth_l1_loss huber_loss",
        calls([((0,), (0,))]),
        label="of nothing",
        order=1,
        why=_OF_NOTHING,
    ),
    *rows("smooth_l1_loss", calls([((3, 4),) * 2], beta=0.5), _NEAR, label="beta", special=1, why=_CURVED),
    *rows("smooth_l1_loss", calls([((3, 4),) * 2], beta=0.0), label="beta 0"),
    *rows("huber_loss", calls([((3, 4),) * 2], delta=0.5), _NEAR, label="delta", special=1, why=_CURVED),
    Row("binary_cross_entropy", _SIMPLE, _PROBABILITY, f=_bce_by_formula, ties=None, special=None, why=_OUTSIDE),
    Row(
        "binary_cross_entropy",
        tuple([call((4, 3), (4, 3), reduction=reduction) for reduction in REDUCTION]),
        _EDGES,
        label="edges",
        order=1,
        ties=None,
        special=None,
        why=_SLIGHTLY_OFF,
    ),
    Row(
        "binary_cross_entropy",
        (call((3, 4), (3, 4), (3, 4)), call((3, 4), (3, 4), (4,), reduction="none")),
        (_PROBABILITY, _PROBABILITY, POSITIVE),
        f=_weighted("binary_cross_entropy"),
        label="weight",
        order=1,
        ties=None,
        special=None,
        why=_SLIGHTLY_OFF,
    ),
    Row("binary_cross_entropy_with_logits", _SIMPLE, (REAL, _PROBABILITY)),
    *rows(
        "binary_cross_entropy binary_cross_entropy_with_logits",
        calls([((0,), (0,))]),
        label="of nothing",
        order=1,
        why=_OF_NOTHING,
    ),
    Row(
        "binary_cross_entropy_with_logits",
        tuple([call((3, 4), (3, 4), (3, 4), (4,), reduction=reduction) for reduction in REDUCTION]),
        (REAL, _PROBABILITY, POSITIVE),
        f=_bce_with_pos_weight,
        label="weights",
        special=0,
        why="with an infinite weight it depends on the formula which infinities meet a 0",
    ),
    *[
        Row(
            "kl_div",
            calls([(s, s) for s in _SAME], reduction=r),
            (REAL, _PROBABILITY),
            label=r,
            ties=0,
            special=0,
            why="torch's gradient of a target of 0 is 0 / 0, ours is log 0; and so with infinite ones",
        )
        for r in ("sum", "none", "batchmean")
    ],
    Row("kl_div", calls([(s, s) for s in _SAME], reduction="sum", log_target=True), label="log_target"),
    # Losses of class indices.
    Row("nll_loss", tuple([call(*s, reduction=r) for s in _CLASSES for r in REDUCTION]), (REAL, integers(0, 3))),
    Row("nll_loss", calls([((0, 3), (0,))], reduction="sum"), (REAL, integers(0, 3)), label="empty"),
    Row("cross_entropy", CROSS_ENTROPY, (REAL, integers(0, 3))),
    Row("cross_entropy", calls([((4, 3), (4,))]), (REAL, integers(0, 3, np.uint8)), label="uint8"),
    *[
        Row(
            name,
            tuple([call(*s, (3,), reduction=r) for s in _CLASSES for r in REDUCTION]),
            (REAL, integers(0, 3), POSITIVE),
            f=_weighted(name),
            label="weight",
        )
        for name in ("nll_loss", "cross_entropy")
    ],
    *[
        Row(
            name,
            tuple([call(*s, reduction=r, ignore_index=1) for s in _CLASSES[:1] + _CLASSES[2:] for r in REDUCTION]),
            (REAL, integers(0, 3)),
            label="ignore_index",
        )
        for name in ("nll_loss", "cross_entropy")
    ],
    *rows("nll_loss cross_entropy", calls([((4, 3), (4,))], ignore_index=-7), (REAL, _ignored), label="ignored"),
    Row(
        "cross_entropy",
        tuple([call(*s, reduction=r, label_smoothing=0.1) for s in _CLASSES for r in REDUCTION]),
        (REAL, integers(0, 3)),
        label="smoothed",
    ),
    Row(
        "cross_entropy",
        tuple(
            [call(*s, (3,), reduction=r, label_smoothing=0.2, ignore_index=0) for s in _CLASSES[:1] for r in REDUCTION]
        ),
        (REAL, integers(0, 3), POSITIVE),
        f=_weighted("cross_entropy"),
        label="all settings",
    ),
    Row(
        "cross_entropy",
        tuple([call(s, s, reduction=r) for s in ((4, 3), (3,), (2, 3, 4)) for r in REDUCTION]),
        f=_with_probabilities,
        label="probabilities",
    ),
    Row(
        "cross_entropy",
        tuple([call((4, 3), (4, 3), reduction=r, label_smoothing=0.1) for r in REDUCTION]),
        f=_with_probabilities,
        label="probabilities, smoothed",
    ),
)
