"""vjp, jvp, hvp, jacobian, hessian against torch.func: values and nesting, and the derivatives of all of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg

Needs = Callable[[str], ModuleType]

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch.func.jvp uses it


def double(x: Any) -> Any:
    """An array as a float64 Tensor."""
    return tg.tensor(np.asarray(x, np.float64))


def plain(tree: Any) -> Any:
    """Tensors, ours or torch's, as lists, in their nesting."""
    return type(tree)(map(plain, tree)) if isinstance(tree, (tuple, list)) else tree.tolist()


def close(ours: Any, theirs: Any) -> None:
    """The same nesting and shapes, and values equal but for rounding in float64."""
    if isinstance(theirs, (tuple, list)):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            close(a, b)
    else:
        assert ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


# Functions that mean the same for both, with shapes of their arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "vector": (lambda x: (x * x).tanh(), ((3,),)),
    "number": (lambda x: (x * x * x).sum(), ((2, 2),)),
    "0-d": (lambda x: x.exp() * x, ((),)),
    "two inputs": (lambda x, y: x @ y, ((2, 3), (3,))),
    "two results": (lambda x, y: (x * y, (x * x).sum()), ((2,), (2,))),
    "a list": (lambda x: [x * 2.0, x.sin()], ((2,),)),
    "nested": (lambda x, y: (x, (y * x, [x.sum()])), ((2,), (2,))),
    "unused input": (lambda x, y: x * 2.0, ((2,), (3,))),
    "linear": (lambda x: x.sum() * 3.0, ((2,),)),
    "constant": (lambda x: (x * 0.0).detach() + 1.0, ((2,),)),
    "itself": (lambda x, y: (x, y), ((2,), ())),
    "views": (lambda x: x.transpose(0, 1).reshape(6)[1:4], ((2, 3),)),
    "empty input": (lambda x, y: y * 2.0 + x.sum(), ((0,), (2,))),
    "empty result": (lambda x: x[:0] * 2.0, ((2,),)),
    "softmax": (lambda x: x.softmax(0).log(), ((4,),)),
    "broadcast": (lambda x, y: (x / (y * y + 1.0)).sum(0), ((3, 1), (2,))),
}


@pytest.fixture(params=FUNCTIONS)
def case(request: pytest.FixtureRequest) -> Any:
    """A function, its arguments as NumPy arrays, and directions of the same shapes."""
    f, shapes = FUNCTIONS[request.param]
    random = np.random.default_rng(7)
    return f, [random.standard_normal(s) for s in shapes], [random.standard_normal(s) for s in shapes]


def test_vjp(case: Any, needs: Needs) -> None:
    torch = needs("torch")
    f, points, _ = case
    theirs, their_pull = torch.func.vjp(f, *map(torch.tensor, points))
    ours, pull = tg.vjp(f, *map(double, points))
    close(ours, theirs)
    theirs = torch.utils._pytree.tree_map(torch.ones_like, theirs)
    cotangent = torch.utils._pytree.tree_map(lambda t: double(t.numpy()), theirs)
    close(pull(cotangent), their_pull(theirs))
    close(pull(cotangent), their_pull(theirs))  # as often as one likes


def test_jvp(case: Any, needs: Needs) -> None:
    torch = needs("torch")
    f, points, directions = case
    ours = tg.jvp(f, tuple(map(double, points)), tuple(map(double, directions)))
    close(ours, torch.func.jvp(f, tuple(map(torch.tensor, points)), tuple(map(torch.tensor, directions))))


@pytest.mark.parametrize("name", ["jacobian", "hessian"])
@pytest.mark.parametrize("several", [False, True])
def test_jacobian_and_hessian(name: str, several: bool, case: Any, needs: Needs) -> None:
    torch = needs("torch")
    f, points, _ = case
    argnums = tuple(range(len(points))) if several else len(points) - 1
    # torch's own hessian is jacfwd(jacrev), which fails on some of these; jacrev twice is the same number
    oracle = {"jacobian": torch.func.jacrev, "hessian": lambda f, a: torch.func.jacrev(torch.func.jacrev(f, a), a)}
    ours = getattr(tg, name)(f, argnums)(*map(double, points))
    close(ours, oracle[name](f, argnums)(*map(torch.tensor, points)))


def test_hessian_nests_as_torchs_own(needs: Needs) -> None:
    torch = needs("torch")
    f = lambda x, y: (x * y).sum() * x.sum()
    points = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    for argnums in (0, 1, -1, (0,), (0, 1), (1, 0)):
        theirs = torch.func.hessian(f, argnums)(*map(torch.tensor, points))
        close(tg.hessian(f, argnums)(*map(double, points)), theirs)


