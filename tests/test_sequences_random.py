"""Layers of sequences with random settings, beside torch's of the same state, on both backends, in float64.

207 configurations, the same ones in every run, by seed: values, first and second gradients of inputs and parameters,
states exchanged both ways. Where our recurrent layers take a mask, torch's get packed sequences. After that, of these
layers: padding that must not matter, dropout, 10,000 steps, masks that are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.bench import long_sequences

Needs = Callable[[str], ModuleType]
Rng = np.random.Generator
pytestmark = pytest.mark.usefixtures("seeded")

BACKENDS = ("numpy", "cpp")
PER_KIND = 23  # of 9 kinds

# Both add up some tens of numbers of size 1, in another order; a layer norm of nearly equal numbers multiplies the
# rounding of that by some hundreds, and each derivative does so once more.
CLOSE, CLOSE_SECOND = {"rtol": 1e-10, "atol": 1e-11}, {"rtol": 1e-8, "atol": 1e-9}


@dataclass
class Case:
    """Inputs that want a gradient, and for a framework `t` and its layer the results, some of them perhaps None."""

    inputs: list[np.ndarray]
    results: Callable[..., list[Any]]  # (t, layer, *inputs)
    args: tuple[Any, ...] = ()  # of the layer
    settings: dict[str, Any] = field(default_factory=dict)
    has_layer: bool = True


def choice(rng: Rng, *values: Any) -> Any:
    return values[rng.integers(len(values))]


def flat(results: Any) -> list[Any]:
    """The Tensors in nested tuples, one after the other."""
    return [x for part in results for x in flat(part)] if isinstance(results, (tuple, list)) else [results]


def prefixes(rng: Rng, T: int, B: int) -> np.ndarray:
    """A mask (T, B) of sequences of 1 to T items."""
    return np.arange(T)[:, None] < rng.integers(1, T + 1, B)


# --- recurrent -------------------------------------------------------------------------------------------------------


def torchs_packed(layer: Any, x: Any, hx: Any, mask: np.ndarray) -> Any:
    """What torch's layer makes of sequences of several lengths; `mask` is laid out as the batch."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    if x.ndim == 2:  # it packs batches only
        place = int(not layer.batch_first)
        hx = None if hx is None else hx[:, None] if not isinstance(hx, tuple) else tuple(h[:, None] for h in hx)
        out, last = torchs_packed(layer, x.unsqueeze(place), hx, np.expand_dims(mask, place))
        return out.squeeze(place), [h[:, 0] for h in flat(last)]
    first, time = layer.batch_first, int(layer.batch_first)
    packed = pack_padded_sequence(x, mask.sum(time), batch_first=first, enforce_sorted=False)
    out, last = layer(packed, hx)
    return pad_packed_sequence(out, batch_first=first, total_length=x.shape[time])[0], last


def recurrent(rng: Rng, kind: str) -> Case:
    D, H, layers, T, B = (int(n) for n in rng.integers(1, [5, 5, 4, 7, 6]))
    settings: dict[str, Any] = {name: choice(rng, True, False) for name in ("bias", "batch_first", "bidirectional")}
    settings |= {"num_layers": layers}
    if kind == "RNN":
        settings["nonlinearity"] = choice(rng, "tanh", "relu")
    batched, count = rng.random() < 0.8, layers * (1 + settings["bidirectional"])
    x = rng.standard_normal((T, B, D) if batched else (T, D))
    mask = prefixes(rng, T, B) if batched else prefixes(rng, T, 1)[:, 0]
    if batched and settings["batch_first"]:
        x, mask = x.swapaxes(0, 1), mask.T
    states = [rng.standard_normal((count, B, H) if batched else (count, H)) for _ in range(2 if kind == "LSTM" else 1)]
    masked, as_tensor = rng.random() < 0.6, rng.random() < 0.5

    def results(t: Any, layer: Any, x: Any, *states: Any) -> list[Any]:
        hx = None if not states else states if len(states) > 1 else states[0]
        if not masked:
            return flat(layer(x, hx))
        if t is not tg:
            return flat(torchs_packed(layer, x, hx, mask))
        return flat(layer(x, hx, tg.tensor(mask) if as_tensor else mask))

    return Case([x, *(states if rng.random() < 0.5 else [])], results, (D, H), settings)


