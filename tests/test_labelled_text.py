"""Labelled texts: the generated task, folders and CSV files, padding, and what is refused."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu import data


def sentences(dataset: data.LabelledText, part: tuple[np.ndarray, ...]) -> list[tuple[str, str]]:
    """The texts and their labels."""
    x, mask, y = part
    return [(dataset.decode(a, m), dataset.classes[label]) for a, m, label in zip(x, mask, y, strict=True)]


def cast(sentence: str) -> tuple[str, ...]:
    """The nouns of a sentence in their order, without what stands in the garden."""
    words = sentence.removesuffix(" in the garden").split()
    return tuple(word for before, word in pairwise(words) if before == "the")


# --- who did it ------------------------------------------------------------------------------------------------------


def test_who_did_it_is_the_same_for_everybody() -> None:
    dataset = data.load("who-did-it")
    assert isinstance(dataset, data.LabelledText)
    assert [array.shape for array in dataset.train] == [(3840, 57), (3840, 57), (3840,)]
    assert [array.dtype for array in dataset.test] == [np.int64, np.bool_, np.int64]
    both = [*sentences(dataset, dataset.train), *sentences(dataset, dataset.test)]
    assert len({text for text, _ in both}) == 4800
    assert zlib.crc32(repr(both).encode()) == 3207059563  # so that figures of different years compare


def test_the_labels_are_what_the_sentences_say() -> None:
    found = dict(sentences(data.who_did_it(), data.who_did_it().test))
    people = {"baker", "boy", "doctor", "farmer", "girl", "judge", "nurse", "sailor", "teacher", "tailor"}
    assert len(found) == 960
    for text, label in found.items():
        first, second = cast(text)
        actor = second if " by " in text else first
        assert label == ("person" if actor in people else "animal"), text
    assert {" by " in text for text in found} == {True, False}


def test_every_sentence_has_an_anagram_in_the_other_class() -> None:
    dataset = data.who_did_it()
    for part in (dataset.train, dataset.test):
        words: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for text, label in sentences(dataset, part):
            words[tuple(sorted(text.split()))].append(label)
        assert all(count["animal"] == count["person"] for count in map(Counter, words.values()))


def test_no_animal_person_and_verb_are_in_both_parts() -> None:
    """The verb by its first four letters: chased, chasing."""
    dataset = data.who_did_it()
    triples = []
    for part in (dataset.train, dataset.test):
        found = set()
        for text, _ in sentences(dataset, part):
            words = text.removesuffix(" in the garden").removesuffix(" after all").removesuffix(" again").split()
            verb = words[-4] if " by " in text else words[-3]
            found.add((*sorted(cast(text)), verb[:4]))
        triples.append(found)
    assert not triples[0] & triples[1]
    assert [len(found) for found in triples] == [960, 240]


# --- of one's own ----------------------------------------------------------------------------------------------------


def folder(path: Path, **classes: list[str]) -> Path:
    for label, texts in classes.items():
        (path / label).mkdir(parents=True)
        for i, text in enumerate(texts):
            (path / label / f"{i:02}.txt").write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_split_the_same_way_every_time(tmp_path: Path) -> None:
    texts = [f"gut {i}" for i in range(10)], [f" schön\n{i}\n" for i in range(5)]
    dataset = data.labelled_text(str(folder(tmp_path / "mine", good=texts[0], nice=texts[1])))
    assert dataset.classes == ("good", "nice")
    train, test = (sentences(dataset, part) for part in (dataset.train, dataset.test))
    assert Counter(label for _, label in train) == {"good": 8, "nice": 4}
    assert Counter(label for _, label in test) == {"good": 2, "nice": 1}
    assert sorted(train + test) == sorted([(t, "good") for t in texts[0]] + [(t.strip(), "nice") for t in texts[1]])
    again = data.labelled_folder(str(tmp_path / "mine"))
    assert all(np.array_equal(a, b) for a, b in zip(dataset.train, again.train, strict=True))


def test_long_texts_are_cut(tmp_path: Path) -> None:
    dataset = data.labelled_folder(str(folder(tmp_path, a=["x" * 50, "xx"], b=["y", "yz"])), longest=3)
    assert dataset.train[0].shape[1] == 3 or dataset.test[0].shape[1] == 3
    assert max(mask.sum() for mask in (*dataset.train[1], *dataset.test[1])) == 3


def test_a_table_may_have_other_columns_a_mark_and_quoted_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('label,number,text\nup,1,"one,\ntwo"\nup,2,three\ndown,3,four\ndown,4,five\n', encoding="utf-8-sig")
    dataset = data.labelled_csv(str(path))
    both = sentences(dataset, dataset.train) + sentences(dataset, dataset.test)
    assert sorted(both) == [("five", "down"), ("four", "down"), ("one,\ntwo", "up"), ("three", "up")]


def test_a_dataset_encodes_what_is_typed() -> None:
    dataset = data.who_did_it()
    x, mask = dataset.encode(["the dog", "a"])
    assert mask.sum(1).tolist() == [7, 1]
    assert [dataset.decode(*row) for row in zip(x, mask, strict=True)] == ["the dog", "a"]
    with pytest.raises(ValueError, match=r"expected characters of the vocabulary ' abc.*', got 'T', 'é'"):
        dataset.encode(["The dogé"])
    for nothing, lengths in (([], r"\[\]"), (["a", ""], r"\[1, 0\]")):
        with pytest.raises(ValueError, match=f"expected texts of at least one character, got lengths {lengths}"):
            dataset.encode(nothing)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"a": ["x", "y"]}, "expected at least two classes of at least two texts, got a: 2"),
        ({"a": ["x", "y"], "b": ["x"]}, "expected at least two classes of at least two texts, got a: 2, b: 1"),
        ({}, "expected at least two classes of at least two texts, got none"),
        ({"a": ["x", "y"], "b": []}, "b: expected .txt files, the texts of the class 'b', got none"),
        ({"a": ["x", "y"], "b": ["x", " \n"]}, r"b/01.txt: expected a text, got an empty one"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, classes: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.labelled_folder(str(folder(tmp_path, **classes)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"expected the columns text,label in the header, got none"),
        (b"Text,label\na,b\n", r"expected the columns text,label in the header, got \['Text', 'label'\]"),
        (b"text,label\na,x\nb,x\n", "expected at least two classes of at least two texts, got x: 2"),
        (b"text,label\na,x\n,y\n", "line 3: expected a text, got an empty one"),
        (b"text,label\na,x\nb\n", "line 3: expected a label, got an empty one"),
        (b'text,label\n"a"b,x\n', "after line 1: expected comma-separated values: "),
        (b"text,label\n\xff,x\n", "expected a file of UTF-8 text: .*0xff"),
        (None, "expected a file of UTF-8 text: .*No such file"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"mine\.csv.*{message}"):
        data.labelled_csv(str(path))


def test_a_folders_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    folder(tmp_path, a=["x", "y"], b=["x"])
    (tmp_path / "b" / "01.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"b/01\.txt: expected a file of UTF-8 text"):
        data.labelled_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere: expected who-did-it, a folder or a CSV file of labelled texts; there is no such path"),
        ("python-docs", "python-docs: expected labelled texts, got a dataset of another kind"),
    ],
)
def test_names_that_are_no_labelled_texts(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.labelled_text(name)


def test_no_folder() -> None:
    with pytest.raises(ValueError, match="nowhere: expected a folder with a sub-folder for each class, got none"):
        data.labelled_folder("nowhere")
