"""A reader of comma-separated values: a file as a Table, or an error that tells the row and the column.

A file comes from somewhere else, and a guess that is wrong spoils every figure after it without a word. So a file is
either read as its author meant it, or refused with the place where it goes wrong and what to do about it. Rows are
counted as a spreadsheet does: the header is row 1, a text with a line break in it is one cell.

Source of the format: Y. Shafranovich, RFC 4180, 2005, section 2. Taken beyond it: any line end, blank lines (skipped),
blanks around a cell that is not in quotation marks (dropped) and around the marks, other delimiters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinygrad_edu.data.table import Table, text_column
from tinygrad_edu.errors import unknown

MISSING = ("NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-", "?")  # beside nothing at all, among numbers
UNREADABLE = re.compile("[\0\udc80-\udcff]")  # no text has a NUL; the others stand for bytes that are no character
# What may be meant as a number in another notation than the one told: 1,234.5 and 1.234,5, 12 000 and 3,14.
GROUPED = re.compile(r"[+-]?[0-9]+(?:(?:[ ,'_\u00a0\u202f][0-9]{3})*(?:\.[0-9]+)?|(?:\.[0-9]{3})*(?:,[0-9]+)?)")


def read_csv(
    source: str | Path | IO[Any],
    *,
    delimiter: str = ",",
    header: bool | None = None,
    text: Collection[str] = (),
    missing: Collection[str] = MISSING,
    thousands: str = "",
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Table:
    """The Table in a CSV file: a path, or an open file.

    A column whose values are all numbers is one of numbers; there a blank cell, or one of the words `missing`, is a
    missing value. Any other column is one of texts, and so are those named in `text`.

    `header`: None, there is one, and none of its names is a number; True, whatever its names are; False, there is none:
    the columns are then called "column 1" and so on. `thousands` and `decimal`: the signs within a number, 1,234.5.
    `encoding`: UTF-8, with or without its mark, if not given.

    ValueError, with row and column: rows of unequal length, a quotation mark that is never closed or stands where none
    may, bytes that are no text, a name that is missing, a number, or there twice, a header that comes again among the
    rows, numbers written in another way than told, a few texts in a column of numbers, a number too large for float64.

    >>> from io import StringIO
    >>> read_csv(StringIO('area,district\\n50.5,"north, old town"\\n,south\\n')).columns
    {'area': array([50.5,  nan]), 'district': array(['north, old town', 'south'], dtype=object)}
    """
    if len(delimiter) != 1 or delimiter in '"\r\n' or delimiter == decimal or thousands == decimal:
        raise ValueError(
            f"read_csv: expected a delimiter of one character that has no other meaning, and different signs, got "
            f"delimiter={delimiter!r}, decimal={decimal!r}, thousands={thousands!r}"
        )
    name, content = _read(source, encoding)
    rows = [(at, row) for at, row in _rows(name, content, delimiter) if row]
    if not rows:
        raise _error(name, 1, 0, "expected a header, got an empty file")
    number = _number(thousands, decimal)
    at, names = rows[0] if header is False else rows.pop(0)
    if header is False:
        names = [f"column {k + 1}" for k in range(len(names))]
    else:
        _check_header(name, at, names, number if header is None else None, delimiter)
    for at, row in rows:
        if len(row) != len(names):
            raise _error(name, at, min(len(row), len(names)), f"expected {len(names)} columns, got {len(row)}")
        if row == names:
            raise _error(name, at, 0, "the header comes again: are these several files in one?")
    if wrong := sorted(set(text) - set(names)):
        raise ValueError(f"{name}: {unknown('column', wrong[0], names)}")

    columns: dict[str, np.ndarray] = {}
    for k, title in enumerate(names):
        cells = [row[k] for _, row in rows]
        try:
            found = None if title in text else _numbers(cells, number, thousands, decimal, frozenset(missing))
        except _WrongCellError as wrong_cell:
            i, what = wrong_cell.args
            raise _error(name, rows[i][0], k, f"{what} (the column is {title!r})") from None
        columns[title] = text_column(cells) if found is None else found
    return Table(columns)


class _WrongCellError(Exception):
    """The index of a cell in its column, and what is wrong with it."""


def _read(source: str | Path | IO[Any], encoding: str) -> tuple[str, str]:
    """A file's name and its text; bytes that are no text stand in it as the characters that UNREADABLE finds."""
    raw: str | bytes
    try:
        if isinstance(source, str | Path):
            name, raw = str(source), Path(source).read_bytes()
        else:
            name, raw = str(getattr(source, "name", "the file")), source.read()
    except OSError as error:
        raise ValueError(f"{source}: expected a CSV file: {error.strerror}") from error
    if isinstance(raw, bytes):
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"  # no text in another encoding begins with its mark
        try:
            raw = raw.decode(encoding, "surrogateescape")
        except UnicodeDecodeError as error:
            raise _error(name, 1, 0, f"expected text in {encoding}: {error}") from error
        except LookupError as error:
            raise ValueError(f"read_csv: {error}") from error
    return name, raw.removeprefix("\ufeff")  # the mark that spreadsheets put before UTF-8


