"""What is registered under which name: every backend, model, estimator, environment, dataset and project.

Plugins are found through the entry points of the group `tinygrad_edu`, ours by the same road as a stranger's. They are
walked here and not by pluggy's own loader, which stops at the first that fails: one that fails is kept in `failures`
and named wherever it may be missed, and the others live on. Nothing is walked before the first look-up.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_edu.errors import PluginError, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import pluggy

    from tinygrad_edu.backend import Backend

KINDS = ("backends", "models", "estimators", "environments", "datasets", "projects")


class Registered(NamedTuple):
    """One name's factory (or Project), the module that registered it, and the package (distribution) of that."""

    value: Any
    plugin: str
    package: str


class Failure(NamedTuple):
    """A plugin that failed: which, of which package (distribution), doing what, and how."""

    plugin: str
    package: str
    doing: str
    error: Exception

    def __str__(self) -> str:
        return (
            f"plugin {self.plugin!r} of package {self.package!r} failed to {self.doing}: "
            f"{type(self.error).__name__}: {self.error}"
        )


class Registry:
    """Names and factories of the plugins that were added; `installed()` is the one with all that are installed."""

    def __init__(self) -> None:
        import pluggy

        from tinygrad_edu import hookspecs

        self.failures: dict[str, Failure] = {}  # by the plugin's module
        self._packages: dict[str, str] = {}  # plugin's module -> its package
        self._backends: dict[str, Backend] = {}
        self._tables: dict[str, dict[str, Registered]] = {}
        self._manager = pluggy.PluginManager("tinygrad_edu")
        self._manager.add_hookspecs(hookspecs)

    def add(self, entry_point: EntryPoint) -> None:
        """Import one plugin and take its hooks in; one that fails goes to `failures` instead."""
        plugin, package = entry_point.value, entry_point.dist.name if entry_point.dist else "?"
        try:
            module = entry_point.load()
            _check_hooks(module, self._manager)
            self._manager.register(module, name=plugin)
            self._packages[plugin] = package
        except Exception as error:  # kept and reported: a broken plugin must not take the others down
            self.failures[plugin] = Failure(plugin, package, "import", error)

    def table(self, kind: str) -> dict[str, Registered]:
        """Everything of one kind by name, sorted. Raises PluginError when two plugins claim one name."""
        if kind not in KINDS:
            raise ValueError(unknown("kind", kind, KINDS))
        if kind not in self._tables:
            self._tables[kind] = dict(sorted(self._collect(kind).items()))
        return self._tables[kind]

    def names(self, kind: str) -> list[str]:
        """The names registered in one kind, sorted."""
        return list(self.table(kind))

    def get(self, kind: str, name: str) -> Any:
        """The factory (for `projects` the Project) registered under `name`; ValueError lists those there are."""
        table = self.table(kind)
        if name not in table:
            failed = "".join(f"\n  {failure}" for failure in self.failures.values())
            raise ValueError(unknown(kind.removesuffix("s"), name, table) + failed)
        return table[name].value

    def backend(self, name: str) -> Backend:
        """The one backend called `name`; made at the first call, the same object ever after."""
        if name not in self._backends:
            backend = self.get("backends", name)()
            if backend.name != name:
                raise PluginError(f"backend {name!r}: its factory made a backend that calls itself {backend.name!r}")
            self._backends[name] = backend
        return self._backends[name]

    def _collect(self, kind: str) -> dict[str, Registered]:
        """Call one kind's hook in every plugin, each by itself, so that one that raises is reported alone."""
        hook = f"register_{kind}"
        found: dict[str, Registered] = {}
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            plugin, package = implementation.plugin_name, self._packages[implementation.plugin_name]
            try:
                registered = dict(implementation.function())
            except Exception as error:  # kept and reported, as above
                self.failures[plugin] = Failure(plugin, package, f"answer {hook}()", error)
                continue
            for name, value in registered.items():
                entry = Registered(value, plugin, package)
                if name in found:
                    raise PluginError(_twice(kind, name, found[name], entry))
                found[name] = entry
        return found


def _check_hooks(module: Any, manager: pluggy.PluginManager) -> None:
    """Refuse what pluggy passes over in silence: a misspelt hook, and a hook without its marker."""
    hooks = [f"register_{kind}" for kind in KINDS]
    for name in dir(module):
        marked = manager.parse_hookimpl_opts(module, name) is not None
        if not marked and not name.startswith("register_"):
            continue
        if name not in hooks:
            raise PluginError(unknown("hook", name, hooks))
        if not marked:
            raise PluginError(f"{name} is not marked with @hookimpl (from tinygrad_edu.hookspecs)")


def _twice(kind: str, name: str, first: Registered, second: Registered) -> str:
    return (
        f"{kind.removesuffix('s')} {name!r} is registered twice: by package {first.package!r} ({first.plugin}) "
        f"and by package {second.package!r} ({second.plugin}); uninstall one or rename its entry"
    )


@functools.cache
def installed() -> Registry:
    """The registry of every plugin that is installed; found at the first call, the same object ever after."""
    from importlib.metadata import entry_points  # costs 15 ms: not at `import tinygrad_edu`

    registry = Registry()
    for entry_point in sorted(entry_points(group="tinygrad_edu"), key=lambda e: e.value):
        registry.add(entry_point)
    return registry


def get(kind: str, name: str) -> Any:
    """The factory (for `projects` the Project) that is registered under `name`.

    >>> get("projects", "digits").chapter
    '7'
    """
    return installed().get(kind, name)


def names(kind: str) -> list[str]:
    """The names registered in one kind ("backends", "models", ...: see KINDS), sorted."""
    return installed().names(kind)


def backend(name: str) -> Backend:
    """The one backend called `name`.

    >>> backend("numpy") is backend("numpy")
    True
    """
    return installed().backend(name)


def default_backend_name() -> str:
    """The backend used where none is asked for: TINYGRAD_EDU_BACKEND, else "numpy"."""
    return os.environ.get("TINYGRAD_EDU_BACKEND") or "numpy"
