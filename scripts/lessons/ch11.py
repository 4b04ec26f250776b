"""Chapter 11's lessons: learning from what happens, without a teacher who knows the answer.

Sources: R. Sutton, A. Barto, Reinforcement Learning, 2nd edition, 2018, sections 2.8, 6.5 and 13.3; V. Mnih et al.,
"Human-level control through deep reinforcement learning", Nature 518, 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.errors import require
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.rl import dqn, planning, ppo, reinforce, tabular
from tinygrad_edu.rl.actor_critic import MLPActorCritic
from tinygrad_edu.rl.evaluation import evaluate_each
from tinygrad_edu.rl.replay import Batch
from tinygrad_edu.scripts.lessons.in_text import beside

if TYPE_CHECKING:
    from tinygrad_edu.rl.grid_world import GridWorld

ALPHA, GAMMA = 0.5, 0.9
# Lesson 11.1
ARROWS, NAMES = "↑→↓←", ("up", "right", "down", "left")
WALK = (0, 0, 1, 1, 1)  # the actions of the walk that is written out: up, up, and right until the goal
# Lessons 11.2 and 11.3: how many steps
BANDIT_STEPS, POLICY_STEPS, Q_STEPS = 6, 20_000, 30_000


def q_table() -> None:
    """The Q-table and its update in a grid world: by hand step by step, then until the table is right.

    The world is in `rl/grid_world.py`, the learning in `rl/tabular.py`, the exact answer in `rl/planning.py`.
    """
    require("gymnasium", extra="rl")
    from tinygrad_edu.rl.grid_world import GridWorld

    world = GridWorld()
    columns = world.shape[1]
    print("A world of 12 cells, the states: S start, # wall, G goal (+1), o pit (-1); each step costs 0.04.\n")
    print(beside({"map": rows(world.cells, columns), "states": rows([*map(str, range(len(world.cells)))], columns)}))
    print("\nQ has a row for each state s and a column for each action a; all 12 x 4 numbers are 0 at first. A step")
    print("from s by a, with reward r, to s', moves one of them by the share α towards what the step has shown:\n")
    print("  Q(s, a) ← Q(s, a) + α (r + γ max over a' of Q(s', a') - Q(s, a))")
    print(f"\nα = {ALPHA}, γ = {GAMMA}. The same walk three times, every update with its numbers:\n")
    walk_and_learn(world)
    print("\nEach walk carries the goal's reward one cell further back. At the goal the episode terminates: nothing")
    print("follows, and γ max Q(s', a') is left out. A time limit, though, is no end of the world: there it stays in.")
    learn_until_right(world)


def walk_and_learn(world: GridWorld) -> None:
    """Go `WALK` three times with one table, and print its updates."""
    Q = tabular.table(world)
    for walk in range(1, 4):
        s, _ = world.reset()
        for a in WALK:
            s_next, r, terminated, _, _ = world.step(a)
            old, best = Q[s, a], Q[s_next].max()
            Q[s, a] += ALPHA * (r + GAMMA * (0.0 if terminated else best) - old)
            future = "" if terminated else f" + {GAMMA}·{number(best)}"
            right = f"{number(old)} + {ALPHA}·({number(r)}{future} - {number(old)})"
            print(f"  walk {walk}   Q({s}, {NAMES[a]})".ljust(24), f"← {right} = {number(Q[s, a])}")
            s = s_next


def learn_until_right(world: GridWorld) -> None:
    """Q-learning for more and more episodes, the best action of each state as an arrow, and the exact answer."""
    print("\nQ-learning: the agent finds its own way, at first by chance, later by its table. The best action of each")
    print("state after so many episodes; ? where the table has no preference:\n")
    columns, learnt = world.shape[1], {}
    for episodes in (1, 10, 100, 1000):
        learnt[str(episodes)], _ = tabular.q_learning(
            world, episodes=episodes, seed=0, alpha=(ALPHA, ALPHA), gamma=GAMMA, epsilon=(1.0, 0.1)
        )
    exact = planning.value_iteration(world.P, gamma=GAMMA)
    boards = {name: arrows(world, planning.optimal_actions(Q, tolerance=0.0)) for name, Q in learnt.items()}
    boards["exact, by value iteration"] = arrows(world, planning.optimal_actions(exact))
    print(beside({name: rows(cells, columns) for name, cells in boards.items()}))
    last = learnt["1000"]
    print("\nWhat the states are worth, max over a of Q(s, a), learnt and exact:\n")
    print(beside({name: rows(values(world, Q), columns) for name, Q in (("learnt", last), ("exact", exact))}))
    here = planning.reachable(world.P, [world.start])
    right = planning.optimal_actions(exact)[here, last[here].argmax(axis=1)]
    error = np.abs(last.max(axis=1) - exact.max(axis=1))[here].max()
    print(f"\nOptimal actions: {right.sum()} of {len(here)}. Largest difference of a value: {error:.1g}")


def number(value: float) -> str:
    """Four digits that count, in brackets with a sign."""
    return f"{value:.4g}" if value >= 0 else f"({value:.4g})"


def arrows(world: GridWorld, best: np.ndarray) -> list[str]:
    """For each cell the arrows of its best actions, bool (S, A): ? if these are all; a letter where none is taken."""
    found = ["?" if row.all() else "".join(ARROWS[a] for a in np.flatnonzero(row)) for row in best]
    return [cell if cell in "#Go" else arrow for cell, arrow in zip(world.cells, found, strict=True)]


def values(world: GridWorld, Q: np.ndarray) -> list[str]:
    """Each cell's value; a letter where no action is taken."""
    return [c if c in "#Go" else f"{v:.3f}" for c, v in zip(world.cells, Q.max(axis=1), strict=True)]


