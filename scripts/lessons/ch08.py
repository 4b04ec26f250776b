"""Chapter 8's lessons: a filter on a picture, a network that learns its filters, one that remembers, one that looks up.

Sources: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998;
J. Elman, "Finding Structure in Time", 1990; A. Vaswani et al., "Attention Is All You Need", 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, islice, zip_longest

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import data, optim
from tinygrad_edu.models.by_hand.attention import Attention, attend
from tinygrad_edu.models.by_hand.cnn import conv2d, conv2d_loops, max_pool2d, max_pool2d_loops
from tinygrad_edu.models.by_hand.rnn import RNN, MinCharRNN, cross_entropy
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.scripts.lessons import ch08_sequences as seq

# Lesson 8.1: a picture whose left half is bright, and a filter that answers where it gets darker to the right.
PICTURE = np.array([[10.0] * 4 + [0.0] * 4] * 6)  # (6, 8)
FILTER = np.array([[1.0, 0.0, -1.0]] * 3)  # (3, 3)
WINDOW = (1, 2)  # row and column of the window that is written out

Results = dict[str, tuple[np.ndarray, np.ndarray]]


def filter_by_hand() -> None:
    """A 2-D convolution and a max-pool: a filter applied to an array by hand.

    The filter finds an upright edge. First one window term by term; then all of them, as loops, as one matrix product
    (both in `models/by_hand/cnn.py`) and on the Tensor.
    """
    (i, j), K = WINDOW, len(FILTER)
    print("The picture x (6, 8), bright on the left, and the filter w (3, 3): its left column less its right one.\n")
    print(side_by_side({"x": PICTURE, "w": FILTER}))
    print(f"\nThe window of x whose corner is in row {i}, column {j} (counted from 0), times w, place by place:\n")
    print(terms(PICTURE[i : i + K, j : j + K], FILTER))
    found = three_ways(PICTURE[None, None], FILTER[None, None])
    print("\nConvolution: such a sum for each of the 4 x 6 places that the filter fits on.\n")
    print(side_by_side({name: convolved[0, 0] for name, (convolved, _) in found.items()}))
    print("\nMax-pool: the largest number of each 2 x 2 of them.\n")
    print(side_by_side({name: pooled[0, 0] for name, (_, pooled) in found.items()}))
    print(
        "\nThe sum is 0 where a window is all bright or all dark, and 30 where it lies across the edge. The pool has a"
    )
    print("quarter of the numbers left: it still says that there is an edge, and where, but only to within two pixels.")
    print(f"\nLargest difference between two of the three ways: {largest_difference(found):g}")


def three_ways(x: np.ndarray, w: np.ndarray) -> Results:
    """The convolution of pictures with kernels, and the 2 × 2 max-pool of that, by the name of the way.

    (B, C, H, W), (O, C, K, K) -> (B, O, H - K + 1, W - K + 1) and half as many rows and columns.
    """
    b = np.zeros(len(w))
    looped, multiplied, tensor = conv2d_loops(x, w, b), conv2d(x, w, b), F.conv2d(tg.tensor(x), tg.tensor(w))
    return {
        "loops": (looped, max_pool2d_loops(looped)),
        "one matrix product": (multiplied, max_pool2d(multiplied)),
        "Tensor": (tensor.numpy(), F.max_pool2d(tensor, 2).numpy()),
    }


def largest_difference(found: Results) -> float:
    """The largest difference between two numbers of the same place that were found in different ways."""
    pairs = [pair for two in combinations(found.values(), 2) for pair in zip(*two, strict=True)]
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)


def terms(window: np.ndarray, w: np.ndarray) -> str:
    """The sum of all products of a window and a filter, both (K, K): a line a row, and one for the sum of these."""
    products = [[f"{shown(a)}·{shown(b)}" for a, b in zip(*rows, strict=True)] for rows in zip(window, w, strict=True)]
    sums = (window * w).sum(axis=1) + 0.0  # makes -0 a plain 0
    lines = [f"  {' + '.join(row)} = {total:g}" for row, total in zip(products, sums, strict=True)]
    return "\n".join([*lines, f"  {' + '.join(map(shown, sums))} = {sums.sum():g}"])


def shown(value: float) -> str:
    """The number as a part of a sum or product, in brackets if it has a sign."""
    return f"{value:g}" if value >= 0 else f"({value:g})"


def side_by_side(arrays: Mapping[str, np.ndarray]) -> str:
    """Arrays (rows, columns) under their names, each to the right of the one before; the last one may be lower."""
    blocks = []
    for name, array in arrays.items():
        cells = [[f"{value + 0.0:g}" for value in row] for row in array]  # + 0.0: no -0
        width = max(len(cell) for row in cells for cell in row)
        lines = [name, *(" ".join(f"{cell:>{width}}" for cell in row) for row in cells)]
        blocks.append([f"{line:<{max(map(len, lines))}}" for line in lines])
    return "\n".join(f"  {'     '.join(row)}".rstrip() for row in zip_longest(*blocks, fillvalue=""))


def cifar10() -> None:
    """A CNN on CIFAR-10: LeNet sees 10000 photographs once, and is judged class by class.

    The photographs are downloaded if they are not in the folder TINYGRAD_EDU_DATA. Where the C++ kernels are built,
    TINYGRAD_EDU_BACKEND=cpp makes it several times faster.
    """
    train_and_judge(data.load("cifar10"))


def train_and_judge(dataset: data.Dataset) -> None:
    """Train LeNet for one epoch of a dataset of pictures (N, C, S, S), and print how it does on the test pictures."""
    (x, y), (test_x, test_y), classes = dataset.train, dataset.test, dataset.classes
    mean, std = x.mean(), x.std()  # of the training pictures alone: the others are not known yet
    tg.manual_seed(0)
    model = LeNet(channels=x.shape[1], size=x.shape[2], classes=len(classes))
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader = data.DataLoader((x - mean) / std, y, batch_size=32)
    weights = sum(p.numel() for p in model.parameters())
    print(f"LeNet, {weights} weights, sees {len(x)} pictures {x.shape[1:]} once, 32 a step. The loss is the mean since")
    print(f"the line before; who knows nothing has log {len(classes)} = {np.log(len(classes)):.3f}.\n")

    losses: list[float] = []
    for step, (inputs, targets) in enumerate(loader, start=1):
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % max(1, len(loader) // 8) == 0:
            print(f"  step {step:>4}   loss {np.mean(losses):.3f}")
            losses.clear()

    parts = np.split((test_x - mean) / std, range(500, len(test_x), 500))  # all at once would need much memory
    with tg.no_grad():
        predicted = np.concatenate([model(tg.tensor(part)).argmax(1).numpy() for part in parts])
    hits = predicted == test_y
    print(f"\nTest pictures: {hits.sum()} of {len(hits)} right, {hits.mean():.1%}.\n")
    for k, name in enumerate(classes):
        answers = np.bincount(predicted[test_y == k], minlength=len(classes))
        right, total = answers[k], answers.sum()
        answers[k] = 0  # what is left are mistakes
        mistake = f"   taken for {classes[answers.argmax()]}: {answers.max()}" if answers.any() else ""
        print(f"  {name:<12} {right:>4} of {total:>4} right, {right / max(total, 1):6.1%}{mistake}")


def recurrent() -> None:
    """An RNN with forward, backward and BPTT: every number by hand, then a text learnt by heart.

    The network by hand of `models/by_hand/rnn.py`, where the formulas are derived: three steps of a tiny one beside the
    Tensor, then Karpathy's min-char-rnn on the Zen of Python.
    """
    backward_through_time()
    learn_by_heart(seq.zen(), steps=2500)


def backward_through_time() -> None:
    """Print three steps of a tiny network forward, the gradients backward, and the Tensor's beside them."""
    model, x, y, names = RNN(seq.RNN_WEIGHTS, seq.RNN_BIASES), seq.X, seq.Y, seq.CHARACTERS
    z, _ = model.forward(x)
    loss, gz = cross_entropy(z, y)
    gh = model.state_gradients(gz)[:, 0]  # (T + 1, H)
    own = np.vstack([np.zeros_like(gh[:1]), gz[:, 0] @ model.weights[2]])  # h at t = 0 makes no z
    ours, theirs = dict(zip(seq.RNN_NAMES, model.backward(gz)[0], strict=True)), seq.rnn_by_tensor(model, x, y)

    print("Forward: h = tanh(Wxh x + Whh h' + bh), h' being the h before; z = Why h + by; p = softmax(z).\n")
    p = np.exp(z[:, 0]) / np.exp(z[:, 0]).sum(axis=1, keepdims=True)  # (T, V)
    rows: list[tuple[str, ...]] = [("t", "reads", "h", f"p of {', '.join(names)}", "next", "-log p")]
    rows += [("0", "", seq.decimals(model.states[0, 0]), "", "", "")]
    for t, (now, then) in enumerate(zip(x[:, 0], y[:, 0], strict=True)):
        h, chances, surprise = map(seq.decimals, (model.states[t + 1, 0], p[t], -np.log(p[t, then])))
        rows.append((str(t + 1), names[now], h, chances, names[then], surprise))
    print(seq.aligned(rows))
    print(f"\n  L, the mean of the last column: {loss:.6f}; the Tensor's: {theirs['L']:.6f}")

    print("\nBackward, from the last step: a state acts on L through its own z, and through the next state.\n")
    rows = [("t", "from z", "from the next", "∂L/∂h, the sum", "Tensor's")]
    for t in reversed(range(len(gh))):
        rows.append((str(t), *map(seq.decimals, (own[t], gh[t] - own[t], gh[t], theirs["h"][t]))))
    print(seq.aligned(rows))

    print("\nEvery step uses the same parameters: their gradients are sums over all steps.\n")
    print(seq.beside(ours, theirs))
    apart = seq.furthest_apart(ours | {"h": gh, "L": np.array(loss)}, theirs)
    print(f"\nLargest difference between a number by hand and the Tensor's: {apart:.1g}")


