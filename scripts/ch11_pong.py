"""Chapter 11's end: an agent learns Pong from pixels alone, until it beats the player that is built into the game.

A small convolutional network is trained by PPO (`rl/ppo.py`) on many games at once (`rl/pong.py`). `--policy pixels`
is Karpathy's "Pong from pixels" instead, one hidden layer and the plainest policy gradient, on the Tensor
(`rl/pong_from_pixels.py`), and with `--by-hand` in plain NumPy (`models/by_hand/pong.py`).

By PPO it is the built-in player's equal after three minutes on two cores, and after half an hour leaves that player
hardly a point; by Karpathy's way it makes some two or three points more in that time than at the beginning. Meanwhile
curve.png in the run's folder shows how it stands. The emulators cannot be kept in a checkpoint: a run that is resumed
goes on with new games.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinygrad_edu import report, state
from tinygrad_edu.rl import ppo
from tinygrad_edu.rl.actor_critic import CNNActorCritic
from tinygrad_edu.rl.evaluation import evaluate_each
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch11_pong_pictures as pictures

GAMES_A_STEP = 10  # of Karpathy's: then the policy is changed
DRAWN_STEPS = 200  # of the game in the report: its first points
LIVE_SECONDS = 60.0  # between two drawings of the curve


@dataclass
class Args:
    """Learn Pong from pixels (chapter 11), in half an hour on two cores."""

    minutes: float = 30.0
    """How long to train; the learning rate falls to 0 meanwhile."""
    steps: int | None = None
    """Train for about so many steps of the environments, in whole rounds, or until the minutes are over."""
    policy: Literal["cnn", "pixels"] = "cnn"
    """A convolutional network trained by PPO, or Karpathy's "Pong from pixels"."""
    by_hand: bool = False
    """Karpathy's in plain NumPy, its backward pass derived by hand."""
    environments: int = 32
    """Games that PPO plays at once."""
    lr: float = 5e-4
    """PPO's learning rate at the beginning (Adam)."""
    sticky: float = 0.0
    """How often the emulator repeats the action before instead of the one chosen."""
    evaluation_episodes: int = 20
    """Games to judge the result by, without learning."""
    evaluate: Path | None = None
    """Do not train: play the policy in the file checkpoint.safetensors that an earlier run left in its folder."""
    watch: bool = False
    """At the end show a game, in the viewer for animated pictures; without a display say where the file is."""


def main(args: Args, run: Run) -> None:
    """Train, or load; evaluate; draw."""
    check(args)
    if args.evaluate is not None and args.evaluate.resolve().parent == run.out.resolve():
        raise ValueError(f"--evaluate: this run would replace what is in {run.out}; give it another --out")
    kind: type[Agent] = PixelAgent if args.by_hand or args.policy == "pixels" else CNNAgent
    trained = None if args.evaluate is None else load(args.evaluate, kind.called(args))
    agent = kind(args, run.seed)
    if trained is None:
        print(f"pong: trains for {args.minutes:g} minutes; {run.out / 'curve.png'} shows how it stands", flush=True)
        train(args, run, agent)
    else:
        agent.load_state_dict(trained)
    begin = time.perf_counter()
    mean, std = agent.evaluate(args.evaluation_episodes, seed=run.seed + 1000)  # not the games learnt from
    run.result(evaluation_return_mean=mean, evaluation_return_std=std, evaluation_seconds=time.perf_counter() - begin)
    figures(run, agent)
    run.verdict(
        f"{agent.name}: over {args.evaluation_episodes} games, without learning, it makes {mean:.1f} ± {std:.1f} "
        f"points more than the built-in player, of 21: it {'wins' if mean > 0 else 'loses'}."
    )
    draw(args, run, agent)


def check(args: Args) -> None:
    """Raise ValueError for flags that make no sense, or not together."""
    for name in ("steps", "environments", "evaluation_episodes"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"pong: expected --{name.replace('_', '-')} of at least 1, got {value}")
    for name in ("minutes", "lr"):
        if not 0.0 < getattr(args, name) < math.inf:
            raise ValueError(f"pong: expected --{name} above 0, got {getattr(args, name)}")
    if not 0.0 <= args.sticky < 1.0:
        raise ValueError(f"pong: expected --sticky from 0 to below 1, got {args.sticky}")


