"""The hooks through which everything that can be swapped comes in, the project's own five folders included.

A plugin is a module that implements some of them and is named by an entry point of the group `tinygrad_edu`:

    [project.entry-points.tinygrad_edu]                 # in the pyproject.toml of any package
    mine = "my_package.plugin"

    from tinygrad_edu.hookspecs import hookimpl         # in my_package/plugin.py

    @hookimpl
    def register_backends():
        return {"mine": make_my_backend}

Hooks are pure and take nothing; each returns names with lazy factories, so that a plugin can be listed without the
heavy packages behind it being loaded. `tinygrad_edu.registry` calls them once a process, never per op.
"""

# A hook's specification is its signature and its docstring; there is no body:
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from tinygrad_edu.backend import Backend

hookspec = pluggy.HookspecMarker("tinygrad_edu")
hookimpl = pluggy.HookimplMarker("tinygrad_edu")


@dataclass(frozen=True)
class Project:
    """What `tinygrad-edu run NAME` runs; imported only then.

    `module` is the import path of a script with a dataclass `Args` (its own flags, explained by their docstrings) and
    a function `main(args, run) -> None`. `chapter` is the roadmap's, `summary` one line for `tinygrad-edu list`.
    """

    module: str
    chapter: str
    summary: str


@hookspec
def register_backends() -> dict[str, Callable[[], Backend]]:
    """Backends by name; a factory is called once a process and the backend's `name` is the name given here."""


@hookspec
def register_models() -> dict[str, Callable[..., Any]]:
    """Neural models by name; a factory takes the model's own settings and returns an `nn.Module`."""


@hookspec
def register_estimators() -> dict[str, Callable[[], type]]:
    """Classic machine learning by name; a factory returns the estimator's class (scikit-learn's contract)."""


@hookspec
def register_environments() -> dict[str, Callable[..., Any]]:
    """Environments of reinforcement learning by name; a factory returns a `gymnasium.Env`."""


@hookspec
def register_datasets() -> dict[str, Callable[..., Any]]:
    """Datasets by name; a factory loads (and, told to, downloads) one and returns a `tinygrad_edu.data` dataset."""


@hookspec
def register_projects() -> dict[str, Project]:
    """Projects by name: what `tinygrad-edu run NAME` runs."""
