"""Layers and models, under torch's names, with torch's initialisations and `state_dict` keys."""

# fmt: off
# ruff: noqa: I001
from tinygrad_edu.nn import functional, init, utils
from tinygrad_edu.nn.function_layers import (
    CELU, ELU, GELU, GLU, SELU, BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Hardsigmoid, Hardswish, Hardtanh,
    HuberLoss, Identity, KLDivLoss, L1Loss, LeakyReLU, LogSigmoid, LogSoftmax, Mish, MSELoss, NLLLoss, ReLU6, SiLU,
    SmoothL1Loss, Softplus, Softsign,
)
from tinygrad_edu.nn.layers import Dropout, Flatten, Linear, ReLU, Sequential, Sigmoid, Softmax, Tanh
from tinygrad_edu.nn.module import Module, Parameter

__all__ = [  # noqa: RUF022
    "BCELoss", "BCEWithLogitsLoss", "CELU", "CrossEntropyLoss", "Dropout", "ELU", "Flatten", "GELU", "GLU",
    "Hardsigmoid", "Hardswish", "Hardtanh", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LeakyReLU", "Linear",
    "LogSigmoid", "LogSoftmax", "MSELoss", "Mish", "Module", "NLLLoss", "Parameter", "ReLU", "ReLU6", "SELU",
    "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Softsign", "Tanh", "functional", "init",
    "utils",
]
