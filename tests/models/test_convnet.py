"""ConvNet: PyTorch's own example, whose state loads as it is; the same logits and gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.convnet import ConvNet

Needs = Callable[[str], ModuleType]


def torch_convnet(torch: Any) -> Any:
    """The example's network, but for its last step (log_softmax)."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = torch.nn.Conv2d(1, 32, 3), torch.nn.Conv2d(32, 64, 3)
            self.fc1, self.fc2 = torch.nn.Linear(9216, 128), torch.nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            x = torch.nn.functional.max_pool2d(self.conv2(self.conv1(x).relu()).relu(), 2)
            return self.fc2(self.fc1(x.flatten(1)).relu())

    return Net()


def test_convnet_is_the_examples(needs: Needs, same_as_torch: Any) -> None:
    torch = needs("torch")
    torch.manual_seed(0)
    ours, theirs = ConvNet().double().eval(), torch_convnet(torch).double()
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28))
    same_as_torch(ours, theirs, x)


def test_dropout_drops_in_training_alone() -> None:
    tg.manual_seed(0)
    model, x = ConvNet(), tg.rand(2, 1, 28, 28)
    assert not np.array_equal(model(x).detach().numpy(), model(x).detach().numpy())
    model.eval()
    assert np.array_equal(model(x).detach().numpy(), model(x).detach().numpy())


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="ConvNet: expected pictures of 6 x 6 pixels or more, got size=5"):
        ConvNet(size=5)
    with pytest.raises(ValueError, match=r"ConvNet: expected pictures of shape \(B, 1, 28, 28\), got \(2, 3, 32, 32\)"):
        ConvNet()(tg.zeros(2, 3, 32, 32))
