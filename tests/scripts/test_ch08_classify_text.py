"""Chapter 8's text classifier from the command line: learns, compares, draws attention, reads texts of one's own."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import cli, data, state
from tinygrad_edu.models.rnn_classifier import RNNClassifier
from tinygrad_edu.scripts import ch08_text_pictures as drawn

Needs = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: Needs) -> None:
    needs("sklearn")
    needs("matplotlib")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table() -> str:
    """A CSV file of texts of an a and a b between other letters; the label says which of the two comes first."""
    rng = np.random.default_rng(0)
    lines = ["text,label"]
    for _ in range(150):
        others = ["".join(rng.choice(list("xy"), n)) for n in rng.integers(0, 3, 3)]
        lines += [f"{others[0]}{a}{others[1]}{b}{others[2]},{a} first" for a, b in ("ab", "ba")]
    Path("mine.csv").write_text("\n".join(lines))
    return "mine.csv"


def run(*flags: str, epochs: int = 2, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    command = ["run", "classify-text", "--epochs", str(epochs), "--out", out, "--json", "figures.json", *flags]
    assert cli.main(command) == 0
    return json.loads(Path("figures.json").read_text())


def test_it_learns_the_order_compares_and_draws(table: str, needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("torch")
    figures = run("--dataset", table, "--compare", "torch", "--lr", "0.01", "--text", "xabx", "bya", epochs=6)
    own = {"test_accuracy", "test_loss_nats", "train_seconds"}
    expected = {"backend", "seed", *own, *(f"torch_{name}" for name in own), "sklearn_test_accuracy"}
    assert set(figures) == expected
    assert figures["test_accuracy"] == figures["torch_test_accuracy"] == 1.0
    # 48 steps that amplify float32's other order of summation; at this end of the training the loss is some 1e-3
    assert figures["test_loss_nats"] == pytest.approx(figures["torch_test_loss_nats"], rel=0.1)
    assert figures["sklearn_test_accuracy"] < 0.7  # 60 texts: the standard error of a guess is 6 points
    for name in ("curves", "confusion", "trace"):
        assert Path("out", f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    for name in ("attention", "yours"):
        assert Path("out", f"{name}.svg").read_text().startswith("<svg"), name
    said = capsys.readouterr().out
    assert re.search(r"a first (9\d|100)\.\d%\nxabx\n[▁▂▃▄▅▆▇█]{4}\n", said)
    assert re.search(r"b first (9\d|100)\.\d%\nbya\n[▁▂▃▄▅▆▇█]{3}\n", said)
    assert "torch, from the same start and on the same batches: 100.00% (ours +0.00 points)" in said


def test_an_interrupted_run_resumes_to_the_same_bits(table: str) -> None:
    flags = ["--dataset", table, "--compare", "none"]
    run(*flags, epochs=3, out="whole")
    run(*flags, epochs=1, out="out")
    run(*flags, "--resume", epochs=3, out="out")
    whole, resumed = (state.flatten(state.load(Path(out) / "checkpoint.safetensors"))[1] for out in ("whole", "out"))
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        assert array.tobytes() == resumed[name].tobytes(), name


def test_who_did_it_begins_as_in_torch(needs: Needs) -> None:
    """One epoch in large batches: nothing is learned yet, but on both sides the same; and the bag knows nothing."""
    needs("torch")
    figures = run("--compare", "torch", "--batch-size", "960", epochs=1)
    assert figures["test_loss_nats"] == pytest.approx(figures["torch_test_loss_nats"], rel=1e-4)
    assert figures["sklearn_test_accuracy"] == 0.5  # of partners, one is right


def test_a_folder_of_three_classes_and_a_long_text() -> None:
    for label in ("one", "two", "three"):
        Path("mine", label).mkdir(parents=True)
        for i in range(5):
            Path("mine", label, f"{i}.txt").write_text(f"{label}\tand\n" * (1 + i))
    figures = run("--dataset", "mine", "--compare", "none", "--text", "and\n" * 40, "--longest", "20", epochs=1)
    assert 0.0 <= figures["test_accuracy"] <= 1.0
    assert "↵" in Path("out/yours.svg").read_text()


def test_sentences_are_read_from_the_terminal(
    table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ab\nhello\nba\n\nxx\n"))
    run("--dataset", table, "--compare", "none", "--chat", epochs=1)
    said = capsys.readouterr().out.partition("an empty line ends this.")[2]
    assert re.findall(r"%\n(\w+)\n[▁▂▃▄▅▆▇█]+\n", said) == ["ab", "ba"]
    assert "expected characters of the vocabulary 'abxy', got 'e', 'h', 'l', 'o'" in said
    assert Path("out/yours.svg").exists()


# --- a reading -------------------------------------------------------------------------------------------------------


def reading(text: str, truth: str | None = None) -> drawn.Reading:
    tg.manual_seed(0)
    dataset = data.who_did_it()
    model = RNNClassifier(len(dataset.vocabulary), 2)
    return drawn.read(model, dataset, {text: truth})[0]


def test_a_reading_is_what_the_model_gives() -> None:
    found, dataset = reading("the dog"), data.who_did_it()
    tg.manual_seed(0)
    model = RNNClassifier(len(dataset.vocabulary), 2)
    logits = model(*map(tg.tensor, dataset.encode(["the dog"]))).detach().numpy()[0]
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-6)  # float32 there, a sum in float64 here
    assert found.attention.sum() == pytest.approx(1.0, rel=1e-6)  # float32
    e = np.exp(logits - logits.max())
    assert found.says == f"{dataset.classes[logits.argmax()]} {(e / e.sum()).max():.1%}"


def test_a_wrong_answer_is_shown_as_one() -> None:
    answer = reading("the dog").answer
    right, wrong = reading("the dog", answer), reading("the dog", "plant")
    assert (right.wrong, wrong.wrong) == (False, True)
    assert wrong.says.endswith("% (true: plant)")
    assert ["#c00" in drawn.attention([each]) for each in (right, wrong)] == [False, True]


def test_the_terminal_shows_shades_where_it_can() -> None:
    found = reading("the dog chased the farmer")
    first, shades = drawn.terminal(found, colour=True).split("\n")
    assert first == found.says
    assert re.sub(r"\033\[[\d;]*m", "", shades) == found.text
    assert shades.count(f"48;5;{drawn.SHADES[-1]};") >= 1
    assert shades.endswith("\033[0m")
    _, text, blocks = drawn.terminal(found, colour=False).split("\n")
    assert (text, len(blocks)) == (found.text, len(found.text))
    assert blocks[int(found.attention.argmax())] == "█"
    assert len(drawn.terminal(found, colour=False, columns=10).split("\n")) == 1 + 2 * 3


@pytest.mark.parametrize("text", ["a", "the dog was seen", "the dog was chased " * 8])
def test_the_table_adds_up(text: str) -> None:
    found = reading(text)
    lines = [line.split() for line in drawn.table(found).splitlines()]
    assert len(lines) - 3 == min(len(text), drawn.FOLLOWED) + (len(text) > drawn.FOLLOWED)
    for column in (-2, -1):
        added = [float(line[column]) for line in lines[1:]]
        assert sum(added[:-1]) == pytest.approx(added[-1], abs=0.0005 * len(lines))  # each is rounded
    drawn.trace(found).savefig(io.BytesIO())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--text", "The dog"], "got 'T'"),
        (["--text", ""], "expected texts of at least one character"),
        (["--dataset", "nowhere"], "nowhere: expected who-did-it, a folder or a CSV file of labelled texts"),
        (["--dataset", "digits"], "digits: expected labelled texts, got a dataset of another kind"),
        (["--dataset", "flat.csv"], "flat.csv: expected the columns text,label in the header, got ['a', 'b']"),
    ],
)
def test_mistakes(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("flat.csv").write_text("a,b\n1,2\n")
    assert cli.main(["run", "classify-text", "--out", "out", *flags]) != 0
    assert message in capsys.readouterr().err
