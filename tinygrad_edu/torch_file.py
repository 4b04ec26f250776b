"""Read what `torch.save` wrote, without torch, and without the file having a say in what runs.

Since torch 1.6 such a file is a zip archive: the bytes of every storage, `data/KEY`, and `data.pkl`, a pickle of the
tree that the tensors stand in. A pickle is a program, and Python's own reader calls whatever function it names: who
wrote the file then owns the machine. Here `pickletools` takes the program apart, and of its instructions those are
carried out that build dicts, lists, tuples, strings and numbers. Nothing is imported. A program may name the functions
and dtypes of the table `NAMES`, under which there are ours; any other name is an error.

Sources: Python's `pickletools.py`, which explains every instruction; torch's `torch/_utils.py` and `serialization.py`.
"""

from __future__ import annotations

import io
import os
import pickletools
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch < 1.6 begins a file: a number of its own, pickled
STARTS = (b"PK\x03\x04", LEGACY)

ADVICE = "read are tensors, dicts, lists, tuples, strings and numbers: save model.state_dict() instead of the model"

# What nonsense in an archive or a program ends in, besides a ValueError: a record, a memo or an operand that is not
# there, or of the wrong type, or too large; encryption.
_ERRORS: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError)
_ERRORS += (EOFError, struct.error, zipfile.BadZipFile)


@dataclass(frozen=True)
class _Storage:
    """The memory that tensors are views of, (bytes,) uint8, and its dtype: a void one if every tensor tells its own."""

    data: np.ndarray
    dtype: np.dtype


def _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, metadata=None):
    return _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, storage.dtype, metadata)


def _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    """A view of the storage. ValueError, before NumPy could read there, if an element lies outside of it.

    NumPy checks this too, but in 64 bits, which crafted strides make overflow; Python's numbers do not.
    """
    typed = isinstance(storage, _Storage) and isinstance(dtype, np.dtype) and dtype.kind != "V"
    if not typed or not all(isinstance(n, int) for n in (offset, *size, *stride)):
        raise TypeError("not what a tensor is made of")
    if metadata:
        raise ValueError("a tensor is a view still to be conjugated or negated: save x.resolve_conj().resolve_neg()")
    last = offset + sum([(n - 1) * s for n, s in zip(size, stride, strict=True)])
    held = storage.data.nbytes // dtype.itemsize
    if min((offset, *size, *stride)) < 0 or (last >= held and 0 not in size):
        raise ValueError(f"a tensor of shape {size}, strides {stride} takes elements {offset} to {last} of {held}")
    return np.ndarray(size, dtype, storage.data, offset * dtype.itemsize, [s * dtype.itemsize for s in stride])


