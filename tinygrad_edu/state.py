"""Save and load trees of arrays: weights, optimizer state, whole checkpoints, each in one safetensors file.

safetensors (https://github.com/huggingface/safetensors) is 8 bytes of header length, a JSON header naming each tensor's
dtype, shape and place, then the bytes: nothing in it can run, which is why pickle is not used. Two entries of the
header's `__metadata__` are ours: the tree (dicts, lists, scalars, and which tensor belongs where), and a digest of the
whole file, so that a single flipped bit is an error and never a wrong weight.

A flat dict of arrays keeps its keys, so `save(path, model.state_dict())` is a file that `safetensors.torch.load_file`
reads, and `load` reads one that torch wrote. It reads files of `torch.save`, too, without running what is pickled in
them: see `torch_file.py`.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu import torch_file
from tinygrad_edu.errors import require

TREE, DIGEST = "tinygrad_edu.tree", "tinygrad_edu.sha256"
DTYPES = {"BOOL": "?", "F16": "<f2", "F32": "<f4", "F64": "<f8"} | {
    f"{sign}{8 * size}": f"<{kind}{size}" for sign, kind in (("I", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}  # safetensors' names for NumPy's
UNKNOWN = "0" * 64  # stands in the digest's place while the digest is taken


def save(path: str | os.PathLike[str], tree: Any, *, before_replace: Callable[[], None] | None = None) -> None:
    """Write `tree` to one safetensors file: whole and on the disk, or not at all.

    A tree is an array (np.ndarray, a NumPy scalar, or anything with `.numpy()`), None, bool, int, float, str, or a
    dict, list or tuple of trees; a dict's keys are str or int. `before_replace` is called when the new file is complete
    and the old one still in place. Raises TypeError, naming the place in the tree, for anything else.
    """
    nodes, arrays = flatten(tree)
    metadata = {TREE: json.dumps(nodes), DIGEST: UNKNOWN}
    raw = bytearray(require("safetensors.numpy", "viz").save(arrays, metadata))
    place = _digest_place(raw)
    raw[place : place + len(UNKNOWN)] = _digest(raw, place).encode()
    write_atomically(path, raw, before_replace)


def load(path: str | os.PathLike[str], *, mapped: bool = False) -> Any:
    """The tree that `save` wrote: arrays as np.ndarray of the same dtype and shape, the rest as it was.

    With `mapped` the arrays are read-only views of the file itself, in memory once for all processes that map it;
    `save` puts a new file in its place and leaves them alone.

    A safetensors file of another's is a flat dict of arrays (it has no digest to check). Of a file that `torch.save`
    wrote it is the tree of tensors that `torch_file.read` describes. Raises ValueError, naming the file and what is
    wrong with it, when it is truncated, corrupted or none of these.
    """
    raw = _mapped(path) if mapped else Path(path).read_bytes()
    if raw[:16].startswith(torch_file.STARTS):
        return torch_file.read(bytes(raw), path)
    numpy_format = require("safetensors.numpy", "viz")
    try:
        metadata = _header(raw).get("__metadata__", {})
        ours = TREE in metadata or DIGEST in metadata  # either: one flipped bit cannot hide both
        if ours:
            place = _digest_place(raw)
            if raw[place : place + len(UNKNOWN)] != _digest(raw, place).encode():
                raise ValueError("its contents do not match their sha256 digest")
        # safetensors hands out read-only views and raises KeyError for a dtype that NumPy lacks (BF16)
        if mapped:
            arrays = {key: _view(raw, entry) for key, entry in _header(raw).items() if key != "__metadata__"}
        else:
            arrays = {key: array.copy() for key, array in numpy_format.load(raw).items()}
        return _build(json.loads(metadata[TREE]), arrays) if ours else arrays
    except (ValueError, KeyError, RecursionError, require("safetensors", "viz").SafetensorError) as error:
        what = f"dtype {error} is not one of NumPy's" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{os.fspath(path)}: not a readable state file: {what}; "
            "it was cut short, changed, or is no safetensors file: use another copy of it, or save it again"
        ) from error


def flatten(tree: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The tree as JSON-able nodes, and its arrays by key: the dotted path, `model.0.weight`.

    A node is a scalar as it is, `{"array": key}`, or `{"dict": [[key, node], ...]}`, `{"list": ...}`, `{"tuple": ...}`.
    """
    arrays: dict[str, np.ndarray] = {}

    def visit(node: Any, path: tuple[str, ...]) -> Any:
        where = ".".join(path) or "array"
        if isinstance(node, np.generic):  # what NumPy makes of a 0-d array in a sum: np.float64 is a float, too
            node = np.asarray(node)
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, dict):
            bad = [key for key in node if type(key) not in (str, int)]
            if bad:
                raise TypeError(f"state.save: a dict's keys are str or int, got {bad[0]!r} in {where!r}")
            return {"dict": [[key, visit(value, (*path, str(key)))] for key, value in node.items()]}
        if isinstance(node, (list, tuple)):
            kind = "tuple" if isinstance(node, tuple) else "list"
            return {kind: [visit(value, (*path, str(i))) for i, value in enumerate(node)]}
        node = node.detach() if hasattr(node, "detach") else node  # `.numpy()` of a Tensor with a gradient is an error
        array = node.numpy() if hasattr(node, "numpy") else node
        if not isinstance(array, np.ndarray):
            kinds = "an array, None, bool, int, float, str, dict, list or tuple"
            raise TypeError(f"state.save: expected {kinds} at {where!r}, got {type(node).__name__}")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(
                f"state.save: expected bool, int, uint or float up to 64 bits at {where!r}, got {array.dtype}"
            )
        while where in arrays or where == "__metadata__":  # {"a": {"b": x}, "a.b": y}; and the format's own word
            where += "'"
        arrays[where] = np.asarray(array, order="C")
        return {"array": where}

    return visit(tree, ()), arrays


