"""Value iteration and policy iteration: the exact answer, for whoever knows how the world works.

The model is in Gymnasium's form: `P[s][a]` lists the outcomes (probability, s', r, terminated) of action a in state s.
`GridWorld` and Gymnasium's toy_text environments (`env.unwrapped.P`) have one. Learning, in `tabular.py`, has to find
the same answer without it.

Symbols: `S` states, `A` actions, `K` outcomes of an action; v (S,) values of states, Q (S, A) values of actions.

Source: R. Sutton, A. Barto, Reinforcement Learning, 2nd edition, 2018, chapter 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated
Model = Mapping[int, Mapping[int, Sequence[Outcome]]]

MOST_SWEEPS = 100_000  # what has not settled by then never will


def value_iteration(P: Model, *, gamma: float, tolerance: float = 1e-10) -> np.ndarray:
    """The optimal values of all actions, q* (S, A): v* is each row's maximum, an optimal action one that reaches it.

    Sutton & Barto (4.10), until no value changes by more than `tolerance`:

        v(s) ← max over a of  Σ p(s', r | s, a) (r + γ v(s'))         v(s') = 0 where the episode ends with this step

    ValueError for a `gamma` outside 0 to 1, and for values that never settle: with gamma 1 they fall for ever in a
    state from which no end can be reached.
    """
    _check(gamma)
    outcomes = _arrays(P)
    v = np.zeros(len(P))
    for _ in range(MOST_SWEEPS):
        Q = _backup(outcomes, v, gamma)
        change = np.abs(Q.max(axis=1) - v).max()
        v = Q.max(axis=1)
        if change <= tolerance:
            return Q
    raise ValueError(f"value_iteration: the values have not settled after {MOST_SWEEPS} sweeps; try a gamma below 1")


def policy_iteration(P: Model, *, gamma: float, tolerance: float = 1e-10) -> np.ndarray:
    """The same q* (S, A) by another road: judge a policy π, then act greedily by that judgement, until π is stable.

    Sutton & Barto, section 4.3. Evaluation is (4.5) for a policy that always does the same, improvement is (4.9):

        v(s) ← Σ p(s', r | s, π(s)) (r + γ v(s'))
        π(s) ← argmax over a of  Σ p(s', r | s, a) (r + γ v(s'))

    ValueError for a `gamma` outside 0 to 1, and for 1 itself: a policy that never comes to an end has no value then.
    """
    _check(gamma)
    if gamma == 1.0:
        raise ValueError("policy_iteration: expected gamma below 1, since a policy that never ends has no value at 1")
    outcomes = _arrays(P)
    every = np.arange(len(P))
    policy, v = np.zeros(len(P), np.int64), np.zeros(len(P))
    while True:
        change = np.inf
        while change > tolerance:
            values = _backup(outcomes, v, gamma)[every, policy]
            change, v = np.abs(values - v).max(), values
        Q = _backup(outcomes, v, gamma)
        # Only what is better by more than the evaluation's own error: two equal actions would change places for ever.
        better = Q.max(axis=1) > Q[every, policy] + 2.0 * tolerance / (1.0 - gamma)
        if not better.any():
            return Q
        policy[better] = Q[better].argmax(axis=1)


def optimal_actions(Q: np.ndarray, tolerance: float = 1e-8) -> np.ndarray:
    """Which actions are as good as the best of their state, for exact values Q: bool (S, A). Often several are."""
    best: np.ndarray = Q.max(axis=1, keepdims=True)
    return best - Q <= tolerance


def reachable(P: Model, starts: Iterable[int]) -> list[int]:
    """The states, sorted, in which an episode that begins in one of `starts` can come to act; not those it ends in."""
    waiting = [int(s) for s in starts]
    found = set(waiting)
    while waiting:
        outcomes = [outcome for action in P[waiting.pop()].values() for outcome in action]
        new = {int(s) for p, s, _, terminated in outcomes if p > 0.0 and not terminated} - found
        found |= new
        waiting += new
    return sorted(found)


def _check(gamma: float) -> None:
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"planning: expected gamma from 0 to 1, got {gamma}")


def _arrays(P: Model) -> tuple[np.ndarray, ...]:
    """Probability, next state, reward, and 1 where the episode goes on, 0 where it ends: four arrays (S, A, K)."""
    actions = [P[s][a] for s in range(len(P)) for a in range(len(P[0]))]
    K = max(map(len, actions))
    nothing: Outcome = (0.0, 0, 0.0, True)  # fills up an action of fewer than K outcomes
    table = [[*outcomes, *[nothing] * (K - len(outcomes))] for outcomes in actions]
    p, s, r, terminated = np.array(table, np.float64).reshape(len(P), -1, K, 4).transpose(3, 0, 1, 2)
    return p, s.astype(np.int64), r, 1.0 - terminated


def _backup(outcomes: tuple[np.ndarray, ...], v: np.ndarray, gamma: float) -> np.ndarray:
    """Σ p(s', r | s, a) (r + γ v(s')) for every s and a: (S,) -> (S, A)."""
    p, s, r, goes_on = outcomes
    Q: np.ndarray = (p * (r + gamma * goes_on * v[s])).sum(axis=2)
    return Q
