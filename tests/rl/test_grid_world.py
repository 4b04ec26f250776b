"""GridWorld: Gymnasium's own checker, its model beside its steps, what is drawn, mistakes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry

Needs = Callable[[str], ModuleType]


@pytest.fixture
def grid_world(needs: Needs) -> Any:
    needs("gymnasium")
    from tinygrad_edu.rl import grid_world

    return grid_world


# The checker would make the environment anew in each render mode, which it can for those of `gymnasium.make` alone.
@pytest.mark.filterwarnings("ignore:.*alternative render modes:UserWarning")
@pytest.mark.parametrize("settings", [{}, {"slip": 0.2}, {"exploring_starts": True}])
@pytest.mark.parametrize("name", ["classic", "bridge", "rooms"])
def test_gymnasiums_checker_accepts_it(grid_world: Any, needs: Needs, name: str, settings: dict[str, Any]) -> None:
    check_env = needs("gymnasium.utils.env_checker").check_env
    check_env(grid_world.GridWorld(grid_world.MAPS[name], render_mode="rgb_array", **settings), skip_render_check=False)


def test_the_time_limit_is_gymnasiums(grid_world: Any, needs: Needs) -> None:
    registration = needs("gymnasium.envs.registration")
    spec = registration.EnvSpec("GridWorld-v0", entry_point=grid_world.GridWorld, max_episode_steps=3)
    env = registration.make(spec, grid="S.G", render_mode="ansi")
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    assert env.render() == "@.G"


def test_the_model_is_what_happens(grid_world: Any) -> None:
    """Every action 400 times in a slippery corner: as often as the model says, to 5 standard errors."""
    world = grid_world.GridWorld("S.o\n#.G", slip=0.4)
    for action in range(4):
        seen: dict[Any, int] = {}
        world.reset(seed=action)
        for _ in range(400):
            world.state = 1
            outcome = world.step(action)[:3]
            seen[outcome] = seen.get(outcome, 0) + 1
        expected: dict[Any, float] = {}
        for p, state, reward, terminated in world.P[1][action]:
            expected[state, reward, terminated] = expected.get((state, reward, terminated), 0.0) + p
        assert seen.keys() == expected.keys()
        for outcome, p in expected.items():
            assert seen[outcome] / 400 == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 400))


def test_walls_and_edges_stop_pits_and_goals_end(grid_world: Any) -> None:
    world = grid_world.GridWorld("S#\n.o\n.G")
    assert world.reset(seed=0) == (0, {})
    assert [world.step(a)[0] for a in (0, 1, 3)] == [0, 0, 0]  # edge, wall, edge
    assert world.step(2) == (2, -0.04, False, False, {})
    assert world.step(1) == (3, pytest.approx(-1.04), True, False, {})
    world.reset()
    for action in (2, 2):
        world.step(action)
    assert world.step(1) == (5, pytest.approx(0.96), True, False, {})


def test_what_is_over_stays_over(grid_world: Any) -> None:
    world = grid_world.GridWorld("SG")
    world.reset(seed=0)
    assert world.step(1)[2]
    assert world.step(3) == (1, 0.0, True, False, {})


def test_exploring_starts_begin_wherever_one_can_be(grid_world: Any) -> None:
    world = grid_world.GridWorld("S.#.\noG#.", exploring_starts=True)
    world.reset(seed=0)
    assert {world.reset()[0] for _ in range(50)} == {0, 1}


def test_a_seed_gives_the_same_episode(grid_world: Any) -> None:
    def walk(seed: int) -> list[int]:
        world = grid_world.GridWorld(grid_world.MAPS["rooms"], slip=0.5, exploring_starts=True)
        return [world.reset(seed=seed)[0], *(world.step(1)[0] for _ in range(30))]

    assert walk(1) == walk(1) != walk(2)


def test_it_is_drawn_as_text_and_as_a_picture(grid_world: Any) -> None:
    world = grid_world.GridWorld("S.o\n#.G", render_mode="ansi")
    world.reset(seed=0)
    world.step(1)
    assert world.render() == "S@o\n#.G"
    world = grid_world.GridWorld("S.o\n#.G", render_mode="rgb_array")
    world.reset(seed=0)
    picture = world.render()
    assert (picture.shape, picture.dtype) == ((64, 96, 3), np.uint8)
    assert tuple(picture[16, 16]) == grid_world.AGENT
    assert tuple(picture[48, 16]) == grid_world.COLOURS["#"]


def test_it_is_registered(needs: Needs) -> None:
    needs("gymnasium")
    world = registry.get("environments", "grid-world")("S.\n.G", slip=0.1)
    assert world.observation_space.n == 4


def test_the_plugin_face_is_cheap_and_names_the_missing_extra() -> None:
    program = """
import sys
from tinygrad_edu import rl
assert "gymnasium" not in sys.modules
sys.modules["gymnasium"] = None  # as if it were not installed
rl.register_environments()["grid-world"]()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "MissingExtra: this needs gymnasium: pip install 'tinygrad-edu[rl]'" in done.stderr


def test_random_maps_can_be_solved_and_depend_on_the_seed_alone(grid_world: Any) -> None:
    maps = [grid_world.random_map(6, seed) for seed in range(10)]
    assert maps == [grid_world.random_map(6, seed) for seed in range(10)]
    assert len(set(maps)) == 10
    assert all(grid_world.solvable(grid_world.GridWorld(grid)) for grid in maps)
    assert not grid_world.solvable(grid_world.GridWorld("S#\n#G"))
    assert not grid_world.solvable(grid_world.GridWorld("SoG"))  # through a pit leads no way


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: g.GridWorld("S.x\n..G"), "expected a map of S G . # o alone, got 'x'"),
        (lambda g: g.GridWorld("S.\n..G"), r"expected rows of one length, got \[2, 3\]"),
        (lambda g: g.GridWorld("..\n.G"), "expected one S and at least one G, got 0 and 1"),
        (lambda g: g.GridWorld("SG", slip=1.5), "expected slip from 0 to 1, got 1.5"),
        (lambda g: g.GridWorld("SG", render_mode="human"), "expected render_mode 'ansi', 'rgb_array' or None"),
        (lambda g: g.GridWorld("SG").step(4), "expected an action from 0 to 3, got 4"),
        (lambda g: g.random_map(1, 0), "expected a size of at least 2, got 1"),
        (lambda g: g.random_map(9, 0, walls=0.95, pits=0.0), "no way through with 95% walls"),
    ],
)
def test_mistakes(grid_world: Any, make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(grid_world)
