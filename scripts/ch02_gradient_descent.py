"""Chapter 2: a point goes down a curve, or a landscape, by the slope where it stands.

    plain      x ← x - η f'(x)
    momentum   v ← μ v + f'(x);  x ← x - η v          the step remembers the ones before it
    Adam       every coordinate's step has about the length η, however steep it is there (`optim.py` has the formula)

The function is one of those below, or a formula that you type (`ch02_parser.py`). Its derivative is found in three ways
that are held against each other: by the rules of differentiation (`ch02_expressions.py`), by the difference
(f(x + h) - f(x - h)) / 2h, and by our Tensor's backward pass, which the descent then uses.

How large a step may be: near a minimum f is a parabola with some curvature λ, f'(x) = λ (x - x*), so that a plain step
multiplies the distance from the minimum by 1 - ηλ. It shrinks as long as η < 2/λ, and is gone at once for η = 1/λ;
above 2/λ each step leads further away. With more variables λ is the Hessian's largest eigenvalue.

Sources: A. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", 1847; B. Polyak, "Some
methods of speeding up the convergence of iteration methods", 1964 (momentum); D. Kingma and J. Ba, ICLR 2015 (Adam).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import Tensor, optim
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_torch
from tinygrad_edu.scripts import ch02_pictures as pictures
from tinygrad_edu.scripts.ch02_expressions import Expression
from tinygrad_edu.scripts.ch02_parser import parse
from tinygrad_edu.scripts.pictures import animation
from tinygrad_edu.scripts.player import player

MOMENTUM = 0.9
DIFFERENCE = 6e-6  # h of the finite difference, the cube root of a float64's precision: there its error is least
FAR = 1e9  # times larger than at the start: what has come there does not come back
SHARES = (0.1, 0.25, 0.5, 0.95, 1.05)  # of the largest learning rate, in the picture that compares some


class Example(NamedTuple):
    """A function with a start, a learning rate and a number of steps that show something."""

    formula: str
    start: tuple[float, ...]
    lr: float = 0.1
    steps: int = 50


EXAMPLES = {
    "valley": Example("x^2/2 + exp(-x)", (4.0,), lr=0.2),
    "parabola": Example("x^2 - 4*x + 5", (6.0,)),
    "quartic": Example("x^4 - 3*x^3 + 2", (-1.0,), lr=0.02),  # a plateau at 0, the minimum at 9/4
    "two-valleys": Example("x^4/4 - x^2 + x/4", (0.2,), lr=0.05),
    "waves": Example("x^2/20 - cos(2*x)", (5.5,), lr=0.05),
    "bowl": Example("x^2 + x*y + y^2", (3.0, 1.0)),
    "ravine": Example("x^2/2 + 25*y^2", (4.0, 1.0), lr=0.03, steps=100),
    "saddle": Example("x^2/2 - y^2/2 + y^4/8", (2.0, 0.05)),
    "banana": Example("(1 - x)^2 + 100*(y - x^2)^2", (-1.2, 1.0), lr=0.001, steps=500),  # Rosenbrock's
    "four-valleys": Example("(x^2 + y - 11)^2 + (x + y^2 - 7)^2", (0.0, -1.0), lr=0.01),  # Himmelblau's
}


@dataclass
class Args:
    """Go down a function by its gradient (chapter 2)."""

    function: str = "valley"
    """valley, parabola, quartic, two-valleys, waves; of two variables bowl, ravine, saddle, banana, four-valleys; or a
    formula in x, or x and y, such as "x^4 - 3*x^3 + exp(-x)"."""
    x: float | None = None
    """Where to start; each function has its own place, a formula 1."""
    y: float | None = None
    """The start's second coordinate, where there are two."""
    optimizer: Literal["all", "plain", "momentum", "adam"] = "all"
    """Which of them goes down; all: side by side."""
    lr: float | None = None
    """Learning rate η of all of them; each function has its own, a formula 0.1. Try one that is too large."""
    steps: int | None = None
    """Steps to take; each function has its own number, a formula 50."""
    compare: beside_torch.Compare = "auto"
    """Take the same steps with torch as well; auto: where torch is installed."""


Function = Callable[[Any], Any]  # from a point (D,), a Tensor of ours or torch's, to a number

OPTIMIZERS: dict[str, Callable[[Any, Any, float], Any]] = {  # `library`: our optim, or torch's
    "plain": lambda library, point, lr: library.SGD([point], lr=lr),
    "momentum": lambda library, point, lr: library.SGD([point], lr=lr, momentum=MOMENTUM),
    "adam": lambda library, point, lr: library.Adam([point], lr=lr),
}


