"""Convolutions, pooling and batch normalisation beside torch: `python -m tinygrad_edu.bench.vision [NAME ...]`.

Forward and backward, our functions on the cpp backend and torch's on the same numbers, float32, 2 threads each,
measured in turn. The convolutions are those of the `cnn` workload, of a ResNet-20 for CIFAR and of DQN's network for
Atari; a network's first one gets no gradient for its image there, and is measured with one as well. Wanted for them is
1.5 times torch's speed in the geometric mean, a ratio of at most 0.67, and none above 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import geometric_mean
from typing import Any

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.bench.sequences import Steps, numbers, sides
from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.errors import unknown

WANTED = 1 / 1.5
Shape = tuple[int, ...]


def conv(shape: Shape, out: int, kernel: int, stride: int = 1, padding: int = 0, image: bool = True) -> Steps:
    """A convolution of images of `shape` to `out` channels; `image`: whether these want a gradient."""
    n, c, h, w = shape
    x, rows, columns = numbers(*shape), *[(m + 2 * padding - kernel) // stride + 1 for m in (h, w)]

    def make(t: Any) -> tuple[Callable[..., Any], list[Any]]:
        f = (nn if t is tg else t.nn).functional.conv2d
        weight, bias = [t.from_numpy(numbers(*s)).requires_grad_() for s in ((out, c, kernel, kernel), (out,))]
        given = t.from_numpy(x)
        return lambda x=given: f(x, weight, bias, stride, padding), [weight, bias]

    return sides(make, [x] if image else [], (n, out, rows, columns))


def pool(name: str, shape: Shape, size: int, stride: int, padding: int = 0) -> Steps:
    """Pooling of images of `shape`."""
    rows, columns = [(m + 2 * padding - size) // stride + 1 for m in shape[2:]]

    def make(t: Any) -> tuple[Callable[..., Any], list[Any]]:
        f = getattr((nn if t is tg else t.nn).functional, name)
        return lambda x: f(x, size, stride, padding), []

    return sides(make, [numbers(*shape)], (*shape[:2], rows, columns))


def norm(kind: str, shape: Shape) -> Steps:
    """Batch normalisation in training, with its running statistics."""

    def make(t: Any) -> tuple[Callable[..., Any], list[Any]]:
        layer = getattr(nn if t is tg else t.nn, kind)(shape[1])
        return layer, list(layer.parameters())

    return sides(make, [numbers(*shape)], shape)


CASES: dict[str, Callable[[], Steps]] = {
    "conv_cnn_1": lambda: conv((64, 1, 28, 28), 16, 3, image=False),
    "conv_cnn_2": lambda: conv((64, 16, 13, 13), 32, 3),
    "conv_resnet_3_16": lambda: conv((128, 3, 32, 32), 16, 3, padding=1, image=False),
    "conv_resnet_16": lambda: conv((128, 16, 32, 32), 16, 3, padding=1),
    "conv_resnet_16_32": lambda: conv((128, 16, 32, 32), 32, 3, 2, 1),
    "conv_resnet_32": lambda: conv((128, 32, 16, 16), 32, 3, padding=1),
    "conv_resnet_32_64": lambda: conv((128, 32, 16, 16), 64, 3, 2, 1),
    "conv_resnet_64": lambda: conv((128, 64, 8, 8), 64, 3, padding=1),
    "conv_dqn_1": lambda: conv((32, 4, 84, 84), 32, 8, 4, image=False),
    "conv_dqn_2": lambda: conv((32, 32, 20, 20), 64, 4, 2),
    "conv_dqn_3": lambda: conv((32, 64, 9, 9), 64, 3),
    "conv_cnn_1_image": lambda: conv((64, 1, 28, 28), 16, 3),
    "conv_dqn_1_image": lambda: conv((32, 4, 84, 84), 32, 8, 4),
    "max_pool_cnn_1": lambda: pool("max_pool2d", (64, 16, 26, 26), 2, 2),
    "max_pool_cnn_2": lambda: pool("max_pool2d", (64, 32, 11, 11), 2, 2),
    "max_pool_3_2": lambda: pool("max_pool2d", (16, 64, 56, 56), 3, 2, 1),
    "avg_pool_resnet": lambda: pool("avg_pool2d", (128, 64, 8, 8), 8, 8),
    "batch_norm_16": lambda: norm("BatchNorm2d", (128, 16, 32, 32)),
    "batch_norm_64": lambda: norm("BatchNorm2d", (128, 64, 8, 8)),
    "batch_norm_1d": lambda: norm("BatchNorm1d", (128, 256)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print microseconds and the ratio of each case, and the convolutions' mean ratio; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case and candidate (default: 1)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)} (default: all)")
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in CASES:
            parser.error(unknown("case", name, CASES))
    print("forward + backward, microseconds, medians, measured in turn, 2 threads each")
    print(f"{'':22s}{'cpp':>10s}{'torch':>10s}{'ratio':>8s}")
    ratios: dict[str, float] = {}
    for name in args.names or CASES:
        found = alternate(CASES[name](), seconds=args.seconds)
        ours, theirs = found["ours"], found["torch"]
        ratios[name] = ours / theirs
        print(f"{name:22s}{1e6 * ours:10.0f}{1e6 * theirs:10.0f}{ratios[name]:8.2f}", flush=True)
    convolutions = [ratio for name, ratio in ratios.items() if name.startswith("conv")]
    if convolutions:
        print(f"geometric mean of the convolutions: {geometric_mean(convolutions):.2f} (wanted: at most {WANTED:.2f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
