"""Recurrent layers: RNN, LSTM and GRU over whole sequences, and their cells for one step. Names and states are torch's.

A layer of a network is one call of the fused op in `recurrent.py` for each direction; layers are stacked, the outputs
of both directions side by side. Cells are for loops of one's own: a decoder that is fed what it has just said.

Sequences of several lengths are told apart by a mask. They are packed then, as torch's `pack_padded_sequence` does it:
no step is spent on padding, and nothing of it, not even a NaN, reaches a result or a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_edu import Tensor, cat, flip, index_select, reshape, split, transpose, unsqueeze, zeros
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional import dropout
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.nn.recurrent import check_nonlinearity, gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell
from tinygrad_edu.ops.index import put_add

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _make_parameters(module: Any, suffix: str, gates: int, inputs: int, hidden: int, bias: bool) -> None:
    """Parameters (gates H, D), (gates H, H), and two of (gates H,), uniform within +-1/sqrt(H), as torch's begin."""
    bound = 1.0 / math.sqrt(hidden)
    for name in PARAMETERS if bias else PARAMETERS[:2]:
        shape = {"weight_ih": (gates * hidden, inputs), "weight_hh": (gates * hidden, hidden)}
        tensor = zeros(shape.get(name, (gates * hidden,)))
        setattr(module, name + suffix, Parameter(init.uniform_(tensor, -bound, bound)))


def _parameters(module: Any, suffix: str = "") -> list[Tensor]:
    return [getattr(module, name + suffix) for name in (PARAMETERS if module.bias else PARAMETERS[:2])]


def _check_sizes(module: Any, **sizes: Any) -> None:
    for name, n in sizes.items():
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"{type(module).__name__}: expected {name} to be an int > 0, got {n!r}")


