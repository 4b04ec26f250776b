"""What is wrong with a request, as a problem document: status, a sentence, and the place in the body.

    {"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
     "detail": "the body does not fit the schema that /openapi.json gives",
     "errors": [{"pointer": "#/inputs/0/2", "detail": "Input should be a valid number"}]}

No value that a client sent is repeated in it. Source: RFC 9457, "Problem Details for HTTP APIs"; the member `errors`,
with JSON pointers, is that of its section 3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic_core import ValidationError

PROBLEM = "application/problem+json"
MOST_ERRORS = 20  # of the places that are named: a client mends one kind of mistake after the other


class Problem(Exception):
    """Raised anywhere while a request is served; becomes the answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = HTTPStatus(status), detail, list(errors), headers or {}

    def body(self) -> bytes:
        """The document."""
        document: dict[str, Any] = {"type": "about:blank", "title": self.status.phrase, "status": self.status.value}
        document["detail"] = self.detail
        if self.errors:
            document["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in self.errors]
        return json.dumps(document).encode()


def of_validation(error: ValidationError) -> Problem:
    """The Problem of a body that pydantic refuses: 400 where it is no JSON at all, else 422."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return Problem(400, found[0]["msg"])
    errors = [(pointer(e["loc"]), e["msg"]) for e in found[:MOST_ERRORS]]
    return Problem(422, "the body does not fit the schema that /openapi.json gives", errors)


def pointer(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a place in a body, as a URI's fragment.

    >>> pointer(["inputs", 0, 2])
    '#/inputs/0/2'
    """
    return "#/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)
