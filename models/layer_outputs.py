"""What every layer of a network of pictures gives, for those who want to see it."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn, use_backend
from tinygrad_edu.models.resnet import Block

SHOWN = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.Linear, Block)  # the layers; a Block as one


@tg.no_grad()
def layer_outputs(model: nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """What every layer of `model` gives for the picture x (C, S, S), by the layer's name: (C, H, W) or (features,).

    The model is put into evaluation mode, and hooks are on it meanwhile: no second thread may use it.
    """
    found: dict[str, np.ndarray] = {}
    layers: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside_a_block = any(name.startswith(f"{outer}.") for outer, m in layers.items() if isinstance(m, Block))
        if isinstance(module, SHOWN) and not inside_a_block:
            layers[name] = module
    handles = [
        module.register_forward_hook(lambda module, args, out, name=name: found.update({name: out.numpy()[0]}))
        for name, module in layers.items()
    ]
    model.eval()
    parameter: Any = next(model.parameters())
    try:
        with use_backend(parameter.backend.name):
            model(tg.tensor(x[None]))
    finally:
        for handle in handles:
            handle.remove()
    return found
