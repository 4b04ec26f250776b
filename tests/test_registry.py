"""Plugins: found by entry points, each by itself; what is wrong with one is said by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tinygrad_edu import hookspecs, registry
from tinygrad_edu.errors import PluginError

HEAD = "from tinygrad_edu.hookspecs import Project, hookimpl\n"
Install = Callable[..., registry.Registry]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lays a package where Python looks for installed ones, as pip does; returns a fresh registry that found it."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def install(package: str, source: str) -> registry.Registry:
        modules.append(module := package.replace("-", "_"))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tinygrad_edu]\nface = {module}\n")
        (tmp_path / f"{module}.py").write_text(HEAD + source)
        importlib.invalidate_caches()
        return registry.installed.__wrapped__()

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def test_every_kind_has_a_hook_and_every_hook_a_description() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert hooks == {f"register_{kind}" for kind in registry.KINDS}
    assert all(getattr(hookspecs, name).__doc__ for name in hooks)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_each_kind_takes_in_a_strangers_entry(kind: str, install: Install) -> None:
    found = install("strange-kind", f"@hookimpl\ndef register_{kind}():\n    return {{'strange': dict}}\n")
    assert found.get(kind, "strange") is dict
    assert found.table(kind)["strange"] == (dict, "strange_kind", "strange-kind")
    assert not found.failures


def test_the_built_in_folders_come_by_the_same_road() -> None:
    found = registry.installed.__wrapped__()
    assert not found.failures
    assert found.table("backends")["numpy"].package == "tinygrad-edu"
    assert found.table("projects")["digits"].plugin == "tinygrad_edu.scripts"


def test_a_name_registered_twice_names_both_packages(install: Install) -> None:
    found = install("second-numpy", "@hookimpl\ndef register_backends():\n    return {'numpy': dict}\n")
    message = r"backend 'numpy' is registered twice: by package 'second-numpy' .* and by package 'tinygrad-edu'"
    with pytest.raises(PluginError, match=message):
        found.names("backends")
    assert "digits" in found.names("projects")  # the other kinds are not touched


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import no_such_module", "failed to import: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def register_backends(): return {}", "register_backends is not marked with @hookimpl"),
        ("@hookimpl\ndef register_backend(): return {}", "unknown hook 'register_backend' (did you mean 'register_b"),
        ("def register_backend(): return {}", "unknown hook 'register_backend'"),
        ("@hookimpl\ndef register_models(size): return {}", "Argument(s) {'size'} are declared"),
        ("@hookimpl\ndef register_backends(): return 1 / 0", "failed to answer register_backends(): ZeroDivisionError"),
        ("@hookimpl\ndef register_backends(): return 7", "failed to answer register_backends(): TypeError"),
    ],
)
def test_a_plugin_that_fails_is_named_and_the_others_live(source: str, complaint: str, install: Install) -> None:
    found = install("broken-one", source)
    assert "numpy" in found.names("backends")
    (failure,) = found.failures.values()
    assert str(failure).startswith("plugin 'broken_one' of package 'broken-one' failed to ")
    assert complaint in str(failure)
    complaint = "unknown backend 'cuda'; there are: cpp, numpy\n  plugin 'broken_one' of package"
    with pytest.raises(ValueError, match=complaint):
        found.get("backends", "cuda")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^unknown backend 'nunpy' \(did you mean 'numpy'\?\); there are: .*numpy$"):
        registry.get("backends", "nunpy")
    with pytest.raises(ValueError, match="unknown kind 'backend'"):
        registry.names("backend")


def test_a_backend_is_made_once(install: Install) -> None:
    source = "class B:\n    name = 'b'\n@hookimpl\ndef register_backends():\n    return {'b': B, 'c': B}\n"
    found = install("two-names", source)
    assert found.backend("b") is found.backend("b")
    with pytest.raises(PluginError, match="backend 'c': its factory made a backend that calls itself 'b'"):
        found.backend("c")


def test_the_default_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYGRAD_EDU_BACKEND", raising=False)
    assert registry.default_backend_name() == "numpy"
    monkeypatch.setenv("TINYGRAD_EDU_BACKEND", "cuda")
    assert registry.default_backend_name() == "cuda"
