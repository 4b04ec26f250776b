"""The torture set of CSV files: each is read as it was meant, or refused with row and column."""

from __future__ import annotations

import csv
import re
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu.data import read_csv

NAN = float("nan")
TEN = "".join(f"{i}\n" for i in range(10))

# what is in the file, how it is read, the columns that are meant
READ: dict[str, tuple[bytes | str, dict[str, Any], dict[str, list[Any]]]] = {
    "plain": ("a,b\n1,2\n3,4\n", {}, {"a": [1, 3], "b": [2, 4]}),
    "no line end at the end": ("a,b\n1,2", {}, {"a": [1], "b": [2]}),
    "Windows line ends": ("a,b\r\n1,x\r\n3,y\r\n", {}, {"a": [1, 3], "b": ["x", "y"]}),
    "old Macintosh line ends": ("a,b\r1,2\r3,4\r", {}, {"a": [1, 3], "b": [2, 4]}),
    "line ends of several kinds": ("a\n1\r\n2\r3", {}, {"a": [1, 2, 3]}),
    "UTF-8 with its mark": ("\ufeffa,ö\n1,é\n".encode(), {}, {"a": [1], "ö": ["é"]}),
    "UTF-8 with its mark and quoted names": ('\ufeff"a","b"\n1,2\n'.encode(), {}, {"a": [1], "b": [2]}),
    "UTF-16 with its mark": ("a,b\n1,ж\n".encode("utf-16"), {}, {"a": [1], "b": ["ж"]}),
    "Latin-1, when told": ("a\né\n".encode("latin-1"), {"encoding": "latin-1"}, {"a": ["é"]}),
    "a quoted comma": ('a,b\n"x, y",2\n', {}, {"a": ["x, y"], "b": [2]}),
    "a quoted line break": ('a,b\n"x\ny",2\nz,3\n', {}, {"a": ["x\ny", "z"], "b": [2, 3]}),
    "a quoted Windows line break": ('a,b\r\n"x\r\ny",2\r\n', {}, {"a": ["x\r\ny"], "b": [2]}),
    "doubled quotation marks": ('a\n"say ""hi"""\n""""\n', {}, {"a": ['say "hi"', '"']}),
    "quoted numbers": ('"a"\n"1.5"\n"-2"\n', {}, {"a": [1.5, -2]}),
    "blanks around cells and marks": ('a , b\n 1 , "x"\n2,\t"y" \n', {}, {"a": [1, 2], "b": ["x", "y"]}),
    "blanks within marks stay": ('a\n" x "\n', {}, {"a": [" x "]}),
    "an apostrophe is no quotation mark": ("a,b\n'x,2\n", {}, {"a": ["'x"], "b": [2]}),
    "a blank number": ("a,b\n1,x\n,y\n3,z\n", {}, {"a": [1, NAN, 3], "b": ["x", "y", "z"]}),
    "a blank at the end of the file": ("a,b\n1,2\n3,", {}, {"a": [1, 3], "b": [2, NAN]}),
    "a blank text": ("a,b\n1,x\n2,\n", {}, {"a": [1, 2], "b": ["x", ""]}),
    "a blank column": ("a,b,c\n1,,x\n2,,y\n", {}, {"a": [1, 2], "b": [NAN, NAN], "c": ["x", "y"]}),
    "a row of blanks": ("a,b\n1,2\n,\n", {}, {"a": [1, NAN], "b": [2, NAN]}),
    "blank lines": ("\n\na\n\n1\n \n2\n\n", {}, {"a": [1, 2]}),
    "a quoted blank is a value that is missing": ('a\n1\n""\n3\n', {}, {"a": [1, NAN, 3]}),
    "words for nothing, among numbers": ("a\n1\nNA\nnan\n?\n", {}, {"a": [1, NAN, NAN, NAN]}),
    "words for nothing, among texts": ("a\nNA\nDE\n", {}, {"a": ["NA", "DE"]}),
    "a word for nothing of one's own": ("a\n1\n-999\n", {"missing": ["-999"]}, {"a": [1, NAN]}),
    "no rows": ("a,b\n", {}, {"a": [], "b": []}),
    "all kinds of numbers": ("a\n+1\n-.5\n2.\n1e3\n1E-2\n-inf\n007\n", {}, {"a": [1, -0.5, 2, 1e3, 0.01, -np.inf, 7]}),
    "not quite numbers": ("a\n1_000\n0x10\n１\n1e\n", {}, {"a": ["1_000", "0x10", "１", "1e"]}),
    "dates and versions": ("a,b\n2024-01-05,1.2.3\n", {}, {"a": ["2024-01-05"], "b": ["1.2.3"]}),
    "thousands, when told": ('a\n"1,234.5"\n-1\n', {"thousands": ","}, {"a": [1234.5, -1]}),
    "European numbers, when told": (
        "a;b\n1.234,5;x\n,5;y\n",
        {"delimiter": ";", "decimal": ",", "thousands": "."},
        {"a": [1234.5, 0.5], "b": ["x", "y"]},
    ),
    "numbers kept as texts, when told": ("zip\n01234\n", {"text": ["zip"]}, {"zip": ["01234"]}),
    "semicolons, when told": ("a;b\n1;x,y\n", {"delimiter": ";"}, {"a": [1], "b": ["x,y"]}),
    "tabs, when told": ("a\tb\n1\t\n2\t3\n", {"delimiter": "\t"}, {"a": [1, 2], "b": [NAN, 3]}),
    "bars, when told": ("a|b\n1|2\n", {"delimiter": "|"}, {"a": [1], "b": [2]}),
    "no header, when told": ("1,x\n2,y\n", {"header": False}, {"column 1": [1, 2], "column 2": ["x", "y"]}),
    "years as names, when told": ("land,2023\nFR,1\n", {"header": True}, {"land": ["FR"], "2023": [1]}),
    "a long text": ("a\n" + "x" * 100_000 + "\ny\n", {}, {"a": ["x" * 100_000, "y"]}),
    "many columns": (
        ",".join(f"c{i}" for i in range(500)) + "\n" + "1," * 499 + "1",
        {},
        {f"c{i}": [1] for i in range(500)},
    ),
}

