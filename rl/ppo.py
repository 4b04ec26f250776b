"""Proximal policy optimization: play with the policy for a while, then change it by gradient steps, but not too far.

Several environments are played at once. `collect` plays T steps in each; `learn` makes several passes over them in
minibatches. The value network v tells how much better than expected an action turned out, its advantage; the policy is
moved towards actions with a positive one. The ratio of its probability to what it was when the action was drawn is
clipped: once an action has become likelier by the share ε, there is nothing to gain by making it likelier still.

Where a step *terminates* an episode nothing follows, and the value of what comes next is 0. A time limit that
*truncates* it is no end of the world: the value of the last state counts as after any other step. Gymnasium's vectors
start an ended episode anew in the step after: that step's action moves nothing, so nothing is learnt from it.

Symbols: T steps in each of N environments; r, v, δ, Â (T, N) reward, value, TD error and advantage; γ discount, λ
the advantage's decay; π(a|s) the policy, π_old what it was when playing, ρ = π(a|s) / π_old(a|s).

Sources: J. Schulman et al., "Proximal Policy Optimization Algorithms", 2017, arXiv:1707.06347; J. Schulman et al.,
"High-Dimensional Continuous Control Using Generalized Advantage Estimation", ICLR 2016; S. Huang et al., "The 37
Implementation Details of Proximal Policy Optimization", ICLR blog track 2022 (value clipping, normalised advantages).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn, optim

Array = np.ndarray


@dataclass(frozen=True)
class Settings:
    """What PPO can be set to; ValueError for what makes no sense."""

    steps: int = 128  # T, in each environment, between two rounds of learning
    epochs: int = 4  # passes over them
    minibatch: int = 256  # steps a gradient is computed from
    lr: float = 2.5e-4
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2  # ε
    value_clip: float | None = None  # how far a value may move in one round; None: as far as it likes
    value_weight: float = 0.5  # c₁
    entropy_weight: float = 0.01  # c₂
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in ("steps", "epochs", "minibatch") else 0
            if value is not None and not value >= least:
                raise ValueError(f"ppo: expected {field.name} >= {least}, got {value}")
        for name in ("gamma", "lam"):
            if getattr(self, name) > 1.0:
                raise ValueError(f"ppo: expected {name} from 0 to 1, got {getattr(self, name)}")


class Rollout(NamedTuple):
    """What was played: T steps in each of N environments."""

    observations: Array  # (T, N, ...)
    actions: Array  # (T, N) int64
    log_probs: Array  # (T, N) float32: log π_old(a|s)
    values: Array  # (T + 1, N) float32: the last are those of the states that the last step led to
    rewards: Array  # (T, N) float32
    terminated: Array  # (T, N) bool
    ended: Array  # (T, N) bool: terminated or truncated
    played: Array  # (T, N) bool: not the step that only starts an episode anew


def advantages(rollout: Rollout, *, gamma: float, lam: float) -> Array:
    """Â (T, N). Schulman et al. 2017 (12) and (11); 2016 (16), cut off where the episode or the rollout ends:

    δₜ = rₜ + γ v(sₜ₊₁) - v(sₜ)        v(sₜ₊₁) = 0 where the step terminates the episode
    Âₜ = δₜ + γ λ Âₜ₊₁                 Âₜ₊₁ = 0 where it ends it, and after the last step
    """
    values = rollout.values
    out = np.zeros_like(rollout.rewards)
    after = np.zeros_like(out[0])
    for t in reversed(range(len(out))):
        delta = rollout.rewards[t] + gamma * values[t + 1] * ~rollout.terminated[t] - values[t]
        out[t] = after = delta + gamma * lam * after * ~rollout.ended[t]
    return out


def loss(
    logits: Tensor, values: Tensor, batch: Mapping[str, Tensor], settings: Settings
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a gradient step lowers (0-d), and its parts. Schulman et al. 2017 (7) and (9), with the sign turned:

    L = -mean min(ρ Â, clip(ρ, 1 - ε, 1 + ε) Â) + c₁ mean (v - R)² / 2 - c₂ mean H(π)        R = Â + v_old

    `logits` (B, A) and `values` (B,); `batch` has actions, log_probs, advantages, returns and values (v_old), (B,)
    each. With `value_clip` the worse of (v - R)² and that of v held within v_old ± value_clip counts.
    """
    s = settings
    log_p = F.log_softmax(logits, 1)  # (B, A)
    log_ratio = log_p.gather(1, batch["actions"].unsqueeze(1)).squeeze(1) - batch["log_probs"]
    ratio = log_ratio.exp()  # (B,)
    gain = batch["advantages"]
    policy_loss = -tg.minimum(ratio * gain, ratio.clamp(1.0 - s.clip, 1.0 + s.clip) * gain).mean()
    errors = (values - batch["returns"]).square()
    if s.value_clip is not None:
        near = batch["values"] + (values - batch["values"]).clamp(-s.value_clip, s.value_clip)
        errors = tg.maximum(errors, (near - batch["returns"]).square())
    value_loss = 0.5 * errors.mean()
    entropy = -(log_p.exp() * log_p).sum(1).mean()
    total = policy_loss + s.value_weight * value_loss - s.entropy_weight * entropy
    return total, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy, "ratio": ratio}


