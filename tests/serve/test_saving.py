"""Models in files: what is kept, and what is refused before any of it is used."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import registry, state
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.plugins import KMeans, LinearRegression, LogisticRegression, RandomForestClassifier
from tinygrad_edu.serve import Column, Pictures, Table, Text, load, save
from tinygrad_edu.serve.inputs import inputs_of

Data = tuple[np.ndarray, np.ndarray]


def test_the_description_says_what_the_model_takes_and_gives(iris_file: Path) -> None:
    model = load(iris_file)
    described = model.describe()
    assert (described["name"], described["task"], described["format"]) == ("iris", "classify", "safetensors")
    assert described["architecture"] == "LogisticRegression"
    assert described["outputs"] == {"classes": ["setosa", "versicolor", "virginica"]}
    assert [column["name"] for column in described["inputs"]["columns"]] == ["x0", "x1", "x2", "x3"]
    assert len(model.version) == 12
    assert load(iris_file).version == model.version


@pytest.mark.parametrize(
    "inputs",
    [
        Table((Column("a", low=0.0, high=1.0), Column("b", "text", choices=("x", "y")), Column("c", missing=True))),
        Pictures(28, 3, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)),
        Text(("a", "]", "\n"), 10),
    ],
)
def test_descriptions_come_back_as_they_were(inputs: Any) -> None:
    assert inputs_of(inputs.describe()) == inputs


def test_a_files_columns_have_the_names_of_the_frame(iris: Data, needs: Callable[..., Any], tmp_path: Path) -> None:
    frame = needs("pandas").DataFrame(iris[0], columns=list("abcd"))
    save(tmp_path / "m.safetensors", LogisticRegression().fit(frame, iris[1]))
    assert [column.name for column in load(tmp_path / "m.safetensors").inputs.columns] == list("abcd")


def test_what_was_stored_by_columns_is_so_again(iris: Data, tmp_path: Path) -> None:
    estimator = LinearRegression().fit(*iris)
    estimator.coef_ = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    save(tmp_path / "m.safetensors", estimator)
    back = load(tmp_path / "m.safetensors").estimator.coef_  # type: ignore[attr-defined]
    np.testing.assert_array_equal(back, estimator.coef_)
    assert back.flags.f_contiguous
    assert not back.flags.c_contiguous


def test_weights_are_views_of_the_file(lenet_file: Path) -> None:
    model: Any = load(lenet_file)
    arrays = list(model.state.values())
    assert not any(array.flags.writeable or array.flags.owndata for array in arrays)
    first, second = model.module.conv1.weight.data, model.new_module().conv1.weight.data
    assert np.shares_memory(np.asarray(first), np.asarray(second))


def test_what_cannot_be_kept_is_named(iris: Data, tmp_path: Path) -> None:
    forest = RandomForestClassifier(n_estimators=2, random_state=np.random.RandomState(0)).fit(*iris)
    with pytest.raises(TypeError, match=r"RandomForestClassifier.random_state: .* give it a number for a random_state"):
        save(tmp_path / "m.safetensors", forest)
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("path", "settings", "complaint"),
    [
        ("m.skops", {}, "a Module goes to a .safetensors file"),
        ("m.safetensors", {}, "with `architecture` and `inputs`"),
        ("m.safetensors", {"architecture": "mlp", "settings": [3, 3]}, "expected '.*' of shape|unknown to MLP"),
        ("m.safetensors", {"architecture": "mpl", "settings": [2, 2]}, "unknown model 'mpl' .did you mean 'mlp'"),
    ],
)
def test_a_module_that_could_not_be_made_again(
    path: str, settings: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    inputs = Table((Column("a"), Column("b"))) if settings else None
    with pytest.raises(ValueError, match=complaint):
        save(tmp_path / path, MLP(2, 2), inputs=inputs, **settings)


@pytest.mark.parametrize(
    ("path", "model", "settings", "complaint"),
    [
        ("m.onnx", KMeans(2).fit([[0.0], [1.0]]), {}, "ends in .safetensors or .skops"),
        ("m.safetensors", KMeans(2), {}, "fit it first"),
        ("m.safetensors", tg, {}, "neither `predict` nor `transform`"),
        ("m.safetensors", LogisticRegression().fit([[0.0], [1.0]], [0, 1]), {"classes": "abc"}, "2 classes.*got 3"),
        ("m.skops", KMeans(2).fit([[0.0], [1.0]]), {"classes": "ab"}, "holds the estimator alone"),
    ],
)
def test_what_cannot_be_served_is_not_saved(
    path: str, model: Any, settings: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=complaint):
        save(tmp_path / path, model, **settings)


def test_a_flipped_bit_is_found(iris_file: Path, tmp_path: Path) -> None:
    raw = bytearray(iris_file.read_bytes())
    for place in (len(raw) - 3, len(raw) // 2, 20):
        broken = bytearray(raw)
        broken[place] ^= 4
        (tmp_path / "m.safetensors").write_bytes(broken)
        with pytest.raises(ValueError, match=r"m\.safetensors"):
            load(tmp_path / "m.safetensors")
    for length in (0, 7, 100, len(raw) - 1):
        (tmp_path / "m.safetensors").write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"m\.safetensors"):
            load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("os:system", "where no estimator is registered"),
        ("tinygrad_edu.state:save", "no estimator is registered"),
        ("tinygrad_edu.plugins.tree:Tree3", "not installed in this version"),
        ("tinygrad_edu.plugins.tree3:Tree", "not installed in this version"),
        ("tinygrad_edu.plugins.tree:np", "no class of that module"),
        ("tinygrad_edu.plugins._base:inspect", "no class of that module"),
    ],
)
def test_a_file_names_no_class_but_those_of_estimators(name: str, complaint: str, tmp_path: Path) -> None:
    described = '{"inputs": {"type": "table", "columns": []}, "classes": null}'
    tree = {"format": "tinygrad_edu.served/1", "described": described, "estimator": {"class": name, "items": {}}}
    state.save(tmp_path / "m.safetensors", tree)
    with pytest.raises(ValueError, match=complaint):
        load(tmp_path / "m.safetensors")


def test_files_that_hold_no_model(tmp_path: Path) -> None:
    state.save(tmp_path / "m.safetensors", {"weight": np.zeros(3)})
    with pytest.raises(ValueError, match=r"holds no model to serve; write it with tinygrad_edu.serve.save"):
        load(tmp_path / "m.safetensors")
    (tmp_path / "m.skops").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"not a .skops file to serve"):
        load(tmp_path / "m.skops")
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="unknown format"):
        load(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="there is no model file"):
        load(tmp_path / "n.skops")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "é", "a" * 65, "-a"])
def test_names_that_no_url_should_have(name: str, iris_file: Path) -> None:
    with pytest.raises(ValueError, match="is no name for a model"):
        load(iris_file, name)


def test_a_pickle_is_loaded_only_if_trusted(iris: Data, needs: Callable[[str], ModuleType], tmp_path: Path) -> None:
    model = needs("sklearn.linear_model").LogisticRegression().fit(*iris)
    for file, write in (("m.pkl", pickle.dumps), ("m.pickle", pickle.dumps)):
        (tmp_path / file).write_bytes(write(model))
        with pytest.raises(ValueError, match=r"a pickle runs whatever its author wrote .* --trust-pickle"):
            load(tmp_path / file)
        trusted = load(tmp_path / file, trust_pickle=True)
        np.testing.assert_array_equal(trusted.predict(iris[0]).predictions, model.predict(iris[0]))


class Bomb:
    """What a pickle can do."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemError('it went off')",)