# what is in the file, how it is read, where it goes wrong, what is said about it
REFUSED: dict[str, tuple[bytes | str, dict[str, Any], tuple[int, int], str]] = {
    "empty": ("", {}, (1, 1), "expected a header, got an empty file"),
    "nothing but a mark": ("\ufeff".encode(), {}, (1, 1), "got an empty file"),
    "nothing but blank lines": ("\n\r\n  \n", {}, (1, 1), "got an empty file"),
    "a row too short": ("a,b,c\n1,2,3\n4,5\n", {}, (3, 3), "expected 3 columns, got 2"),
    "a row too long": ("a,b\n1,2\n3,4,5\n", {}, (3, 3), "expected 2 columns, got 3"),
    "a comma at the end of rows": ("a,b\n1,2,\n", {}, (2, 3), "expected 2 columns, got 3"),
    "a short row behind blank lines": ("a,b\n\n\n1\n", {}, (4, 2), "expected 2 columns, got 1"),
    "a short row behind a line break": ('a,b\n"x\ny",1\n2\n', {}, (3, 2), "expected 2 columns, got 1"),
    "a title above the header": ("Sales of 2024\na,b\n1,2\n", {}, (2, 2), "expected 1 columns, got 2"),
    "a mark never closed": ('a,b\n1,"x\n2,y\n', {}, (2, 2), "a quotation mark is never closed"),
    "a mark inside a cell": ('a,b\n1,2\n3,5" pipe\n', {}, (3, 2), "a quotation mark inside a cell"),
    "text behind a mark": ('a,b\n"x"y,1\n', {}, (2, 1), "text behind a closing quotation mark"),
    "Latin-1": ("a,b\n1,ok\n2,café\n".encode("latin-1"), {}, (3, 2), "the byte 0xe9: another encoding?"),
    "Latin-1 in a name": ("a,größe\n1,2\n".encode("latin-1"), {}, (1, 2), "the byte 0xf6"),
    "UTF-16 without its mark": ("a,b\n1,2\n".encode("utf-16-le"), {}, (1, 1), "the byte 0x00"),
    "half a UTF-16 character": ("a,b\n".encode("utf-16") + b"1", {}, (1, 1), "expected text in utf-16"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", {}, (1, 1), "the byte 0x89"),
    "a NUL": (b"a,b\n1,2\n3,\0\n", {}, (3, 2), "the byte 0x00"),
    "a compressed file": (b"\x1f\x8b\x08\0\0\0\0\0", {}, (1, 1), "the byte 0x8b"),
    "no header": ("x,5.1,3.5\ny,4.9,3.0\n", {}, (1, 2), "expected the name of a column, got the number 5.1"),
    "a name twice": ("a,b,a\n1,2,3\n", {}, (1, 3), "'a' is the name of column 1 already"),
    "a name missing": (",a\n0,1\n", {}, (1, 1), "expected the name of a column, got a blank cell"),
    "a comma at the end of all lines": ("a,b,\n1,2,\n", {}, (1, 3), "got a blank cell"),
    "the header twice": ("a,b\n1,2\na,b\n3,4\n", {}, (3, 1), "the header comes again"),
    "semicolons": ("a;b\n1;2\n", {}, (1, 1), "expected columns parted by ',', got 'a;b': delimiter=';'?"),
    "tabs": ("a\tb\n1\t2\n", {}, (1, 1), r"delimiter='\t'?"),
    "commas, when told otherwise": ("a,b\n1,2\n", {"delimiter": ";"}, (1, 1), "delimiter=','?"),
    "thousands": ('a,b\nx,950\ny,"1,234"\n', {}, (3, 2), "'1,234' is a number written in another way"),
    "thousands with points": ('a\n"1.234.567,8"\n', {}, (2, 1), "is a number written in another way"),
    "thousands with blanks": ("a\n12 000\n1 000\n", {}, (2, 1), "'12 000' is a number written in another way"),
    "thousands in the wrong place": ('a\n"1,2345"\n', {"thousands": ","}, (2, 1), "is a number written in another way"),
    "decimal commas": ("a;b\n1;2,5\n", {"delimiter": ";"}, (2, 2), "'2,5' is a number written in another way"),
    "decimal points, when told otherwise": (
        "a\n2.5\n",
        {"delimiter": ";", "decimal": ","},
        (2, 1),
        "written in another way",
    ),
    "texts in a column that is not there": (
        "a,b\nx,y\n",
        {"text": ["c"]},
        (0, 0),
        "unknown column 'c'; there are: a, b",
    ),
    "one text among ten numbers": (f"a\n{TEN}none\n", {}, (12, 1), "'none' is no number, 10 other cells are"),
    "a number beyond float64": ("a\n1\n1e999\n", {}, (3, 1), "1e999 is too large for float64"),
}


def source(content: bytes | str) -> BytesIO | StringIO:
    return BytesIO(content) if isinstance(content, bytes) else StringIO(content, newline="")


@pytest.mark.parametrize("case", READ)
def test_it_is_read_as_it_was_meant(case: str) -> None:
    content, options, columns = READ[case]
    table = read_csv(source(content), **options)
    assert table.names == tuple(columns)
    for name, expected in columns.items():
        if all(isinstance(value, str) for value in expected) and expected:
            assert table[name].tolist() == expected
        else:
            assert table[name].dtype == np.float64
            np.testing.assert_array_equal(table[name], np.array(expected, np.float64))  # bits: as float() has them


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_row_and_column(case: str) -> None:
    content, options, (row, column), message = REFUSED[case]
    place = f", row {row}, column {column}: " if row else ": "
    with pytest.raises(ValueError, match=rf"^the file{place}.*{re.escape(message)}"):
        read_csv(source(content), **options)


def test_the_torture_set_has_forty_files() -> None:
    assert len(READ) + len(REFUSED) >= 40


@pytest.mark.parametrize("sign", ['"', "\n", "", ",,", "."])
def test_signs_that_mean_two_things_are_refused(sign: str) -> None:
    with pytest.raises(ValueError, match="read_csv: expected a delimiter of one character that has no other meaning"):
        read_csv(StringIO("a\n1\n"), delimiter=sign)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(ValueError, match="read_csv: unknown encoding: klingon"):
        read_csv(BytesIO(b"a\n1\n"), encoding="klingon")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    assert read_csv(path)["a"].tolist() == read_csv(str(path))["a"].tolist() == [1.0]
    with path.open(encoding="utf-8") as file:
        assert read_csv(file)["a"].tolist() == [1.0]
    path.write_text("a\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.csv, row 2, column 2: expected 1 columns, got 2"):
        read_csv(path)
    with pytest.raises(ValueError, match=r"none\.csv: expected a CSV file: No such file"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="expected a CSV file: Is a directory"):
        read_csv(tmp_path)


CELLS = st.text(st.sampled_from('ab ,"\n\r;é'), max_size=6)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=5)))
def test_what_pythons_writer_writes_is_read(rows: list[list[str]]) -> None:
    width = len(rows[0]) if rows else 1
    names = [f"name {k}" for k in range(width)]
    file = StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    table = read_csv(StringIO(file.getvalue(), newline=""), text=names)
    assert [list(row) for row in zip(*table.columns.values(), strict=True)] == rows


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        found = str(read_csv(BytesIO(content)).names)
    except ValueError as error:
        found = str(error)
    assert re.match(r"\(|the file, row \d+, column \d+: ", found)
