"""ConvNet: the network of PyTorch's own `mnist` example; two convolutions, one pool, dropout, two linear layers.

Source: https://github.com/pytorch/examples/tree/main/mnist, whose `state_dict` loads as it is. Its last step, the
logarithm of softmax, is left to the loss here: `cross_entropy` of logits is `nll_loss` of that.
"""

from __future__ import annotations

from tinygrad_edu import Tensor, nn
from tinygrad_edu.models.pictures import check_pictures


class ConvNet(nn.Module):
    """(B, channels, S, S) -> logits (B, classes); S is `size`, 6 pixels at least, or ValueError.

    >>> ConvNet()(__import__("tinygrad_edu").zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10) -> None:
        if size < 6:
            raise ValueError(f"ConvNet: expected pictures of 6 x 6 pixels or more, got size={size}")
        self.channels, self.size = channels, size
        self.conv1 = nn.Conv2d(channels, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(64 * ((size - 4) // 2) ** 2, 128)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) -> logits (B, classes). ValueError for pictures of another kind or size."""
        check_pictures("ConvNet", x, self.channels, self.size)
        x = self.conv1(x).relu()  # (B, 32, S - 2, S - 2)
        x = self.conv2(x).relu()  # (B, 64, S - 4, S - 4)
        x = self.dropout1(self.pool(x))
        x = self.dropout2(self.fc1(x.flatten(1)).relu())
        return self.fc2(x)
