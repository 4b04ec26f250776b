"""Attention by hand: the Tensor's and torch's values and gradients, gradients are slopes, masks hide what follows."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu.models.by_hand.attention import Attention, attend, attend_backward
from tinygrad_edu.models.by_hand.rnn import Adagrad

Needs = Callable[[str], ModuleType]
# In float64: sums of at most some tens of products of order 1, each library in its own order.
RTOL, ATOL = 1e-10, 1e-12

# q, k and v: one of each, one vector, several; more queries than keys and fewer; heads; no batch; an empty batch
SHAPES = [
    ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    ((2, 1, 3), (2, 1, 3), (2, 1, 4)),
    ((3, 5, 4), (3, 5, 4), (3, 5, 2)),
    ((2, 6, 3), (2, 4, 3), (2, 4, 5)),
    ((2, 4, 3), (2, 6, 3), (2, 6, 3)),
    ((2, 3, 4, 2), (2, 3, 4, 2), (2, 3, 4, 5)),
    ((4, 3), (4, 3), (4, 3)),
    ((0, 4, 3), (0, 4, 3), (0, 4, 3)),
]
# B, T, D, E, F, O: one of each, one vector, several
SIZES = [(1, 1, 1, 1, 1, 1), (2, 1, 3, 2, 4, 3), (1, 5, 3, 4, 2, 6), (3, 6, 4, 4, 4, 4), (0, 3, 2, 2, 2, 2)]
causal_or_not = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def close(found: Any, expected: Any) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=ATOL)


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Normal numbers of seed 0, an array a shape."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def make(sizes: tuple[int, ...], causal: bool) -> tuple[Attention, np.ndarray, np.ndarray]:
    """A block, its input and a gradient of its result."""
    B, T, D, E, F, O = sizes
    *weights, x, g = draw((D, E), (D, E), (D, F), (F, O), (B, T, D), (B, T, O))
    return Attention(weights, causal=causal), x, g


@causal_or_not
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_attend_is_the_tensors_and_torchs(needs: Needs, shapes: tuple[tuple[int, ...], ...], causal: bool) -> None:
    torch, (q, k, v) = needs("torch"), draw(*shapes)
    c, a = attend(q, k, v, causal=causal)
    close(a.sum(axis=-1), np.ones(a.shape[:-1]))
    (g,) = draw(c.shape)
    found = [c, *attend_backward(g, a, q, k, v)]
    for to, functional in ((tg.tensor, F), (torch.tensor, torch.nn.functional)):
        inputs = [to(array, requires_grad=True) for array in (q, k, v)]
        expected = functional.scaled_dot_product_attention(*inputs, is_causal=causal)
        expected.backward(to(g))
        for array, theirs in zip(found, [expected.detach(), *(t.grad for t in inputs)], strict=True):
            close(array, theirs.numpy())


@causal_or_not
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_block_is_the_tensors_and_torchs(needs: Needs, sizes: tuple[int, ...], causal: bool) -> None:
    torch, (block, x, g) = needs("torch"), make(sizes, causal)
    out = block.forward(x)
    gradients, gx = block.backward(g)
    for to, functional in ((tg.tensor, F), (torch.tensor, torch.nn.functional)):
        inputs = [to(array, requires_grad=True) for array in (*block.weights, x)]
        Wq, Wk, Wv, Wo, t = inputs
        expected = functional.scaled_dot_product_attention(t @ Wq, t @ Wk, t @ Wv, is_causal=causal) @ Wo
        expected.backward(to(g))
        theirs = [expected.detach(), *(t.grad for t in inputs)]
        for array, value in zip([out, *gradients, gx], theirs, strict=True):
            close(array, value.numpy())


@causal_or_not
def test_gradients_are_finite_differences(causal: bool) -> None:
    """Independent of every formula: every weight and every number of the input."""
    block, x, g = make((2, 3, 2, 3, 2, 2), causal)
    block.forward(x)
    gradients, gx = block.backward(g)
    for p, gradient in zip([*block.weights, x], [*gradients, gx], strict=True):
        for index in np.ndindex(p.shape):
            losses, before = [], p[index]
            for h in (6e-6, -6e-6):  # the cube root of float64's epsilon balances truncation and rounding
                p[index] = before + h
                losses.append((g * block.forward(x)).sum())
            p[index] = before
            assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 1.2e-5, rel=1e-6, abs=1e-8)


def test_equal_keys_share_and_a_fitting_one_takes_all() -> None:
    values = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 2.5]])
    c, a = attend(np.ones((1, 2)), np.ones((3, 2)), values)
    close(a, np.full((1, 3), 1 / 3))
    close(c, values.mean(axis=0, keepdims=True))
    c, a = attend(np.array([[1e4, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), values)
    np.testing.assert_array_equal(a, [[1.0, 0.0, 0.0]])  # exp would overflow but for the largest being taken off
    np.testing.assert_array_equal(c, values[:1])


def test_what_follows_is_hidden() -> None:
    """A change of the last vector changes the last result alone; what comes later gets no gradient."""
    block, x, g = make((2, 4, 3, 2, 2, 3), causal=True)
    before = block.forward(x)
    x[:, -1] += 1.0
    after = block.forward(x)
    np.testing.assert_array_equal(after[:, :-1], before[:, :-1])
    assert (after[:, -1] != before[:, -1]).any()
    g[:, 2:] = 0.0
    _, gx = block.backward(g)
    assert not gx[:, 2:].any()
    assert gx[:, :2].all()


def test_without_a_mask_order_does_not_matter() -> None:
    block, x, _ = make((2, 4, 3, 2, 2, 3), causal=False)
    order = [2, 0, 3, 1]
    close(block.forward(x[:, order]), block.forward(x)[:, order])


@causal_or_not
def test_float32_stays_float32(causal: bool) -> None:
    block, x, g = make((2, 4, 3, 2, 2, 3), causal)
    block = Attention([W.astype(np.float32) for W in block.weights], causal=causal)
    out = block.forward(x.astype(np.float32))
    gradients, gx = block.backward(g.astype(np.float32))
    assert {array.dtype for array in (out, *gradients, gx)} == {np.dtype(np.float32)}


def test_it_learns_to_look_back() -> None:
    """Each vector is to become the one before it. A place is part of the vector, so that a query can ask for it."""
    rng = np.random.default_rng(0)
    here = np.eye(6)
    words = rng.integers(0, 2, (64, 6))
    x = np.concatenate([np.broadcast_to(here, (64, 6, 6)), np.eye(2)[words]], axis=2)  # (B, T, 8)
    y = np.roll(np.eye(2)[words], 1, axis=1)
    block = Attention([0.5 * rng.standard_normal(shape) for shape in ((8, 6), (8, 6), (8, 2), (2, 2))])
    optimizer, losses = Adagrad(block), []
    for _ in range(300):
        error = block.forward(x) - y
        losses.append((error**2).mean())
        optimizer.step(block.backward(2.0 * error / error.size)[0], lr=0.3)
    assert losses[-1] < 0.05 < 0.24 < losses[0]  # a half, come what may, is wrong by 0.25


def test_its_state_goes_round() -> None:
    block, x, _ = make((2, 4, 3, 2, 2, 3), causal=False)
    other = Attention([np.zeros_like(W) for W in block.weights])
    other.load_state_dict(block.state_dict())
    np.testing.assert_array_equal(other.forward(x), block.forward(x))
    with pytest.raises(ValueError, match=r"Attention: expected a weight of shape \(2, 3\), got \(3, 2\)"):
        other.load_state_dict({"weights": [*block.weights[:3], np.zeros((3, 2))], "biases": []})


def test_mistakes() -> None:
    q, k, v = draw((2, 4, 3), (2, 5, 3), (2, 5, 2))
    for arrays in ((q[0, 0], k, v), (q[..., :2], k, v), (q, k, v[:, :4]), (q[:1], k, v), (q, k, v[:1]), (q[0], k, v)):
        with pytest.raises(ValueError, match=r"attend: expected q \(\.\.\., L, E\), k .*, v .*, got \(") as error:
            attend(*arrays)
        assert str(error.value).endswith(", ".join(str(array.shape) for array in arrays))
    with pytest.raises(ValueError, match=r"attend: expected at least one key, .*, got k of shape \(2, 0, 3\)"):
        attend(q, k[:, :0], v[:, :0])
    with pytest.raises(ValueError, match=r"attend: expected .* of at least one number, got k of shape \(2, 5, 0\)"):
        attend(q[..., :0], k[..., :0], v)

    block, x, _ = make((2, 4, 3, 2, 2, 3), causal=False)
    Wq, Wk, Wv, Wo = block.weights
    for weights in ([Wq, Wk, Wv], [Wq, Wk[:, :1], Wv, Wo], [Wq, Wk, Wv[:2], Wo], [Wq, Wk, Wv, Wo[:1]], [Wq[0]] * 4):
        with pytest.raises(ValueError, match=r"Attention: expected weights \(D, E\), .*, \(F, O\), got \["):
            Attention(weights)
    for wrong in (x[0], x[:, :0], x[..., :2]):
        with pytest.raises(ValueError, match=r"Attention: expected x \(B, T, 3\), T > 0, got \("):
            block.forward(wrong)
