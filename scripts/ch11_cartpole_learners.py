"""Who learns in the project cartpole: the three algorithms with their settings, one learner after the other.

The settings are those that balance CartPole's pole within 100,000 steps, found by trying; they are the same for every
seed and every environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.errors import require
from tinygrad_edu.models.mlp import MLP
from tinygrad_edu.rl import dqn, ppo, reinforce
from tinygrad_edu.rl.actor_critic import MLPActorCritic
from tinygrad_edu.rl.spaces import sizes

ALGORITHMS = ("reinforce", "dqn", "ppo")
WIDTH = 128  # of DQN's two hidden layers
ENVIRONMENTS = 8  # that PPO plays at once
PPO = ppo.Settings(steps=32, epochs=20, minibatch=256, lr=1e-3, gamma=0.98, lam=0.8, entropy_weight=0.0)


def build(name: str, seed: int, make: Callable[[], Any], *, steps: int, baseline: bool, double: bool) -> Any:
    """A learner: dqn.DQN, reinforce.Reinforce or ppo.PPO; "torch" is DQN with torch's network, from the same weights.

    `make` makes the environment. ValueError for one with other spaces than `rl/spaces.py` expects.
    """
    env = make()
    observations, actions = sizes(env, name)
    tg.manual_seed(seed)  # of the network's first weights
    if name == "ppo":
        envs = require("gymnasium", extra="rl").vector.SyncVectorEnv([make] * ENVIRONMENTS)
        return ppo.PPO(envs, MLPActorCritic(observations, actions), PPO, seed=seed)
    if name == "reinforce":
        settings = reinforce.Settings(baseline=baseline)
        return reinforce.Reinforce(env, MLPActorCritic(observations, actions), settings, seed=seed)
    widths = (observations, WIDTH, WIDTH, actions)
    network, choices = MLP(*widths), dqn.Settings(steps=steps, double=double)
    q: Any = dqn.QNetwork(network, choices)
    if name == "torch":
        from tinygrad_edu.scripts import ch11_torch_dqn, torch_models

        start = {key: value.numpy() for key, value in network.state_dict().items()}
        q = ch11_torch_dqn.QNetwork(torch_models.load(torch_models.MLP(*widths), start), choices)
    return dqn.DQN(env, q, choices, seed=seed)


def network(learner: Any) -> Any:
    """What it has learnt: its network."""
    return learner.q.network if isinstance(learner, dqn.DQN) else learner.model


def scores(learner: Any, observations: np.ndarray) -> np.ndarray:
    """What it makes of each action, the best one highest: (N, D) -> (N, A), values for DQN, else log-odds."""
    observations = np.asarray(observations, np.float32)
    if isinstance(learner, dqn.DQN):
        return learner.q.values(observations)
    return ppo.predict(learner.model, observations)[0]


class Contest:
    """The learners one after the other, and what became of those before; a checkpoint keeps it.

    `members`: the name and the seed of each. `build(name, seed)` makes a learner.
    """

    def __init__(self, members: Sequence[tuple[str, int]], build: Callable[[str, int], Any]) -> None:
        self.members, self.build = members, build
        self.results: list[dict[str, Any]] = []
        self.learner: Any = None

    def current(self) -> Any:
        """The learner whose turn it is: new, or as a checkpoint left it."""
        if self.learner is None:
            self.learner = self.build(*self.members[len(self.results)])
        return self.learner

    def finish(self, mean: float, std: float) -> None:
        """It has learnt, and these are its returns: the next one's turn."""
        weights = {key: value.numpy() for key, value in network(self.learner).state_dict().items()}
        self.results.append({"mean": mean, "std": std, "steps": self.learner.steps, "network": weights})
        self.learner = None

    def of(self, name: str) -> list[dict[str, Any]]:
        """The results of all seeds of one name."""
        return [result for result, (who, _) in zip(self.results, self.members, strict=False) if who == name]

    def state_dict(self) -> dict[str, Any]:
        """The results, and the learner in progress."""
        learner = None if self.learner is None else self.learner.state_dict()
        return {"results": self.results, "learner": learner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over."""
        self.results, self.learner = list(state["results"]), None
        if state["learner"] is not None:
            self.current().load_state_dict(state["learner"])
