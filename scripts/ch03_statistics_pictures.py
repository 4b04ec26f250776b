"""The pictures of chapter 3's statistics: samples beside their laws, means that settle, tests, causes, two classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.scripts.ch03_inference import Result
from tinygrad_edu.scripts.ch03_sampling import Summer, normal, normal_density
from tinygrad_edu.scripts.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEANS = (
    "Left: each value, and the means. Middle: the differences that come about when the labels are dealt out at random; "
    "the p-value is the share of them at or beyond the red lines. Right: the differences between samples drawn again "
    "from the samples, with the interval that holds 95 % of them; of so few values it is somewhat too narrow."
)


def distributions(
    x: np.ndarray, successes: np.ndarray, events: np.ndarray, k: Sequence[np.ndarray], laws: Sequence[np.ndarray]
) -> Figure:
    """Normal, binomial and Poisson numbers; `laws` are the latter two's probabilities of the whole numbers `k`."""
    figure = new_figure(11.0, 3.2)
    axes = figure.subplots(1, 3)
    axes[0].hist(x, bins=50, density=True, color="C0", alpha=0.5)
    at = np.linspace(x.min(), x.max(), 300)
    axes[0].plot(at, normal_density(at), color="C3")
    axes[0].set_title("normal: density")
    for ax, name, numbers, whole, law in zip(
        axes[1:], ("binomial", "Poisson"), (successes, events), k, laws, strict=True
    ):
        shares = np.bincount(numbers, minlength=len(whole))[: len(whole)] / len(numbers)
        ax.bar(whole, shares, width=0.8, color="C0", alpha=0.5)
        ax.plot(whole, law, "o", color="C3", markersize=4)
        ax.set_title(f"{name}: probability")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def large_numbers(rng: np.random.Generator, *, sequences: int = 12, n: int = 10_000) -> tuple[Figure, str]:
    """The mean of the first n numbers, for several sequences: normal ones, and Cauchy ones, which have no mean."""
    figure = new_figure(10.0, 3.4)
    axes = figure.subplots(1, 2)
    count = np.arange(1, n + 1)
    shown = np.unique(np.geomspace(1, n, 600).astype(int)) - 1
    kinds = {
        "normal: the means settle": lambda: normal(rng, n),
        "Cauchy: they never do": lambda: normal(rng, n) / normal(rng, n),  # the ratio of two normal numbers
    }
    for ax, (title, draw) in zip(axes, kinds.items(), strict=True):
        for _ in range(sequences):
            ax.plot(count[shown], (np.cumsum(draw()) / count)[shown], linewidth=0.8, alpha=0.8)
        ax.set(title=title, xlabel="numbers so far", xscale="log", ylim=(-2.5, 2.5))
        ax.grid(alpha=0.3)
    for sign in (-1.0, 1.0):
        axes[0].plot(count[shown], sign * 1.96 / np.sqrt(count[shown]), "k--", linewidth=1.2)
    axes[0].set_ylabel("mean of them")
    caption = (
        "The law of large numbers: the mean of the numbers so far goes to the distribution's mean, and at each place "
        "95 % of all sequences lie between the dashed lines, ±1.96 / √n. Right, numbers of a distribution "
        "that has no mean: a single huge one upsets it again and again."
    )
    return figure, caption


