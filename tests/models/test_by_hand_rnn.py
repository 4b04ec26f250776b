"""The RNN by hand: its values and gradients are the Tensor's and torch's, gradients are slopes, min-char-rnn learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu.models.by_hand import rnn as by_hand
from tinygrad_edu.models.by_hand.rnn import RNN, Adagrad, MinCharRNN, cross_entropy
from tinygrad_edu.nn.recurrent import rnn as fused_rnn

Needs = Callable[[str], ModuleType]
# In float64: sums of at most some hundred products of order 1, each library in its own order.
RTOL, ATOL = 1e-10, 1e-12

# T characters, B texts, H units, V characters there are: one of each, one step, more units than characters, fewer
SIZES = [(1, 1, 1, 1), (1, 1, 4, 3), (1, 3, 2, 5), (6, 1, 4, 3), (7, 3, 2, 5), (12, 4, 9, 6)]


def close(found: Any, expected: Any) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=ATOL)


def make(T: int, B: int, H: int, V: int) -> tuple[RNN, np.ndarray, np.ndarray, np.ndarray]:
    """A network, characters, those that come next (T, B) and a first state (B, H), all of seed 0."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape) for shape in ((H, V), (H, H), (V, H))]
    model = RNN(weights, [rng.standard_normal(H), rng.standard_normal(V)])
    x, y = rng.integers(0, V, (2, T, B))
    return model, x, y, np.tanh(rng.standard_normal((B, H)))


def parameters(model: RNN) -> list[np.ndarray]:
    return [*model.weights, *model.biases]


def grad(t: tg.Tensor) -> np.ndarray:
    assert t.grad is not None
    return t.grad.numpy()


def everything(model: RNN, x: np.ndarray, y: np.ndarray, h: np.ndarray) -> list[Any]:
    """Logits, states, loss, and the gradients of the parameters and of the first state."""
    logits, last = model.forward(x, h)
    np.testing.assert_array_equal(last, model.states[-1])
    loss, g = cross_entropy(logits, y)
    gradients, gh = model.backward(g)
    return [logits, model.states[1:], loss, *gradients, gh]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_values_and_gradients_are_the_tensors(sizes: tuple[int, int, int, int]) -> None:
    model, x, y, h = make(*sizes)
    inputs = [tg.tensor(array, requires_grad=True) for array in (*parameters(model), h)]
    Wxh, Whh, Why, bh, by, h0 = inputs
    states = fused_rnn(tg.tensor(np.eye(sizes[3])[x]), h0, Wxh, Whh, bh, tg.zeros_like(bh))
    logits = states @ Why.T + by
    loss = F.cross_entropy(logits.reshape(-1, sizes[3]), tg.tensor(y.reshape(-1)))
    loss.backward()
    expected = [*(t.detach().numpy() for t in (logits, states, loss)), *(grad(t) for t in inputs)]
    for found, value in zip(everything(model, x, y, h), expected, strict=True):
        close(found, value)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_values_and_gradients_are_torchs(needs: Needs, sizes: tuple[int, int, int, int]) -> None:
    torch, (model, x, y, h) = needs("torch"), make(*sizes)
    Wxh, Whh, Why, bh, by = map(torch.tensor, parameters(model))
    theirs = torch.nn.RNN(sizes[3], sizes[2], dtype=torch.float64)
    theirs.load_state_dict(
        {"weight_ih_l0": Wxh, "weight_hh_l0": Whh, "bias_ih_l0": bh, "bias_hh_l0": torch.zeros_like(bh)}
    )
    h0 = torch.tensor(h[None], requires_grad=True)
    states, _ = theirs(torch.eye(sizes[3], dtype=torch.float64)[x], h0)
    logits = states @ Why.requires_grad_().T + by.requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, sizes[3]), torch.tensor(y.reshape(-1)))
    loss.backward()
    inputs = (theirs.weight_ih_l0, theirs.weight_hh_l0, Why, theirs.bias_ih_l0, by)
    expected = [logits.detach(), states.detach(), loss.detach(), *(t.grad for t in inputs), h0.grad[0]]
    for found, value in zip(everything(model, x, y, h), expected, strict=True):
        close(found, value)


def test_gradients_are_finite_differences() -> None:
    """Independent of every formula: each parameter and the first state."""
    model, x, y, h = make(T=3, B=2, H=2, V=3)
    gradients = everything(model, x, y, h)[3:]
    for p, g in zip([*parameters(model), h], gradients, strict=True):
        for index in np.ndindex(p.shape):
            losses, before = [], p[index]
            for step in (6e-6, -6e-6):  # the cube root of float64's epsilon balances truncation and rounding
                p[index] = before + step
                losses.append(cross_entropy(model.forward(x, h)[0], y)[0])
            p[index] = before
            assert g[index] == pytest.approx((losses[0] - losses[1]) / 1.2e-5, rel=1e-6, abs=1e-9)


