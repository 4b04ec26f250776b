"""The page to try a model on, and what it asks besides predictions: every layer's output, and text that goes on.

The page is made for the model's inputs: paper to draw on, a form with a field for each column, or a box to write in.
All that it needs comes from the package; the layers and the text are routes of their own, which anybody may ask.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import numpy as np
from flask import Blueprint, current_app, render_template, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from tinygrad_edu.serve.inputs import Column, Pictures, Text
from tinygrad_edu.serve.problems import Problem
from tinygrad_edu.serve.served import Served, ServedModule

MAPS, NUMBERS = 16, 512  # of a layer that are shown at most: feature maps; numbers of one that has no maps
PIECE = 256  # characters written for one request at most
PLACES = 2  # requests that may have, or wait for, the module that layers and text come from; each holds a thread
ABOUT = {
    "classify": "tells which of {n} classes {what} belongs to",
    "regress": "predicts a number for {what}",
    "cluster": "tells which cluster {what} belongs to",
    "transform": "gives other numbers for {what}",
    "next": "expects the next character of {what}",
    "reconstruct": "draws {what} anew from a short code",
}

page = Blueprint("page", __name__, static_folder="static", static_url_path="/static")
# A served model's module for us alone, whose turn it is, and who may wait
_own: WeakKeyDictionary[Any, tuple[Any, threading.Lock, threading.BoundedSemaphore]] = WeakKeyDictionary()


@page.get("/")
def index() -> str:
    """The page of the model that the query names, else of the first one."""
    service = current_app.extensions["tinygrad_edu"]
    names = list(service.models)
    served = service.served(request.args.get("model", names[0]))
    kind = kind_of(served)
    script = f"{'table' if kind == 'sentence' else kind}.js"
    return render_template("page.html", model=described(served), names=names, about=about(served), script=script)


def described(served: Served) -> dict[str, Any]:
    """What the page has to know of a model."""
    of_model, inputs = f"/models/{served.name}", served.inputs
    known = {
        "name": served.name,
        "version": served.version,
        "kind": kind_of(served),
        "task": served.task,
        "classes": served.classes,
        "predict": f"{of_model}/predict",
    }
    if isinstance(inputs, Pictures):
        layers = f"{of_model}/layers" if isinstance(served, ServedModule) else None
        return {**known, "size": inputs.size, "channels": inputs.channels, "layers": layers}
    if isinstance(inputs, Text):
        prompt = "The " if set("The ") <= set(inputs.characters) else inputs.characters[0]
        text = {"characters": "".join(inputs.characters), "length": inputs.length, "prompt": prompt}
        return {**known, **text, "generate": f"{of_model}/generate"}
    return {**known, "fields": [field(column) for column in inputs.columns]}


def kind_of(served: Served) -> str:
    """Which page a model gets."""
    if isinstance(served.inputs, Pictures):
        return "picture"
    if isinstance(served.inputs, Text):
        return "text" if served.task == "next" else "sentence"
    return "table"


def field(column: Column) -> dict[str, Any]:
    """One field of the form: its first value is the middle of what was seen in training, where that is known."""
    known = {"name": column.name, "kind": column.kind, "needed": not column.missing, "choices": column.choices}
    if column.low is None or column.high is None:
        return {**known, "value": None, "seen": ""}
    value = f"{(column.low + column.high) / 2:.3g}"
    return {**known, "value": value, "seen": f"{column.low:.4g} to {column.high:.4g}"}


def about(served: Served) -> str:
    """One sentence on what the model does."""
    what = {"picture": "a picture", "table": "a row of values"}.get(kind_of(served), "a text")
    does = ABOUT[served.task].format(what=what, n=len(served.classes or ()))
    return f"A model ({served.architecture}) that {does}."


def picture_of(served: Served) -> Any:
    """The schema of a body with one picture, as /predict takes it."""
    one: Any = Annotated[list[served.inputs.schema()], Field(min_length=1, max_length=1)]  # type: ignore[misc]
    return create_model("Picture", __config__=ConfigDict(extra="forbid", strict=True), inputs=(one, ...))


# JSON does not tell 82.0 from 82, strict pydantic does
whole = BeforeValidator(lambda v: int(v) if isinstance(v, float) and v.is_integer() else v)


class Beginning(BaseModel):
    """A text to go on from, and how to draw its next characters."""

    model_config = ConfigDict(extra="forbid", strict=True)
    prompt: str
    characters: Annotated[int, Field(ge=1, le=PIECE), whole] = 64
    temperature: float = Field(default=0.8, ge=0.01, le=10.0)
    top_k: Annotated[int, Field(ge=1), whole] | None = None
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    seed: Annotated[int, Field(ge=0, lt=2**63), whole] = 0


def beginning_of(served: Served) -> type[Beginning]:
    """The schema of a body for a model: the prompt has its characters only."""
    prompt: Any = served.inputs.schema(10_000)
    return create_model("Beginning", __base__=Beginning, prompt=(prompt, ...))


@page.post("/models/<name>/layers")
def layers(name: str) -> dict[str, Any]:
    """What every layer gives for one picture: names, shapes, and levels scaled by each layer's largest size."""
    from tinygrad_edu.models.layer_outputs import layer_outputs

    service = current_app.extensions["tinygrad_edu"]
    served = service.served(name)
    if not (isinstance(served, ServedModule) and isinstance(served.inputs, Pictures)):
        raise Problem(404, f"{name} is no network of pictures: it has no layers to show")
    picture = served.inputs.arrays(service.read_json(picture_of(served)).inputs)[0]  # (C, S, S)
    with own_module(served) as module:
        found = {"picture": picture, **layer_outputs(module, picture)}
    if served.task == "reconstruct":
        found["drawn anew"] = served.compute(picture[None]).predictions[0]
    return {"layers": [layer(*each) for each in found.items()], **answered_by(served)}


