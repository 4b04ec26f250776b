"""Single ops, forward and backward, under pytest-benchmark: a group for each op and size, ours and its peer in it.

pytest-benchmark times one candidate after the other; the ratios that are quoted come from
`python -m tinygrad_edu.bench.ops`, which takes turns.
"""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_edu.bench.by_hand import BY_HAND
from tinygrad_edu.bench.ops import LARGE, TINY, steps

SIDES = [(n, "by hand", side) for n in LARGE for side in ("ours", "by hand")]
SIDES += [(TINY, "torch", side) for side in ("ours", "torch")]


@pytest.mark.parametrize(("n", "peer", "side"), SIDES, ids=[f"{n} {side}" for n, _, side in SIDES])
@pytest.mark.parametrize("name", BY_HAND)
def test_op(benchmark: Any, name: str, n: int, peer: str, side: str) -> None:
    """One forward and backward pass."""
    benchmark.group = f"{name}, {n} elements"
    benchmark.pedantic(steps(name, n, peer)[side], rounds=20, iterations=5, warmup_rounds=2)
