"""Chapter 11's cart pole from the command line: learns three ways, is compared, resumed, judged again, refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli, registry, state
from tinygrad_edu.scripts import ch11_cartpole, ch11_cartpole_learners, ch11_cartpole_pictures

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "gymnasium")


@pytest.fixture
def gymnasium(needs: Needs) -> Any:
    return needs("gymnasium")


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ch11_cartpole_pictures.sys, "platform", "linux")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the film out, which takes longer than all the rest."""
    monkeypatch.setattr(ch11_cartpole, "show", lambda *args: None)


def run(*flags: str, out: str = "out", compare: str = "none") -> dict[str, Any]:
    """Run the project; its figures."""
    command = ["run", "cartpole", "--out", out, "--json", "figures.json", "--compare", compare]
    assert cli.main([*command, "--evaluation-episodes", "5", *flags]) == 0
    return json.loads(Path("figures.json").read_text())


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(out, "metrics.jsonl").read_text().splitlines()]


def test_reinforce_learns_and_its_policy_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """10,000 steps take it from 20 to some 100; the file that it leaves is the same policy."""
    figures = run("--algorithm", "reinforce", "--steps", "10000", "--watch")
    assert figures["evaluation_return_mean"] > 60.0
    assert figures["evaluation_return_std"] >= 0.0
    assert 10_000 <= figures["environment_steps"] < 14_000  # the last round is finished: 8 episodes of at most 500
    assert figures["environment_steps"] == lines("out")[-1]["environment_steps"]
    assert figures["steps_per_second"] == pytest.approx(figures["environment_steps"] / figures["train_seconds"])
    assert figures["seeds_solved"] == (figures["evaluation_return_mean"] >= 475.0)
    out = capsys.readouterr().out
    assert "reinforce on CartPole-v1, 1" in out
    assert "--watch: there is no display; the episode is in out/play.gif." in out
    assert Path("out/curves.png").read_bytes().startswith(b"\x89PNG")
    assert Path("out/play.gif").read_bytes().startswith(b"GIF8")
    again = run("--algorithm", "reinforce", "--evaluate", "out/policy.safetensors", out="again")
    for name in ("evaluation_return_mean", "evaluation_return_std"):
        assert again[name] == pytest.approx(figures[name])  # the sum of squares and back, in float64
    assert "train_seconds" not in again


@pytest.mark.usefixtures("undrawn")
def test_seeds_and_algorithms_side_by_side() -> None:
    figures = run("--steps", "300", "--seeds", "2", compare="algorithms")
    for prefix in ("", "reinforce_", "ppo_"):
        assert figures[f"{prefix}environment_steps"] >= 600
        assert figures[f"{prefix}lowest_seed_return_mean"] <= figures[f"{prefix}evaluation_return_mean"]
    assert figures["environment_steps"] == 600  # DQN cuts its last episode
    assert {line["epoch"] for line in lines("out")} == {1, 2, 3, 4, 5, 6}


