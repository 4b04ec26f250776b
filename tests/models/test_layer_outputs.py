"""What every layer of a network of pictures gives: its own output, by its name."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.layer_outputs import layer_outputs
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.resnet import ResNet


@pytest.mark.usefixtures("seeded")
def test_every_layer_shows_what_it_gives() -> None:
    model, x = LeNet(), np.random.default_rng(0).standard_normal((1, 28, 28)).astype(np.float32)
    found = layer_outputs(model, x)
    shapes = {"conv1": (6, 28, 28), "pool1": (6, 14, 14), "conv2": (16, 10, 10), "pool2": (16, 5, 5)}
    assert {name: out.shape for name, out in found.items()} == {**shapes, "fc1": (120,), "fc2": (84,), "fc3": (10,)}
    np.testing.assert_array_equal(found["conv1"], model.conv1(tg.tensor(x[None])).detach().numpy()[0])
    np.testing.assert_array_equal(found["fc3"], model(tg.tensor(x[None])).detach().numpy()[0])
    assert not model.conv1._forward_hooks


def test_a_block_of_the_resnet_is_one_layer() -> None:
    found = layer_outputs(ResNet(8, 1), np.zeros((1, 8, 8), np.float32))
    assert list(found) == ["conv1", "layer1.0", "layer2.0", "layer3.0", "fc"]


def test_hooks_are_taken_off_when_the_network_refuses() -> None:
    model = LeNet()
    with pytest.raises(ValueError, match="expected pictures of shape"):
        layer_outputs(model, np.zeros((1, 8, 8), np.float32))
    assert not model.conv1._forward_hooks
