"""Sequential minimal optimisation (SMO): the dual problem of a support vector machine, two variables at a time.

    maximise  Σ_i y_i β_i - 1/2 Σ_ij β_i β_j K_ij       where Σ_i β_i = 0 and l_i <= β_i <= u_i

Its gradient is f = y - K β. At the optimum one b suits all: f_i <= b where β_i could grow (β_i < u_i), f_j >= b where
it could shrink (β_j > l_j). While max f_i - min f_j > tol, a step takes from one β_j and gives to one β_i, so that Σ β
stays 0:

    t = (f_i - f_j) / a,    a = K_ii + K_jj - 2 K_ij,    as far as the bounds allow;     f changes by -t (K_i - K_j)

i has the largest f; j the largest gain (f_i - f_j)² / a, the second-order choice of Fan, Chen and Lin, equation 11.

One step needs two rows of K, and K is large. So steps are made in a *working set* of a hundred or so variables, whose
rows of K are one matrix product, until a tenth of the gap is left there; then f is brought up to date for all, and the
next set is chosen (Joachims): half of it are those that joined last, half those with the largest and smallest f.

Sources: J. Platt, "Sequential Minimal Optimization", 1998; R.-E. Fan, P.-H. Chen, C.-J. Lin, "Working Set Selection
Using Second Order Information for Training SVM", JMLR 6, 2005; T. Joachims, "Making Large-Scale SVM Learning
Practical", 1999, sections 11.2 and 11.3; sets that overlap by half: Z. Wen et al., "ThunderSVM", JMLR 19, 2018.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_edu.plugins._kernels import Array, Kernel

WORKING_SET = 128  # enough that Python's part is small, few enough that most of their rows of K are put to use
SHARE = 0.1  # of the gap may be left in a working set: more steps there are wasted, as the others' f is out of date
FLAT = 1e-12  # stands for a curvature that is 0, or less by rounding, as in LIBSVM


class Solution(NamedTuple):
    """What SMO found; `converged` is False where `max_iter` ended it."""

    beta: Array  # (N,)
    bias: float
    steps: int
    converged: bool


def solve(kernel: Kernel, X: Array, y: Array, C: Array, *, tol: float, megabytes: float, max_iter: int) -> Solution:
    """β and b for labels `y` of ±1 and prices `C`: (N, D), (N,), (N,).

    `megabytes` may be taken by the rows of K that are in use; `max_iter` steps are made at most, -1: no limit.
    """
    N = len(y)
    low, high = np.minimum(0.0, y * C), np.maximum(0.0, y * C)
    beta, f, steps = np.zeros(N), y.copy(), 0
    size = min(N, WORKING_SET, max(4, int(megabytes * 2**20 / (8 * N))))
    rows = np.empty((size, N))
    work = np.arange(N if size == N else 0)
    limit = np.inf if max_iter < 0 else max_iter
    while True:
        growing, shrinking = np.where(beta < high, f, -np.inf), np.where(beta > low, f, np.inf)
        top, bottom = growing.max(), shrinking.min()
        if top - bottom <= tol or steps >= limit:
            break
        if size < N:
            work = _choose(growing, shrinking, work[-(size // 2) :], size)
        K = kernel(X[work], X, out=rows[: len(work)])
        inside = beta[work]
        left = max(tol, SHARE * (top - bottom))
        made = _steps(K.take(work, axis=1), f[work], inside, low[work], high[work], left, limit - steps)
        if made == 0:  # what is left to do is less than rounding
            break
        f -= (inside - beta[work]) @ K
        beta[work] = inside
        steps += made
    free = (beta > low) & (beta < high)
    bias = f[free].mean() if free.any() else (top + bottom) / 2
    return Solution(beta, float(bias), steps, bool(top - bottom <= tol or steps < limit))


def _choose(growing: Array, shrinking: Array, kept: Array, size: int) -> Array:
    """A working set: `kept`, and of the others as many with the largest f that can grow as with the smallest that can
    shrink. Overwrites both arrays, (N,)."""
    each = (size - len(kept)) // 2
    growing[kept], shrinking[kept] = -np.inf, np.inf
    largest = np.argpartition(growing, -each)[-each:]
    largest = largest[growing[largest] > -np.inf]
    shrinking[largest] = np.inf
    smallest = np.argpartition(shrinking, each - 1)[:each]
    return np.concatenate([kept, largest, smallest[shrinking[smallest] < np.inf]])


def _steps(K: Array, f: Array, beta: Array, low: Array, high: Array, tol: float, limit: float) -> int:
    """Make steps until the gap is `tol` at most, and count them: K (q, q), the others (q,); changes f and β."""
    diagonal = K.diagonal()
    inverse = 1.0 / np.maximum(diagonal[:, None] + diagonal - 2.0 * K, FLAT)  # 1 / a of every pair
    # added to f they leave out, as -∞ and ∞ do, what can't grow and what can't shrink
    no_growth, no_shrinking = np.where(beta < high, 0.0, -np.inf), np.where(beta > low, 0.0, np.inf)
    gap, gain = np.empty((2, len(f)))
    made = 0
    while made < limit:
        i = int(np.add(f, no_growth, out=gap).argmax())
        np.subtract(gap[i], f, out=gap)
        gap -= no_shrinking
        if gap.max() <= tol:
            break
        np.maximum(gap, 0.0, out=gain)
        gain *= gain
        gain *= inverse[i]
        j = int(gain.argmax())
        t = min(gap[j] * inverse[i, j], high[i] - beta[i], beta[j] - low[j])
        before = beta[i], beta[j]
        # exactly at the bound, whatever rounding does to the sum
        beta[i] = high[i] if t == high[i] - beta[i] else beta[i] + t
        beta[j] = low[j] if t == beta[j] - low[j] else beta[j] - t
        if before == (beta[i], beta[j]):
            break
        np.subtract(K[i], K[j], out=gain)
        gain *= t
        f -= gain
        for k in (i, j):
            no_growth[k] = 0.0 if beta[k] < high[k] else -np.inf
            no_shrinking[k] = 0.0 if beta[k] > low[k] else np.inf
        made += 1
    return made