class _Packing:
    """Sequences of several lengths side by side: all items of time 0, then all of time 1, the longest sequence first.

    So a batch (T, B, D) becomes (N, D), N being the number of items. Wherever sequences end, fewer are left; `runs` are
    the stretches between: for so many steps, so many sequences are going on.
    """

    def __init__(self, x: Tensor, mask: np.ndarray) -> None:
        lengths, going_on = mask.sum(0), mask.sum(1)
        order = np.argsort(-lengths, kind="stable")
        time, rank = np.nonzero(mask[:, order])  # of each of the N items; rank: its sequence's place in that order
        ends, begins = np.unique(lengths), np.cumsum(going_on) - going_on
        self.shape = mask.shape  # (T, B)
        self.runs = list(zip(np.diff(ends, prepend=0).tolist(), going_on[ends - 1].tolist(), strict=True))

        def index(array: np.ndarray) -> Tensor:
            return Tensor(x.backend.from_numpy(array), x.backend)

        self.order, self.order_back = index(order), index(np.argsort(order))
        self.items = index(time * mask.shape[1] + order[rank])  # where each comes from, of T B
        self.turned = index(begins[lengths[order][rank] - 1 - time] + rank)  # each sequence the other way round

    def pack(self, x: Tensor) -> Tensor:
        """(T, B, D) -> (N, D)."""
        return index_select(reshape(x, -1, x.shape[2]), 0, self.items)

    def unpack(self, x: Tensor) -> Tensor:
        """(N, D) -> (T, B, D), 0 beyond a sequence's end."""
        (T, B), D = self.shape, x.shape[1]
        return reshape(put_add(x, self.items, shape=(T * B, D)), T, B, D)

    def apply(self, sequence: Callable[..., Any], x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> Any:
        """`sequence` over run after run: (N, D) and first states (B, H) -> (N, H), last states (1, B, H)."""
        outputs, ended = [], []
        parts = _parts(x, [steps * going_on for steps, going_on in self.runs])
        remaining = [going_on for _, going_on in self.runs[1:]] + [0]
        for part, (steps, going_on), rest in zip(parts, self.runs, remaining, strict=True):
            out, lasts = sequence(reshape(part, steps, going_on, -1), states, parameters)
            outputs.append(reshape(out, steps * going_on, -1))
            ended.append([last[:, rest:] for last in lasts])
            states = [last[0, :rest] for last in lasts]
        return _joined(outputs, 0), [_joined(list(lasts), 1) for lasts in zip(*ended[::-1], strict=True)]


def _parts(x: Tensor, sizes: list[int]) -> list[Tensor]:
    """x in parts of these sizes, by halves: each cut's gradient is as large as what was cut, so cut small things."""
    if len(sizes) == 1:
        return [x]
    half = len(sizes) // 2
    first, second = split(x, [sum(sizes[:half]), sum(sizes[half:])])
    return _parts(first, sizes[:half]) + _parts(second, sizes[half:])


class Recurrent(Module):
    """Base of RNN, LSTM and GRU: layers, directions, dropout between layers, where the batch stands, first states.

    Inputs are (T, B, D), (B, T, D) with `batch_first`, or (T, D) without a batch. States are (L, B, H), L being layers
    times directions, or (L, H); zeros if not given.
    """

    gates: ClassVar[int] = 1  # how many of them the weights are for
    states: ClassVar[int] = 1  # how many Tensors a state is

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        _check_sizes(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"{type(self).__name__}: expected a probability between 0 and 1, got dropout={dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                inputs = input_size if layer == 0 else hidden_size * (2 if bidirectional else 1)
                _make_parameters(self, suffix, self.gates, inputs, hidden_size, bias)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 2 if self.bidirectional else 1]

    def _sequence(self, x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """(T, B, D) and first states (B, H) -> outputs (T, B, H), last states (1, B, H). A subclass defines it."""
        raise TypeError(f"{type(self).__name__} defines no _sequence()")

    def _layer(
        self, x: Tensor, layer: int, states: list[Tensor], packing: _Packing | None
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """All directions of a layer: (T, B, D), or packed (N, D) -> the same with directions H, and the last states."""
        outputs: list[Tensor] = []
        lasts: list[list[Tensor]] = []
        for suffix in self._suffixes(layer):
            i, backwards = len(self._suffixes(0)) * layer + len(lasts), bool(lasts)
            ordered, first = _turned(x, packing) if backwards else x, [state[i] for state in states]
            if packing is None:
                out, last = self._sequence(ordered, first, _parameters(self, suffix))
            else:
                out, last = packing.apply(self._sequence, ordered, first, _parameters(self, suffix))
            outputs.append(_turned(out, packing) if backwards else out)
            lasts.append(last)
        return _joined(outputs, -1), lasts

    def _packing(self, x: Tensor, mask: Any, batched: bool) -> _Packing | None:
        """How x (T, B, D) is packed, None if there is no padding. ValueError for what is no such mask."""
        T, B = x.shape[:2]
        shape = ((B, T) if self.batch_first else (T, B)) if batched else (T,)
        array, name = np.asarray(mask.numpy() if isinstance(mask, Tensor) else mask), type(self).__name__
        if array.dtype != np.bool_ or array.shape != shape:
            raise ValueError(f"{name}: expected a bool mask of shape {shape}, got {array.dtype} of shape {array.shape}")
        if array.all():
            return None
        array = array.T if batched and self.batch_first else array.reshape(T, B)
        for i, sequence in enumerate(array.T):
            if not sequence.any() or not sequence[: sequence.sum()].all():
                found = "a gap" if sequence.any() else "no items"
                raise ValueError(f"{name}: expected each sequence's items first in mask, then False; {i} has {found}")
        return _Packing(x, array)

    def _first(self, x: Tensor, hx: Any, batched: bool) -> list[Tensor]:
        """The first states, (L, B, H) each. ValueError, TypeError for what is none."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        shape = (count, x.shape[1], self.hidden_size) if batched else (count, self.hidden_size)
        if hx is None:
            zero = x.new_zeros((count, x.shape[1], self.hidden_size))
            return [zero] * self.states
        given = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if len(given) != self.states or (self.states == 1 and given[0] is not hx):
            expected = "one Tensor" if self.states == 1 else "a tuple of two Tensors, (h, c)"
            raise TypeError(f"{type(self).__name__}: expected {expected} as state, got {type(hx).__name__}")
        for state in given:
            if state.shape != shape:
                raise ValueError(f"{type(self).__name__}: expected a state of shape {shape}, got {state.shape}")
        return given if batched else [unsqueeze(state, 1) for state in given]

    def forward(self, input: Tensor, hx: Any = None, mask: Any = None) -> tuple[Tensor, Any]:
        """The last layer's outputs at every time, (T, B, directions H) laid out as the input, and the last states.

        `mask`, a bool array or Tensor laid out as the batch, (T, B), (B, T) or (T,), is True where there is something:
        for each sequence at least once, and then False to the end. Beyond it outputs are 0; last states are those of a
        sequence's end, and the reverse direction begins there. ValueError for another mask.
        """
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            layout = "(B, T, D)" if self.batch_first else "(T, B, D)"
            name = type(self).__name__
            raise ValueError(f"{name}: expected input {layout} or (T, D), D = {self.input_size}, got {input.shape}")
        batched = input.ndim == 3
        x = (transpose(input, 0, 1) if self.batch_first else input) if batched else unsqueeze(input, 1)
        states, lasts = self._first(x, hx, batched), []
        packing = None if mask is None else self._packing(x, mask, batched)
        if packing:
            x, states = packing.pack(x), [index_select(state, 1, packing.order) for state in states]
        for layer in range(self.num_layers):
            if layer:
                x = dropout(x, self.dropout, self.training)
            x, last = self._layer(x, layer, states, packing)
            lasts += last
        final = [_joined([last[k] for last in lasts], 0) for k in range(self.states)]
        if packing:
            x, final = packing.unpack(x), [index_select(state, 1, packing.order_back) for state in final]
        if not batched:
            x, final = x[:, 0], [state[:, 0] for state in final]
        out = transpose(x, 0, 1) if batched and self.batch_first else x
        return out, final[0] if self.states == 1 else tuple(final)

    def extra_repr(self) -> str:
        shown = {
            name: getattr(self, name) for name in ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
        }
        default = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts = [f"{name}={value}" for name, value in shown.items() if value != default[name]]
        return ", ".join([str(self.input_size), str(self.hidden_size), *parts])


def _joined(tensors: list[Tensor], dim: int) -> Tensor:
    """The tensors joined, without a copy where there is but one."""
    return tensors[0] if len(tensors) == 1 else cat(tensors, dim)


def _turned(x: Tensor, packing: _Packing | None) -> Tensor:
    """x with time the other way round, within each sequence."""
    return flip(x, 0) if packing is None else index_select(x, 0, packing.turned)


class RNN(Recurrent):
    """Elman's network: h = tanh(W x + W h), or relu. Gives (output, h_n).

    >>> import tinygrad_edu as tg
    >>> output, h_n = RNN(3, 4, num_layers=2)(tg.zeros(7, 5, 3))
    >>> output.shape, h_n.shape
    ((7, 5, 4), (2, 5, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)

    def _sequence(self, x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        out = rnn(x, *states, *parameters, nonlinearity=self.nonlinearity)
        return out, [out[-1:]]


class GRU(Recurrent):
    """Gated recurrent units: h = (1 - z) n + z h. Gives (output, h_n)."""

    gates = 3

    def _sequence(self, x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        out = gru(x, *states, *parameters)
        return out, [out[-1:]]


class LSTM(Recurrent):
    """Long short-term memory: c = f c + i g, h = o tanh(c). A state is (h, c); gives (output, (h_n, c_n))."""

    gates, states = 4, 2

    def _sequence(self, x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        both = lstm(x, *states, *parameters)
        return both[:-1], [both[-2:-1], both[-1:]]


class Cell(Module):
    """Base of the cells: inputs (B, D) or (D,), states (B, H) or (H,), zeros if not given."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        _check_sizes(self, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        _make_parameters(self, "", self.gates, input_size, hidden_size, bias)

    def _first(self, input: Tensor, hx: Any) -> list[Tensor]:
        name, shape = type(self).__name__, (*input.shape[:-1], self.hidden_size)
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"{name}: expected input (B, D) or (D,), D = {self.input_size}, got {input.shape}")
        given = [input.new_zeros(shape)] * self.states if hx is None else list(hx) if self.states > 1 else [hx]
        if len(given) != self.states or any(state.shape != shape for state in given):
            raise ValueError(
                f"{name}: expected {self.states} of shape {shape} as state, got {[s.shape for s in given]}"
            )
        return given

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(Cell):
    """One step of an RNN: (B, D), (B, H) -> (B, H)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(B, D), (B, H) -> (B, H)."""
        return rnn_cell(input, *self._first(input, hx), *_parameters(self), nonlinearity=self.nonlinearity)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(Cell):
    """One step of an LSTM: (B, D), ((B, H), (B, H)) -> the next (h, c)."""

    gates, states = 4, 2

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(B, D), ((B, H), (B, H)) -> (B, H), (B, H)."""
        return lstm_cell(input, *self._first(input, hx), *_parameters(self))


class GRUCell(Cell):
    """One step of a GRU: (B, D), (B, H) -> (B, H)."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(B, D), (B, H) -> (B, H)."""
        return gru_cell(input, *self._first(input, hx), *_parameters(self))
