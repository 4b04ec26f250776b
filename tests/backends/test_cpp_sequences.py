"""The kernels of recurrent layers, attention and norms: shapes of several blocks against the bodies, threads, refusals.

Small shapes, layouts and special values are in the table of cases, which tinygrad_edu/testing/test_kernels.py runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import registry
from tinygrad_edu.testing.compare import Ours, compare, trace
from tinygrad_edu.testing.test_kernels import WithoutKernels

RNG = np.random.default_rng(0)
SIDES = 6  # random shapes of each kind


@pytest.fixture(scope="module")
def cpp() -> Any:
    """The backend."""
    return registry.backend("cpp")


@pytest.fixture
def threads(cpp: Any) -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, and puts it back in the end."""
    before = cpp.kernels.threads()
    yield cpp.kernels.set_threads
    cpp.kernels.set_threads(before)


def uniform(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.uniform(-0.6, 0.6, shape).astype(dtype)


def against_body(cpp: Any, f: Callable[..., Any], inputs: list[np.ndarray]) -> None:
    """Values and first gradients by kernel are those of the body."""
    with_kernel, with_body = (trace(Ours(b), f, inputs, 1) for b in (cpp, WithoutKernels(cpp)))
    compare(with_kernel, with_body, "the body")


def layer_inputs(gates: int, states: int, T: int, B: int, D: int, H: int, dtype: str = "float64") -> list[np.ndarray]:
    shapes = [(T, B, D), *[(B, H)] * states, (gates * H, D), (gates * H, H), (gates * H,), (gates * H,)]
    return [uniform(*shape, dtype=dtype) for shape in shapes]


LAYERS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "rnn": (F.rnn, 1, 1),
    "lstm": (F.lstm, 4, 2),
    "gru": (F.gru, 3, 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_random_shapes(cpp: Any, name: str, dtype: str) -> None:
    """Batches from one sample to several blocks, with a last one that is nearly full or nearly empty."""
    f, gates, states = LAYERS[name]
    for T, B, D, H in [(5, 33, 20, 35), *RNG.integers(1, (20, 40, 30, 40), (SIDES, 4)).tolist()]:
        against_body(cpp, f, layer_inputs(gates, states, T, B, D, H, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", [{}, {"is_causal": True}, {"scale": 1.3}], ids=str)
def test_attention_of_random_shapes(cpp: Any, settings: dict[str, Any], dtype: str) -> None:
    for B, L, S, E, V in [
        (1, 70, 130, 20, 33),
        (9, 33, 65, 16, 32),
        *RNG.integers(1, (4, 150, 150, 40, 40), (SIDES, 5)),
    ]:
        inputs = [uniform(B, L, E, dtype=dtype), uniform(B, S, E, dtype=dtype), uniform(B, S, V, dtype=dtype)]
        against_body(cpp, lambda *x: F.scaled_dot_product_attention(*x, **settings), inputs)


@pytest.mark.parametrize("kind", ["bool", "float64"])
def test_attention_with_a_mask_of_random_shapes(cpp: Any, kind: str) -> None:
    for H, L, S in RNG.integers(1, (4, 100, 100), (SIDES, 3)).tolist():
        inputs = [uniform(2, H, L, 8), uniform(2, H, S, 8), uniform(2, H, S, 8)]
        mask = RNG.random((2, 1, L, S)) < 0.5
        mask[:, :, ::7] = False  # rows in which nothing counts
        given = mask if kind == "bool" else np.where(mask, uniform(2, 1, L, S), -np.inf)
        against_body(
            cpp,
            lambda q, k, v, given=given: F.scaled_dot_product_attention(
                q, k, v, tg.Tensor(q.backend.from_numpy(given), q.backend)
            ),
            inputs,
        )


def test_attention_keeps_no_matrix_of_weights(cpp: Any) -> None:
    q = uniform(1, 1, 512, 8)
    _, saved = cpp.kernels.scaled_dot_product_attention(q, q, q, is_causal=False, scale=1.0)
    assert sum(a.nbytes for a in saved if isinstance(a, np.ndarray)) < 512 * 512 * 8 / 10


def test_heads_beside_each_other_in_memory_come_out_so(cpp: Any) -> None:
    """(B, T, H, D) seen as (B, H, T, D): result and gradients have that memory, so that going back copies nothing."""
    q, k, v = (uniform(2, 40, 3, 8).transpose(0, 2, 1, 3) for _ in range(3))
    out, saved = cpp.kernels.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
    gradients = cpp.kernels.scaled_dot_product_attention_vjp(saved, out, (True, True, True))
    assert all(a.transpose(0, 2, 1, 3).flags.c_contiguous for a in (out, *gradients))


@pytest.mark.parametrize(
    ("name", "inputs", "settings"),
    [
        ("rnn", layer_inputs(1, 1, 20, 40, 30, 64, "float32"), {}),
        ("lstm", layer_inputs(4, 2, 20, 40, 30, 64, "float32"), {}),
        ("lstm", layer_inputs(4, 2, 20, 1, 200, 200, "float32"), {}),
        ("gru", layer_inputs(3, 1, 9, 12, 150, 150, "float32"), {}),
        ("gru", layer_inputs(3, 1, 9, 300, 20, 32, "float32"), {}),
        ("scaled_dot_product_attention", [uniform(9, 100, 32)] * 3, {"is_causal": True, "scale": 0.2}),
        ("scaled_dot_product_attention", [uniform(2, 300, 32)] * 3, {"is_causal": False, "scale": 0.2}),
        ("layer_norm", [uniform(500, 200), uniform(200), uniform(200)], {"dims": 1, "eps": 1e-5}),
        ("rms_norm", [uniform(500, 200), uniform(200)], {"dims": 1, "eps": 1e-5}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_threads_do_not_change_a_bit(
    cpp: Any, threads: Callable[[int], None], name: str, inputs: list[np.ndarray], settings: dict[str, Any]
) -> None:
    found = []
    for count in (1, 2, 3):
        threads(count)
        out, saved = getattr(cpp.kernels, name)(*inputs, **settings)
        g = np.random.default_rng(1).standard_normal(out.shape).astype(out.dtype)
        found.append([out, *getattr(cpp.kernels, f"{name}_vjp")(saved, g, (True,) * len(inputs))])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


X = [np.ones(s) for s in ((3, 2, 4), (2, 5), (2, 5), (20, 4), (20, 5))]
MISTAKES: list[tuple[type[Exception], Callable[[Any], Any], str]] = [
    (TypeError, lambda k: k.lstm(*X[:4], np.ones((20, 5), "f")), "lstm: expected w_hh of float64, got float32"),
    (
        ValueError,
        lambda k: k.lstm(*X[:1], np.ones((3, 5)), *X[2:]),
        r"lstm: expected h0 of shape \(2, any\), got \(3, 5\)",
    ),
    (ValueError, lambda k: k.gru(*X[:2], *X[3:]), r"gru: expected w_ih of shape \(15, 4\), got \(20, 4\)"),
    (ValueError, lambda k: k.rnn(*X[:2], nonlinearity="sin"), "rnn: expected nonlinearity 'tanh' or 'relu', got 'sin'"),
    (ValueError, lambda k: k.rnn(X[1], X[1], nonlinearity="tanh"), r"rnn: expected x of shape \(T, B, D\), T > 0, got"),
    (
        ValueError,
        lambda k: k.scaled_dot_product_attention(X[1], X[0], X[0], is_causal=False, scale=1.0),
        r"scaled_dot_product_attention: expected key of shape \(2, 5\), got \(3, 2, 4\)",
    ),
    (
        TypeError,
        lambda k: k.scaled_dot_product_attention(X[1], X[1], X[1].astype("f"), is_causal=False, scale=1.0),
        "scaled_dot_product_attention: expected value of float64, got float32",
    ),
    (TypeError, lambda k: k.layer_norm([1.0], dims=1, eps=0.1), "layer_norm: expected input to be a NumPy array, got"),
    (
        ValueError,
        lambda k: k.layer_norm(X[1], X[0], dims=1, eps=0.1),
        "layer_norm: expected weight of shape 5 numbers,",
    ),
]


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES, ids=[m[2][:20] for m in MISTAKES])
def test_mistakes(cpp: Any, kind: type[Exception], mistake: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake(cpp.kernels)