@pytest.mark.usefixtures("undrawn")
def test_torchs_network_learns_the_same(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same weights, on the same steps: after two rounds of updates the two still see nearly the same."""
    needs("torch")
    monkeypatch.setattr(ch11_cartpole_learners, "WIDTH", 16)
    figures = run("--steps", "1600", compare="torch")
    assert figures["torch_environment_steps"] == figures["environment_steps"] == 1600
    losses = [[line["loss"] for line in lines("out") if line["epoch"] == k and "loss" in line] for k in (1, 2)]
    assert losses[0][:2] == pytest.approx(losses[1][:2], rel=1e-3)  # a float32 step after step, until an action differs
    assert len(losses[0]) > 2


NARROW = "from tinygrad_edu.scripts import ch11_cartpole_learners as learners; learners.WIDTH = 16"


@pytest.mark.usefixtures("undrawn")
def test_a_killed_run_ends_with_the_same_bits(
    same_bits: Callable[[str, str], Any], killed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed within the first learner, and within the second."""
    monkeypatch.setattr(ch11_cartpole_learners, "WIDTH", 16)
    flags = ["--steps", "1500", "--seeds", "2"]
    whole = run(*flags, out="whole")
    first = max(line["step"] for line in lines("whole") if line["epoch"] == 1)
    command = ["run", "cartpole", "--out", "out", "--compare", "none", "--evaluation-episodes", "5", *flags]
    for at, again in ((first - 3, []), (first + 20, ["--resume"])):
        killed([*command, *again], at=at, setup=NARROW)
    resumed = run(*flags, "--resume")
    arrays = same_bits("whole", "out")
    assert any(name.startswith("contest.results.1.network") for name in arrays)
    for name in ("environment_steps", "evaluation_return_mean", "lowest_seed_return_mean"):
        assert whole[name] == resumed[name], name
    kept = [[{**line, "seconds": 0} for line in lines(out)] for out in ("whole", "out")]
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("undrawn")
def test_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = run("--steps", "1000000", "--minutes", "0.005", "--seeds", "2", "--algorithm", "reinforce")
    assert figures["environment_steps"] < 100_000
    assert {line["epoch"] for line in lines("out")} == {1, 2}  # each has its minutes


@pytest.mark.usefixtures("undrawn")
def test_a_strangers_environment(gymnasium: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Coin(gymnasium.Env):
        """Action 1 wins."""

        observation_space, action_space = gymnasium.spaces.Box(0.0, 1.0, (2,)), gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {}

        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            return np.zeros(2, np.float32), float(action), True, False, {}

    entry = registry.Registered(Coin, __name__, "tests")
    monkeypatch.setitem(registry.installed().table("environments"), "coin", entry)
    figures = run("--environment", "coin", "--algorithm", "reinforce", "--steps", "400")
    assert figures["evaluation_return_mean"] == 1.0
    assert "seeds_solved" not in figures  # nobody has said from when on it is


def test_the_curves_of_seeds_lie_in_their_band(monkeypatch: pytest.MonkeyPatch) -> None:
    member, returns = np.array([1, 1, 2]), np.array([10.0, 20.0, 30.0])
    figure = ch11_cartpole_pictures.curves(["dqn", "dqn"], member, np.array([50, 100, 50]), returns, goal=475.0)
    (ax,) = figure.axes
    mean = ax.lines[0].get_ydata()
    assert (mean[0], mean[-1]) == (20.0, 25.0)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (10.0, 30.0)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--steps", "0"], "cartpole: expected --steps of at least 1, got 0"),
        (["--steps", "-5"], "cartpole: expected --steps of at least 1, got -5"),
        (["--seeds", "0"], "cartpole: expected --seeds of at least 1, got 0"),
        (["--minutes", "0"], "cartpole: expected --minutes of more than 0, got 0.0"),
        (["--evaluation-episodes", "0"], "cartpole: expected --evaluation-episodes of at least 1, got 0"),
        (["--algorithm", "ppo", "--compare", "torch"], "cartpole: --compare torch is for --algorithm dqn, not ppo"),
        (["--no-baseline"], "cartpole: --no-baseline is for reinforce, not dqn"),
        (["--environment", "CartPole-v7"], "unknown environment 'CartPole-v7' (did you mean 'CartPole-v"),
        (["--environment", "CartPole-v7"], "there are: Acrobot-v1, CartPole-v0, CartPole-v1, MountainCar"),
        (
            ["--environment", "Pendulum-v1"],
            "--environment Pendulum-v1: dqn: expected actions that are Discrete and begin at 0, got Box(-2.0, 2.0",
        ),
        (
            ["--environment", "FrozenLake-v1", "--algorithm", "ppo"],
            "--environment FrozenLake-v1: ppo: expected observations of shape (D,), a Box, got Discrete(16)",
        ),
        (["--evaluate", "missing.safetensors"], "No such file or directory: 'missing.safetensors'"),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "cartpole", "--out", "out", *flags]) != 0
    assert complaint in capsys.readouterr().err
    assert not Path("out/checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"environment": "Acrobot-v1"}, "expected the environment 'CartPole-v1', it has 'Acrobot-v1'"),
        ({"algorithm": "ppo"}, "expected the algorithm 'dqn', it has 'ppo'"),
        ({"project": "pong"}, "expected the project 'cartpole', it has 'pong'"),
        ({"network": {"layers.1.weight": np.zeros((3, 4), np.float32)}}, "it is of another network: "),
    ],
)
def test_a_policy_of_something_else_is_refused(
    changed: dict[str, Any], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = {"project": "cartpole", "environment": "CartPole-v1", "algorithm": "dqn", "network": {}, **changed}
    state.save("other.safetensors", tree)
    assert cli.main(["run", "cartpole", "--out", "out", "--evaluate", "other.safetensors"]) != 0
    assert f"--evaluate other.safetensors: {complaint}" in capsys.readouterr().err


def test_what_draws_itself_with_a_package_that_is_missing(gymnasium: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is no film, and the report says why."""

    def make(**settings: Any) -> Any:
        if settings:
            raise gymnasium.error.DependencyNotInstalled("pygame is not installed")
        return gymnasium.make("Acrobot-v1")

    for show in (ch11_cartpole_pictures.film, ch11_cartpole_pictures.window):
        monkeypatch.setenv("DISPLAY", ":0")
        assert show(make, lambda x: np.zeros((len(x), 3)), 0) == "pygame is not installed"


def test_a_window_shows_an_episode(gymnasium: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment draws itself at each step; here it only counts them."""
    steps, modes = [], []

    class Counted(gymnasium.Wrapper):
        def step(self, action: int) -> Any:
            steps.append(action)
            return super().step(action)

    def make(**settings: Any) -> Any:
        modes.append(settings)
        return Counted(gymnasium.make("CartPole-v1"))

    monkeypatch.setenv("DISPLAY", ":0")
    assert ch11_cartpole_pictures.window(make, lambda x: np.array([[0.0, 1.0]]), 0) is None
    assert modes == [{"render_mode": "human"}]
    assert 5 < len(steps) < 15  # always to the right: the pole soon falls
    assert {*steps} == {1}
