"""A model as it is served: what goes in, what comes out, and the computation between, whatever made the model.

    classify      predictions: a class a row, probabilities (N, K) where the model gives some
    regress       predictions: numbers, (N,) or (N, targets)
    cluster       predictions: the cluster of each row
    transform     predictions: rows of other numbers, (N, columns)
    next          predictions: the likeliest next character of each text, probabilities (N, characters)
    reconstruct   predictions: each picture as the autoencoder draws it again, from the mean of its code

`predict` is a plain function of its inputs: over HTTP the very same one is called, and its numbers are written so that
reading them gives the same bits.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import nn, registry
from tinygrad_edu.serve.inputs import Column, Inputs, Table, Text
from tinygrad_edu.serve.problems import Problem


@dataclass
class Answer:
    """Of N inputs the N predictions, and what probability each class has, if the model knows."""

    predictions: np.ndarray
    probabilities: np.ndarray | None = None

    def __getitem__(self, rows: slice) -> Answer:
        return Answer(self.predictions[rows], None if self.probabilities is None else self.probabilities[rows])

    def tobytes(self) -> bytes:
        """All bits of it."""
        return self.predictions.tobytes() + (b"" if self.probabilities is None else self.probabilities.tobytes())

    def check_finite(self) -> None:
        """Raise Problem where a number is none: JSON has no word for it, and no client can use it."""
        for array in (self.predictions, self.probabilities):
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0][0])
                raise Problem(422, "the model's answer is no finite number", [(f"#/inputs/{row}", "out of its range")])


class Served:
    """A model with its name and version. `compute` is what a subclass defines."""

    task: str
    architecture: str

    def __init__(self, inputs: Inputs, classes: list[Any] | None) -> None:
        self.inputs: Any = inputs  # of one of the three kinds, which have the same methods
        self.classes = classes
        self.name, self.version, self.format = "", "", ""  # set by `load`
        self.together = 1  # rows of several requests that are computed at once; see `trial`

    def compute(self, x: Any) -> Answer:
        """The answer to arrays, as `inputs.arrays` gives them."""
        raise NotImplementedError

    def predict(self, inputs: Any) -> Answer:
        """The answer to inputs as they are in a request: rows, pictures, texts."""
        return self.compute(self.inputs.arrays(inputs))

    def describe(self) -> dict[str, Any]:
        """What GET /models/NAME answers."""
        return {
            "name": self.name,
            "version": self.version,
            "format": self.format,
            "architecture": self.architecture,
            "task": self.task,
            "inputs": self.inputs.describe(),
            "outputs": {} if self.classes is None else {"classes": self.classes},
            "links": {"predict": f"/models/{self.name}/predict"},
        }


class ServedEstimator(Served):
    """A fitted estimator of scikit-learn's contract, ours or another's."""

    def __init__(self, estimator: Any, inputs: Inputs | None = None, classes: list[Any] | None = None) -> None:
        self.estimator, self.architecture = estimator, type(estimator).__name__
        self.labels = getattr(estimator, "classes_", None)
        if self.labels is not None and classes is not None and len(classes) != len(self.labels):
            raise ValueError(f"expected {len(self.labels)} classes, as the {self.architecture} has, got {len(classes)}")
        if self.labels is not None and hasattr(estimator, "predict"):
            self.task = "classify"
        elif hasattr(estimator, "predict"):
            self.task = "cluster" if hasattr(estimator, "cluster_centers_") else "regress"
        elif hasattr(estimator, "transform"):
            self.task = "transform"
        else:
            raise ValueError(f"a {self.architecture} has neither `predict` nor `transform`: it cannot be served")
        names = None if self.task != "classify" else classes or np.asarray(self.labels).tolist()
        self.renamed = None if classes is None else np.array(classes)
        super().__init__(inputs or columns_of(estimator), names)

    def compute(self, x: np.ndarray) -> Answer:
        """(N, D) -> the estimator's own predictions. ValueError of its own becomes a Problem: it is about the data."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as that it was fitted with feature names: the order is the schema's
            try:
                if self.task == "transform":
                    return Answer(dense(self.estimator.transform(x)))
                predictions = np.asarray(self.estimator.predict(x))
                probabilities = None
                if self.task == "classify" and hasattr(self.estimator, "predict_proba"):
                    probabilities = np.asarray(self.estimator.predict_proba(x))
            except ValueError as error:
                raise Problem(422, f"the model refuses these inputs: {error}") from error
        if self.renamed is not None and self.labels is not None:
            predictions = self.renamed[np.searchsorted(self.labels, predictions)]
        return Answer(predictions, probabilities)


