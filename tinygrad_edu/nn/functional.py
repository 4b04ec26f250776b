"""The functions behind the layers, under torch's names."""

from tinygrad_edu.ops import cross_entropy, dropout, linear, log_softmax, logsumexp, relu, sigmoid, softmax, tanh

__all__ = ["cross_entropy", "dropout", "linear", "log_softmax", "logsumexp", "relu", "sigmoid", "softmax", "tanh"]
