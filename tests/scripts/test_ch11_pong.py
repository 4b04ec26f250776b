"""Chapter 11's Pong from the command line: learns, is resumed, evaluated, drawn, refuses. Not that it wins."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli, state
from tinygrad_edu.rl import ppo
from tinygrad_edu.scripts import ch11_pong

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "short_games")


@pytest.fixture
def short_games(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Games of a few seconds, two at once, in rounds of 16 steps, and a film of some pictures."""
    needs("ale_py")
    from tinygrad_edu.rl import pong, pong_from_pixels

    short = partial(pong.emulator, max_frames=240)
    monkeypatch.setattr(pong, "emulator", short)
    monkeypatch.setattr(pong_from_pixels, "emulator", short)
    monkeypatch.setattr(ch11_pong, "GAMES_A_STEP", 2)
    monkeypatch.setattr(ch11_pong, "DRAWN_STEPS", 8)
    monkeypatch.setattr(ppo, "Settings", partial(ppo.Settings, steps=16, minibatch=16, epochs=2))
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")


def run(*flags: str, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    command = ["run", "pong", "--environments", "2", "--evaluation-episodes", "2", "--out", out, "--json", "pong.json"]
    assert cli.main([*command, *flags]) == 0
    return json.loads(Path("pong.json").read_text())


@pytest.mark.parametrize(
    ("flags", "name"), [([], "cnn"), (["--policy", "pixels"], "pixels"), (["--by-hand"], "pixels_by_hand")]
)
def test_it_learns_and_is_evaluated_and_drawn(
    flags: list[str], name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ch11_pong, "LIVE_SECONDS", 0.0)
    figures = run("--steps", "160" if name == "cnn" else "1", "--watch", *flags)
    assert -21.0 <= figures["evaluation_return_mean"] <= 21.0
    assert figures["evaluation_return_std"] >= 0.0
    assert figures["environment_steps"] >= 100
    assert figures["steps_per_second"] == pytest.approx(figures["environment_steps"] / figures["train_seconds"])
    shares = [figures[f"{part}_share"] for part in ("environment", "forward", "learning")]
    assert min(shares) > 0.0
    assert 0.5 < sum(shares) <= 1.0  # the rest is logging and the like
    out = capsys.readouterr().out
    assert f"{name}: over 2 games, without learning, it makes" in out
    assert "--watch: there is no display here; the game is in out/play.gif" in out
    assert Path("out/play.gif").read_bytes().startswith(b"GIF8")
    for picture in ("curve", "input"):
        assert Path("out", f"{picture}.png").read_bytes().startswith(b"\x89PNG"), picture
    assert state.load(Path("out/checkpoint.safetensors"))["tracked"].keys() == {name}

    # the very policy, without training
    again = run("--evaluate", "out/checkpoint.safetensors", *flags, out="judged")
    assert again["evaluation_return_mean"] == figures["evaluation_return_mean"]
    assert Path("out/checkpoint.safetensors").exists()


def test_it_goes_on_where_it_was_killed(killed: Callable[..., None]) -> None:
    command = ["run", "pong", "--environments", "2", "--evaluation-episodes", "1", "--out", "out", "--steps", "320"]
    short = "from functools import partial; from tinygrad_edu.rl import ppo\n"
    short += "ppo.Settings = partial(ppo.Settings, steps=16, minibatch=16, epochs=1)"
    killed(command, at=5, checkpoint_steps=2, setup=short)
    kept = state.load(Path("out/checkpoint.safetensors"))
    assert (kept["step"], kept["tracked"]["cnn"]["steps"]) == (4, 2 * 16 * 4)
    assert cli.main([*command, "--resume"]) == 0
    went_on = state.load(Path("out/checkpoint.safetensors"))
    assert went_on["step"] == 10  # rounds of 2 games and 16 steps
    steps = [
        json.loads(line)["environment_steps"]
        for line in Path("out/metrics.jsonl").read_text().splitlines()
        if "loss" in line
    ]
    assert len(steps) == went_on["step"]
    assert (np.diff(steps) > 0).all()


def test_it_stops_when_the_minutes_are_over() -> None:
    run("--minutes", "1e-5")  # less than a round takes: the first begins, and no other
    assert state.load(Path("out/checkpoint.safetensors"))["step"] == 1


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--steps", "0"], "pong: expected --steps of at least 1, got 0"),
        (["--steps", "-5"], "pong: expected --steps of at least 1, got -5"),
        (["--environments", "0"], "pong: expected --environments of at least 1, got 0"),
        (["--evaluation-episodes", "0"], "pong: expected --evaluation-episodes of at least 1, got 0"),
        (["--minutes", "0"], "pong: expected --minutes above 0, got 0.0"),
        (["--lr", "-1"], "pong: expected --lr above 0, got -1.0"),
        (["--sticky", "1"], "pong: expected --sticky from 0 to below 1, got 1.0"),
        (["--evaluate", "nowhere/x.safetensors"], "--evaluate: there is no file nowhere/x.safetensors"),
        (
            ["--evaluate", "out/x.safetensors"],
            "--evaluate: this run would replace what is in out; give it another --out",
        ),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "pong", "--out", "out", *flags]) != 0
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tree", "held"),
    [({"tracked": {"learner": {"Q": np.zeros(2)}}}, "learner"), ({"weights": np.zeros(2)}, "no agent")],
)
def test_another_projects_checkpoint_is_refused(tree: Any, held: str, capsys: pytest.CaptureFixture[str]) -> None:
    state.save("other.safetensors", tree)
    assert cli.main(["run", "pong", "--out", "out", "--evaluate", "other.safetensors"]) != 0
    assert f"--evaluate: other.safetensors holds {held}, expected the agent cnn of pong" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    monkeypatch.delitem(sys.modules, "ale_py.vector_env", raising=False)
    assert cli.main(["run", "pong", "--out", "out"]) != 0
    assert "pip install 'tinygrad-edu[rl]'" in capsys.readouterr().err
