"""The neural models, one file a model. This page is the folder's plugin face.

`by_hand/` holds the same models in plain NumPy with backward passes derived by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tinygrad_edu.hookspecs import hookimpl

if TYPE_CHECKING:
    from tinygrad_edu.nn import Module


def _mlp(*sizes: int) -> Module:
    """Multi-layer perceptron with ReLU between its layers, e.g. `mlp(784, 256, 128, 10)`."""
    from tinygrad_edu.models.mlp import MLP

    return MLP(*sizes)


def _gpt(vocabulary: int = 65, context: int = 64, layers: int = 4, heads: int = 4, width: int = 128) -> Module:
    """GPT, by default of nanoGPT's sizes for CPUs, e.g. `gpt(vocabulary=65)` for a text's characters."""
    from tinygrad_edu.models.gpt import GPT

    return GPT(vocabulary, context, layers, heads, width)


def _char_rnn(vocabulary: int = 65, width: int = 256, cell: str = "gru", dropout: float = 0.0) -> Module:
    """Recurrent network with attention over its own past, for a text's characters, e.g. `char_rnn(65, cell="lstm")`."""
    from tinygrad_edu.models.char_rnn import CharRNN

    return CharRNN(vocabulary, width, cell, dropout)


def _lenet(channels: int = 1, size: int = 28, classes: int = 10) -> Module:
    """LeNet for pictures of `size` x `size` pixels, e.g. `lenet(3, 32)` for CIFAR-10."""
    from tinygrad_edu.models.lenet import LeNet

    return LeNet(channels, size, classes)


def _convnet(channels: int = 1, size: int = 28, classes: int = 10) -> Module:
    """The network of PyTorch's `mnist` example, e.g. `convnet()` for MNIST."""
    from tinygrad_edu.models.convnet import ConvNet

    return ConvNet(channels, size, classes)


def _resnet(depth: int = 20, channels: int = 3, classes: int = 10) -> Module:
    """ResNet for pictures as small as CIFAR-10's, e.g. `resnet(56)`."""
    from tinygrad_edu.models.resnet import ResNet

    return ResNet(depth, channels, classes)


def _vae(size: int = 28, hidden: int = 400, code: int = 20) -> Module:
    """Variational autoencoder of linear layers for grey pictures, e.g. `vae(code=2)`."""
    from tinygrad_edu.models.vae import VAE

    return VAE(size, hidden, code)


def _conv_vae(size: int = 28, channels: int = 32, code: int = 20) -> Module:
    """Variational autoencoder with convolutions, for grey pictures, e.g. `conv_vae(code=2)`."""
    from tinygrad_edu.models.vae import ConvVAE

    return ConvVAE(size, channels, code)


def _rnn_classifier(vocabulary: int = 26, classes: int = 2, width: int = 32, hidden: int = 64) -> Module:
    """Bidirectional GRU with attention over a text's characters, e.g. `rnn_classifier(vocabulary=65, classes=4)`."""
    from tinygrad_edu.models.rnn_classifier import RNNClassifier

    return RNNClassifier(vocabulary, classes, width, hidden)


@hookimpl
def register_models() -> dict[str, Callable[..., Module]]:
    """The models that come with the project."""
    return {
        "char-rnn": _char_rnn,
        "conv-vae": _conv_vae,
        "convnet": _convnet,
        "gpt": _gpt,
        "lenet": _lenet,
        "mlp": _mlp,
        "resnet": _resnet,
        "rnn-classifier": _rnn_classifier,
        "vae": _vae,
    }
