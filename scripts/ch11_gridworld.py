"""Chapter 11: an agent learns to walk through a grid, from a table of numbers and from nothing but what happens to it.

Q-learning or SARSA (`rl/tabular.py`) plays and learns; beside it value iteration (`rl/planning.py`), which is told how
the world works and computes the exact answer. The world is a map of ours (`rl/grid_world.py`), or any of Gymnasium's
environments whose observations and actions are Discrete: Sutton & Barto's cliff (example 6.6) is `CliffWalking-v1`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinygrad_edu.errors import require, unknown
from tinygrad_edu.rl import environments, planning, tabular
from tinygrad_edu.rl.evaluation import evaluate
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch11_gridworld_pictures as pictures

FRAMES = 30  # of the animation, close together at first: that is when most is learnt


@dataclass
class Args:
    """Learn to walk through a grid (chapter 11)."""

    environment: str = "grid-world"
    """Ours, or one of Gymnasium's that are Discrete, such as CliffWalking-v1 or FrozenLake-v1."""
    map: str = "bridge"
    """Of our world: bridge, classic, rooms, or a text file with a map (S start, G goal, # wall, o pit, . free)."""
    random: int | None = None
    """Instead of the map a random one, solvable, from this seed."""
    size: int = 8
    """Cells a side of the random map."""
    slip: float = 0.0
    """How often a step in our world goes to one side of where it was meant to go."""
    exploring_starts: bool = False
    """Begin anywhere in our world, not at S: so every cell is learnt about."""
    algorithm: Literal["q-learning", "sarsa"] = "q-learning"
    """Learn about the best policy, or about the one that is played."""
    episodes: int = 5000
    """Episodes to learn from."""
    steps: int | None = None
    """Steps after which an episode is cut off; the environment's own number if not given, or 500."""
    alpha: float = 0.5
    """Learning rate at the beginning; it goes in a straight line to --alpha-end."""
    alpha_end: float = 0.01
    """Learning rate at the end: small, so that chance averages out."""
    gamma: float = 0.99
    """What a reward is worth one step before it comes."""
    epsilon: float = 1.0
    """Share of random actions at the beginning; it goes in a straight line to --epsilon-end."""
    epsilon_end: float = 0.05
    """Share of random actions at the end."""
    evaluation_episodes: int = 100
    """Episodes to judge the result by, without exploring."""


def main(args: Args, run: Run) -> None:
    """Learn, compare with the exact answer, draw."""
    check(args)
    env, judge = make(args), make(replace(args, exploring_starts=False))
    learner, film = Learner(env, args.environment, run.seed), Film(args.episodes)
    train(args, run, learner, film)
    games: dict[str, int] = {"episodes": args.evaluation_episodes, "seed": run.seed + 1000}  # not those learnt from
    mean, std = evaluate(judge, tabular.greedy(learner.Q), **games)
    run.result(
        evaluation_return_mean=mean,
        evaluation_return_std=std,
        train_seconds=run.train_seconds,
        environment_steps=learner.steps,
        steps_per_second=learner.steps / run.train_seconds,
    )
    run.verdict(
        f"{args.algorithm} on {args.environment}, {args.episodes} episodes, {learner.steps} steps, "
        f"{run.train_seconds:.1f} s: without exploring, its return over {args.evaluation_episodes} episodes is "
        f"{mean:.2f} ± {std:.2f}."
    )
    exact = best = None
    if hasattr(env.unwrapped, "P"):
        exact, best = compare(args, run, judge, learner.Q, games)
    else:
        run.verdict(f"{args.environment} has no exact model P to compare with.")
    draw(run, judge, film, learner.Q, exact, best)


def check(args: Args) -> None:
    """Raise ValueError for flags that make no sense, or not together."""
    for name, value in (("steps", args.steps), ("episodes", args.episodes)):
        if value is not None and value < 1:
            raise ValueError(f"gridworld: expected --{name} of at least 1, got {value}")
    if args.evaluation_episodes < 1:
        raise ValueError(f"gridworld: expected --evaluation-episodes of at least 1, got {args.evaluation_episodes}")
    rates = {"alpha": (args.alpha, args.alpha_end), "epsilon": (args.epsilon, args.epsilon_end)}
    tabular.check(episodes=args.episodes, gamma=args.gamma, **rates)
    ours = ("map", "random", "size", "slip", "exploring_starts")
    given = [name for name in ours if getattr(args, name) != getattr(Args, name)]
    if args.environment != "grid-world" and given:
        raise ValueError(f"gridworld: --{given[0].replace('_', '-')} is for our grid-world, not {args.environment}")


def make(args: Args) -> Any:
    """The environment, with its time limit. ValueError for an unknown one lists those there are."""
    settings = world(args) if args.environment == "grid-world" else {}
    return environments.make(args.environment, known=discrete(), steps=args.steps, **settings)


def world(args: Args) -> dict[str, Any]:
    """The settings of our own world."""
    from tinygrad_edu.rl.grid_world import MAPS, GridWorld, random_map, solvable

    if args.random is not None:
        grid = random_map(args.size, args.random)
    elif args.map in MAPS:
        grid = MAPS[args.map]
    elif Path(args.map).is_file():
        grid = Path(args.map).read_text()
    else:
        raise ValueError(f"{unknown('map', args.map, MAPS)}; or the path of a text file")
    if not solvable(GridWorld(grid)):
        raise ValueError(f"--map {args.map}: no way leads from S to G")
    return {"grid": grid, "slip": args.slip, "exploring_starts": args.exploring_starts}


def discrete() -> Iterator[str]:
    """Those of Gymnasium's own toy environments that a table can be made for."""
    gymnasium: Any = require("gymnasium", extra="rl")
    return (n for n in environments.names("toy_text") if hasattr(gymnasium.make(n).observation_space, "n"))


