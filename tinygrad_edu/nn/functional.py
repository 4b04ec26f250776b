"""The functions behind the layers, under torch's names: `import tinygrad_edu.nn.functional as F`."""

from tinygrad_edu import log_softmax, logsumexp, relu, sigmoid, softmax, tanh
from tinygrad_edu.nn.activations import (
    celu,
    dropout,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    relu6,
    selu,
    silu,
    softplus,
    softsign,
)
from tinygrad_edu.nn.attention import scaled_dot_product_attention
from tinygrad_edu.nn.batch_norm import batch_norm
from tinygrad_edu.nn.class_losses import cross_entropy, nll_loss
from tinygrad_edu.nn.convolution import conv1d, conv2d, conv_transpose2d
from tinygrad_edu.nn.embedding import embedding
from tinygrad_edu.nn.linear import linear
from tinygrad_edu.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from tinygrad_edu.nn.normalization import group_norm, layer_norm, rms_norm
from tinygrad_edu.nn.padding import pad
from tinygrad_edu.nn.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from tinygrad_edu.nn.recurrent import gru, lstm, rnn
from tinygrad_edu.nn.vectors import cosine_similarity, normalize, one_hot

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "group_norm",
    "gru",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "lstm",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "relu6",
    "rms_norm",
    "rnn",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]
