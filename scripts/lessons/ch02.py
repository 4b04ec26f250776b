"""Chapter 2's lessons: products of matrices, broadcasting, the derivative, and the walk down along it.

Source: G. Strang, "Introduction to Linear Algebra", 5th edition, 2016, sections 1.3 and 2.4; NumPy's documentation,
"Broadcasting". The project is `tinygrad-edu run gradient-descent`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.bench.timing import alternate

SIZES = (16, 64, 128)  # of the matrices that are multiplied by hand
RATES = (0.01, 0.1, 0.5, 0.9, 1.0, 1.1)

Vector = Sequence[float]
Matrix = Sequence[Vector]


def matrix_vector() -> None:
    """A matrix-vector product: by rows, by columns, and NumPy's.

    Row by row each number of the result is a dot product. Column by column the result is a sum of the columns, each
    times one number of the vector. Both are the same n m products, added in another order.
    """
    A, x = [[2.0, -1.0, 0.0], [1.0, 3.0, 4.0]], [5.0, 6.0, 0.5]
    print(f"A = {A}   (2, 3)\nx = {x}   (3,)\n")
    print("By rows: y_i = Σ_j A_ij x_j\n")
    for i, row in enumerate(A):
        terms = " + ".join(f"({a:g})({b:g})" for a, b in zip(row, x, strict=True))
        print(f"  y_{i} = {terms} = {dot(row, x):g}")
    print("\nBy columns: y = Σ_j x_j (column j)\n")
    for j, b in enumerate(x):
        column = [row[j] for row in A]
        print(f"  {b:g} · {column} = {[b * a for a in column]}")
    print(f"\nby rows     {by_rows(A, x)}\nby columns  {by_columns(A, x)}")
    print(f"NumPy       {(np.array(A) @ np.array(x)).tolist()}")
    print("\nThe sizes must fit: (2, 3) times (3,) gives (2,). NumPy on a vector of 2 says:\n")
    try:
        np.array(A) @ np.array([1.0, 2.0])
    except ValueError as error:
        print(f"  ValueError: {str(error).partition(', with')[0]}")


def dot(a: Vector, b: Vector) -> float:
    """Σ a_i b_i."""
    return sum(p * q for p, q in zip(a, b, strict=True))


def by_rows(A: Matrix, x: Vector) -> list[float]:
    """A x for A (n, m), x (m,): (n,)."""
    return [dot(row, x) for row in A]


def by_columns(A: Matrix, x: Vector) -> list[float]:
    """The same, as the columns' combination."""
    y = [0.0] * len(A)
    for j, b in enumerate(x):
        for i in range(len(A)):
            y[i] += A[i][j] * b
    return y


def matmul_by_hand() -> None:
    """A hand-written matrix multiplication, timed against np.dot.

    C_ij = Σ_k A_ik B_kj: three loops, one inside the other, n³ products; or a dot product for each number, which leaves
    the innermost loop to `sum`. Python takes up every product as an object of its own; np.dot is compiled code that
    keeps many numbers in registers at a time.
    """
    print("Milliseconds for a product of two n × n matrices (median; another machine, other numbers):\n")
    print(
        f"  {'n':>4} {'three loops':>12} {'row by row':>12} {'np.dot':>10} {'loops / np.dot':>16}   largest difference"
    )
    for n in SIZES:
        rng = np.random.default_rng(n)
        A, B = rng.standard_normal((n, n)), rng.standard_normal((n, n))
        a, b = A.tolist(), B.tolist()
        ways: dict[str, Callable[[], object]] = {
            "loops": partial(three_loops, a, b),
            "rows": partial(row_by_row, a, b),
            "dot": partial(np.dot, A, B),
        }
        seconds = alternate(ways, seconds=0.3)
        apart = max(float(np.abs(np.array(way(a, b)) - A @ B).max()) for way in (three_loops, row_by_row))
        times = "".join(
            f"{1e3 * seconds[name]:>{width}.{digits}f}"
            for name, width, digits in (("loops", 13, 2), ("rows", 13, 2), ("dot", 11, 4))
        )
        print(f"  {n:>4}{times} {seconds['loops'] / seconds['dot']:>16.0f}   {apart:.1g}")
    print("\nTwice the size is eight times the work. The difference is rounding: the sums are taken in another order.")


