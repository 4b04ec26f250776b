"""What a gradient is and where it goes: accumulation, `grad`, gradients of gradients, versions."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor
from tinygrad_edu.backends.numpy_backend import NumpyBackend

Needs = Callable[[str], ModuleType]


class Bodies(NumpyBackend):
    """The NumPy backend without kernels: fused ops run their bodies."""

    name = "bodies"
    linear = cross_entropy = None  # type: ignore[assignment]


def leaf(*values: float) -> Any:
    """A float64 vector that wants a gradient."""
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


# --- .grad -----------------------------------------------------------------------------------------------------------


def test_gradients_add_up_over_backward_passes() -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (3.0 * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    assert first.tolist() == [2.0, 4.0]  # a new array: one that was kept is not changed
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_an_argument_that_comes_twice() -> None:
    x = leaf(3.0)
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [7.0]


def test_paths_that_part_and_meet() -> None:
    x = leaf(2.0)
    a = x * 3.0
    b = a * a
    (b + a * b).sum().backward()  # 9 x² + 27 x³
    assert x.grad.tolist() == [18 * 2.0 + 81 * 4.0]


def test_only_leaves_that_want_one_have_a_gradient() -> None:
    x, y, constant = leaf(1.0), leaf(2.0), tg.tensor([3.0], dtype=tg.float64)
    middle = x * y
    (middle * constant + y.detach()).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([6.0], [3.0])
    assert middle.grad is None
    assert constant.grad is None
    assert not x.grad.requires_grad
    assert (x.is_leaf, middle.is_leaf, constant.is_leaf) == (True, False, True)


def test_a_given_cotangent() -> None:
    x = leaf(1.0, 2.0)
    (x * x).backward(tg.tensor([10.0, 100.0], dtype=tg.float64))
    assert x.grad.tolist() == [20.0, 400.0]


def test_backward_of_a_leaf() -> None:
    x, g = leaf(5.0), tg.tensor([2.0], dtype=tg.float64)
    x.backward(g)
    x.backward()
    assert x.grad.tolist() == [3.0]


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a + b,
        lambda a, b: a + b.reshape(2),
        lambda a, b: a.reshape(2, 1).reshape(2) + b.flip(0),
        lambda a, b: a.expand(3, 2) + b,
        lambda a, b: (a.expand(1, 2) + b.expand(1, 2)).reshape(2),
        lambda a, b: tg.cat([a, b]),
        lambda a, b: tg.stack([a, b]).T,
        lambda a, b: a.clone() + b.unsqueeze(0),
        lambda a, b: a.permute(0).squeeze() + b[:],
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_leaves_do_not_share_a_gradient(join: Callable[[Any, Any], Any], create_graph: bool) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = join(a, b)
    seed = tg.ones_like(out)
    out.backward(seed, create_graph=create_graph)
    before = b.grad.tolist()
    with tg.no_grad():
        a.grad.fill_(7.0)
    assert b.grad.tolist() == before
    assert (seed == 1.0).numpy().all()
    if not create_graph:
        b.grad.mul_(2.0)  # a gradient's memory can be written
    a.grad = b.grad = None


def test_a_leafs_gradient_is_not_the_given_cotangents_memory() -> None:
    x, g = leaf(1.0), tg.tensor([2.0], dtype=tg.float64)
    x.backward(g)
    (found,) = tg.grad(x, x, g)
    g.fill_(9.0)
    assert x.grad.tolist() == found.tolist() == [2.0]


def test_a_gradient_has_its_leafs_shape_and_dtype() -> None:
    a, b = tg.ones(3, 1, requires_grad=True), tg.ones(4, dtype=tg.float64, requires_grad=True)
    c = tg.ones(requires_grad=True)
    (a * b * c).sum().backward()
    assert (a.grad.shape, a.grad.dtype) == ((3, 1), np.float32)
    assert (b.grad.shape, b.grad.dtype) == ((4,), np.float64)
    assert (c.grad.shape, c.grad.dtype) == ((), np.float32)
    assert (a.grad.tolist(), c.grad.item()) == ([[4.0]] * 3, 12.0)


# --- grad() ----------------------------------------------------------------------------------------------------------


def test_grad_leaves_grad_alone() -> None:
    x, y = leaf(2.0), leaf(3.0)
    gx, gy = tg.grad((x * x * y).sum(), [x, y])
    assert (gx.tolist(), gy.tolist()) == ([12.0], [4.0])
    assert x.grad is None
    assert not gx.requires_grad


def test_grad_of_one_input_is_a_tuple_of_one() -> None:
    x = leaf(2.0)
    assert [g.tolist() for g in tg.grad((x * x).sum(), x)] == [[4.0]]


def test_allow_unused() -> None:
    x, unused = leaf(2.0), leaf(3.0, 4.0)
    found = tg.grad((x * x).sum(), [x, unused], allow_unused=True)
    assert found[0].tolist() == [4.0]
    assert found[1] is None


def test_several_outputs_and_cotangents() -> None:
    x = leaf(2.0, 3.0)
    y, z = x * x, x.sum()
    (g,) = tg.grad([y, z], x, [tg.tensor([1.0, 10.0], dtype=tg.float64), None])
    assert g.tolist() == [5.0, 61.0]


def test_one_output_given_twice_counts_twice() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    assert tg.grad([y, y], x)[0].tolist() == [8.0]


def test_inputs_in_the_middle_and_one_twice() -> None:
    x = leaf(2.0)
    a = x * 3.0
    b = a * a
    gb, ga, again, gx = tg.grad((b * 5.0 + a).sum(), [b, a, a, x])
    assert (gb.tolist(), ga.tolist(), again.tolist(), gx.tolist()) == ([5.0], [61.0], [61.0], [183.0])


def test_an_output_that_is_an_input() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    gy, gx = tg.grad(y, [y, x])
    assert (gy.item(), gx.tolist()) == (1.0, [4.0])


def test_only_what_leads_to_an_input_is_walked() -> None:
    x, w = leaf(2.0), leaf(5.0)
    middle = x.exp()
    side = w.exp()
    loss = (middle * side).sum()
    tg.grad(loss, w)  # frees mul and side, not middle
    assert tg.grad(middle.sum(), x)[0].tolist() == middle.tolist()


def test_a_walked_part_is_never_taken_for_none() -> None:
    x = leaf(2.0)
    part = x.exp()
    part.sum().backward()
    for wanted in (part * x, part * 2.0):
        for settings in ({}, {"allow_unused": True}, {"create_graph": True}):
            with pytest.raises(RuntimeError, match=r"already walked and freed \(noticed at op 'exp'\)"):
                tg.grad(wanted.sum(), x, retain_graph=True, **settings)
    assert tg.grad((part * 3.0).sum(), part)[0].tolist() == [3.0]  # does not come through it


# --- gradients of gradients ------------------------------------------------------------------------------------------


def test_third_derivative_of_a_polynomial() -> None:
    x = leaf(-1.0, 0.5, 2.0)
    y = 2.0 * x * x * x * x - x**3.0 + 4.0 * x
    (d1,) = tg.grad(y.sum(), x, create_graph=True)
    (d2,) = tg.grad(d1.sum(), x, create_graph=True)
    (d3,) = tg.grad(d2.sum(), x, create_graph=True)
    (d4,) = tg.grad(d3.sum(), x)
    # 1e-14: some roundings of float64 on numbers up to 64; `**` takes a logarithm on the way
    values = np.array([-1.0, 0.5, 2.0])
    np.testing.assert_allclose(d1.detach().numpy(), 8 * values**3 - 3 * values**2 + 4, rtol=1e-14)
    np.testing.assert_allclose(d2.detach().numpy(), 24 * values**2 - 6 * values, rtol=1e-14)
    np.testing.assert_allclose(d3.detach().numpy(), 48 * values - 6, rtol=1e-14)
    np.testing.assert_allclose(d4.numpy(), [48.0] * 3, rtol=1e-14)


def test_a_gradient_penalty() -> None:
    """Training on the gradient's own size: backward() through the result of grad()."""
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (g,) = tg.grad((w * x * x).sum(), x, create_graph=True)  # 2 w x
    (g * g).sum().backward()  # 4 w² x²
    assert w.grad.tolist() == [24.0, 128.0]
    assert x.grad.tolist() == [72.0, 256.0]


