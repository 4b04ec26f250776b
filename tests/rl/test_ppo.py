"""PPO: advantages, loss and rounds beside their definitions; what a time limit is; what it learns; mistakes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.rl import ppo
from tinygrad_edu.rl.actor_critic import CNNActorCritic, MLPActorCritic
from tinygrad_edu.rl.evaluation import evaluate, evaluate_each

Needs = Callable[[str], ModuleType]


@pytest.fixture
def gymnasium(needs: Needs) -> Any:
    return needs("gymnasium")


@pytest.fixture
def corridor(gymnasium: Any) -> Callable[..., Any]:
    """A vector of corridors: the observation is how many steps were made, each gives 1; it ends after so many."""

    class Corridor(gymnasium.Env):
        observation_space, action_space = gymnasium.spaces.Box(0, 99, (1,)), gymnasium.spaces.Discrete(2)

        def __init__(self, length: int, terminates: bool) -> None:
            self.length, self.terminates, self.at = length, terminates, 0

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.at = 0
            return np.array([0], np.float32), {}

        def step(self, action: int) -> Any:
            self.at += 1
            end = self.at == self.length
            seen = np.array([self.at], np.float32)
            return seen, 1.0, end and self.terminates, end and not self.terminates, {}

    def make(*kinds: tuple[int, bool]) -> Any:
        return gymnasium.vector.SyncVectorEnv([lambda kind=kind: Corridor(*kind) for kind in kinds])

    return make


class Counting(nn.Module):
    """The value of a state is ten times its number; both actions are equally likely."""

    def __init__(self) -> None:
        self.bias = nn.Parameter(tg.zeros(2))

    def forward(self, x: Any) -> Any:
        return self.bias + x * tg.zeros(2), 10.0 * x[:, 0]


def test_a_time_limit_is_not_the_end_of_the_world(corridor: Any) -> None:
    """Both games end after two steps; the values are 0, 10, 20, ... Of the step that begins anew nothing is learnt."""
    learner = ppo.PPO(corridor((2, True), (2, False)), Counting(), ppo.Settings(steps=5), seed=0)
    rollout = learner.collect()
    assert rollout.observations[:, :, 0].T.tolist() == [[0, 1, 2, 0, 1]] * 2
    assert rollout.values.T.tolist() == [[0, 10, 20, 0, 10, 20]] * 2
    assert rollout.played.T.tolist() == [[True, True, False, True, True]] * 2
    assert rollout.ended.T.tolist() == [[False, True, False, False, True]] * 2
    assert rollout.terminated.any(axis=0).tolist() == [True, False]
    assert learner.returns == [2.0] * 4
    assert learner.steps == 8
    found = ppo.advantages(rollout, gamma=0.5, lam=1.0)[[0, 1, 3, 4]].T
    # terminated: 1 + 0 - 10, and before it 1 + 10 / 2 - 0 + half of that
    assert found[0].tolist() == [1.5, -9.0] * 2
    # truncated: 1 + 20 / 2 - 10, and before it 1 + 10 / 2 - 0 + half of that
    assert found[1].tolist() == [6.5, 1.0] * 2


def random_rollout(T: int, N: int) -> ppo.Rollout:
    rng = np.random.default_rng(0)
    ended = rng.random((T, N)) < 0.2
    floats = [rng.standard_normal(shape).astype(np.float32) for shape in ((T, N), (T + 1, N), (T, N))]
    zeros = np.zeros((T, N), np.int64)
    return ppo.Rollout(zeros, zeros, *floats, ended & (rng.random((T, N)) < 0.5), ended, ~ended)


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_advantages_are_their_definition(lam: float) -> None:
    """The sum of (γ λ)ˡ δₜ₊ₗ up to the episode's end, of each step by itself."""
    rollout, gamma = random_rollout(12, 3), 0.9
    found = ppo.advantages(rollout, gamma=gamma, lam=lam)
    for t, n in np.ndindex(found.shape):
        total = 0.0
        for later in range(t, len(found)):
            following = 0.0 if rollout.terminated[later, n] else rollout.values[later + 1, n]
            delta = rollout.rewards[later, n] + gamma * following - rollout.values[later, n]
            total += (gamma * lam) ** (later - t) * delta
            if rollout.ended[later, n]:
                break
        assert found[t, n] == pytest.approx(total, abs=1e-5)  # float32, twelve terms of order 1