def three_loops(A: Matrix, B: Matrix) -> list[list[float]]:
    """A B for A (n, m), B (m, p): (n, p), as the formula reads."""
    n, m, p = len(A), len(B), len(B[0])
    C = [[0.0] * p for _ in range(n)]
    for i in range(n):
        for j in range(p):
            for k in range(m):
                C[i][j] += A[i][k] * B[k][j]
    return C


def row_by_row(A: Matrix, B: Matrix) -> list[list[float]]:
    """The same: each of its numbers a dot product of a row of A and a column of B."""
    columns = list(zip(*B, strict=True))
    return [[dot(row, column) for column in columns] for row in A]


def broadcasting() -> None:
    """Adding a vector to each row by broadcasting: what NumPy does with shapes that differ.

    Shapes are laid side by side from the right. Two sizes go together if they are equal, or one of them is 1 or not
    there: then that array is used again along this direction, without being copied.
    """
    X, b = np.arange(12.0).reshape(3, 4), np.array([10.0, 20.0, 30.0, 40.0])
    print(f"X (3, 4) =\n{X}\n\nb (4,) = {b}\n\nX + b: b is added to each row.\n\n{X + b}\n")
    same = (X + b == np.array([[X[i, j] + b[j] for j in range(4)] for i in range(3)])).all()
    print(f"The same as two loops over i and j: {same}\n")
    c = np.array([100.0, 200.0, 300.0])
    for shapes, what in (
        (((3, 4), (4,)), "each row"),
        (((3, 4), (3, 1)), "each column"),
        (((3, 1), (1, 4)), "all pairs"),
    ):
        print(f"  {shapes[0]!s:>8} + {shapes[1]!s:<8} -> {broadcast(*shapes)!s:<8} {what}")
    print(f"\nX + c with c (3,): {refused(X, c)}")
    print(f"c[:, None] is (3, 1), and is added to each column:\n\n{X + c[:, None]}\n")
    stretched = np.broadcast_to(b, (3, 4))
    print(f"b stretched to {stretched.shape} takes steps of {stretched.strides} bytes: down it stays where it is.")


def broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that two shapes have together. ValueError if they do not go together."""
    size = max(len(first), len(second))
    sides = [(1,) * (size - len(shape)) + shape for shape in (first, second)]
    if any(m != n and 1 not in (m, n) for m, n in zip(*sides, strict=True)):
        raise ValueError(f"broadcast: {first} and {second} do not go together")
    return tuple(n if m == 1 else m for m, n in zip(*sides, strict=True))


def refused(X: np.ndarray, c: np.ndarray) -> str:
    """What NumPy says of X + c."""
    try:
        return str(X + c)
    except ValueError as error:
        return f"ValueError: {error}"


def derivative() -> None:
    """The derivative of a polynomial: each power by its rule, then the slope by differences and by the Tensor.

    (xⁿ)' = n xⁿ⁻¹, since (x + h)ⁿ = xⁿ + n xⁿ⁻¹ h + terms with h² and more: less xⁿ, divided by h, and h let go to 0,
    n xⁿ⁻¹ is what remains. A sum's derivative is the sum of the derivatives, and a number in front stays there.
    """
    p = [2.0, 0.0, -3.0, 1.0]  # 2 - 3 x² + x³
    d = differentiate(p)
    print(f"p(x)  = {polynomial(p)}\np'(x) = {polynomial(d)}\n")
    for power, c in enumerate(p):
        if power and c:
            print(f"  ({term(c, power)})' = {power} · ({c:g}) x^{power - 1} = {term(power * c, power - 1)}")
    print("\nThe slope between x - h and x + h comes close to it, until rounding is all that is left (x = 1.5):\n")
    exact = value(d, 1.5)
    for h in (1.0, 1e-1, 1e-2, 1e-4, 1e-6, 1e-9, 1e-12):
        slope = (value(p, 1.5 + h) - value(p, 1.5 - h)) / (2.0 * h)
        print(f"  h = {h:<6g} slope {slope: .12f}   error {abs(slope - exact):.1e}")
    print(f"\n  {'x':>5} {'by the rule':>14} {'by difference':>16} {'by the Tensor':>16}")
    for at in (-1.0, 0.0, 0.5, 1.5, 2.0):
        x = tg.tensor(at, dtype=tg.float64, requires_grad=True)
        value(p, x).backward()
        slope = (value(p, at + 1e-6) - value(p, at - 1e-6)) / 2e-6
        assert x.grad is not None
        print(f"  {at:>5g} {value(d, at):>14.8f} {slope:>16.8f} {x.grad.item():>16.8f}")
    print("\nWhere it is 0, at x = 0 and x = 2, the curve is level: at its top and at its bottom.")


def value(p: Vector, x: Any) -> Any:
    """Σ p_n xⁿ at a number or a Tensor, by Horner: p_0 + x (p_1 + x (p_2 + ...))."""
    total = 0.0 * x
    for c in reversed(p):
        total = total * x + c
    return total


def differentiate(p: Vector) -> list[float]:
    """The derivative's coefficients, lowest power first, as those of p are."""
    return [n * c for n, c in enumerate(p)][1:]


