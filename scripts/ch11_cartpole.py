"""Chapter 11: a pole is balanced on a cart, learnt from four numbers and a reward of 1 for every step that it stands.

Three algorithms, each in one file: REINFORCE (`rl/reinforce.py`), DQN (`rl/dqn.py`) and PPO (`rl/ppo.py`). With several
seeds one sees how much of a result is luck; `--compare algorithms` trains all three, `--compare torch` DQN with torch's
network from the same weights. Any of Gymnasium's environments will do whose observations are a row of numbers and whose
actions are Discrete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from tinygrad_edu import state
from tinygrad_edu.errors import require
from tinygrad_edu.rl import dqn, environments
from tinygrad_edu.rl.evaluation import evaluate_each
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch11_cartpole_pictures as pictures
from tinygrad_edu.scripts.beside_torch import wanted
from tinygrad_edu.scripts.ch11_cartpole_learners import ALGORITHMS, Contest, build, network, scores

LOGGED = ("epoch", "environment_steps", "episode_return")
# CleanRL's mean return and its deviation over 3 seeds, after 500,000 steps: https://docs.cleanrl.dev/rl-algorithms/
CLEANRL = {"dqn": "488.69 ± 16.11", "ppo": "490.04 ± 6.12"}


@dataclass
class Args:
    """Learn to balance a pole on a cart (chapter 11)."""

    algorithm: Literal["reinforce", "dqn", "ppo"] = "dqn"
    """How to learn."""
    environment: str = "CartPole-v1"
    """Ours, or one of Gymnasium's with a row of numbers as observation and Discrete actions, such as Acrobot-v1."""
    steps: int = 100_000
    """Steps of the environment to learn from."""
    minutes: float | None = None
    """Stop learning after so many minutes, if the steps are not done by then."""
    seeds: int = 1
    """Learn so many times, from --seed on."""
    compare: Literal["auto", "torch", "algorithms", "none"] = "auto"
    """Beside it from the same seeds: DQN with torch's network (auto: where torch is installed), or the other two."""
    no_baseline: bool = False
    """REINFORCE without a baseline."""
    no_double: bool = False
    """DQN as it was at first: the same network chooses the next action and says what it is worth."""
    evaluation_episodes: int = 100
    """Episodes to judge the result by, without learning."""
    evaluate: Path | None = None
    """Do not learn: take the file policy.safetensors that an earlier run left in its folder."""
    watch: bool = False
    """Show an episode in a window at the end; without a display it is a GIF."""


def main(args: Args, run: Run) -> None:
    """Learn, or take over what was learnt; judge, compare, draw."""
    check(args)
    if args.evaluate is not None:
        learner = load(args, run)
        mean, std = evaluate(args, learner, run.seed)
        run.result(evaluation_return_mean=mean, evaluation_return_std=std)
        run.verdict(f"{args.evaluate}: over {args.evaluation_episodes} episodes its return is {mean:.2f} ± {std:.2f}.")
    else:
        contest = train(args, run)
        save(args, run, contest)
        report(args, run, contest)
        learner = contest.build(args.algorithm, run.seed)
        network(learner).load_state_dict(contest.of(args.algorithm)[0]["network"])
    show(args, run, learner)


def check(args: Args) -> None:
    """Raise ValueError for flags that make no sense, or not together."""
    for name in ("steps", "seeds", "evaluation_episodes"):
        if getattr(args, name) < 1:
            raise ValueError(f"cartpole: expected --{name.replace('_', '-')} of at least 1, got {getattr(args, name)}")
    if args.minutes is not None and not args.minutes > 0.0:
        raise ValueError(f"cartpole: expected --minutes of more than 0, got {args.minutes}")
    if args.compare == "torch" and args.algorithm != "dqn":
        raise ValueError(f"cartpole: --compare torch is for --algorithm dqn, not {args.algorithm}")
    for flag, algorithm in (("no_baseline", "reinforce"), ("no_double", "dqn")):
        if getattr(args, flag) and args.algorithm != algorithm and args.compare != "algorithms":
            raise ValueError(f"cartpole: --{flag.replace('_', '-')} is for {algorithm}, not {args.algorithm}")


