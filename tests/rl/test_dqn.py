"""DQN: its targets by hand, truncation that is no end, a chain learnt exactly, resumed to the bit, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, state
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.rl.dqn import DQN, QNetwork, Settings, predict, targets
from tinygrad_edu.rl.replay import Batch, Replay

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("seeded")


def batch(*, terminated: bool) -> Batch:
    """Two steps, with rewards 1 and 2."""
    x, flags = np.zeros((2, 4), np.float32), np.array([terminated, terminated])
    return Batch(x, np.array([0, 1]), np.array([1.0, 2.0], np.float32), x, flags)


def test_the_targets_by_hand() -> None:
    q_target = np.array([[3.0, 5.0], [7.0, 6.0]], np.float32)
    q = np.array([[9.0, 8.0], [1.0, 2.0]], np.float32)  # would rather do the other thing in both
    steps = batch(terminated=False)
    assert targets(steps, 0.5, q_target).tolist() == [1.0 + 0.5 * 5.0, 2.0 + 0.5 * 7.0]
    assert targets(steps, 0.5, q_target, q).tolist() == [1.0 + 0.5 * 3.0, 2.0 + 0.5 * 6.0]
    assert targets(batch(terminated=True), 0.5, q_target, q).tolist() == [1.0, 2.0]
    assert targets(steps, 0.99, q_target, q).dtype == np.float32


class Once:
    """One step from (0,) to (1,) with reward 1; it ends as it is told."""

    def __init__(self, gymnasium: Any, terminated: bool, truncated: bool) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,))
        self.action_space, self.end = gymnasium.spaces.Discrete(2), (terminated, truncated)
        self.unwrapped, self.np_random = self, np.random.default_rng(0)

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), 1.0, *self.end, {}


@pytest.mark.parametrize(("end", "expected"), [((False, True), 1.0 + 0.5 * 10.0), ((True, False), 1.0)])
def test_a_time_limit_is_no_end_of_the_world(needs: Needs, end: tuple[bool, bool], expected: float) -> None:
    """The state that follows is worth 10 by Q⁻: after a truncation that counts, after a termination it does not."""
    seen = []

    class Ten(QNetwork):
        def learn(self, batch: Batch, rate: float) -> float:
            with tg.no_grad():
                self.target.weight.zero_()
                self.target.bias.fill_(10.0)
            seen.append(targets(batch, 0.5, predict(self.target, batch.following)))
            return super().learn(batch, rate)

    settings = Settings(steps=4, start=1, every=1, updates=1, batch=3, gamma=0.5)
    learner = DQN(Once(needs("gymnasium"), *end), Ten(nn.Linear(1, 2), settings), settings, seed=0)
    assert learner.episode().keys() == {"loss"}
    assert (learner.steps, learner.returns) == (1, [1.0])
    assert seen[0].tolist() == [expected] * 3


def test_an_update_is_a_step_down_the_loss_of_the_actions_taken() -> None:
    """One layer, from Q = 0: only the bias and the weights of the actions taken move, and towards y."""
    network = nn.Linear(2, 3)
    with tg.no_grad():
        network.weight.zero_()
        network.bias.zero_()
    q = QNetwork(network, Settings(lr=0.1))
    x = np.ones((4, 2), np.float32)
    steps = Batch(x, np.array([0, 0, 2, 2]), np.array([1, 1, -1, -1], np.float32), x, np.ones(4, bool))
    assert q.learn(steps, 1.0) == pytest.approx(0.5)  # errors of ±1: half their squares
    assert network.bias.tolist() == pytest.approx([0.1, 0.0, -0.1], rel=1e-5)  # Adam's first step is the rate itself
    assert q.target.bias.tolist() == [0.0, 0.0, 0.0]  # not yet
    q.update_target()
    assert q.target.bias.tolist() == network.bias.tolist()
    before = network.bias.tolist()
    q.learn(steps, 0.0)
    assert network.bias.tolist() == before  # the rate has fallen to 0
    q.keep()
    q.learn(steps, 1.0)
    assert network.bias.tolist() != before
    q.restore()
    assert network.bias.tolist() == before


class Fickle:
    """A Q that is for action 1 until it has learnt, and for action 0 from then on."""

    def __init__(self) -> None:
        self.action, self.kept = 1, -1

    def values(self, observations: np.ndarray) -> np.ndarray:
        return np.eye(2)[[self.action]]

    def learn(self, batch: Batch, rate: float) -> float:
        self.action = 0
        return 0.0

    def update_target(self) -> None: ...

    def keep(self) -> None:
        self.kept = self.action

    def restore(self) -> None:
        self.action = self.kept


class Paid(Once):
    """Action 1 is worth 1, action 0 nothing."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), float(action), True, False, {}


