"""CIFAR-10: 32 × 32 colour photographs of ten kinds of things, in batches of 10000.

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; its "binary version", in which a
picture is a byte for the label, then 1024 red, 1024 green and 1024 blue ones, row by row.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib

import numpy as np

from tinygrad_edu.data.dataset import Dataset
from tinygrad_edu.data.fetch import damaged, fetch, in_folder

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE, MIRRORS = "cifar-10-binary.tar.gz", ("https://www.cs.toronto.edu/~kriz/",)
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
SHA256 = {  # of the files in it
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


def cifar10(batches: int = 1) -> Dataset:
    """`batches` times 10000 photographs to learn from, of 50000, and 10000 to be judged by (170 MB, downloaded once).

    x `(N, 3, 32, 32)` float32 in 0..1, y `(N,)` int64 in 0..9. The first batch alone is the default: a network learns
    from it in minutes. `$TINYGRAD_EDU_DATA/cifar10/data_batch_1.bin.gz` and so on are taken where they are; else the
    archive is downloaded. ValueError for a number of batches that there is not, or a file with other contents;
    ConnectionError: see `fetch`.
    """
    if batches not in range(1, 6):
        raise ValueError(f"cifar10: expected 1 to 5 batches, got {batches!r}")
    parts = [_pictures(f"data_batch_{i}") for i in range(1, batches + 1)]
    train = (np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))
    return Dataset("cifar10", train, _pictures("test_batch"), CLASSES, "CIFAR-10 (Krizhevsky, Nair, Hinton, 2009)")


def _pictures(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A batch's photographs (N, 3, 32, 32) and labels (N,)."""
    rows = np.frombuffer(_contents(name), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255), rows[:, 0].astype(np.int64)


def _contents(name: str) -> bytes:
    """The bytes of one of the archive's files. ValueError if they are not the published ones."""
    local = in_folder("cifar10", f"{name}.bin.gz")
    path = local or fetch("cifar10", ARCHIVE, ARCHIVE_SHA256, MIRRORS)
    try:
        if local:
            raw = gzip.decompress(path.read_bytes())
        else:
            with tarfile.open(path) as archive:
                file = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
                raw = file.read() if file else b""
        found = hashlib.sha256(raw).hexdigest()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        found = f"no gzip file: {error}"
    if found != SHA256[name]:
        raise damaged(path, f"{name}.bin with sha256 {SHA256[name]}", found)
    return raw
