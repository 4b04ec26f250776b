"""The elementwise benchmark: its three candidates compute the same, and it prints a line for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu.bench import elementwise


@pytest.fixture(autouse=True)
def _torch(needs: Any) -> None:
    """The peer must be there: in CI a missing one fails."""
    needs("torch")


@pytest.mark.parametrize("name", [*elementwise.CHAINS, *elementwise.ACTIVATIONS])
def test_candidates_compute_the_same(name: str) -> None:
    results = {who: step() for who, step in elementwise.steps(name, 1_000).items()}
    cpp, numpy, torch = (
        np.asarray((x[0] if isinstance(x, (list, tuple)) else x).numpy())
        for x in (results[k] for k in ("cpp", "numpy", "torch"))
    )
    if name == "dropout":  # each has dice of its own
        assert cpp.shape == numpy.shape == torch.shape
        return
    np.testing.assert_allclose(cpp, numpy, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cpp, torch, rtol=1e-5, atol=1e-6)


def test_main_prints_a_line_for_each_and_the_medians(capsys: pytest.CaptureFixture[str]) -> None:
    assert elementwise.main(["a * b + c", "relu", "--sizes", "100", "200", "--seconds", "0.01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 4 + 2
    assert lines[1].startswith("a * b + c")
    assert lines[3].startswith("relu")
    assert lines[-1].startswith("cpp / numpy: median")


def test_main_refuses_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        elementwise.main(["tahn"])
    assert "tahn" in capsys.readouterr().err
