"""The application: its routes, and what it answers to requests that it cannot serve."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.serve import load

ROW = [5.1, 3.5, 1.4, 0.2]
JSON = "application/json"


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem document that a response must be."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["status"] == status
    assert response.json["title"]
    assert response.json["detail"]
    return response.json


def test_an_answer(client: Callable[..., Any], iris_file: Path) -> None:
    answer = client(iris_file).post("/predict", json={"inputs": [ROW, ROW]}).json
    model = load(iris_file)
    assert answer == {
        "predictions": model.predict([ROW, ROW]).predictions.tolist(),
        "probabilities": model.predict([ROW, ROW]).probabilities.tolist(),  # type: ignore[union-attr]
        "model": "iris",
        "version": model.version,
    }


def test_each_model_has_its_path_and_the_first_one_a_short_one(
    client: Callable[..., Any], iris_file: Path, char_file: Path
) -> None:
    asked = client(iris_file, char_file)
    assert asked.post("/models/iris/predict", json={"inputs": [ROW]}).json["model"] == "iris"
    assert asked.post("/models/char/predict", json={"inputs": ["ab]\n"]}).json["model"] == "char"
    assert asked.post("/predict", json={"inputs": [ROW]}).json["model"] == "iris"
    names = [model["name"] for model in asked.get("/models").json["models"]]
    assert names == ["iris", "char"]
    assert asked.get("/models/char").json["links"] == {"predict": "/models/char/predict"}
    assert asked.get("/models/char").json["inputs"] == {"type": "text", "characters": "ab ]\n", "length": 20}


def test_probes_metrics_and_headers(client: Callable[..., Any], iris_file: Path) -> None:
    asked = client(iris_file)
    asked.post("/predict", json={"inputs": [ROW, ROW]})
    assert asked.get("/healthz").text == "alive\n"
    assert asked.get("/readyz").text == "ready\n"
    metrics = asked.get("/metrics").text
    assert 'requests_total{route="/predict",status="200"} 1.0' in metrics
    assert 'computed_rows_sum{model="iris"} 2.0' in metrics
    problem(asked.get("/readyz", environ_overrides={"tinygrad_edu.stopping": True}), 503)
    for path in ("/healthz", "/nothing"):
        headers = asked.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "script-src 'self'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "status", "places"),
    [
        ({"inputs": [[5.1, 3.5, 1.4]]}, 422, ["#/inputs/0"]),
        ({"inputs": [ROW, [1, 2, "3", True]]}, 422, ["#/inputs/1/2", "#/inputs/1/3"]),
        ({"inputs": [[1, 2, 3, None]]}, 422, ["#/inputs/0/3"]),
        ({"inputs": [[1, 2, 3, 1e300]]}, 422, ["#/inputs/0/3"]),
        ({"inputs": []}, 422, ["#/inputs"]),
        ({"inputs": [ROW] * 1025}, 422, ["#/inputs"]),
        ({"inputs": {"0": ROW}}, 422, ["#/inputs"]),
        ({"inputs": [ROW], "a/b~": 1}, 422, ["#/a~1b~0"]),
        ({}, 422, ["#/inputs"]),
        ([ROW], 422, ["#/"]),
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"inputs": [[1, 2, 3, NaN]]}', 422, ["#/inputs/0/3"]),
        (b'{"inputs": [[1, 2, 3, -Infinity]]}', 422, ["#/inputs/0/3"]),
        (b'{"inputs": [[1, 2, 3, 1e400]]}', 422, ["#/inputs/0/3"]),
        (b'{"inputs": [[1, 2, 3, ' + b"9" * 5000 + b"]]}", 400, None),
        (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, None),
        (b'{"a":' * 100_000, 400, None),
        (b'{"inputs": "\xff"}', 400, None),
        (json.dumps({"inputs": [ROW]}).encode("utf-16"), 400, None),
        (b"\x80\x04\x95c__main__\nBomb\n.", 400, None),  # as a pickle begins
    ],
)
def test_bodies_that_do_not_fit(
    body: Any, status: int, places: list[str] | None, client: Callable[..., Any], iris_file: Path
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body)
    said = problem(client(iris_file).post("/predict", data=data, content_type=JSON), status)
    assert [error["pointer"] for error in said.get("errors", [])] == (places or [])


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("text/plain", {}),
        ("", {}),
        ("application/x-www-form-urlencoded", {}),
        ("application/json; charset=utf-16", {}),
        (JSON, {"Content-Encoding": "gzip"}),
        ("image/png", {}),
    ],
)
def test_types_that_are_not_taken(
    content_type: str, headers: dict[str, str], client: Callable[..., Any], iris_file: Path
) -> None:
    body = json.dumps({"inputs": [ROW]})
    problem(client(iris_file).post("/predict", data=body, content_type=content_type, headers=headers), 415)


def test_utf_8_may_be_said(client: Callable[..., Any], iris_file: Path) -> None:
    body, content_type = json.dumps({"inputs": [ROW]}), "application/json; charset=UTF-8"
    assert client(iris_file).post("/predict", data=body, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/models/nix", "/models/..", "/models/../../etc/passwd", "/models/..%2f..%2fetc%2fpasswd", "/models/%00"),
        *("/static/..%2fapp.py", "/static/%2e%2e/app.py", "/models/iris.safetensors", "/nothing", "/models/iris/"),
        "/models/" + 5000 * "a",
    ],
)
def test_paths_where_there_is_nothing(path: str, client: Callable[..., Any], iris_file: Path) -> None:
    said = problem(client(iris_file).get(path), 404)
    assert len(said["detail"]) < 100


def test_a_method_that_a_path_does_not_know(client: Callable[..., Any], iris_file: Path) -> None:
    response = client(iris_file).get("/predict")
    problem(response, 405)
    assert "POST" in response.headers["Allow"]


def test_a_large_body(client: Callable[..., Any], iris_file: Path) -> None:
    asked = client(iris_file, max_body=1000)
    assert "1000 bytes" in problem(asked.post("/predict", data=b" " * 1001, content_type=JSON), 413)["detail"]
    assert asked.post("/predict", data=json.dumps({"inputs": [ROW]}).ljust(1000), content_type=JSON).status_code == 200


def test_text_of_other_characters(client: Callable[..., Any], char_file: Path) -> None:
    asked = client(char_file)
    for text in ("abc", "", "a" * 21, "a\u0000", "a[", "a-z"):
        problem(asked.post("/predict", json={"inputs": [text]}), 422)
    assert asked.post("/predict", json={"inputs": ["]]", "\n"]}).status_code == 200


def png(array: np.ndarray, mode: str, needs: Callable[[str], ModuleType]) -> bytes:
    out = io.BytesIO()
    needs("PIL.Image").fromarray(array, mode).save(out, "PNG")
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_pictures_as_png(client: Callable[..., Any], lenet_file: Path, needs: Callable[[str], ModuleType]) -> None:
    asked = client(lenet_file)
    grey = np.arange(144, dtype=np.uint8).reshape(12, 12)
    expected = asked.post("/predict", json={"inputs": [(grey.astype(np.float32) / 255).tolist()]}).json
    colours = np.repeat(grey[..., None], 3, -1)
    alpha = np.concatenate([colours, np.full((12, 12, 1), 255, np.uint8)], -1)
    for array, mode in ((grey, "L"), (colours, "RGB"), (alpha, "RGBA")):
        said = asked.post("/predict", data=png(array, mode, needs), content_type="image/png")
        assert said.json == expected, mode
    clear = png(np.dstack([colours, np.zeros_like(grey)]), "RGBA", needs)
    black = asked.post("/predict", json={"inputs": np.zeros((1, 12, 12)).tolist()}).json
    assert asked.post("/predict", data=clear, content_type="image/png").json == black
    large = png(np.zeros((40, 30), np.uint8), "L", needs)
    assert asked.post("/predict", data=large, content_type="image/png").json == black


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_pngs_that_are_none(client: Callable[..., Any], lenet_file: Path, needs: Callable[[str], ModuleType]) -> None:
    asked = client(lenet_file)
    whole = png(np.zeros((12, 12), np.uint8), "L", needs)
    bomb = bytearray(whole)
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # the header claims so many pixels
    rng = np.random.default_rng(0)
    broken = []
    for _ in range(200):
        noise = bytearray(whole)
        noise[rng.integers(8, len(noise))] ^= 1 << rng.integers(8)
        broken.append(bytes(noise))
    for data in (b"", whole[:20], whole[:45], bytes(bomb), b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(50)):
        problem(asked.post("/predict", data=data, content_type="image/png"), 422)
    for data in broken:
        assert asked.post("/predict", data=data, content_type="image/png").status_code in (200, 422)


def test_an_answer_that_is_no_number(client: Callable[..., Any], iris_file: Path, monkeypatch: Any) -> None:
    from tinygrad_edu.plugins import LogisticRegression

    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda self, X: np.array([[0.5], [np.nan]]))
    said = problem(client(iris_file).post("/predict", json={"inputs": [ROW, ROW]}), 422)
    assert said["errors"][0]["pointer"] == "#/inputs/1"


def test_a_mistake_of_ours_tells_the_log_alone(
    client: Callable[..., Any], iris_file: Path, monkeypatch: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    from tinygrad_edu.plugins import LogisticRegression

    def fails(self: Any, X: Any) -> Any:
        raise LookupError("the secret")

    asked = client(iris_file)
    monkeypatch.setattr(LogisticRegression, "predict", fails)
    response = asked.post("/predict", json={"inputs": [ROW]})
    problem(response, 500)
    assert "secret" not in response.text
    assert json.loads(capfd.readouterr().err)["error"] == "LookupError: the secret"


def test_a_key(client: Callable[..., Any], iris_file: Path) -> None:
    asked = client(iris_file, key="right")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "right"}, {"Authorization": "Bearer "}):
        for path in ("/predict", "/models/iris/predict", "/models/iris/layers"):
            response = asked.post(path, json={"inputs": [ROW]}, headers=headers)
            problem(response, 401)
            assert response.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/models", "/metrics", "/nothing"):
        problem(asked.get(path), 401)
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert asked.get(path).status_code == 200
    right = {"Authorization": "Bearer right"}
    assert asked.post("/predict", json={"inputs": [ROW]}, headers=right).status_code == 200


def test_two_models_of_one_name(client: Callable[..., Any], iris_file: Path) -> None:
    with pytest.raises(ValueError, match="two models are called 'iris'; give one another name: NAME=FILE"):
        client(iris_file, iris_file)


def test_the_description_for_programs(client: Callable[..., Any], iris_file: Path, lenet_file: Path) -> None:
    described = client(iris_file, lenet_file, key="k").get("/openapi.json").json
    assert described["openapi"] == "3.1.0"
    assert described["security"] == [{"key": []}]
    row = described["components"]["schemas"]["iris.Request"]["properties"]["inputs"]["items"]
    assert (row["minItems"], row["maxItems"], row["items"]["type"]) == (4, 4, "number")
    assert "image/png" in described["paths"]["/models/lenet/predict"]["post"]["requestBody"]["content"]
    classes = described["components"]["schemas"]["iris.Answer"]["properties"]["predictions"]["items"]["enum"]
    assert classes == ["setosa", "versicolor", "virginica"]
