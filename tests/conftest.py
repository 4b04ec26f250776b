"""What the tests share: `needs("torch")`, which skips a test where torch is missing, and fails the whole session there
when CI or TINYGRAD_EDU_REQUIRE is set, so that a run that was meant to be complete cannot pass by skipping.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tinygrad_edu as tg
from tinygrad_edu.backend import get_backend, set_backend

REQUIRED = ("torch", "sklearn", "gymnasium", "ale_py", "tinygrad_edu.backends.cpp._cpu")


def _all_required() -> bool:
    return any(os.environ.get(name) for name in ("CI", "TINYGRAD_EDU_REQUIRE"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where all of REQUIRED must be there, end the session at once when one is not."""
    for module in REQUIRED if _all_required() else ():
        try:
            importlib.import_module(module)
        except ImportError as error:
            pytest.exit(f"CI or TINYGRAD_EDU_REQUIRE is set, but {module} cannot be imported: {error}", returncode=1)


@pytest.fixture(autouse=True)
def _same_default_backend() -> Iterator[None]:
    """A test that sets the default backend, as a `Run` does, leaves it as it was."""
    before = get_backend()
    yield
    set_backend(before.name)


@pytest.fixture
def seeded() -> Iterator[None]:
    """Seed 0 before, and the default stream as it was afterwards."""
    before = tg.random.get_state()
    tg.manual_seed(0)
    yield
    tg.random.set_state(before)


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that gives the folder of a real data set, and has it used; without one the test is skipped."""

    def real_data(name: str) -> Path:
        folder = Path(os.environ.get("TINYGRAD_EDU_DATA") or Path(__file__).parents[2] / "shared" / "data")
        if not (folder / name).is_dir():
            (pytest.fail if _all_required() else pytest.skip)(f"no {folder / name}")
        monkeypatch.setenv("TINYGRAD_EDU_DATA", str(folder))
        return folder / name

    return real_data


@pytest.fixture(scope="session")
def needs() -> Callable[[str], ModuleType]:
    """A function that returns the module of a name, or skips the test."""

    def needs(module: str) -> ModuleType:
        try:
            found = importlib.import_module(module)
            if module == "torch":  # on small arrays its threads only wait, and on a busy machine for long
                found.set_num_threads(1)
            return found
        except ModuleNotFoundError as error:
            if _all_required():
                pytest.fail(f"CI or TINYGRAD_EDU_REQUIRE is set, but: {error}")
            pytest.skip(str(error))

    return needs


@pytest.fixture(scope="module")  # and no longer: while Playwright is there, nobody else can run an event loop
def browser(needs: Callable[[str], ModuleType]) -> Iterator[Any]:
    """A headless Chromium, the machine's own, driven by Playwright."""
    playwright, program = needs("playwright.sync_api"), shutil.which("chromium")
    if program is None:
        (pytest.fail if _all_required() else pytest.skip)("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox"])  # root can have no sandbox
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """`page, complaints = open_page(url, width=1280, height=800)`: a Playwright page, and what is wrong with it.

    `complaints` grows by every error and warning on the page's console, every exception that nobody caught, and every
    request to anywhere but the page's own origin, which of a file is the file alone. Assert that it is empty, after
    what the test did.
    """
    contexts = []

    def open_page(url: str, *, width: int = 1280, height: int = 800) -> tuple[Any, list[str]]:
        complaints: list[str] = []
        origin = url if url.startswith("file:") else "/".join(url.split("/")[:3]) + "/"  # http://127.0.0.1:5000/

        def asked(request: Any) -> None:
            if not request.url.startswith((origin, "data:", "blob:")):
                complaints.append(f"outside request: {request.url}")

        def said(message: Any) -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"console {message.type}: {message.text}")

        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.on("request", asked)
        page.on("console", said)
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        page.goto(url)
        page.wait_for_load_state("networkidle")
        return page, complaints

    yield open_page
    for context in contexts:
        context.close()
