"""Layers of random settings on random shapes, beside torch's of the same state: in training, in evaluation, twice
differentiated; and what torch refuses is refused.

By their seeds the 300 configurations are the same in every run. Odd ones are among them: an empty batch, a single
element, a kernel that does not fit, channels that do not divide. Cases that have a name are in test_vision_layers.py
and in the tables of tinygrad_edu/testing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn

Needs = Callable[[str], ModuleType]
Rng = np.random.Generator
Case = tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]  # arguments, settings, the input's shape

BACKENDS = ("numpy", "cpp")
PER_TEST, TESTS = 5, 5

# Both add up some hundred numbers of size 1 in different orders, 1e-14 in all, and normalising numbers that are nearly
# equal makes that some hundred times larger; each derivative does so again.
CLOSE, CLOSE_SECOND = {"rtol": 1e-11, "atol": 1e-12}, {"rtol": 1e-10, "atol": 1e-11}


def size(rng: Rng, *values: Any) -> Any:
    """One value, or a pair of two."""
    one, other = (values[i] for i in rng.integers(len(values), size=2))
    return one if rng.random() < 0.5 else (one, other)


def choice(rng: Rng, *values: Any) -> Any:
    """One of the values."""
    return values[rng.integers(len(values))]


def images(rng: Rng, channels: int, dims: int = 2) -> tuple[int, ...]:
    """A batch of 0 to 3 images, or one image; now and then of one channel more."""
    shape = (channels + (rng.random() < 0.05), *map(int, rng.integers(1, 10, dims)))
    return shape if rng.random() < 0.15 else (choice(rng, 0, 1, 2, 3), *shape)


def channels(rng: Rng) -> tuple[int, int, int]:
    """In, out and groups; now and then they do not divide."""
    groups = choice(rng, 1, 1, 2, 3)
    into, out = (groups * int(rng.integers(1, 4)) for _ in range(2))
    return into + (rng.random() < 0.05), out, groups


def conv(rng: Rng, dims: int) -> Case:
    into, out, groups = channels(rng)
    one = (lambda *values: size(rng, *values)) if dims == 2 else (lambda *values: choice(rng, *values))
    settings = {"stride": one(1, 1, 2, 3), "dilation": one(1, 1, 2), "groups": groups, "bias": choice(rng, True, False)}
    settings["padding"] = choice(rng, "same", "valid") if rng.random() < 0.2 else one(0, 1, 2, 3)
    settings["padding_mode"] = choice(rng, *["zeros"] * 4, "reflect", "replicate", "circular")
    return (into, out, one(1, 2, 3, 4)), settings, images(rng, into, dims)


def conv_transpose(rng: Rng) -> Case:
    into, out, groups = channels(rng)
    settings = {"stride": size(rng, 1, 2, 3), "padding": size(rng, 0, 1, 2), "output_padding": size(rng, 0, 0, 1)}
    settings |= {"groups": groups, "bias": choice(rng, True, False), "dilation": size(rng, 1, 1, 2)}
    return (into, out, size(rng, 1, 2, 3, 4)), settings, images(rng, into)


def max_pool(rng: Rng) -> Case:
    settings = {"stride": size(rng, 1, 2, 3), "padding": size(rng, 0, 0, 1), "dilation": size(rng, 1, 1, 2)}
    settings |= {"ceil_mode": choice(rng, True, False), "return_indices": choice(rng, True, False)}
    if rng.random() < 0.3:
        del settings["stride"]
    return (size(rng, 1, 2, 3, 4),), settings, images(rng, choice(rng, 1, 2, 5))


def avg_pool(rng: Rng) -> Case:
    settings = {"stride": size(rng, 1, 2, 3), "padding": size(rng, 0, 0, 1), "ceil_mode": choice(rng, True, False)}
    settings |= {"count_include_pad": choice(rng, True, False), "divisor_override": choice(rng, None, None, 3, -2, 0)}
    if rng.random() < 0.3:
        del settings["stride"]
    return (size(rng, 1, 2, 3, 4),), settings, images(rng, choice(rng, 1, 2, 5))


def adaptive(rng: Rng) -> Case:
    sizes = size(rng, 1, 2, 3, 7)
    kept = isinstance(sizes, int) and rng.random() < 0.2
    return ((None, sizes) if kept else sizes,), {}, images(rng, choice(rng, 1, 2, 5))


def batch_norm(rng: Rng, dims: int) -> Case:
    features = choice(rng, 1, 2, 3, 17)
    settings = {"eps": choice(rng, 1e-5, 1e-2, 1.0), "momentum": choice(rng, 0.1, 0.3, None, None, 0.0, 1.0)}
    settings |= {name: choice(rng, True, True, False) for name in ("affine", "track_running_stats", "bias")}
    rest = images(rng, features, dims if dims == 2 else choice(rng, 0, 1))
    return (features,), settings, rest


def layer_norm(rng: Rng) -> Case:
    shape = tuple(map(int, rng.integers(0 if rng.random() < 0.1 else 1, 7, rng.integers(1, 5))))
    normalized = shape[rng.integers(len(shape)) :]
    if rng.random() < 0.1:
        normalized = (*normalized[:-1], normalized[-1] + 1)
    settings = {"eps": choice(rng, 1e-5, 1e-2, 1.0)}
    settings |= {name: choice(rng, True, True, False) for name in ("elementwise_affine", "bias")}
    return (normalized if len(normalized) > 1 else choice(rng, normalized, normalized[0]),), settings, shape


def rms_norm(rng: Rng) -> Case:
    args, settings, shape = layer_norm(rng)
    return args, {"eps": choice(rng, None, 1e-5, 1.0), "elementwise_affine": settings["bias"]}, shape


def group_norm(rng: Rng) -> Case:
    groups = choice(rng, 1, 2, 3)
    features = groups * choice(rng, 1, 2, 5) + (rng.random() < 0.1)
    settings = {"eps": choice(rng, 1e-5, 1e-2, 1.0)}
    settings |= {name: choice(rng, True, True, False) for name in ("affine", "bias")}
    wrong = settings["affine"] and rng.random() < 0.1  # torch counts the channels by the weight
    shape = (choice(rng, 0, 1, 2, 3), features + wrong, *map(int, rng.integers(1, 5, rng.integers(4))))
    return (groups, features), settings, shape


def embedding(rng: Rng) -> Case:
    rows = choice(rng, 1, 2, 5, 30)
    settings = {"padding_idx": choice(rng, None, None, 0, -1, rows - 1, rows, -rows)}
    return (rows, choice(rng, 0, 1, 3, 8)), settings, tuple(map(int, rng.integers(0, 5, rng.integers(4))))


LAYERS: dict[str, Callable[[Rng], Case]] = {
    "Conv1d": lambda rng: conv(rng, 1),
    "Conv2d": lambda rng: conv(rng, 2),
    "ConvTranspose2d": conv_transpose,
    "MaxPool2d": max_pool,
    "AvgPool2d": avg_pool,
    "AdaptiveAvgPool2d": adaptive,
    "BatchNorm1d": lambda rng: batch_norm(rng, 1),
    "BatchNorm2d": lambda rng: batch_norm(rng, 2),
    "LayerNorm": layer_norm,
    "RMSNorm": rms_norm,
    "GroupNorm": group_norm,
    "Embedding": embedding,
}
TWICE = ("Conv2d", "ConvTranspose2d", "BatchNorm2d", "LayerNorm", "GroupNorm", "RMSNorm")
# How many of the five configurations of each test torch refuses.
REFUSALS = {
    "Conv1d": (2, 0, 3, 2, 0),
    "Conv2d": (2, 0, 1, 1, 0),
    "ConvTranspose2d": (3, 0, 1, 2, 2),
    "MaxPool2d": (2, 1, 2, 1, 2),
    "AvgPool2d": (2, 1, 3, 3, 3),
    "AdaptiveAvgPool2d": (0, 0, 0, 0, 0),
    "BatchNorm1d": (1, 1, 0, 0, 1),
    "BatchNorm2d": (3, 3, 2, 1, 0),
    "LayerNorm": (2, 0, 1, 1, 2),
    "RMSNorm": (1, 0, 0, 1, 1),
    "GroupNorm": (1, 2, 0, 0, 0),
    "Embedding": (2, 0, 0, 1, 0),
}


def values(rng: Rng, name: str, case: Case) -> np.ndarray:
    """An input: of an Embedding rows of its table, else normal."""
    args, _, shape = case
    return rng.integers(0, args[0], shape) if name == "Embedding" else rng.standard_normal(shape)


def refused(torch: Any, name: str, case: Case, x: np.ndarray) -> bool:
    """Whether torch refuses these settings, or an input of this shape: then ours must, by a ValueError."""
    args, settings, _ = case
    if x.shape[:1] == (0,) and name not in ("LayerNorm", "RMSNorm", "Embedding"):
        x = np.zeros((2, *x.shape[1:]))  # of an empty batch torch checks little
    try:
        out = listed(getattr(torch.nn, name)(*args, **settings).double()(torch.tensor(x)))[0]
        if name == "MaxPool2d" and out.isinf().any():
            raise ValueError("a window in the padding alone: torch gives -inf from a place outside of the image")
    except (RuntimeError, ValueError, AssertionError):
        with pytest.raises(ValueError):
            getattr(nn, name)(*args, **settings).double()(tg.tensor(x))
        return True
    return False


def both(torch: Any, name: str, case: Case, rng: Rng) -> tuple[Any, Any]:
    """Our layer and torch's, in float64, with the same random parameters, taken over from torch's."""
    args, settings, _ = case
    theirs, ours = getattr(torch.nn, name)(*args, **settings).double(), getattr(nn, name)(*args, **settings).double()
    for p in theirs.parameters():
        p.data = torch.tensor(rng.standard_normal(p.shape))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def listed(out: Any) -> list[Any]:
    """One result, or several."""
    return list(out) if isinstance(out, tuple) else [out]


def results(tensor: Any, grad: Any, layer: Any, x: np.ndarray, seed: int, order: int = 1) -> list[Any]:
    """What a layer makes of x, and the gradients of x and the parameters; of order 2 also those of these gradients.

    `tensor` and `grad` are one framework's. Cotangents are random, the same for both frameworks.
    """
    rng = np.random.default_rng(seed)
    leaf = tensor(x, requires_grad=x.dtype.kind == "f")
    out = listed(layer(leaf))
    given = [t for t in (leaf, *layer.parameters()) if t.requires_grad]
    g = tensor(rng.standard_normal(out[0].shape), requires_grad=order == 2)
    first = grad(out[0], given, g, create_graph=order == 2)
    if order == 1:
        return [*out, *first]
    again = [tensor(rng.standard_normal(f.shape)) for f in first]
    return [*out, *first, *grad(first, [*given, g], again, allow_unused=True)]


def same(got: list[Any], expected: list[Any], **close: Any) -> None:
    """Two lists of Tensors, equal to rounding. A gradient that is None, since nothing depends on it, is like zeros."""
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        if a is None or b is None:
            assert all(t is None or not t.any() for t in (a, b)), i
            continue
        x, y = a.detach().numpy(), b.detach().numpy()
        assert (x.shape, x.dtype) == (y.shape, y.dtype), i
        np.testing.assert_allclose(x, y, err_msg=f"result {i}", **close)


def steps(torch: Any, name: str, case: Case, rng: Rng) -> None:
    """Three batches in training and one in evaluation, forth and back, and the states that this leaves."""
    ours, theirs = both(torch, name, case, rng)
    for step in range(4):
        x = values(rng, name, case)
        ours, theirs = ours.train(step < 3), theirs.train(step < 3)
        got = results(tg.tensor, tg.grad, ours, x, step)
        same(got, results(torch.tensor, torch.autograd.grad, theirs, x, step), **CLOSE)
    state, other = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(other)
    same([*state.values()], [*other.values()], **CLOSE)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in state.items()})


def second(torch: Any, name: str, case: Case, rng: Rng) -> None:
    """Gradients of gradients, in training and, by statistics that are not the first ones, in evaluation."""
    ours, theirs = both(torch, name, case, rng)
    for train in (True, False):
        x = values(rng, name, case)
        ours, theirs = ours.train(train), theirs.train(train)
        got = results(tg.tensor, tg.grad, ours, x, 0, 2)
        same(got, results(torch.tensor, torch.autograd.grad, theirs, x, 0, 2), **CLOSE_SECOND)


def all_of(check: Callable[[Any, str, Case, Rng], None], needs: Needs, name: str, number: int, backend: str) -> int:
    """Make a check on the configurations of one test; how many of them were refused, as torch refuses them."""
    torch = needs("torch")
    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    rng, refusals = np.random.default_rng([number, *name.encode()]), 0
    with tg.use_backend(backend):
        for _ in range(PER_TEST):
            case = LAYERS[name](rng)
            try:
                if refused(torch, name, case, values(rng, name, case)):
                    refusals += 1
                else:
                    check(torch, name, case, rng)
            except BaseException as error:
                error.add_note(f"{name}{case[0]}, {case[1]}, on an input of shape {case[2]}")
                raise
    return refusals


pytestmark = [
    pytest.mark.parametrize("backend", BACKENDS),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),  # torch's, of its speed
]


@pytest.mark.parametrize("number", range(TESTS))
@pytest.mark.parametrize("name", LAYERS)
def test_any_layer_is_torchs(needs: Needs, name: str, number: int, backend: str) -> None:
    assert all_of(steps, needs, name, number, backend) == REFUSALS[name][number]


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("name", TWICE)
def test_any_layer_has_torchs_second_gradients(needs: Needs, name: str, number: int, backend: str) -> None:
    assert all_of(second, needs, name, 100 + number, backend) < PER_TEST