def load(path: Path, name: str) -> Mapping[str, Any]:
    """An agent's state out of a run's checkpoint. ValueError for another project's or another agent's."""
    if not path.is_file():
        raise ValueError(f"--evaluate: there is no file {path}")
    tree = state.load(path)
    tracked = tree.get("tracked", {}) if isinstance(tree, dict) else {}
    if name not in tracked:
        raise ValueError(
            f"--evaluate: {path} holds {', '.join(sorted(tracked)) or 'no agent'}, expected the agent {name} of pong; "
            "give the flags --policy and --by-hand that it was trained with"
        )
    return tracked[name]


def ppo_settings(args: Args) -> ppo.Settings:
    """Those of PPO: ε = 0.1, with which J. Schulman et al., 2017, begin on Atari's games; else `ppo.Settings`' own."""
    return ppo.Settings(lr=args.lr, clip=0.1)


class CNNAgent:
    """PPO on a convolutional network."""

    @staticmethod
    def called(args: Args) -> str:
        """Its name, which is also that of its part of a checkpoint."""
        return "cnn"

    def __init__(self, args: Args, seed: int) -> None:
        from tinygrad_edu.rl.pong import ACTIONS, SHAPE, PongVector

        self.name = self.called(args)
        self.vector: Callable[..., Any] = lambda n: PongVector(n, sticky=args.sticky)
        settings = ppo_settings(args)
        self.model = CNNActorCritic(SHAPE, len(ACTIONS))
        self.clock = Clock()
        games = args.environments if args.evaluate is None else 1  # which it must have; they are not played
        self.learner = ppo.PPO(self.vector(games), self.model, settings, seed=seed)
        self.clock.watch(self.learner.envs)
        self.steps_a_round = args.environments * settings.steps

    @property
    def steps(self) -> int:
        """Steps of the environments so far."""
        return self.learner.steps

    def train(self, rate: float) -> tuple[list[float], dict[str, float]]:
        """One round: the returns of the games that ended in it, and what there is to log."""
        with self.clock.count("playing"):
            rollout = self.learner.collect()
        with self.clock.count("learning"):
            parts = self.learner.learn(rollout, rate)
        return self.learner.returns, parts

    def evaluate(self, episodes: int, seed: int) -> tuple[float, float]:
        """Mean and standard deviation of the returns of so many games, played side by side."""
        rng = np.random.default_rng(seed)
        policy = lambda x: ppo.sample(ppo.predict(self.model, x)[0], rng)[0]
        return evaluate_each(self.vector(episodes), policy, seed=seed)

    def look(self, observation: np.ndarray, frames: np.ndarray) -> pictures.Look:
        """What it sees, does, and why."""
        return pictures.look_cnn(self.model, observation, frames)

    def state_dict(self) -> dict[str, Any]:
        """The learner's, and where the time went."""
        return {**self.learner.state_dict(), "seconds": self.clock.seconds}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take it over, with new games."""
        self.learner.load_state_dict(tree)
        self.clock.seconds.update(tree["seconds"])


class PixelAgent:
    """Karpathy's policy, on the Tensor or by hand."""

    @staticmethod
    def called(args: Args) -> str:
        """Its name, which is also that of its part of a checkpoint."""
        return "pixels_by_hand" if args.by_hand else "pixels"

    def __init__(self, args: Args, seed: int) -> None:
        from tinygrad_edu.rl import pong_from_pixels

        self.name = self.called(args)
        self.rng = np.random.default_rng(seed)
        self.learner = (pong_from_pixels.ByHand if args.by_hand else pong_from_pixels.OnTensor)(self.rng)
        self.games: Callable[..., Any] = lambda n: pong_from_pixels.Games(n, sticky=args.sticky)
        self.playing = self.games(GAMES_A_STEP)
        self.clock = Clock()
        self.clock.watch(self.playing.envs)
        self.steps, self.steps_a_round = 0, 1000 * GAMES_A_STEP  # about; a game lost 0 to 21 has about so many

    def train(self, rate: float) -> tuple[list[float], dict[str, float]]:
        """Ten games and one step of RMSprop, whose rate stays as it is."""
        with self.clock.count("playing"):
            games = self.playing.play(self.learner.logits, self.rng)
        with self.clock.count("learning"):
            loss = self.learner.learn(games)
        self.steps += sum(len(game.up) for game in games)
        return [float(game.rewards.sum()) for game in games], {"loss": loss}

    def evaluate(self, episodes: int, seed: int) -> tuple[float, float]:
        """Mean and standard deviation of the returns of so many games, played side by side."""
        games = self.games(episodes).play(self.learner.logits, np.random.default_rng(seed))
        returns = [float(game.rewards.sum()) for game in games]
        return float(np.mean(returns)), float(np.std(returns))

    def look(self, observation: np.ndarray, frames: np.ndarray) -> pictures.Look:
        """What it sees, does, and why."""
        return pictures.look_pixels(self.learner, frames)

    def state_dict(self) -> dict[str, Any]:
        """Policy, optimizer, random state, steps, and where the time went."""
        own = {"random": self.rng.bit_generator.state, "steps": self.steps, "seconds": self.clock.seconds}
        return {**self.learner.state_dict(), **own}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take all of it over."""
        self.learner.load_state_dict(tree)
        self.rng.bit_generator.state, self.steps = tree["random"], tree["steps"]
        self.clock.seconds.update(tree["seconds"])


Agent = CNNAgent | PixelAgent


class Clock:
    """Where the time goes: seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"environment": 0.0, "playing": 0.0, "learning": 0.0}

    @contextmanager
    def count(self, name: str) -> Iterator[None]:
        """What happens within counts under this name."""
        begin = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - begin

    def watch(self, envs: Any) -> None:
        """Count the environments' steps."""
        step = envs.step

        def counted(actions: Any) -> Any:
            with self.count("environment"):
                return step(actions)

        envs.step = counted