def test_a_states_gradient_is_its_own_part_and_that_of_a_network_that_starts_there() -> None:
    model, x, y, h = make(T=5, B=2, H=3, V=4)
    _, g = cross_entropy(model.forward(x, h)[0], y)
    found, states = model.state_gradients(g), model.states
    own = np.concatenate([np.zeros((1, 2, 3)), g @ model.weights[2]])  # the first state makes no logits
    for t in range(5):
        model.forward(x[t:], states[t])
        close(found[t], own[t] + model.backward(g[t:])[1])
    close(found[5], own[5])


def test_a_text_in_two_parts_is_one_text() -> None:
    """The state is all that is carried over."""
    model, x, _, h = make(T=6, B=2, H=3, V=4)
    whole, last = model.forward(x, h)
    first, between = model.forward(x[:2], h)
    second, end = model.forward(x[2:], between)
    close(np.concatenate([first, second]), whole)
    close(end, last)


def test_without_a_state_it_is_zero() -> None:
    model, x, _, _ = make(T=3, B=2, H=3, V=4)
    np.testing.assert_array_equal(model.forward(x)[0], model.forward(x, np.zeros((2, 3)))[0])


def test_no_character_changes_nothing() -> None:
    model, x, _, h = make(T=3, B=2, H=3, V=4)
    logits, last = model.forward(x[:0], h)
    assert logits.shape == (0, 2, 4)
    np.testing.assert_array_equal(last, h)
    gradients, gh = model.backward(logits)
    assert not any(array.any() for array in [*gradients, gh])
    assert model.gradient_norms(logits).tolist() == [0.0]


def test_gradient_norms_are_the_last_losses() -> None:
    """Found once more from networks that start k steps before the end and are judged by their last step alone."""
    model, x, y, h = make(T=5, B=2, H=3, V=4)
    _, g = cross_entropy(model.forward(x, h)[0], y)
    norms, states = model.gradient_norms(g), model.states
    assert norms[0] == pytest.approx(np.linalg.norm(g[-1] @ model.weights[2]), rel=RTOL)
    for k in range(1, 6):
        model.forward(x[5 - k :], states[5 - k])
        g_last = np.concatenate([np.zeros((k - 1, 2, 4)), g[-1:]])
        assert norms[k] == pytest.approx(np.linalg.norm(model.backward(g_last)[1]), rel=RTOL), k


