"""Models in files: written whole or not at all, and read without running anything that is in them.

    .safetensors    ours: a neural model's weights, or what an estimator of the plugins has learnt, and in the header
                    what is needed to make the model again and to describe it; a digest guards all of it
    .skops          scikit-learn's, by the package skops: only types that it trusts, or that you name
    .pkl .joblib    pickle can run anything that whoever wrote the file wanted: only when told to trust it

A model's version is the first twelve digits of its file's SHA-256: the same file is the same version everywhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_edu import nn, state
from tinygrad_edu.errors import require
from tinygrad_edu.serve.inputs import Inputs, inputs_of
from tinygrad_edu.serve.objects import from_tree, to_tree
from tinygrad_edu.serve.served import Served, ServedEstimator, ServedModule, build

FORMAT = "tinygrad_edu.served/1"
SUFFIXES = {
    ".safetensors": "safetensors",
    ".skops": "skops",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
LARGEST = 1 << 32  # bytes that a .skops file may unpack to


def save(
    path: str | os.PathLike[str],
    model: Any,
    *,
    architecture: str | None = None,
    settings: Mapping[str, Any] | Sequence[Any] = (),
    inputs: Inputs | None = None,
    classes: Sequence[Any] | None = None,
) -> None:
    """Write a model to a file that `load` and `tinygrad-edu serve` read: .safetensors, of scikit-learn's .skops.

    An `nn.Module` is made again from `architecture`, its registered name, and `settings`, the factory's arguments; it
    needs `inputs`. An estimator's inputs are the columns it was fitted on, unless they are given. `classes` are the
    names of the classes, in order. ValueError or TypeError if what would be written could not be read.
    """
    kind = SUFFIXES.get(Path(path).suffix)
    names = None if classes is None else list(classes)
    if isinstance(model, nn.Module):
        if kind != "safetensors" or architecture is None or inputs is None:
            raise ValueError(
                f"save: a Module goes to a .safetensors file, with `architecture` and `inputs`; got {path}"
            )
        settings = dict(settings) if isinstance(settings, Mapping) else list(settings)
        build(architecture, settings).load_state_dict(model.state_dict())  # it can be made again
        content = {"architecture": architecture, "settings": settings, "state": dict(model.state_dict())}
    elif kind == "skops":
        if inputs is not None or names is not None:
            raise ValueError("save: a .skops file holds the estimator alone; fit it on a frame with columns and labels")
        columns = ServedEstimator(model)  # can be served
        skops = require("skops.io", "serve")
        state.write_atomically(path, skops.dumps(columns.estimator))
        return
    elif kind == "safetensors":
        inputs = ServedEstimator(model, inputs, names).inputs
        content = {"estimator": to_tree(model, type(model).__name__)}
    else:
        raise ValueError(f"save: expected a path that ends in .safetensors or .skops, got {path}")
    described = json.dumps({"inputs": inputs.describe(), "classes": names})
    state.save(path, {"format": FORMAT, "described": described, **content})


def load(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    backend: str | None = None,
    trust_types: Sequence[str] = (),
    trust_pickle: bool = False,
) -> Served:
    """The model in a file, ready to predict; `name` is the file's own by default. ValueError says what is wrong."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no model file {path}")
    kind = SUFFIXES.get(path.suffix)
    if kind is None:
        raise ValueError(f"{path}: unknown format; expected a file that ends in {', '.join(SUFFIXES)}")
    name = path.stem if name is None else name
    if not NAME.fullmatch(name):
        raise ValueError(f"{path}: {name!r} is no name for a model: letters, digits, . _ -; serve it as NAME={path}")
    if kind == "safetensors":
        model = _load_ours(path, backend)
    elif kind == "skops":
        model = ServedEstimator(_load_skops(path, trust_types))
    else:
        model = ServedEstimator(_load_pickle(path, trust_pickle))
    model.name, model.format = name, kind
    with open(path, "rb") as file:
        model.version = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    return model


def _load_ours(path: Path, backend: str | None) -> Served:
    tree = state.load(path, mapped=True)
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise ValueError(f"{path}: holds no model to serve; write it with tinygrad_edu.serve.save")
    try:
        described = json.loads(tree["described"])
        inputs, classes = inputs_of(described["inputs"]), described["classes"]
        if "estimator" in tree:
            return ServedEstimator(from_tree(tree["estimator"]), inputs, classes)
        return ServedModule(tree["architecture"], tree["settings"], tree["state"], inputs, classes, backend)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error


def _load_skops(path: Path, trust_types: Sequence[str]) -> Any:
    skops = require("skops.io", "serve")
    exceptions = require("skops.io.exceptions", "serve")
    raw = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise ValueError(f"it unpacks to {size / 2**30:.1f} GB: more than the {LARGEST >> 30} GB that are allowed")
        unknown = sorted(set(skops.get_untrusted_types(data=raw)) - set(trust_types))
        if unknown:
            flags = " ".join(f"--trust-type {name}" for name in unknown)
            raise ValueError(f"it holds types that skops does not trust; if you do, say so with {flags}")
        return skops.loads(raw, trusted=list(trust_types))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ImportError,
        zipfile.BadZipFile,
        exceptions.UntrustedTypesFoundException,
    ) as error:
        raise ValueError(f"{path}: not a .skops file to serve: {error}") from error


def _load_pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise ValueError(
            f"{path}: a pickle runs whatever its author wrote into it, as you, when it is loaded. Save the model as "
            ".skops, or say --trust-pickle if you made the file yourself"
        )
    try:
        if path.suffix == ".joblib":
            return require("joblib", "serve").load(path)
        with open(path, "rb") as file:
            return pickle.load(file)
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, ValueError) as error:
        raise ValueError(f"{path}: cannot be unpickled here: {error}") from error