def train(args: Args, run: Run, agent: Agent) -> None:
    """Play and learn in turns, a step of the run each, until the minutes or the steps are over."""
    run.track(**{agent.name: agent})
    seconds, live = 60.0 * args.minutes, time.perf_counter()
    total = args.steps or math.inf
    last: deque[float] = deque(maxlen=20)
    for _ in run.steps(rounds(args, agent), seconds=seconds):
        done = max(run.train_seconds / seconds, agent.steps / total)
        returns, parts = agent.train(rate=max(0.0, 1.0 - done))
        last.extend(returns)
        run.log(environment_steps=agent.steps, **parts)
        if returns:
            run.log(game_return=np.mean(returns), mean_of_20_games=np.mean(last))
        if time.perf_counter() - live > LIVE_SECONDS:
            live = time.perf_counter()
            with run.paused():
                report.save_figure(run.out, "curve", pictures.curve(run))


def rounds(args: Args, agent: Agent) -> int:
    """At most so many rounds, a step of the run each: what --steps asks for, else more than the minutes can hold."""
    return math.ceil(args.steps / agent.steps_a_round) if args.steps else 1_000_000


def figures(run: Run, agent: Agent) -> None:
    """Note how long it took, how fast it was, and what bounded the speed."""
    if not agent.steps or not run.train_seconds:
        return
    spent = agent.clock.seconds
    run.result(
        train_seconds=run.train_seconds,
        environment_steps=agent.steps,
        steps_per_second=agent.steps / run.train_seconds,
        environment_share=spent["environment"] / run.train_seconds,
        forward_share=(spent["playing"] - spent["environment"]) / run.train_seconds,
        learning_share=spent["learning"] / run.train_seconds,
    )


def draw(args: Args, run: Run, agent: Agent) -> None:
    """The pictures of the report."""
    if run.history("game_return")[0]:
        run.figure("curve", pictures.curve(run), "The mean return of the games that ended in a round, and of 20 games.")
    from tinygrad_edu.rl.pong import Pong

    looks = pictures.game(Pong(sticky=args.sticky), agent.look, steps=DRAWN_STEPS, seed=run.seed + 1000)
    run.figure("input", pictures.steps_of_the_input(looks, agent.name), "From the raw frame to what the policy sees.")
    run.figure(
        "play",
        pictures.film(looks),
        "A game; what the policy sees of it; and where its choice depends on the pixels: the size of the gradient of "
        "log π(a|s) of the action chosen.",
    )
    if args.watch:
        print(pictures.show(run.out / "play.gif"))