def cell(rng: Rng, kind: str) -> Case:
    D, H, B = (int(n) for n in rng.integers(1, [5, 5, 4]))
    settings = {"bias": choice(rng, True, False)}
    if kind == "RNNCell":
        settings["nonlinearity"] = choice(rng, "tanh", "relu")
    lead = choice(rng, (B,), ())
    states = [rng.standard_normal((*lead, H)) for _ in range(2 if kind == "LSTMCell" else 1)]

    def results(t: Any, layer: Any, x: Any, *states: Any) -> list[Any]:
        return flat(layer(x, *([] if not states else [states] if len(states) > 1 else states)))

    return Case([rng.standard_normal((*lead, D)), *(states if rng.random() < 0.7 else [])], results, (D, H), settings)


# --- attention -------------------------------------------------------------------------------------------------------


def hidden(rng: Rng, *shape: int) -> np.ndarray:
    """A bool mask, True for what is not to be seen; the first key always is."""
    mask = rng.random(shape) < 0.4
    mask[..., 0] = False
    return mask


def added(rng: Rng, mask: np.ndarray) -> np.ndarray:
    """Numbers to be added to scores, -inf where `mask` is True."""
    return np.where(mask, -np.inf, rng.standard_normal(mask.shape))


def masks(rng: Rng, B: int, H: int, L: int, S: int, batched: bool) -> tuple[Any, Any, bool]:
    """A padding mask, a mask of attention, either perhaps None, and whether it is causal; bool or floats, not mixed."""
    padding = hidden(rng, *([B] if batched else []), S) if rng.random() < 0.5 else None
    mask = choice(rng, None, hidden(rng, L, S), hidden(rng, B * H, L, S))
    if rng.random() < 0.5:
        padding, mask = (None if m is None else added(rng, m) for m in (padding, mask))
    return padding, mask, rng.random() < 0.3


def causal(mask: Any, padding: Any, L: int, S: int) -> np.ndarray:
    """`mask` and the triangle in one, of the same kind as the padding's, as torch wants it."""
    after = ~np.tri(L, S, dtype=bool)
    if mask is None:
        mask = np.zeros((L, S), bool if padding is None else padding.dtype)
    return mask | after if mask.dtype == bool else np.where(after, -np.inf, mask)


def arguments(t: Any, padding: Any, mask: Any, is_causal: bool, L: int, S: int) -> tuple[Any, Any, bool]:
    """Padding mask, mask and `is_causal`, as each framework takes it: torch wants the triangle in the mask."""
    if is_causal and t is not tg:
        mask, is_causal = causal(mask, padding, L, S), mask is None
    return *(None if m is None else t.tensor(m) for m in (padding, mask)), is_causal


def multihead(rng: Rng, kind: str) -> Case:
    H, width, B, L, S = (int(n) for n in rng.integers(1, [4, 4, 4, 6, 6]))
    E, batched = H * width, rng.random() < 0.8
    places = choice(rng, (0, 1, 2), (0, 1, 2), (0, 0, 0), (0, 0, 0), (0, 1, 1), (0, 0, 1))  # which are one Tensor
    settings = {"bias": choice(rng, True, False), "batch_first": choice(rng, True, False)}
    kdim = vdim = E
    S = L if places[1] == 0 else S
    if places == (0, 1, 2) and rng.random() < 0.6:
        kdim, vdim = settings["kdim"], settings["vdim"] = tuple(map(int, rng.integers(1, 5, 2)))
    padding, mask, is_causal = masks(rng, B if batched else 1, H, L, S, batched)
    how = {"need_weights": choice(rng, True, False), "average_attn_weights": choice(rng, True, False)}
    shapes = [(B, n, d) if settings["batch_first"] else (n, B, d) for n, d in ((L, E), (S, kdim), (S, vdim))]
    inputs = [
        rng.standard_normal(shape if batched else (n, shape[2])) for shape, n in zip(shapes, (L, S, S), strict=True)
    ]

    def results(t: Any, layer: Any, *xs: Any) -> list[Any]:
        pad, attn, now = arguments(t, padding, mask, is_causal, L, S)
        return list(layer(*[xs[i] for i in places], key_padding_mask=pad, attn_mask=attn, is_causal=now, **how))

    return Case([inputs[places.index(i)] for i in sorted(set(places))], results, (E, H), settings)


