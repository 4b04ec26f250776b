"""A project of one's own: gradient descent finds a line's slope."""

from dataclasses import dataclass

import tinygrad_edu as tg
from tinygrad_edu import data, registry


@dataclass
class Args:
    """Fit a line to points."""

    dataset: str = "line"
    """Any registered dataset with x and y of one column."""
    steps: int = 50
    """Steps of gradient descent."""


def main(args, run):
    x, y = map(tg.tensor, data.load(args.dataset).train)
    slope = tg.zeros(1, 1, requires_grad=True)
    for _ in range(args.steps):
        loss = ((x @ slope - y) ** 2).mean()
        (step,) = tg.grad(loss, [slope])
        slope = (slope - step).detach().requires_grad_()
    products = getattr(registry.backend(run.backend), "products", 0)
    print(f"slope {slope.item():.2f} on {slope.backend.name}, {products} matrix products")
