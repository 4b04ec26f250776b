"""ResNet beside the same in torch: logits, gradients, running statistics; the paper's number of parameters."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.resnet import ResNet

Needs = Callable[[str], ModuleType]


def torch_logits(torch: Any, state: dict[str, Any], x: Any, blocks: int) -> Any:
    """The logits in training, from torch's functions; the running statistics in `state` follow."""
    f = torch.nn.functional

    def norm(x: Any, name: str) -> Any:
        running = (state[f"{name}.running_mean"], state[f"{name}.running_var"])
        return f.batch_norm(x, *running, state[f"{name}.weight"], state[f"{name}.bias"], training=True)

    x = norm(f.conv2d(x, state["conv1.weight"], padding=1), "bn1").relu()
    for stage in (1, 2, 3):
        for i in range(blocks):
            name, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = norm(f.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1").relu()
            y = norm(f.conv2d(y, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if stride == 2:
                added = y.shape[1] - x.shape[1]
                x = f.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, added // 2, added - added // 2))
            x = (x + y).relu()
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


def test_resnet_is_torchs(needs: Needs) -> None:
    torch = needs("torch")
    tg.manual_seed(0)
    model = ResNet(depth=14).double()
    names = {name for name, _ in model.named_parameters()}
    state = {
        key: torch.tensor(value.numpy().copy(), requires_grad=key in names) for key, value in model.state_dict().items()
    }
    x = np.random.default_rng(0).standard_normal((3, 3, 12, 12))
    out, expected = model(tg.tensor(x)), torch_logits(torch, state, torch.tensor(x), blocks=2)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    for name, p in model.named_parameters():  # 14 normalised layers deep
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), state[name].grad.numpy(), rtol=1e-7, atol=1e-9, err_msg=name)
    for name, running in model.named_buffers():
        if "num_batches" not in name:
            np.testing.assert_allclose(running.numpy(), state[name].numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_the_papers_number_of_parameters(depth: int, millions: float) -> None:
    """Its table 6; two digits are given there."""
    assert round(sum(p.numel() for p in ResNet(depth).parameters()) / 1e6, 2) == millions


def test_mistakes() -> None:
    with pytest.raises(ValueError, match=r"ResNet: expected a depth of 6 n \+ 2 layers \(8, 14, 20, ...\), got 18"):
        ResNet(18)
    with pytest.raises(ValueError, match=r"ResNet: expected pictures of shape \(B, 3, H, W\), got \(2, 1, 32, 32\)"):
        ResNet()(tg.zeros(2, 1, 32, 32))
