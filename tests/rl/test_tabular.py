"""Q-learning and SARSA: one update by hand, the exact answer found, truncation that is no end, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Needs = Callable[[str], ModuleType]


@pytest.fixture
def tabular(needs: Needs) -> Any:
    needs("gymnasium")
    from tinygrad_edu.rl import tabular

    return tabular


class Corridor:
    """Two states; action 0 stays in 0, action 1 goes from 0 to 1. The first step's end is as it is told."""

    def __init__(self, gymnasium: Any, terminated: bool, truncated: bool) -> None:
        self.observation_space = self.action_space = gymnasium.spaces.Discrete(2)
        self.end = terminated, truncated

    def reset(self, seed: int | None = None) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return int(action), 1.0, *self.end, {}


@pytest.mark.parametrize("name", ["q-learning", "sarsa"])
def test_a_time_limit_is_no_end_of_the_world(tabular: Any, needs: Needs, name: str) -> None:
    """With α = 0.5, γ = 0.9: truncated, the state reached counts for its value, 10; terminated, it does not."""
    for end, expected in (((False, True), 0.5 * (1.0 + 0.9 * 10.0)), ((True, False), 0.5)):
        Q = np.array([[0.0, 1e-9], [10.0, 10.0]])
        env, rng = Corridor(needs("gymnasium"), *end), np.random.default_rng(0)
        total, states = tabular.EPISODES[name](env, Q, rng, alpha=0.5, gamma=0.9, epsilon=0.0)
        assert (total, states) == (1.0, [0, 1])
        assert Q[0, 1] == pytest.approx(expected)


def test_q_learning_finds_the_exact_answer_on_random_grids(tabular: Any) -> None:
    from tinygrad_edu.rl.grid_world import GridWorld, random_map
    from tinygrad_edu.rl.planning import optimal_actions, reachable, value_iteration

    for seed in range(20):
        world = GridWorld(random_map(5, seed), exploring_starts=True)
        Q, returns = tabular.q_learning(world, episodes=600, seed=seed, alpha=(1.0, 1.0), epsilon=(1.0, 1.0))
        best = optimal_actions(value_iteration(world.P, gamma=0.95))
        states = reachable(world.P, [world.start])
        assert best[states, Q[states].argmax(axis=1)].all(), seed
        assert len(returns) == 600


def test_cliff_walking_is_learnt(tabular: Any, needs: Needs) -> None:
    from tinygrad_edu.rl.evaluation import evaluate

    gymnasium = needs("gymnasium")
    env = gymnasium.make("CliffWalking-v1", max_episode_steps=200)
    Q, _ = tabular.q_learning(env, episodes=500, seed=0, gamma=1.0, epsilon=(0.1, 0.1))
    assert evaluate(env, tabular.greedy(Q), episodes=3, seed=0) == (-13.0, 0.0)


def test_sarsa_keeps_away_from_the_cliff(tabular: Any, needs: Needs) -> None:
    """Sutton & Barto, example 6.6: while it explores, the edge is dangerous, and SARSA counts that in."""
    env = needs("gymnasium").make("CliffWalking-v1", max_episode_steps=200)
    settings: dict[str, Any] = {"episodes": 1000, "seed": 0, "gamma": 1.0, "epsilon": (0.1, 0.1)}
    _, bold = tabular.q_learning(env, **settings, alpha=(0.5, 0.1))
    Q, careful = tabular.sarsa(env, **settings, alpha=(0.5, 0.1))

    assert np.mean(careful[-500:]) > np.mean(bold[-500:]) + 10.0
    assert Q[25].argmax() in (0, 3)  # beside the pits: up or back, not along them


def test_frozen_lake_is_crossed_seven_times_in_ten(tabular: Any, needs: Needs) -> None:
    """The best policy there is has 0.74 (gymnasium's own number); 1000 episodes tell that to ± 0.014."""
    from tinygrad_edu.rl.evaluation import evaluate

    env = needs("gymnasium").make("FrozenLake-v1")
    Q, _ = tabular.q_learning(env, episodes=5000, seed=0, alpha=(0.5, 0.01), gamma=0.99)
    assert evaluate(env, tabular.greedy(Q), episodes=1000, seed=1000)[0] >= 0.70


def test_the_seed_is_all_that_chance_depends_on(tabular: Any) -> None:
    from tinygrad_edu.rl.grid_world import GridWorld

    tables = [tabular.sarsa(GridWorld(slip=0.2), episodes=20, seed=seed)[0] for seed in (1, 1, 2)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_mistakes(tabular: Any, needs: Needs) -> None:
    from tinygrad_edu.rl.evaluation import evaluate
    from tinygrad_edu.rl.grid_world import GridWorld

    for settings, message in [
        ({"episodes": 0}, "tabular: expected at least 1 episode, got 0"),
        ({"episodes": 1, "alpha": (2.0, 0.1)}, "tabular: expected alpha from 0 to 1, got 2.0"),
        ({"episodes": 1, "gamma": -0.1}, "tabular: expected gamma from 0 to 1, got -0.1"),
    ]:
        with pytest.raises(ValueError, match=message):
            tabular.q_learning(GridWorld(), seed=0, **settings)
    with pytest.raises(ValueError, match="tabular: expected observations that are Discrete and begin at 0, got Box"):
        tabular.table(needs("gymnasium").make("CartPole-v1"))
    with pytest.raises(ValueError, match="evaluate: expected at least 1 episode, got 0"):
        evaluate(GridWorld(), tabular.greedy(np.zeros((12, 4))), episodes=0, seed=0)
