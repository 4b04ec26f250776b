"""From a trained model to a service: `save` and `load` keep models in files, `tinygrad-edu serve` puts them on HTTP.

    from tinygrad_edu.serve import save
    save("iris.safetensors", LogisticRegression().fit(X, y), classes=["setosa", "versicolor", "virginica"])

    $ tinygrad-edu serve iris.safetensors --port 8000
    $ curl -d '{"inputs": [[5.1, 3.5, 1.4, 0.2]]}' -H 'Content-Type: application/json' http://127.0.0.1:8000/predict

`README.md` tells how the parts stand together. Each name is imported when first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_FILES = {
    "save": "saving",
    "load": "saving",
    "Column": "inputs",
    "Pictures": "inputs",
    "Table": "inputs",
    "Text": "inputs",
}


def __getattr__(name: str) -> Any:
    """A name of this folder, imported now."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_FILES])
