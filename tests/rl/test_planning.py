"""Value and policy iteration beside the linear equations of the best policy, and the textbook's numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Needs = Callable[[str], ModuleType]


@pytest.fixture
def rl(needs: Needs) -> Any:
    needs("gymnasium")
    from tinygrad_edu.rl import grid_world, planning

    return planning, grid_world


def values_of(P: Any, policy: tuple[int, ...], gamma: float) -> np.ndarray:
    """The values (S,) of a policy, by solving v = r + γ T v."""
    n = len(P)
    T, r = np.zeros((n, n)), np.zeros(n)
    for s in range(n):
        for p, s_next, reward, terminated in P[s][policy[s]]:
            r[s] += p * reward
            T[s, s_next] += 0.0 if terminated else p
    return np.linalg.solve(np.eye(n) - gamma * T, r)


@pytest.mark.parametrize("slip", [0.0, 0.3])
def test_both_find_the_best_of_all_policies(rl: Any, slip: float) -> None:
    planning, grid_world = rl
    P = grid_world.GridWorld("S.\noG", slip=slip).P
    best = np.max([values_of(P, policy, 0.9) for policy in product(range(4), repeat=4)], axis=0)
    for iteration in (planning.value_iteration, planning.policy_iteration):
        np.testing.assert_allclose(iteration(P, gamma=0.9).max(axis=1), best, atol=1e-8)


def test_the_textbooks_numbers(rl: Any) -> None:
    """Russell and Norvig's figure: γ = 1, slip 0.2, rewards -0.04 a step, +1 and -1; row by row, the wall left out.

    There a terminal square is worth what it pays, here that is paid on the way into it, together with the last step.
    """
    planning, grid_world = rl
    world = grid_world.GridWorld(slip=0.2)
    v = planning.value_iteration(world.P, gamma=1.0).max(axis=1).reshape(3, 4)
    expected = [[0.812, 0.868, 0.918], [0.762, None, 0.660], [0.705, 0.655, 0.611, 0.388]]
    for row, line in zip(v, expected, strict=True):
        for found, known in zip(row, line, strict=False):
            if known is not None:
                assert found == pytest.approx(known, abs=0.0006)


def test_both_solve_the_equations_in_larger_worlds(rl: Any, needs: Needs) -> None:
    planning, grid_world = rl
    make, GridWorld = needs("gymnasium").make, grid_world.GridWorld
    worlds = {name: make(name).unwrapped for name in ("FrozenLake-v1", "CliffWalking-v1", "Taxi-v4")}
    worlds |= {f"random {seed}": GridWorld(grid_world.random_map(7, seed), slip=seed / 10) for seed in range(5)}
    for name, world in worlds.items():
        Q = planning.value_iteration(world.P, gamma=0.9)
        np.testing.assert_allclose(planning.policy_iteration(world.P, gamma=0.9), Q, atol=2e-9, err_msg=name)
        v = values_of(world.P, tuple(Q.argmax(axis=1)), 0.9)
        np.testing.assert_allclose(Q.max(axis=1), v, atol=2e-9, err_msg=name)  # the tolerance, divided by 1 - γ


def test_who_may_slip_goes_round_the_pits(rl: Any) -> None:
    planning, grid_world = rl
    at_start = []
    for slip in (0.0, 0.2):
        world = grid_world.GridWorld(grid_world.MAPS["bridge"], slip=slip)
        at_start.append(planning.value_iteration(world.P, gamma=0.99)[world.start].argmax())
    assert at_start == [1, 0]  # right, along the pits; up, away from them


def test_where_one_can_come_to(rl: Any) -> None:
    planning, grid_world = rl
    P = grid_world.GridWorld("S.o\n##.\n..G").P
    assert planning.reachable(P, [0]) == [0, 1]
    assert planning.reachable(P, [0, 6]) == [0, 1, 6, 7]
    assert planning.reachable(P, []) == []


def test_values_that_never_settle(rl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    planning, grid_world = rl
    monkeypatch.setattr(planning, "MOST_SWEEPS", 100)
    P = grid_world.GridWorld("SG#.").P  # from the last cell no end can be reached, and each step costs
    with pytest.raises(ValueError, match="the values have not settled after 100 sweeps; try a gamma below 1"):
        planning.value_iteration(P, gamma=1.0)


def test_toy_texts_models_are_read(rl: Any, needs: Needs) -> None:
    planning, _ = rl
    cliff = needs("gymnasium").make("CliffWalking-v1").unwrapped
    Q = planning.value_iteration(cliff.P, gamma=1.0)
    assert Q[36].max() == pytest.approx(-13.0)


def test_equal_actions_are_all_optimal(rl: Any) -> None:
    planning, _ = rl
    assert planning.optimal_actions(np.array([[1.0, 1.0 + 1e-12, 0.5]])).tolist() == [[True, True, False]]


def test_mistakes(rl: Any) -> None:
    planning, grid_world = rl
    P = grid_world.GridWorld("SG").P
    for iteration in (planning.value_iteration, planning.policy_iteration):
        with pytest.raises(ValueError, match=r"planning: expected gamma from 0 to 1, got 1\.1"):
            iteration(P, gamma=1.1)
    with pytest.raises(ValueError, match="policy_iteration: expected gamma below 1"):
        planning.policy_iteration(P, gamma=1.0)
