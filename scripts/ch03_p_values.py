"""Chapter 3: the probabilities that tests need, from scratch: the tails of the normal, t and chi-square distribution.

    normal          P(|Z| ≥ z) = erfc(z / √2)
    t, ν d. f.      P(|T| ≥ t) = I_x(ν/2, ½), x = ν / (ν + t²)      the regularised incomplete beta function
    χ², k d. f.     P(X ≥ x) = Q(k/2, x/2)                          the regularised upper incomplete gamma function

Neither function has a formula of a few signs; both have continued fractions that settle in some dozen terms.

Source: NIST Digital Library of Mathematical Functions (DLMF), chapters 7 and 8; its numbers stand beside the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

TINY = 1e-300  # stands for 0 where Lentz's algorithm would divide by it
MOST_TERMS = 100_000


def normal_p_value(z: float) -> float:
    """P(|Z| ≥ |z|), both tails.

    >>> round(normal_p_value(1.959963984540054), 12)
    0.05
    """
    return math.erfc(abs(z) / math.sqrt(2.0))  # DLMF 7.2.2


def t_p_value(t: float, freedom: float) -> float:
    """P(|T| ≥ |t|), both tails, for `freedom` degrees of freedom.

    >>> round(t_p_value(2.0, 1e9), 6) == round(normal_p_value(2.0), 6)
    True
    """
    if not math.isfinite(t):
        return 0.0
    below = freedom + t * t
    return incomplete_beta(freedom / 2.0, 0.5, freedom / below, t * t / below)


def chi_square_p_value(x: float, freedom: float) -> float:
    """P(X ≥ x), the upper tail, for `freedom` degrees of freedom.

    >>> round(chi_square_p_value(4.0, 2), 12) == round(math.exp(-2.0), 12)
    True
    """
    return incomplete_gamma(freedom / 2.0, x / 2.0)


def incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b), from 0 at x = 0 to 1 at x = 1; y is 1 - x, as exact as the caller has it. ValueError for other x."""
    if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
        raise ValueError(f"incomplete_beta: expected x and y in 0..1, got {x} and {y}")
    if 0.0 in (x, y):
        return x
    if x > (a + 1.0) / (a + b + 2.0):  # where the fraction settles slowly: I_x(a, b) = 1 - I_y(b, a), DLMF 8.17.4
        return 1.0 - incomplete_beta(b, a, y, x)
    # x^a y^b / (a B(a, b)), in logarithms, since the powers may be too small for a float
    log_x = math.log(x) if x < 0.5 else math.log1p(-y)
    log_y = math.log(y) if y < 0.5 else math.log1p(-x)
    log_front = a * log_x + b * log_y + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)

    def terms() -> Iterator[float]:  # DLMF 8.17.23
        yield 1.0
        for m in range(1, MOST_TERMS):
            yield -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
            yield m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))

    return math.exp(log_front) / a * _fraction((d, 1.0) for d in terms())  # DLMF 8.17.22


def incomplete_gamma(a: float, x: float) -> float:
    """Q(a, x) = Γ(a, x) / Γ(a), from 1 at x = 0 down to 0. ValueError for x below 0."""
    if x < 0.0:
        raise ValueError(f"incomplete_gamma: expected x of at least 0, got {x}")
    if x == 0.0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))  # x^a e^-x / Γ(a)
    if x < a + 1.0:  # 1 - Q is the larger part, and has a series: DLMF 8.11.4
        term = total = 1.0 / a
        n = a
        while term > 1e-17 * total:
            n += 1.0
            term *= x / n
            total += term
        return 1.0 - front * total

    def terms() -> Iterator[tuple[float, float]]:  # DLMF 8.9.2, its even part
        yield 1.0, x + 1.0 - a
        for n in range(1, MOST_TERMS):
            yield n * (a - n), x + 2 * n + 1.0 - a

    return front * _fraction(terms())


def _fraction(terms: Iterable[tuple[float, float]]) -> float:
    """a1 / (b1 + a2 / (b2 + …)), from its terms (a, b): Lentz's algorithm (W. Lentz, Applied Optics 15, 1976).

    The fraction is the limit of f = C1 D1 C2 D2 …; a term changes it by the factor C D, which goes to 1.
    """
    f, c, d = TINY, TINY, 0.0
    for a, b in terms:
        d = 1.0 / (b + a * d or TINY)
        c = b + a / c or TINY
        f *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return f
