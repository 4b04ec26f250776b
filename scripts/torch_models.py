"""The vision models once more, in torch: what the projects compare with. The names, and so the states, are the same.

Only imported where torch is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    """See `tinygrad_edu.models.mlp`."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        layers: list[Any] = [nn.Flatten()]
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class LeNet(nn.Module):
    """See `tinygrad_edu.models.lenet`."""

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10) -> None:
        super().__init__()
        paddings = (2 if size < 32 else 0, 2 if size < 12 else 0)
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=paddings[0])
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=paddings[1])
        self.pool2 = nn.MaxPool2d(2)
        side = size
        for padding in paddings:
            side = (side - 4 + 2 * padding) // 2
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: Any) -> Any:
        x = self.pool1(self.conv1(x).relu())
        x = self.pool2(self.conv2(x).relu())
        x = self.fc1(x.flatten(1)).relu()
        return self.fc3(self.fc2(x).relu())


class ConvNet(nn.Module):
    """See `tinygrad_edu.models.convnet`."""

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(64 * ((size - 4) // 2) ** 2, 128)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, x: Any) -> Any:
        x = self.conv1(x).relu()
        x = self.conv2(x).relu()
        x = self.dropout1(self.pool(x))
        x = self.dropout2(self.fc1(x.flatten(1)).relu())
        return self.fc2(x)


class Block(nn.Module):
    """See `tinygrad_edu.models.resnet`."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.new = stride, channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out))
        if self.stride > 1 or self.new:
            before = self.new // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new - before))
        return (out + x).relu()


class ResNet(nn.Module):
    """See `tinygrad_edu.models.resnet`."""

    def __init__(self, depth: int = 20, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        n = depth // 6
        self.layer1 = nn.Sequential(*[Block(16, 16, 1) for _ in range(n)])
        self.layer2 = nn.Sequential(Block(16, 32, 2), *[Block(32, 32, 1) for _ in range(n - 1)])
        self.layer3 = nn.Sequential(Block(32, 64, 2), *[Block(64, 64, 1) for _ in range(n - 1)])
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Any) -> Any:
        x = self.bn1(self.conv1(x)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class VAE(nn.Module):
    """See `tinygrad_edu.models.vae`."""

    def __init__(self, size: int = 28, hidden: int = 400, code: int = 20) -> None:
        super().__init__()
        self.size = size
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size * size, hidden), nn.ReLU())
        self.mean, self.log_var = nn.Linear(hidden, code), nn.Linear(hidden, code)
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, size * size))

    def decode(self, z: Any) -> Any:
        return self.decoder(z).reshape(-1, 1, self.size, self.size)

    def forward(self, x: Any) -> Any:
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        return self.decode(z), mean, log_var


class ConvVAE(VAE):
    """See `tinygrad_edu.models.vae`."""

    def __init__(self, size: int = 28, channels: int = 32, code: int = 20) -> None:
        nn.Module.__init__(self)
        self.size = size
        few, many, side = channels, 2 * channels, size // 4
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, few, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(few, many, 3, stride=2, padding=1), nn.ReLU()),
            nn.Flatten(),
        )
        self.mean, self.log_var = nn.Linear(many * side * side, code), nn.Linear(many * side * side, code)
        self.from_code = nn.Linear(code, many * side * side)
        self.decoder = nn.Sequential(
            *(nn.ConvTranspose2d(many, few, 3, stride=2, padding=1, output_padding=1), nn.ReLU()),
            nn.ConvTranspose2d(few, 1, 3, stride=2, padding=1, output_padding=1),
        )

    def decode(self, z: Any) -> Any:
        side = self.size // 4
        return self.decoder(self.from_code(z).relu().reshape(len(z), -1, side, side))


class CharRNN(nn.Module):
    """See `tinygrad_edu.models.char_rnn`; here the state is the recurrent layer's alone."""

    def __init__(self, vocabulary: int, width: int = 512, cell: str = "gru", dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.recurrent = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](width, width, batch_first=True)
        self.query = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Any, last: Any = None) -> tuple[Any, Any]:
        h, last = self.recurrent(self.dropout(self.tokens(tokens)), last)
        seen = F.scaled_dot_product_attention(self.query(h), h, h, is_causal=True)
        return self.head(self.dropout(h + self.out(seen))), last


class RNNClassifier(nn.Module):
    """See `tinygrad_edu.models.rnn_classifier`."""

    def __init__(self, vocabulary: int, classes: int, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary, width)
        self.recurrent = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.attend = nn.Linear(2 * hidden, 2 * hidden)
        self.score = nn.Linear(2 * hidden, 1, bias=False)
        self.out = nn.Linear(2 * hidden, classes)

    def forward(self, characters: Any, mask: Any) -> Any:
        x, (T, lengths) = self.characters(characters), (mask.shape[1], mask.sum(1))
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=T)
        scores = self.score(self.attend(states).tanh())[..., 0]
        attention = scores.masked_fill(~mask, -torch.inf).softmax(1)
        return self.out((attention[..., None] * states).sum(1))


def negative_evidence(logits: Any, x: Any, mean: Any, log_var: Any) -> Any:
    """See `tinygrad_edu.models.vae`."""
    pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return pixels + 0.5 * (mean * mean + log_var.exp() - 1.0 - log_var).sum(1).mean()


def load(model: Any, state: Mapping[str, np.ndarray]) -> Any:
    """Copy the arrays of a `state_dict` of ours into `model`, which has the same keys; returns the model."""
    model.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in state.items()})
    return model