def test_backward_with_create_graph_gives_a_gradient_with_a_graph() -> None:
    x = leaf(2.0)
    (x**3.0).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    assert tg.grad(x.grad.sum(), x)[0].item() == pytest.approx(12.0, rel=1e-14)
    x.grad = None


def test_retain_graph() -> None:
    x = leaf(2.0)
    y = F.cross_entropy((x * x).expand(1, 1), tg.tensor([0])) + (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="already walked and freed"):
        y.backward()


def test_create_graph_retains_the_graph_unless_told_otherwise() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    tg.grad(y, x, create_graph=True)
    tg.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="already walked and freed"):
        tg.grad(y, x)


def make_network(lib: Any, arrays: list[np.ndarray], lift: Callable[[np.ndarray], Any]) -> tuple[Any, list[Any]]:
    """A loss through linear, tanh, linear, cross entropy, in either framework; and its parameters."""
    linear, cross_entropy = lib
    x, w1, b1, w2 = [lift(a) for a in arrays[:4]]
    return cross_entropy(linear(linear(x, w1, b1).tanh(), w2), lift(arrays[4])), [x, w1, b1, w2]


@pytest.mark.parametrize("backend", [NumpyBackend(), Bodies()], ids=["kernels", "bodies"])
def test_second_gradients_through_fused_ops(needs: Needs, backend: NumpyBackend) -> None:
    torch = needs("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in [(5, 3), (4, 3), (4,), (2, 4)]] + [rng.integers(0, 2, 5)]

    def ours(a: np.ndarray) -> Any:
        return Tensor(backend.from_numpy(a), backend).requires_grad_(a.dtype.kind == "f")

    def theirs(a: np.ndarray) -> Any:
        return torch.tensor(a).requires_grad_(a.dtype.kind == "f")

    loss, parameters = make_network((F.linear, F.cross_entropy), arrays, ours)
    tf = torch.nn.functional
    expected_loss, expected_parameters = make_network((tf.linear, tf.cross_entropy), arrays, theirs)
    first = tg.grad(loss, parameters, create_graph=True)
    expected_first = torch.autograd.grad(expected_loss, expected_parameters, create_graph=True)
    sum((g * g).sum() for g in first).backward()
    sum((g * g).sum() for g in expected_first).backward()
    # 1e-12: sums of some tens of float64 products in another order
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    for p, g, q, h in zip(parameters, first, expected_parameters, expected_first, strict=True):
        np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12, atol=1e-14)


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alias",
    [
        lambda x: x,
        lambda x: x.detach(),
        lambda x: x.detach().reshape(4, 1),
        lambda x: x.detach()[:1],
        lambda x: x.detach().T,
        lambda x: x.detach().flip(0),
        lambda x: x.reshape(4),
        lambda x: x[0],
    ],
)
def test_aliases_count_changes_together(alias: Callable[[Any], Any]) -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0).detach().reshape(2, 2).requires_grad_()
    for order in ("alias before", "alias after"):
        early = alias(x) if order == "alias before" else None
        y = (x * x).sum()
        with tg.no_grad():
            (alias(x) if early is None else early).reshape(-1).mul_(2.0)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()


