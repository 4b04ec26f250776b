"""The code of plugins/README.md runs as it stands, checks what it says, and names the files that are there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent.parent / "plugins"
README = (FOLDER / "README.md").read_text()
EXAMPLE, CHECK, HOOK = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

Needs = Callable[[str], ModuleType]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The example as a module, from where pickle can fetch its class."""
    monkeypatch.setitem(sys.modules, "readme", module := ModuleType("readme"))
    exec(EXAMPLE, vars(module))
    return vars(module)


def test_the_example_classifies(names: dict[str, Any]) -> None:
    model = names["NearestMean"]().fit([[0.0], [1.0], [5.0], [7.0]], ["low", "low", "high", "high"])
    assert model.means_.ravel().tolist() == [6.0, 0.5]
    assert model.predict([[2.0], [4.0]]).tolist() == ["low", "high"]
    assert model.score(np.array([[2.0], [4.0]]), ["low", "low"]) == 0.5


def test_it_passes_the_checks(names: dict[str, Any], needs: Needs) -> None:
    needs("sklearn")
    exec(CHECK, names)


def test_the_checks_notice_a_mistake(names: dict[str, Any], needs: Needs) -> None:
    needs("sklearn")
    exec(EXAMPLE.replace("X = self._input(X)", "X = np.asarray(X)"), names)
    with pytest.raises(Exception, match=r"has no attribute 'means_'|NotFittedError"):
        exec(CHECK, names)


def test_the_hook_registers_it(names: dict[str, Any]) -> None:
    exec(HOOK, names)
    assert names["register_estimators"]()["nearest-mean"]() is names["NearestMean"]


def test_every_public_file_is_named() -> None:
    files = {path.name for path in FOLDER.glob("[a-z]*.py")}
    assert files == set(re.findall(r"`([a-z]\w*\.py)`", README.partition("## The smallest")[0]))