def write_atomically(
    path: str | os.PathLike[str], data: bytes | bytearray, before_replace: Callable[[], None] | None = None
) -> None:
    """Make `data` the contents of a file at once: written beside, synced, renamed.

    A reader, and whoever comes after a crash, finds the old file or the new one. When it fails the old one is kept.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if before_replace is not None:
            before_replace()
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)  # the rename itself is on the disk only once its folder is
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _mapped(path: str | os.PathLike[str]) -> Any:
    """A file's bytes, read when they are first looked at."""
    with open(path, "rb") as file:
        empty = os.fstat(file.fileno()).st_size == 0  # what `mmap` refuses
        return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _view(raw: Any, entry: dict[str, Any]) -> np.ndarray:
    """The array that an entry of the header describes, where it lies in the file."""
    begin, end = entry["data_offsets"]
    dtype = np.dtype(DTYPES[entry["dtype"]])
    data = 8 + int.from_bytes(raw[:8], "little")
    return np.frombuffer(raw, dtype, (end - begin) // dtype.itemsize, data + begin).reshape(entry["shape"])


def _header(raw: bytes | bytearray) -> dict[str, Any]:
    """The JSON header of a safetensors file."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 + length:
        raise ValueError(f"its header should end at byte {max(8, 8 + length)}, but the file has {len(raw)} bytes")
    header = json.loads(bytes(raw[8 : 8 + length]))
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ValueError("its header is no JSON object")
    return header


def _digest_place(raw: bytes | bytearray) -> int:
    """Where the digest begins. Quotes inside the tree are escaped, so this text is in the header once."""
    name = f'"{DIGEST}":"'.encode()
    place = raw.find(name, 8, 8 + int.from_bytes(raw[:8], "little"))
    if place < 0:
        raise ValueError("its digest is missing")
    return place + len(name)


def _digest(raw: bytes | bytearray, place: int) -> str:
    """sha256 of all bytes, with UNKNOWN in the place of the digest itself."""
    view = memoryview(raw)
    digest = hashlib.sha256(view[:place])
    digest.update(UNKNOWN.encode())
    digest.update(view[place + len(UNKNOWN) :])
    return digest.hexdigest()


def _build(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of `flatten`."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "array":
        return arrays[value]
    if kind == "dict":
        return {key: _build(child, arrays) for key, child in value}
    return (tuple if kind == "tuple" else list)(_build(child, arrays) for child in value)