def polynomial(p: Vector) -> str:
    """In words, such as 2 - 3 x^2 + x^3."""
    words = " + ".join(term(c, power) for power, c in enumerate(p) if c)
    return words.replace("+ -", "- ") or "0"


def term(c: float, power: int) -> str:
    """c xⁿ in words."""
    x = {0: "", 1: "x"}.get(power, f"x^{power}")
    return x if c == 1.0 and x else f"{c:g} {x}".rstrip()


def gradient_descent() -> None:
    """A gradient-descent loop, and what the learning rate does to it.

    f(x) = x² - 4 x + 5 has f'(x) = 2 x - 4 and its lowest point at x = 2. A step is x ← x - η f'(x), so the distance
    from 2 becomes (1 - 2 η) times what it was: whatever the loop will do can be read off that number.
    """
    print("x ← x - η (2 x - 4) from x = 6:\n")
    print(f"  {'η':>5} {'1 - 2η':>7}   " + "".join(f"{f'step {k}':>10}" for k in (1, 2, 3, 10, 30)))
    for rate in RATES:
        way = descent(6.0, rate, 30)
        print(
            f"  {rate:>5g} {1.0 - 2.0 * rate:>7.2f}   "
            + "".join(f"{way[k]:>10.4g}" for k in (1, 2, 3, 10, 30))
            + f"   {verdict(rate)}"
        )
    print("\nThe same with the Tensor, which finds the derivative itself, η = 0.1:\n")
    x = tg.tensor(6.0, dtype=tg.float64, requires_grad=True)
    for step in range(1, 31):
        f = x * x - 4.0 * x + 5.0
        x.grad = None
        f.backward()
        assert x.grad is not None
        with tg.no_grad():
            x -= 0.1 * x.grad
        if step in (1, 2, 3, 10, 30):
            print(f"  step {step:>2}   f was {f.item():.6f}   slope {x.grad.item():.6f}   x = {x.item():.6f}")
    print("\nOther functions, with momentum and Adam, and as a film: tinygrad-edu run gradient-descent")


def descent(x: float, rate: float, steps: int) -> list[float]:
    """All x of the loop, (steps + 1)."""
    way = [x]
    for _ in range(steps):
        x = x - rate * (2.0 * x - 4.0)
        way.append(x)
    return way


def verdict(rate: float) -> str:
    """What a learning rate does, by the factor that the distance has in each step."""
    factor = 1.0 - 2.0 * rate
    if abs(factor) > 1.0:
        return "further away with each step: it diverges"
    if abs(factor) == 1.0:
        return "to and fro for ever"
    if factor == 0.0:
        return "there at once"
    side = "from side to side" if factor < 0.0 else "from one side"
    return f"{side}, {'slowly' if abs(factor) > 0.9 else 'steadily'}"


LESSONS: dict[str, Callable[[], None]] = {
    "2.1": matrix_vector,
    "2.2": matmul_by_hand,
    "2.3": broadcasting,
    "2.4": derivative,
    "2.5": gradient_descent,
}