def batch(size: int, actions: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Logits, values and what the loss needs; the old probabilities are other ones, so that some ratios are clipped."""
    rng = np.random.default_rng(0)
    logits, old = rng.standard_normal((2, size, actions))
    chosen = rng.integers(0, actions, size)
    log_p = old - np.log(np.exp(old).sum(axis=1, keepdims=True))
    columns = {"advantages": rng.standard_normal(size), "returns": rng.standard_normal(size)}
    columns |= {"values": rng.standard_normal(size), "log_probs": log_p[np.arange(size), chosen]}
    return logits, rng.standard_normal(size), {"actions": chosen, **columns}


@pytest.mark.parametrize("value_clip", [None, 0.3])
def test_the_loss_and_its_gradients_are_torchs(needs: Needs, value_clip: float | None) -> None:
    torch, (logits, values, columns) = needs("torch"), batch(64, 3)
    s = ppo.Settings(value_clip=value_clip, entropy_weight=0.1)
    inputs = [tg.tensor(array, requires_grad=True) for array in (logits, values)]
    total, parts = ppo.loss(*inputs, {name: tg.tensor(column) for name, column in columns.items()}, s)
    total.backward()
    clipped = (np.abs(parts["ratio"].detach().numpy() - 1.0) > s.clip).mean()
    assert 0.1 < clipped < 0.9  # both branches are looked at

    theirs = [torch.tensor(array, requires_grad=True) for array in (logits, values)]
    b = {name: torch.tensor(column) for name, column in columns.items()}
    policy = torch.distributions.Categorical(logits=theirs[0])
    ratio = (policy.log_prob(b["actions"]) - b["log_probs"]).exp()
    worse = torch.min(ratio * b["advantages"], ratio.clamp(0.8, 1.2) * b["advantages"])
    errors = (theirs[1] - b["returns"]) ** 2
    if value_clip is not None:
        near = b["values"] + (theirs[1] - b["values"]).clamp(-value_clip, value_clip)
        errors = torch.max(errors, (near - b["returns"]) ** 2)
    expected = -worse.mean() + 0.5 * 0.5 * errors.mean() - 0.1 * policy.entropy().mean()
    expected.backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)  # float64
    for ours, other in zip(inputs, theirs, strict=True):
        assert ours.grad is not None
        np.testing.assert_allclose(ours.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_an_action_that_became_likely_enough_is_left_alone() -> None:
    """ρ = 2 with Â = 1 has no gradient; with Â = -1 it has one. Schulman et al. 2017, figure 1."""
    for gain, moved in ((1.0, False), (-1.0, True)):
        logits = tg.tensor([[0.0, 0.0]], requires_grad=True)
        columns = {"actions": np.array([0]), "log_probs": np.log([0.25]), "advantages": np.array([gain])}
        columns |= {"returns": np.zeros(1), "values": np.zeros(1)}
        tensors = {name: tg.tensor(column) for name, column in columns.items()}
        total, _ = ppo.loss(logits, tg.zeros(1), tensors, ppo.Settings(entropy_weight=0.0))
        total.backward()
        assert logits.grad is not None
        assert bool(np.abs(logits.grad.numpy()).max() > 0.1) is moved


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_it_learns_where_to_go(gymnasium: Any, needs: Needs, backend: str) -> None:
    """CartPole for a few rounds: games become four times as long. Measured: from 18 to 115 steps, on either backend."""
    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    with tg.use_backend(backend):
        tg.manual_seed(0)
        envs = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 8)
        model = MLPActorCritic(4, 2, 32)
        settings = ppo.Settings(steps=32, epochs=6, lr=3e-3, gamma=0.98, lam=0.8, entropy_weight=0.0)
        learner = ppo.PPO(envs, model, settings, seed=0)
        learner.learn(learner.collect())
        first = np.mean(learner.returns)
        for _ in range(12):
            parts = learner.learn(learner.collect())
        assert set(parts) == {"loss", "policy_loss", "value_loss", "entropy", "kl", "clipped"}
        assert 0.0 <= parts["kl"] < 0.1
        mean, _ = evaluate(gymnasium.make("CartPole-v1"), ppo.greedy(model), episodes=5, seed=1)
        assert mean > 4.0 * first


def test_a_checkpoint_holds_all_that_learning_needs(corridor: Any) -> None:
    def made() -> ppo.PPO:
        tg.manual_seed(0)
        return ppo.PPO(corridor((3, True), (4, False)), MLPActorCritic(1, 2, 8), ppo.Settings(steps=8), seed=0)

    one, other = made(), made()
    one.learn(one.collect())
    other.load_state_dict(one.state_dict())
    assert other.steps == one.steps > 0
    assert not other.ended.any()  # new games
    rollout = one.collect()
    other.rng.bit_generator.state = one.rng.bit_generator.state
    assert one.learn(rollout, rate=0.5) == other.learn(rollout, rate=0.5)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def test_no_learning_rate_no_learning(corridor: Any) -> None:
    learner = ppo.PPO(corridor((3, True)), MLPActorCritic(1, 2, 4), ppo.Settings(steps=7, minibatch=3), seed=0)
    before = [p.detach().numpy().copy() for p in learner.model.parameters()]
    parts = learner.learn(learner.collect(), rate=0.0)
    assert parts["kl"] == pytest.approx(0.0, abs=1e-6)  # float32
    for p, old in zip(learner.model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), old)


def test_actions_are_drawn_as_the_policy_says() -> None:
    logits = np.log(np.array([[0.2, 0.5, 0.3]], np.float32)) + 100.0
    actions, log_p = ppo.sample(np.repeat(logits, 10_000, axis=0), np.random.default_rng(0))
    shares = np.bincount(actions) / len(actions)
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.02)  # four standard errors
    np.testing.assert_allclose(np.exp(log_p), np.array([0.2, 0.5, 0.3])[actions], rtol=1e-4)  # float32 near 100


def test_minibatches_hold_every_row_once() -> None:
    pieces = ppo.split(np.arange(10), 4)
    assert [len(piece) for piece in pieces] == [4, 3, 3]
    assert np.concatenate(pieces).tolist() == list(range(10))
    assert [len(piece) for piece in ppo.split(np.arange(3), 4)] == [3]
    assert ppo.normalised(np.array([2.0], np.float32)).tolist() == [0.0]


def test_each_environment_is_judged_by_its_first_episode(corridor: Any) -> None:
    envs = corridor((1, True), (4, False))
    assert evaluate_each(envs, lambda x: np.zeros(len(x), int), seed=0) == (2.5, 1.5)


@pytest.mark.parametrize("shape", [(64, 4), (2, 64), (16, 4, 6, 6)])
def test_weights_begin_orthogonal(shape: tuple[int, ...]) -> None:
    layer: Any = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[2])
    from tinygrad_edu.rl.actor_critic import orthogonal

    w = orthogonal(layer, 2.0).weight.detach().numpy().reshape(shape[0], -1)
    gram = w @ w.T if len(w) <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4.0 * np.eye(len(gram)), atol=1e-5)  # float32
    assert not layer.bias.detach().numpy().any()


def test_pictures_become_logits_and_values() -> None:
    model = CNNActorCritic((4, 32, 40), 3)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 32, 40)).astype(np.uint8)
    logits, values = ppo.predict(model, pictures)
    assert (logits.shape, values.shape) == ((5, 3), (5,))
    np.testing.assert_array_equal(logits, ppo.predict(model, pictures.astype(np.float32))[0])
    assert np.abs(logits).max() < 0.1  # at first all actions are about equally likely
    with pytest.raises(
        ValueError, match=r"CNNActorCritic: expected observations \(B, 4, 32, 40\), got \(5, 4, 31, 40\)"
    ):
        ppo.predict(model, pictures[:, :, 1:])
    with pytest.raises(ValueError, match=r"MLPActorCritic: expected observations \(B, 4\), got \(2, 3\)"):
        ppo.predict(MLPActorCritic(4, 2), np.zeros((2, 3), np.float32))


def test_mistakes(gymnasium: Any) -> None:
    model = MLPActorCritic(3, 2)
    pendulum = gymnasium.make_vec("Pendulum-v1", num_envs=1)
    with pytest.raises(ValueError, match=r"ppo: expected actions that are Discrete and begin at 0, got Box\(-2"):
        ppo.PPO(pendulum, model, seed=0)
    same_step = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1")], autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
    )
    with pytest.raises(ValueError, match=r"expected environments of the autoreset mode NEXT_STEP, got .*SAME_STEP"):
        ppo.PPO(same_step, model, seed=0)
    for name, wrong in (("steps", 0), ("minibatch", -1), ("clip", -0.1), ("lr", float("nan"))):
        with pytest.raises(ValueError, match=rf"ppo: expected {name} >= [01], got"):
            ppo.Settings(**{name: wrong})
    with pytest.raises(ValueError, match=r"ppo: expected lam from 0 to 1, got 1.5"):
        ppo.Settings(lam=1.5)
