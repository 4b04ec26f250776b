"""draw: the graph behind a Tensor as a picture (SVG), leaves on the left, the result on the right.

A graph keeps no results but those that a gradient rule asked for. So a box shows a value where it is known: of leaves,
of the output, of what was saved and is not yet freed (`backward(retain_graph=True)` keeps it), and of every Tensor in
`names`. Gradients are shown where there is a `.grad`: of leaves, and of results in `names` after `retain_grad()`.

The layout is a small version of K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of hierarchical
system structures", 1981: layers by the longest path, order within a layer by the barycentre of the neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from tinygrad_edu.autograd import Node
from tinygrad_edu.tensor import Tensor

LIMIT = 500  # boxes; beyond that nobody can read the picture
SMALL = 6  # so many numbers are written out
CHARACTER, LINE, PAD, GAP_X, GAP_Y = 7.3, 16, 8, 44, 14  # pixels: monospaced text of 12 px, and what is around it

STYLE = """
.graph { font: 12px monospace; --ink: #1c2430; --leaf: #dcebff; --op: #f2f2f2; --out: #ddf5e0; --line: #6b7685; }
@media (prefers-color-scheme: dark) {
  .graph { --ink: #e8edf4; --leaf: #1f3a5c; --op: #2f343c; --out: #21472a; --line: #95a1b2; }
}
.graph text { fill: var(--ink); }
.graph rect { fill: var(--op); stroke: var(--line); }
.graph .leaf rect { fill: var(--leaf); }
.graph .output rect { fill: var(--out); }
.graph .constant rect { fill: none; stroke-dasharray: 4 3; }
.graph .arrow { fill: none; stroke: var(--line); }
.graph .head { fill: var(--line); }
"""


class Box:
    """One node, leaf or constant: its text, where its arrows come from, its place."""

    def __init__(self, kind: str, label: str) -> None:
        self.kind, self.label = kind, label  # kind: leaf, constant, op or output
        self.shape: tuple[int, ...] | None = None
        self.value: np.ndarray | None = None
        self.grad: np.ndarray | None = None
        self.sources: list[Box] = []
        self.users: list[Box] = []
        self.layer = 0
        self.x = self.y = 0.0  # its middle
        self.column = 0.0, 0.0  # where its layer begins and ends

    def know(self, x: Tensor) -> None:
        """Show this Tensor's value and gradient."""
        self.shape, self.value = x.shape, x.backend.to_numpy(x.data)
        if x.grad is not None:
            self.grad = x.grad.backend.to_numpy(x.grad.data)

    @property
    def lines(self) -> list[str]:
        """The text, a line each."""
        shape = [] if self.shape is None else [str(self.shape)]
        numbers = [f"{name} {_numbers(x)}" for name, x in (("=", self.value), ("grad", self.grad)) if _is_small(x)]
        return [self.label, *shape, *numbers]

    @property
    def width(self) -> float:
        return max(map(len, self.lines)) * CHARACTER + 2 * PAD

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + PAD


def draw(output: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """The graph that computed `output`, as the text of an SVG document, which any browser shows.

    `names` gives leaves and results a name, and shows the values and gradients of these results. TypeError if `output`
    is no Tensor; ValueError if it has no graph, or one of more than 500 boxes, or if a name is of no Tensor in it.

        Path("graph.svg").write_text(tg.draw(loss, {"x": x, "w": w}))
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"draw: expected a Tensor, got {type(output).__name__}")
    if output.node is None:
        raise ValueError("draw: this Tensor has no graph: it is a leaf, or was computed without gradients")
    boxes = _boxes(output, names or {})
    layers = _layers(boxes)
    _order(layers)
    width, height = _place(layers)
    return _svg(boxes, width, height)


def _boxes(output: Tensor, names: Mapping[str, Tensor]) -> list[Box]:
    """The boxes with their text and arrows, oldest first."""
    boxes: dict[Any, Box] = {output.node: Box("output", "")}
    todo = [output.node]
    while todo:
        node: Any = todo.pop()
        boxes[node].label = node.plan.op.name
        for position, parent in enumerate(node.parents):
            source = _saved(node, position) if parent is None else parent
            if source is None:
                continue
            key = source if parent is not None or source.shape else (node, position)  # a number gets a box for each use
            if key not in boxes:
                if len(boxes) == LIMIT:
                    raise ValueError(f"draw: the graph has more than {LIMIT} nodes; draw a smaller model, or a part")
                boxes[key] = _box(source, todo, "leaf" if parent is not None else "constant")
            boxes[node].sources.append(boxes[key])
            boxes[key].users.append(boxes[node])
    _fill(boxes)
    boxes[output.node].know(output)
    for name, x in names.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"draw: expected a Tensor as '{name}', got {type(x).__name__}")
        box = boxes.get(x.node or x)
        if box is None:
            raise ValueError(f"draw: the Tensor named '{name}', shape {x.shape}, is not in this graph")
        box.know(x)
        box.label = name if x.node is None else f"{name} = {box.label}"
    return list(boxes.values())


def _box(source: Node | Tensor, todo: list[Any], kind: str) -> Box:
    """A box for a node, which goes to `todo` as well, or for a Tensor of this kind."""
    if isinstance(source, Node):
        todo.append(source)
        return Box("op", "")
    box = Box(kind, kind)
    box.know(source)
    return box


def _saved(node: Node, position: int | None) -> Any:
    """The argument at `position` (None: the result), if the node has saved it."""
    keep = range(len(node.parents)) if node.plan.keep is None else node.plan.keep
    return next((x for i, x in zip(keep, node.saved or (), strict=False) if i == position), None)


def _fill(boxes: dict[Any, Box]) -> None:
    """Shapes and values of results, as far as the nodes that used them know. Newest first: shapes come from there."""
    nodes = sorted((node for node in boxes if isinstance(node, Node)), key=lambda node: -node.born)
    for node in nodes:
        for position, parent in enumerate(node.parents):
            if isinstance(parent, Node):
                boxes[parent].shape = boxes[node].shape if node.shapes is None else node.shapes[position]
                if (x := _saved(node, position)) is not None:
                    boxes[parent].know(x)
        if (x := _saved(node, None)) is not None:
            boxes[node].know(x)


def _layers(boxes: list[Box]) -> list[list[Box]]:
    """The boxes by their distance from the leaves (the longest path); leaves stand right before what uses them."""
    missing = {box: len(box.sources) for box in boxes}
    ready = [box for box in boxes if not box.sources]
    while ready:
        box = ready.pop()
        for user in box.users:
            user.layer = max(user.layer, box.layer + 1)
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    for box in boxes:
        if not box.sources:
            box.layer = min(user.layer for user in box.users) - 1
    layers: list[list[Box]] = [[] for _ in range(max(box.layer for box in boxes) + 1)]
    for box in boxes:
        layers[box.layer].append(box)
    return layers


def _order(layers: list[list[Box]]) -> None:
    """Sort each layer by the mean place of its neighbours, forth and back, which uncrosses most arrows."""
    for sweep in range(4):
        for layer in layers if sweep % 2 else reversed(layers):
            _spread(layer)
            for box in layer:
                neighbours = box.sources if sweep % 2 else box.users
                if neighbours:
                    box.y = sum(n.y for n in neighbours) / len(neighbours)
            layer.sort(key=lambda box: box.y)
            _spread(layer)


def _spread(layer: list[Box]) -> None:
    for place, box in enumerate(layer):
        box.y = place - (len(layer) - 1) / 2  # layers are centred


def _place(layers: list[list[Box]]) -> tuple[float, float]:
    """Give every box its middle, in pixels; the size of the whole."""
    heights = [sum(box.height + GAP_Y for box in layer) for layer in layers]
    x = float(PAD)
    for layer, height in zip(layers, heights, strict=True):
        width = max(box.width for box in layer)
        y = PAD + (max(heights) - height) / 2
        for box in layer:
            box.x, box.y, box.column = x + width / 2, y + (box.height + GAP_Y) / 2, (x, x + width)
            y += box.height + GAP_Y
        x += width + GAP_X
    return x - GAP_X + PAD, max(heights) + 2 * PAD


def _svg(boxes: list[Box], width: float, height: float) -> str:
    numbered = {box: i for i, box in enumerate(boxes)}
    arrows = [_arrow(source, box, numbered) for box in boxes for source in box.sources]
    shapes = [_rectangle(box, i) for box, i in numbered.items()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<style>{STYLE}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>',
            *arrows,
            *shapes,
            "</svg>\n",
        ]
    )


def _arrow(source: Box, box: Box, numbered: dict[Box, int]) -> str:
    """Straight out of its own column, over to the other one in a curve, straight in: not across its neighbours."""
    x1, x2, y1, y2 = source.column[1], box.column[0], source.y, box.y
    middle = (x1 + x2) / 2
    curve = f"H{x1:.1f} C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    path = f"M{source.x + source.width / 2:.1f} {y1:.1f} {curve} H{box.x - box.width / 2:.1f}"
    ends = f'data-from="{numbered[source]}" data-to="{numbered[box]}"'
    return f'<path class="arrow" {ends} marker-end="url(#head)" d="{path}"/>'


def _rectangle(box: Box, number: int) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    spans = [
        f'<text x="{left + PAD:.1f}" y="{top + (i + 1) * LINE:.1f}">{escape(line)}</text>'
        for i, line in enumerate(box.lines)
    ]
    size = f'x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<g class="{box.kind}" data-node="{number}"><rect {size} rx="5"/>{"".join(spans)}</g>'


def _is_small(x: np.ndarray | None) -> bool:
    return x is not None and 0 < x.size <= SMALL


def _numbers(x: Any) -> str:
    """Few numbers, to four digits."""
    return np.array2string(x, separator=", ", formatter={"float_kind": lambda v: f"{v:.4g}"}).replace("\n", "")