@pytest.mark.parametrize(("size", "vanishes"), [(0.5, True), (2.0, False)])
def test_gradients_vanish_or_explode(size: float, vanishes: bool) -> None:
    """Whh turns and scales by `size`. The slope of tanh is 1 at most, and near that where states are near 0."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    model = RNN([np.zeros((4, 3)), size * turn, rng.standard_normal((3, 4))], [np.zeros(4), np.zeros(3)])
    x = np.zeros((10, 1), np.int64)
    norms = model.gradient_norms(cross_entropy(model.forward(x)[0], x)[1])
    np.testing.assert_allclose(norms / norms[0], size ** np.arange(11.0), rtol=RTOL)
    assert (norms[-1] < 1e-2 * norms[0]) == vanishes


def test_float32_stays_float32() -> None:
    model, x, y, h = make(T=3, B=2, H=3, V=4)
    model = RNN([W.astype(np.float32) for W in model.weights], [b.astype(np.float32) for b in model.biases])
    found = [np.asarray(array) for i, array in enumerate(everything(model, x, y, h)) if i != 2]  # the loss is a float
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


def test_samples_are_drawn_with_their_probabilities() -> None:
    """A network that knows only how frequent each character is; 5 standard deviations of a count are 5 sqrt(n) / 2."""
    p = np.array([0.5, 0.3, 0.2, 0.0])
    with np.errstate(divide="ignore"):
        model = RNN([np.zeros((2, 4)), np.zeros((2, 2)), np.zeros((4, 2))], [np.zeros(2), np.log(p)])
    for temperature, expected in ((1.0, p), (2.0, np.sqrt(p) / np.sqrt(p).sum()), (0.0, np.eye(4)[0])):
        drawn = model.sample(np.array([1]), 4000, np.random.default_rng(0), temperature)
        assert drawn.shape == (4000,)
        assert drawn.dtype == np.int64
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, expected, atol=2.5 / np.sqrt(4000))


def test_a_sample_follows_its_seed() -> None:
    """At temperature 0: the likeliest character after all that has been read and written."""
    model, x, _, _ = make(T=5, B=1, H=4, V=6)
    text = x[:, 0].tolist()
    drawn = model.sample(x[:, 0], 8, np.random.default_rng(0), temperature=0.0)
    for character in drawn:
        logits, _ = model.forward(np.array(text)[:, None])
        assert character == logits[-1, 0].argmax()
        text.append(character)
    assert model.sample(x[:, 0], 0, np.random.default_rng(0)).shape == (0,)


@pytest.mark.parametrize(
    ("start", "eps", "rtol"),
    [
        (
            1e-8,
            0.0,
            1e-12,
        ),  # torch adds eps to the root, we below it, which is what a start of 1e-8 does: the same sums
        (0.0, 1e-10, 2e-5),  # ours is larger by 1e-8 / 2 m of itself, 1.25e-5 at most: |g| >= 0.02 makes m >= 4e-4
    ],
)
def test_adagrad_is_torchs(needs: Needs, start: float, eps: float, rtol: float) -> None:
    torch = needs("torch")
    model, *_ = make(1, 1, 4, 3)
    before = [p.copy() for p in parameters(model)]
    theirs = [torch.tensor(p) for p in parameters(model)]
    ours = Adagrad(model)
    optimizer = torch.optim.Adagrad(theirs, lr=0.1, initial_accumulator_value=start, eps=eps)
    rng = np.random.default_rng(1)
    for _ in range(20):
        gradients = [rng.choice([-1.0, 1.0], p.shape) * rng.uniform(0.02, 2.0, p.shape) for p in before]
        ours.step(gradients, lr=0.1)
        for t, g in zip(theirs, gradients, strict=True):
            t.grad = torch.tensor(g)
        optimizer.step()
    for old, p, t in zip(before, parameters(model), theirs, strict=True):
        largest = np.abs(p - old).max()  # steps of both signs add up to little: by the way gone, not by where it ends
        np.testing.assert_allclose(p - old, t.numpy() - old, rtol=rtol, atol=rtol * largest)


def test_adagrad_leaves_what_has_no_gradient() -> None:
    model, *_ = make(1, 1, 2, 3)
    before = [p.copy() for p in parameters(model)]
    Adagrad(model).step([np.zeros_like(p) for p in before], lr=0.1)
    for p, old in zip(parameters(model), before, strict=True):
        np.testing.assert_array_equal(p, old)


def by_torch(torch: Any, model: RNN, text: np.ndarray, length: int, steps: int) -> tuple[list[float], list[Any]]:
    """min-char-rnn once more: the smoothed losses, and the parameters at the end."""
    p = [torch.tensor(array, requires_grad=True) for array in parameters(model)]
    Wxh, Whh, Why, bh, by = p
    optimizer = torch.optim.Adagrad(p, lr=0.1, initial_accumulator_value=1e-8, eps=0.0)
    place, h, smoothed, found = 0, torch.zeros_like(bh), length * np.log(len(by)), []
    for _ in range(steps):
        if place + length + 1 > len(text):
            place, h = 0, torch.zeros_like(bh)
        loss, h = 0.0, h.detach()
        for now, then in zip(text[place : place + length], text[place + 1 : place + length + 1], strict=True):
            h = torch.tanh(Wxh[:, now] + Whh @ h + bh)
            loss = loss - torch.log_softmax(Why @ h + by, 0)[then]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(p, 5.0)
        optimizer.step()
        smoothed = 0.999 * smoothed + 0.001 * loss.item()
        found.append(smoothed)
        place += length
    return found, [t.detach().numpy() for t in p]


@pytest.mark.parametrize("size", [33, 34, 35], ids=lambda size: f"{size} characters")
def test_min_char_rnn_is_torchs(needs: Needs, size: int) -> None:
    """Seven steps over a text of 3, 4 and 4 sequences of 8, in which gradients are clipped (see the next test)."""
    text = np.random.default_rng(1).integers(0, 3, size)
    model, other = (make(1, 1, 5, 3)[0] for _ in range(2))
    losses, expected = by_torch(needs("torch"), other, text, length=8, steps=7)
    np.testing.assert_allclose(list(islice(MinCharRNN(model, text, length=8), 7)), losses, rtol=RTOL)
    for p, value in zip(parameters(model), expected, strict=True):
        close(p, value)


def test_gradients_of_the_sum_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal characters, no knowledge: each of 25 steps wants by raised by ½ at one place and lowered at the other."""
    taken: list[np.ndarray] = []

    class Recorder(Adagrad):
        def step(self, gradients: Sequence[np.ndarray], lr: float) -> None:
            taken.append(np.array(gradients[-1]))
            assert lr == 0.1

    monkeypatch.setattr(by_hand, "Adagrad", Recorder)
    model = RNN([np.zeros((3, 2)), np.zeros((3, 3)), np.zeros((2, 3))], [np.zeros(3), np.zeros(2)])
    next(MinCharRNN(model, np.zeros(60, np.int64)))
    next(MinCharRNN(model, np.zeros(60, np.int64), length=4))
    assert [g.tolist() for g in taken] == [[-5.0, 5.0], [-2.0, 2.0]]


