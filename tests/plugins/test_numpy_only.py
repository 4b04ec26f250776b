"""The folder needs NumPy and pluggy alone: with everything else blocked it is imported, learns and refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BLOCKED = ("sklearn", "scipy", "pandas", "torch", "matplotlib", "gymnasium", "joblib", "threadpoolctl", "pybind11")
PROGRAM = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

sys.meta_path.insert(0, Blocked())
import numpy as np
import tinygrad_edu.plugins as plugins
from tinygrad_edu.plugins import metrics, train_test_split

X = np.random.default_rng(0).standard_normal((40, 3))
y = (X[:, 0] > 0.0).astype(int)
for file, name in plugins.ESTIMATORS.values():
    model = getattr(plugins, name)()
    try:
        model.predict(X) if hasattr(model, "predict") else model.transform(X)
    except ValueError as error:
        assert "is not fitted yet" in str(error), error
    else:
        raise AssertionError(name)
    model.fit(X, y)
    model.predict(X) if hasattr(model, "predict") else model.transform(X)
train_test_split(X, y, stratify=y)
metrics.precision_score([0, 1], [0, 0])
loaded = {{name.partition(".")[0] for name in sys.modules}}
assert not loaded & set({BLOCKED}), loaded
"""


def test_with_numpy_and_pluggy_alone(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "UndefinedMetricWarning" in done.stderr  # ours: scikit-learn's is not there


def test_no_algorithm_imports_anything_else() -> None:
    """Read from the sources, so that an import inside a function counts too; `__sklearn_tags__` may."""
    import ast

    allowed = {"numpy", "pluggy", "tinygrad_edu", "sklearn.utils", *sys.stdlib_module_names}
    for path in (ROOT / "plugins").glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name in allowed or name.partition(".")[0] in allowed, (path.name, name)
                assert not name.startswith("tinygrad_edu") or name.startswith(
                    ("tinygrad_edu.plugins", "tinygrad_edu.hookspecs", "tinygrad_edu.errors")
                ), (path.name, name)


def test_files_are_short() -> None:
    from tinygrad_edu import plugins

    for file, _ in plugins.ESTIMATORS.values():
        assert len((ROOT / "plugins" / f"{file}.py").read_text().splitlines()) <= 200, file
