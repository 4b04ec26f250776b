"""Imports point down only: every import in every source file is read (`ast`) and held against the table of floors.

Imports inside functions count as well; only `if TYPE_CHECKING:` is exempt. What lies above is reached by plugin, that
is by name through the registry.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Module (with all that is inside it) -> its floor; the longest entry that fits counts.
FLOORS = {
    "tinygrad_edu.backend": 0,
    "tinygrad_edu.errors": 0,
    "tinygrad_edu.hookspecs": 0,
    "tinygrad_edu.registry": 0,
    "tinygrad_edu.backends": 1,
    "tinygrad_edu.backends.recording": 2,
    "tinygrad_edu.gradient_hooks": 3,
    "tinygrad_edu.autograd": 3.1,
    "tinygrad_edu.ops": 3.2,
    "tinygrad_edu.functions": 3.25,
    "tinygrad_edu.tensor": 3.3,
    "tinygrad_edu.create": 3.4,
    "tinygrad_edu.random": 3.4,
    "tinygrad_edu.capture": 4,
    "tinygrad_edu.checkpoint_file": 4,
    "tinygrad_edu.data": 4,
    "tinygrad_edu.debug": 4,
    "tinygrad_edu.drawing": 4,
    "tinygrad_edu.lr_scheduler": 4,
    "tinygrad_edu.metrics": 4,
    "tinygrad_edu.nn": 4,
    "tinygrad_edu.optim": 4,
    "tinygrad_edu.recompute": 4,
    "tinygrad_edu.report": 4,
    "tinygrad_edu.run": 4,
    "tinygrad_edu.state": 4,
    "tinygrad_edu.testing": 4,
    "tinygrad_edu.torch_file": 4,
    "tinygrad_edu.transforms": 4,
    "tinygrad_edu": 4,  # __init__.py alone: the public names
    "tinygrad_edu.models": 5,
    "tinygrad_edu.plugins": 5,
    "tinygrad_edu.rl": 5,
    "tinygrad_edu.bench": 6,
    "tinygrad_edu.cli": 6,
    "tinygrad_edu.doctor": 6,
    "tinygrad_edu.scripts": 6,
    "tinygrad_edu.serve": 6,
}


def sources() -> dict[str, Path]:
    """Every source file by the name that it is imported under, as pyproject.toml maps the folders."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]["wheel"]["packages"]
    found = {}
    for package, folder in packages.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = [*package.split("/"), *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def floor(module: str) -> float | None:
    """The floor of a module, None when the table does not have it."""
    if module == "tinygrad_edu":
        return FLOORS[module]
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return FLOORS[module] if module != "tinygrad_edu" else None


def imports(tree: ast.AST, module: str, is_package: bool, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and module of each import of ours in `tree`, those under `if TYPE_CHECKING:` left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for branch in node.orelse:
                yield from imports(branch, module, is_package, modules)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*up, base]).rstrip(".")
            for alias in node.names:  # `from package import name` means the module of that name, if there is one
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in modules else base
        else:
            yield from imports(node, module, is_package, modules)


def climbs(module: str, text: str, is_package: bool, modules: set[str]) -> list[str]:
    """What is wrong with one file's imports, a line each."""
    here, wrong = floor(module), []
    if here is None:
        return [f"{module} has no floor: add it to FLOORS in tests/test_layers.py"]
    for line, target in imports(ast.parse(text), module, is_package, modules):
        if target.partition(".")[0] != "tinygrad_edu":
            continue
        there = floor(target)
        if there is None or there > here:
            wrong.append(f"{module}, line {line}: floor {here} imports {target}, floor {there}")
        elif module.startswith("tinygrad_edu.plugins") and there > 0 and not target.startswith("tinygrad_edu.plugins"):
            wrong.append(f"{module}, line {line}: plugins/ is plain NumPy, but imports {target}")
    return wrong


def test_every_import_points_down() -> None:
    files = sources()
    wrong = [
        line
        for module, path in files.items()
        for line in climbs(module, path.read_text(), path.name == "__init__.py", set(files))
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("tinygrad_edu.nn.layers", "from tinygrad_edu.models import mlp", "floor 4 imports tinygrad_edu.models.mlp"),
        ("tinygrad_edu.nn.layers", "from ..models.mlp import MLP", "floor 4 imports tinygrad_edu.models.mlp"),
        ("tinygrad_edu.backend", "def f():\n    import tinygrad_edu.tensor", "line 2: floor 0 imports"),
        ("tinygrad_edu.autograd", "import tinygrad_edu as tg", "floor 3.1 imports tinygrad_edu, floor 4"),
        ("tinygrad_edu.plugins.knn", "from tinygrad_edu import Tensor", "plugins/ is plain NumPy"),
        ("tinygrad_edu.new", "", "has no floor"),
    ],
)
def test_a_climbing_import_is_found(module: str, text: str, complaint: str) -> None:
    (wrong,) = climbs(module, text, False, {"tinygrad_edu.models.mlp"})
    assert complaint in wrong


def test_downward_and_type_checking_imports_pass() -> None:
    text = "import numpy\nfrom . import functional\nif TYPE_CHECKING:\n    from tinygrad_edu.models.mlp import MLP"
    assert climbs("tinygrad_edu.nn.layers", text, False, {"tinygrad_edu.nn.functional"}) == []
