"""Fitted estimators as trees that `state.save` keeps, and back: what pickle does, without anything that can run.

An object becomes the name of its class and its attributes, an array of strings or of objects a list; numbers and arrays
of numbers stay as they are. On the way back a class is looked up only in packages that register estimators, is made
without calling its `__init__`, and gets its attributes: no function is named in a file, so none can be called by it.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tinygrad_edu import registry

CLASS, ITEMS, SHAPE = "class", "items", "shape"  # keys of the dicts that stand for what a tree has no word for


def to_tree(value: Any, where: str = "estimator") -> Any:
    """The tree of an estimator, or of anything in one. TypeError names the place of what cannot be kept."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        # column by column stays so: the order in memory decides how a product is summed, and so its last bits
        return {CLASS: "columns", ITEMS: value.T} if value.flags.fnc else value
    if isinstance(value, np.generic):
        return {CLASS: "scalar", ITEMS: np.asarray(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        items = [to_tree(item, f"{where}[{i}]") for i, item in enumerate(value.ravel().tolist())]
        return {CLASS: value.dtype.str, ITEMS: items, SHAPE: list(value.shape)}
    if isinstance(value, list | tuple):
        return type(value)(to_tree(item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(value, dict) and all(type(key) in (str, int) for key in value):
        return {CLASS: "dict", ITEMS: {key: to_tree(item, f"{where}[{key!r}]") for key, item in value.items()}}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {CLASS: "dtype", ITEMS: np.dtype(value).str}
    kind = type(value)
    if hasattr(value, "__dict__") and _package(kind.__module__) in _packages():
        attributes = {name: to_tree(item, f"{where}.{name}") for name, item in vars(value).items()}
        return {CLASS: f"{kind.__module__}:{kind.__qualname__}", ITEMS: attributes}
    raise TypeError(
        f"{where}: a {kind.__module__}.{kind.__qualname__} cannot be kept in a file of ours; {_advice(kind)}"
    )


def from_tree(tree: Any) -> Any:
    """The inverse of `to_tree`. ValueError for a class that is not there, or that no file may name."""
    if isinstance(tree, list | tuple):
        return type(tree)(from_tree(item) for item in tree)
    if not isinstance(tree, dict):
        return tree
    kind, items = tree[CLASS], tree[ITEMS]
    if kind == "scalar":
        return items[()]
    if kind == "columns":
        return items.T
    if kind == "dtype":
        return np.dtype(items).type
    if kind == "dict":
        return {key: from_tree(item) for key, item in items.items()}
    if SHAPE in tree:
        array = np.empty(len(items), kind)
        array[:] = [from_tree(item) for item in items]
        return array.reshape(tree[SHAPE])
    made: Any = object.__new__(_class(kind))
    vars(made).update({name: from_tree(item) for name, item in items.items()})
    return made


def _class(name: str) -> type:
    module, _, path = name.partition(":")
    package = _package(module)
    if package not in _packages():
        raise ValueError(
            f"it holds a {path} of {package}, where no estimator is registered: install the package that it is of"
        )
    try:
        found = getattr(importlib.import_module(module), path)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"it holds a {path} of {module}, which is not installed in this version: {error}") from error
    if not isinstance(found, type) or found.__module__ != module:
        raise ValueError(f"it names {name}, which is no class of that module")
    return found


def _packages() -> set[str]:
    """The packages of the estimators that are registered."""
    return {_package(entry.plugin) for entry in registry.installed().table("estimators").values()}


def _package(module: str) -> str:
    """The package that a file may take classes from: our own estimators' folder, else the outermost package."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "tinygrad_edu" else parts[0]


def _advice(kind: type) -> str:
    if issubclass(kind, np.random.RandomState | np.random.Generator):
        return "give it a number for a random_state"
    return "scikit-learn's own estimators go into a .skops file"