def layer(name: str, out: np.ndarray) -> dict[str, Any]:
    """One layer's output, (C, H, W) or (D,): the part that is shown as base64 of int8, 127 for the largest size."""
    shown = out[: MAPS if out.ndim == 3 else NUMBERS]
    largest = float(np.abs(shown).max(initial=0.0)) or 1.0
    levels = np.round(shown * (127.0 / largest)).astype(np.int8)
    return {
        "name": name,
        "shape": list(out.shape),
        "shown": list(shown.shape),
        "largest": largest,
        "levels": base64.b64encode(levels.tobytes()).decode(),
    }


@page.post("/models/<name>/generate")
def generate(name: str) -> dict[str, Any]:
    """The characters that the model goes on with, and for each the weights of those before it that attention read."""
    from tinygrad_edu.data.text import Vocabulary
    from tinygrad_edu.models.writing import write

    service = current_app.extensions["tinygrad_edu"]
    served = service.served(name)
    if not (isinstance(served, ServedModule) and isinstance(served.inputs, Text) and served.task == "next"):
        raise Problem(404, f"{name} is no network that writes")
    asked = service.read_json(beginning_of(served))
    vocabulary, length = Vocabulary(served.inputs.characters), served.inputs.length
    sampling = asked.model_dump(include={"temperature", "top_k", "top_p"})
    with own_module(served) as module:
        rng = np.random.default_rng(asked.seed)
        written = list(write(module, vocabulary.encode(asked.prompt), asked.characters, rng, length=length, **sampling))
    text = vocabulary.decode([token for token, _ in written])
    looked = [[] if weights is None else np.round(weights.astype(np.float64), 3).tolist() for _, weights in written]
    return {"text": text, "attention": looked, **answered_by(served)}


@contextmanager
def own_module(served: ServedModule) -> Iterator[Any]:
    """A second module on the model's weights, for hooks on it: one request at a time has it, and few may wait for it.

    Problem 503 for one too many: those that wait hold threads, which predictions need.
    """
    if served not in _own:
        _own.setdefault(served, (served.new_module(), threading.Lock(), threading.BoundedSemaphore(PLACES)))
    module, turn, places = _own[served]
    if not places.acquire(blocking=False):
        raise Problem(503, "too many requests wait for this model", headers={"Retry-After": "1"})
    try:
        with turn:
            yield module
    finally:
        places.release()


def answered_by(served: Served) -> dict[str, str]:
    """Which model it was that answered."""
    return {"model": served.name, "version": served.version}


def openapi(served: Served) -> dict[str, Any]:
    """What /openapi.json says of these routes, by path."""
    paths = {}
    if kind_of(served) == "text":
        paths["generate"] = operation(
            "The characters that a text goes on with", beginning_of(served), ["text", "attention"]
        )
    elif kind_of(served) == "picture" and isinstance(served, ServedModule):
        paths["layers"] = operation("What every layer gives for one picture", picture_of(served), ["layers"])
    return {f"/models/{served.name}/{route}": {"post": item} for route, item in paths.items()}


def operation(summary: str, schema: type[BaseModel], answers: list[str]) -> dict[str, Any]:
    """One operation of OpenAPI: its body, and what is in its answer."""
    answer = {"type": "object", "required": [*answers, "model", "version"]}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema.model_json_schema()}}},
        "responses": {"200": {"description": summary, "content": {"application/json": {"schema": answer}}}},
    }
