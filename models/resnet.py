"""ResNet for CIFAR-10: stages of blocks that add to what they are given, so that gradients pass straight through.

A convolution; then three stages of n blocks with 16, 32 and 64 channels, each stage on half as many rows and columns as
the one before; the mean of each channel; one linear layer: 6 n + 2 layers in all. Where a block's result has another
shape than what it is added to, that is subsampled and filled up with channels of zeros (the paper's option A), which
takes no parameters.

Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015, arXiv:1512.03385,
section 4.2; the initial weights are of their "Delving deep into rectifiers", 2015, arXiv:1502.01852.
"""

from __future__ import annotations

from tinygrad_edu import Tensor, nn
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init


class Block(nn.Module):
    """relu(x + two convolutions of x): (B, c, H, W) -> (B, channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        self.stride, self.new = stride, channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, H, W) -> (B, channels, H / stride, W / stride)."""
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out))
        if self.stride > 1 or self.new:
            before = self.new // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new - before))
        return (out + x).relu()


class ResNet(nn.Module):
    """(B, channels, H, W) -> logits (B, classes); `depth` is 6 n + 2, or ValueError, and 20 by default.

    >>> model = ResNet()
    >>> sum(p.numel() for p in model.parameters())
    269722
    """

    def __init__(self, depth: int = 20, channels: int = 3, classes: int = 10) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"ResNet: expected a depth of 6 n + 2 layers (8, 14, 20, ...), got {depth}")
        self.channels = channels
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        n = depth // 6
        self.layer1 = nn.Sequential(*[Block(16, 16, 1) for _ in range(n)])
        self.layer2 = nn.Sequential(Block(16, 32, 2), *[Block(32, 32, 1) for _ in range(n - 1)])
        self.layer3 = nn.Sequential(Block(32, 64, 2), *[Block(64, 64, 1) for _ in range(n - 1)])
        self.fc = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> logits (B, classes). ValueError for pictures of other channels."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"ResNet: expected pictures of shape (B, {self.channels}, H, W), got {x.shape}")
        x = self.bn1(self.conv1(x)).relu()  # (B, 16, H, W)
        x = self.layer3(self.layer2(self.layer1(x)))  # (B, 64, H / 4, W / 4)
        return self.fc(x.mean((2, 3)))