def learn_by_heart(text: str, steps: int) -> None:
    """Train min-char-rnn on a text; print its loss, what it writes, and how far back its gradient reaches."""
    characters = sorted(set(text))
    numbers = np.array([characters.index(character) for character in text])
    model = RNN.small(len(characters), 100, np.random.default_rng(0))

    def written() -> str:
        drawn = model.sample(numbers[:1], 150, np.random.default_rng(0))
        return "  | " + "".join(characters[i] for i in (numbers[0], *drawn)).replace("\n", "\n  | ")

    print(f"\nmin-char-rnn: 100 units, {len(text)} characters of text, {len(characters)} different. What it writes:\n")
    print(written())
    print(f"\nThe smoothed loss a character, which begins at log {len(characters)} = {np.log(len(characters)):.3f}.\n")
    for step, smoothed in enumerate(islice(MinCharRNN(model, numbers), steps), start=1):
        if step % (steps // 5) == 0:
            print(f"  step {step:>4}   loss {smoothed / 25:.3f}")
    print(f"\nWhat it writes now:\n\n{written()}")

    pieces = sliding_window_view(numbers, 51)[::25].T  # (T + 1, B)
    z, _ = model.forward(pieces[:-1])
    norms = model.gradient_norms(cross_entropy(z, pieces[1:])[1])
    norms /= norms[0]
    print("\nA loss's gradient in the state k steps before: its length, that at k = 0 being 1, over many pieces.\n")
    print(seq.aligned([("k", *map(str, range(0, 41, 10))), ("", *(f"{norm:.2g}" for norm in norms[:41:10]))]))


def look_up() -> None:
    """An attention block (query, key, value) on a sequence of vectors, and its gradients.

    Each of four words asks the others, and takes a mean of what they have. The formulas are derived in
    `models/by_hand/attention.py`.
    """
    words, x, block = seq.WORDS, seq.VECTORS, Attention(seq.ATTENTION_WEIGHTS)
    q, k, v = (x @ W for W in block.weights[:3])
    print("Each word's vector x makes a query q = x Wq, a key k = x Wk and a value v = x Wv.\n")
    rows = [(word, *map(seq.decimals, arrays)) for word, *arrays in zip(words, x, q, k, v, strict=True)]
    print(seq.aligned([("", "x", "q", "k", "v"), *rows]))
    print("\nScores s = q kᵀ / √2: how well the query of the row fits the key of the column.\n")
    print(seq.by_word(words, q @ k.T / np.sqrt(2.0)))
    c, a = attend(q, k, v)
    print("\nWeights a = softmax(s), row by row.\n")
    print(seq.by_word(words, a))
    print("\nThe same if no word may look at those after it (the causal mask).\n")
    print(seq.by_word(words, attend(q, k, v, causal=True)[1]))
    print('\n"the" asks for nothing and takes the same of all; "itself" asks for a thing, and finds the cat.')

    out = block.forward(x[None])[0]
    (gradients, gx), (their_c, their_out, theirs) = block.backward(out[None]), seq.attention_by_tensor(block, x)
    print("\nThe means c = a v, beside F.scaled_dot_product_attention(q, k, v), and the result out = c Wo.\n")
    rows = [(word, *map(seq.decimals, arrays)) for word, *arrays in zip(words, c, their_c, out, strict=True)]
    print(seq.aligned([("", "c", "Tensor's", "out"), *rows]))
    print("\nGradients of L = ½ Σ out², for which ∂L/∂out = out; x as one row for each word.\n")
    ours = dict(zip(seq.ATTENTION_NAMES, [*gradients, *gx[0]], strict=True))
    print(seq.beside(ours, theirs))
    apart = seq.furthest_apart(ours | {"c": c, "out": out}, theirs | {"c": their_c, "out": their_out})
    print(f"\nLargest difference between a number by hand and the Tensor's: {apart:.1g}")


LESSONS: dict[str, Callable[[], None]] = {"8.1": filter_by_hand, "8.2": cifar10, "8.3": recurrent, "8.4": look_up}
