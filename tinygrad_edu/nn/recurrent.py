"""Recurrent networks' functions: one step of each kind (a cell), and a whole sequence as a fused op.

A cell makes the next state h of the input x and the last state; a sequence is a loop over time. W are w_ih and w_hh
with their biases, s the sigmoid, * elementwise:

    rnn    h = tanh(W x + W h), or relu
    lstm   c = s(f) * c + s(i) * tanh(g),  h = s(o) * tanh(c)          i, f, g, o = W x + W h
    gru    h = (1 - z) * n + z * h,        n = tanh(W x + r * (W h))   r, z = s(W x + W h)

The weights of all gates lie one below the other in torch's order: (gates H, D) and (gates H, H). In the shapes T is the
time, B the batch, D the input's features, H the state's.

Sources: J. Elman, "Finding Structure in Time", 1990; S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997,
with the forget gate of F. Gers et al., 2000; K. Cho et al., EMNLP 2014, with torch's place for the bias of n.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu import chunk, relu, sigmoid, stack, tanh, unbind
from tinygrad_edu.nn.linear import linear
from tinygrad_edu.ops.agree import check_float, check_same_dtype
from tinygrad_edu.ops.op import fused


def check_nonlinearity(name: str, nonlinearity: Any) -> None:
    """ValueError unless it is 'tanh' or 'relu'."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")


def _check(name: str, gates: int, x: Any, states: tuple[Any, ...], weights: tuple[Any, ...]) -> None:
    """Shapes (T, B, D), (B, H) a state, (gates H, D), (gates H, H), (gates H,) twice or not at all; one dtype."""
    check_float(name, x)
    w_ih, w_hh, *biases = [w for w in weights if w is not None]
    if len(x.shape) != 3 or not x.shape[0] or len(w_hh.shape) != 2 or w_hh.shape[0] != gates * w_hh.shape[1]:
        raise ValueError(
            f"{name}: expected input (T, B, D), T > 0, and w_hh ({gates} H, H), got {x.shape} and {w_hh.shape}"
        )
    (_, batch, features), hidden = x.shape, w_hh.shape[1]
    for state in states:
        if state.shape != (batch, hidden):
            raise ValueError(f"{name}: expected a state of shape {(batch, hidden)}, got {state.shape}")
    if w_ih.shape != (gates * hidden, features):
        raise ValueError(f"{name}: expected w_ih of shape {(gates * hidden, features)}, got {w_ih.shape}")
    if len(biases) == 1 or any(b.shape != (gates * hidden,) for b in biases):
        found = " and ".join(str(b.shape) for b in biases)
        raise ValueError(f"{name}: expected two biases of shape {(gates * hidden,)} or none, got {found}")
    check_same_dtype(name, x, *states, w_ih, w_hh, *biases)


def rnn_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, nonlinearity: str) -> Any:
    """One step: (B, D), (B, H) -> (B, H)."""
    total = linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)
    return tanh(total) if nonlinearity == "tanh" else relu(total)


def lstm_cell(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
    """One step: (B, D), (B, H), (B, H) -> the next h and c, (B, H) each."""
    i, f, g, o = chunk(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step: (B, D), (B, H) -> (B, H)."""
    xr, xz, xn = chunk(linear(x, w_ih, b_ih), 3, -1)
    hr, hz, hn = chunk(linear(h, w_hh, b_hh), 3, -1)
    n = tanh(xn + sigmoid(xr + hr) * hn)
    return n + sigmoid(xz + hz) * (h - n)


def _check_rnn(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, nonlinearity: str = "tanh"
) -> None:
    check_nonlinearity("rnn", nonlinearity)
    _check("rnn", 1, x, (h0,), (w_ih, w_hh, b_ih, b_hh))


def _check_lstm(x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> None:
    _check("lstm", 4, x, (h0, c0), (w_ih, w_hh, b_ih, b_hh))


def _check_gru(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> None:
    _check("gru", 3, x, (h0,), (w_ih, w_hh, b_ih, b_hh))


@fused(_check_rnn)
def rnn(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, *, nonlinearity="tanh"):
    """The states of one layer after each step: (T, B, D), (B, H) -> (T, B, H)."""
    states = [h0]
    for now in unbind(x):
        states.append(rnn_cell(now, states[-1], w_ih, w_hh, b_ih, b_hh, nonlinearity=nonlinearity))
    return stack(states[1:])


@fused(_check_lstm)
def lstm(x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None):
    """h of one layer after each step, and below them c after the last: (T, B, D), (B, H), (B, H) -> (T + 1, B, H).

    One Tensor, since that is what an op gives: `out[:-1]` are the outputs, `out[-1]` is c.
    """
    h, c, states = h0, c0, []
    for now in unbind(x):
        h, c = lstm_cell(now, h, c, w_ih, w_hh, b_ih, b_hh)
        states.append(h)
    return stack([*states, c])


@fused(_check_gru)
def gru(x, h0, w_ih, w_hh, b_ih=None, b_hh=None):
    """The states of one layer after each step: (T, B, D), (B, H) -> (T, B, H)."""
    states = [h0]
    for now in unbind(x):
        states.append(gru_cell(now, states[-1], w_ih, w_hh, b_ih, b_hh))
    return stack(states[1:])
