"""Datasets and batches: what a training loop reads. Also the plugin face of the datasets that come with the project."""

from collections.abc import Callable

from tinygrad_edu.data.augment import random_crop, random_flip
from tinygrad_edu.data.cifar10 import cifar10
from tinygrad_edu.data.dataset import Dataset, load
from tinygrad_edu.data.digits import digits
from tinygrad_edu.data.loader import DataLoader
from tinygrad_edu.data.mnist import fashion_mnist, mnist
from tinygrad_edu.data.text import Vocabulary, Windows, alice, python_docs, shakespeare, text_dataset, text_file
from tinygrad_edu.hookspecs import hookimpl

__all__ = [
    "DataLoader", "Dataset", "Vocabulary", "Windows", "alice", "cifar10", "digits", "fashion_mnist", "load", "mnist",
    "python_docs", "random_crop", "random_flip", "shakespeare", "text_dataset", "text_file",
]  # fmt: skip


@hookimpl
def register_datasets() -> dict[str, Callable[..., Dataset]]:
    """Small pictures, and texts."""
    pictures = {"cifar10": cifar10, "digits": digits, "mnist": mnist, "fashion-mnist": fashion_mnist}
    return {**pictures, "alice": alice, "python-docs": python_docs, "shakespeare": shakespeare}
