"""Rows of what models of sequences are made of: embedding, normalisation, attention."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.testing.rows import Row, TorchNames, call
from tinygrad_edu.testing.variants import REAL, Shape, booleans, integers, uniform

# Shapes of the input, and the dimensions that are normalised.
_NORMED: tuple[tuple[Shape, Shape], ...] = (
    *[((3, 4), (4,)), ((2, 3, 4), (3, 4)), ((5,), (5,)), ((2, 1, 3), (3,)), ((0, 4), (4,))],
    *[((2, 33), (33,)), ((3, 70), (70,))],
)
_GROUPED: tuple[tuple[Shape, int], ...] = (((2, 6), 2), ((2, 4, 3), 2), ((1, 3, 2, 2), 1), ((2, 3, 5), 3), ((0, 4), 2))
# query, key, value
_ATTENDED: tuple[tuple[Shape, Shape, Shape], ...] = (
    *[((3, 4), (5, 4), (5, 2)), ((2, 3, 4), (2, 3, 4), (2, 3, 4)), ((2, 2, 7, 3), (2, 2, 5, 3), (2, 2, 5, 3))],
    *[((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)), ((2, 1, 3, 4), (1, 3, 2, 4), (1, 1, 2, 5)), ((0, 3, 4),) * 3],
    *[((2, 0, 4), (2, 3, 4), (2, 3, 4)), ((1, 2, 19, 9), (1, 2, 19, 9), (1, 2, 19, 9))],
)
_MASKED: tuple[tuple[Shape, Shape, Shape, Shape], ...] = (
    *[((3, 4), (5, 4), (5, 2), (3, 5)), ((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), (3, 5))],
    *[
        ((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), (2, 1, 1, 5)),
        ((1, 2, 17, 3), (1, 2, 18, 3), (1, 2, 18, 3), (17, 18)),
    ],
)


def _normed(name: str) -> Any:
    """A norm with its shape where torch has it, before the parameters."""

    def f(t: Any, x: Any, *parameters: Any, normalized_shape: Shape, **settings: Any) -> Any:
        return getattr(t, name)(x, normalized_shape, *parameters, **settings)

    return f


def _group_norm(t: Any, x: Any, *parameters: Any, num_groups: int) -> Any:
    return t.group_norm(x, num_groups, *parameters)


def _attention(t: Any, *tensors: Any, **settings: Any) -> Any:
    """Attention; torch's by its plain formula, since what it takes for speed has no second gradients."""
    if not isinstance(t, TorchNames):
        return t.scaled_dot_product_attention(*tensors, **settings)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        return t.scaled_dot_product_attention(*tensors, **settings)


def _torchs_lstm(torch: Any, x: Any, h: Any, c: Any, *weights: Any) -> Any:
    """torch's LSTM in the form of ours, from its cell: its LSTM of whole sequences has no second gradients."""
    states = []
    for now in x:
        h, c = torch.lstm_cell(now, (h, c), *weights)
        states.append(h)
    return torch.stack([*states, c])


def _lstm(t: Any, *tensors: Any) -> Any:
    return _torchs_lstm(t, *tensors) if isinstance(t, TorchNames) else t.lstm(*tensors)


def _recurrent(ours: str, torchs: str, **settings: Any) -> Any:
    """A layer of ours, and torch's, which wants a dimension for the layers, and the weights in a list."""

    def f(t: Any, x: Any, h: Any, *weights: Any) -> Any:
        if not isinstance(t, TorchNames):
            return getattr(t, ours)(x, h, *weights, **settings)
        layers, dropout, train, bidirectional, batch_first = 1, 0.0, False, False, False
        has_biases, rest = len(weights) > 2, (layers, dropout, train, bidirectional, batch_first)
        return getattr(t, torchs)(x, h.unsqueeze(0), weights, has_biases, *rest)[0]

    return f


def _sequences(gates: int, states: int) -> tuple[Any, ...]:
    """Time, batch, features and hidden size, with biases and without; long ones, since kernels work in blocks."""
    found = []
    for T, B, D, H in (
        (3, 2, 4, 3),
        (1, 1, 1, 1),
        (2, 0, 2, 3),
        (2, 3, 0, 2),
        (3, 5, 2, 18),
        (9, 17, 1, 3),
        (1, 150, 2, 1),
    ):
        shapes = [(T, B, D), *[(B, H)] * states, (gates * H, D), (gates * H, H)]
        found.append(call(*shapes, (gates * H,), (gates * H,)))
        if T == 3 and B == 2:
            found.append(call(*shapes))
    return tuple(found)


