"""Layers and models, under torch's names, with torch's initialisations and `state_dict` keys."""

# fmt: off
# ruff: noqa: I001
from tinygrad_edu.nn import functional, init, utils
from tinygrad_edu.nn.containers import ModuleDict, ModuleList, Sequential
from tinygrad_edu.nn.embedding import Embedding
from tinygrad_edu.nn.function_layers import (
    CELU, ELU, GELU, GLU, SELU, BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Hardsigmoid, Hardswish, Hardtanh,
    HuberLoss, Identity, KLDivLoss, L1Loss, LeakyReLU, LogSigmoid, LogSoftmax, Mish, MSELoss, NLLLoss, ReLU6, SiLU,
    SmoothL1Loss, Softplus, Softsign,
)
from tinygrad_edu.nn.layers import Dropout, Flatten, Linear, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.nn.normalization import GroupNorm, LayerNorm, RMSNorm
from tinygrad_edu.nn.recurrent_layers import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from tinygrad_edu.nn.transformer_layers import (
    LearnedPositions, MultiheadAttention, SinusoidalPositions, TransformerEncoderLayer,
)
from tinygrad_edu.nn.vision_layers import (
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, ConvTranspose2d, MaxPool2d,
)

__all__ = [  # noqa: RUF022
    "AdaptiveAvgPool2d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "CELU", "Conv1d",
    "Conv2d", "ConvTranspose2d", "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "Flatten", "GELU", "GLU", "GRU",
    "GRUCell", "GroupNorm", "Hardsigmoid", "Hardswish", "Hardtanh", "HuberLoss", "Identity", "KLDivLoss", "L1Loss",
    "LSTM", "LSTMCell", "LayerNorm", "LeakyReLU", "LearnedPositions", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss",
    "MaxPool2d", "Mish", "Module", "ModuleDict", "ModuleList", "MultiheadAttention", "NLLLoss", "Parameter", "RMSNorm",
    "RNN", "RNNCell", "ReLU", "ReLU6", "SELU", "Sequential", "SiLU", "Sigmoid", "SinusoidalPositions", "SmoothL1Loss",
    "Softmax", "Softplus", "Softsign", "Tanh", "TransformerEncoderLayer", "functional", "init", "utils",
]
