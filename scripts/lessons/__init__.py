"""The practice lines of the roadmap, a file a chapter: `tinygrad-edu lesson 7.1` runs one.

A lesson is a function without arguments that prints; its docstring says in its first line what it shows. A chapter's
file lists them by number in `LESSONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from importlib import import_module
from pkgutil import iter_modules


def all_lessons() -> dict[str, Callable[[], None]]:
    """Every lesson by its number, in order: the `LESSONS` of every file chNN.py beside this one.

    >>> "7.1" in all_lessons()
    True
    """
    chapters = sorted(module.name for module in iter_modules(__path__) if fnmatch(module.name, "ch??"))
    return {
        number: lesson
        for chapter in chapters
        for number, lesson in import_module(f"{__name__}.{chapter}").LESSONS.items()
    }
