"""DQN's network once more, in torch: what the project cartpole compares with. The rest of DQN is the same code.

Only imported where torch is wanted.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tinygrad_edu.rl.dqn import PARTS, Settings, targets
from tinygrad_edu.rl.replay import Batch


class QNetwork:
    """See `tinygrad_edu.rl.dqn`."""

    def __init__(self, network: torch.nn.Module, settings: Settings) -> None:
        self.settings, self.network = settings, network
        self.target, self.best = copy.deepcopy(network), copy.deepcopy(network)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr)

    def values(self, observations: np.ndarray) -> np.ndarray:
        return predict(self.network, observations)

    def learn(self, batch: Batch, rate: float) -> float:
        q_next = self.values(batch.following) if self.settings.double else None
        y = targets(batch, self.settings.gamma, predict(self.target, batch.following), q_next)
        q = self.network(torch.from_numpy(batch.observations))  # (B, A)
        q = q.gather(1, torch.from_numpy(batch.actions[:, None])).squeeze(1)  # (B,)
        loss = F.smooth_l1_loss(q, torch.from_numpy(y))
        self.optimizer.param_groups[0]["lr"] = self.settings.lr * rate
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def update_target(self) -> None:
        self.target.load_state_dict(self.network.state_dict())

    def keep(self) -> None:
        self.best.load_state_dict(self.network.state_dict())

    def restore(self) -> None:
        self.network.load_state_dict(self.best.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {name: dict(getattr(self, name).state_dict()) for name in PARTS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in PARTS:
            getattr(self, name).load_state_dict(tensors(state[name]))


def predict(network: torch.nn.Module, observations: np.ndarray) -> np.ndarray:
    """The network's output for these observations, without gradients."""
    with torch.no_grad():
        return network(torch.from_numpy(observations)).numpy()


def tensors(tree: Any) -> Any:
    """A tree with torch's tensors for NumPy's arrays."""
    if isinstance(tree, Mapping):
        return {key: tensors(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [tensors(value) for value in tree]
    return torch.from_numpy(tree) if isinstance(tree, np.ndarray) else tree
