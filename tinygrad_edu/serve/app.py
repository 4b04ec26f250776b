"""The Flask application: a request in, checked; the model's answer out, or a problem that says what was wrong.

    POST /predict                   the first model's answer          POST /models/NAME/predict   that model's
    GET  /models, /models/NAME      what there is                     GET  /openapi.json          the same, for programs
    GET  /healthz, /readyz          for whoever watches the process   GET  /metrics               for Prometheus

Sources: Flask's and gunicorn's documentation on deployment; OWASP API Security Top 10, 2023; OWASP Secure Headers.
"""

from __future__ import annotations

import hmac
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

import numpy as np
from flask import Flask, Response, request
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import ValidationError
from werkzeug.exceptions import HTTPException

from tinygrad_edu.serve import openapi, page
from tinygrad_edu.serve.batching import Batcher
from tinygrad_edu.serve.inputs import Pictures
from tinygrad_edu.serve.log import log
from tinygrad_edu.serve.metrics import CONTENT_TYPE, Metrics
from tinygrad_edu.serve.problems import PROBLEM, Problem, of_validation
from tinygrad_edu.serve.served import Answer, Served
from tinygrad_edu.serve.watch import ROUTE, Watch

Schema = TypeVar("Schema", bound=BaseModel)

OPEN = {"/", "/healthz", "/readyz", "/openapi.json", "/static/<path:filename>"}  # without a key


@dataclass(frozen=True)
class Settings:
    """What can be set about a service. Sizes in bytes, times in seconds."""

    max_batch: int = 32
    max_wait: float = 0.0
    max_rows: int = 1024  # of one request
    max_body: int = 1 << 23
    patience: float = 10.0  # for a group's turn to come
    key: str | None = None
    log_requests: bool = True


class Service:
    """The models, and what stands around them while a request is served: `app.extensions["tinygrad_edu"]`."""

    def __init__(self, models: Sequence[Served], settings: Settings) -> None:
        self.models = {model.name: model for model in models}
        self.settings, self.metrics = settings, Metrics()
        self._requests = {model.name: request_type(model, settings.max_rows) for model in models}
        self._compute = {model.name: self._batcher(model) for model in models}
        self.first = models[0]

    def _batcher(self, model: Served) -> Callable[[Any], Answer]:
        def compute(x: np.ndarray) -> Answer:
            answer = model.compute(x)
            self.metrics.computed(model.name, len(x))
            return answer

        settings, rows = self.settings, min(self.settings.max_batch, model.together)
        return Batcher(compute, rows=rows, seconds=settings.max_wait, patience=settings.patience)

    def served(self, name: str) -> Served:
        """The model of that name, or Problem 404."""
        if name not in self.models:
            raise Problem(404, f"there is no such model; there are: {', '.join(self.models)}")
        return self.models[name]

    def predict(self, model: Served) -> dict[str, Any]:
        """The answer to the request that is being served."""
        if isinstance(model.inputs, Pictures) and request.mimetype == "image/png":
            inputs: Any = model.inputs.from_png(self.body())
        else:
            inputs = self.read_json(self._requests[model.name]).inputs  # type: ignore[attr-defined]
        answer = self._compute[model.name](model.inputs.arrays(inputs))
        answer.check_finite()
        said = {"predictions": answer.predictions.tolist(), "model": model.name, "version": model.version}
        if answer.probabilities is not None:
            said["probabilities"] = answer.probabilities.tolist()
        return said

    def body(self) -> bytes:
        """The request's body, within the limit, or a Problem."""
        if request.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise Problem(415, "the body must come as it is, without a Content-Encoding")
        length, limit = request.content_length, self.settings.max_body
        # straight from gunicorn, which has it all: Werkzeug's own stream, made for others, takes longer than the model
        if length is None or length <= limit:
            data = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
            if len(data) <= limit:
                return data
        raise Problem(413, f"the body is larger than {limit} bytes")

    def read_json(self, schema: type[Schema]) -> Schema:
        """The request's body as a `schema`, or a Problem."""
        if request.environ.get("CONTENT_TYPE") != "application/json":  # what needs no closer look
            if request.mimetype != "application/json":
                raise Problem(415, "expected Content-Type: application/json")
            if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
                raise Problem(415, "JSON is UTF-8: expected no other charset")
        try:
            return schema.__pydantic_validator__.validate_json(self.body())
        except ValidationError as error:
            raise of_validation(error) from None

    def warm_up(self) -> None:
        """Have each model answer once, so that the first client does not wait for what is made at a first call."""
        for model in self.models.values():
            model.predict(model.inputs.example(1, np.random.default_rng(0)))

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        extra = {path: item for model in self.models.values() for path, item in page.openapi(model).items()}
        return openapi.document(self.models, self._requests, extra, self.settings.key is not None)