@pytest.mark.parametrize("name", ["number", "0-d", "linear"])
def test_hvp(name: str, needs: Needs) -> None:
    torch = needs("torch")
    f, (shape,) = FUNCTIONS[name]
    random = np.random.default_rng(1)
    x, v = random.standard_normal(shape), random.standard_normal(shape)
    expected = torch.autograd.functional.hvp(f, torch.tensor(x), torch.tensor(v))[1]
    close(tg.hvp(f, double(x), double(v)), expected)
    close(tg.hvp(f, (double(x),), (double(v),)), (expected,))


def test_hvp_of_several_inputs(needs: Needs) -> None:
    torch = needs("torch")
    f = lambda x, y, z: (x * y).exp().sum()  # z is not used
    random = np.random.default_rng(2)
    points, directions = ([random.standard_normal(3) for _ in range(3)] for _ in range(2))
    expected = torch.autograd.functional.hvp(f, tuple(map(torch.tensor, points)), tuple(map(torch.tensor, directions)))
    close(tg.hvp(f, tuple(map(double, points)), tuple(map(double, directions))), expected[1])


# --- They are differentiable themselves ------------------------------------------------------------------------------


def test_a_hessian_of_a_function_that_uses_jvp(needs: Needs) -> None:
    torch = needs("torch")
    x, v = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 3.0])

    def make(jvp: Any, direction: Any) -> Any:
        return lambda x: jvp(lambda y: (y * y * y).sum() * x.sum(), (x,), (direction,))[1]

    ours = tg.hessian(make(tg.jvp, double(v)))(double(x))
    close(ours, torch.func.hessian(make(torch.func.jvp, torch.tensor(v)))(torch.tensor(x)))


def test_jvp_of_jvp_with_respect_to_points_and_directions(needs: Needs) -> None:
    torch = needs("torch")
    x, v = np.array([0.5, -1.0]), np.array([1.0, 2.0])

    def make(jvp: Any) -> Any:
        return lambda x, v: jvp(lambda y: (y * y).tanh() * x, (x,), (v,))[1]

    ours = tg.jvp(make(tg.jvp), (double(x), double(v)), (double(v), double(x)))
    theirs = torch.func.jvp(make(torch.func.jvp), *[(torch.tensor(a), torch.tensor(b)) for a, b in ((x, v), (v, x))])
    close(ours, theirs)


def test_third_derivatives() -> None:
    third = tg.jacobian(tg.jacobian(tg.jacobian(lambda x: x * x * x * x)))
    assert third(tg.tensor(2.0)).item() == 48.0


def test_weights_that_a_function_uses_get_gradients() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    x, v = tg.tensor([3.0, 4.0]), tg.tensor([1.0, 1.0])
    f = lambda x: (w * x * x).sum()
    for transform in (
        lambda: tg.jvp(f, (x,), (v,))[1],
        lambda: tg.vjp(f, x)[1](tg.tensor(1.0))[0].sum(),
        lambda: tg.jacobian(f)(x).sum(),
    ):  # sum over i of 2 w_i x_i
        w.grad = None
        transform().backward()
        assert w.grad.tolist() == [6.0, 8.0]
    for transform in (lambda: tg.hvp(f, x, v).sum(), lambda: tg.hessian(f)(x).sum()):
        w.grad = None
        transform().backward()
        assert w.grad.tolist() == [2.0, 2.0]


def test_inputs_that_want_gradients_get_them() -> None:
    x = tg.tensor([3.0, 4.0], requires_grad=True)
    tg.jvp(lambda x: x * x, (x,), (tg.ones(2),))[1].sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    x.grad = None
    value, pull = tg.vjp(lambda x: x * x * x, x)
    (pull(tg.ones(2))[0] + value).sum().backward()  # 3 x^2 + x^3, differentiated
    assert x.grad.tolist() == [6 * 3.0 + 27.0, 6 * 4.0 + 48.0]


def test_directions_that_want_gradients_get_them() -> None:
    x, v = tg.tensor([3.0, 4.0]), tg.tensor([1.0, 1.0], requires_grad=True)
    tg.jvp(lambda x: x * x, (x,), (v,))[1].sum().backward()
    assert v.grad.tolist() == [6.0, 8.0]
    v.grad = None
    tg.vjp(lambda x: x * x, x)[1](v)[0].sum().backward()
    assert v.grad.tolist() == [6.0, 8.0]
    v.grad = None
    tg.hvp(lambda x: (x * x * x).sum(), x, v).sum().backward()
    assert v.grad.tolist() == [18.0, 24.0]


