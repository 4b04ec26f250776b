"""Random programs of 1 to 30 operations, run by us and by torch in float64: values and gradients.

First gradients are taken in three ways (`grad`, `grad` with create_graph, `backward`); of programs of up to SECOND
operations second ones too. Operands are the leaves and earlier results, so that results are used more than once and
gradients meet. What no other step has used goes into the sum that is differentiated, every element with a weight of its
own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
import tinygrad_edu.nn.functional  # tg.nn, like torch.nn
from tinygrad_edu.testing import mutants
from tinygrad_edu.testing.compare import Ours, Torch

Needs = Callable[[str], ModuleType]
GRAPHS = int(os.environ.get("TINYGRAD_EDU_GRAPHS", "2000"))
SECOND = 12  # operations; a longer program's second gradients take longer than everything else here
LARGEST = 48  # elements of a result; larger ones are dropped

# Constants, the same for both. A ramp keeps elements apart, and away from 0: at a tie or a kink the two may go another
# way where rounding made one of their numbers a little larger, and both be right.
_rng = np.random.default_rng(0)
RAMP, WEIGHTS = _rng.uniform(0.1, 0.9, 512), _rng.uniform(0.5, 1.5, 512)


def constant(t: Any, values: np.ndarray, shape: Any) -> Any:
    """As many of `values` as there are places, in shape `shape`."""
    return t.tensor(values[: int(np.prod(shape))].reshape(tuple(shape)))


def apart(t: Any, x: Any) -> Any:
    """x with its elements moved apart."""
    return x + constant(t, RAMP, x.shape)


def index(t: Any, n: int) -> Any:
    """Three indices below n, one of them twice."""
    return t.tensor(np.array([n - 1, 0, n - 1]))


def positive(x: Any) -> Any:
    """Between 0.5 and about 5."""
    return x * x + 0.5


# Operations, `t` being tinygrad_edu or torch. Each keeps numbers of order 1 so: then rounding errors stay some powers
# of 10 below the tolerance, where a product of products, or the sine of a large number, would not.
ANY: dict[str, Callable[[Any, Any], Any]] = {
    "abs": lambda t, x: apart(t, x).abs(),
    "acos": lambda t, x: (x.tanh() * 0.9).acos() - 1.5,
    "asin": lambda t, x: (x.tanh() * 0.9).asin(),
    "atan": lambda t, x: x.atan(),
    "clamp": lambda t, x: t.clamp(apart(t, x), -0.6, 0.7),
    "ceil": lambda t, x: x - apart(t, x).ceil() * 0.2,
    "clamp_max": lambda t, x: t.clamp_max(apart(t, x), 0.6),
    "clamp_min": lambda t, x: t.clamp_min(apart(t, x), 0.4),
    "clone": lambda t, x: x.clone(),
    "cos": lambda t, x: x.cos(),
    "cosh": lambda t, x: x.tanh().cosh(),
    "detach": lambda t, x: x.detach() * x.tanh(),
    "div by a number": lambda t, x: x / 1.5,
    "div of a number": lambda t, x: 1.0 / (x * x + 1.0),
    "erf": lambda t, x: x.erf(),
    "exp": lambda t, x: x.tanh().exp(),
    "exp2": lambda t, x: x.tanh().exp2(),
    "expand": lambda t, x: x.expand(2, *x.shape),
    "expm1": lambda t, x: x.tanh().expm1(),
    "floor": lambda t, x: apart(t, x).floor() * 0.3 + x,
    "log": lambda t, x: positive(x).log(),
    "log10": lambda t, x: positive(x).log10(),
    "log1p": lambda t, x: (x * x).log1p(),
    "log2": lambda t, x: positive(x).log2(),
    "logical": lambda t, x: t.where((apart(t, x) > 0.3) & ~(apart(t, x) > 0.8), x, -x),
    "masked_fill": lambda t, x: t.masked_fill(x, apart(t, x) > 0.4, 0.25),
    "mean": lambda t, x: x.mean(),
    "neg": lambda t, x: -x,
    "norm": lambda t, x: t.norm(positive(x)).log(),
    "pow": lambda t, x: (x * 0.7) ** 3,
    "pow to the": lambda t, x: 1.7 ** x.tanh(),
    "ravel": lambda t, x: t.ravel(x),
    "reciprocal": lambda t, x: positive(x).reciprocal(),
    "relu": lambda t, x: (apart(t, x) - 0.5).relu(),
    "remainder": lambda t, x: t.remainder(apart(t, x), 0.75),
    "reshape": lambda t, x: x.reshape(-1, 1),
    "round": lambda t, x: apart(t, x).round() * 0.3 - x,
    "rsqrt": lambda t, x: positive(x).rsqrt(),
    "sigmoid": lambda t, x: x.sigmoid(),
    "sign": lambda t, x: apart(t, x).sign() * x,
    "sin": lambda t, x: x.sin(),
    "sinh": lambda t, x: x.tanh().sinh(),
    "sqrt": lambda t, x: positive(x).sqrt(),
    "square": lambda t, x: x.sin().square(),
    "squeeze": lambda t, x: x.squeeze(),
    "sub from a number": lambda t, x: 1.0 - x,
    "sum": lambda t, x: x.sum().tanh(),
    "tan": lambda t, x: x.tanh().tan(),
    "tanh": lambda t, x: x.tanh(),
    "trunc": lambda t, x: x - apart(t, x).trunc() * 0.5,
    "unsqueeze": lambda t, x: x.unsqueeze(0),
}
# Of torch.nn.functional, by name; those with a kink get elements that are moved apart.
# Without hardsigmoid: torch's gradient of it has 1/6 to seven digits only, and cannot be differentiated again.
SMOOTH = ("celu", "elu", "gelu", "logsigmoid", "mish", "selu", "silu", "softplus", "softsign")
KINKED = ("hardswish", "hardtanh", "leaky_relu", "relu6")
ANY |= {name: lambda t, x, name=name: getattr(t.nn.functional, name)(x) for name in SMOOTH}
ANY |= {name: lambda t, x, name=name: getattr(t.nn.functional, name)(apart(t, x) - 0.5) for name in KINKED}
# With at least one dimension.
ROWS: dict[str, Callable[[Any, Any], Any]] = {
    "amax": lambda t, x: apart(t, x).amax(-1),
    "amin": lambda t, x: t.amin(apart(t, x), 0, keepdim=True),
    "argsort": lambda t, x: t.take_along_dim(x, t.argsort(apart(t, x), -1), -1),
    "broadcast_to": lambda t, x: t.broadcast_to(x, (2, *x.shape)),
    "chunk": lambda t, x: t.chunk(x, 2, -1)[-1],
    "cumprod": lambda t, x: t.cumprod(x.tanh(), -1),
    "cumsum": lambda t, x: t.cumsum(x, 0).tanh(),
    "diff": lambda t, x: t.diff(x, dim=-1) if x.shape[-1] > 1 else x,
    "flatten": lambda t, x: x.flatten(),
    "flip": lambda t, x: t.flip(x, (0,)),
    "gather": lambda t, x: t.gather(x, -1, t.argmax(apart(t, x), -1, keepdim=True)),
    "glu": lambda t, x: t.nn.functional.glu(t.cat([x, x.sin()], -1), -1),
    "getitem, slice": lambda t, x: x[..., :2],
    "getitem, int": lambda t, x: x[0],
    "getitem, indices": lambda t, x: x[index(t, x.shape[0])],
    "getitem, mask": lambda t, x: x[(apart(t, x) > 0.2)].sum().tanh(),
    "index_select": lambda t, x: t.index_select(x, -1, index(t, x.shape[-1])),
    "log_softmax": lambda t, x: x.log_softmax(0) * 0.5,
    "logsumexp": lambda t, x: x.logsumexp(-1) * 0.5,
    "masked_select": lambda t, x: t.masked_select(x, apart(t, x) > -5.0),
    "max": lambda t, x: t.max(apart(t, x), 0)[0],
    "mean over a dim": lambda t, x: x.mean(0, keepdim=True),
    "min": lambda t, x: t.min(apart(t, x), -1, keepdim=True)[0],
    "nll_loss": lambda t, x: t.nn.functional.nll_loss(
        x.reshape(-1, x.shape[-1]).log_softmax(-1), t.argmax(apart(t, x).reshape(-1, x.shape[-1]), -1)
    ),
    "norm over a dim": lambda t, x: t.norm(positive(x), dim=-1, keepdim=True).log(),
    "normalize": lambda t, x: t.nn.functional.normalize(positive(x), dim=-1),
    "pad": lambda t, x: t.nn.functional.pad(x, (1, 0), value=0.5),
    "prod": lambda t, x: t.prod(x.sin(), -1),
    "repeat": lambda t, x: x.repeat(*[1] * (x.ndim - 1), 2),
    "roll": lambda t, x: t.roll(x, 1, -1),
    "scatter_add": lambda t, x: t.scatter_add(x, 0, t.argmax(apart(t, x), 0, keepdim=True), x[:1].sin()).tanh(),
    "softmax": lambda t, x: x.softmax(-1) * 2.0,
    "sort": lambda t, x: t.sort(apart(t, x), -1)[0],
    "split": lambda t, x: t.split(x, 1, 0)[-1],
    "std": lambda t, x: t.std(apart(t, x) * 2.0, -1, correction=0) if x.shape[-1] > 1 else x,
    "sum over a dim": lambda t, x: x.sum(-1).tanh(),
    "tile": lambda t, x: t.tile(x, (2,)),
    "topk": lambda t, x: t.topk(apart(t, x), 1, -1)[0],
    "unbind": lambda t, x: t.unbind(x, 0)[-1],
    "unflatten": lambda t, x: t.unflatten(x, -1, (1, -1)),
    "var": lambda t, x: t.var(x, 0, correction=0) if x.shape[0] > 1 else x,
}
# With at least two.
MATRICES: dict[str, Callable[[Any, Any], Any]] = {
    "diag": lambda t, x: t.diag(x.ravel()[:4]),
    "diagonal": lambda t, x: t.diagonal(x, 0, -2, -1),
    "einsum": lambda t, x: t.einsum("...ij,...kj->...ik", x, x.sin()).tanh(),
    "mT": lambda t, x: x.mT,
    "movedim": lambda t, x: t.movedim(x, 0, -1),
    "permute": lambda t, x: x.permute(-1, *range(x.ndim - 1)),
    "trace": lambda t, x: t.trace(x.reshape(-1, x.shape[-1])).tanh(),
    "transpose": lambda t, x: x.transpose(0, 1),
    "tril": lambda t, x: t.tril(x),
    "triu": lambda t, x: t.triu(x, 1) + x * 0.5,
}
# Two operands that broadcast.
PAIRS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda t, x, y: (x + y) * 0.7,
    "atan2": lambda t, x, y: t.atan2(x, positive(y)),
    "div": lambda t, x, y: x / (y * y + 1.0),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.3),
    "logaddexp": lambda t, x, y: t.logaddexp(x, y) * 0.5,
    "maximum": lambda t, x, y: t.maximum(apart(t, x), y),
    "minimum": lambda t, x, y: t.minimum(x, apart(t, y)),
    "mul": lambda t, x, y: (x * y).tanh(),
    "pow of two": lambda t, x, y: positive(x) ** y.tanh() * 0.5,
    "sub": lambda t, x, y: (x - y) * 0.7,
    "where": lambda t, x, y: t.where(apart(t, x) > y, x, y * 0.5),
}
# Two of one shape, with at least one dimension.
ALIKE: dict[str, Callable[[Any, Any, Any], Any]] = {
    "binary_cross_entropy": lambda t, x, y: t.nn.functional.binary_cross_entropy(x.sigmoid(), y.sigmoid()),
    "binary_cross_entropy_with_logits": lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(
        x, y.sigmoid()
    ),
    "bmm": lambda t, x, y: t.bmm(x.reshape(1, 1, -1), y.reshape(1, -1, 1)).tanh(),
    "cat": lambda t, x, y: t.cat([x, y], -1),
    "cosine_similarity": lambda t, x, y: t.nn.functional.cosine_similarity(positive(x), y + 2.5, dim=-1),
    "huber_loss": lambda t, x, y: t.nn.functional.huber_loss(apart(t, x), y, delta=0.7),
    "kl_div": lambda t, x, y: t.nn.functional.kl_div(x.log_softmax(-1), y.softmax(-1), reduction="sum"),
    "l1_loss": lambda t, x, y: t.nn.functional.l1_loss(apart(t, x), y),
    "linear": lambda t, x, y: t.nn.functional.linear(x, y.reshape(-1, y.shape[-1])).tanh(),
    "matmul": lambda t, x, y: (x @ y.mT if x.ndim > 1 else x @ y).tanh(),
    "mm": lambda t, x, y: t.mm(x.reshape(-1, 1), y.reshape(1, -1)).tanh(),
    "mse_loss": lambda t, x, y: t.nn.functional.mse_loss(x, y).tanh(),
    "mv": lambda t, x, y: t.mv(x.reshape(1, -1), y.ravel()).tanh(),
    "outer": lambda t, x, y: t.outer(x.ravel(), y.ravel()).tanh(),
    "smooth_l1_loss": lambda t, x, y: t.nn.functional.smooth_l1_loss(apart(t, x), y, beta=0.5),
    "stack": lambda t, x, y: t.stack([x, y], -1),
    "tensordot": lambda t, x, y: t.tensordot(x, y, x.ndim).tanh(),
    "dot": lambda t, x, y: t.dot(x.ravel(), y.ravel()).tanh(),
    "addmm": lambda t, x, y: t.addmm(x.sum(), x.reshape(-1, 1), y.reshape(1, -1)).tanh(),
    "cross_entropy": lambda t, x, y: t.nn.functional.cross_entropy(
        x.reshape(-1, x.shape[-1]), t.argmax(apart(t, y).reshape(-1, y.shape[-1]), -1)
    ),
}
NAMES = [*ANY, *ROWS, *MATRICES, *PAIRS, *ALIKE]
SHAPES = [(), (3,), (1, 3), (2, 1), (2, 3), (3, 3), (2, 1, 3)]

Step = tuple[int, int, int]  # which operation, and how far back its operands lie
STEPS = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, 10**4), *[st.integers(0, 9)] * 2), min_size=n, max_size=n)
)
LEAVES = st.lists(st.tuples(st.sampled_from(SHAPES), st.booleans()), min_size=1, max_size=4)


def operations(x: Any, y: Any) -> list[str]:
    """Those that can be done with two operands of such shapes."""
    names = [*ANY, *(ROWS if x.ndim else ()), *(MATRICES if x.ndim > 1 else ())]
    names += PAIRS if fit(x, y) else ()
    return names + [*(ALIKE if x.ndim and x.shape == y.shape else ())] * 2


def fit(x: Any, y: Any) -> bool:
    """Whether two operands broadcast."""
    try:
        np.broadcast_shapes(tuple(x.shape), tuple(y.shape))
    except ValueError:
        return False
    return True


def interpret(t: Any, leaves: list[Any], steps: list[Step]) -> tuple[Any, list[str]]:
    """The weighted sum of all results that no other step used, and the operations' names."""
    pool, used, names = list(leaves), set(), []
    for number, i, j in steps:
        i, j = (len(pool) - 1 - k % len(pool) for k in (i, j))
        x, y = pool[i], pool[j]
        found = operations(x, y)
        name = found[number % len(found)]
        if name in PAIRS or name in ALIKE:
            out = (PAIRS | ALIKE)[name](t, x, y)
            used.add(j)
        else:
            out = (ANY | ROWS | MATRICES)[name](t, x)
        used.add(i)
        names.append(name)
        if np.prod(out.shape) <= LARGEST and out.ndim < 5:
            pool.append(out)
        else:  # too large to go on with
            pool.append(out.mean())
    sinks = [x for i, x in enumerate(pool) if i not in used]
    return sum([(x * constant(t, WEIGHTS, x.shape)).sum() for x in sinks]), names


