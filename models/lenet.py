"""LeNet: the network that read the digits on bank cheques; two convolutions with pooling, three linear layers.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998,
section II.B (LeNet-5). As usual today: ReLU in place of the scaled tanh, max-pooling in place of trained averages,
every map of the second convolution sees all of the first, and softmax with cross entropy in place of radial basis
functions.

C channels of the pictures, S their side in pixels.
"""

from __future__ import annotations

from tinygrad_edu import Tensor, nn
from tinygrad_edu.models.pictures import check_pictures


class LeNet(nn.Module):
    """(B, C, S, S) -> logits (B, classes).

    The paper's network reads 32 × 32 pixels, of which a digit fills the middle; smaller pictures get two rows of zeros
    on each side instead. Of a small one, below 12 pixels, the second convolution would leave nothing: there it is given
    zeros, too. ValueError for pictures of less than 4 pixels.

    >>> LeNet()(__import__("tinygrad_edu").zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10) -> None:
        if size < 4:
            raise ValueError(f"LeNet: expected pictures of 4 x 4 pixels or more, got size={size}")
        self.channels, self.size = channels, size
        paddings = (2 if size < 32 else 0, 2 if size < 12 else 0)
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=paddings[0])
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=paddings[1])
        self.pool2 = nn.MaxPool2d(2)
        side = size  # of the last feature maps: a convolution takes 4 pixels unless padded, a pool halves
        for padding in paddings:
            side = (side - 4 + 2 * padding) // 2
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) -> logits (B, classes). ValueError for pictures of another kind or size."""
        check_pictures("LeNet", x, self.channels, self.size)
        x = self.pool1(self.conv1(x).relu())  # (B, 6, S/2, S/2)
        x = self.pool2(self.conv2(x).relu())  # (B, 16, side, side)
        x = self.fc1(x.flatten(1)).relu()
        return self.fc3(self.fc2(x).relu())