def test_nothing_is_recorded_where_nothing_wants_a_gradient() -> None:
    x, v = tg.tensor([3.0, 4.0]), tg.ones(2)
    f = lambda x: (x * x).sum()
    value, pull = tg.vjp(f, x)
    results = [value, *pull(tg.tensor(1.0)), *tg.jvp(f, (x,), (v,)), tg.hvp(f, x, v)]
    results += [tg.jacobian(f)(x), tg.hessian(f)(x)]
    assert not any(result.requires_grad for result in results)
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.no_grad():
        value, pull = tg.vjp(lambda x: x * w, w)
        assert not value.requires_grad
        assert pull(v)[0].tolist() == [1.0, 2.0]  # the other factor is not the input, though it is the same Tensor
        assert not pull(v)[0].requires_grad
        results = [*tg.jvp(lambda x: x * w, (x,), (v,)), tg.hvp(f, w, v), tg.hessian(f)(w), tg.jacobian(f)(w)]
        expected = [[3.0, 8.0], [1.0, 2.0], [2.0, 2.0], [[2.0, 0.0], [0.0, 2.0]], [2.0, 4.0]]
        assert [result.tolist() for result in results] == expected
        assert not any(result.requires_grad for result in results)
    _, pull = tg.vjp(lambda x: x * w, w)
    with tg.no_grad():
        assert not pull(v)[0].requires_grad
    assert (x.grad, w.grad, x.requires_grad) == (None, None, False)


def test_other_arguments_pass_as_they_are() -> None:
    f = lambda scale, x, how: x * scale if how == "times" else x + scale
    assert tg.jacobian(f, 1)(3, tg.tensor([1.0, 2.0]), "times").tolist() == [[3.0, 0.0], [0.0, 3.0]]
    assert tg.jacobian(f, -2)(3, tg.tensor([1.0, 2.0]), "plus").tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_float32_stays() -> None:
    x = tg.tensor([1.0, 2.0])
    f = lambda x: (x * x).sum()
    results = [tg.jacobian(f)(x), tg.hessian(f)(x), tg.hvp(f, x, x), *tg.jvp(f, (x,), (x,)), *tg.vjp(f, x)[1](x.sum())]
    assert {result.dtype for result in results} == {tg.float32}


# --- What is refused -------------------------------------------------------------------------------------------------

X, N = tg.tensor([1.0, 2.0]), tg.tensor([1, 2])


@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        (lambda: tg.vjp(lambda x: x), TypeError, "vjp: expected a tuple of Tensors as inputs"),
        (lambda: tg.vjp(lambda x: x, 1.0), TypeError, "vjp: expected a float Tensor as input 0, got float"),
        (lambda: tg.vjp(lambda x: x, N), TypeError, "vjp: expected a float Tensor as input 0, got int64"),
        (lambda: tg.vjp(lambda x: 3.0, X), TypeError, "vjp: expected a Tensor or a tuple of Tensors, got float"),
        (lambda: tg.vjp(lambda x: x > 0.0, X), TypeError, "vjp: expected float results, got bool"),
        (
            lambda: tg.vjp(lambda x: x, X)[1]((X, X)),
            ValueError,
            "vjp: expected 1 cotangents, a tuple of as many, got 2",
        ),
        (lambda: tg.vjp(lambda x: x, X)[1](X[0]), ValueError, r"vjp: expected cotangent 0 of shape \(2,\), got \(\)"),
        (lambda: tg.vjp(lambda x: x, X)[1](1.0), TypeError, "vjp: expected a Tensor or a tuple of Tensors, got float"),
        (lambda: tg.jvp(lambda x: x, X, (X,)), TypeError, "jvp: expected a tuple of Tensors as inputs"),
        (lambda: tg.jvp(lambda x: x, (X,), X), ValueError, "jvp: expected 1 tangents, a tuple of as many, got Tensor"),
        (lambda: tg.jvp(lambda x: x, (X,), (X, X)), ValueError, "jvp: expected 1 tangents, a tuple of as many, got 2"),
        (lambda: tg.jvp(lambda x: x, (X,), (1.0,)), TypeError, "jvp: expected a Tensor as tangent 0, got float"),
        (lambda: tg.jvp(lambda x: x, (X,), (X[:1],)), ValueError, r"tangent 0 of shape \(2,\), got \(1,\)"),
        (
            lambda: tg.hvp(lambda x: x, X, X),
            ValueError,
            r"hvp: expected a function to one number, got shapes \[\(2,\)\]",
        ),
        (lambda: tg.hvp(lambda x: x.sum(), X, X[0]), ValueError, "hvp: expected tangent 0 of shape"),
        (lambda: tg.jacobian(lambda x: x, 1)(X), ValueError, "expected argnums to name some of 1 arguments"),
        (lambda: tg.jacobian(lambda x: x, (0, -1))(X), ValueError, "each once"),
        (lambda: tg.jacobian(lambda x: x, ())(X), ValueError, "argnums"),
        (lambda: tg.jacobian(lambda x: x)(N), TypeError, "jacobian: expected a float Tensor as input 0, got int64"),
        (lambda: tg.jacobian(lambda x: {"a": x})(X), TypeError, "jacobian: expected a Tensor or a tuple .* got dict"),
    ],
)
def test_refusals(program: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        program()
