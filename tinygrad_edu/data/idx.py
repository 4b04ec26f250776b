"""The IDX format, in which MNIST and its kin are kept: two zero bytes, a type, a rank, the sizes, the numbers.

Source: Y. LeCun, http://yann.lecun.com/exdb/mnist/, "FILE FORMATS". Everything is big-endian.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from tinygrad_edu.data.fetch import damaged

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """The array in a gzipped IDX file; its dtype and shape are the file's.

    Raises ValueError, naming the file, when it is cut short, damaged, or no IDX file.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged(path, "a gzip file", str(error)) from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in DTYPES or raw[3] > 64:  # NumPy has 64 dimensions
        types = ", ".join(f"{code:02x}" for code in DTYPES)
        raise damaged(path, f"to begin with 00 00, a type ({types}) and a rank", raw[:4].hex(" ") or "nothing")
    dtype, rank = np.dtype(DTYPES[raw[2]]), raw[3]
    start = 4 + 4 * rank
    if len(raw) < start:
        raise damaged(path, f"{start} bytes of header for rank {rank}", f"{len(raw)} bytes")
    shape = tuple(np.frombuffer(raw, ">u4", rank, offset=4).tolist())
    size = start + math.prod(shape) * dtype.itemsize
    if len(raw) != size:
        raise damaged(path, f"{size} bytes for {dtype.name} of shape {shape}", f"{len(raw)} bytes")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def read_pictures(images: Path, labels: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures x `(N, 1, H, W)` float32 in 0..1 and their labels y `(N,)` int64, of two IDX files that fit together.

    Raises ValueError, naming the file at fault, when either is damaged, their counts differ, or a label is not in
    `0..classes - 1`.
    """
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or x.dtype != np.uint8:
        raise damaged(images, "uint8 of shape (N, H, W), magic 2051", f"{x.dtype} of shape {x.shape}")
    if y.ndim != 1 or y.dtype != np.uint8:
        raise damaged(labels, "uint8 of shape (N,), magic 2049", f"{y.dtype} of shape {y.shape}")
    if len(x) != len(y):
        raise damaged(labels, f"{len(x)} labels, as many as there are pictures in {images.name}", f"{len(y)}")
    if len(y) and y.max() >= classes:
        raise damaged(labels, f"labels in 0..{classes - 1}", f"{y.max()} at place {y.argmax()}")
    return x[:, None].astype(np.float32) / np.float32(255), y.astype(np.int64)
