"""What `import tinygrad_edu` brings along, and the size of the source files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("tinygrad_edu", "backends", "models", "rl", "plugins", "scripts", "tests")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]

HEAVY = {"torch", "sklearn", "scipy", "matplotlib", "gymnasium", "flask", "pandas", "tyro", "pytest"}
GENERIC = {"backends", "models", "rl", "plugins", "scripts"}


def loaded_by(statement: str, folder: Path) -> set[str]:
    """The top-level modules that a fresh interpreter has after one statement, started in an empty folder."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, text=True, check=True, capture_output=True
        ).stdout.split()
    )


def test_import_loads_nothing_heavy_and_nothing_generic(tmp_path: Path) -> None:
    assert not loaded_by("import tinygrad_edu", tmp_path) & (HEAVY | GENERIC)


def test_finding_the_plugins_loads_nothing_heavy(tmp_path: Path) -> None:
    listed = "from tinygrad_edu import registry; [registry.names(kind) for kind in registry.KINDS]"
    assert not loaded_by(listed, tmp_path) & (HEAVY | GENERIC)


def test_import_walks_no_plugins(tmp_path: Path) -> None:
    code = "import sys, tinygrad_edu; sys.exit('tinygrad_edu.scripts' in sys.modules or 'pluggy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize(("endings", "most"), [({".py"}, 400), ({".cpp", ".hpp"}, 500)])
def test_files_stay_short(endings: set[str], most: int) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES if path.suffix in endings}
    assert lengths
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > most} == {}


def test_no_file_hides_numpy() -> None:
    assert [path for path in SOURCES if path.name == "numpy.py"] == []
