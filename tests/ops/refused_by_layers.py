"""What the functions behind layers refuse, as torch does: the part of test_refusals.py's calls that is theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CALLS: dict[str, Callable[[Any], Any]] = {
    # Models of sequences.
    "embedding: an index too large": lambda t: t.embedding(t.tensor([5]), t.ones(5, 2)),
    "embedding: a negative index": lambda t: t.embedding(t.tensor([-1]), t.ones(5, 2)),
    "embedding: a float index": lambda t: t.embedding(t.ones(2), t.ones(5, 2)),
    "layer_norm: another shape": lambda t: t.layer_norm(t.ones(2, 3), (2,)),
    "layer_norm: no shape": lambda t: t.layer_norm(t.ones(2, 3), ()),
    "layer_norm: weight": lambda t: t.layer_norm(t.ones(2, 3), (3,), t.ones(2)),
    "layer_norm: integers": lambda t: t.layer_norm(t.tensor([[1, 2]]), (2,)),
    "rms_norm: another shape": lambda t: t.rms_norm(t.ones(2, 3), (2,)),
    "rms_norm: weight": lambda t: t.rms_norm(t.ones(2, 3), (3,), t.ones(2)),
    "group_norm: channels": lambda t: t.group_norm(t.ones(2, 3), 2),
    "group_norm: weight": lambda t: t.group_norm(t.ones(2, 4), 2, t.ones(2)),
    "group_norm: a vector": lambda t: t.group_norm(t.ones(4), 2),
    "scaled_dot_product_attention: a vector": lambda t: t.scaled_dot_product_attention(
        t.ones(4), t.ones(3, 4), t.ones(3, 4)
    ),
    "scaled_dot_product_attention: sizes of query and key": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 5), t.ones(3, 4)
    ),
    "scaled_dot_product_attention: lengths of key and value": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4), t.ones(2, 4)
    ),
    "scaled_dot_product_attention: two dtypes": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4).double(), t.ones(3, 4)
    ),
    "scaled_dot_product_attention: mask": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4), t.ones(3, 4), t.ones(2, 3)
    ),
    "scaled_dot_product_attention: a mask of integers": lambda t: t.scaled_dot_product_attention(
        t.ones(3, 4), t.ones(3, 4), t.ones(3, 4), t.tensor([1, 1, 0])
    ),
    # Windows.
    "conv1d: two dimensions": lambda t: t.conv1d(t.ones(4, 5), t.ones(2, 3, 2)),
    "conv1d: channels": lambda t: t.conv1d(t.ones(2, 3, 5), t.ones(2, 2, 2)),
    "conv1d: two strides": lambda t: t.conv1d(t.ones(3, 5), t.ones(2, 3, 2), stride=(1, 2)),
    "conv1d: a kernel too large": lambda t: t.conv1d(t.ones(3, 5), t.ones(2, 3, 6)),
    "conv2d: one dimension": lambda t: t.conv2d(t.ones(5), t.ones(2, 3, 2, 2)),
    "conv2d: a flat weight": lambda t: t.conv2d(t.ones(3, 5, 5), t.ones(2, 3, 2)),
    "conv2d: channels": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 4, 2, 2)),
    "conv2d: channels, groups": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), groups=2),
    "conv2d: kernels, groups": lambda t: t.conv2d(t.ones(1, 4, 5, 5), t.ones(3, 2, 2, 2), groups=2),
    "conv2d: no groups": lambda t: t.conv2d(t.ones(1, 4, 5, 5), t.ones(3, 4, 2, 2), groups=0),
    "conv2d: bias": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), t.ones(3)),
    "conv2d: a kernel too large": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 6, 2)),
    "conv2d: a spread kernel too large": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 3, 3), dilation=3),
    "conv2d: an empty kernel": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 0, 2)),
    "conv2d: no stride": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), stride=0),
    "conv2d: three strides": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), stride=(1, 1, 1)),
    "conv2d: half a stride": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), stride=0.5),
    "conv2d: negative padding": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), padding=-1),
    "conv2d: unknown padding": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2), padding="full"),
    "conv2d: 'same' and a stride": lambda t: t.conv2d(t.ones(3, 5, 5), t.ones(2, 3, 2, 2), stride=2, padding="same"),
    "conv2d: two dtypes": lambda t: t.conv2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2).double()),
    "conv_transpose2d: channels": lambda t: t.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(2, 3, 2, 2)),
    "conv_transpose2d: bias": lambda t: t.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 2, 2, 2), t.ones(3)),
    "conv_transpose2d: too much output padding": lambda t: t.conv_transpose2d(
        t.ones(1, 3, 5, 5), t.ones(3, 2, 2, 2), stride=2, output_padding=2
    ),
    "conv_transpose2d: nothing left": lambda t: t.conv_transpose2d(t.ones(3, 1, 5), t.ones(3, 2, 2, 2), padding=1),
    "max_pool2d: two dimensions": lambda t: t.max_pool2d(t.ones(4, 4), 2),
    "max_pool2d: a kernel too large": lambda t: t.max_pool2d(t.ones(1, 4, 4), 5),
    "max_pool2d: too much padding": lambda t: t.max_pool2d(t.ones(1, 4, 4), 2, padding=2),
    "max_pool2d: an empty kernel": lambda t: t.max_pool2d(t.ones(1, 4, 4), 0),
    "avg_pool2d: two dimensions": lambda t: t.avg_pool2d(t.ones(4, 4), 2),
    "avg_pool2d: a kernel too large": lambda t: t.avg_pool2d(t.ones(1, 4, 4), 5),
    "avg_pool2d: too much padding": lambda t: t.avg_pool2d(t.ones(1, 4, 4), 2, padding=2),
    "avg_pool2d: a divisor of 0": lambda t: t.avg_pool2d(t.ones(1, 4, 4), 2, divisor_override=0),
    "adaptive_avg_pool2d: two dimensions": lambda t: t.adaptive_avg_pool2d(t.ones(4, 4), 2),
    "adaptive_avg_pool2d: three sizes": lambda t: t.adaptive_avg_pool2d(t.ones(1, 4, 4), (2, 2, 2)),
    "adaptive_avg_pool2d: nothing to average": lambda t: t.adaptive_avg_pool2d(t.ones(1, 0, 4), 2),
    "batch_norm: one value a channel": lambda t: t.batch_norm(t.ones(1, 3), None, None, training=True),
    "batch_norm: no statistics": lambda t: t.batch_norm(t.ones(2, 3), None, None),
    "batch_norm: features": lambda t: t.batch_norm(t.ones(2, 3), t.ones(2), t.ones(2)),
    "batch_norm: integers": lambda t: t.batch_norm(t.tensor([[1], [2]]), None, None, training=True),
}
