"""Texts that carry a label, as a network reads them: characters as numbers, padded to one length, with a mask.

The texts come from a folder, from a CSV file, or are generated: `who_did_it` is a task in which order is everything.

In the shapes N is the number of texts, T the length of the longest.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np

from tinygrad_edu import registry
from tinygrad_edu.data.dataset import Dataset, load
from tinygrad_edu.data.text import Vocabulary

ANIMALS = ("bear", "cat", "cow", "dog", "fox", "goat", "horse", "lion", "monkey", "wolf")
PERSONS = ("baker", "boy", "doctor", "farmer", "girl", "judge", "nurse", "sailor", "teacher", "tailor")
VERBS = (
    *("admire", "attack", "avoid", "calm", "chase", "follow"),
    *("greet", "help", "ignore", "scare", "surprise", "visit"),
)
ACTIVE = ("{s}", "{ed}", "is {ing}", "was {ing}", "has {ed}", "will {base}")  # the first of the two acts
PASSIVE = ("is {ed} by", "was {ed} by", "is being {ed} by", "was being {ed} by", "has been {ed} by", "will be {ed} by")
FRAMES = ("{}", "today {}", "perhaps {}", "they say {}", "{} again", "{} after all", "{} in the garden")


@dataclass(frozen=True)
class LabelledText(Dataset):
    """A Dataset of texts, each with one of `classes` as its label.

    `train` and `test` are characters (N, T) int64, mask (N, T) bool, True where there is a character, and labels (N,)
    int64. A character's number is its place in `vocabulary`, which holds those of the test texts, too.
    """

    vocabulary: Vocabulary

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Any texts as characters and mask: see `padded`. ValueError names characters that the vocabulary lacks."""
        return padded([self.vocabulary.encode(text) for text in texts])

    def decode(self, characters: np.ndarray, mask: np.ndarray) -> str:
        """The text of one row, (T,) and (T,)."""
        return self.vocabulary.decode(characters[mask])


