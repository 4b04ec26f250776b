"""Modules: what they hold and in which order, states exchanged with torch, conversions."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, registry
from tinygrad_edu.backends.numpy_backend import NumpyBackend

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("seeded")


class Block(nn.Module):
    """A parameter, a buffer, a Module and a plain attribute, assigned in this order."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(tg.ones(n))
        self.register_buffer("mean", tg.zeros(n))
        self.inner = nn.Linear(n, n, bias=False)
        self.note = "plain"
        self.shift = nn.Parameter(tg.zeros(n))

    def forward(self, x: Any) -> Any:
        return self.inner(x - self.mean) * self.scale + self.shift


class Net(nn.Module):
    """Blocks within a Sequential within a Module."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(3), nn.Dropout(0.5), Block(3))
        self.head = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def torch_net(torch: Any) -> Any:
    """The same in torch."""
    t = torch.nn

    class TorchBlock(t.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.scale = t.Parameter(torch.ones(n))
            self.register_buffer("mean", torch.zeros(n))
            self.inner = t.Linear(n, n, bias=False)
            self.shift = t.Parameter(torch.zeros(n))

        def forward(self, x: Any) -> Any:
            return self.inner(x - self.mean) * self.scale + self.shift

    class TorchNet(t.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = t.Sequential(TorchBlock(3), t.Dropout(0.5), TorchBlock(3))
            self.head = t.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x))

    return TorchNet()


# --- what a Module holds ---------------------------------------------------------------------------------------------


def test_names_and_order_are_torchs(needs: Needs) -> None:
    ours, theirs = Net(), torch_net(needs("torch"))
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_buffers()] == [name for name, _ in theirs.named_buffers()]
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }


def test_an_attribute_is_what_was_assigned() -> None:
    net = Net()
    assert isinstance(net.body[0], Block)
    assert net.body[0].note == "plain"
    assert net.body[0].mean.tolist() == [0.0] * 3
    assert net.body[-1] is list(net.body.children())[2]
    assert len(net.body) == 3
    assert [type(m).__name__ for m in net.children()] == ["Sequential", "Linear"]
    with pytest.raises(AttributeError, match="nothing"):
        net.nothing  # noqa: B018


def test_replacing_and_removing() -> None:
    net = Net()
    net.head = nn.Linear(3, 5)
    assert net.head.weight.shape == (5, 3)
    assert [name for name, _ in net.named_parameters()][-2:] == ["head.weight", "head.bias"]
    block = net.body[0]
    block.mean = tg.ones(3)  # still a buffer
    assert dict(net.named_buffers())["body.0.mean"].tolist() == [1.0] * 3
    del block.shift
    assert "body.0.shift" not in dict(net.named_parameters())
    block.scale = None
    assert "body.0.scale" not in net.state_dict()


def test_a_layer_without_bias() -> None:
    layer = nn.Linear(2, 3, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    assert layer(tg.ones(4, 2)).shape == (4, 3)


def test_a_shared_parameter_counts_once_and_is_in_the_state_twice(needs: Needs) -> None:
    ours = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    t = needs("torch").nn
    theirs = t.Sequential(t.Linear(2, 2, bias=False), t.Linear(2, 2, bias=False))
    ours[1].weight, theirs[1].weight = ours[0].weight, theirs[0].weight
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_train_and_eval_reach_everything() -> None:
    net = Net()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.body.train()
    assert not net.training
    assert net.body[1].training


def test_zero_grad_and_requires_grad() -> None:
    net = Net()
    net(tg.ones(2, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.body.requires_grad_(False)
    net(tg.ones(2, 3)).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is not None] == ["head.weight", "head.bias"]


def test_a_buffer_is_not_trained() -> None:
    block = Block(2)
    assert not block.mean.requires_grad
    assert "mean" not in dict(block.named_parameters())


def test_repr_is_a_tree() -> None:
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.1)\n"
        "  )\n"
        ")"
    )


# --- conversion ------------------------------------------------------------------------------------------------------


def test_double_and_float() -> None:
    net = Net()
    net.register_buffer("steps", tg.tensor([3]))
    parameters = list(net.parameters())
    net(tg.ones(2, 3)).sum().backward()
    assert net.double() is net
    assert {str(x.dtype) for x in net.state_dict().values()} == {"float64", "int64"}
    assert all(p is q and p.grad is None for p, q in zip(net.parameters(), parameters, strict=True))
    assert net(tg.ones(2, 3, dtype=tg.float64)).dtype == np.float64
    net.float()
    assert net.steps.dtype == np.int64
    assert net(tg.ones(2, 3)).dtype == np.float32


def test_double_between_forward_and_backward_is_noticed() -> None:
    layer = nn.Linear(2, 2)
    loss = layer(tg.ones(1, 2)).sum()
    layer.double()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_to_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(NumpyBackend):
        name = "other"

    table = registry.installed().table("backends")
    monkeypatch.setitem(table, "other", registry.Registered(Other, __name__, "tests"))
    net = Net().eval()
    x = tg.ones(2, 3)
    expected = net(x).tolist()
    assert net.to_backend("other") is net
    assert {v.backend.name for v in net.state_dict().values()} == {"other"}
    out = net(x.to_backend("other"))
    assert out.tolist() == expected
    out.sum().backward()
    assert {p.grad.backend.name for p in net.parameters() if p.grad is not None} == {"other"}
    with pytest.raises(ValueError, match="expected Tensors of one backend"):
        net(x)


# --- states ----------------------------------------------------------------------------------------------------------


def test_torchs_state_loads_and_computes_the_same(needs: Needs) -> None:
    torch = needs("torch")
    torch.manual_seed(0)
    ours, theirs = Net().double().eval(), torch_net(torch).double().eval()
    theirs.body[0].mean.fill_(0.5)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((4, 3))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(tg.tensor(x)).detach().numpy(), expected, rtol=1e-13)  # sums of 3 in another order


def test_our_state_loads_into_torch(needs: Needs) -> None:
    torch = needs("torch")
    ours, theirs = Net(), torch_net(torch)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_a_state_shares_memory_and_loading_copies() -> None:
    a, b = Net(), Net()
    parameters = list(b.parameters())
    b.load_state_dict(a.state_dict())
    assert all(p is q for p, q in zip(b.parameters(), parameters, strict=True))
    a.state_dict()["head.bias"].fill_(7.0)
    assert a.head.bias.tolist() == [7.0, 7.0]
    assert b.head.bias.tolist() != [7.0, 7.0]
    assert all(not x.requires_grad for x in a.state_dict().values())


def test_loading_converts_the_dtype() -> None:
    a, b = Net(), Net().double()
    a.load_state_dict(b.state_dict())
    assert {str(x.dtype) for x in a.state_dict().values()} == {"float32"}


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.bias"), "load_state_dict: 'head.bias' of Net is missing from the state"),
        (lambda s: s.update(tail=1.0), "load_state_dict: 'tail' of the state is unknown to Net"),
        (
            lambda s: s.update({"head.bias": np.zeros(3)}),
            r"load_state_dict: expected 'head.bias' of shape \(2,\), got \(3,\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: Change, message: str) -> None:
    net = Net()
    before = {key: value.tolist() for key, value in net.state_dict().items()}
    state: dict[str, Any] = {key: np.full(value.shape, 9.0) for key, value in net.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(state)
    assert {key: value.tolist() for key, value in net.state_dict().items()} == before


def test_not_strict_loads_what_there_is() -> None:
    net = Net()
    net.load_state_dict({"head.bias": np.array([1.0, 2.0]), "tail": np.ones(1)}, strict=False)
    assert net.head.bias.tolist() == [1.0, 2.0]


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mistake", "message"),
    [
        (ValueError, lambda: nn.Linear(-1, 2), "Linear: expected in_features to be an int >= 0, got -1"),
        (ValueError, lambda: nn.Linear(2, 2.0), "Linear: expected out_features to be an int >= 0, got 2.0"),  # type: ignore[arg-type]
        (ValueError, lambda: nn.Dropout(1.5), r"Dropout: expected a probability between 0 and 1, got p=1.5"),
        (ValueError, lambda: nn.functional.dropout(tg.ones(1), -0.1), r"dropout: expected a probability between 0 and"),
        (TypeError, lambda: nn.Sequential(nn.ReLU(), tg.relu), r"Sequential: expected Modules, got function at posit"),
        (TypeError, lambda: nn.Module()(1), r"Module defines no forward\(\)"),
        (TypeError, lambda: nn.Parameter(tg.tensor([1])), "requires_grad: only float Tensors can have gradients"),
        (ValueError, lambda: nn.init.xavier_normal_(tg.ones(3)), r"init: expected a weight with at least 2 dimensions"),
        (ValueError, lambda: nn.init.gain("swish"), "init: unknown nonlinearity 'swish'; there are linear, sigmoid,"),
        (ValueError, lambda: nn.Linear(3, 2)(tg.ones(4, 5)), r"linear: .*got \(4, 5\) and \(2, 3\): dimension -1 of"),
    ],
)
def test_mistakes(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()


# --- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "name", "args"),
    [
        (nn.ReLU(), "ReLU", ()),
        (nn.Tanh(), "Tanh", ()),
        (nn.Sigmoid(), "Sigmoid", ()),
        (nn.Softmax(1), "Softmax", (1,)),
        (nn.Flatten(), "Flatten", ()),
        (nn.Flatten(0, 1), "Flatten", (0, 1)),
    ],
)
def test_layers_are_torchs(needs: Needs, ours: nn.Module, name: str, args: tuple[int, ...]) -> None:
    torch = needs("torch")
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    expected = getattr(torch.nn, name)(*args)(torch.tensor(x)).numpy()
    assert list(ours.state_dict()) == []
    np.testing.assert_allclose(ours(tg.tensor(x)).numpy(), expected, rtol=1e-14)  # one or two roundings


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (0, 3)])
def test_linear_takes_any_leading_dimensions(shape: tuple[int, ...]) -> None:
    layer = nn.Linear(3, 5).double()
    x = np.random.default_rng(0).standard_normal(shape)
    expected = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(tg.tensor(x)).detach().numpy(), expected, rtol=1e-13)


def test_a_plain_tensor_does_not_silently_take_a_parameters_place() -> None:
    layer = nn.Linear(2, 3)
    with pytest.raises(TypeError, match=r"Linear\.weight is a Parameter: assign a Parameter, or change its values"):
        layer.weight = tg.ones(3, 2)
    assert len(list(layer.parameters())) == 2


def test_forward_hooks_see_and_may_replace_the_result() -> None:
    layer, seen = nn.Linear(3, 2), []
    first = layer.register_forward_hook(lambda module, args, out: seen.append((module, args[0].shape, out.shape)))
    second = layer.register_forward_hook(lambda module, args, out: out * 0.0)
    assert layer(tg.ones(4, 3)).tolist() == [[0.0, 0.0]] * 4
    first.remove()
    second.remove()
    second.remove()
    assert layer(tg.ones(4, 3)).tolist() != [[0.0, 0.0]] * 4
    assert seen == [(layer, (4, 3), (4, 2))]
    assert not nn.Linear(3, 2)._forward_hooks


def test_a_forward_hook_may_remove_itself() -> None:
    layer, calls = nn.ReLU(), []
    handle = layer.register_forward_hook(lambda *_: (calls.append(1), handle.remove())[2:] or None)
    other = layer.register_forward_hook(lambda *_: calls.append(2))
    layer(tg.ones(1))
    layer(tg.ones(1))
    other.remove()
    assert calls == [1, 2, 2]
