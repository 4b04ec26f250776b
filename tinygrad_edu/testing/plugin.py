"""The pytest plugin (entry point `pytest11`): the option `--tg-backend NAME`, and fixtures for what it names.

It is an entry point because a conftest.py inside the package would come too late for an option. pytest loads it in
every run of this environment, so it imports nothing before a fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tinygrad_edu.backend import Backend


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--tg-backend NAME`."""
    group = parser.getgroup("tinygrad_edu")
    group.addoption("--tg-backend", metavar="NAME", default="numpy", help="the backend that conformance tests examine")


@pytest.fixture(scope="session")
def tg_backend(request: pytest.FixtureRequest) -> Backend:
    """The backend named by `--tg-backend`; ends the session with the list of those there are if there is none."""
    from tinygrad_edu import registry

    try:
        return registry.backend(request.config.getoption("--tg-backend"))
    except ValueError as error:
        pytest.exit(f"--tg-backend: {error}", returncode=2)


@pytest.fixture(scope="session")
def numpy_backend() -> Backend:
    """The NumPy backend, which others are held against."""
    from tinygrad_edu import registry

    return registry.backend("numpy")