def _rows(name: str, content: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row's number, from 1, and its cells; of a blank line, none."""
    blanks, end = "[" + " \t".replace(delimiter, "") + "]*", re.escape(delimiter)
    cell = re.compile(rf'(?:{blanks}"([^"]*(?:""[^"]*)*)"{blanks}|([^"\r\n{end}]*))({end}|\r\n?|\n|\Z)')
    unreadable = UNREADABLE.search(content) is not None
    at, row, start = 1, list[str](), 0
    while start < len(content) or row:
        found = cell.match(content, start)
        if found is None:
            raise _error(name, at, len(row), _wrong_quotes(content[start:]))
        quoted, plain, ended = found.groups()
        row.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        if unreadable and (bad := UNREADABLE.search(row[-1])):
            byte = ord(bad[0]) & 0xFF
            raise _error(name, at, len(row) - 1, f"expected text, got the byte 0x{byte:02x}: another encoding?")
        start = found.end()
        if ended != delimiter:
            yield at, [] if row == [""] and quoted is None else row
            at, row = at + 1, []


def _wrong_quotes(rest: str) -> str:
    """What is wrong with the quotation marks of the cell that `rest` begins with."""
    if not rest.lstrip(" \t").startswith('"'):
        return "a quotation mark inside a cell: put the cell in quotation marks, and double those within"
    closed = re.match(r'\s*"[^"]*(?:""[^"]*)*"', rest)
    return "a quotation mark is never closed" if closed is None else "text behind a closing quotation mark"


def _check_header(name: str, at: int, names: list[str], number: re.Pattern[str] | None, delimiter: str) -> None:
    """ValueError for a name that is blank, or there twice, or that `number` matches."""
    for k, title in enumerate(names):
        if not title:
            raise _error(name, at, k, "expected the name of a column, got a blank cell")
        if title in names[:k]:
            raise _error(name, at, k, f"{title!r} is the name of column {names.index(title) + 1} already")
        if number and number.fullmatch(title):
            told = "header=False if the file has no header, header=True if this is a name"
            raise _error(name, at, k, f"expected the name of a column, got the number {title}: {told}")
    other = next((sign for sign in ";\t|," if sign in names[0]), delimiter)
    if len(names) == 1 and other != delimiter:
        raise _error(name, at, 0, f"expected columns parted by {delimiter!r}, got {names[0]!r}: delimiter={other!r}?")


def _number(thousands: str, decimal: str) -> re.Pattern[str]:
    """What a number looks like: 1234.5, -.5, 1e-3, inf; with the sign `thousands` 1,234.5 too, in groups of three."""
    whole = rf"[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+" if thousands else "[0-9]+"
    point = re.escape(decimal)
    digits = rf"(?:{whole})(?:{point}[0-9]*)?|{point}[0-9]+"
    return re.compile(rf"[+-]?(?:(?:{digits})(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE)


def _numbers(
    cells: list[str], number: re.Pattern[str], thousands: str, decimal: str, missing: Collection[str]
) -> np.ndarray | None:
    """The cells as float64 (N,), or None if they are texts. _WrongCellError where they may well be meant as numbers."""
    values, others = np.full(len(cells), np.nan), []
    for i, cell in enumerate(cells):
        if not cell or cell in missing:
            continue
        if number.fullmatch(cell):
            values[i] = float(
                cell.replace(thousands, "").replace(decimal, ".") if thousands or decimal != "." else cell
            )
            if np.isinf(values[i]) and "inf" not in cell.lower():
                raise _WrongCellError(i, f"{cell} is too large for float64")
        else:
            others.append(i)
    if not others:
        return values
    if all(GROUPED.fullmatch(cells[i]) for i in others):
        told = "give `thousands` and `decimal`, or name the column in `text`"
        raise _WrongCellError(others[0], f"{cells[others[0]]!r} is a number written in another way: {told}")
    known = np.count_nonzero(~np.isnan(values))
    if known >= 9 * len(others):
        told = "name it in `missing` if it stands for nothing, the column in `text` if it holds texts"
        raise _WrongCellError(others[0], f"{cells[others[0]]!r} is no number, {known} other cells are: {told}")
    return None


def _error(name: str, row: int, k: int, what: str) -> ValueError:
    """The error for the cell in a file's row, counted from 1, and column, counted from 0."""
    return ValueError(f"{name}, row {row}, column {k + 1}: {what}")
