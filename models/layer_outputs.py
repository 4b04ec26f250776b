"""What a network's layers are given and what they give, for those who want to see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn, use_backend
from tinygrad_edu.models.resnet import Block

SHOWN = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.Linear, Block)  # the layers; a Block as one


@contextmanager
def watched(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Any, Any]]]:
    """A dict that holds, by a layer's name, what it was given last, a tuple, and what it gave.

    Hooks are on the layers meanwhile: no second thread may use them.
    """
    seen: dict[str, tuple[Any, Any]] = {}
    with ExitStack() as stack:
        for name, layer in layers.items():
            handle = layer.register_forward_hook(lambda layer, args, out, name=name: seen.update({name: (args, out)}))
            stack.callback(handle.remove)
        yield seen


@tg.no_grad()
def layer_outputs(model: nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """What every layer of `model` gives for the picture x (C, S, S), by the layer's name: (C, H, W) or (features,).

    The model is put into evaluation mode, and watched: no second thread may use it meanwhile.
    """
    layers: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside_a_block = any(name.startswith(f"{outer}.") for outer, m in layers.items() if isinstance(m, Block))
        if isinstance(module, SHOWN) and not inside_a_block:
            layers[name] = module
    model.eval()
    parameter: Any = next(model.parameters())
    with use_backend(parameter.backend.name), watched(layers) as seen:
        model(tg.tensor(x[None]))
    return {name: out.numpy()[0] for name, (_, out) in seen.items()}
