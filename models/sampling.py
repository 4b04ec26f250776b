"""From a model's logits to the next character: drawn at random, from all characters or from the likely ones only."""

from __future__ import annotations

import math

import numpy as np


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """ValueError unless temperature > 0, top_k >= 1 and 0 < top_p <= 1, the last two being None or so."""
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"expected a temperature > 0, got {temperature}; top_k=1 takes the likeliest, always")
    if top_k is not None and top_k < 1:
        raise ValueError(f"expected top_k of at least 1, got {top_k}")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ValueError(f"expected top_p above 0 and up to 1, got {top_p}")


def probabilities(
    logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """softmax(logits / temperature), what is not kept set to 0 and the rest scaled to sum to 1: (V,) -> (V,).

    `top_k` keeps the k likeliest; `top_p` the fewest whose probabilities reach p together, after `top_k`. Below 1 the
    temperature sharpens, above it flattens. ValueError: see `check_sampling`.
    Sources: A. Fan et al., "Hierarchical neural story generation", 2018; A. Holtzman et al., "The curious case of
    neural text degeneration", 2020.

    >>> probabilities(np.log([0.5, 0.3, 0.2]), top_p=0.7).round(3).tolist()
    [0.625, 0.375, 0.0]
    """
    check_sampling(temperature, top_k, top_p)
    scaled = np.asarray(logits, np.float64) / temperature
    p = np.exp(scaled - scaled.max())
    order = np.argsort(-p, kind="stable")
    if top_k is not None:
        p[order[top_k:]] = 0.0
    p /= p.sum()
    if top_p is not None:
        before = np.cumsum(p[order]) - p[order]  # what the likelier ones have together
        p[order[before >= top_p]] = 0.0
        p /= p.sum()
    return p


def draw(
    logits: np.ndarray,
    rng: np.random.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> int:
    """A number of 0..V - 1 with the `probabilities` of these logits (V,)."""
    p = probabilities(logits, temperature, top_k, top_p)
    return int(rng.choice(len(p), p=p))