def padded(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of unequal lengths as one array (N, T) int64, and the mask (N, T) bool of where they are.

    Behind its end a sequence is filled up with zeros, which mean nothing: the mask is to be heeded. ValueError for an
    empty sequence, and for none at all.

    >>> padded([np.array([5, 6, 7]), np.array([8])])[0].tolist()
    [[5, 6, 7], [8, 0, 0]]
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    if not lengths.size or not lengths.all():
        raise ValueError(f"expected texts of at least one character, got lengths {lengths.tolist()}")
    mask = np.arange(lengths.max()) < lengths[:, None]  # (N, T)
    characters = np.zeros(mask.shape, np.int64)
    characters[mask] = np.concatenate(sequences)
    return characters, mask


def labelled_text(name: str, longest: int = 1000) -> LabelledText:
    """The texts registered as `name`, or those of the folder or CSV file `name`. ValueError if it is none of these."""
    if name in registry.names("datasets"):
        dataset = load(name)
        if not isinstance(dataset, LabelledText):
            raise ValueError(f"{name}: expected labelled texts, got a dataset of another kind")
        return dataset
    if not Path(name).exists():
        raise ValueError(
            f"{name}: expected who-did-it, a folder or a CSV file of labelled texts; there is no such path"
        )
    return labelled_folder(name, longest) if Path(name).is_dir() else labelled_csv(name, longest)


def labelled_folder(path: str, longest: int = 1000) -> LabelledText:
    """The .txt files (UTF-8) in the sub-folders of `path`, each sub-folder a class; every fifth text is for the test.

    Of a longer text the first `longest` characters. ValueError: no such folder, less than two classes, less than two
    texts of a class, a text that is empty or not UTF-8.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"{path}: expected a folder with a sub-folder for each class, got none")
    pairs: list[tuple[str, str]] = []
    for sub in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(sub.glob("*.txt"))
        if not files:
            raise ValueError(f"{sub}: expected .txt files, the texts of the class {sub.name!r}, got none")
        pairs += [(_stripped(_read(file), f"{file}"), sub.name) for file in files]
    return _split(path, pairs, longest, f"the folder {path}")


def labelled_csv(path: str, longest: int = 1000) -> LabelledText:
    """The rows of a CSV file (UTF-8) whose header names the columns `text` and `label`; a fifth is for the test.

    Of a longer text the first `longest` characters. ValueError: no such file, a column that is missing, less than two
    classes, less than two texts of a class, a text or label that is empty, not UTF-8.
    """
    rows = csv.DictReader(StringIO(_read(Path(path))), strict=True)
    pairs: list[tuple[str, str]] = []
    try:
        if not {"text", "label"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{path}: expected the columns text,label in the header, got {rows.fieldnames or 'none'}")
        for row in rows:
            at = f"{path}, line {rows.line_num}"
            pairs.append((_stripped(row["text"], at), _stripped(row["label"], at, "label")))
    except csv.Error as error:
        raise ValueError(f"{path}, after line {rows.line_num}: expected comma-separated values: {error}") from error
    return _split(path, pairs, longest, f"the file {path}")


def who_did_it() -> LabelledText:
    """4800 English sentences about an animal and a person: which of the two acts?

    Active or passive, in six tenses, with a phrase before or behind or none. Each sentence has a partner in the other
    class, the same words with animal and person exchanged: who only counts characters, or words, is right every other
    time. What is said of an animal, a person and a verb together is all for training or all for the test.
    """
    triples, forms = list(product(ANIMALS, PERSONS, VERBS)), list(product((*ACTIVE, *PASSIVE), FRAMES))
    first = _random(1, len(triples)) % len(forms)
    second = (first + 1 + _random(2, len(triples)) % (len(forms) - 1)) % len(forms)  # another one
    pairs = []
    for (animal, person, verb), chosen in zip(triples, np.stack([first, second], 1), strict=True):
        for voice, frame in (forms[i] for i in chosen):
            middle = voice.format(**_forms(verb))
            for a, b in ((animal, person), (person, animal)):
                actor = b if voice in PASSIVE else a
                pairs.append((frame.format(f"the {a} {middle} the {b}"), "animal" if actor == animal else "person"))
    held_out = np.argsort(_random(0, len(triples)), kind="stable") < len(triples) // 5
    return _dataset("who-did-it", pairs, np.repeat(held_out, 4), "generated: see tinygrad_edu/data/labelled_text.py")


def _forms(verb: str) -> dict[str, str]:
    """A regular verb's forms: chase, chases, chased, chasing."""
    stem = verb.removesuffix("e")
    return {"base": verb, "s": f"{verb}s", "ed": f"{stem}ed", "ing": f"{stem}ing"}


def _random(key: int, n: int) -> np.ndarray:
    """n random whole numbers, (n,) uint64: Philox's raw bits, which NumPy promises never to change."""
    return np.random.Philox(key=key).random_raw(n)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark of UTF-8 before the first character
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a file of UTF-8 text: {error}") from error


def _stripped(text: str | None, place: str, what: str = "text") -> str:
    """The text without blanks around it, or ValueError if nothing is left; None is a column that a row lacks."""
    stripped = (text or "").strip()
    if not stripped:
        raise ValueError(f"{place}: expected a {what}, got an empty one")
    return stripped


def _split(name: str, pairs: Sequence[tuple[str, str]], longest: int, source: str) -> LabelledText:
    """The Dataset of (text, label) pairs, of each class a fifth, rounded up, for the test: the same at every call."""
    labels = np.array([label for _, label in pairs])
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        found = ", ".join(f"{label}: {n}" for label, n in zip(classes, counts, strict=True)) or "none"
        raise ValueError(f"{name}: expected at least two classes of at least two texts, got {found}")
    order, held_out = np.argsort(_random(0, len(pairs)), kind="stable"), np.zeros(len(pairs), bool)
    for label, n in zip(classes, counts, strict=True):
        held_out[order[labels[order] == label][: -(-n // 5)]] = True
    return _dataset(name, [(text[:longest], label) for text, label in pairs], held_out, source)


def _dataset(name: str, pairs: Sequence[tuple[str, str]], held_out: Iterable[bool], source: str) -> LabelledText:
    """The Dataset of (text, label) pairs; `held_out` tells for each whether it is for the test."""
    vocabulary = Vocabulary(sorted({character for text, _ in pairs for character in text}))
    classes = tuple(sorted({label for _, label in pairs}))
    characters, mask = padded([vocabulary.encode(text) for text, _ in pairs])
    arrays = (characters, mask, np.array([classes.index(label) for _, label in pairs], np.int64))
    test = np.array(held_out)
    train, test_part = tuple(array[~test] for array in arrays), tuple(array[test] for array in arrays)
    return LabelledText(name, train, test_part, classes, source, vocabulary)
