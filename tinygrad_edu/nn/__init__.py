"""Layers and models, under torch's names, with torch's initialisations and `state_dict` keys."""

from tinygrad_edu.nn import functional, init, utils
from tinygrad_edu.nn.layers import Dropout, Flatten, Linear, ReLU, Sequential, Sigmoid, Softmax, Tanh
from tinygrad_edu.nn.module import Module, Parameter

__all__ = [
    "Dropout",
    "Flatten",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
    "utils",
]
