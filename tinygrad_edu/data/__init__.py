"""Datasets, tables, batches: what a training loop reads. Also the plugin face of the datasets that come with us."""

from collections.abc import Callable

from tinygrad_edu.data.augment import random_crop, random_flip
from tinygrad_edu.data.cifar10 import cifar10
from tinygrad_edu.data.csv_file import read_csv
from tinygrad_edu.data.dataset import Dataset, load
from tinygrad_edu.data.digits import digits
from tinygrad_edu.data.labelled_text import (
    LabelledText,
    labelled_csv,
    labelled_folder,
    labelled_text,
    padded,
    who_did_it,
)
from tinygrad_edu.data.loader import DataLoader
from tinygrad_edu.data.mnist import fashion_mnist, mnist
from tinygrad_edu.data.table import Table
from tinygrad_edu.data.tables import embedded, housing, iris
from tinygrad_edu.data.text import (
    Streams,
    Vocabulary,
    Windows,
    alice,
    python_docs,
    shakespeare,
    text_dataset,
    text_file,
)
from tinygrad_edu.hookspecs import hookimpl

__all__ = [
    "DataLoader", "Dataset", "LabelledText", "Streams", "Table", "Vocabulary", "Windows", "alice", "cifar10", "digits",
    "embedded", "fashion_mnist", "housing", "iris", "labelled_csv", "labelled_folder", "labelled_text", "load", "mnist",
    "padded", "python_docs", "random_crop", "random_flip", "read_csv", "shakespeare", "text_dataset", "text_file",
    "who_did_it",
]  # fmt: skip


@hookimpl
def register_datasets() -> dict[str, Callable[..., Dataset]]:
    """Small pictures, and texts."""
    pictures = {"cifar10": cifar10, "digits": digits, "mnist": mnist, "fashion-mnist": fashion_mnist}
    texts = {"alice": alice, "python-docs": python_docs, "shakespeare": shakespeare, "who-did-it": who_did_it}
    return {**pictures, **texts}