class PPO:
    """Plays N environments with `model` and makes it better: `learn(collect())`, over and over.

    `envs`: Gymnasium's vector with Discrete actions, of the autoreset mode NEXT_STEP (their default). `model(x)` gives
    logits (B, A) and values (B,) for observations (B, ...). `seed` is that of the environments, of the actions and of
    the minibatches' order. ValueError for other actions and other modes.

    `steps` counts the steps played, `returns` are the sums of rewards of the episodes that ended in the last `collect`.
    """

    def __init__(self, envs: Any, model: nn.Module, settings: Settings | None = None, *, seed: int) -> None:
        check_environments(envs)
        self.envs, self.model, self.settings, self.seed = envs, model, settings or Settings(), seed
        self.optimizer = self.make_optimizer()
        self.rng = np.random.default_rng(seed)
        self.steps = 0
        self.returns: list[float] = []
        self.start(seed)

    def make_optimizer(self) -> optim.Optimizer:
        """Adam; ε as in OpenAI's baselines."""
        return optim.Adam(self.model.parameters(), lr=self.settings.lr, eps=1e-5)

    def start(self, seed: int) -> None:
        """Begin a new episode in every environment."""
        self.observations, _ = self.envs.reset(seed=seed)  # (N, ...)
        self.ended = np.zeros(self.envs.num_envs, bool)  # those whose next step only starts them anew
        self.totals = np.zeros(self.envs.num_envs)  # of the rewards of the episodes in progress

    def collect(self) -> Rollout:
        """Play `settings.steps` steps in each environment."""
        T, N = self.settings.steps, self.envs.num_envs
        observations = np.empty((T, *self.observations.shape), self.observations.dtype)
        actions = np.empty((T, N), np.int64)
        log_probs, values, rewards = (np.empty((T + more, N), np.float32) for more in (0, 1, 0))
        terminated, ended, played = (np.empty((T, N), bool) for _ in range(3))
        self.returns = []
        for t in range(T):
            logits, values[t] = self.predict(self.observations)
            actions[t], log_probs[t] = sample(logits, self.rng)
            observations[t], played[t] = self.observations, ~self.ended
            self.observations, rewards[t], terminated[t], truncated, _ = self.envs.step(actions[t])
            ended[t] = self.ended = terminated[t] | truncated
            self.totals += rewards[t]
            self.returns += self.totals[self.ended].tolist()
            self.totals[self.ended] = 0.0
        _, values[T] = self.predict(self.observations)
        self.steps += int(played.sum())
        return Rollout(observations, actions, log_probs, values, rewards, terminated, ended, played)

    def learn(self, rollout: Rollout, rate: float = 1.0) -> dict[str, float]:
        """Improve the policy by what was played, at `rate` times the learning rate; the means of the loss's parts.

        `kl` is how far the policy moved (nats), `clipped` the share of ratios that the clipping held.
        """
        s = self.settings
        gain = advantages(rollout, gamma=s.gamma, lam=s.lam)
        played = np.flatnonzero(rollout.played)
        columns = {
            "actions": rollout.actions,
            "log_probs": rollout.log_probs,
            "advantages": gain,
            "returns": gain + rollout.values[:-1],
            "values": rollout.values[:-1],
        }
        flat = {name: column.ravel() for name, column in columns.items()}
        observations = rollout.observations.reshape(-1, *rollout.observations.shape[2:])  # (T N, ...)
        self.optimizer.param_groups[0]["lr"] = s.lr * rate
        parts: list[dict[str, float]] = []
        for _ in range(s.epochs):
            for rows in split(self.rng.permutation(played), s.minibatch):
                batch = {name: column[rows] for name, column in flat.items()}
                batch["advantages"] = normalised(batch["advantages"])
                parts.append(self.improve(observations[rows], batch))
        return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}

    def predict(self, observations: Array) -> tuple[Array, Array]:
        """Logits (N, A) and values (N,) of observations (N, ...)."""
        return predict(self.model, observations)

    def improve(self, observations: Array, batch: Mapping[str, Array]) -> dict[str, float]:
        """One gradient step, from observations (B, ...) and what else `loss` takes; the loss's parts."""
        tensors = {name: tg.from_numpy(column) for name, column in batch.items()}
        logits, values = self.model(tg.from_numpy(observations))
        total, parts = loss(logits, values, tensors, self.settings)
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        ratio = parts.pop("ratio").detach().numpy()
        kl = float((ratio - 1.0 - np.log(ratio)).mean())  # J. Schulman, "Approximating KL Divergence", 2020: unbiased
        clipped = float((np.abs(ratio - 1.0) > self.settings.clip).mean())
        return {"loss": total.item(), **{name: p.item() for name, p in parts.items()}, "kl": kl, "clipped": clipped}

    def state_dict(self) -> dict[str, Any]:
        """All but the environments, which cannot be kept: model, optimizer, random state, steps played."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.rng.bit_generator.state,
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`, with new episodes in all environments, other ones than at the beginning."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["random"]
        self.steps = state["steps"]
        self.start(self.seed + self.steps)


def check_environments(envs: Any) -> None:
    """Raise ValueError for actions that are not Discrete and begin at 0, and for another mode than NEXT_STEP."""
    space, mode = envs.single_action_space, envs.metadata.get("autoreset_mode")
    if getattr(space, "start", None) != 0 or not hasattr(space, "n"):
        raise ValueError(f"ppo: expected actions that are Discrete and begin at 0, got {space}")
    if getattr(mode, "name", None) != "NEXT_STEP":  # the others hide the state in which an episode was truncated
        raise ValueError(f"ppo: expected environments of the autoreset mode NEXT_STEP, got {mode}")


def predict(model: nn.Module, observations: Array) -> tuple[Array, Array]:
    """Logits (N, A) and values (N,) of observations (N, ...)."""
    with tg.no_grad():
        logits, values = model(tg.from_numpy(observations))
    return logits.numpy(), values.numpy()


def sample(logits: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Actions (N,) drawn from the policy, and their log-probabilities (N,).

    By the Gumbel-max trick: logit + Gumbel noise is largest at an action with just its probability.
    """
    actions = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    shifted = logits - logits.max(axis=1, keepdims=True)  # keeps exp from overflowing
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return actions, log_p[np.arange(len(actions)), actions]


def greedy(model: nn.Module) -> Callable[[Any], int]:
    """The policy that takes the likeliest action for one observation: for `rl.evaluation.evaluate`."""
    return lambda observation: int(predict(model, np.asarray(observation)[None])[0].argmax())


def normalised(x: Array) -> Array:
    """Mean 0 and standard deviation 1, so that the size of the rewards does not matter; one alone becomes 0."""
    return (x - x.mean()) / (x.std() + 1e-8)


def split(rows: Array, size: int) -> list[Array]:
    """The rows in pieces as equal as can be, of at most `size`."""
    return np.array_split(rows, -(-len(rows) // size))