@pytest.mark.parametrize("V", [2, 65])
def test_the_first_smoothed_loss_knows_nothing(V: int) -> None:
    """The weights are so small that all characters are nearly equally likely: of their effect a thousandth is seen."""
    model = RNN.small(V, 100, np.random.default_rng(0))
    text = np.random.default_rng(1).integers(0, V, 100)
    assert next(MinCharRNN(model, text)) == pytest.approx(25 * np.log(V), rel=1e-5)


def test_small_networks_begin_small() -> None:
    model = RNN.small(65, 100, np.random.default_rng(0))
    assert [p.shape for p in parameters(model)] == [(100, 65), (100, 100), (65, 100), (100,), (65,)]
    for W in model.weights:
        assert W.std() == pytest.approx(0.01, rel=0.05)  # of 6500 numbers or more: 1 / sqrt(2 * 6500) = 0.9 %
    assert not any(b.any() for b in model.biases)


def test_it_learns_a_rhythm() -> None:
    """After 0 sometimes comes 1 and sometimes 2: only the state can tell."""
    text = np.tile([0, 1, 0, 2], 60)
    model = RNN.small(3, 16, np.random.default_rng(0))
    losses = list(islice(MinCharRNN(model, text), 300))
    assert losses[-1] < 0.85 * losses[0]  # smoothed over a thousand: 0.999^300 = 0.74 is left of the first even so
    drawn = model.sample(text[:10], 8, np.random.default_rng(0), temperature=0.0)
    assert drawn.tolist() == [0, 2, 0, 1, 0, 2, 0, 1]


def test_its_state_goes_round() -> None:
    model, x, _, h = make(T=3, B=2, H=3, V=4)
    other = RNN.small(4, 3, np.random.default_rng(1))
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.forward(x, h)[0], model.forward(x, h)[0])
    with pytest.raises(ValueError, match=r"RNN: expected a weight of shape \(3, 4\), got \(4, 3\)"):
        other.load_state_dict({"weights": [np.zeros((4, 3)), *model.weights[1:]], "biases": model.biases})


def test_mistakes() -> None:
    model, x, _, h = make(T=3, B=2, H=3, V=4)
    weights, biases = model.weights, model.biases
    wrong: list[tuple[list[np.ndarray], list[np.ndarray]]] = [
        ([], []),
        (weights, biases[:1]),
        (weights[:2], biases),
        ([weights[0][0], *weights[1:]], biases),
        ([weights[0], np.zeros((3, 4)), weights[2]], biases),
        ([*weights[:2], weights[0]], biases),
        (weights, biases[::-1]),
    ]
    for W, b in wrong:
        with pytest.raises(ValueError, match=r"RNN: expected weights \(H, V\), .* and biases \(H,\), \(V,\), got \["):
            RNN(W, b)
    for characters in (x[:, 0], x + 4, x - 4, x.astype(np.float64)):
        with pytest.raises(ValueError, match=r"RNN: expected integers \(T, B\) in 0\.\.3, got (int|float)64 \(3,"):
            model.forward(characters)
    for state in (h[0], h[:1], h[:, :2]):
        with pytest.raises(ValueError, match=r"RNN: expected a state \(2, 3\), got \("):
            model.forward(x, state)
    logits, _ = model.forward(x, h)
    for g in (logits[0], logits[:2], logits[:, :1], logits[..., :3]):
        with pytest.raises(ValueError, match=r"RNN: expected the gradient of logits \(3, 2, 4\), got \("):
            model.backward(g)
    for seed, temperature in ((x[:0, 0], 1.0), (x[:, 0], -0.5), (x[:, 0], np.nan)):
        with pytest.raises(ValueError, match=r"sample: expected a seed of characters and temperature >= 0, got"):
            model.sample(seed, 1, np.random.default_rng(0), temperature)
    with pytest.raises(ValueError, match=r"MinCharRNN: expected a text of more than 25 characters, got 25"):
        next(MinCharRNN(model, np.zeros(25, np.int64)))
