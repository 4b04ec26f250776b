"""Chapter 11's grid world from the command line: learns, compares, draws, is resumed, refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli, registry
from tinygrad_edu.scripts import ch11_gridworld

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "gymnasium")


@pytest.fixture
def gymnasium(needs: Needs) -> ModuleType:
    return needs("gymnasium")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the pictures out, which take longer than all the rest."""
    monkeypatch.setattr(ch11_gridworld, "draw", lambda *args: None)


def run(*flags: str, episodes: int = 300, out: str = "out") -> dict[str, Any]:
    """Run the project; its figures."""
    command = ["run", "gridworld", "--episodes", str(episodes), "--out", out, "--json", "figures.json", *flags]
    assert cli.main(command) == 0
    return json.loads(Path("figures.json").read_text())


def test_it_learns_the_best_policy_and_draws_it(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("--map", "classic", "--exploring-starts", "--gamma", "0.9", "--evaluation-episodes", "3")
    assert figures["evaluation_return_mean"] == pytest.approx(0.8)  # five steps of 0.04, and 1
    assert figures["evaluation_return_std"] == 0.0
    assert figures["optimal_return_mean"] == pytest.approx(0.8)
    assert figures["policy_is_optimal"]
    assert figures["optimal_action_share"] == 1.0
    assert figures["largest_value_error"] < 0.01
    steps = [json.loads(line)["episode_steps"] for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 300
    assert figures["environment_steps"] == sum(steps)
    assert figures["steps_per_second"] == pytest.approx(figures["environment_steps"] / figures["train_seconds"])
    out = capsys.readouterr().out
    assert "The policy learnt is optimal: it takes an optimal action in 5 of the 5 states that it comes to" in out
    for name in ("curves", "policy"):
        assert Path("out", f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert Path("out/learning.gif").read_bytes().startswith(b"GIF8")


def test_it_says_so_when_the_policy_is_not_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("--map", "rooms", "--algorithm", "sarsa", "--steps", "20", episodes=2)
    assert figures["evaluation_return_mean"] < figures["optimal_return_mean"]
    assert not figures["policy_is_optimal"]
    out = capsys.readouterr().out
    assert "The policy learnt is not optimal" in out
    assert "SARSA learns the value of what it plays" in out


@pytest.mark.usefixtures("undrawn")
def test_the_cliff_and_a_map_of_ones_own() -> None:
    flags = ("--epsilon", "0.1", "--alpha-end", "0.5", "--steps", "200")
    assert run("--environment", "CliffWalking-v1", *flags)["evaluation_return_mean"] == -13.0
    Path("mine.txt").write_text("S..\n.#G\n")
    assert run("--map", "mine.txt")["evaluation_return_mean"] == pytest.approx(0.88)  # three steps
    assert run("--random", "3", "--size", "4", "--slip", "0.1")["environment_steps"] > 300


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Taxi-v4"])
def test_other_environments_with_and_without_a_map(name: str) -> None:
    figures = run("--environment", name, "--evaluation-episodes", "2", episodes=10)
    assert 0.0 <= figures["optimal_action_share"] <= 1.0
    assert Path("out/policy.png").exists() == Path("out/learning.gif").exists() == (name == "FrozenLake-v1")


def test_a_strangers_environment_needs_no_model(
    gymnasium: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Coin(gymnasium.Env):
        """Action 1 wins."""

        observation_space, action_space = gymnasium.spaces.Discrete(1), gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
            super().reset(seed=seed)
            return 0, {}

        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
            return 0, float(action), True, False, {}

    entry = registry.Registered(Coin, __name__, "tests")
    monkeypatch.setitem(registry.installed().table("environments"), "coin", entry)
    assert run("--environment", "coin", episodes=30)["evaluation_return_mean"] == 1.0
    assert "coin has no exact model P to compare with." in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "flags", [["--slip", "0.3", "--exploring-starts"], ["--environment", "FrozenLake-v1", "--algorithm", "sarsa"]]
)
def test_a_killed_run_ends_with_the_same_bits(
    flags: list[str], same_bits: Callable[[str, str], Any], killed: Callable[..., None]
) -> None:
    whole = run(*flags, episodes=100, out="whole")
    command = ["run", "gridworld", "--episodes", "100", "--out", "out", *flags]
    for at, again in ((40, []), (77, ["--resume"])):
        killed([*command, *again], at=at)
    resumed = run(*flags, "--resume", episodes=100, out="out")
    arrays = same_bits("whole", "out")
    assert len([name for name in arrays if name.startswith("film.")]) > 20
    assert np.abs(arrays["learner.Q"]).max() > 0.0
    for name in ("environment_steps", "evaluation_return_mean", "largest_value_error"):
        assert whole[name] == resumed[name], name
    lines = [
        [{**json.loads(line), "seconds": 0} for line in Path(out, "metrics.jsonl").read_text().splitlines()]
        for out in ("whole", "out")
    ]
    assert lines[0] == lines[1]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--episodes", "0"], "gridworld: expected --episodes of at least 1, got 0"),
        (["--steps", "-1"], "gridworld: expected --steps of at least 1, got -1"),
        (["--evaluation-episodes", "0"], "gridworld: expected --evaluation-episodes of at least 1, got 0"),
        (["--alpha", "1.5"], "tabular: expected alpha from 0 to 1, got 1.5"),
        (["--gamma", "-0.5"], "tabular: expected gamma from 0 to 1, got -0.5"),
        (["--slip", "2"], "grid world: expected slip from 0 to 1, got 2.0"),
        (["--map", "brigde"], "unknown map 'brigde' (did you mean 'bridge'?); there are: bridge, classic, rooms; or"),
        (["--random", "0", "--size", "1"], "random map: expected a size of at least 2, got 1"),
        (["--environment", "CliffWalking-v1", "--slip", "0.1"], "--slip is for our grid-world, not CliffWalking-v1"),
        (
            ["--environment", "FrozenLake-v7"],
            "unknown environment 'FrozenLake-v7' (did you mean 'FrozenLake-v1'?); there are: CliffWalking-v1, "
            "CliffWalkingSlippery-v1, FrozenLake-v1, FrozenLake8x8-v1, Taxi-v4, grid-world",
        ),
        (
            ["--environment", "CartPole-v1"],
            "--environment CartPole-v1: tabular: expected observations that are Discrete and begin at 0, got Box(",
        ),
        (["--environment", "Pendulum-v1"], "--environment Pendulum-v1: tabular: expected observations that are Disc"),
        (["--environment", "Blackjack-v1"], "begin at 0, got Tuple(Discrete(32), "),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "gridworld", "--out", "out", *flags]) != 0
    assert complaint in capsys.readouterr().err


def test_a_map_without_a_way_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("closed.txt").write_text("S#G")
    assert cli.main(["run", "gridworld", "--out", "out", "--map", "closed.txt"]) != 0
    assert "--map closed.txt: no way leads from S to G" in capsys.readouterr().err
