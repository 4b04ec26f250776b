"""draw: an SVG that parses, with the boxes, the arrows and the numbers of the graph, and nothing in the same place."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

import tinygrad_edu as tg

SVG = "{http://www.w3.org/2000/svg}"


class Picture:
    """What is in an SVG: `boxes` by number: (kind, lines of text); `arrows`: pairs of numbers."""

    def __init__(self, text: str) -> None:
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg"
        self.size = float(root.attrib["width"]), float(root.attrib["height"])
        self.boxes, self.places = {}, {}
        for group in root.iter(f"{SVG}g"):
            number = int(group.attrib["data-node"])
            (rect,) = group.iter(f"{SVG}rect")
            self.places[number] = [float(rect.attrib[key]) for key in ("x", "y", "width", "height")]
            self.boxes[number] = group.attrib["class"], [line.text for line in group.iter(f"{SVG}text")]
        paths = [path for path in root.iter(f"{SVG}path") if path.attrib["class"] == "arrow"]
        self.arrows = sorted((int(p.attrib["data-from"]), int(p.attrib["data-to"])) for p in paths)

    def arrows_by_label(self) -> list[tuple[str, str]]:
        """The arrows, each as the first lines of its two boxes."""
        return sorted((self.boxes[a][1][0], self.boxes[b][1][0]) for a, b in self.arrows)


def leaf(*values: float) -> Any:
    """A vector that wants a gradient."""
    return tg.tensor(values, requires_grad=True)


def test_boxes_arrows_and_numbers() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    c = a * b
    c.retain_grad()
    out = (c + 2.0 * a).sum()
    out.backward(retain_graph=True)
    picture = Picture(tg.draw(out, {"a": a, "<b>": b, "c": c}))
    assert sorted(picture.boxes.values()) == [
        ("constant", ["constant", "()", "= 2"]),
        ("leaf", ["<b>", "(2,)", "= [3, 4]", "grad [1, 2]"]),
        ("leaf", ["a", "(2,)", "= [1, 2]", "grad [5, 6]"]),
        ("op", ["add", "(2,)"]),
        ("op", ["c = mul", "(2,)", "= [3, 8]", "grad [1, 1]"]),
        ("op", ["mul", "(2,)"]),
        ("output", ["sum", "()", "= 17"]),
    ]
    assert picture.arrows_by_label() == [
        ("<b>", "c = mul"),
        ("a", "c = mul"),
        ("a", "mul"),
        ("add", "sum"),
        ("c = mul", "add"),
        ("constant", "mul"),
        ("mul", "add"),
    ]


def test_values_that_the_graph_has_saved() -> None:
    x = leaf(0.0, 1.0)
    out = (x.exp() * (x + 1.0)).sum()
    kinds = {lines[0]: "".join(lines[1:]) for _, lines in Picture(tg.draw(out)).boxes.values()}
    assert kinds["exp"] == "(2,)= [1, 2.718]"
    assert kinds["add"] == "(2,)= [1, 2]"
    out.backward()  # frees what was saved
    kinds = {lines[0]: "".join(lines[1:]) for _, lines in Picture(tg.draw(out)).boxes.values()}
    assert kinds == {
        "leaf": "(2,)= [0, 1]grad [2, 8.155]",
        "exp": "(2,)",
        "add": "(2,)",
        "mul": "(2,)",
        "sum": "()= 6.437",
    }


def test_shapes_are_those_of_the_results() -> None:
    x = tg.ones(2, 3, requires_grad=True)
    out = ((x.T @ x)[0].reshape(3, 1) + tg.ones(4)).exp().max()
    shapes = {(lines[0], lines[1]) for _, lines in Picture(tg.draw(out)).boxes.values()}
    assert shapes == {
        ("leaf", "(2, 3)"),
        ("permute", "(3, 2)"),
        ("matmul", "(3, 3)"),
        ("slice", "(1, 3)"),
        ("reshape", "(3,)"),
        ("reshape", "(3, 1)"),
        ("add", "(3, 4)"),
        ("exp", "(3, 4)"),
        ("amax", "()"),
    }


def network() -> Any:
    """A graph in which paths part and meet, and one skips many layers."""
    x = leaf(1.0, 2.0)
    parts = [(x * float(i)).tanh() for i in range(5)]
    y = parts[0]
    for part in parts[1:]:
        y = y + part * x
    return (y * x).sum()


def test_arrows_point_right_and_boxes_stand_apart() -> None:
    picture = Picture(tg.draw(network()))
    assert len(picture.boxes) > 20
    for a, b in picture.arrows:
        assert picture.places[a][0] + picture.places[a][2] < picture.places[b][0]
    for p, q in itertools.combinations(picture.places.values(), 2):
        apart = [p[i] + p[i + 2] <= q[i] or q[i] + q[i + 2] <= p[i] for i in (0, 1)]
        assert any(apart), (p, q)
    for x, y, width, height in picture.places.values():
        assert min(x, y) >= 0
        assert x + width <= picture.size[0]
        assert y + height <= picture.size[1]


def test_leaves_stand_before_what_uses_them() -> None:
    x, late = leaf(1.0), leaf(1.0)
    picture = Picture(tg.draw((x.exp().exp().exp() * late).sum(), {"x": x, "late": late}))
    left = {lines[0]: picture.places[number][0] for number, (_, lines) in picture.boxes.items()}
    assert left["late"] > left["x"]


def test_an_argument_that_comes_twice_has_two_arrows() -> None:
    x = leaf(1.0)
    picture = Picture(tg.draw((x * x).sum()))
    assert picture.arrows_by_label() == [("leaf", "mul"), ("leaf", "mul"), ("mul", "sum")]


def test_long_chains_and_the_limit() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(499):
        y = y.exp()
    assert len(Picture(tg.draw(y)).boxes) == 500
    with pytest.raises(ValueError, match="draw: the graph has more than 500 nodes; draw a smaller model, or a part"):
        tg.draw(y.exp())


def test_drawing_keeps_nothing_and_changes_nothing() -> None:
    x = leaf(1.0, 2.0)
    out = (x * x).sum()
    before = tg.draw(out)
    assert tg.draw(out) == before
    out.backward()
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        (lambda: tg.draw(leaf(1.0)), ValueError, "draw: this Tensor has no graph: it is a leaf"),
        (lambda: tg.draw(tg.ones(1) * 2.0), ValueError, "draw: this Tensor has no graph"),
        (lambda: tg.draw(3.0), TypeError, "draw: expected a Tensor, got float"),
        (
            lambda: tg.draw(leaf(1.0).exp(), {"w": leaf(2.0)}),
            ValueError,
            r"named 'w', shape \(1,\), is not in this gra",
        ),
        (lambda: tg.draw(leaf(1.0).exp(), {"w": 2.0}), TypeError, "draw: expected a Tensor as 'w', got float"),
    ],
)
def test_refusals(program: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        program()
