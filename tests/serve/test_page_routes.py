"""The page's own routes, without a browser: the numbers are the network's, mistakes are told, nothing is executed."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.models.char_rnn import CharRNN
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.writing import write
from tinygrad_edu.plugins import LogisticRegression

EVIL = "</script><script>alert(1)</script>"
LETTERS = tuple("abc ")


@pytest.fixture
def models(tmp_path: Path, seeded: None) -> dict[str, Any]:
    """A network of pictures, one that writes, and a table with an evil column: the modules, and what serves them."""
    from tinygrad_edu.serve import Column, Pictures, Table, Text, load, save
    from tinygrad_edu.serve.app import Settings, create_app

    lenet, rnn = LeNet(1, 8, 3), CharRNN(len(LETTERS), width=8)
    table = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], ["no", EVIL])
    saved: dict[str, tuple[Any, dict[str, Any]]] = {
        "pictures": (
            lenet,
            {"architecture": "lenet", "settings": [1, 8, 3], "inputs": Pictures(8, 1, (0.5,), (0.25,))},
        ),
        "writer": (rnn, {"architecture": "char-rnn", "settings": [4, 8], "inputs": Text(LETTERS, 5)}),
        "table": (table, {"inputs": Table((Column(EVIL), Column("x", low=0.0, high=1.0, missing=True)))}),
    }
    for name, (model, how) in saved.items():
        save(tmp_path / f"{name}.safetensors", model, **how)
    app = create_app([load(tmp_path / f"{name}.safetensors") for name in saved], Settings(log_requests=False))
    return {"lenet": lenet, "rnn": rnn, "client": app.test_client()}


def test_the_layers_are_the_networks_own(models: dict[str, Any]) -> None:
    picture = np.random.default_rng(0).random((8, 8)).round(3)
    answer = models["client"].post("/models/pictures/layers", json={"inputs": [picture.tolist()]}).json
    layers = {layer["name"]: layer for layer in answer["layers"]}
    assert list(layers) == ["picture", "conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]
    assert layers["conv2"]["shape"] == layers["conv2"]["shown"] == [16, 4, 4]
    x = ((picture - 0.5) / 0.25).astype(np.float32)
    with tg.no_grad():
        logits = models["lenet"].eval()(tg.tensor(x[None, None])).numpy()[0]
    for name, expected in (("picture", x[None]), ("fc3", logits)):
        layer = layers[name]
        levels = np.frombuffer(base64.b64decode(layer["levels"]), np.int8).reshape(layer["shown"])
        largest = np.abs(expected).max()
        assert layer["largest"] == pytest.approx(largest, rel=1e-5)
        np.testing.assert_allclose(levels / 127.0 * largest, expected, atol=0.51 * largest / 127.0)  # half a level


def test_a_large_layer_is_shown_in_part_and_an_empty_one_at_all() -> None:
    from tinygrad_edu.serve.page import MAPS, layer

    many = layer("many", np.ones((MAPS + 1, 2, 3), np.float32))
    assert (many["shape"], many["shown"]) == ([MAPS + 1, 2, 3], [MAPS, 2, 3])
    assert base64.b64decode(layer("zeros", np.zeros(4, np.float32))["levels"]) == bytes(4)


def test_the_text_goes_on_as_the_model_writes_it(models: dict[str, Any]) -> None:
    asked = {"prompt": "abcabcab", "characters": 6, "temperature": 0.5, "seed": 3}
    answer = models["client"].post("/models/writer/generate", json=asked).json
    numbers = np.array([LETTERS.index(c) for c in asked["prompt"]])
    expected = list(write(models["rnn"], numbers, 6, np.random.default_rng(3), length=5, temperature=0.5))
    assert answer["text"] == "".join(LETTERS[token] for token, _ in expected)
    for looked, (_, weights) in zip(answer["attention"], expected, strict=True):
        np.testing.assert_allclose(looked, weights, atol=6e-4)  # three decimals are sent
    assert models["client"].post("/models/writer/generate", json=asked).json == answer


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        ("pictures/layers", {"inputs": []}, 422, "#/inputs"),
        ("pictures/layers", {"inputs": [[[0.5] * 8] * 7]}, 422, "#/inputs/0"),
        ("pictures/layers", {"inputs": [[[2.0] * 8] * 8]}, 422, "#/inputs/0/0/0"),
        ("pictures/layers", {"inputs": [[[0.5] * 8] * 8] * 2}, 422, "#/inputs"),
        ("writer/generate", {"prompt": ""}, 422, "#/prompt"),
        ("writer/generate", {"prompt": "abX"}, 422, "#/prompt"),
        ("writer/generate", {"prompt": "a", "characters": 257}, 422, "#/characters"),
        ("writer/generate", {"prompt": "a", "temperature": 0}, 422, "#/temperature"),
        ("writer/generate", {"prompt": "a", "seed": -1}, 422, "#/seed"),
        ("writer/generate", {"prompt": "a", "top": 1}, 422, "#/top"),
        ("table/layers", {"inputs": []}, 404, None),
        ("pictures/generate", {"prompt": "a"}, 404, None),
        ("nobody/generate", {"prompt": "a"}, 404, None),
    ],
)
def test_mistakes_are_told(models: dict[str, Any], path: str, body: Any, status: int, pointer: str | None) -> None:
    answer = models["client"].post(f"/models/{path}", json=body)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert [error["pointer"] for error in answer.json.get("errors", [])][:1] == ([pointer] if pointer else [])


def test_the_page_repeats_what_a_model_says_as_text(models: dict[str, Any]) -> None:
    html = models["client"].get("/?model=table").text
    assert "<script>alert" not in html
    assert html.count("&lt;/script&gt;") == 2  # the label of the evil column
    assert 'value="0.5"' in html  # the middle of what was seen
    assert "unsafe-inline" not in models["client"].get("/").headers["Content-Security-Policy"]
    assert models["client"].get("/?model=nobody").status_code == 404
    assert models["client"].get("/static/../page.py").status_code == 404


def test_the_routes_are_in_the_openapi_document(models: dict[str, Any]) -> None:
    paths = models["client"].get("/openapi.json").json["paths"]
    own = {path for path in paths if path.endswith(("/layers", "/generate"))}
    assert own == {"/models/pictures/layers", "/models/writer/generate"}


def test_few_wait_for_the_one_module(models: dict[str, Any]) -> None:
    from tinygrad_edu.serve import page

    served = models["client"].application.extensions["tinygrad_edu"].served("writer")
    with ExitStack() as stack:
        stack.enter_context(page.own_module(served))
        (*_, places) = page._own[served]
        for _ in range(page.PLACES - 1):
            places.acquire()
            stack.callback(places.release)
        answer = models["client"].post("/models/writer/generate", json={"prompt": "a"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert models["client"].post("/models/writer/generate", json={"prompt": "a"}).status_code == 200
