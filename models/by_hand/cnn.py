"""A convolutional network in plain NumPy: its operations as loops, then vectorised with backward passes by hand.

Notation: B pictures x (B, C, H, W) of C channels; O kernels w (O, C, K, K) with biases b (O,); x̂ is x within a frame
of `padding` zeros. Indices: n a picture, o a kernel, c a channel, i and j a place in the result, p and q one in the
window. For a scalar loss L, g is ∂L/∂out and gx is ∂L/∂x, of the shapes of out and x.

    out[n,o,i,j] = b[o] + Σ_cpq x̂[n,c,i+p,j+q] w[o,c,p,q]        H' = H + 2 padding - K + 1 rows, W' columns likewise

Sources: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II; K. Chellapilla,
S. Puri, P. Simard, "High performance convolutional neural networks for document processing", 2006 (one product).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu.models.by_hand.mlp import Array, Network


def conv2d_loops(x: Array, w: Array, b: Array, padding: int = 0) -> Array:
    """The convolution as its formula reads: (B, C, H, W), (O, C, K, K), (O,) -> (B, O, H', W').

    ValueError for arrays that do not belong together, and for kernels larger than the padded pictures.
    """
    _check_conv(x, w, b, padding)
    x = _padded(x, padding)
    B, _, H, W = x.shape
    O, _, K, _ = w.shape
    out = np.empty((B, O, H - K + 1, W - K + 1), np.result_type(x, w, b))
    for n, o, i, j in np.ndindex(out.shape):
        total = b[o]
        for c, p, q in np.ndindex(w.shape[1:]):
            total += x[n, c, i + p, j + q] * w[o, c, p, q]
        out[n, o, i, j] = total
    return out


def max_pool2d_loops(x: Array, size: int = 2) -> Array:
    """The largest of each window of size × size: (B, C, H, W) -> (B, C, H // size, W // size).

    The windows do not overlap; rows and columns left over are dropped. ValueError for windows larger than the pictures.
    """
    out = np.empty((*x.shape[:2], *_counts(x, size)), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        largest = x[n, c, i * size, j * size]
        for p, q in np.ndindex(size, size):
            largest = np.maximum(largest, x[n, c, i * size + p, j * size + q])  # unlike Python's max: NaN stays NaN
        out[n, c, i, j] = largest
    return out


def conv2d(x: Array, w: Array, b: Array, padding: int = 0) -> Array:
    """The same as `conv2d_loops`: all windows as the columns of one matrix, all kernels as the rows of another.

    The matrix of the windows, (C K K, B H' W'), holds each pixel up to K K times: speed paid for with memory.
    """
    _check_conv(x, w, b, padding)
    windows = sliding_window_view(_padded(x, padding), w.shape[2:], axis=(2, 3))  # a view, (B, C, H', W', K, K)
    out = np.tensordot(w, windows, axes=((1, 2, 3), (1, 4, 5)))  # the sum over c, p, q: (O, B, H', W')
    return out.swapaxes(0, 1) + b[:, None, None]


def conv2d_backward(g: Array, x: Array, w: Array, padding: int = 0) -> tuple[Array, Array, Array]:
    """The gradients gx, gw, gb of `conv2d`, given that of its result, (B, O, H', W').

    In the formula above, out[n,o,i,j] has b[o] with factor 1 and w[o,c,p,q] with factor x̂[n,c,i+p,j+q]; summed over
    all results that one bias or weight is part of:

        ∂L/∂b[o]       = Σ_nij g[n,o,i,j]
        ∂L/∂w[o,c,p,q] = Σ_nij g[n,o,i,j] x̂[n,c,i+p,j+q]

    The other way round, the pixel at n, c, i+p, j+q is part of out[n,o,i,j] with factor w[o,c,p,q], for every o and for
    all places i, j and p, q that add up to where it is:

        ∂L/∂x̂[n,c,r,s] = Σ_pq Σ_o g[n,o,r-p,s-q] w[o,c,p,q]        g being 0 beyond its edges

    The inner sums are one matrix product; the outer one adds its result up, K K times, each time moved by p, q. gx is
    what lies within the frame.
    """
    (H, W), K = x.shape[2:], w.shape[2]
    windows = sliding_window_view(_padded(x, padding), (K, K), axis=(2, 3))  # (B, C, H', W', K, K)
    gw = np.tensordot(windows, g, axes=((0, 2, 3), (0, 2, 3)))  # the sum over n, i, j: (C, K, K, O)
    products = np.tensordot(w, g, axes=(0, 1))  # the sum over o: (C, K, K, B, H', W')
    gx = _padded(np.zeros_like(x), padding)
    for p, q in np.ndindex(K, K):
        gx[:, :, p : p + g.shape[2], q : q + g.shape[3]] += products[:, p, q].swapaxes(0, 1)
    return gx[:, :, padding : padding + H, padding : padding + W], np.moveaxis(gw, 3, 0), g.sum(axis=(0, 2, 3))


def max_pool2d(x: Array, size: int = 2) -> Array:
    """The same as `max_pool2d_loops`."""
    return _tiles(x, size).max(axis=0)


def max_pool2d_backward(g: Array, x: Array, size: int = 2) -> Array:
    """The gradient gx of `max_pool2d`, given that of its result, (B, C, H // size, W // size).

    out[n,c,i,j] = max_pq x[n,c,size i + p,size j + q] grows with its largest pixel, and while that stays the largest,
    with no other. A pixel is in one window at most, so there is nothing to sum:

        ∂L/∂x[n,c,size i + p,size j + q] = g[n,c,i,j] where p, q is the place of the window's largest, else 0

    Of equal ones the first is taken, row by row, as torch does; of several NaN, too, where torch takes the last.
    """
    tiles = _tiles(x, size)
    if g.shape != tiles.shape[1:]:
        raise ValueError(f"max_pool2d_backward: expected g of shape {tiles.shape[1:]}, got {g.shape}")
    p, q = np.divmod(tiles.argmax(axis=0), size)  # (B, C, H // size, W // size) each
    n, c, i, j = np.ix_(*map(range, g.shape))
    gx = np.zeros_like(x)
    gx[n, c, size * i + p, size * j + q] = g
    return gx


class CNN(Network):
    """The network of `models/lenet.py`: twice convolution, ReLU, max-pool; three linear layers with ReLU between them.

    Its state: `weights` [(O, C, K, K), (P, O, M, M), (Q, P s s), (R, Q), (classes, R)], s being the side of the last
    feature maps, and `biases` [(O,), (P,), (Q,), (R,), (classes,)]. `paddings` are those of the two convolutions.
    ValueError where a layer would not take what the one before it gives.
    """

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], paddings: tuple[int, int]) -> None:
        super().__init__(weights, biases)
        self.paddings = paddings
        shapes: list[Any] = [W.shape for W in self.weights]
        lengths = [b.shape for b in self.biases]
        fit = [len(shape) for shape in shapes] == [4, 4, 2, 2, 2] and lengths == [shape[:1] for shape in shapes]
        if fit:
            (O, C, K, _), (P, _, M, _), (Q, features), (R, _), (classes, _) = shapes
            s = isqrt(features // P)
            fit = shapes == [(O, C, K, K), (P, O, M, M), (Q, P * s * s), (R, Q), (classes, R)]
        if not fit:
            raise ValueError(
                "CNN: expected weights (O, C, K, K), (P, O, M, M), (Q, P s s), (R, Q), (classes, R) and their biases "
                f"(O,), (P,), ..., got {shapes} and {lengths}"
            )
        least = 2 * (2 * s + M - 1 - 2 * paddings[1]) + K - 1 - 2 * paddings[0]
        self.sizes = range(least, least + 4)  # the two pools drop what is left over: up to 3 pixels
        self.channels, self.maps = C, (P, s, s)
        self._inputs: list[Array] = []  # of each layer, kept by `forward` for `backward`
        self._rectified: list[Array] = []  # what the pools were given

    def forward(self, x: Array) -> Array:
        """(B, C, S, S) -> logits (B, classes). ValueError for pictures of another kind or size."""
        if x.ndim != 4 or x.shape[1] != self.channels or x.shape[2] != x.shape[3] or x.shape[2] not in self.sizes:
            raise ValueError(
                f"CNN: expected pictures (B, {self.channels}, S, S) with S in {self.sizes[0]}..{self.sizes[-1]}, "
                f"got {x.shape}"
            )
        self._inputs, self._rectified = [], []
        a = x
        for i in (0, 1):
            self._inputs.append(a)
            self._rectified.append(np.maximum(conv2d(a, self.weights[i], self.biases[i], self.paddings[i]), 0.0))
            a = max_pool2d(self._rectified[i])
        a = a.reshape(len(x), self.weights[2].shape[1])  # (B, P s s)
        for i in (2, 3, 4):
            self._inputs.append(a)
            z = a @ self.weights[i].T + self.biases[i]
            a = np.maximum(z, 0.0) if i < 4 else z
        return a

    def backward(self, g: Array) -> list[tuple[Array, Array]]:
        """The gradients [(g_W, g_b), ...] of every layer, given that of the logits, (B, classes). Call `forward` first.

        The linear layers are those of `MLP.backward`; a ReLU lets pass where its result is above 0.
        """
        gradients: list[tuple[Array, Array]] = []
        for i in (4, 3, 2):
            a = self._inputs[i]
            gradients.append((g.T @ a, g.sum(axis=0)))
            g = (g @ self.weights[i]) * (a > 0.0)  # at i = 2 this blocks what the ReLU below would block, too
        g = g.reshape(len(g), *self.maps)  # (B, P, s, s)
        for i in (1, 0):
            a = self._rectified[i]
            g = max_pool2d_backward(g, a) * (a > 0.0)
            g, gw, gb = conv2d_backward(g, self._inputs[i], self.weights[i], self.paddings[i])
            gradients.append((gw, gb))
        return gradients[::-1]


def _check_conv(x: Array, w: Array, b: Array, padding: int) -> None:
    if x.ndim != 4 or w.ndim != 4 or w.shape[1:] != (x.shape[1], w.shape[2], w.shape[2]) or b.shape != w.shape[:1]:
        raise ValueError(
            f"conv2d: expected x (B, C, H, W), w (O, C, K, K) and b (O,), got {x.shape}, {w.shape} and {b.shape}"
        )
    H, W = x.shape[2] + 2 * padding, x.shape[3] + 2 * padding
    if not 1 <= w.shape[2] <= min(H, W):
        raise ValueError(f"conv2d: expected kernels of at most {(H, W)}, the padded pictures' size, got {w.shape[2:]}")


def _padded(x: Array, padding: int) -> Array:
    """x within a frame of zeros: (B, C, H + 2 padding, W + 2 padding)."""
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def _tiles(x: Array, size: int) -> Array:
    """The windows side by side: their first pixels, their second ones, ...: (size², B, C, H // size, W // size)."""
    rows, columns = _counts(x, size)
    return np.stack([x[:, :, p::size, q::size][:, :, :rows, :columns] for p, q in np.ndindex(size, size)])


def _counts(x: Array, size: int) -> tuple[int, int]:
    """How many windows fit one below the other, and side by side. ValueError if none does."""
    if x.ndim != 4 or not 1 <= size <= min(x.shape[2:]):
        raise ValueError(f"max_pool2d: expected x (B, C, H, W), H and W at least the window's {size}, got {x.shape}")
    return x.shape[2] // size, x.shape[3] // size
