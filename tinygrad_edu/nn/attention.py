"""Attention: each query takes a mean of the values, weighted by how well their keys fit it.

    out = softmax(scale q k^T + mask) v           q (..., L, E), k (..., S, E), v (..., S, V) -> (..., L, V)

`scaled_dot_product_attention` is a fused op: its body below forms all L x S weights at once, a backend's kernel may do
it block by block and never hold them. Sources: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section
3.2.1; for kernels, T. Dao et al., "FlashAttention", NeurIPS 2022.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, amax, broadcast_shapes, eq, expand, matmul, no_grad, softmax, where
from tinygrad_edu.autograd import Value
from tinygrad_edu.nn.activations import dropout, number
from tinygrad_edu.ops.agree import check_float, check_same_dtype
from tinygrad_edu.ops.op import check_same_backend, fused

_NAME = "scaled_dot_product_attention"


def attention_weights(
    query: Any, key: Any, attn_mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> Any:
    """softmax(scale q k^T + mask): (..., L, E), (..., S, E) -> (..., L, S), each row summing to 1.

    The arguments are `scaled_dot_product_attention`'s, which checks them. A row in which everything is masked is all 0,
    as in torch: no key, no weight.
    """
    scores = matmul(query * _scale(query, scale), key.mT)
    mask = _causal(scores.backend, *scores.shape[-2:]) if is_causal else attn_mask
    if mask is None:
        return softmax(scores, -1)
    scores = where(mask, scores, -math.inf) if mask.dtype.kind == "b" else scores + mask
    if not scores.shape[-1]:
        return scores
    with no_grad():
        nothing = eq(amax(scores, -1, keepdim=True), -math.inf)
    return where(nothing, 0.0, softmax(where(nothing, 0.0, scores), -1))  # the inner one keeps NaN off the gradients


def _scale(query: Any, scale: float | None) -> float:
    """What scores are multiplied by: 1 / sqrt(E) unless given."""
    return 1.0 / math.sqrt(query.shape[-1] or 1) if scale is None else number(_NAME, "scale", scale)


def _causal(backend: Any, queries: int, keys: int) -> Any:
    """A mask that lets query i see the keys 0 to i: (L, S), bool."""
    return Value.kind(backend.from_numpy(np.tri(queries, keys, dtype=np.bool_)), backend)


def _nothing(*args: Any, **settings: Any) -> None:
    """`scaled_dot_product_attention` has checked all."""


@fused(_nothing)
def _scaled_dot_product_attention(query, key, value, mask=None, *, is_causal, scale):
    """(..., L, E), (..., S, E), (..., S, V) -> (..., L, V), leading dimensions being equal; mask (..., L, S)."""
    return matmul(attention_weights(query, key, mask, is_causal, scale), value)


def _check(query: Any, key: Any, value: Any, mask: Any, is_causal: bool) -> tuple[int, ...]:
    """The leading dimensions of the result."""
    check_same_backend(_NAME, (query, key, value, *([] if mask is None else [mask])))
    check_float(_NAME, query)
    check_same_dtype(_NAME, query, key, value)
    shapes = q, k, v = query.shape, key.shape, value.shape
    if min(map(len, shapes)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(f"{_NAME}: expected query (..., L, E), key (..., S, E), value (..., S, V), got {q}, {k}, {v}")
    lead = broadcast_shapes(_NAME, q[:-2], k[:-2], v[:-2])
    if mask is None:
        return lead
    if is_causal:
        raise ValueError(f"{_NAME}: expected attn_mask or is_causal, got both; put the triangle into the mask")
    if mask.dtype.kind != "b" and mask.dtype != query.dtype:
        raise TypeError(f"{_NAME}: expected attn_mask of bool or {query.dtype}, got {mask.dtype}")
    full = (*lead, q[-2], k[-2])
    if broadcast_shapes(_NAME, full, mask.shape) != full:
        raise ValueError(f"{_NAME}: expected attn_mask that broadcasts to {full}, got {mask.shape}")
    return lead


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale q k^T + mask) v: query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V).

    Leading dimensions broadcast. `attn_mask`, broadcast to (..., L, S), is bool (True: this key counts) or is added to
    the scores. With `is_causal` query i sees the keys 0 to i. `scale` is 1 / sqrt(E) unless given. Dropout is applied
    to the weights whenever `dropout_p` > 0: give 0 in evaluation. A row with every key masked gives zeros.
    ValueError for shapes that do not fit, or a mask beside `is_causal`.
    """
    lead = _check(query, key, value, attn_mask, is_causal)
    scale = _scale(query, scale)
    if dropout_p > 0.0:  # the weights are needed, to drop some of them
        return matmul(dropout(attention_weights(query, key, attn_mask, is_causal, scale), dropout_p), value)
    query, key, value = (x if x.shape[:-2] == lead else expand(x, *lead, *x.shape[-2:]) for x in (query, key, value))
    if attn_mask is not None and attn_mask.requires_grad:  # its gradient is as large as the weights: kernels have none
        return matmul(attention_weights(query, key, attn_mask, is_causal, scale), value)
    if attn_mask is not None:
        attn_mask = expand(attn_mask, *lead, query.shape[-2], key.shape[-2])
    return _scaled_dot_product_attention(query, key, value, attn_mask, is_causal=is_causal, scale=scale)
