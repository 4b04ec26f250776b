"""What goes wrong with pictures, and what only looks as if: errors name what was wrong and expected; an empty batch
passes both ways; a checkpoint of another architecture is refused by the first key that tells.

Mistakes that concern one layer alone are in test_vision_layers.py, those of a model's own sizes in tests/models.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn
from tinygrad_edu.models.convnet import ConvNet
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.resnet import ResNet
from tinygrad_edu.models.vae import VAE, ConvVAE, negative_evidence

Needs = Callable[[str], ModuleType]


def zeros(*shape: int) -> Tensor:
    return tg.zeros(*shape)


def pixels(*shape: int) -> Tensor:
    """Pictures as files have them: bytes."""
    return tg.tensor(np.zeros(shape, np.uint8))


MISTAKES: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    # A kernel larger than the picture with its padding.
    "Conv2d, rows": (
        ValueError,
        lambda: nn.Conv2d(1, 2, 5, padding=1)(zeros(1, 1, 2, 9)),
        r"conv2d: a kernel of \(5, 5\), .* spans 5 elements of dimension -2, which has 2 in shape .*, with padding 4",
    ),
    "Conv2d, columns": (
        ValueError,
        lambda: nn.Conv2d(1, 2, 3, dilation=3)(zeros(1, 1, 9, 6)),
        r"conv2d: .* dilation \(3, 3\), spans 7 elements of dimension -1, which has 6 in shape \(1, 1, 9, 6\)",
    ),
    "Conv1d, length": (
        ValueError,
        lambda: nn.Conv1d(1, 2, 5, padding=1)(zeros(1, 1, 2)),
        "conv1d: .* spans 5 elements of dimension -1, which has 2 in shape .*, with padding 4",
    ),
    "MaxPool2d, columns": (
        ValueError,
        lambda: nn.MaxPool2d(4, padding=1)(zeros(1, 1, 9, 1)),
        r"max_pool2d: a kernel of \(4, 4\), .* dimension -1, which has 1 in shape \(1, 1, 9, 1\), with padding 3",
    ),
    "MaxPool2d, dilated": (
        ValueError,
        lambda: nn.MaxPool2d(3, dilation=2)(zeros(1, 1, 4, 9)),
        r"max_pool2d: .* dilation \(2, 2\), spans 5 elements of dimension -2, which has 4",
    ),
    "AvgPool2d, columns": (
        ValueError,
        lambda: nn.AvgPool2d((2, 4))(zeros(9, 9, 3)),
        r"avg_pool2d: a kernel of \(2, 4\), .* dimension -1, which has 3 in shape \(1, 9, 9, 3\)",
    ),
    "ConvTranspose2d, all cut off": (
        ValueError,
        lambda: nn.ConvTranspose2d(1, 1, 2, padding=2)(zeros(1, 1, 3, 3)),
        r"conv_transpose2d: nothing is left of dimension -2 of \(1, 1, 3, 3\) with padding \(2, 2\)",
    ),
    "GroupNorm, a single value": (
        ValueError,
        lambda: nn.GroupNorm(3, 3)(zeros(1, 3)),
        r"group_norm: more than one value a group is needed, got \(1, 3\) of 3 groups",
    ),
    # Channels.
    "Conv2d, channels of groups": (
        ValueError,
        lambda: nn.Conv2d(4, 2, 3, groups=2)(zeros(1, 2, 5, 5)),
        r"conv2d: .* with 2 groups takes 4 channels, .* the input of shape \(1, 2, 5, 5\) has 2 channels",
    ),
    "Conv1d, channels": (
        ValueError,
        lambda: nn.Conv1d(3, 2, 3)(zeros(3, 2, 9)),
        r"conv1d: .* takes 3 channels, .* the input of shape \(3, 2, 9\) has 2 channels",
    ),
    "ConvTranspose2d, channels": (
        ValueError,
        lambda: nn.ConvTranspose2d(3, 2, 3)(zeros(1, 4, 5, 5)),
        r"conv_transpose2d: .* takes 3 channels, .* the input of shape \(1, 4, 5, 5\) has 4 channels",
    ),
    "BatchNorm2d, channels": (
        ValueError,
        lambda: nn.BatchNorm2d(3)(zeros(2, 4, 5, 5)),
        r"batch_norm: expected running_mean of shape \(4,\), one for each channel, got \(3,\)",
    ),
    "channels last": (
        ValueError,
        lambda: LeNet()(zeros(2, 28, 28, 1)),
        r"LeNet: expected pictures of shape \(B, 1, 28, 28\), got \(2, 28, 28, 1\)",
    ),
    # Dimensions.
    "Conv2d, a volume": (
        ValueError,
        lambda: nn.Conv2d(3, 2, 3)(zeros(1, 1, 3, 5, 5)),
        r"conv2d: expected an input of shape \(N, C, H, W\) or \(C, H, W\), got \(1, 1, 3, 5, 5\)",
    ),
    "Conv1d, pictures": (
        ValueError,
        lambda: nn.Conv1d(3, 2, 3)(zeros(1, 3, 5, 5)),
        r"conv1d: expected an input of shape \(N, C, L\) or \(C, L\), got \(1, 3, 5, 5\)",
    ),
    "ConvTranspose2d, no channels": (
        ValueError,
        lambda: nn.ConvTranspose2d(3, 2, 3)(zeros(5, 5)),
        r"conv_transpose2d: expected an input of shape \(N, C, H, W\) or \(C, H, W\), got \(5, 5\)",
    ),
    "AvgPool2d, no channels": (ValueError, lambda: nn.AvgPool2d(2)(zeros(5, 5)), r"avg_pool2d: .* got \(5, 5\)"),
    "AdaptiveAvgPool2d, no channels": (
        ValueError,
        lambda: nn.AdaptiveAvgPool2d(2)(zeros(5, 5)),
        r"adaptive_avg_pool2d: expected an input of shape \(N, C, H, W\) or \(C, H, W\), got \(5, 5\)",
    ),
    "BatchNorm1d, pictures": (
        ValueError,
        lambda: nn.BatchNorm1d(3)(zeros(2, 3, 4, 4)),
        r"BatchNorm1d: expected an input of 2 or 3 dimensions, got shape \(2, 3, 4, 4\)",
    ),
    "ResNet, one picture": (
        ValueError,
        lambda: ResNet(8)(zeros(3, 8, 8)),
        r"ResNet: expected pictures of shape \(B, 3, H, W\), got \(3, 8, 8\)",
    ),
    # Bytes.
    **{
        f"{name}, bytes": (TypeError, call, f"{name}: expected a float Tensor, got uint8; convert it first, x.float")
        for name, call in {
            "conv1d": lambda: nn.Conv1d(1, 2, 3)(pixels(1, 1, 5)),
            "conv2d": lambda: LeNet()(pixels(2, 1, 28, 28)),
            "conv_transpose2d": lambda: nn.ConvTranspose2d(1, 2, 3)(pixels(1, 1, 5, 5)),
            "avg_pool2d": lambda: nn.AvgPool2d(2)(pixels(1, 1, 5, 5)),
            "adaptive_avg_pool2d": lambda: nn.AdaptiveAvgPool2d(2)(pixels(1, 1, 5, 5)),
            "batch_norm": lambda: nn.BatchNorm2d(1)(pixels(1, 1, 5, 5)),
            "group_norm": lambda: nn.GroupNorm(1, 1)(pixels(1, 1, 5, 5)),
        }.items()
    },
    "an array": (
        TypeError,
        lambda: nn.Conv2d(1, 2, 3)(np.zeros((1, 1, 5, 5), np.float32)),
        r"conv2d: expected Tensors, got ndarray; make a Tensor with tg.tensor\(...\)",
    ),
    "float64": (
        TypeError,
        lambda: nn.Conv2d(1, 2, 3)(zeros(1, 1, 5, 5).double()),
        "conv2d: expected Tensors of one dtype, got float64, float32, float32",
    ),
}


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()


# --- checkpoints of another architecture -----------------------------------------------------------------------------


def wrapped(model: nn.Module) -> dict[str, Tensor]:
    """The state as torch's DataParallel has it."""
    return {f"module.{key}": value for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("model", "state", "message"),
    [
        (LeNet, lambda: ConvNet().state_dict(), "'fc3.weight' of LeNet is missing from the state"),
        (ConvNet, lambda: LeNet().state_dict(), "'fc3.weight' of the state is unknown to ConvNet"),
        (ResNet, lambda: ResNet(14).state_dict(), "'layer1.2.conv1.weight' of ResNet is missing from the state"),
        (lambda: ResNet(8), lambda: ResNet(14).state_dict(), "'layer1.1.conv1.weight' of the state is unknown to ResN"),
        (
            lambda: LeNet(3),
            lambda: LeNet(1).state_dict(),
            r"'conv1.weight' of shape \(6, 3, 5, 5\), got \(6, 1, 5, 5\)",
        ),
        (LeNet, lambda: LeNet(size=32).state_dict() | {"fc1.weight": zeros(1)}, r"'fc1.weight' of shape .* got \(1,\)"),
        (LeNet, lambda: {"model": LeNet().state_dict()}, "'conv1.weight' of LeNet is missing from the state"),
        (LeNet, lambda: wrapped(LeNet()), "'conv1.weight' of LeNet is missing from the state"),
    ],
)
def test_a_checkpoint_of_another_architecture(model: Any, state: Callable[[], Any], message: str) -> None:
    model = model()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"load_state_dict: .*{message}"):
        model.load_state_dict(state())
    assert all(np.array_equal(value.numpy(), before[key]) for key, value in model.state_dict().items())