def make(args: Args, **settings: Any) -> Any:
    """The environment, with its time limit. ValueError for an unknown one lists those there are."""
    return environments.make(args.environment, known=environments.names("classic_control"), **settings)


def builder(args: Args) -> Callable[[str, int], Any]:
    """A function that makes the learner of a name and a seed."""

    def make_learner(name: str, seed: int) -> Any:
        choices = {"baseline": not args.no_baseline, "double": not args.no_double}
        try:
            return build(name, seed, lambda: make(args), steps=args.steps, **choices)
        except ValueError as error:
            raise ValueError(f"--environment {args.environment}: {error}") from error

    return make_learner


def names(args: Args) -> list[str]:
    """Who learns: the algorithm itself first."""
    if args.compare == "algorithms":
        return [args.algorithm, *(name for name in ALGORITHMS if name != args.algorithm)]
    return [args.algorithm, *["torch"] * (args.algorithm == "dqn" and wanted(args.compare))]


def train(args: Args, run: Run) -> Contest:
    """Every learner in turn, an epoch of the run each; a step of the run is an episode for DQN, else an update."""
    seeds = range(run.seed, run.seed + args.seeds)
    contest = Contest([(name, seed) for seed in seeds for name in names(args)], builder(args))
    contest.current()  # so that a mistake is seen before a checkpoint is written
    run.track(contest=contest)
    for epoch in run.epochs(len(contest.members)):
        learner = contest.current()
        for _ in run.batches(until_done(args, run, learner)):
            if isinstance(learner, dqn.DQN):
                parts = learner.episode()
            else:
                parts = learner.learn(learner.collect(), rate=max(0.0, 1.0 - learner.steps / args.steps))
            if learner.returns:
                parts["episode_return"] = fmean(learner.returns)
            run.log(environment_steps=learner.steps, **parts)
        if isinstance(learner, dqn.DQN):
            learner.finish()  # it has done so where the steps are done, but the minutes may be up before
        name, seed = contest.members[epoch - 1]
        contest.finish(*evaluate(args, learner, seed))
        result = contest.results[-1]
        print(f"\n{name}, seed {seed}: {result['mean']:.2f} ± {result['std']:.2f}", flush=True)
    return contest


def until_done(args: Args, run: Run, learner: Any) -> Iterator[None]:
    """Nothing, over and over, until the learner's steps are done or its time is up."""
    before = ends_of_epochs(run).get(run.epoch - 1, 0.0)  # also where a resumed run begins in the midst of an epoch
    limit = float("inf") if args.minutes is None else 60.0 * args.minutes
    while learner.steps < args.steps and run.train_seconds - before < limit:
        yield


def evaluate(args: Args, learner: Any, seed: int) -> tuple[float, float]:
    """Mean and standard deviation of the returns, always by the best action; in episodes that were not learnt from."""
    vector: Any = require("gymnasium", extra="rl").vector
    envs = vector.SyncVectorEnv([lambda: make(args)] * args.evaluation_episodes)
    return evaluate_each(envs, lambda x: scores(learner, x).argmax(axis=1), seed=seed + 100_000)