def test_a_pickle_bomb_does_not_go_off_by_itself(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="--trust-pickle"):
        load(tmp_path / "m.pkl")


def test_skops_types_are_shown_and_must_be_trusted(iris: Data, needs: Callable[..., Any], tmp_path: Path) -> None:
    needs("sklearn")
    model = LogisticRegression().fit(*iris)  # of a package that skops knows nothing of
    save(tmp_path / "m.skops", model)
    kind = "tinygrad_edu.plugins.logistic_regression.LogisticRegression"
    with pytest.raises(ValueError, match=f"skops does not trust; if you do, say so with --trust-type {kind}"):
        load(tmp_path / "m.skops")
    trusted = load(tmp_path / "m.skops", trust_types=[kind])
    np.testing.assert_array_equal(trusted.predict(iris[0]).predictions, model.predict(iris[0]))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_edu.serve.saving.LARGEST", 1 << 20)
    with zipfile.ZipFile(tmp_path / "m.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"{}" + b" " * (2 << 20))
    with pytest.raises(ValueError, match="unpacks to"):
        load(tmp_path / "m.skops")


def test_an_estimator_of_a_package_that_is_gone(iris_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.installed(), "table", lambda kind: {})
    with pytest.raises(ValueError, match="install the package"):
        load(iris_file)
