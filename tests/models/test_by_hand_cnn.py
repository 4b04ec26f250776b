"""Convolution, pooling and the CNN by hand: loops, NumPy, Tensor and torch agree, and gradients are slopes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu.models.by_hand import cnn
from tinygrad_edu.models.by_hand.mlp import SGD, softmax_cross_entropy
from tinygrad_edu.models.lenet import LeNet

Needs = Callable[[str], ModuleType]
# In float64: sums of at most some thousand products of order 1, each library in its own order.
RTOL, ATOL = 1e-10, 1e-12

# pictures (B, C, H, W), kernels (O, C, K, K), padding: odd sizes, kernels as large as the pictures, or only with zeros
CONVOLUTIONS = [
    ((2, 3, 5, 7), (4, 3, 3, 3), 0),
    ((2, 3, 5, 7), (4, 3, 3, 3), 1),
    ((1, 2, 6, 3), (3, 2, 2, 2), 2),
    ((3, 1, 4, 5), (1, 1, 1, 1), 2),
    ((2, 2, 3, 4), (5, 2, 3, 3), 0),
    ((2, 1, 1, 2), (2, 1, 5, 5), 2),
    ((0, 2, 5, 5), (3, 2, 3, 3), 1),
]
# pictures, window
POOLS = [
    ((2, 3, 6, 4), 2),
    ((2, 3, 7, 5), 2),
    ((1, 2, 8, 10), 3),
    ((2, 1, 3, 3), 1),
    ((2, 1, 3, 5), 3),
    ((0, 2, 4, 4), 2),
]


def close(found: np.ndarray, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=ATOL)


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Normal numbers of seed 0, an array a shape."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def ties(shape: tuple[int, ...]) -> np.ndarray:
    """Pictures of the numbers 0, 1 and 2, so that most windows have several that are largest."""
    return np.random.default_rng(0).integers(0, 3, shape).astype(np.float64)


@pytest.mark.parametrize(("shape", "kernels", "padding"), CONVOLUTIONS, ids=str)
def test_all_convolutions_are_the_tensors(shape: tuple[int, ...], kernels: tuple[int, ...], padding: int) -> None:
    x, w, b = draw(shape, kernels, kernels[:1])
    tensors = [tg.tensor(array, requires_grad=True) for array in (x, w, b)]
    expected = F.conv2d(*tensors, padding=padding)
    close(cnn.conv2d_loops(x, w, b, padding), expected.detach().numpy())
    close(cnn.conv2d(x, w, b, padding), expected.detach().numpy())
    (g,) = draw(expected.shape)
    expected.backward(tg.tensor(g))
    for found, t in zip(cnn.conv2d_backward(g, x, w, padding), tensors, strict=True):
        assert t.grad is not None
        close(found, t.grad.numpy())


@pytest.mark.parametrize(("shape", "kernels", "padding"), CONVOLUTIONS, ids=str)
def test_convolution_is_torchs(needs: Needs, shape: tuple[int, ...], kernels: tuple[int, ...], padding: int) -> None:
    torch = needs("torch")
    x, w, b = draw(shape, kernels, kernels[:1])
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, w, b)]
    expected = torch.nn.functional.conv2d(*tensors, padding=padding)
    close(cnn.conv2d(x, w, b, padding), expected.detach())
    (g,) = draw(tuple(expected.shape))
    expected.backward(torch.tensor(g))
    for found, t in zip(cnn.conv2d_backward(g, x, w, padding), tensors, strict=True):
        close(found, t.grad)


@pytest.mark.parametrize("make", [lambda shape: draw(shape)[0], ties], ids=["normal", "ties"])
@pytest.mark.parametrize(("shape", "size"), POOLS, ids=str)
def test_all_pools_are_the_tensors_and_torchs(
    needs: Needs, make: Callable[[tuple[int, ...]], np.ndarray], shape: tuple[int, ...], size: int
) -> None:
    """To the bit: nothing is rounded, and of equal ones the same is taken."""
    torch, x = needs("torch"), make(shape)
    t, u = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours, theirs = F.max_pool2d(t, size), torch.nn.functional.max_pool2d(u, size)
    (g,) = draw(ours.shape)
    ours.backward(tg.tensor(g))
    theirs.backward(torch.tensor(g))
    assert t.grad is not None
    gx = cnn.max_pool2d_backward(g, x, size)
    for out, grad in ((ours.detach().numpy(), t.grad.numpy()), (theirs.detach().numpy(), u.grad.numpy())):
        np.testing.assert_array_equal(cnn.max_pool2d_loops(x, size), out, strict=True)
        np.testing.assert_array_equal(cnn.max_pool2d(x, size), out, strict=True)
        np.testing.assert_array_equal(gx, grad, strict=True)


def test_of_equal_ones_the_first_gets_the_gradient() -> None:
    x = np.array([[[[1.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]]])
    gx = cnn.max_pool2d_backward(np.array([[[[3.0, 4.0]]]]), x)
    assert gx.tolist() == [[[[0.0, 3.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]


def test_nan_and_infinity_are_pooled() -> None:
    x = np.array([[[[1.0, np.nan, -np.inf, -np.inf], [2.0, 3.0, -np.inf, -np.inf]]]])
    for pool in (cnn.max_pool2d_loops, cnn.max_pool2d):
        np.testing.assert_array_equal(pool(x), [[[[np.nan, -np.inf]]]])


def test_views_are_convolved_and_pooled() -> None:
    """Arrays that are not contiguous: every second picture, channels last, kernels turned."""
    x, w, b = draw((4, 6, 5, 2), (3, 3, 2, 3), (3,))
    x, w = x[::2].transpose(0, 3, 1, 2), w[:, ::-1].swapaxes(1, 2)  # (2, 2, 6, 5), (3, 2, 3, 3)
    close(cnn.conv2d(x, w, b), cnn.conv2d(x.copy(), w.copy(), b))
    g = cnn.max_pool2d(x)
    close(cnn.max_pool2d_backward(g, x), cnn.max_pool2d_backward(g, x.copy()))


def test_float32_stays_float32() -> None:
    x, w, b = (array.astype(np.float32) for array in draw((2, 2, 5, 5), (3, 2, 3, 3), (3,)))
    out = cnn.conv2d(x, w, b)
    arrays = [cnn.conv2d_loops(x, w, b), out, cnn.max_pool2d(out), *cnn.conv2d_backward(out, x, w)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def twins(channels: int, size: int, batch: int) -> tuple[LeNet, cnn.CNN, np.ndarray, np.ndarray]:
    """LeNet in float64 and the same network by hand, pictures and their classes; all of seed 0."""
    tg.manual_seed(0)
    model = LeNet(channels, size).double()
    state = [p.detach().numpy() for p in model.parameters()]
    paddings = (2 if size < 32 else 0, 2 if size < 12 else 0)
    (x,) = draw((batch, channels, size, size))
    return model, cnn.CNN(state[::2], state[1::2], paddings), x, np.random.default_rng(1).integers(0, 10, batch)


def by_layer(hand: cnn.CNN) -> list[np.ndarray]:
    """Weight, bias, weight, bias, ..."""
    return [array for pair in zip(hand.weights, hand.biases, strict=True) for array in pair]


@pytest.mark.parametrize(("channels", "size"), [(1, 4), (1, 8), (1, 28), (3, 32)])
def test_cnn_is_lenet(channels: int, size: int) -> None:
    model, hand, x, y = twins(channels, size, batch=3)
    logits = model(tg.tensor(x))
    close(hand.forward(x), logits.detach().numpy())
    loss = F.cross_entropy(logits, tg.tensor(y))
    loss.backward()
    found, g = softmax_cross_entropy(hand.forward(x), y)
    assert found == pytest.approx(loss.item(), rel=RTOL)
    gradients = [array for pair in hand.backward(g) for array in pair]
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        assert p.grad is not None
        close(gradient, p.grad.numpy())


def test_cnn_gradients_are_finite_differences() -> None:
    """Independent of every formula: the weight and the bias of each layer that matter most."""
    _, hand, x, y = twins(1, 8, batch=3)
    _, g = softmax_cross_entropy(hand.forward(x), y)
    gradients = [array for pair in hand.backward(g) for array in pair]
    for p, gradient in zip(by_layer(hand), gradients, strict=True):
        index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        losses, before = [], p[index]
        for h in (6e-6, -6e-6):  # the cube root of float64's epsilon balances truncation and rounding
            p[index] = before + h
            losses.append(softmax_cross_entropy(hand.forward(x), y)[0])
        p[index] = before
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 1.2e-5, rel=1e-6, abs=1e-9)


def test_an_empty_batch_has_no_logits_and_no_gradients() -> None:
    _, hand, x, _ = twins(1, 8, batch=0)
    logits = hand.forward(x)
    assert logits.shape == (0, 10)
    for p, g in zip(by_layer(hand), [array for pair in hand.backward(logits) for array in pair], strict=True):
        np.testing.assert_array_equal(g, np.zeros_like(p))


def test_descent_lowers_the_loss_and_its_state_goes_round() -> None:
    _, hand, x, y = twins(1, 8, batch=16)
    descent = SGD(hand, momentum=0.9, weight_decay=1e-4)

    def step(model: cnn.CNN, optimizer: SGD) -> float:
        loss, g = softmax_cross_entropy(model.forward(x), y)
        optimizer.step(model.backward(g), lr=0.05)
        return loss

    losses = [step(hand, descent) for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]
    _, other, _, _ = twins(1, 8, batch=16)
    resumed = SGD(other, momentum=0.9, weight_decay=1e-4)
    other.load_state_dict(hand.state_dict())
    resumed.load_state_dict(descent.state_dict())
    assert [step(hand, descent) for _ in range(3)] == [step(other, resumed) for _ in range(3)]


@pytest.mark.parametrize("convolve", [cnn.conv2d_loops, cnn.conv2d])
def test_mistaken_convolutions(convolve: Callable[..., np.ndarray]) -> None:
    x, w, b = np.ones((2, 3, 4, 5)), np.ones((6, 3, 3, 3)), np.ones(6)
    for arrays in ((x[0], w, b), (x[:, :2], w, b), (x, w[:, :, :2], b), (x, w[0], b), (x, w, b[:5])):
        shapes = ", ".join(str(array.shape) for array in arrays[:2]) + f" and {arrays[2].shape}"
        with pytest.raises(ValueError, match=r"conv2d: expected x \(B, C, H, W\), w \(O, C, K, K\) and b") as error:
            convolve(*arrays)
        assert str(error.value).endswith(f"got {shapes}")
    large = np.ones((6, 3, 7, 7))
    with pytest.raises(ValueError, match=r"conv2d: expected kernels of at most \(6, 7\), .* got \(7, 7\)"):
        convolve(x, large, b, padding=1)
    with pytest.raises(ValueError, match=r"conv2d: expected kernels of at most"):
        convolve(x, w[:, :, :0, :0], b)


def test_mistaken_pools() -> None:
    x = np.ones((2, 3, 4, 5))
    for pool in (cnn.max_pool2d_loops, cnn.max_pool2d):
        for wrong, size in ((x[0], 2), (x, 5), (x, 0)):
            with pytest.raises(ValueError, match=rf"max_pool2d: expected x .* window's {size}, got \({wrong.shape[0]}"):
                pool(wrong, size)
    with pytest.raises(
        ValueError, match=r"max_pool2d_backward: expected g of shape \(2, 3, 2, 2\), got \(1, 3, 2, 2\)"
    ):
        cnn.max_pool2d_backward(np.ones((1, 3, 2, 2)), x)


def test_mistaken_networks() -> None:
    _, hand, _, _ = twins(1, 28, batch=1)
    for i, wrong in enumerate([(6, 1, 5, 4), (16, 5, 5, 5), (120, 300), (84, 119), (10, 84, 1)]):
        weights = [*hand.weights[:i], np.zeros(wrong), *hand.weights[i + 1 :]]
        with pytest.raises(ValueError, match=r"CNN: expected weights \(O, C, K, K\), .*, got \[\(6, 1,"):
            cnn.CNN(weights, hand.biases, (2, 0))
    with pytest.raises(ValueError, match=r"CNN: expected weights .* got \[\] and \[\]"):
        cnn.CNN([], [], (2, 0))
    with pytest.raises(ValueError, match=r"CNN: expected weights .* got .* and \[\(7,\), \(16,\)"):
        cnn.CNN(hand.weights, [np.zeros(7), *hand.biases[1:]], (2, 0))
    with pytest.raises(ValueError, match=r"CNN: expected a weight of shape \(10, 84\), got \(84, 10\)"):
        hand.load_state_dict({"weights": [*hand.weights[:4], np.zeros((84, 10))], "biases": hand.biases})


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 1, 27, 27), (2, 1, 32, 32), (2, 1, 28, 29), (28, 28)], ids=str)
def test_other_pictures_are_refused(shape: tuple[int, ...]) -> None:
    _, hand, _, _ = twins(1, 28, batch=1)
    with pytest.raises(ValueError, match=r"CNN: expected pictures \(B, 1, S, S\) with S in 28\.\.31, got") as error:
        hand.forward(np.zeros(shape))
    assert str(error.value).endswith(f"got {shape}")
