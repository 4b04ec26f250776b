"""How much memory a training step of a 50-layer network takes at its peak, with `tg.checkpoint` and without.

tracemalloc sees every array that NumPy makes. The network is cut into segments of 7 layers, the root of 50 rounded; the
peak is counted from before the forward pass to after the backward pass, weights and data not included, gradients of the
weights included. Both must give the same gradients to the bit. Wanted: at most half. Run as a script, this prints the
figures; `--width`, `--batch` and `--segment` change the network.
"""

from __future__ import annotations

import argparse
import tracemalloc
from typing import Any

import tinygrad_edu as tg
from tinygrad_edu import nn

LAYERS, SEGMENT = 50, 7


def network(width: int, layers: int = LAYERS) -> list[Any]:
    """The layers, each linear and tanh: (batch, width) -> (batch, width)."""
    tg.manual_seed(0)
    return [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(layers)]


def step(layers: list[Any], x: tg.Tensor, segment: int | None) -> tg.Tensor:
    """Forward and backward; the loss. With `segment`, so many layers go into each checkpoint."""
    for start in range(0, len(layers), segment or len(layers)):
        part = nn.Sequential(*layers[start : start + (segment or len(layers))])
        x = tg.checkpoint(part, x) if segment else part(x)
    loss = (x * x).mean()
    loss.backward()
    return loss


def measure(layers: list[Any], x: tg.Tensor, segment: int | None) -> tuple[int, list[bytes]]:
    """The peak in bytes, and the gradients."""
    for layer in layers:
        layer.zero_grad()
    tracemalloc.start()
    step(layers, x, segment)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, [p.grad.numpy().tobytes() for layer in layers for p in layer.parameters() if p.grad is not None]


def compare(width: int, batch: int, segment: int = SEGMENT) -> tuple[int, int]:
    """The peaks in bytes without and with checkpoints. ValueError if the gradients differ."""
    layers, x = network(width), tg.randn(batch, width)
    for way in (None, segment):
        step(layers, x, way)  # what is made once: plans, caches
    without, expected = measure(layers, x, None)
    peak, found = measure(layers, x, segment)
    if found != expected or len(found) != 2 * LAYERS:
        raise ValueError("checkpoint: the gradients differ")
    return without, peak


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description="Peak memory of a 50-layer network's step, with checkpoint and without."
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--segment", type=int, default=SEGMENT)
    args = parser.parse_args()
    without, peak = compare(args.width, args.batch, args.segment)
    print(f"{LAYERS} layers of width {args.width}, batch {args.batch}, {args.segment} layers to a checkpoint:")
    print(f"without {without / 1e6:.1f} MB, with {peak / 1e6:.1f} MB: {peak / without:.2f} x (wanted: at most 0.50 x)")
    print("the gradients are the same to the bit")


if __name__ == "__main__":
    main()
