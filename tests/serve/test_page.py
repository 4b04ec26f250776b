"""The page in a real browser: digits drawn, a form filled in, a text written; by keyboard, and on a phone."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, optim, plugins, use_backend
from tinygrad_edu.models.char_rnn import CharRNN
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.rnn_classifier import RNNClassifier
from tinygrad_edu.models.vae import VAE

Needs = Callable[[str], ModuleType]
OpenPage = Callable[..., tuple[Any, list[str]]]
WIDTHS = {"desktop": 1280, "phone": 375}
DONE = "main[aria-busy=false]"  # all that was asked is answered
LETTERS = tuple("\n Tehrt")


def strokes() -> dict[str, list[list[tuple[float, float]]]]:
    """The digits of strokes.py, beside this file."""
    spec = importlib.util.spec_from_file_location("strokes", Path(__file__).with_name("strokes.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DIGITS


@pytest.fixture
def save_models(tmp_path: Path, needs: Needs) -> Callable[..., list[Path]]:
    """A function that makes the untrained or quickly trained models of some names, and gives their files."""
    from tinygrad_edu.serve import Column, Pictures, Table, Text, save

    def iris(path: Path) -> None:
        x, y = needs("sklearn.datasets").load_iris(return_X_y=True)
        names = ("sepal length", "sepal width", "petal length", "petal width")
        ranges = zip(names, x.min(0).tolist(), x.max(0).tolist(), strict=True)
        inputs = Table(tuple(Column(name, low=low, high=high) for name, low, high in ranges))
        model = plugins.LogisticRegression(max_iter=1000).fit(x, y)
        save(path, model, inputs=inputs, classes=["setosa", "versicolor", "virginica"])

    def writer(path: Path) -> None:
        settings = {"vocabulary": len(LETTERS), "width": 8}
        save(path, CharRNN(**settings), architecture="char-rnn", settings=settings, inputs=Text(LETTERS, 20))

    def pictures(path: Path) -> None:
        settings = {"channels": 1, "size": 8, "classes": 3}
        inputs = Pictures(8, 1, (0.3,), (0.4,))
        save(path, LeNet(**settings), architecture="lenet", settings=settings, inputs=inputs, classes=["a", "b", "c"])

    def redrawn(path: Path) -> None:
        settings = {"size": 8, "hidden": 6, "code": 2}
        save(path, VAE(**settings), architecture="vae", settings=settings, inputs=Pictures(8))

    def sentence(path: Path) -> None:
        settings = {"vocabulary": len(LETTERS), "classes": 2}
        inputs, classes = Text(LETTERS, 20), ["no", "yes"]
        model = RNNClassifier(**settings)
        save(path, model, architecture="rnn-classifier", settings=settings, inputs=inputs, classes=classes)

    makers = {"iris": iris, "writer": writer, "pictures": pictures, "redrawn": redrawn, "sentence": sentence}

    def save_models(*names: str) -> list[Path]:
        paths = [tmp_path / f"{name}.safetensors" for name in names]
        for name, path in zip(names, paths, strict=True):
            makers[name](path)
        return paths

    return save_models


@contextmanager
def served(paths: Sequence[Path], key: str | None = None) -> Iterator[str]:
    """The address of a service of these models, in a thread of this process."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    from tinygrad_edu.serve import load
    from tinygrad_edu.serve.app import Settings, create_app

    class Silent(WSGIRequestHandler):
        """Logs no requests."""

        def log(self, *args: Any) -> None:
            pass

    app = create_app([load(path) for path in paths], Settings(key=key, log_requests=False))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check_for_all(page: Any, needs: Needs) -> None:
    """No finding of axe-core of any weight, and nothing that must be scrolled to sideways."""
    found = needs("axe_playwright_python.sync_playwright").Axe().run(page).response["violations"]
    assert [(v["id"], v["impact"], [node["html"] for node in v["nodes"]]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def trained_on_mnist(path: Path) -> None:
    """A LeNet that has seen a third of MNIST's training pictures twice: seconds on the C++ backend."""
    from tinygrad_edu.serve import Pictures, save

    x, y = (array[:20_000] for array in data.load("mnist").train)
    mean, std = float(x.mean()), float(x.std())
    with use_backend("cpp"):
        model = LeNet()
        loader = data.DataLoader((x - mean) / std, y, batch_size=64, seed=0)
        optimizer = optim.Adam(model.parameters(), lr=2e-3)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 2 * len(loader))
        for _ in range(2):
            for images, labels in loader:
                loss = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    settings = {"channels": 1, "size": 28, "classes": 10}
    inputs = Pictures(28, 1, (mean,), (std,))
    save(path, model, architecture="lenet", settings=settings, inputs=inputs, classes=list("0123456789"))


@pytest.mark.usefixtures("seeded")
def test_ten_drawn_digits_are_read(
    open_page: OpenPage, real_data: Callable[[str], Path], tmp_path: Path, needs: Needs
) -> None:
    real_data("mnist")
    needs("tinygrad_edu.backends.cpp._cpu")
    trained_on_mnist(tmp_path / "digits.safetensors")
    with served([tmp_path / "digits.safetensors"]) as url:
        page, complaints = open_page(url)
        box = page.locator("#paper").bounding_box()
        read = {}
        for digit, lines in strokes().items():
            page.click("#clear")
            page.wait_for_selector(DONE)
            assert page.inner_text("#answer") == "nothing yet"
            for line in lines:
                (x, y), *rest = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
                page.mouse.move(x, y)
                page.mouse.down()
                for x, y in rest:
                    page.mouse.move(x, y)
                page.mouse.up()
            page.wait_for_selector(DONE)
            read[digit] = page.inner_text("#answer")
        assert sum(digit == answer for digit, answer in read.items()) >= 9, read
        assert page.locator("#layers canvas").nth(1).get_attribute("aria-label") == "conv1: 6 × 28 × 28"
        check_for_all(page, needs)
        assert complaints == []


def test_by_keyboard_a_picture_is_drawn(open_page: OpenPage, save_models: Any, needs: Needs) -> None:
    with served(save_models("pictures", "redrawn")) as url:
        page, complaints = open_page(url, width=WIDTHS["phone"])
        page.focus("#paper")
        for key in ("ArrowUp", "ArrowUp", " ", *["ArrowDown"] * 8, " ", "ArrowLeft"):
            page.keyboard.press(key)
        page.wait_for_selector("#layers figure")
        assert page.inner_text("#answer") in ("a", "b", "c")
        line = page.evaluate(  # the pixels that are ink, of the paper's 560 x 560
            "[...document.getElementById('paper').getContext('2d').getImageData(280, 0, 1, 560).data]"
            ".filter((level, i) => i % 4 === 3 && level).length"
        )
        assert 8 * 560 / 28 < line < 12 * 560 / 28  # eight steps, and half of the pen's width at both ends
        page.keyboard.press("Delete")
        page.wait_for_selector(DONE)
        assert page.inner_text("#answer") == "nothing yet"
        page.click("text=redrawn")
        page.focus("#paper")
        page.keyboard.press(" ")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#layers figure:has-text('drawn anew: 1 × 8 × 8')")
        check_for_all(page, needs)
        assert complaints == []


def test_a_picture_file_is_read(open_page: OpenPage, save_models: Any, tmp_path: Path, needs: Needs) -> None:
    image = needs("PIL.Image")
    ink = np.full((40, 60), 250, np.uint8)
    ink[10:30, 28:32] = 5  # dark on bright: to be turned round
    image.fromarray(ink).save(tmp_path / "ink.png")
    (tmp_path / "no.png").write_bytes(b"no picture")
    with served(save_models("pictures")) as url:
        page, complaints = open_page(url)
        with page.expect_request("**/layers") as asked:
            page.set_input_files("#file", tmp_path / "ink.png")
        levels = np.array(asked.value.post_data_json["inputs"][0])
        assert levels.shape == (8, 8)
        assert levels[:, 3:5].max() > 0.3
        assert levels[:, [0, 1, 6, 7]].max() < 0.1
        page.wait_for_selector("#layers figure")
        page.set_input_files("#file", tmp_path / "no.png")
        page.wait_for_selector("#trouble:visible")
        assert "no.png is no picture" in page.inner_text("#trouble")
        assert complaints == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_iris_form_is_filled_in(width: int, open_page: OpenPage, save_models: Any, needs: Needs) -> None:
    paths = save_models("iris")
    from tinygrad_edu.serve import load

    with served(paths) as url:
        page, complaints = open_page(url, width=width)
        assert "4.3 to 7.9" in page.inner_text("form")
        for flower, species in (((5.1, 3.5, 1.4, 0.2), "setosa"), ((6.3, 3.3, 6.0, 2.5), "virginica")):
            for name, value in zip(("sepal length", "sepal width", "petal length", "petal width"), flower, strict=True):
                page.get_by_label(name).fill(str(value))
            page.keyboard.press("Enter")
            page.wait_for_selector(DONE)
            assert page.inner_text("#answer") == species
            shown = page.locator("meter").evaluate_all("meters => meters.map((meter) => meter.value)")
            assert shown == load(paths[0]).predict([flower]).probabilities[0].tolist()
        page.get_by_label("petal width").fill("")
        page.keyboard.press("Enter")  # the browser asks for it: nothing is sent
        check_for_all(page, needs)
        assert complaints == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_text_is_written_and_shows_where_it_looked(
    width: int, open_page: OpenPage, save_models: Any, needs: Needs
) -> None:
    with served(save_models("writer")) as url:
        page, complaints = open_page(url, width=width)
        page.get_by_label("The beginning").fill("The tree ")
        page.get_by_role("button", name="Write on").click()
        page.locator("#page .written").nth(31).wait_for(state="attached")  # a line break is not to be seen
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("#write:enabled")
        text = page.locator("#page").text_content()
        assert text.startswith("The tree ")
        assert set(text) <= set(LETTERS)
        page.focus("#page")
        for key in ("Home", *["ArrowRight"] * 12):
            page.keyboard.press(key)
        coloured = page.locator("#page span").evaluate_all("all => all.map((one) => one.style.backgroundColor)")
        assert [bool(colour) for colour in coloured[:12]] == [True] * 12
        assert not any(coloured[12:])
        assert "looked most at" in page.inner_text("#looked")
        place = next(i for i in range(20, len(text)) if text[i] != "\n")
        page.locator("#page span").nth(place).hover()
        assert page.locator("#page .chosen").evaluate("one => [...one.parentNode.children].indexOf(one)") == place
        check_for_all(page, needs)
        assert complaints == []


def test_a_sentence_is_classified_and_a_mistake_is_told(open_page: OpenPage, save_models: Any, needs: Needs) -> None:
    with served(save_models("sentence")) as url:
        page, complaints = open_page(url)
        page.fill("textarea", "The tree")
        page.get_by_role("button", name="Predict").click()
        page.wait_for_selector("meter")
        assert page.inner_text("#answer") in ("no", "yes")
        assert complaints == []
        page.fill("textarea", "The bee")
        page.wait_for_selector("#trouble:visible")
        assert "inputs/0" in page.inner_text("#trouble")
        check_for_all(page, needs)
        page.fill("textarea", "The tree")
        page.wait_for_selector("#trouble:visible", state="hidden")
        assert {complaint.split(":")[0] for complaint in complaints} == {"console error"}  # the browser's own, of a 422


def test_where_a_key_is_wanted_the_page_asks_for_it(open_page: OpenPage, save_models: Any, needs: Needs) -> None:
    with served(save_models("iris"), key="open sesame") as url:
        page, _ = open_page(url)
        page.get_by_role("button", name="Predict").click()
        page.wait_for_selector("#key")
        check_for_all(page, needs)
        page.get_by_label("Key of this service").fill("open sesame")
        page.get_by_role("button", name="Predict").click()
        page.wait_for_selector("meter")
        assert page.is_hidden("#trouble")