class Learner:
    """The table, and all that chance depends on: what a checkpoint, taken between two episodes, has to hold."""

    def __init__(self, env: Any, name: str, seed: int) -> None:
        try:
            self.Q = tabular.table(env)
        except ValueError as error:
            raise ValueError(f"--environment {name}: {error}") from error
        self.env, self.rng, self.steps = env, np.random.default_rng(seed), 0
        env.reset(seed=seed)  # from here on its randomness goes on from episode to episode

    def state_dict(self) -> dict[str, Any]:
        """The table, the number of steps, the states of both generators."""
        policy, environment = (rng.bit_generator.state for rng in (self.rng, self.env.unwrapped.np_random))
        return {"Q": self.Q, "steps": self.steps, "policy": policy, "environment": environment}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take all of it over."""
        self.Q, self.steps = state["Q"], state["steps"]
        self.rng.bit_generator.state = state["policy"]
        self.env.unwrapped.np_random.bit_generator.state = state["environment"]


class Film:
    """Some of the episodes, with what the table was after them; a checkpoint keeps it."""

    def __init__(self, episodes: int) -> None:
        self.wanted = set(np.geomspace(1, episodes, FRAMES).round().astype(int).tolist())
        self.frames: list[pictures.Frame] = []

    def take(self, episode: int, total: float, states: list[int], Q: np.ndarray) -> None:
        """Keep this episode, if it is one of those wanted."""
        if episode in self.wanted:
            self.frames.append((episode, total, np.array(states), Q.copy()))

    def state_dict(self) -> dict[str, Any]:
        """The frames."""
        return {"frames": self.frames}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the frames."""
        self.frames = list(state["frames"])


def train(args: Args, run: Run, learner: Learner, film: Film) -> None:
    """Play and learn, an episode a step of the run. The update is in `rl/tabular.py`, one for each algorithm."""
    play = tabular.EPISODES[args.algorithm]
    run.track(learner=learner, film=film)
    for episode in run.steps(args.episodes):
        share = (episode - 1) / args.episodes
        total, states = play(
            learner.env,
            learner.Q,
            learner.rng,
            alpha=tabular.line(args.alpha, args.alpha_end, share),
            gamma=args.gamma,
            epsilon=tabular.line(args.epsilon, args.epsilon_end, share),
        )
        learner.steps += len(states) - 1
        film.take(episode, total, states, learner.Q)
        run.log(episode_return=total, episode_steps=len(states) - 1)


def compare(args: Args, run: Run, env: Any, Q: np.ndarray, games: dict[str, int]) -> tuple[np.ndarray, float]:
    """Say how the table stands beside value iteration's exact answer: that, q* (S, A), and its mean return."""
    P, starts = env.unwrapped.P, np.flatnonzero(env.unwrapped.initial_state_distrib)
    begin = time.perf_counter()
    exact = planning.value_iteration(P, gamma=args.gamma)
    seconds = time.perf_counter() - begin
    mean, std = evaluate(env, tabular.greedy(exact), **games)
    right = planning.optimal_actions(exact)[np.arange(len(Q)), Q.argmax(axis=1)]  # (S,)
    everywhere = planning.reachable(P, starts)
    # Where the greedy policy itself comes to: right on all of these it is optimal, whatever it knows of others.
    own = planning.reachable({s: {0: P[s][int(Q[s].argmax())]} for s in range(len(Q))}, starts)
    errors = np.abs(Q.max(axis=1) - exact.max(axis=1))  # (S,)
    run.result(
        optimal_return_mean=mean,
        optimal_return_std=std,
        value_iteration_seconds=seconds,
        policy_is_optimal=bool(right[own].all()),
        optimal_action_share=float(right[everywhere].mean()),
        start_value_error=float(errors[starts].max()),
        largest_value_error=float(errors[everywhere].max()),
    )
    which = "optimal: it" if right[own].all() else "not optimal: it"
    run.verdict(
        f"Value iteration, from the exact model: {mean:.2f} ± {std:.2f}, computed in {seconds:.3f} s. The policy "
        f"learnt is {which} takes an optimal action in {right[own].sum()} of the {len(own)} states that it comes to, "
        f"and in {right[everywhere].sum()} of all {len(everywhere)} that can be reached. Its value of the start is "
        f"{errors[starts].max():.2g} off, that of the worst state {errors[everywhere].max():.2g}."
    )
    if args.algorithm == "sarsa" and not right[own].all():
        run.verdict("SARSA learns the value of what it plays, exploring included: it keeps away from where that hurts.")
    return exact, mean


def draw(
    run: Run, env: Any, film: Film, Q: np.ndarray, exact: np.ndarray | None = None, best: float | None = None
) -> None:
    """The pictures of the report."""
    distribution = getattr(env.unwrapped, "initial_state_distrib", None)
    values = None
    if distribution is not None and exact is not None:
        known = [float(distribution @ table.max(axis=1)) for _, _, _, table in film.frames]
        values = ([episode for episode, *_ in film.frames], known, float(distribution @ exact.max(axis=1)))
    caption = "Each episode's return, exploring included" + "; and what the table says the start is worth." * bool(
        values
    )
    run.figure("curves", pictures.curves(run.history("episode_return"), best, values), caption)
    board = pictures.board(env.unwrapped)
    if board is None:
        return
    caption = "The best action of each cell and its value: as learnt"
    if exact is not None:
        caption += ", and exactly. Red: an action that is not optimal. Several arrows: actions that are equally good."
    run.figure("policy", pictures.policies(board, Q, exact), caption)
    caption = "Episodes as they were played, over the table as it was after them; dark is worth more."
    run.figure("learning", pictures.film(board, film.frames), caption)