def main(args: Args, run: Run) -> None:
    """Read the function, go down, compare the derivatives, draw."""
    example = read(args)
    formula = parse(example.formula)
    slopes = [formula.derivative(name) for name in "xy"[: len(example.start)]]
    run.verdict("; ".join([f"f = {formula}", *(f"∂f/∂{n} = {s}" for n, s in zip("xy", slopes, strict=False))]) + ".")
    chosen = [*OPTIMIZERS] if args.optimizer == "all" else [args.optimizer]
    walks = {name: Walk(name, example.start, example.lr) for name in chosen}
    f = lambda point: at(formula, point)
    run.track(**walks)
    descend(f, walks, run.steps(example.steps), run.log)
    compare_gradients(run, f, slopes, walks)
    lowest = min(walks.values(), key=lambda walk: walk.values.min())
    limit = largest_rate(f, lowest.points[lowest.values.argmin()])
    for walk in walks.values():
        tell(run, walk, limit)
    if beside_torch.wanted(args.compare):
        compare_torch(run, f, walks, example.steps)
    else:
        run.verdict("Not compared with torch.")
    draw(run, f, slopes, walks, example, limit)


def read(args: Args) -> Example:
    """What the flags say to do. ValueError for flags that make no sense, and for a formula that cannot be read."""
    example = EXAMPLES.get(args.function) or typed(args.function)
    start = list(example.start)
    for i, (name, value) in enumerate({"x": args.x, "y": args.y}.items()):
        if value is not None and i >= len(start):
            raise ValueError(f"--{name} {value:g}: {example.formula} is a function of x alone")
        if value is not None:
            start[i] = value
    lr = example.lr if args.lr is None else args.lr
    steps = example.steps if args.steps is None else args.steps
    if not 0.0 < lr <= 1000.0:
        raise ValueError(f"gradient-descent: expected --lr above 0, at most 1000, got {lr:g}")
    if not 1 <= steps <= 10_000:
        raise ValueError(f"gradient-descent: expected --steps from 1 to 10000, got {steps}")
    point = tg.tensor(np.array(start), requires_grad=True)
    value = at(parse(example.formula), point)
    slope = gradient(value, point)
    if not math.isfinite(value.item()) or not np.isfinite(slope).all():
        raise ValueError(
            f"f = {example.formula} is {value.item():g} at {place(start)}, its slope {place(slope)}: start "
            "elsewhere, with --x and --y"
        )
    return Example(example.formula, tuple(start), lr, steps)


def typed(formula: str) -> Example:
    """A formula from the command line, with the settings of a formula."""
    try:
        variables = parse(formula).variables()
    except ValueError as error:
        raise ValueError(f"--function: none of {', '.join(EXAMPLES)}; as a formula: {error}") from error
    if "x" not in variables:
        raise ValueError(f"--function: expected a formula in x, or in x and y, got {formula!r}")
    return Example(formula, (1.0,) * len(variables))


def at(formula: Expression, point: Any) -> Any:
    """The formula's value at a Tensor (D, ...), x first: (...)."""
    return formula(**{name: point[i] for i, name in enumerate("xy"[: len(point)])})


def gradient(value: Tensor, point: Tensor) -> np.ndarray:
    """The gradient of a value at the point (D,) that it was computed from: (D,)."""
    (found,) = tg.grad(value, [point])
    assert found is not None  # the formula has an x in it
    return found.numpy()


def place(point: Iterable[float]) -> str:
    """A point, or a gradient, in words."""
    return ", ".join(f"{name} = {value:.4g}" for name, value in zip("xy", point, strict=False))


