"""REINFORCE: returns by hand, truncation that is no end, the gradient of the formula, a bandit learnt, resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import state
from tinygrad_edu.rl.actor_critic import MLPActorCritic
from tinygrad_edu.rl.ppo import predict
from tinygrad_edu.rl.reinforce import Episode, Reinforce, Settings, returns

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture
def cartpole(needs: Needs) -> Any:
    return needs("gymnasium").make("CartPole-v1")


def episode(terminated: bool, steps: int = 5) -> Episode:
    rng = np.random.default_rng(steps)
    x = rng.standard_normal((steps + 1, 4), np.float32)
    return Episode(x, rng.integers(2, size=steps), rng.random(steps, np.float32), terminated)


def test_returns_by_hand() -> None:
    rewards = np.array([1.0, 0.0, 2.0], np.float32)
    assert returns(rewards, 0.0, 0.5).tolist() == [1.0 + 0.25 * 2.0, 0.5 * 2.0, 2.0]
    assert returns(rewards, 8.0, 0.5).tolist() == [1.0 + 0.25 * 2.0 + 0.125 * 8.0, 0.5 * 2.0 + 0.25 * 8.0, 2.0 + 4.0]


@pytest.mark.parametrize(("terminated", "baseline"), [(True, True), (False, True), (True, False), (False, False)])
def test_a_time_limit_is_no_end_of_the_world(cartpole: Any, terminated: bool, baseline: bool) -> None:
    """Truncated, the value of the last state comes after it: where there is a baseline, which alone knows of values."""
    model = MLPActorCritic(4, 2, 8)
    learner = Reinforce(cartpole, model, Settings(baseline=baseline), seed=0)
    played = episode(terminated)
    value = float(predict(model, played.observations)[1][-1])
    assert value != 0.0
    assert learner.value_after(played) == pytest.approx(0.0 if terminated or not baseline else value)


@pytest.mark.parametrize("baseline", [True, False])
def test_the_step_follows_the_formula(cartpole: Any, baseline: bool) -> None:
    """The gradients that `learn` leaves are those of the formula, written out step by step."""
    model = MLPActorCritic(4, 2, 8)
    learner = Reinforce(cartpole, model, Settings(baseline=baseline), seed=0)
    played = [episode(True), episode(True, 3)]
    weights = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    parts = learner.learn(played, rate=0.0)  # gradients, and no step
    assert parts.keys() == ({"policy_loss", "value_loss"} if baseline else {"policy_loss"})
    for name, p in model.named_parameters():
        assert np.array_equal(p.detach().numpy(), weights[name]), name
    found = {name: p.grad.numpy().copy() for name, p in model.named_parameters() if p.grad is not None}
    assert {name.partition(".")[0] for name in found} == ({"actor", "critic"} if baseline else {"actor"})

    G = np.concatenate([returns(e.rewards, 0.0, 0.99) for e in played])
    x = np.concatenate([e.observations[:-1] for e in played])
    gain = G - predict(model, x)[1] if baseline else G
    gain = (gain - gain.mean() * baseline) / gain.std()
    log_p = F.log_softmax(model(tg.from_numpy(x))[0], 1)
    actions = np.concatenate([e.actions for e in played])
    loss: Any = sum(-log_p[i, int(a)] * float(g) for i, (a, g) in enumerate(zip(actions, gain, strict=True))) / 8.0
    model.zero_grad()
    loss.backward()
    for name, p in model.actor.named_parameters():  # 1e-5: sums of 8 float32 terms in another order
        assert p.grad is not None
        assert found[f"actor.{name}"] == pytest.approx(p.grad.numpy(), rel=1e-4, abs=1e-6), name


class Bandit:
    """One step; action 1 gives 1, action 0 nothing."""

    def __init__(self, gymnasium: Any) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,))
        self.action_space = gymnasium.spaces.Discrete(2)
        self.unwrapped, self.np_random = self, np.random.default_rng(0)

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), float(action), True, False, {}


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
@pytest.mark.parametrize("baseline", [True, False])
def test_a_bandit_is_learnt(needs: Needs, backend: str, baseline: bool) -> None:
    if backend == "cpp":
        needs("tinygrad_edu.backends.cpp._cpu")
    with tg.use_backend(backend):
        model = MLPActorCritic(1, 2, 8)
        learner = Reinforce(Bandit(needs("gymnasium")), model, Settings(baseline=baseline, lr=0.02), seed=0)
        for _ in range(40):
            learner.learn(learner.collect())
        logits, values = predict(model, np.zeros((1, 1), np.float32))
    assert learner.steps == 320
    assert logits[0, 1] - logits[0, 0] > 1.5  # four times in five
    assert (abs(values[0] - 1.0) < 0.3) == baseline


def test_it_goes_on_from_a_checkpoint_with_the_same_bits(cartpole: Any, needs: Needs, tmp_path: Path) -> None:
    settings = Settings(episodes=3)
    one = Reinforce(cartpole, MLPActorCritic(4, 2, 8), settings, seed=3)
    two = Reinforce(needs("gymnasium").make("CartPole-v1"), MLPActorCritic(4, 2, 8), settings, seed=3)
    for _ in range(3):
        one.learn(one.collect())
    state.save(tmp_path / "state", one.state_dict())
    two.load_state_dict(state.load(tmp_path / "state"))
    for learner in (one, two):
        for _ in range(3):
            learner.learn(learner.collect(), rate=0.5)
    assert one.returns == two.returns
    assert len(one.returns) == 3
    (tree, arrays), (tree_2, arrays_2) = (state.flatten(learner.state_dict()) for learner in (one, two))
    assert tree == tree_2
    assert all(array.tobytes() == arrays_2[name].tobytes() for name, array in arrays.items())


def test_mistakes(needs: Needs) -> None:
    with pytest.raises(ValueError, match="reinforce: expected episodes of at least 1, got 0"):
        Settings(episodes=0)
    with pytest.raises(ValueError, match=r"reinforce: expected gamma from 0 to 1, got -0\.1"):
        Settings(gamma=-0.1)
    with pytest.raises(ValueError, match=r"reinforce: expected actions that are Discrete and begin at 0, got Box\(-2"):
        Reinforce(needs("gymnasium").make("Pendulum-v1"), MLPActorCritic(3, 2), seed=0)