def test_a_copy_counts_for_itself() -> None:
    x = leaf(1.0, 2.0)
    for copy in (x.detach().clone(), x.detach() + 0.0, x.detach()[tg.tensor([0, 1])], tg.tensor(x)):
        y = (x * x).sum()
        copy.zero_()
        y.backward()
    assert x.grad.tolist() == [8.0, 16.0]


def test_a_view_sees_changes() -> None:
    x = tg.zeros(2, 2)
    column = x.T[1]
    column += tg.tensor([1.0, 2.0])
    x[0] = 5.0
    assert x.tolist() == [[5.0, 5.0], [0.0, 2.0]]
    assert column.tolist() == [5.0, 2.0]


@pytest.mark.parametrize("dtype", [tg.float64, tg.int64, tg.bool_])
def test_a_cotangent_takes_the_results_dtype(dtype: Any) -> None:  # as in torch
    x = tg.ones(2, requires_grad=True)
    ones = tg.ones(2, dtype=dtype)
    (x * 2).backward(ones)
    x.backward(ones)
    assert x.grad is not None
    assert (x.grad.tolist(), x.grad.dtype) == ([3.0, 3.0], tg.float32)
    assert tg.grad(x * 2, x, ones)[0].dtype == tg.float32


def test_a_joint_rule_may_give_more_than_is_wanted() -> None:
    @tg.op
    def product(a, b):
        return a.backend.mul(a.data, b.data)

    product.vjp = lambda g, a, b: (g * b, g * a)  # without a look at `needs`
    a, b = tg.tensor([2.0, 3.0], requires_grad=True), tg.tensor([[5.0], [7.0]])
    (product(a, b).sum() + product(a, tg.tensor(4.0)).sum()).backward()
    assert a.grad is not None
    assert (a.grad.tolist(), b.grad) == ([16.0, 16.0], None)
