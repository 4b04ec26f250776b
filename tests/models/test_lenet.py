"""LeNet: shapes, the same function as in torch, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.lenet import LeNet

Needs = Callable[[str], ModuleType]


def torch_lenet(torch: Any, channels: int, size: int, features: int) -> Any:
    """The same layers in torch, one after the other."""
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv2d(channels, 6, 5, padding=2 if size < 32 else 0), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5, padding=2 if size < 12 else 0), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(features, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    ).double()


@pytest.mark.parametrize(("channels", "size", "features"), [(1, 8, 64), (1, 28, 400), (3, 32, 400)])
def test_lenet_is_torchs(needs: Needs, same_as_torch: Any, channels: int, size: int, features: int) -> None:
    torch = needs("torch")
    ours, theirs = LeNet(channels, size).double(), torch_lenet(torch, channels, size, features)
    state = [torch.tensor(value.numpy()) for value in ours.state_dict().values()]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state, strict=True)))
    x = np.random.default_rng(0).standard_normal((2, channels, size, size))
    same_as_torch(ours, theirs, x)


@pytest.mark.parametrize("shape", [(2, 1, 28, 27), (2, 3, 28, 28), (1, 28, 28)])
def test_pictures_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"LeNet: expected pictures of shape \(B, 1, 28, 28\), got"):
        LeNet()(tg.zeros(*shape))


def test_too_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="LeNet: expected pictures of 4 x 4 pixels or more, got size=3"):
        LeNet(size=3)