class Walk:
    """A point, its optimizer, and where it has been: f and its gradient there, and what ended the walk, if anything."""

    def __init__(self, name: str, start: Sequence[float], lr: float) -> None:
        self.name, self.lr, self.end = name, lr, ""
        self.point = tg.tensor(np.array(start), requires_grad=True)  # (D,) float64
        self.optimizer = OPTIMIZERS[name](optim, self.point, lr)
        self.points, self.gradients, self.values = np.empty((0, len(start))), np.empty((0, len(start))), np.empty(0)

    def goes_on(self, value: float, gradient: np.ndarray) -> bool:
        """Take down what f and its gradient are where the point stands; whether it is worth while to go on."""
        point = self.point.detach().numpy()
        if not math.isfinite(value) or not np.isfinite(gradient).all():
            self.end = f"its next step leads to {place(point)}, where f is {value:g}, its slope {place(gradient)}"
            return False
        self.points, self.gradients = np.vstack([self.points, point]), np.vstack([self.gradients, gradient])
        self.values = np.append(self.values, value)
        steep, high = np.abs(self.gradients).max(axis=1), np.abs(self.values)  # (steps + 1,)
        if steep[-1] > FAR * max(1.0, steep[0]) or high[-1] > FAR * max(1.0, high[0]):
            self.end = "from there nothing comes back"
        return not self.end

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        been = {"points": self.points, "gradients": self.gradients, "values": self.values, "end": self.end}
        return {"point": self.point.detach(), "optimizer": self.optimizer.state_dict(), **been}

    @tg.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take all of it over."""
        self.points, self.gradients, self.values = state["points"], state["gradients"], state["values"]
        self.end = state["end"]
        self.point.copy_(tg.tensor(state["point"]))
        self.optimizer.load_state_dict(state["optimizer"])


def descend(
    f: Function, walks: Mapping[str, Walk], steps: Iterable[int], log: Callable[..., None] = lambda **_: None
) -> None:
    """All walks side by side; one that has gone astray stops there."""
    for _ in steps:
        for walk in walks.values():
            if not walk.end:
                value = f(walk.point)
                walk.optimizer.zero_grad()
                value.backward()
                slope: Any = walk.point.grad
                if walk.goes_on(value.item(), slope.numpy()):
                    walk.optimizer.step()
        log(**{f"{name}_value": walk.values[-1] for name, walk in walks.items()})
    for walk in walks.values():
        if not walk.end:
            value = f(walk.point)
            walk.goes_on(value.item(), gradient(value, walk.point))


def compare_gradients(run: Run, f: Function, slopes: Sequence[Expression], walks: Mapping[str, Walk]) -> None:
    """Hold the Tensor's gradients, wherever the walks have been, against the formula and the finite difference."""
    points = np.concatenate([walk.points for walk in walks.values()])  # (N, D)
    found = np.concatenate([walk.gradients for walk in walks.values()])
    exact = by_formula(slopes, points)
    slope = finite_difference(f, points, DIFFERENCE)
    scale = np.abs(exact).max() or 1.0
    error, crude = (float(np.nanmax(np.abs(g - exact))) / scale for g in (found, slope))
    run.result(gradient_error_tensor=error, gradient_error_finite_difference=crude)
    start = "; ".join(
        f"∂f/∂{n}: by formula {a:.12g}, by finite difference {b:.12g}, by the Tensor {c:.12g}"
        for n, a, b, c in zip("xy", exact[0], slope[0], found[0], strict=False)
    )
    run.verdict(
        f"The slope at the start, {place(points[0])}: {start}. At all {len(points)} points of the way the Tensor's "
        f"gradient is at most {error:.1g} from the formula's, the finite difference {crude:.1g} (h = {DIFFERENCE:g}): "
        "shares of the largest slope."
    )


def by_formula(slopes: Sequence[Expression], points: np.ndarray) -> np.ndarray:
    """The gradient by the differentiated formula: (N, D) -> (N, D)."""
    values = [at(slope, tg.tensor(points.T)) for slope in slopes]
    return np.stack([np.broadcast_to(v.numpy() if isinstance(v, Tensor) else v, len(points)) for v in values], axis=1)


def finite_difference(f: Function, points: np.ndarray, h: float) -> np.ndarray:
    """The gradient by central differences, error ∝ h² and rounding ∝ 1/h: (N, D) -> (N, D)."""
    moved = [h * np.eye(points.shape[1])[i] for i in range(points.shape[1])]
    two = lambda step: (f(tg.tensor((points + step).T)) - f(tg.tensor((points - step).T))).numpy()
    return np.stack([two(step) / (2.0 * h) for step in moved], axis=1)


def largest_rate(f: Function, point: np.ndarray) -> float | None:
    """2/λ for the largest eigenvalue λ of the Hessian at a point; None where f does not curve upwards all round."""
    H = tg.hessian(f)(tg.tensor(point)).numpy()  # (D, D)
    eigenvalues = np.linalg.eigvalsh(H) if np.isfinite(H).all() else [0.0]
    return 2.0 / float(eigenvalues[-1]) if eigenvalues[0] > 0.0 else None