def rows(cells: str | list[str], columns: int) -> list[str]:
    """Cells as the lines of a board."""
    width = max(map(len, cells))
    return [" ".join(f"{c:<{width}}" for c in cells[i : i + columns]) for i in range(0, len(cells), columns)]


def policy_gradient() -> None:
    """The policy gradient: a choice between two actions with every number, then a pole balanced on a cart.

    The algorithm is in `rl/reinforce.py`; the project is `tinygrad-edu run cartpole --algorithm reinforce`.
    """
    gymnasium: Any = require("gymnasium", extra="rl")
    print("Two actions; b is worth 1, a nothing. The policy is the softmax of two numbers θ, at first equal. It draws")
    print("an action, sees what it is worth, G, and makes it more likely in proportion to G:\n")
    print("  θ ← θ + α G ∇ log π(action)          ∇ log π(action) = (1 for the action, else 0) - π\n")
    bandit()
    print(f"\nThe same with a network, and episodes: CartPole, {POLICY_STEPS} steps, each with its G. Where all G are")
    print("positive all actions become more likely, the better ones more; a baseline, what was to be expected, makes")
    print("that a comparison. The mean return of the episodes, fifth by fifth:\n")
    for baseline in (False, True):
        tg.manual_seed(0)
        settings = reinforce.Settings(baseline=baseline)
        learner = reinforce.Reinforce(gymnasium.make("CartPole-v1"), MLPActorCritic(4, 2), settings, seed=0)
        returns: list[float] = []
        while learner.steps < POLICY_STEPS:
            learner.learn(learner.collect())
            returns += learner.returns
        what = "with a baseline" if baseline else "without"
        best = judge(gymnasium, lambda x, model=learner.model: ppo.predict(model, x)[0])
        print(f"  {what:<16} {fifths(returns)}   by the best action: {best}")


def bandit() -> None:
    """Some updates of a policy over two actions, each with its numbers."""
    theta, rng = np.zeros(2), np.random.default_rng(0)
    for step in range(1, BANDIT_STEPS + 1):
        pi = np.exp(theta) / np.exp(theta).sum()
        action = int(rng.random() < pi[1])
        G = float(action)
        gradient = np.eye(2)[action] - pi
        theta = theta + ALPHA * G * gradient
        print(
            f"  step {step}   π = ({pi[0]:.3f}, {pi[1]:.3f})   drawn: {'ab'[action]}, G = {G:g}"
            f"   θ += {ALPHA}·{G:g}·({gradient[0]:+.3f}, {gradient[1]:+.3f})   θ = ({theta[0]:+.3f}, {theta[1]:+.3f})"
        )


def deep_q() -> None:
    """Deep Q-learning: a batch's targets with every number, then a pole balanced on a cart.

    The algorithm is in `rl/dqn.py`, its memory in `rl/replay.py`; the project is `tinygrad-edu run cartpole`.
    """
    gymnasium: Any = require("gymnasium", extra="rl")
    print("Q is a network now: four numbers in, place and speed of cart and pole; the worth of both actions out. It is")
    print("moved towards y for steps drawn from a memory. A copy Q⁻, a little older, says what comes after: Q chooses,")
    print(f"and Q⁻ judges, so that an error of one is not taken for a prize. γ = {GAMMA}:\n")
    print("  y = r + γ Q⁻(s', argmax over a' of Q(s', a')),   or r alone where the episode has come to its end\n")
    targets()
    print(f"\nThen CartPole, {Q_STEPS} steps. The mean return of the episodes, exploring included, fifth by fifth:\n")
    tg.manual_seed(0)
    settings = dqn.Settings(steps=Q_STEPS)
    q = dqn.QNetwork(MLP(4, 128, 128, 2), settings)
    learner, returns = dqn.DQN(gymnasium.make("CartPole-v1"), q, settings, seed=0), []
    while learner.steps < settings.steps:
        learner.episode()
        returns += learner.returns
    print(f"  {fifths(returns)}   by the best action: {judge(gymnasium, q.values)}")
    print("\nThat is the beginning; the project takes 100,000 steps: tinygrad-edu run cartpole")


def targets() -> None:
    """Three steps that differ in how they end, with their targets."""
    ends = ("the episode goes on", "the time is up (truncated)", "the pole has fallen (terminated)")
    q, q_target = np.array([[4.0, 6.0]] * 3, np.float32), np.array([[5.0, 3.0]] * 3, np.float32)
    x = np.zeros((3, 4), np.float32)
    batch = Batch(x, np.zeros(3, np.int64), np.ones(3, np.float32), x, np.array([False, False, True]))
    print("  Q(s', ·) = (4, 6): the second action is chosen.   Q⁻(s', ·) = (5, 3): it is worth 3.\n")
    for end, y, stops in zip(ends, dqn.targets(batch, GAMMA, q_target, q), batch.terminated, strict=True):
        print(f"  {end:<34} y = 1" + ("" if stops else f" + {GAMMA}·3").ljust(10) + f"= {y:.4g}")


def fifths(returns: list[float]) -> str:
    """The means of the first fifth, the second, and so on."""
    return "  ".join(f"{fmean(part):5.1f}" for part in np.array_split(np.array(returns), 5))


def judge(gymnasium: Any, scores: Any) -> str:
    """The mean return of 20 episodes by the best actions."""
    envs = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 20)
    return f"{evaluate_each(envs, lambda x: scores(x).argmax(axis=1), seed=100)[0]:.1f}"


LESSONS: dict[str, Callable[[], None]] = {"11.1": q_table, "11.2": policy_gradient, "11.3": deep_q}
