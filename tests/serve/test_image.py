"""What can be said of the image without building it; `make image-test` builds, starts and asks it."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_all_that_the_package_is_made_of_gets_into_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = set(project["tool"]["scikit-build"]["wheel"]["packages"].values())
    files = {"pyproject.toml", "CMakeLists.txt", project["project"]["readme"], *project["project"]["license-files"]}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == folders | files


def test_what_runs_has_no_compiler_and_is_not_root() -> None:
    base, build, final = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert "ARG BASE=" in base
    assert "g++" in build
    assert "apt-get" not in final
    assert final.startswith("${BASE}\n")
    (user,) = [line.split()[1] for line in final.splitlines() if line.startswith("USER")]
    assert int(user) > 0  # a number: Kubernetes can check that it is not root's
    assert "HEALTHCHECK" in final
