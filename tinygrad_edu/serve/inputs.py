"""What a model takes: rows of a table, pictures or texts. From this come the schema, the check and the arrays.

    request body -> `schema()`, pydantic's type, checks every value and names the first wrong ones
                 -> `arrays()`, what the model computes on

A description is kept with the model as plain values: `describe()` gives them, `inputs_of` takes them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tinygrad_edu.errors import require
from tinygrad_edu.serve.problems import Problem

LARGEST = 1e18  # of a table's numbers: its square is a float32 still
MOST_PIXELS = 1 << 24  # of a PNG: unpacked, 64 MB
PNG_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)


@dataclass(frozen=True)
class Column:
    """A column of a table: "number" or "text"; where `missing`, null is a value too; `choices` are all that it may be.

    `low` and `high` are the range seen in training: a hint for a form, no limit.
    """

    name: str
    kind: str = "number"
    low: float | None = None
    high: float | None = None
    missing: bool = False
    choices: tuple[Any, ...] | None = None

    def schema(self) -> Any:
        """The type of a value."""
        kind: Any
        if self.choices is not None:
            kind = Literal[tuple(c for c in self.choices if c is not None)]
        elif self.kind == "text":
            kind = str
        else:
            kind = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
        return kind | None if self.missing else kind


@dataclass(frozen=True)
class Table:
    """Rows of a value for each column."""

    columns: tuple[Column, ...]
    type = "table"

    def schema(self) -> Any:
        """The type of a row: a list, of different types where the columns differ."""
        kinds, count = {(c.kind, c.missing, c.choices) for c in self.columns}, len(self.columns)
        if len(kinds) == 1:
            return Annotated[list[self.columns[0].schema()], Field(min_length=count, max_length=count)]  # type: ignore[misc]
        return tuple[tuple(column.schema() for column in self.columns)]  # type: ignore[misc]

    def arrays(self, rows: Sequence[Any]) -> np.ndarray:
        """Rows (N, D) as float64, missing ones as NaN; as objects where there is text."""
        return np.array(rows, float if all(column.kind == "number" for column in self.columns) else object)

    def example(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Rows to try a model with: within the range seen, where that is known."""
        return [[self._value(column, rng) for column in self.columns] for _ in range(count)]

    def _value(self, column: Column, rng: np.random.Generator) -> Any:
        if column.choices is not None:
            return column.choices[rng.integers(len(column.choices))]
        if column.kind == "text":
            return "text"
        low, high = (-2.0, 2.0) if column.low is None or column.high is None else (column.low, column.high)
        return float(rng.uniform(low, high))

    def describe(self) -> dict[str, Any]:
        """As plain values."""
        return {"type": self.type, "columns": [asdict(column) for column in self.columns]}


@dataclass(frozen=True)
class Pictures:
    """Pictures of `size` x `size` pixels from 0 to 1, (S, S) of one channel, else (C, S, S).

    The model computes on (x - mean) / std, which are one number a channel, or none.
    """

    size: int
    channels: int = 1
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    type = "pictures"

    def schema(self) -> Any:
        """The type of a picture."""
        kind: Any = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
        sides = [self.size, self.size] if self.channels == 1 else [self.size, self.size, self.channels]
        for side in sides:
            kind = Annotated[list[kind], Field(min_length=side, max_length=side)]
        return kind

    def arrays(self, pictures: Any) -> np.ndarray:
        """Pictures as float32 (N, C, S, S), normalised."""
        x = np.asarray(pictures, np.float32).reshape(-1, self.channels, self.size, self.size)
        if self.mean:
            x = (x - np.array(self.mean, np.float32)[:, None, None]) / np.array(self.std, np.float32)[:, None, None]
        return x

    def from_png(self, png: bytes) -> np.ndarray:
        """The picture in a PNG, (1, C, S, S): grey or in colours as the model wants it, transparent places black.

        One of another size is scaled. Raises Problem.
        """
        image = require("PIL.Image", "serve")
        try:
            with image.open(io.BytesIO(png), formats=["PNG"]) as picture:
                if picture.width * picture.height > MOST_PIXELS:  # asked before anything is unpacked
                    raise Problem(422, f"the PNG has more than {MOST_PIXELS} pixels")
                if picture.mode.startswith("I"):
                    raise Problem(422, "the PNG has 16 bits a channel: make it 8")
                picture = picture.convert("RGBA")
        except PNG_ERRORS as error:
            raise Problem(422, "the body is no PNG that can be read") from error
        black = image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = image.alpha_composite(black, picture).convert("L" if self.channels == 1 else "RGB")
        if picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), image.Resampling.LANCZOS)
        pixels = np.asarray(picture, np.float32) / 255.0  # (S, S) or (S, S, 3)
        return pixels[None, None] if self.channels == 1 else pixels.transpose(2, 0, 1)[None]

    def example(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Pictures to try a model with."""
        return rng.random((count, self.channels, self.size, self.size), np.float32)

    def describe(self) -> dict[str, Any]:
        """As plain values."""
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True)
class Text:
    """Texts of 1 to `length` of these characters, each by its place there a number to the model."""

    characters: tuple[str, ...]
    length: int
    type = "text"

    def schema(self, length: int | None = None) -> Any:
        """The type of a text; of another greatest length if one is given."""
        known = "".join("\\" + c if c in "\\]^-[" else {"\n": "\\n", "\t": "\\t"}.get(c, c) for c in self.characters)
        return Annotated[str, Field(min_length=1, max_length=length or self.length, pattern=f"^[{known}]+$")]

    def arrays(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Each text's numbers, (T,) int64."""
        numbers = {character: i for i, character in enumerate(self.characters)}
        return [np.array([numbers[character] for character in text], np.int64) for text in texts]

    def example(self, count: int, rng: np.random.Generator) -> list[str]:
        """Texts to try a model with."""
        T = min(self.length, 16)
        return ["".join(rng.choice(self.characters, T)) for _ in range(count)]

    def describe(self) -> dict[str, Any]:
        """As plain values."""
        return {"type": self.type, "characters": "".join(self.characters), "length": self.length}


Inputs = Table | Pictures | Text


def inputs_of(described: dict[str, Any]) -> Inputs:
    """The inverse of `describe`. ValueError for what it never gave."""
    values = dict(described)
    try:
        kind = values.pop("type")
        if kind == "table":
            return Table(tuple(Column(**_tuples(column)) for column in values["columns"]))
        if kind == "text":
            return Text(tuple(values["characters"]), values["length"])
        if kind == "pictures":
            return Pictures(**_tuples(values))
    except (KeyError, TypeError) as error:
        raise ValueError(f"expected what a model takes to be described as `describe` does, got {described}") from error
    raise ValueError(f"expected a model to take a table, pictures or text, got {kind!r}")


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
