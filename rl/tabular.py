"""Q-learning and SARSA: the value of every action in every state, learnt from experience alone, kept in a table.

Both play, and after each step move Q(s, a) by the share α towards what the step has shown it to be worth: the reward,
and γ times the value of where it led. They differ in whose value that is: Q-learning's is that of the best action
there (so it learns about the best policy while it explores), SARSA's of the action that is really taken next (so it
learns about the policy that it plays, mistakes included).

The world is any environment with Gymnasium's interface and Discrete spaces. Where a step *terminates* the episode
nothing follows, and that value is 0. A time limit that *truncates* it is no end of the world: the value of the state
reached then counts as after any other step.

Symbols: `S` states, `A` actions; Q (S, A) float64; s, a, r, s', a' the state, action, reward, and the next ones.

Source: R. Sutton, A. Barto, Reinforcement Learning, 2nd edition, 2018, sections 6.4 and 6.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Episode = tuple[float, list[int]]  # the sum of its rewards; the states it went through, the first to the last


def q_learning_episode(
    env: Any, Q: np.ndarray, rng: np.random.Generator, *, alpha: float, gamma: float, epsilon: float
) -> Episode:
    """Play one episode and learn from each of its steps, in place. Sutton & Barto (6.8):

    Q(s, a) ← Q(s, a) + α (r + γ max over a' of Q(s', a') - Q(s, a))
    """
    s, _ = env.reset()
    total, states, done = 0.0, [int(s)], False
    while not done:
        a = epsilon_greedy(Q[s], epsilon, rng)
        s_next, r, terminated, truncated, _ = env.step(a)
        future = 0.0 if terminated else Q[s_next].max()
        Q[s, a] += alpha * (r + gamma * future - Q[s, a])
        s, done = s_next, terminated or truncated
        total += float(r)
        states.append(int(s))
    return total, states


def sarsa_episode(
    env: Any, Q: np.ndarray, rng: np.random.Generator, *, alpha: float, gamma: float, epsilon: float
) -> Episode:
    """Play one episode and learn from each of its steps, in place. Sutton & Barto (6.7):

    Q(s, a) ← Q(s, a) + α (r + γ Q(s', a') - Q(s, a))
    """
    s, _ = env.reset()
    a = epsilon_greedy(Q[s], epsilon, rng)
    total, states, done = 0.0, [int(s)], False
    while not done:
        s_next, r, terminated, truncated, _ = env.step(a)
        a_next = epsilon_greedy(Q[s_next], epsilon, rng)  # after a truncation it would have been the next one
        future = 0.0 if terminated else Q[s_next, a_next]
        Q[s, a] += alpha * (r + gamma * future - Q[s, a])
        s, a, done = s_next, a_next, terminated or truncated
        total += float(r)
        states.append(int(s))
    return total, states


EPISODES: dict[str, Callable[..., Episode]] = {"q-learning": q_learning_episode, "sarsa": sarsa_episode}


def q_learning(env: Any, *, episodes: int, seed: int, **settings: Any) -> tuple[np.ndarray, list[float]]:
    """Q (S, A) after so many episodes of Q-learning, and each one's return; the settings are those of `learn`."""
    return learn(q_learning_episode, env, episodes=episodes, seed=seed, **settings)


def sarsa(env: Any, *, episodes: int, seed: int, **settings: Any) -> tuple[np.ndarray, list[float]]:
    """Q (S, A) after so many episodes of SARSA, and each one's return; the settings are those of `learn`."""
    return learn(sarsa_episode, env, episodes=episodes, seed=seed, **settings)


def learn(
    play: Callable[..., Episode],
    env: Any,
    *,
    episodes: int,
    seed: int,
    alpha: tuple[float, float] = (0.5, 0.5),
    gamma: float = 0.95,
    epsilon: tuple[float, float] = (1.0, 0.05),
) -> tuple[np.ndarray, list[float]]:
    """Q (S, A) and the episodes' returns, undiscounted.

    `alpha` and `epsilon` go in a straight line from their first number at the first episode to their second after the
    last. `seed` is that of the environment and of the actions. ValueError for settings that make no sense.
    """
    check(episodes=episodes, alpha=alpha, gamma=gamma, epsilon=epsilon)
    env.reset(seed=seed)  # from here on its randomness goes on from episode to episode
    Q, rng = table(env), np.random.default_rng(seed)
    returns = []
    for episode in range(episodes):
        share = episode / episodes
        total, _ = play(env, Q, rng, alpha=line(*alpha, share), gamma=gamma, epsilon=line(*epsilon, share))
        returns.append(total)
    return Q, returns


def check(*, episodes: int, alpha: tuple[float, float], gamma: float, epsilon: tuple[float, float]) -> None:
    """Raise ValueError for settings that make no sense."""
    if episodes < 1:
        raise ValueError(f"tabular: expected at least 1 episode, got {episodes}")
    named = {"alpha": alpha, "gamma": (gamma,), "epsilon": epsilon}
    for name, value in ((name, value) for name, values in named.items() for value in values):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"tabular: expected {name} from 0 to 1, got {value}")


def table(env: Any) -> np.ndarray:
    """A table of zeros, (S, A). ValueError where the environment's states or actions cannot be numbered 0, 1, 2, ..."""
    sizes = []
    for name, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if getattr(space, "start", None) != 0 or not hasattr(space, "n"):
            raise ValueError(f"tabular: expected {name} that are Discrete and begin at 0, got {space}")
        sizes.append(int(space.n))
    return np.zeros(sizes)


def line(first: float, last: float, share: float) -> float:
    """What lies between `first` and `last` when the given share of the way is done."""
    return first + (last - first) * share


def epsilon_greedy(values: np.ndarray, epsilon: float, rng: np.random.Generator) -> int:
    """With the probability `epsilon` any action, else a best one by its values (A,); equal ones are drawn among."""
    if rng.random() < epsilon:
        return int(rng.integers(len(values)))
    best = np.flatnonzero(values == values.max())  # at the beginning all are 0: the first would be tried for ever
    return int(best[rng.integers(len(best))])


def greedy(Q: np.ndarray) -> Callable[[int], int]:
    """The policy that takes the best action by Q (S, A), the first of equal ones."""
    return lambda s: int(Q[s].argmax())
