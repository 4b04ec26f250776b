"""What transformers are built of: attention with several heads, the encoder's layer, and positions.

    head_i = attention(query W_i, key U_i, value V_i),  out = (head_1 ... head_H side by side) W
    layer:   x = norm(x + attention(x, x, x)),  x = norm(x + W_2 f(W_1 x))     or each norm before what it serves

Attention knows no order: positions, added to the embedded tokens, are what tells one place from another.

In the shapes B is the batch, L the number of queries, S that of keys, T the time where these are one, E or C the
width, H the heads. Names, arguments, masks and states of the first two are torch's; torch has no positions.

Sources: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.2.2 (heads), 3.1 (layer) and 3.5
(sinusoids); R. Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020, for `norm_first`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import (
    Tensor,
    chunk,
    from_numpy,
    masked_fill,
    matmul,
    mean,
    permute,
    reshape,
    unflatten,
    unsqueeze,
    zeros,
)
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.attention import _causal, attention_weights
from tinygrad_edu.nn.layers import Dropout, Linear
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.nn.normalization import LayerNorm
from tinygrad_edu.ops.op import check_same_backend

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


def _check_sizes(module: Any, **sizes: Any) -> None:
    for name, n in sizes.items():
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"{type(module).__name__}: expected {name} to be an int > 0, got {n!r}")


class MultiheadAttention(Module):
    """Attention in H ways at once: query (L, B, E), key (S, B, kdim), value (S, B, vdim) -> (L, B, E), and weights.

    With `batch_first` B comes first; without a batch it is left out. In training, `dropout` zeroes weights.

    `in_proj_weight` (3 E, E), what makes queries, keys and values one below the other, begins as Xavier's, and so do
    `q_proj_weight` (E, E), `k_proj_weight` (E, kdim), `v_proj_weight` (E, vdim) in its place where kdim or vdim is not
    E; biases begin as zeros. ValueError for torch's `add_bias_kv` and `add_zero_attn`, which are not supported.

    >>> import tinygrad_edu as tg
    >>> x = tg.zeros(5, 2, 8)
    >>> out, weights = MultiheadAttention(8, num_heads=2)(x, x, x)
    >>> out.shape, weights.shape
    ((5, 2, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        E, self.kdim, self.vdim = embed_dim, embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        _check_sizes(self, embed_dim=E, num_heads=num_heads, kdim=self.kdim, vdim=self.vdim)
        if E % num_heads:
            raise ValueError(f"MultiheadAttention: expected num_heads to divide embed_dim, got {num_heads} and {E}")
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"MultiheadAttention: expected a probability between 0 and 1, got dropout={dropout}")
        for name, wanted in (("add_bias_kv", add_bias_kv), ("add_zero_attn", add_zero_attn)):
            if wanted:
                raise ValueError(f"MultiheadAttention: expected {name}=False, got {wanted!r}; it is not supported")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = E, num_heads, float(dropout), batch_first
        shapes = {"q_proj_weight": (E, E), "k_proj_weight": (E, self.kdim), "v_proj_weight": (E, self.vdim)}
        for name, shape in ({"in_proj_weight": (3 * E, E)} if self.kdim == self.vdim == E else shapes).items():
            setattr(self, name, Parameter(init.xavier_uniform_(zeros(shape))))
        self.in_proj_bias = Parameter(zeros(3 * E)) if bias else None
        self.out_proj = Linear(E, E, bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def _check(self, *tensors: Tensor) -> None:
        """ValueError unless the shapes are those of query, key and value."""
        check_same_backend("MultiheadAttention", tensors)
        sizes = (self.embed_dim, self.kdim, self.vdim)
        (q, k, v), batch = [x.shape for x in tensors], slice(0, 1) if self.batch_first else slice(1, 2)
        fits = (q[-1:], k[-1:], v[-1:]) == tuple([(n,) for n in sizes]) and len(q) == len(k)
        if not fits or len(q) not in (2, 3) or k[:-1] != v[:-1] or (len(q) == 3 and q[batch] != k[batch]):
            letters = zip("LSS", sizes, strict=True)
            layout = "(B, {}, {})" if self.batch_first else "({}, B, {})"
            expected = ", ".join([layout.format(*pair) for pair in letters])
            raise ValueError(f"MultiheadAttention: expected {expected}, or all without B, got {q}, {k}, {v}")

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of all heads side by side: (..., E) each, laid out as they came."""
        weight, bias = getattr(self, "in_proj_weight", None), self.in_proj_bias
        if weight is not None and query is key is value:
            return chunk(F.linear(query, weight, bias), 3, -1)
        weights = [getattr(self, f"{x}_proj_weight") for x in "qkv"] if weight is None else chunk(weight, 3)
        biases = [None] * 3 if bias is None else chunk(bias, 3)
        return tuple([F.linear(*each) for each in zip((query, key, value), weights, biases, strict=True)])

    def _heads(self, x: Tensor) -> Tensor:
        """(T, B, E), (B, T, E) or (T, E) -> (B, H, T, E / H)."""
        each = unflatten(x, -1, (self.num_heads, -1))
        if x.ndim == 2:
            return permute(unsqueeze(each, 0), 0, 2, 1, 3)
        return permute(each, 0, 2, 1, 3) if self.batch_first else permute(each, 1, 2, 0, 3)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """What the heads found, of the query's shape, and if `need_weights` their weights, else None.

        Weights are (B, L, S), the mean over heads, or (B, H, L, S) if not `average_attn_weights`. Unless wanted
        they need not be formed, which saves time and memory.

        Masks are bool, True for what is *not* to be seen (`scaled_dot_product_attention` has it the other way round),
        or are added to the scores: `key_padding_mask` (B, S) or (S,), `attn_mask` (L, S) or (B H, L, S). With
        `is_causal` query i sees the keys 0 to i, and of these what the masks leave; torch wants that triangle as
        `attn_mask` too, we do not. A query that may see nothing finds 0 (torch: NaN, if weights are wanted).
        ValueError and TypeError for shapes and dtypes that do not fit.
        """
        self._check(query, key, value)
        q, k, v = [self._heads(x) for x in self._projected(query, key, value)]  # (B, H, L or S, E / H)
        batched = query.ndim == 3
        mask = _mask(q, k, key_padding_mask, attn_mask, is_causal, batched)
        causal, dropout_p = is_causal and mask is None, self.dropout if self.training else 0.0
        shown = None
        if need_weights:
            weights = F.dropout(attention_weights(q, k, mask, causal), dropout_p)  # (B, H, L, S)
            out = matmul(weights, v)
            shown = mean(weights, 1) if average_attn_weights else weights
            shown = shown if batched else shown[0]
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask, dropout_p, causal)
        out = permute(out, 2, 0, 1, 3) if batched and not self.batch_first else permute(out, 0, 2, 1, 3)
        return self.out_proj(reshape(out, query.shape)), shown


def _mask(
    q: Tensor, k: Tensor, padding: Tensor | None, mask: Tensor | None, is_causal: bool, batched: bool
) -> Tensor | None:
    """All masks as one that broadcasts to (B, H, L, S): bool, True for what is seen, or to be added. None if none is.

    With no other mask `is_causal` is left out, since attention does it faster without one.
    """
    (B, H, L, _), S = q.shape, k.shape[2]
    masks = []
    if padding is not None:
        _check_mask("key_padding_mask", padding, q, [(B, S) if batched else (S,)])
        masks.append(reshape(padding, B, 1, 1, S))
    if mask is not None:
        _check_mask("attn_mask", mask, q, [(L, S), (B * H, L, S)])
        masks.append(mask if mask.ndim == 2 else reshape(mask, B, H, L, S))
    if is_causal and masks:
        masks.append(~_causal(q.backend, L, S))
    hidden = added = None
    for m in masks:
        if m.dtype.kind == "b":
            hidden = m if hidden is None else hidden | m
        else:
            added = m if added is None else added + m
    if added is None or hidden is None:
        return added if hidden is None else ~hidden
    return masked_fill(added, hidden, -math.inf)


def _check_mask(name: str, mask: Tensor, q: Tensor, shapes: list[tuple[int, ...]]) -> None:
    check_same_backend("MultiheadAttention", (q, mask))
    if mask.dtype.kind != "b" and mask.dtype != q.dtype:
        raise TypeError(f"MultiheadAttention: expected {name} of bool or {q.dtype}, got {mask.dtype}")
    if mask.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"MultiheadAttention: expected {name} of shape {expected}, got {mask.shape}")


class TransformerEncoderLayer(Module):
    """Attention to itself, and two linear layers for each place, both added to what came: (T, B, C), unchanged.

    With `batch_first` (B, T, C); without a batch (T, C). `activation` is "relu", "gelu" or a function. In training
    `dropout` acts on weights of attention, between the linear layers, and on what is added. ValueError for sizes that
    do not fit.

    >>> import tinygrad_edu as tg
    >>> TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)(tg.zeros(2, 5, 8)).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        if isinstance(activation, str) and activation not in _ACTIVATIONS:
            raise ValueError(f"TransformerEncoderLayer: expected activation 'relu' or 'gelu', got {activation!r}")
        _check_sizes(self, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """(T, B, C), (B, T, C) or (T, C), unchanged; masks are those of `MultiheadAttention`."""

        def attended(x: Tensor) -> Tensor:
            out, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout1(out)

        def fed(x: Tensor) -> Tensor:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            x = src + attended(self.norm1(src))
            return x + fed(self.norm2(x))
        x = self.norm1(src + attended(src))
        return self.norm2(x + fed(x))


class _Positions(Module):
    """Base: a vector for each place of a sequence, `table` (max_len, d_model), added to what stands there."""

    table: Tensor

    def __init__(self, max_len: int, d_model: int) -> None:
        _check_sizes(self, max_len=max_len, d_model=d_model)
        self.max_len, self.d_model = max_len, d_model

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C), T at most `max_len`. ValueError for a longer sequence or another shape."""
        name = type(self).__name__
        if x.ndim != 3 or x.shape[2] != self.d_model:
            raise ValueError(f"{name}: expected (B, T, C), C = {self.d_model}, got {x.shape}")
        if x.shape[1] > self.max_len:
            raise ValueError(f"{name}: expected a sequence of at most max_len = {self.max_len}, got {x.shape[1]}")
        return x + self.table[: x.shape[1]]

    def extra_repr(self) -> str:
        return f"max_len={self.max_len}, d_model={self.d_model}"


class SinusoidalPositions(_Positions):
    """Fixed positions, added: sin(t / 10000^(2 i / C)) to feature 2 i of place t, the cosine of the same to 2 i + 1.

    Each pair of features turns at a pace of its own, from one turn in 2 pi places to one in 10000 times as many, so
    that places a fixed distance apart differ by the same rotation wherever they are.
    """

    def __init__(self, d_model: int, max_len: int) -> None:
        super().__init__(max_len, d_model)
        angle = np.arange(max_len)[:, None] / 10000.0 ** (np.arange(0, d_model, 2) / d_model)  # (max_len, C / 2)
        waves = np.stack([np.sin(angle), np.cos(angle)], 2).reshape(max_len, -1)[:, :d_model]  # an odd C lacks a cosine
        self.register_buffer("table", from_numpy(np.ascontiguousarray(waves, np.float32)))


class LearnedPositions(_Positions):
    """Positions that are trained, added; `table` begins normal with standard deviation 0.02, as GPT-2's."""

    def __init__(self, max_len: int, d_model: int) -> None:
        super().__init__(max_len, d_model)
        self.table = Parameter(init.normal_(zeros(max_len, d_model), std=0.02))