_CODES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "ComplexFloat": "<c8", "ComplexDouble": "<c16", "Bool": "?"}
_CODES |= {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8"}
NAMES: dict[str, Any] = {
    "collections OrderedDict": lambda: {},
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils _rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils _rebuild_parameter": lambda data, requires_grad, backward_hooks: data,
    **{f"torch {name}Storage": np.dtype(code) for name, code in _CODES.items()},
    "torch.storage UntypedStorage": np.dtype("V1"),  # of bytes; the dtypes that came last have no class of their own
    **{f"torch uint{bits}": np.dtype(f"<u{bits // 8}") for bits in (16, 32, 64)},
}


def read(raw: bytes, path: str | os.PathLike[str]) -> Any:
    """The tree in `raw`, the bytes of a file that `torch.save` wrote; `path` is what errors call it.

    Tensors and Parameters are np.ndarray of the same dtype, shape and strides, and those that shared memory share it;
    an OrderedDict is a dict. ValueError, saying what is wrong, for a damaged file and one that holds anything else.
    """
    try:
        return _tree(raw)
    except _ERRORS as error:
        what = str(error) if isinstance(error, ValueError) else f"damaged, use another copy ({error!r:.200})"
        raise ValueError(f"{os.fspath(path)}: not a readable torch file: {what}") from error


def _tree(raw: bytes) -> Any:
    """What the program in the archive builds, its tensors on the archive's storages."""
    if raw.startswith(LEGACY):
        raise ValueError("torch before 1.6 wrote it; load it in a newer one and save it again")
    archive = zipfile.ZipFile(io.BytesIO(raw))
    files = {file.filename: file for file in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in files if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError("it is a zip archive, but none of torch's: there is no data.pkl in it")
    compressed = any(file.compress_type != zipfile.ZIP_STORED for file in files.values())
    if compressed or sum(file.file_size for file in files.values()) > len(raw):  # a small file could fill any memory
        raise ValueError("its records are compressed or overlap, as torch's never do")
    root, memories = roots[0], dict[str, np.ndarray]()
    if f"{root}byteorder" in files and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("its numbers are not little-endian; save it again on a machine where they are")

    def storage(kind: str, dtype: np.dtype, key: str, location: str, n: int) -> _Storage:
        """n elements of a record, whatever device they were on."""
        name = root + "data/" + key
        if name not in memories:
            memories[name] = np.frombuffer(archive.read(name), np.uint8).copy()
        if n * dtype.itemsize > memories[name].nbytes:
            raise ValueError(f"{name} should have {n * dtype.itemsize} bytes, but has {memories[name].nbytes}")
        return _Storage(memories[name], dtype)

    return _plain(_run(archive.read(f"{root}data.pkl"), storage))


# How many items of the stack an instruction takes; TUPLE, APPENDS and SETITEMS take all down to the mark.
_TAKES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2, "STACK_GLOBAL": 2, "BINPERSID": 1}
_TAKES |= {"REDUCE": 2, "BUILD": 1}


def _run(program: bytes, storage: Callable[..., _Storage]) -> Any:
    """What a program leaves on its stack. `storage` makes memory of what the program refers to."""
    stack: list[Any] = []
    below: list[list[Any]] = []  # a mark puts the stack here, and begins another
    memo: dict[Any, Any] = {}
    for code, arg, _ in pickletools.genops(program):
        if code.name in ("TUPLE", "APPENDS", "SETITEMS"):
            items, stack = stack, below.pop()
        else:
            items = [stack.pop() for _ in range(_TAKES.get(code.name, 0))][::-1]
        match code.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                below.append(stack)
                stack = []
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[code.name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(arg)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE" | "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(items))
            case "APPEND" | "APPENDS":
                list.extend(stack[-1], items)
            case "SETITEM" | "SETITEMS":
                if any(isinstance(key, tuple) for key in items[::2]):  # C hashes tuples in tuples by recursion
                    raise ValueError("a dict has a tuple for a key")
                dict.update(stack[-1], zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                memo[len(memo) if arg is None else arg] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "GLOBAL" | "STACK_GLOBAL":
                stack.append(_named(arg or " ".join(items)))
            case "BINPERSID":
                stack.append(storage(*items[0]))
            case "REDUCE":  # nothing on the stack can be called but the functions of NAMES
                stack.append(items[0](*items[1]))
            case "BUILD" if isinstance(stack[-1], dict):
                pass  # attributes of a state_dict: `_metadata`, the versions of its modules
            case _:
                raise ValueError(f"its pickle has an instruction {code.name}; {ADVICE}")
    if len(stack) != 1 or below:
        raise ValueError("its pickle stops in the middle of a tree")
    return stack[0]


def _named(name: str) -> Any:
    """What there is under a name in a program."""
    if name in NAMES:
        return NAMES[name]
    dotted = name.replace(" ", ".")
    if dotted.startswith("torch.") and ("Storage" in dotted or "float8" in dotted):
        raise ValueError(f"NumPy has no dtype for {dotted}; convert its tensors before saving them, with x.float()")
    raise ValueError(f"it holds {dotted}; {ADVICE}")


def _plain(tree: Any) -> Any:
    """The tree. ValueError if a name or a storage stands in it as a value."""
    waiting, seen = [tree], set()
    while waiting:  # recursion might go too deep
        node = waiting.pop()
        if isinstance(node, (dict, list, tuple)):
            if id(node) not in seen:
                waiting += [*node, *node.values()] if isinstance(node, dict) else node
            seen.add(id(node))
        elif not (node is None or isinstance(node, (np.ndarray, str, int, float))):
            raise ValueError(f"it holds {node!r:.100}; {ADVICE}")
    return tree