def request_type(model: Served, max_rows: int) -> type[BaseModel]:
    """pydantic's type of a model's request bodies: nothing is converted, nothing is passed over."""
    one: Any = model.inputs.schema()
    inputs: Any = Annotated[list[one], Field(min_length=1, max_length=max_rows)]
    config = ConfigDict(extra="forbid", strict=True)
    return create_model(f"Request of {model.name}", __config__=config, inputs=(inputs, ...))


def create_app(models: Sequence[Served], settings: Settings | None = None) -> Flask:
    """The application that serves these models; ValueError if two have one name."""
    settings = settings or Settings()
    check_names(models)
    service = Service(models, settings)
    app = Flask("tinygrad_edu.serve", static_folder=None)
    app.extensions["tinygrad_edu"] = service
    app.before_request(partial(_check_key, settings.key))
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)
    _routes(app, service)
    app.register_blueprint(page.page)
    app.wsgi_app = Watch(app.wsgi_app, service.metrics, settings.log_requests)  # type: ignore[method-assign]
    return app


def check_names(models: Sequence[Served]) -> None:
    """ValueError if two models have one name, or there is none."""
    names = [model.name for model in models]
    if not names:
        raise ValueError("expected at least one model to serve")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two models are called {name!r}; give one another name: NAME=FILE")


def _routes(app: Flask, service: Service) -> None:
    @app.post("/predict")
    def predict_first() -> Response:
        return _json(service.predict(service.first))

    @app.post("/models/<name>/predict")
    def predict(name: str) -> Response:
        return _json(service.predict(service.served(name)))

    @app.get("/models")
    def models() -> Response:
        return _json({"models": [model.describe() for model in service.models.values()]})

    @app.get("/models/<name>")
    def model(name: str) -> Response:
        return _json(service.served(name).describe())

    @app.get("/openapi.json")
    def described() -> Response:
        return _json(service.openapi())

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.text(), content_type=CONTENT_TYPE)

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("alive\n", content_type="text/plain; charset=utf-8")

    @app.get("/readyz")
    def readyz() -> Response:
        if request.environ.get("tinygrad_edu.stopping"):
            raise Problem(503, "this worker is stopping", headers={"Retry-After": "1"})
        return Response("ready\n", content_type="text/plain; charset=utf-8")


def _json(value: Any) -> Response:
    # a float's shortest text that reads as the same float: float32 came through float64 unchanged
    return Response(json.dumps(value, allow_nan=False), content_type="application/json")


def _check_key(key: str | None) -> None:
    route = request.url_rule.rule if request.url_rule is not None else "none"
    request.environ[ROUTE] = route
    if key is None or route in OPEN:
        return
    given = request.environ.get("HTTP_AUTHORIZATION", "")
    # compared in constant time, so that how long it takes does not tell how much of a guess is right
    if not hmac.compare_digest(given.encode("latin-1", "replace"), f"Bearer {key}".encode()):
        raise Problem(401, "expected the header Authorization: Bearer KEY", headers={"WWW-Authenticate": "Bearer"})


def _problem(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers, content_type=PROBLEM)


def _http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug refuse, such as an unknown path, as a problem too."""
    if error.code is None or error.code < 400:
        return _problem(Problem(404, "there is nothing at this path"))
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _problem(Problem(error.code, DETAILS.get(error.code, "the request was refused"), headers=headers))


DETAILS = {
    400: "the request is malformed",
    404: "there is nothing at this path",
    405: "this path knows other methods: see the header Allow",
    413: "the body is too large",
}


def _bug(error: Exception) -> Response:
    """Anything else is a mistake of ours: the log has it, the client is told no more than that."""
    log("error", level="error", error=f"{type(error).__name__}: {error}", where=_where(error))
    return _problem(Problem(500, "the service failed; its log says how"))


def _where(error: Exception) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
