"""Chapter 11's lessons with networks: the policy gradient, and deep Q-learning.

Source: R. Sutton, A. Barto, Reinforcement Learning, 2nd edition, 2018, sections 2.8 and 13.3; V. Mnih et al., 2015.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.errors import require
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.rl import dqn, ppo, reinforce
from tinygrad_edu.rl.actor_critic import MLPActorCritic
from tinygrad_edu.rl.evaluation import evaluate_each
from tinygrad_edu.rl.replay import Batch

# Lesson 11.2
ALPHA, BANDIT_STEPS, POLICY_STEPS = 0.5, 6, 20_000
# Lesson 11.3
GAMMA, Q_STEPS = 0.9, 30_000


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
