"""Pong from raw pixels: Atari's game behind Gymnasium's interface, and the way from its picture to a policy's input.

The emulator, ale-py, brings the game. A frame of 210 × 160 pixels in colour becomes 32 × 40 in grey: weighted to
brightness, each pixel of the small picture the mean of 5 × 4, the score above and the border below cut off, the
background made black. Of one picture nobody can tell where the ball flies, so the policy sees the last four. It
chooses every fourth frame, which leaves a person's time to react, and has three actions: stay, up, down.

`Pong` is one game and does all that in NumPy, step by step, from the raw frame. `PongVector` is many at once, for
training: there the emulator's own C++ makes the small grey pictures, the same but for rounding.

Sources: M. Bellemare et al., "The Arcade Learning Environment", JAIR 47, 2013; V. Mnih et al., "Human-level control
through deep reinforcement learning", Nature 518, 2015, "Preprocessing" (every fourth frame, four in a stack, up to 30
idle frames at the start so that no two games are alike; its maximum of two neighbouring frames is not needed here,
where nothing flickers).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tinygrad_edu.errors import require

gymnasium: Any = require("gymnasium", extra="rl")

Array = np.ndarray

SMALL = (42, 40)  # a fifth of 210 and a fourth of 160: by whole numbers the emulator shrinks fastest
FIELD = slice(7, 39)  # of the 42 rows: the playing field
SHAPE = (4, 32, 40)  # what the policy sees: the field in the last four pictures
BACKGROUND = 87  # the field's brightness
KEYS = np.array([0, 2, 3])  # the joystick's positions of stay, up, down
ACTIONS = ("stay", "up", "down")


def grey(frames: Array) -> Array:
    """Brightness: (..., H, W, 3) uint8 -> (..., H, W) float32 from 0 to 255, by the weights of ITU-R BT.601."""
    return frames @ np.array([0.299, 0.587, 0.114], np.float32)


def shrink(pictures: Array) -> Array:
    """Each pixel the mean of the 5 × 4 that it covers: (..., 210, 160) -> (..., 42, 40)."""
    return pictures.reshape(*pictures.shape[:-2], 42, 5, 40, 4).mean(axis=(-3, -1))


def field(pictures: Array) -> Array:
    """The playing field on black, four times the contrast: (..., 42, 40) of 0 to 255 -> (..., 32, 40) uint8."""
    above = np.clip(pictures[..., FIELD, :], BACKGROUND, BACKGROUND + 63) - BACKGROUND
    return above.astype(np.uint8) * np.uint8(4)


class Pong(gymnasium.Env):
    """One game: observations (4, 32, 40) uint8, the newest last; actions 0 stay, 1 up, 2 down.

    The reward is 1 for a point won and -1 for one lost; the episode ends when a side has 21. `frames` (4, 210, 160, 3)
    are the pictures in colour that the observation was made from; `render()` gives the last one. `sticky` is the
    probability that the emulator repeats the action before instead (M. Machado et al., JAIR 61, 2018, propose 0.25).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012  Gymnasium's form

    def __init__(self, render_mode: str | None = None, *, sticky: float = 0.0) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"pong: expected render_mode None or rgb_array, got {render_mode!r}")
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, SHAPE, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(KEYS))
        self._game = emulator(1, threads=1, sticky=sticky, colour=True)
        self.frames = np.zeros((4, 210, 160, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A new game: its first observation, and an empty dictionary."""
        super().reset(seed=seed)
        frames, _ = self._game.reset(seed=int(self.np_random.integers(2**31)))
        return self._see(frames), {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Four frames with the joystick held: observation, reward, terminated, truncated, an empty dictionary."""
        if not self.action_space.contains(action):
            raise ValueError(f"pong: expected an action from 0 to {len(KEYS) - 1}, got {action!r}")
        frames, rewards, terminated, truncated, _ = self._game.step(KEYS[[action]])
        return self._see(frames), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), {}

    def render(self) -> Array:
        """The last picture: (210, 160, 3) uint8."""
        return self.frames[-1]

    def close(self) -> None:
        """End the emulator."""
        self._game.close()

    def _see(self, frames: Array) -> Array:
        self.frames = np.array(frames[0])
        return field(shrink(grey(self.frames)))


class PongVector(gymnasium.vector.VectorWrapper):
    """`num_envs` games at once, each as `Pong`: observations (N, 4, 32, 40), actions (N,), on `threads` threads.

    The autoreset mode is NEXT_STEP: the step after an ended game's last one only starts the next game.
    """

    def __init__(self, num_envs: int, *, threads: int = 0, sticky: float = 0.0) -> None:
        super().__init__(emulator(num_envs, threads=threads, sticky=sticky))
        self.single_observation_space = gymnasium.spaces.Box(0, 255, SHAPE, np.uint8)
        self.single_action_space = gymnasium.spaces.Discrete(len(KEYS))
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """New games; a whole number seeds them with it and those that follow."""
        observations, info = self.env.reset(seed=seed, options=options)
        return field(observations), info

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Four frames of every game."""
        observations, rewards, terminated, truncated, info = self.env.step(KEYS[actions])
        return field(observations), rewards, terminated, truncated, info


def emulator(
    num_envs: int,
    *,
    threads: int = 0,
    sticky: float = 0.0,
    colour: bool = False,
    stack: int = 4,
    max_frames: int = 108_000,
) -> Any:
    """ale-py's vector of games: small grey pictures (N, stack, 42, 40), or the raw ones (N, stack, 210, 160, 3).

    A game of more than `max_frames` (half an hour) is truncated. 0 `threads`: one on each processor.
    """
    if num_envs < 1:
        raise ValueError(f"pong: expected at least 1 environment, got {num_envs}")
    require("ale_py", extra="rl")
    from ale_py.vector_env import AtariVectorEnv

    rows, columns = (210, 160) if colour else SMALL
    return AtariVectorEnv(
        "pong",
        num_envs,
        num_threads=threads,
        thread_affinity_offset=-1 if threads or not all_processors() else 0,
        repeat_action_probability=sticky,
        img_height=rows,
        img_width=columns,
        grayscale=not colour,
        stack_num=stack,
        max_num_frames_per_episode=max_frames,
        maxpool=False,  # of two frames: a ball that moves would be seen twice
    )


def all_processors() -> bool:
    """May this process use all of the machine's processors? Then a thread can be bound to each.

    Without that Linux often wakes two of the emulator's threads on one and the same processor: steps took up to a third
    longer.
    """
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == os.cpu_count()
