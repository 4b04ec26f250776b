"""Minimising a smooth convex function: gradient descent, Newton's method and L-BFGS are one loop with three directions.

Each step goes from w along a direction d (d·g < 0) by a length t: w ← w + t d. The length is found by backtracking; the
methods differ in d alone. With g the gradient and H the Hessian at w:

    gradient descent     d = -g                                                        (section 2.2)
    Newton               d = -H⁻¹ g                                                    (2.15)
    L-BFGS               d = -B g, B the inverse Hessian as the last 10 steps show it   (algorithms 7.4 and 7.5)

Source: J. Nocedal, S. Wright, Numerical Optimization, 2nd edition, 2006; the test near the optimum from W. Hager,
H. Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line search", 2005, (4.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]  # w -> its value and gradient
Direction = Callable[[np.ndarray, np.ndarray], np.ndarray]  # w, g -> d

SUFFICIENT = 1e-4  # the share of the decrease that the slope promises which a step must bring (Nocedal & Wright 3.4)
MEMORY = 10  # steps that L-BFGS remembers, as in SciPy


def minimize(loss: Loss, w: np.ndarray, direction: Direction, *, tol: float, max_iter: int) -> tuple[np.ndarray, int]:
    """The w where no component of the gradient exceeds `tol`, and the steps taken; `max_iter + 1` if not reached.

    Ends too, as reached, where rounding hides every further descent.
    """
    value, g = loss(w)
    t = 1.0 / max(1.0, float(np.abs(g).sum()))  # nothing is known of the scale yet: a step of length 1 at most
    for step in range(max_iter):
        if np.abs(g).max() <= tol:
            return w, step
        d = direction(w, g)
        if not isinstance(direction, GradientDescent) and (step or isinstance(direction, Newton)):
            t = 1.0  # the direction has the right length in itself
        found = line_search(loss, w, value, g, d, t)
        if found is None:
            return w, step
        t, w, value, g = found
        t *= 2.0  # gradient descent: try more the next time
    return w, max_iter + (np.abs(g).max() > tol)


def line_search(
    loss: Loss, w: np.ndarray, value: float, g: np.ndarray, d: np.ndarray, t: float
) -> tuple[float, np.ndarray, float, np.ndarray] | None:
    """A t, not above the one given, that brings enough; with the new w, value and gradient. None: none does."""
    slope = float(g @ d)
    rounding = 1e-14 * abs(value)
    for _ in range(40):
        new_w = w + t * d
        new_value, new_g = loss(new_w)
        change = new_value - value
        if change <= SUFFICIENT * t * slope:
            return t, new_w, new_value, new_g
        if change <= rounding and abs(float(new_g @ d)) <= (1.0 - 2.0 * SUFFICIENT) * abs(slope):
            return t, new_w, new_value, new_g  # values can't tell any more, slopes can
        parabola = -0.5 * slope * t * t / (change - slope * t) if np.isfinite(change) else 0.0
        t = min(max(parabola, 0.1 * t), 0.5 * t)  # its minimum, kept within a tenth and a half
    return None


class GradientDescent:
    """Straight down."""

    def __call__(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        return -g


class Newton:
    """To the minimum of the parabola that has the function's gradient and Hessian here."""

    def __init__(self, hessian: Callable[[np.ndarray], np.ndarray]) -> None:
        self.hessian = hessian

    def __call__(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        return -np.linalg.solve(self.hessian(w), g)


class LBFGS:
    """Newton's direction, with the inverse Hessian that the last steps s and changes of gradient y imply."""

    def __init__(self) -> None:
        self.pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=MEMORY)  # s, y, 1 / s·y
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        if self.last is not None:
            s, y = w - self.last[0], g - self.last[1]
            if s @ y > 0.0:  # always so where the function is strictly convex, but for rounding
                self.pairs.append((s, y, 1.0 / float(s @ y)))
        self.last = w, g
        d, alphas = -g, []
        for s, y, rho in reversed(self.pairs):  # the two loops of Nocedal & Wright, algorithm 7.4
            alphas.append(rho * (s @ d))
            d = d - alphas[-1] * y
        if self.pairs:
            s, y, rho = self.pairs[-1]
            d = d / (rho * (y @ y))  # (7.20): the size of the inverse Hessian along the last step
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            d = d + (alpha - rho * (y @ d)) * s
        return d
