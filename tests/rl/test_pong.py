"""Pong: Gymnasium's checker, the way from the raw frame, one game and many alike; Karpathy's policies equal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import registry

Needs = Callable[[str], ModuleType]


@pytest.fixture
def pong(needs: Needs) -> Any:
    needs("ale_py")
    from tinygrad_edu.rl import pong

    return pong


@pytest.fixture
def from_pixels(needs: Needs) -> Any:
    needs("ale_py")
    from tinygrad_edu.rl import pong_from_pixels

    return pong_from_pixels


def test_gymnasiums_checker_accepts_it(pong: Any, needs: Needs) -> None:
    check_env = needs("gymnasium.utils.env_checker").check_env
    # it would make the environment anew in each render mode, which it can for those of `gymnasium.make` alone
    check_env(pong.Pong(render_mode="rgb_array"), skip_render_check=True)
    env = registry.get("environments", "pong")(render_mode="rgb_array")
    env.reset(seed=0)
    assert (env.render().shape, env.render().dtype) == ((210, 160, 3), np.uint8)


def test_one_game_and_many_see_the_same(pong: Any) -> None:
    """The emulator's C++ shrinks the grey picture in whole numbers, we in float32: at most 1 apart, times four."""
    small, colour = pong.emulator(2, threads=1), pong.emulator(2, threads=1, colour=True)
    a, _ = small.reset(seed=5)
    b, _ = colour.reset(seed=5)
    rng, most = np.random.default_rng(0), 0
    for _ in range(40):
        keys = pong.KEYS[rng.integers(0, 3, 2)]
        a, rewards, *_ = small.step(keys)
        b, others, *_ = colour.step(keys)
        ours = pong.field(pong.shrink(pong.grey(b)))
        theirs = pong.field(a)
        assert (rewards == others).all()
        assert np.abs(ours.astype(int) - theirs).max() <= 4
        most = max(most, int(theirs[:, -1, :-1, 8:34].max()))
    assert most > 60  # the ball was to be seen between the paddles


def test_a_pixel_is_the_mean_of_those_that_it_covers(pong: Any) -> None:
    pictures = np.random.default_rng(0).random((2, 210, 160), np.float32)
    small = pong.shrink(pictures)
    assert small.shape == (2, 42, 40)
    assert small[1, 41, 3] == pytest.approx(pictures[1, 205:210, 12:16].mean(), rel=1e-5)


def test_the_field_is_cut_out_on_black(pong: Any) -> None:
    picture = np.full((42, 40), 87.0, np.float32)
    picture[7, 0], picture[38, 1], picture[18, 2], picture[19, 2] = 117.9, 87.4, 236.0, 30.0
    picture[6] = picture[39] = 200.0  # just outside
    found = pong.field(picture)
    assert (found.shape, found.dtype) == ((32, 40), np.uint8)
    assert {(int(i), int(j)): int(found[i, j]) for i, j in np.argwhere(found)} == {(0, 0): 120, (11, 2): 252}


def test_up_is_up(pong: Any) -> None:
    """Our paddle, green, on the right, is higher after some steps of up than after as many of down."""
    rows = {}
    for action in (1, 2):
        env = pong.Pong()
        env.reset(seed=3)
        for _ in range(8):
            env.step(action)
        green = (env.render() == (92, 186, 92)).all(axis=2)[34:194, 140:144]
        rows[action] = np.argwhere(green)[:, 0].mean()
    assert rows[1] < rows[2] - 20


def test_many_games_have_the_spaces_of_one(pong: Any) -> None:
    envs, one = pong.PongVector(3, threads=1), pong.Pong()
    assert envs.single_observation_space == one.observation_space
    assert envs.single_action_space == one.action_space
    first, _ = envs.reset(seed=1)
    assert first in envs.observation_space
    again, _ = pong.PongVector(3, threads=2).reset(seed=1)
    np.testing.assert_array_equal(first, again)
    observations, rewards, terminated, truncated, _ = envs.step(np.array([0, 1, 2]))
    assert observations.shape == (3, 4, 32, 40)
    assert [array.shape for array in (rewards, terminated, truncated)] == [(3,)] * 3


def test_a_game_is_as_long_for_both_of_karpathys_policies(from_pixels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed: the same weights, the same games, and after learning from them the same weights, to float32."""
    monkeypatch.setattr(from_pixels, "emulator", partial(from_pixels.emulator, max_frames=800))
    games: dict[type, Any] = {}
    learners = []
    for kind in (from_pixels.OnTensor, from_pixels.ByHand):
        rng = np.random.default_rng(0)
        learner = kind(rng)
        games[kind] = from_pixels.Games(1, threads=1).play(learner.logits, rng)
        learners.append(learner)
    (one,), (other,) = games.values()
    assert 100 < len(one.up) == len(other.up) <= 200
    np.testing.assert_array_equal(one.up, other.up)
    assert one.rewards.min() == -1.0  # a point lost
    assert (one.seen.dtype, one.seen.shape) == (np.int8, (len(one.up), 6400))
    assert not one.seen[0].any()  # before the first picture there is none
    assert set(np.unique(one.seen)) == {-1, 0, 1}
    x = one.seen[40].astype(np.float32)
    np.testing.assert_allclose(learners[0].slopes(x), learners[1].slopes(x), rtol=1e-4, atol=1e-6)
    losses = [learner.learn([one, one]) for learner in learners]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    tensors = [p.detach().numpy() for p in learners[0].model.parameters()]
    for ours, theirs in zip(tensors, learners[1].model.weights, strict=True):
        # a step is 1e-3 at first for every weight (RMSprop): where a gradient is about 0, its sign is rounding
        apart = np.abs(ours - theirs) > 1e-5
        assert apart.mean() < 0.01
        assert np.abs(ours - theirs).max() < 2.1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_on_the_tensor_is_that_by_hand(from_pixels: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    z, up, advantages = rng.standard_normal(9).astype(dtype), rng.random(9) < 0.5, rng.standard_normal(9)
    t = tg.tensor(z, requires_grad=True)
    loss = from_pixels.loss(t, up, advantages)
    loss.backward()
    expected, g = from_pixels.by_hand.policy_gradient(z, up, advantages)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert t.grad is not None
    np.testing.assert_allclose(t.grad.numpy(), g, rtol=1e-5, atol=1e-6)  # the advantages are float32 there


def test_mistakes(pong: Any) -> None:
    with pytest.raises(ValueError, match=r"pong: expected at least 1 environment, got 0"):
        pong.PongVector(0)
    with pytest.raises(ValueError, match=r"pong: expected render_mode None or rgb_array, got 'human'"):
        pong.Pong("human")
    env = pong.Pong()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"pong: expected an action from 0 to 2, got 3"):
        env.step(3)
