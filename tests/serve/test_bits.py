"""What comes through HTTP is what the model itself says, to the last bit: every model, every plugin, scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, registry
from tinygrad_edu.serve import Column, Pictures, Table, Text, save

LETTERS = tuple("abcdefghij \n")
CLASSES = ["no", "yes"]
MODULES: dict[str, tuple[Any, Any, Any]] = {  # settings, inputs, classes
    "mlp": ([3, 8, 2], Table(tuple(Column(name) for name in "abc")), CLASSES),
    "lenet": ({"size": 8, "classes": 2}, Pictures(8, mean=(0.1,), std=(0.3,)), CLASSES),
    "convnet": ({"size": 8, "channels": 3, "classes": 2}, Pictures(8, 3), CLASSES),
    "resnet": ({"depth": 8, "classes": 2}, Pictures(8, 3, (0.4, 0.5, 0.6), (0.2, 0.2, 0.2)), CLASSES),
    "vae": ({"size": 8, "hidden": 16, "code": 3}, Pictures(8), None),
    "conv-vae": ({"size": 8, "channels": 4, "code": 3}, Pictures(8), None),
    "rnn-classifier": ({"vocabulary": 12, "classes": 2, "width": 4, "hidden": 4}, Text(LETTERS, 30), CLASSES),
    "char-rnn": ({"vocabulary": 12, "width": 8}, Text(LETTERS, 30), None),
    "gpt": ({"vocabulary": 12, "context": 30, "layers": 1, "heads": 2, "width": 8}, Text(LETTERS, 30), None),
}
SKLEARN = (
    *("linear_model.LogisticRegression", "svm.SVC", "tree.DecisionTreeClassifier", "ensemble.RandomForestClassifier"),
    *("neighbors.KNeighborsClassifier", "linear_model.Ridge", "svm.SVR", "tree.DecisionTreeRegressor"),
    *("ensemble.GradientBoostingRegressor", "neighbors.KNeighborsRegressor"),
)


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
@pytest.mark.parametrize("name", MODULES)
def test_every_model(name: str, backend: str, tmp_path: Path) -> None:
    settings, inputs, classes = MODULES[name]
    with tg.use_backend(backend):
        tg.manual_seed(1)
        factory = registry.get("models", name)
        module = factory(**settings) if isinstance(settings, dict) else factory(*settings)
        module.eval()
        save(tmp_path / "m.safetensors", module, architecture=name, settings=settings, inputs=inputs, classes=classes)
        asked = inputs.example(3, np.random.default_rng(2))
        with tg.no_grad():
            predictions, probabilities = by_itself(name, module, inputs, asked)
    body = {"inputs": asked[:, 0].tolist() if getattr(inputs, "channels", 0) == 1 else _plain(asked)}
    answer = ask(tmp_path / "m.safetensors", body, backend=backend)
    if classes is not None or probabilities is not None:
        assert_bits(answer["probabilities"], probabilities)
        known = classes if classes is not None else LETTERS
        assert answer["predictions"] == [known[i] for i in probabilities.argmax(-1)]
    else:
        assert_bits(answer["predictions"], predictions)


def by_itself(name: str, module: nn.Module, inputs: Any, asked: Any) -> tuple[Any, Any]:
    """Predictions or probabilities, without anything of the service's; the answer is computed in one call, or for each
    text in one."""
    if isinstance(inputs, Text):
        numbers = [tg.tensor([[LETTERS.index(letter) for letter in text]]) for text in asked]
        outs = [module(x) for x in numbers]
        logits = [out[0] if isinstance(out, tuple) else out for out in outs]
        last = [x if name == "rnn-classifier" else x[:, -1] for x in logits]
        return None, np.concatenate([x.softmax(-1).numpy() for x in last])
    x = np.array(asked, np.float32)
    if isinstance(inputs, Pictures) and inputs.mean:
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (inputs.mean, inputs.std))
        x = (x - mean) / std
    if "vae" in name:
        return module.decode(module.encode(tg.tensor(x))[0]).sigmoid().numpy(), None  # type: ignore[operator]
    return None, module(tg.tensor(x)).softmax(-1).numpy()


@pytest.mark.parametrize("name", registry.names("estimators"))
def test_every_plugin(name: str, iris: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, y = iris
    estimator = registry.get("estimators", name)()()
    if name == "one-hot-encoder":
        X = np.array([["a", "x"], ["b", "y"], ["c", "x"]], object)
    if name == "simple-imputer":
        X = np.where(X > 8.0, np.nan, X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y[: len(X)])
    save(tmp_path / "m.safetensors", estimator)
    assert_estimator(tmp_path / "m.safetensors", estimator, X[:10])


@pytest.mark.parametrize("name", SKLEARN)
def test_of_scikit_learn(
    name: str, iris: tuple[np.ndarray, np.ndarray], needs: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    module, _, kind = name.partition(".")
    estimator = getattr(needs(f"sklearn.{module}"), kind)().fit(*iris)
    save(tmp_path / "m.skops", estimator)
    asked_for = needs("skops.io").get_untrusted_types(file=tmp_path / "m.skops")  # the trees' insides
    assert all(kind.startswith("sklearn.") for kind in asked_for)
    assert_estimator(tmp_path / "m.skops", estimator, iris[0][::9], trust_types=asked_for)


def assert_estimator(path: Path, estimator: Any, X: np.ndarray, **options: Any) -> None:
    """All rows at once, and one by one."""
    for rows in (X, X[:1], X[1:2]):
        answer = ask(path, {"inputs": _plain(rows)}, **options)
        own = estimator.predict(rows) if hasattr(estimator, "predict") else estimator.transform(rows)
        assert_bits(answer["predictions"], own)
        if hasattr(estimator, "predict_proba"):
            assert_bits(answer["probabilities"], estimator.predict_proba(rows))


def ask(path: Path, body: Any, **options: Any) -> Any:
    from tinygrad_edu.serve.app import Settings, create_app
    from tinygrad_edu.serve.saving import load

    client = create_app([load(path, **options)], Settings(log_requests=False)).test_client()
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    return response.json


def assert_bits(said: list[Any], own: np.ndarray) -> None:
    """A list from JSON holds the very numbers of an array, bit for bit; read as float64, too."""
    own = np.asarray(own)
    assert np.array(said, own.dtype).tobytes() == own.tobytes()
    assert said == own.tolist()


def _plain(rows: Any) -> list[Any]:
    """Rows as JSON has them: NaN is null."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "f":
        return np.where(np.isnan(rows), None, rows.astype(object)).tolist()
    return rows.tolist() if isinstance(rows, np.ndarray) else list(rows)