# --- empty batches ---------------------------------------------------------------------------------------------------


def check_empty(model: Any, logits: Any, loss: Any, tracked: list[Any]) -> None:
    """After the loss of nothing: NaN, gradients of zeros, and running statistics that nothing has changed."""
    assert tuple(logits.shape) == (0, 10)
    assert math.isnan(loss.item())
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert tuple(p.grad.shape) == tuple(p.shape)
        assert not p.grad.any(), name
    for before, (name, buffer) in zip(tracked, model.named_buffers(), strict=True):
        if "num_batches" not in name:
            assert buffer.tolist() == before, name


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("backend", ["numpy", "cpp"])
@pytest.mark.parametrize(
    ("model", "shape"), [(LeNet, (1, 28, 28)), (ConvNet, (1, 28, 28)), (lambda: ResNet(8), (3, 8, 8))]
)
def test_an_empty_batch_passes_both_ways(needs: Needs, model: Any, shape: Any, backend: str, train: bool) -> None:
    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    with tg.use_backend(backend):
        model = model().train(train)
        tracked, x = [b.tolist() for _, b in model.named_buffers()], tg.zeros(0, *shape, requires_grad=True)
        logits = model(x)
        loss = F.cross_entropy(logits, tg.zeros(0).long())
        loss.backward()
    check_empty(model, logits, loss, tracked)
    assert x.grad is not None
    assert x.grad.shape == (0, *shape)