def dense(x: Any) -> np.ndarray:
    """What `transform` gives as an array: scikit-learn's may be a sparse matrix."""
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)


def columns_of(estimator: Any) -> Table:
    """The columns that an estimator was fitted on."""
    count = getattr(estimator, "n_features_in_", None)
    if count is None:
        raise ValueError(f"{type(estimator).__name__}: it has no n_features_in_: fit it first, or say what it takes")
    names = getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(count)])
    categories = getattr(estimator, "categories_", [np.empty(0)] * count)
    missing = bool(getattr(estimator, "_nan_is_missing", lambda: False)()) or _sklearn_allows_nan(estimator)
    columns = []
    for name, known in zip(names, categories, strict=True):
        text = np.asarray(known).dtype.kind in "UO"
        fixed = text and getattr(estimator, "handle_unknown", "error") == "error"
        choices = tuple(known.tolist()) if fixed else None
        columns.append(Column(str(name), "text" if text else "number", missing=missing and not text, choices=choices))
    return Table(tuple(columns))


def _sklearn_allows_nan(estimator: Any) -> bool:
    if not type(estimator).__module__.startswith("sklearn."):
        return False
    return bool(estimator.__sklearn_tags__().input_tags.allow_nan)


class ServedModule(Served):
    """A neural model of ours, on weights that are mapped from its file."""

    def __init__(
        self,
        model: str,
        settings: Any,
        state: dict[str, np.ndarray],
        inputs: Inputs,
        classes: list[Any] | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__(inputs, classes)
        self.architecture, self.settings, self.state = model, settings, state
        self.backend = registry.backend(backend or registry.default_backend_name())
        self.module = self.new_module()
        self.task = self._task()
        self.names = None if classes is None else np.array(classes)

    def _task(self) -> str:
        if hasattr(self.module, "encode") and hasattr(self.module, "decode"):
            return "reconstruct"
        if self.classes is not None:
            return "classify"
        return "next" if isinstance(self.inputs, Text) else "regress"

    def new_module(self) -> nn.Module:
        """A module on the same weights, for whoever wants hooks of their own on it."""
        with tg.use_backend(self.backend.name):
            module = build(self.architecture, self.settings)
        own = module.state_dict()
        if own.keys() != self.state.keys():
            raise ValueError(f"its weights are not those of {self.architecture!r} with {self.settings}")
        for name, tensor in module._named_tensors():
            array = self.state[name]
            if array.shape != tensor.shape or array.dtype != tensor.dtype:
                raise ValueError(f"expected '{name}' of shape {tensor.shape}, {tensor.dtype}, got {array.shape}")
            tensor.data = self.backend.from_numpy(array)
        return module.eval().requires_grad_(False)

    def compute(self, x: Any) -> Answer:
        """Arrays -> what the module makes of them, in one call; of texts, in one each, as their lengths differ."""
        with tg.no_grad():
            if isinstance(self.inputs, Text):
                outs = [self._call(text[None]) for text in x]
                last = [out[:, -1] if self.task == "next" else out for out in outs]
                return self._answer(np.concatenate([out.softmax(-1).numpy() for out in last]))
            if self.task == "reconstruct":
                autoencoder: Any = self.module
                mean, _ = autoencoder.encode(self._tensor(x))
                return Answer(autoencoder.decode(mean).sigmoid().numpy())
            out = self._call(np.asarray(x, np.float32))
            return self._answer(out.softmax(-1).numpy()) if self.task == "classify" else Answer(out.numpy())

    def _tensor(self, x: np.ndarray) -> tg.Tensor:
        return tg.Tensor(self.backend.from_numpy(x), self.backend)

    def _call(self, x: np.ndarray) -> tg.Tensor:
        out = self.module(self._tensor(x))
        return out[0] if isinstance(out, tuple) else out  # a recurrent model gives its state, too

    def _answer(self, probabilities: np.ndarray) -> Answer:
        best = probabilities.argmax(-1)
        if self.task == "next":
            return Answer(np.array(self.inputs.characters)[best], probabilities)
        return Answer(best if self.names is None else self.names[best], probabilities)


def build(model: str, settings: Any) -> nn.Module:
    """The registered model of a name, with its settings: a dict of keywords, or a list."""
    factory = registry.get("models", model)
    return factory(**settings) if isinstance(settings, dict) else factory(*settings)