def attention(rng: Rng, kind: str) -> Case:
    B, H, L, S, E, V = (int(n) for n in rng.integers(1, [4, 4, 20, 20, 5, 5]))
    lead = choice(rng, (), (B,), (B, H))
    shapes = [[*(choice(rng, 1, n) for n in lead), *last] for last in ((L, E), (S, E), (S, V))]
    shapes[0][: len(lead)] = lead
    seen = choice(rng, None, ~hidden(rng, L, S), ~hidden(rng, *lead, 1, S), ~hidden(rng, *lead, L, S))
    settings = {"is_causal": seen is None and choice(rng, True, False), "scale": choice(rng, None, 0.3)}
    by_adding = seen is not None and rng.random() < 0.5
    inputs = [rng.standard_normal(shape) for shape in shapes] + [added(rng, ~seen) for _ in range(by_adding)]

    def results(t: Any, layer: Any, q: Any, k: Any, v: Any, *mask: Any) -> list[Any]:
        function = (F if t is tg else t.nn.functional).scaled_dot_product_attention
        return [function(q, k, v, *(mask or ([] if seen is None else [t.tensor(seen)])), **settings)]

    return Case(inputs, results, has_layer=False)


def encoder(rng: Rng, kind: str) -> Case:
    H, width, B, T, W = (int(n) for n in rng.integers(1, [4, 4, 4, 6, 9]))
    C, batched = H * width, rng.random() < 0.8
    settings = {name: choice(rng, True, False) for name in ("bias", "batch_first", "norm_first")}
    settings |= {"activation": choice(rng, "relu", "gelu"), "layer_norm_eps": choice(rng, 1e-5, 1e-2)}
    settings |= {"dim_feedforward": W, "dropout": 0.0}
    padding, mask, is_causal = masks(rng, B if batched else 1, H, T, T, batched)
    shape = (T, C) if not batched else (B, T, C) if settings["batch_first"] else (T, B, C)

    def results(t: Any, layer: Any, x: Any) -> list[Any]:
        pad, attn, now = arguments(t, padding, mask, is_causal, T, T)
        return [layer(x, attn, pad, is_causal=now)]

    return Case([rng.standard_normal(shape)], results, (C, H), settings)


KINDS: dict[str, Callable[[Rng, str], Case]] = {
    **dict.fromkeys(("RNN", "LSTM", "GRU"), recurrent),
    **dict.fromkeys(("RNNCell", "LSTMCell", "GRUCell"), cell),
    "MultiheadAttention": multihead,
    "attention": attention,
    "TransformerEncoderLayer": encoder,
}


# --- beside torch ----------------------------------------------------------------------------------------------------