def gradients(grad: Any, numpy: Any, out: Any, leaves: list[Any], order: int) -> list[np.ndarray | None]:
    """First gradients without a graph, the same with one, and for order 2 those of their weighted sum."""
    wanted = [x for x in leaves if x.requires_grad]
    plain = grad(out, wanted, retain_graph=True, allow_unused=True)
    first = grad(out, wanted, create_graph=True, allow_unused=True)
    second: Any = []
    if order == 2:
        size = sum([(g * g).sum() for g in first if g is not None])
        second = [None] * len(wanted)
        if getattr(size, "requires_grad", False):
            second = grad(size, wanted, allow_unused=True)
    return [None if g is None else numpy(g) for g in [*plain, *first, *second]]


def compare(leaves: list[tuple[tuple[int, ...], bool]], steps: list[Step], seed: int, torch: Any) -> list[str]:
    """Hold our run of a program against torch's; the names of its operations."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1.5, 1.5, shape) for shape, _ in leaves]
    tracked = [i == 0 or want for i, (_, want) in enumerate(leaves)]
    mine = [tg.tensor(a, requires_grad=want) for a, want in zip(arrays, tracked, strict=True)]
    theirs = [torch.tensor(a, requires_grad=want) for a, want in zip(arrays, tracked, strict=True)]
    (out, names), (expected, _) = interpret(tg, mine, steps), interpret(torch, theirs, steps)
    # A million times float64's epsilon, for thirty operations on numbers of order 1, some of them differentiated twice.
    np.testing.assert_allclose(out.item(), expected.item(), rtol=1e-10, atol=1e-10)
    assert out.requires_grad == expected.requires_grad
    if not out.requires_grad:
        return names
    out.backward(retain_graph=True)
    order = 2 if len(steps) <= SECOND else 1
    found = gradients(tg.grad, Ours().numpy, out, mine, order)
    for g, h in zip(found, gradients(torch.autograd.grad, Torch().numpy, expected, theirs, order), strict=True):
        if g is None or h is None:  # where nothing depends on an input, one may see it and the other compute zeros
            assert all(x is None or not x.any() for x in (g, h))
        else:
            np.testing.assert_allclose(g, h, rtol=1e-10, atol=1e-10 * (1.0 + np.abs(h).max(initial=0.0)))
    for x, plain in zip([x for x in mine if x.requires_grad], found, strict=False):
        assert (x.grad is None) == (plain is None)
        if plain is not None:  # the same numbers by the road that adds to .grad
            np.testing.assert_array_equal(x.grad.numpy(), plain)
    return names


def test_random_programs_are_torchs(needs: Needs, record_testsuite_property: Callable[[str, object], None]) -> None:
    """At least GRAPHS programs; every operation takes part, and programs of every length."""
    torch = needs("torch")
    lengths: Counter[int] = Counter()
    taken: Counter[str] = Counter()

    @settings(max_examples=GRAPHS, derandomize=True, database=None, deadline=None)
    @given(leaves=LEAVES, steps=STEPS, seed=st.integers(0, 2**32 - 1))
    def run(leaves: list[tuple[tuple[int, ...], bool]], steps: list[Step], seed: int) -> None:
        names = compare(leaves, steps, seed, torch)
        taken.update(names)
        lengths[len(names)] += 1

    run()
    print(f"{lengths.total()} graphs of {min(lengths)} to {max(lengths)} operations, {taken.total()} in all")
    record_testsuite_property("random graphs", f"{lengths.total()}, {taken.total()} operations")
    assert lengths.total() >= GRAPHS
    if GRAPHS >= 2000:  # a shorter run need not come upon everything
        assert set(lengths) == set(range(1, 31))
        assert set(NAMES) == set(taken), f"never taken: {set(NAMES) - set(taken)}"


@pytest.mark.parametrize("name", ["add", "cumsum", "erf", "matmul", "sigmoid_by_primitives", "take", "where"])
def test_a_wrong_rule_is_seen(name: str, needs: Needs) -> None:
    """With one factor of 1.01 in one rule, some program among a hundred fails."""
    torch = needs("torch")
    rng = np.random.default_rng(0)
    (op,) = [o for o in mutants.all_ops() if o.name == name]
    factor = next(m for m in mutants.mutants(op) if m.what.endswith("factor"))
    programs = [[(*map(int, step),) for step in rng.integers(0, 997, (8, 3))] for _ in range(100)]

    def all_of_them() -> None:
        for seed, steps in enumerate(programs):
            compare([((2, 3), True), ((3,), True)], steps, seed, torch)

    with factor.install(mutants.Seen()), pytest.raises(AssertionError, match="Not equal to tolerance"):
        all_of_them()
    all_of_them()