def report(args: Args, run: Run, contest: Contest) -> None:
    """Figures, verdicts, and the curves."""
    spec: Any = require("gymnasium", extra="rl").registry.get(args.environment)
    goal = None if spec is None else spec.reward_threshold
    for name in names(args):
        prefix, figures = "" if name == args.algorithm else f"{name}_", figures_of(name, run, contest)
        who = "DQN with torch's network" if name == "torch" else name
        mean, std = figures["evaluation_return_mean"], figures["evaluation_return_std"]
        sentence = (
            f"{who} on {args.environment}, {figures['environment_steps']} steps, {figures['train_seconds']:.1f} s: by "
            f"the best action its return over {args.evaluation_episodes} episodes is {mean:.2f} ± {std:.2f}"
        )
        means = [result["mean"] for result in contest.of(name)]
        if args.seeds > 1:
            figures["lowest_seed_return_mean"] = min(means)
            sentence += f"; seed by seed {', '.join(f'{m:.1f}' for m in means)}"
        if goal is not None:
            figures["seeds_solved"] = sum(m >= goal for m in means)
            sentence += f"; {goal:g}, which counts as solved, is reached by {figures['seeds_solved']} of {len(means)}"
        if args.environment == "CartPole-v1" and name in CLEANRL:
            sentence += f". CleanRL reports {CLEANRL[name]} after 500,000 steps"
        run.result(**{f"{prefix}{key}": value for key, value in figures.items()})
        run.verdict(f"{sentence}.")
    epochs, steps, returns = (dict(zip(*run.history(name), strict=True)) for name in LOGGED)  # by the run's step
    lines = np.array([[epochs[at], steps[at], total] for at, total in returns.items()], float).reshape(-1, 3).T
    drawn = pictures.curves([name for name, _ in contest.members], *lines, goal=goal)
    caption = (
        "Returns of the episodes learnt from, exploring included: mean over the seeds, and the lowest to the highest."
    )
    run.figure("curves", drawn, caption)


def figures_of(name: str, run: Run, contest: Contest) -> dict[str, Any]:
    """The figures of all seeds of one name together: of all their episodes, and all their steps."""
    found = contest.of(name)
    mean = fmean(result["mean"] for result in found)
    variance = fmean(result["std"] ** 2 + (result["mean"] - mean) ** 2 for result in found)  # within, and between them
    ends = ends_of_epochs(run)
    epochs = [epoch for epoch, (who, _) in enumerate(contest.members, start=1) if who == name]
    seconds = sum(ends[epoch] - ends.get(epoch - 1, 0.0) for epoch in epochs)
    steps = sum(result["steps"] for result in found)
    return {
        "evaluation_return_mean": mean,
        "evaluation_return_std": sqrt(variance),
        "train_seconds": seconds,
        "environment_steps": steps,
        "steps_per_second": steps / seconds,
    }


def ends_of_epochs(run: Run) -> dict[int, float]:
    """By epoch, the seconds of training until the last line that was logged in it."""
    lines = zip(run.history("epoch")[1], run.history("seconds")[1], strict=True)
    return {int(epoch or 0): seconds or 0.0 for epoch, seconds in lines}


def save(args: Args, run: Run, contest: Contest) -> None:
    """Keep the first seed's network for --evaluate."""
    tree = {"project": "cartpole", "environment": args.environment, "algorithm": args.algorithm}
    state.save(run.out / "policy.safetensors", {**tree, "network": contest.of(args.algorithm)[0]["network"]})


def load(args: Args, run: Run) -> Any:
    """A learner with the network of the file --evaluate. ValueError for one of something else."""
    assert args.evaluate is not None
    tree = state.load(args.evaluate)
    tree = tree if isinstance(tree, dict) else {}
    expected = {"project": "cartpole", "environment": args.environment, "algorithm": args.algorithm}
    for name, value in expected.items():
        if tree.get(name) != value:
            raise ValueError(f"--evaluate {args.evaluate}: expected the {name} {value!r}, it has {tree.get(name)!r}")
    learner = builder(args)(args.algorithm, run.seed)
    try:
        network(learner).load_state_dict(tree["network"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"--evaluate {args.evaluate}: it is of another network: {error}") from error
    return learner


def show(args: Args, run: Run, learner: Any) -> None:
    """An episode as a GIF in the report; with --watch in a window, too, where one can be opened."""

    def make_env(**settings: Any) -> Any:
        return make(args, **settings)

    def judge(observations: np.ndarray) -> np.ndarray:
        return scores(learner, observations)

    drawn, film = pictures.film(make_env, judge, run.seed), "there is no film of it either"
    if isinstance(drawn, str):
        run.verdict(f"No film of an episode: {drawn}.")
    else:
        run.figure("play", drawn, "An episode, every action the best one by what was learnt.")
        film = f"the episode is in {run.out / 'play.gif'}"
    if args.watch and (problem := pictures.window(make_env, judge, run.seed)):
        run.verdict(f"--watch: {problem}; {film}.")