def both(torch: Any, kind: str, case: Case, rng: Rng) -> tuple[Any, Any]:
    """Our layer and torch's of one random state; torch has loaded ours before, and we torch's."""
    if not case.has_layer:
        return None, None
    ours = getattr(nn, kind)(*case.args, **case.settings).double()
    theirs = getattr(torch.nn, kind)(*case.args, **case.settings).double()
    state = {key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(state)
    for p in theirs.parameters():
        p.data = torch.tensor(rng.uniform(-1, 1, p.shape))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def traced(t: Any, layer: Any, case: Case, seed: int) -> dict[str, Any]:
    """Results, first and second gradients by name, with random cotangents; None is what nothing depends on."""
    rng, grad = np.random.default_rng(seed), tg.grad if t is tg else t.autograd.grad
    leaves = {f"input {i}": t.tensor(x).requires_grad_() for i, x in enumerate(case.inputs)}
    outputs = [out for out in case.results(t, layer, *leaves.values()) if out is not None]
    found = {f"result {i}": out for i, out in enumerate(outputs)}
    leaves |= dict(layer.named_parameters()) if layer else {}
    cotangents = [t.tensor(rng.standard_normal(tuple(out.shape))).requires_grad_() for out in outputs]
    settings = {"allow_unused": True, "retain_graph": True}
    first = grad(outputs, [*leaves.values()], [c.detach() for c in cotangents], **settings)
    found |= {f"gradient of {name}": g for name, g in zip(leaves, first, strict=True)}
    again = grad(outputs, [*leaves.values()], cotangents, create_graph=True, allow_unused=True)
    found |= {f"gradient of {name}, recorded": g for name, g in zip(leaves, again, strict=True)}
    rest = [g for g in again if g is not None and g.requires_grad]
    weights = [t.tensor(rng.standard_normal(tuple(g.shape))) for g in rest]
    wanted = leaves | {f"cotangent {i}": c for i, c in enumerate(cotangents)}
    second = grad(rest, [*wanted.values()], weights, allow_unused=True)
    return found | {f"second gradient of {name}": g for name, g in zip(wanted, second, strict=True)}


def same(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(got) == list(expected)
    for name, theirs in expected.items():
        ours = got[name]
        if theirs is None or ours is None:  # one of them may know that it is 0
            other = ours if theirs is None else theirs
            assert other is None or not other.detach().numpy().any(), name
            continue
        a, b = ours.detach().numpy(), theirs.detach().numpy()
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        np.testing.assert_allclose(a, b, **(CLOSE_SECOND if name.startswith("second") else CLOSE), err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_any_layer_is_torchs(needs: Needs, kind: str, backend: str) -> None:
    torch = needs("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    for number in range(PER_KIND):
        rng = np.random.default_rng([number, *kind.encode()])
        case = KINDS[kind](rng, kind)
        try:
            # What torch takes for attention's speed has no second gradients.
            with tg.use_backend(backend), sdpa_kernel(SDPBackend.MATH):
                ours, theirs = both(torch, kind, case, rng)
                same(traced(tg, ours, case, number), traced(torch, theirs, case, number))
        except BaseException as error:
            error.add_note(f"{number}: {kind}{case.args}, {case.settings}, on {[x.shape for x in case.inputs]}")
            raise


# --- padding that must not matter ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_nothing_of_the_padding_counts(kind: str, backend: str) -> None:
    """NaN there: results and gradients are those of each sequence alone, and 0 beyond its end."""
    lengths, D, H = [3, 5, 1, 5, 2], 2, 3
    mask = np.arange(6)[:, None] < np.array(lengths)
    x = np.where(mask[..., None], np.random.default_rng(0).standard_normal((6, 5, D)), np.nan)
    with tg.use_backend(backend):
        layer, given = getattr(nn, kind)(D, H, 2, bidirectional=True).double(), tg.tensor(x).requires_grad_()
        out, last = layer(given, mask=mask)
        (gx,) = tg.grad((out * out).sum(), [given])
        assert not out.detach().numpy()[~mask].any()
        assert not gx.numpy()[~mask].any()
        for i, n in enumerate(lengths):
            alone = tg.tensor(x[:n, i]).requires_grad_()
            expected, end = layer(alone)
            (gradient,) = tg.grad((expected * expected).sum(), [alone])
            np.testing.assert_allclose(out[:n, i].detach().numpy(), expected.detach().numpy(), **CLOSE)
            np.testing.assert_allclose(gx[:n, i].numpy(), gradient.numpy(), **CLOSE)
            for ours, theirs in zip(flat(last), flat(end), strict=True):
                np.testing.assert_allclose(ours[:, i].detach().numpy(), theirs.detach().numpy(), **CLOSE)


def test_a_mask_without_padding_changes_nothing() -> None:
    layer, x = nn.LSTM(2, 3, batch_first=True), tg.randn(4, 5, 2)
    for ours, theirs in zip(flat(layer(x, mask=np.ones((4, 5), bool))), flat(layer(x)), strict=True):
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
    assert layer(tg.zeros(0, 5, 2), mask=np.ones((0, 5), bool))[0].shape == (0, 5, 3)


def test_dropout_between_layers_of_packed_sequences() -> None:
    """All dropped: the second layer sees zeros, for as many steps as each sequence has."""
    mask = prefixes(np.random.default_rng(1), 6, 4)
    layer, x = nn.GRU(2, 3, 2, dropout=1.0), tg.randn(6, 4, 2)
    upper = nn.GRU(3, 3)
    upper.load_state_dict({k.replace("l1", "l0"): v for k, v in layer.state_dict().items() if k.endswith("l1")})
    out, expected = layer(x, mask=mask)[0].detach().numpy(), upper(tg.zeros(6, 4, 3))[0].detach().numpy()
    np.testing.assert_array_equal(out, np.where(mask[..., None], expected, 0.0))
    assert (layer.eval()(x, mask=mask)[0].detach().numpy() != out).any()


# --- long sequences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_lstm_trains_over_10000_steps(backend: str) -> None:
    """A step of gradient descent lowers the loss, and the gradient reaches the first step's input."""
    with tg.use_backend(backend):
        layer, x = nn.LSTM(1, 2), tg.randn(10_000, 1, 1).requires_grad_()

        def loss() -> tg.Tensor:
            return ((layer(x)[0] - 0.5) ** 2).mean()

        before = loss()
        before.backward()
        optim.SGD(layer.parameters(), lr=0.01).step()
        with tg.no_grad():
            assert loss().item() < before.item()
    assert np.isfinite(x.grad.numpy()).all()
    assert x.grad[0].item() != 0.0


def test_the_benchmark_prints_memory_and_time(capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    needs("tinygrad_edu.backends.cpp._cpu")
    assert long_sequences.main(["--positions", "1024", "--steps", "32", "64", "128", "--seconds", "0"]) == 0
    heading, attention, *rest = capsys.readouterr().out.splitlines()
    assert heading.startswith("attention, forward + backward, B=1 H=4 T=1024 E=32: MiB")
    assert float(attention.split()[-1]) == 16.0  # 4 x 1024 x 1024 x 4 bytes
    assert 2.0 <= float(attention.split()[1].strip(",")) < 3.0  # result and three gradients, 0.5 each
    marks = [float(line.split()[4]) for line in rest[1:]]
    assert 0.7 * marks[2] < marks[0] * 4 < 1.5 * marks[2]  # Python's own objects come in


# --- mistakes --------------------------------------------------------------------------------------------------------


def masked(kind: str, mask: Any, **settings: Any) -> Any:
    return getattr(nn, kind)(2, 3, **settings)(tg.ones(4, 3, 2), mask=mask)


GAP = np.array([[True, True, True], [True, False, True], [True, True, False], [False, False, False]])
EMPTY = np.array([[True, True, False]] * 2 + [[False] * 3] * 2)
FIRST = "expected each sequence's items first in mask, then False;"
MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: masked("LSTM", GAP.T), r"LSTM: expected a bool mask of shape \(4, 3\), got bool of shape \(3, 4\)"),
    (lambda: masked("GRU", GAP.T, batch_first=True), r"GRU: expected a bool mask of shape \(4, 3\), got bool of shape"),
    (lambda: nn.GRU(2, 3)(tg.ones(4, 2), mask=GAP), r"GRU: expected a bool mask of shape \(4,\), got bool of shape"),
    (lambda: masked("RNN", np.ones((4, 3))), r"RNN: expected a bool mask of shape \(4, 3\), got float64 of shape"),
    (lambda: masked("RNN", tg.ones(4, 3)), r"RNN: expected a bool mask of shape \(4, 3\), got float32 of shape"),
    (lambda: masked("RNN", GAP), f"RNN: {FIRST} 1 has a gap"),
    (lambda: masked("RNN", EMPTY), f"RNN: {FIRST} 2 has no items"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes(mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mistake()