_SMALL = uniform(-0.6, 0.6)
_UNSEEN = "what is masked may be skipped, and so its NaN"

ROWS = (
    Row(
        "embedding",
        (call((2, 3), (5, 4)), call((), (5, 4)), call((3,), (5, 0)), call((40,), (5, 1))),
        (integers(0, 5), REAL),
    ),
    Row(
        "embedding",
        (call((2, 3), (5, 4), padding_idx=1), call((7,), (5, 3), padding_idx=-1)),
        (integers(0, 5), REAL),
        label="padding_idx",
    ),
    Row(
        "embedding",
        (call((0,), (5, 4)),),
        (integers(0, 5), REAL),
        label="of nothing",
        order=1,
        why="torch fails at the second gradient",
    ),
    Row("layer_norm", tuple([call(s, normalized_shape=d) for s, d in _NORMED]), f=_normed("layer_norm"), label="plain"),
    *[
        Row(
            "layer_norm",
            tuple([call(s, *[d] * n, normalized_shape=d) for s, d in _NORMED]),
            f=_normed("layer_norm"),
            label=label,
            special=0,
            why="of an infinite weight it depends on the formula which infinities meet in the gradient",
        )
        for n, label in ((1, "weight"), (2, ""))
    ],
    Row(
        "layer_norm", (call((3, 4), (4,), (4,), normalized_shape=(4,), eps=0.5),), f=_normed("layer_norm"), label="eps"
    ),
    *[
        Row(
            "rms_norm",
            tuple([call(s, *[d] * n, normalized_shape=d) for s, d in _NORMED]),
            f=_normed("rms_norm"),
            label=label,
        )
        for n, label in enumerate(("plain", ""))
    ],
    Row("rms_norm", (call((3, 4), (4,), normalized_shape=(4,), eps=0.5),), f=_normed("rms_norm"), label="eps"),
    Row("group_norm", tuple([call(s, num_groups=g) for s, g in _GROUPED]), f=_group_norm, label="plain"),
    Row(
        "group_norm",
        tuple([call(s, s[1:2], s[1:2], num_groups=g) for s, g in _GROUPED]),
        f=_group_norm,
        special=None,
        why="torch multiplies the weight with the mean, so that an infinite one gives inf - inf",
    ),
    # Of a single number the gradients are 0, or nearly: what is left of 1 - 1 in one order of computing or the other.
    Row("layer_norm", (call((3, 1), (1,), (1,), normalized_shape=(1,)),), f=_normed("layer_norm"), label="1", order=0),
    Row("rms_norm", (call((3, 1), (1,), normalized_shape=(1,)),), f=_normed("rms_norm"), label="1", order=0),
    Row("scaled_dot_product_attention", tuple([call(*s) for s in _ATTENDED]), f=_attention),
    Row(
        "scaled_dot_product_attention", tuple([call(*s, scale=0.7) for s in _ATTENDED[:3]]), f=_attention, label="scale"
    ),
    Row(
        "scaled_dot_product_attention",
        tuple([call(*s, is_causal=True) for s in (*_ATTENDED, ((2, 5, 3), (2, 7, 3), (2, 7, 3)))]),
        f=_attention,
        label="causal",
        special=None,
        why=_UNSEEN,
    ),
    Row(
        "scaled_dot_product_attention",
        tuple([call(*s) for s in _MASKED]),
        (REAL, REAL, REAL, booleans),
        f=_attention,
        label="mask",
        special=None,
        why=_UNSEEN,
    ),
    Row("scaled_dot_product_attention", tuple([call(*s) for s in _MASKED]), f=_attention, label="float mask"),
    Row(
        "scaled_dot_product_attention",
        tuple([call(*s) for s in _MASKED]),
        f=lambda t, q, k, v, mask: _attention(t, q, k, v, mask.detach()),
        label="fixed float mask",
    ),
    # Recurrent layers. Their weights are small: where tanh is saturated its slope is nothing but rounding.
    Row("rnn", _sequences(1, 1), (REAL, REAL, _SMALL), f=_recurrent("rnn", "rnn_tanh")),
    Row(
        "rnn",
        _sequences(1, 1),
        (REAL, REAL, _SMALL),
        f=_recurrent("rnn", "rnn_relu", nonlinearity="relu"),
        label="relu",
        special=1,
        why="torch's second gradient of relu differs where its input is a NaN or infinite",
    ),
    Row("lstm", _sequences(4, 2), (REAL, REAL, REAL, _SMALL), f=_lstm),
    Row("gru", _sequences(3, 1), (REAL, REAL, _SMALL), f=_recurrent("gru", "gru")),
)
