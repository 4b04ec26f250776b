"""MNIST and Fashion-MNIST: 28 × 28 grey pictures in ten classes, 60000 to learn from and 10000 to be judged by.

Sources: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998; H. Xiao, K. Rasul,
R. Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.
"""

from __future__ import annotations

from tinygrad_edu.data.dataset import Dataset
from tinygrad_edu.data.fetch import fetch
from tinygrad_edu.data.idx import read_pictures

# Addresses of folders, tried in order; the digests make a mirror without https as good as one with.
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}
SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def mnist() -> Dataset:
    """70000 handwritten digits, 28 × 28 (12 MB, downloaded once).

    x `(N, 1, 28, 28)` float32 in 0..1, y `(N,)` int64 in 0..9. Errors: see `fetch` and `read_pictures`.
    """
    return _load("mnist", tuple("0123456789"), "the MNIST database of handwritten digits (LeCun, Cortes, Burges, 1998)")


def fashion_mnist() -> Dataset:
    """70000 pictures of clothes, 28 × 28, harder than MNIST (31 MB, downloaded once).

    x `(N, 1, 28, 28)` float32 in 0..1, y `(N,)` int64 in 0..9. Errors: see `fetch` and `read_pictures`.
    """
    return _load("fashion-mnist", CLOTHES, "Fashion-MNIST (Xiao, Rasul, Vollgraf, Zalando Research, 2017)")


def _load(name: str, classes: tuple[str, ...], source: str) -> Dataset:
    paths = [fetch(name, file, sha256, MIRRORS[name]) for file, sha256 in SHA256[name].items()]
    train = read_pictures(paths[0], paths[1], len(classes))
    test = read_pictures(paths[2], paths[3], len(classes))
    return Dataset(name, train, test, classes, source)