def test_an_empty_batch_passes_torch_in_the_same_way(needs: Needs) -> None:
    """All the layers of these models, one after the other."""
    torch = needs("torch")
    t = torch.nn
    model = t.Sequential(
        *(t.Conv2d(1, 4, 3), t.BatchNorm2d(4), t.ReLU(), t.MaxPool2d(2), t.Dropout(0.5)),
        *(t.AdaptiveAvgPool2d(1), t.Flatten(), t.Linear(4, 10)),
    )
    tracked = [b.tolist() for b in model.buffers()]
    logits = model(torch.zeros(0, 1, 8, 8))
    loss = torch.nn.functional.cross_entropy(logits, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    check_empty(model, logits, loss, tracked)


@pytest.mark.parametrize("model", [VAE(8, 16, 3), ConvVAE(8, 4, 3)], ids=["dense", "convolutional"])
def test_an_empty_batch_passes_the_vae(model: VAE) -> None:
    x = tg.zeros(0, 1, 8, 8)
    logits, mean, log_var = model(x)
    assert (logits.shape, mean.shape, log_var.shape) == ((0, 1, 8, 8), (0, 3), (0, 3))
    negative_evidence(logits, x, mean, log_var).backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 5), (2, 3, 0)])
def test_batch_norm_of_nothing_is_torchs(needs: Needs, shape: tuple[int, ...]) -> None:
    """The statistics of nothing were once NaN, and stayed so in the running ones for good."""
    torch = needs("torch")
    ours, theirs = nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    for _ in range(2):
        assert ours(zeros(*shape)).shape == tuple(theirs(torch.zeros(shape)).shape)
    assert {key: value.tolist() for key, value in ours.state_dict().items()} == {
        key: value.tolist() for key, value in theirs.state_dict().items()
    }


def test_batch_norm_without_a_bias(needs: Needs) -> None:
    ours, theirs = nn.BatchNorm2d(3, bias=False), needs("torch").nn.BatchNorm2d(3, bias=False)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
