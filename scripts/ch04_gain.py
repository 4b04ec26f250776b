"""A decision tree's first question, worked out in words: what it is worth in bits.

    H = -Σ_k p_k log2 p_k                  the entropy of classes with shares p_k: 0 if one has all
    gain = H - (N_L/N H_L + N_R/N H_R)     what is left of it in the two parts, taken off

Source: J. R. Quinlan, "Induction of decision trees", Machine Learning 1, 1986, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def entropy(counts: Sequence[float]) -> float:
    """In bits, of so many of each class; 0 log2 0 counts as 0.

    >>> entropy([1, 1]), entropy([4, 0]), round(entropy([9, 5]), 3)
    (1.0, 0.0, 0.94)
    """
    p = np.array([count for count in counts if count > 0], float) / max(sum(counts), 1)
    return float(np.abs(p @ np.log2(p)))


def gain(parts: Sequence[Sequence[float]]) -> float:
    """In bits, of a question that parts the samples like this: the counts of each class, for each answer.

    >>> round(gain([[6, 2], [3, 3]]), 3)
    0.048
    """
    sizes, whole = [sum(part) for part in parts], np.sum(parts, axis=0)
    return entropy(whole) - sum(n * entropy(part) for n, part in zip(sizes, parts, strict=True)) / max(sum(sizes), 1)


def first_question(question: str, classes: Sequence[str], yes: Sequence[float], no: Sequence[float]) -> list[str]:
    """The arithmetic of one question, in sentences: counts of each class where the answer is yes, and no."""
    whole = [a + b for a, b in zip(yes, no, strict=True)]
    before, gained, n = entropy(whole), gain([yes, no]), int(sum(whole))
    left = " + ".join(f"{int(sum(part))}/{n} · {entropy(part):.4f}" for part in (yes, no))
    return [
        f"Before it: {share_words(classes, whole)}, {entropy_words(whole)}.",
        f"Yes: {share_words(classes, yes)}, {entropy_words(yes)}.",
        f"No: {share_words(classes, no)}, {entropy_words(no)}.",
        f"After it, on average: {left} = {before - gained:.4f} bits.",
        f"Gain: {before:.4f} - {before - gained:.4f} = {gained:.4f} bits; no other question gains more.",
    ]


def share_words(classes: Sequence[str], counts: Sequence[float]) -> str:
    """The classes' counts in words: 3 setosa, 0 virginica."""
    return ", ".join(f"{int(count)} {name}" for name, count in zip(classes, counts, strict=True))


def entropy_words(counts: Sequence[float]) -> str:
    """An entropy with its sum written out."""
    n = int(sum(counts))
    terms = " ".join(f"- {int(count)}/{n} log2 {int(count)}/{n}" for count in counts if count > 0)
    return f"H = {terms} = {entropy(counts):.4f} bits"