def tell(run: Run, walk: Walk, limit: float | None) -> None:
    """Say how a walk ended, and why it went astray if it did; `limit` is `largest_rate` at the lowest point."""
    value, slope, steps = float(walk.values[-1]), float(np.abs(walk.gradients[-1]).max()), len(walk.values) - 1
    astray = bool(walk.end) or value > walk.values[0]
    run.result(**{f"{walk.name}_value": value, f"{walk.name}_slope": slope, f"{walk.name}_steps": steps})
    run.result(**{f"{walk.name}_{n}": float(x) for n, x in zip("xy", walk.points[-1], strict=False)})
    run.result(**{f"{walk.name}_diverged": astray})
    bound = {"plain": limit, "momentum": limit and (1.0 + MOMENTUM) * limit}.get(walk.name)  # momentum: Polyak
    if not astray:
        said = ""
    elif value < -FAR * max(1.0, abs(walk.values[0])):
        said = " It falls further and further: f has no lowest point this way."
    elif bound is not None and walk.lr > bound:
        said = f" The learning rate is too large: around the lowest point seen it has to be below {bound:.4g}."
    else:
        said = " It has gone astray: try a smaller learning rate, or another start."
    run.verdict(
        f"{walk.name}, learning rate {walk.lr:g}: after {steps} steps f = {value:.6g} at {place(walk.points[-1])}, "
        f"slope {slope:.2g}." + f" Stopped there, since {walk.end}." * bool(walk.end) + said
    )


def compare_torch(run: Run, f: Function, walks: Mapping[str, Walk], steps: int) -> None:
    """Take the same steps with torch's tensors and optimizers, and say how far apart the ways are."""
    import torch

    apart = 0.0
    for name, walk in walks.items():
        point = torch.tensor(walk.points[0], requires_grad=True)
        optimizer = OPTIMIZERS[name](torch.optim, point, walk.lr)
        for ours in walk.points:
            apart = max(apart, float(np.abs(point.detach().numpy() - ours).max() / max(1.0, np.abs(ours).max())))
            value = f(point)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        run.result(**{f"torch_{name}_value": value.item()})
    run.verdict(f"torch, the same steps: no point of the way is more than {apart:.1g} from ours.")


def draw(
    run: Run,
    f: Function,
    slopes: Sequence[Expression],
    walks: Mapping[str, Walk],
    example: Example,
    limit: float | None,
) -> None:
    """The pictures of the report."""
    surface = lambda grid: f(tg.tensor(grid)).numpy()  # (D, ...) -> (...)
    film = pictures.Film(surface, walks)
    caption = (
        "The way down; beside it how far f is above the lowest value seen. Plain steps shrink as the slope does. "
        "Momentum runs past the bottom and swings back, but gets along where the slope is slight. Adam's steps are "
        "about η long, whatever the slope."
    )
    gif = animation(film.frames(), seconds=0.25)
    run.figure("descent", gif, caption)
    caption = "The same, to be stopped where something happens: the button, the slider or the arrow keys."
    run.figure("player", player(gif, film.titles()), caption)
    start = np.array([example.start])
    exact = by_formula(slopes, start)
    errors = np.array([np.abs(finite_difference(f, start, h) - exact).max() for h in pictures.STEPS])
    run.figure(
        "derivative",
        pictures.derivatives([*slices(f, slopes, walks)], errors),
        "The slope along each coordinate through the start, in three ways; and what h does to the finite difference "
        "there. Too large, and the curve bends between its two points (a parabola's bending cancels); too small, and "
        "rounding leaves few digits of the difference. The Tensor has no h.",
    )
    shares = SHARES if limit else tuple(share / SHARES[2] for share in SHARES)
    what = "of 2/λ" if limit else "of yours"
    rates = {f"{n:g} {what}": Walk("plain", example.start, n * (limit or example.lr)) for n in shares}
    descend(f, rates, range(example.steps))
    caption = "Plain steps with other learning rates η, from the same start."
    if limit:
        caption += (
            f" λ is the largest curvature at the lowest point: around it a step multiplies the distance by 1 - ηλ "
            f"where f curves most. So the point lands on the other side above η = 1/λ = {limit / 2.0:.3g}, and further "
            f"away above 2/λ = {limit:.3g}."
        )
    run.figure("rates", pictures.rates(rates), caption)


def slices(f: Function, slopes: Sequence[Expression], walks: Mapping[str, Walk]) -> Iterator[pictures.Slice]:
    """For each coordinate the slope along it, through the start, over what the film shows."""
    start = next(iter(walks.values())).points[0]
    for i, (low, high) in enumerate(pictures.window(walks)):
        line = np.tile(start, (201, 1))
        line[:, i] = np.linspace(low, high, len(line))
        few = line[::20]  # (11, D)
        point = tg.tensor(few.T, requires_grad=True)
        found = gradient(f(point).sum(), point)  # (D, 11)
        difference = finite_difference(f, few, DIFFERENCE)
        exact = by_formula(slopes, line)
        yield pictures.Slice("xy"[i], line[:, i], exact[:, i], few[:, i], difference[:, i], found[i])
