"""GET /openapi.json: the service described for programs, made from the models that it serves.

The schemas are those that requests are checked against and answers are made by, so that the description cannot differ
from the service. Source: https://spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tinygrad_edu.serve.inputs import Pictures
from tinygrad_edu.serve.problems import PROBLEM
from tinygrad_edu.serve.served import Served

REASONS = {
    "400": "The body is no JSON, or the request no HTTP.",
    "401": "The service wants a key, and there is none or a wrong one.",
    "404": "There is no such model.",
    "405": "This path knows other methods.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
    "415": "The content type or encoding is not one that this model takes.",
    "422": "The body does not fit the schema, or is beyond what the model can compute.",
    "503": "Too many requests wait.",
}
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def document(
    models: dict[str, Served], requests: dict[str, type[BaseModel]], extra: dict[str, Any], with_key: bool
) -> dict[str, Any]:
    """The OpenAPI document; `requests` are the models' request types, `extra` other paths and what goes right there."""
    first = next(iter(models))
    schemas: dict[str, Any] = {"Problem": PROBLEM_SCHEMA, "Model": {"type": "object", "required": ["name", "version"]}}
    for name, model in models.items():
        schemas[f"{name}.Request"] = requests[name].model_json_schema()
        schemas[f"{name}.Answer"] = answer_schema(model)
    paths: dict[str, Any] = {"/predict": {"post": _predict(models[first], "predict")}}
    for name, model in models.items():
        paths[f"/models/{name}/predict"] = {"post": _predict(model, f"predict_{name}")}
        paths[f"/models/{name}"] = {"get": _get("describe_" + name, f"What {name!r} takes and gives.", _json("Model"))}
    listed = {"type": "object", "properties": {"models": {"type": "array", "items": _ref("Model")}}}
    paths["/models"] = {"get": _get("models", "All models.", {"application/json": {"schema": listed}})}
    paths["/metrics"] = {"get": _get("metrics", "Counters for Prometheus.", {"text/plain": {}})}
    paths["/healthz"] = {"get": _get("healthz", "Whether the process lives.", {"text/plain": {}}, probe=True)}
    paths["/readyz"] = {"get": _get("readyz", "Whether it can answer.", {"text/plain": {}}, probe=True)}
    for path, item in extra.items():
        for operation in item.values():
            operation["responses"] |= problems("400", "401", "404", "405", "408", "413", "415", "422", "503")
        paths[path] = item
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "tinygrad_edu models", "version": ", ".join(m.version for m in models.values()) or "0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if with_key:
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"key": []}]
    return described


def answer_schema(model: Served) -> dict[str, Any]:
    """The schema of a model's answers."""
    prediction: dict[str, Any] = {}
    if model.task == "classify":
        prediction = {"enum": model.classes}
    elif model.task == "cluster":
        prediction = {"type": "integer"}
    elif model.task == "next":
        prediction = {"type": "string"}
    properties: dict[str, Any] = {
        "predictions": {"type": "array", "items": prediction},
        "model": {"const": model.name},
        "version": {"const": model.version},
    }
    required = list(properties)
    if model.task in ("classify", "next"):
        row = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
        properties["probabilities"] = {"type": "array", "items": row}
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def problems(*statuses: str) -> dict[str, Any]:
    """The answers that go wrong."""
    return {s: {"description": REASONS[s], "content": {PROBLEM: {"schema": _ref("Problem")}}} for s in statuses}


def _predict(model: Served, identity: str) -> dict[str, Any]:
    content: dict[str, Any] = _json(f"{model.name}.Request")
    if isinstance(model.inputs, Pictures):
        content["image/png"] = {}
    return {
        "operationId": identity,
        "summary": f"Predictions of {model.name!r}.",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "One prediction an input, in order.", "content": _json(f"{model.name}.Answer")},
            **problems("400", "401", "405", "408", "413", "415", "422", "503"),
        },
    }


def _get(identity: str, summary: str, content: dict[str, Any], probe: bool = False) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "Here it is.", "content": content}}
    answers |= problems("400", "405", "503") if probe else problems("400", "401", "405", "503")
    item = {"operationId": identity, "summary": summary, "responses": answers}
    return {**item, "security": []} if probe else item


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(name)}}
