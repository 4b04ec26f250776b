"""Random small programs, run by us and by torch in float64: values, first gradients in two ways, second gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg

Needs = Callable[[str], ModuleType]

# Methods that we and torch have in common. Each keeps its results small: with numbers of order 1 rounding errors stay
# some powers of 10 below the tolerance, where a product of products, or the sine of a large number, would not.
UNARY: list[Callable[[Any, Any], Any]] = [
    lambda lib, x: x.tanh(),
    lambda lib, x: x.sin() * 0.5,
    lambda lib, x: -x,
    lambda lib, x: x.tanh().exp(),
    lambda lib, x: (x * x + 1.0).log(),
    lambda lib, x: (x * x + 0.5).sqrt(),
    lambda lib, x: x.sigmoid(),
    lambda lib, x: x.relu(),
    lambda lib, x: x.sum() * 0.1,
    lambda lib, x: x.mean(),
    lambda lib, x: x.sum(-1) if x.ndim else x,
    lambda lib, x: x.mean(0, keepdim=True) if x.ndim else x,
    lambda lib, x: x.softmax(-1) if x.ndim else x,
    lambda lib, x: x.log_softmax(0) if x.ndim else x,
    lambda lib, x: x.logsumexp(-1) if x.ndim else x,
    lambda lib, x: x.reshape(-1),
    lambda lib, x: x.unsqueeze(0),
    lambda lib, x: x.squeeze(),
    lambda lib, x: x.mT if x.ndim > 1 else x,
    lambda lib, x: x.expand(2, *x.shape),
    lambda lib, x: x.flip(0) if x.ndim else x,
    lambda lib, x: x[..., :1] if x.ndim else x,
    lambda lib, x: x[0] if x.ndim else x,
    lambda lib, x: x[[0, 0, -1]] if x.ndim else x,
    lambda lib, x: x.detach() * x,
    lambda lib, x: 1.0 / (x * x + 1.0),
    lambda lib, x: 2.0 - x,
]
BINARY: list[Callable[[Any, Any, Any], Any]] = [
    lambda lib, x, y: x + y,
    lambda lib, x, y: x - y,
    lambda lib, x, y: (x * y).tanh(),
    lambda lib, x, y: x / (y * y + 1.0),
    lambda lib, x, y: lib.where(x > y, x, y * 0.5),
    lambda lib, x, y: lib.stack([x, y]) if x.shape == y.shape else x * y,
    lambda lib, x, y: lib.cat([x, y], -1) if x.shape[:-1] == y.shape[:-1] and x.ndim == y.ndim > 0 else x + y,
    lambda lib, x, y: (x @ y.mT).tanh() if x.ndim > 1 and y.ndim > 1 and x.shape[-1] == y.shape[-1] else x - y,
    lambda lib, x, y: (
        lib.nn.functional.linear(x, y).tanh() if x.ndim and y.ndim == 2 and x.shape[-1:] == y.shape[1:] else x
    ),
]
SHAPES = [(), (3,), (1, 3), (2, 1), (2, 3)]

Step = tuple[int, int, int]  # which operation, and how far back its operands lie
STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + 2 * len(BINARY) - 1), *[st.integers(0, 7)] * 2), min_size=1, max_size=10
)
LEAVES = st.lists(st.tuples(st.sampled_from(SHAPES), st.booleans()), min_size=1, max_size=3)


def interpret(lib: Any, leaves: list[Any], steps: list[Step]) -> Any:
    """The sum of the last three results (or leaves) of a program; steps whose shapes do not fit are left out."""
    pool = list(leaves)
    for number, i, j in steps:
        x, y = pool[-1 - i % len(pool)], pool[-1 - j % len(pool)]
        if number < len(UNARY):
            out = UNARY[number](lib, x)
        elif fit(x, y):
            out = BINARY[(number - len(UNARY)) % len(BINARY)](lib, x, y)
        else:
            continue
        if np.prod(out.shape) <= 64:
            pool.append(out)
    return sum([x.sum() for x in pool[-3:]])


def fit(x: Any, y: Any) -> bool:
    """Whether two operands broadcast."""
    try:
        np.broadcast_shapes(tuple(x.shape), tuple(y.shape))
    except ValueError:
        return False
    return True


def gradients(grad: Any, out: Any, leaves: list[Any]) -> list[np.ndarray | None]:
    """First gradients without a graph, the same with one, and the gradients of their sum of squares."""
    wanted = [x for x in leaves if x.requires_grad]
    plain = grad(out, wanted, retain_graph=True, allow_unused=True)
    first = grad(out, wanted, create_graph=True, allow_unused=True)
    size = sum([(g * g).sum() for g in first if g is not None])
    second = [None] * len(wanted)
    if getattr(size, "requires_grad", False):
        second = grad(size, wanted, allow_unused=True)
    return [None if g is None else g.detach().numpy() for g in [*plain, *first, *second]]


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(leaves=LEAVES, steps=STEPS, seed=st.integers(0, 2**32 - 1))
def test_random_programs_are_torchs(
    needs: Needs, leaves: list[tuple[tuple[int, ...], bool]], steps: list[Step], seed: int
) -> None:
    torch = needs("torch")
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1.5, 1.5, shape) for shape, _ in leaves]
    tracked = [i == 0 or want for i, (_, want) in enumerate(leaves)]
    mine = [tg.tensor(a, requires_grad=want) for a, want in zip(arrays, tracked, strict=True)]
    theirs = [torch.tensor(a, requires_grad=want) for a, want in zip(arrays, tracked, strict=True)]
    out, expected = interpret(tg, mine, steps), interpret(torch, theirs, steps)
    # 1e-10: a million times float64's epsilon, for ten operations differentiated twice, on numbers of order 1
    np.testing.assert_allclose(out.item(), expected.item(), rtol=1e-10, atol=1e-10)
    assert out.requires_grad == expected.requires_grad
    if not out.requires_grad:
        return
    out.backward(retain_graph=True)
    found = gradients(tg.grad, out, mine)
    for g, h in zip(found, gradients(torch.autograd.grad, expected, theirs), strict=True):
        if g is None or h is None:  # where nothing depends on an input, one may see it and the other compute zeros
            assert all(x is None or not x.any() for x in (g, h))
        else:
            np.testing.assert_allclose(g, h, rtol=1e-10, atol=1e-10 * (1.0 + np.abs(h).max(initial=0.0)))
    for x, plain in zip([x for x in mine if x.requires_grad], found, strict=False):
        assert (x.grad is None) == (plain is None)
        if plain is not None:  # the same numbers by the road that adds to .grad
            np.testing.assert_array_equal(x.grad.numpy(), plain)
        x.grad = None