@pytest.mark.parametrize(("steps", "best", "action"), [(20, 1.0, 1), (5, -np.inf, 1), (10, 1.0, 1), (11, 1.0, 1)])
def test_what_did_best_in_a_test_remains(needs: Needs, steps: int, best: float, action: int) -> None:
    """A test after 4 steps, which takes 2, is passed; it learns at 10, and fails from then on. 5 steps are too few."""
    settings = Settings(steps=steps, start=10, every=10, updates=1, epsilon=(1.0, 1.0), test_every=4, test_episodes=2)
    q = Fickle()
    learner = DQN(Paid(needs("gymnasium"), True, False), q, settings, seed=0)
    played = 0
    while learner.steps < steps:
        learner.episode()
        played += 1
    assert (learner.steps, learner.best, q.action) == (steps, best, action)
    assert q.kept == (1 if best == 1.0 else -1)
    assert played < steps  # a test's steps count


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
@pytest.mark.parametrize("double", [True, False])
def test_a_chain_is_learnt(needs: Needs, backend: str, double: bool) -> None:
    """Four cells in a row, as one-hot vectors; the goal at the right end gives 1. Q is a linear layer: a table."""
    gymnasium = needs("gymnasium")
    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    from tinygrad_edu.rl.grid_world import GridWorld

    world = GridWorld("S..G", step_cost=0.0)
    space = gymnasium.spaces.Box(0.0, 1.0, (4,), np.float32)
    env = gymnasium.wrappers.TransformObservation(world, lambda s: np.eye(4, dtype=np.float32)[s], space)
    env = gymnasium.wrappers.TimeLimit(env, 20)
    with tg.use_backend(backend):
        settings = Settings(steps=3000, start=50, every=20, updates=10, batch=16, lr=0.05, gamma=0.5)
        q = QNetwork(nn.Linear(4, 4), Settings(double=double, lr=0.05, gamma=0.5))
        learner = DQN(env, q, settings, seed=0)
        while learner.steps < settings.steps:
            learner.episode()
        values = q.values(np.eye(4, dtype=np.float32))[:3]
    assert values[:, 1].tolist() == pytest.approx([0.25, 0.5, 1.0], abs=0.02)  # 1 = right; the rest of the last steps
    assert values.argmax(axis=1).tolist() == [1, 1, 1]


def test_it_goes_on_from_a_checkpoint_with_the_same_bits(needs: Needs, tmp_path: Path) -> None:
    gymnasium = needs("gymnasium")
    settings = Settings(steps=600, start=50, every=10, updates=7, batch=16, capacity=100, test_every=60)

    def fresh() -> DQN:
        q = QNetwork(MLP(4, 8, 2), settings)
        return DQN(gymnasium.make("CartPole-v1"), q, settings, seed=3)

    one, two = fresh(), fresh()
    while one.steps < 300:
        one.episode()
    assert len(one.replay) == 100
    assert one.best > 0.0  # there was a test
    state.save(tmp_path / "state", one.state_dict())
    two.load_state_dict(state.load(tmp_path / "state"))
    for learner in (one, two):
        while learner.steps < settings.steps:
            learner.episode()
    assert one.steps == two.steps == 600  # the last episode is cut short
    (tree, arrays), (tree_2, arrays_2) = (state.flatten(learner.state_dict()) for learner in (one, two))
    assert tree == tree_2
    assert all(array.tobytes() == arrays_2[name].tobytes() for name, array in arrays.items())


def test_the_memory_forgets_the_oldest() -> None:
    replay = Replay(3, 2)
    for k in range(5):
        replay.add(np.full(2, k), k, k, np.full(2, k + 1), k == 4)
    assert len(replay) == 3
    drawn = replay.sample(50, np.random.default_rng(0))
    assert {*drawn.actions.tolist()} == {2, 3, 4}
    assert np.array_equal(drawn.observations[:, 0], drawn.actions)
    assert np.array_equal(drawn.following[:, 1], drawn.actions + 1)
    assert np.array_equal(drawn.terminated, drawn.actions == 4)


def test_random_actions_become_rare() -> None:
    settings = Settings(steps=1000, exploration=0.5, epsilon=(1.0, 0.1))
    found = [settings.epsilon_at(step) for step in (0, 250, 500, 1000)]
    assert found == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert Settings(exploration=0.0).epsilon_at(0) == 0.04


def test_mistakes(needs: Needs) -> None:
    gymnasium = needs("gymnasium")
    for settings, message in [
        ({"steps": 0}, "dqn: expected steps of at least 1, got 0"),
        ({"capacity": -1}, "dqn: expected capacity of at least 1, got -1"),
        ({"gamma": 1.5}, "dqn: expected gamma from 0 to 1, got 1.5"),
        ({"epsilon": (1.0, -0.1)}, "dqn: expected epsilon from 0 to 1, got -0.1"),
    ]:
        with pytest.raises(ValueError, match=message):
            Settings(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="replay: expected a capacity of at least 1, got 0"):
        Replay(0, 4)
    with pytest.raises(ValueError, match="replay: expected steps to sample from, got none yet"):
        Replay(1, 4).sample(1, np.random.default_rng(0))
    q = QNetwork(nn.Linear(1, 2), Settings())
    with pytest.raises(ValueError, match=r"dqn: expected actions that are Discrete and begin at 0, got Box\(-2"):
        DQN(gymnasium.make("Pendulum-v1"), q, seed=0)
    with pytest.raises(ValueError, match=r"dqn: expected observations of shape \(D,\), a Box, got Discrete\(16\)"):
        DQN(gymnasium.make("FrozenLake-v1"), q, seed=0)
