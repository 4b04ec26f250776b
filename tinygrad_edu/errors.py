"""Error messages that more than one file needs, so that the same mistake reads the same everywhere.

Floor 0: everybody may import this, and it imports nothing of ours. Where one file alone raises an error, the message
stays in that file, beside the mistake.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType


class PluginError(ValueError):
    """A plugin breaks the rules of `tinygrad_edu.hookspecs`: the message names the plugin and its package."""


class MissingExtra(ImportError):
    """A package of one of our extras is not installed: the message is the command that installs it."""


def require(module: str, extra: str) -> ModuleType:
    """The module called `module`, imported now; it comes with the extra `extra` of ours.

    Raises MissingExtra, which gives the install command, when the package is absent. A package that is there but
    broken raises its own error: a second install would not mend it.

    >>> require("numpy", "viz").__name__
    'numpy'
    >>> require("no_such_package", "viz")
    Traceback (most recent call last):
    ...
    tinygrad_edu.errors.MissingExtra: this needs no_such_package: pip install 'tinygrad-edu[viz]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise MissingExtra(f"this needs {package}: pip install 'tinygrad-edu[{extra}]'", name=package) from error


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not there: what there is, and the closest if one comes close.

    >>> unknown("backend", "cuda", ["numpy", "cpp"])
    "unknown backend 'cuda'; there are: cpp, numpy"
    >>> unknown("backend", "nunpy", ["numpy", "cpp"])
    "unknown backend 'nunpy' (did you mean 'numpy'?); there are: cpp, numpy"
    """
    import difflib  # costs 2 ms, and only a mistake needs it

    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {kind} {name!r}{hint}; there are: {', '.join(known) or 'none'}"
