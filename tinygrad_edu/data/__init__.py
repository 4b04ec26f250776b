"""Datasets and batches: what a training loop reads. Also the plugin face of the datasets that come with the project."""

from collections.abc import Callable

from tinygrad_edu.data.augment import random_crop, random_flip
from tinygrad_edu.data.cifar10 import cifar10
from tinygrad_edu.data.dataset import Dataset, load
from tinygrad_edu.data.digits import digits
from tinygrad_edu.data.loader import DataLoader
from tinygrad_edu.data.mnist import fashion_mnist, mnist
from tinygrad_edu.hookspecs import hookimpl

__all__ = ["DataLoader", "Dataset", "cifar10", "digits", "fashion_mnist", "load", "mnist", "random_crop", "random_flip"]


@hookimpl
def register_datasets() -> dict[str, Callable[..., Dataset]]:
    """The sets of small pictures that the chapters on networks learn from."""
    return {"cifar10": cifar10, "digits": digits, "mnist": mnist, "fashion-mnist": fashion_mnist}
