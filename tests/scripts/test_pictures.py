"""The pictures: what is drawn, and the edge cases (nothing, one class, values that are missing)."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.scripts import pictures

Needs = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def matplotlib(needs: Needs) -> None:
    needs("matplotlib")


def drawn(figure: Any) -> Any:
    """The figure, after it has really been drawn."""
    out = BytesIO()
    figure.savefig(out)
    assert out.getvalue().startswith(b"\x89PNG")
    return figure


def texts(figure: Any) -> list[str]:
    """The numbers in the cells of a confusion matrix, row by row."""
    return [text.get_text() for text in figure.axes[0].texts]


def test_curves_have_a_panel_each_and_a_line_each() -> None:
    panels = {"loss": {"train": ([1, 2, 3], [3.0, 2.0, 1.0]), "test": ([3], [1.5])}, "accuracy": {"test": ([1], [0.5])}}
    figure = drawn(pictures.curves(panels))
    assert [ax.get_title() for ax in figure.axes] == ["loss", "accuracy"]
    assert [[line.get_label() for line in ax.lines] for ax in figure.axes] == [["train", "test"], ["test"]]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [3.0, 2.0, 1.0]


def test_curves_leave_out_what_was_not_finite() -> None:
    figure = drawn(pictures.curves({"loss": {"train": ([1, 2, 3], [3.0, None, 1.0])}}))
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 3]


@pytest.mark.parametrize("series", [([], []), ([1, 2], [None, None])], ids=["no steps", "no values"])
def test_curves_without_a_value(series: tuple[list[int], list[float | None]]) -> None:
    assert len(drawn(pictures.curves({"loss": {"train": series}})).axes) == 1


def test_a_long_curve_has_its_running_mean() -> None:
    values = [float(i % 2) for i in range(1000)]
    raw, mean = drawn(pictures.curves({"loss": {"train": (list(range(1000)), values)}})).axes[0].lines
    assert len(raw.get_ydata()) == 1000
    assert mean.get_label() == "train, mean"
    np.testing.assert_allclose(mean.get_ydata(), 0.5, atol=1e-12)
    assert (mean.get_xdata()[0], mean.get_xdata()[-1]) == (19, 999)  # the mean of 20 stands at the last of them


def test_a_confusion_matrix_counts() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    figure = drawn(pictures.confusion(truth, predicted, ["a", "b", "c"]))
    assert texts(figure) == ["1", "1", "1", "1", "2"]
    ax = figure.axes[0]
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), [[0.5, 0.5, 0], [0, 1, 0], [1 / 3, 0, 2 / 3]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_a_confusion_matrix_of_one_class_and_of_a_class_that_is_missing() -> None:
    zeros = np.zeros(4, np.int64)
    assert texts(drawn(pictures.confusion(zeros, zeros, ["0"]))) == ["4"]
    assert texts(drawn(pictures.confusion(zeros, zeros, ["0", "never seen"]))) == ["4"]
    assert texts(drawn(pictures.confusion(zeros[:0], zeros[:0], ["0", "1"]))) == []


def test_a_grid_fills_rows() -> None:
    figure = drawn(pictures.image_grid(np.zeros((7, 4, 4)), [str(i) for i in range(7)], columns=3))
    assert len(figure.axes) == 9
    assert [len(ax.images) for ax in figure.axes] == [1] * 7 + [0] * 2
    assert [ax.get_title() for ax in figure.axes[:7]] == [str(i) for i in range(7)]


@pytest.mark.parametrize("n", [0, 1])
def test_a_grid_of_none_and_of_one(n: int) -> None:
    figure = drawn(pictures.image_grid(np.ones((n, 4, 4)), cmap="RdBu_r"))
    assert [len(ax.images) for ax in figure.axes] == [n]


def test_a_grid_of_colours_and_a_diverging_map() -> None:
    figure = drawn(pictures.image_grid(np.zeros((2, 3, 4, 5))))
    assert figure.axes[0].images[0].get_array().shape == (4, 5, 3)
    weights = np.array([[[-2.0, 1.0]]])
    image = drawn(pictures.image_grid(weights, cmap="RdBu_r")).axes[0].images[0]
    assert image.get_clim() == (-2.0, 2.0)  # white is 0


def test_an_animation_has_a_frame_for_each_figure(needs: Needs) -> None:
    figures = []
    for width in (1, 2, 3):
        figures.append(pictures.new_figure(2.0, 1.0))
        figures[-1].subplots().plot([0, 1], linewidth=width)
    with needs("PIL.Image").open(BytesIO(pictures.animation(figures, seconds=0.5))) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 500  # milliseconds
        film.seek(2)
        assert film.info["duration"] == 2000  # a rest on the last
    with pytest.raises(ValueError, match="animation: expected at least one frame, got none"):
        pictures.animation([])