def means(
    samples: Mapping[str, np.ndarray],
    what: str,
    test: Result,
    dealt: np.ndarray,
    interval: tuple[float, float],
    drawn: np.ndarray,
) -> Figure:
    """Two samples, the differences of the permutation test, those of the bootstrap."""
    figure = new_figure(12.0, 3.6)
    left, middle, right = figure.subplots(1, 3)
    for i, sample in enumerate(samples.values()):
        wobble = np.random.default_rng(0).uniform(-0.12, 0.12, len(sample))  # else equal values hide each other
        left.plot(i + wobble, sample, "o", alpha=0.6, markersize=4)
        left.plot([i - 0.25, i + 0.25], [sample.mean()] * 2, color="black", linewidth=2)
    left.set_xticks(range(len(samples)), samples)
    left.set(title=f"Welch's t = {test.statistic:.3g}, p = {test.p_value:.3g}", ylabel=what, xlim=(-0.6, 1.6))
    a, b = samples.values()
    observed = abs(a.mean() - b.mean())
    middle.hist(dealt, bins=50, color="C0", alpha=0.6)
    for sign in (-1.0, 1.0):
        middle.axvline(sign * observed, color="C3")
    middle.set(title="labels dealt out at random", xlabel="difference of means")
    right.hist(drawn, bins=50, color="C2", alpha=0.6)
    for end in interval:
        right.axvline(end, color="black", linestyle="--")
    right.axvline(0.0, color="0.5", linewidth=1.0)
    right.set(title="samples drawn again", xlabel="difference of means")
    return figure


def admissions(names: Mapping[str, Any], counts: np.ndarray) -> Figure:
    """Shares admitted and numbers of applicants, by department and together; `counts` (departments, sexes, 2)."""
    figure = new_figure(10.0, 3.4)
    left, right = figure.subplots(1, 2)
    with_all = np.concatenate([counts, counts.sum(axis=0, keepdims=True)])
    places, labels = np.arange(len(with_all)), [*names, "together"]
    for i, (sex, colour) in enumerate((("men", "C0"), ("women", "C1"))):
        applied = with_all[:, i].sum(axis=1)
        left.bar(places + 0.4 * i - 0.2, with_all[:, i, 0] / applied, 0.4, color=colour, label=sex)
        right.bar(places[:-1] + 0.4 * i - 0.2, applied[:-1], 0.4, color=colour, label=sex)
    left.axvline(len(names) - 0.5, color="0.6", linewidth=1.0)
    left.set_xticks(places, labels)
    right.set_xticks(places[:-1], labels[:-1])
    left.set(title="share admitted", xlabel="department")
    right.set(title="applicants", xlabel="department")
    left.legend()
    return figure


def causes(seen: Summer, forced: Summer, found: Mapping[str, float]) -> Figure:
    """Ice cream against sunburn: as seen, the heat taken out, and in the experiment; the colour is the temperature."""
    figure = new_figure(12.0, 3.6)
    axes = figure.subplots(1, 3)
    near = np.abs(seen.temperature - np.median(seen.temperature)) < 1.0
    panels = (
        (seen, np.ones(len(near), bool), f"as seen: r = {found['correlation_seen']:.2f}"),
        (seen, near, f"days of much the same heat: r = {correlation_of(seen, near):.2f}"),
        (forced, np.ones(len(near), bool), f"sales decided by lot: r = {found['correlation_in_experiment']:.2f}"),
    )
    for ax, (days, some, title) in zip(axes, panels, strict=True):
        points = ax.scatter(
            days.ice_cream[some], days.sunburn[some], c=days.temperature[some], s=12, cmap="coolwarm", vmin=10, vmax=38
        )
        ax.set(title=title, xlabel="portions of ice cream", xlim=(150, 850), ylim=(5, 70))
        ax.title.set_fontsize(10)
    axes[0].set_ylabel("cases of sunburn")
    figure.colorbar(points, ax=axes, label="°C")
    return figure


def correlation_of(days: Summer, some: np.ndarray) -> float:
    """The correlation of ice cream and sunburn on some days."""
    return float(np.corrcoef(days.ice_cream[some], days.sunburn[some])[0, 1])


def classes(x: np.ndarray, labels: np.ndarray) -> Figure:
    """Points (n, 2) of two classes, and the line that parts them best."""
    figure = new_figure(5.4, 4.2)
    ax: Any = figure.subplots()
    for label, colour in ((0, "C0"), (1, "C1")):
        ax.scatter(*x[labels == label].T, s=10, color=colour, alpha=0.7, label=f"class {label}")
    ax.axvline(0.0, color="black", linestyle="--")
    ax.set_aspect("equal")
    ax.legend()
    return figure
