"""Datasets are what they say or an error that names the file; a loader's order is a function of two numbers."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import data, registry
from tinygrad_edu.data import mnist
from tinygrad_edu.data.fetch import fetch
from tinygrad_edu.data.idx import read_idx, read_pictures


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    """The IDX file of an array, not gzipped."""
    return bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(gzip.compress(raw, mtime=0))
    return path


# --- datasets -------------------------------------------------------------------------------------------------------


def check(dataset: data.Dataset, name: str, train: tuple[int, ...], test: tuple[int, ...]) -> None:
    assert dataset.name == name
    for (x, y), shape in ((dataset.train, train), (dataset.test, test)):
        assert (x.shape, x.dtype, y.shape, y.dtype) == (shape, np.float32, shape[:1], np.int64)
        assert (x.min(), x.max()) == (0, 1)
        assert x.flags.c_contiguous
        assert np.unique(y).tolist() == list(range(len(dataset.classes)))


def test_digits(needs: Callable[[str], ModuleType]) -> None:
    needs("sklearn")
    dataset = data.load("digits")
    check(dataset, "digits", (1437, 1, 8, 8), (360, 1, 8, 8))
    assert "UCI" in dataset.source
    # all of the original's digits, each once, and the same split at every call
    original = needs("sklearn.datasets").load_digits().images.reshape(-1, 64)
    ours = np.concatenate([dataset.train[0], dataset.test[0]]).reshape(-1, 64) * 16
    assert np.array_equal(np.sort(ours, axis=0), np.sort(original, axis=0))
    assert np.array_equal(dataset.train[1], data.digits().train[1])
    assert dataset.train[1][:10].tolist() == FIRST_DIGITS


FIRST_DIGITS = [0, 5, 1, 6, 2, 2, 9, 9, 0, 5]  # the fixed split, so that figures of different years compare


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files(name: str, real_data: Callable[[str], Path]) -> None:
    real_data(name)
    dataset = data.load(name)
    check(dataset, name, (60000, 1, 28, 28), (10000, 1, 28, 28))
    assert (
        dataset.train[1][:10].tolist()
        == {
            "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
            "fashion-mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
        }[name]
    )  # as torchvision has them
    mean = {"mnist": 0.1307, "fashion-mnist": 0.2860}[name]  # the constants that everybody normalises with
    assert dataset.train[0].mean(dtype=np.float64) == pytest.approx(mean, abs=5e-5)


@pytest.fixture
def cifar(real_data: Callable[[str], Path]) -> Path:
    """The folder with the real files of CIFAR-10."""
    return real_data("cifar10")


def test_the_photographs(cifar: Path) -> None:
    dataset = data.load("cifar10")
    check(dataset, "cifar10", (10000, 3, 32, 32), (10000, 3, 32, 32))
    assert [dataset.classes[i] for i in dataset.train[1][:4]] == ["frog", "truck", "truck", "deer"]
    assert np.bincount(dataset.test[1]).tolist() == [1000] * 10
    # the first photograph's top left pixel is (59, 62, 63): see shared/data, and the python version's first row
    assert (dataset.train[0][0, :, 0, 0] * 255).round().tolist() == [59, 62, 63]


@pytest.mark.parametrize("damage", ["cut", "changed", "no gzip"])
def test_a_damaged_batch_is_named(cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    raw = gzip.decompress((cifar / "data_batch_1.bin.gz").read_bytes())
    changed = gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1]), 1)
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10" / "data_batch_1.bin.gz"
    path.write_bytes({"cut": changed[:-9], "changed": changed, "no gzip": b"<html>not found</html>"}[damage])
    monkeypatch.setenv("TINYGRAD_EDU_DATA", str(tmp_path))
    got = "[0-9a-f]{64}" if damage == "changed" else "no gzip file: "
    with pytest.raises(ValueError, match=f"^{path}: expected data_batch_1.bin with sha256 cee91656.*, got {got}"):
        data.load("cifar10")


def test_an_archive_over_the_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures a batch, red and blue ones; the archive is downloaded once."""
    module = sys.modules["tinygrad_edu.data.cifar10"]
    contents = {name: bytes([i]) + b"\xff" * 1024 + bytes(2048) for i, name in enumerate(module.SHA256)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, raw in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    server.files = {f"/{module.ARCHIVE}": out.getvalue()}
    monkeypatch.setattr(module, "MIRRORS", (server.address,))
    monkeypatch.setattr(module, "ARCHIVE_SHA256", sha256(out.getvalue()))
    monkeypatch.setattr(module, "SHA256", {name: sha256(raw) for name, raw in contents.items()})
    dataset = data.load("cifar10", batches=3)
    assert dataset.train[0].shape == (3, 3, 32, 32)
    assert dataset.train[0].mean(axis=(0, 2, 3)).tolist() == [1, 0, 0]
    assert (dataset.train[1].tolist(), dataset.test[1].tolist()) == ([0, 1, 2], [5])
    assert server.asked == [f"/{module.ARCHIVE}"]


@pytest.mark.parametrize("batches", [0, 6, "1"])
def test_a_number_of_batches_that_there_is_not(batches: Any) -> None:
    with pytest.raises(ValueError, match=f"cifar10: expected 1 to 5 batches, got {batches!r}"):
        data.load("cifar10", batches=batches)


def test_the_names_are_registered() -> None:
    assert {"cifar10", "digits", "mnist", "fashion-mnist"} <= set(registry.names("datasets"))
    with pytest.raises(ValueError, match=r"unknown dataset 'minst' \(did you mean 'mnist'\?\); there are: .*digits"):
        data.load("minst")


def test_importing_the_plugin_is_cheap() -> None:
    heavy = "{'sklearn', 'scipy', 'pooch', 'requests', 'safetensors', 'torch', 'matplotlib', 'tqdm'}"
    code = f"import sys, tinygrad_edu.data; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True).stdout == "set()\n"


# --- IDX ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 1, 3)])
def test_idx_round_trip(tmp_path: Path, code: int, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    read = read_idx(write(tmp_path / "a.gz", idx(array, code)))
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    assert read.shape == shape
    assert np.array_equal(read, array)


X, Y = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([0, 1, 2], np.uint8)
GOOD = gzip.compress(idx(X), mtime=0)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"expected a gzip file, got|expected to begin with 00 00, a type \(.*\) and a rank, got nothing"),
        (b"<html>not found</html>", r"expected a gzip file, got Not a gzipped file \(b'<h'\)"),
        (GOOD[:-9], "expected a gzip file, got Compressed file ended before"),
        (GOOD[:12], "expected a gzip file, got Compressed file ended before"),
        (GOOD[:-6] + b"\0\0" + GOOD[-4:], "expected a gzip file, got CRC check failed"),
        (gzip.compress(idx(X)[:3]), r"expected to begin with 00 00, a type .* got 00 00 08"),
        (gzip.compress(b"\x01" + idx(X)[1:]), r"expected to begin with 00 00, a type .* got 01 00 08 03"),
        (gzip.compress(idx(X, 0x07)), r"a type \(08, 09, 0b, 0c, 0d, 0e\) and a rank, got 00 00 07 03"),
        (gzip.compress(b"\0\0\x08\xff" + bytes(2000)), "got 00 00 08 ff"),
        (gzip.compress(idx(X)[:9]), "expected 16 bytes of header for rank 3, got 9 bytes"),
        (gzip.compress(idx(X)[:-1]), r"expected 28 bytes for uint8 of shape \(3, 2, 2\), got 27 bytes"),
        (gzip.compress(idx(X) + b"\0"), r"expected 28 bytes for uint8 of shape \(3, 2, 2\), got 29 bytes"),
        (gzip.compress(b"\0\0\x0e\x03" + b"\xff" * 12), r"of shape \(4294967295, 4294967295, 4294967295\), got 16"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_a_damaged_file_is_named(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "train.gz"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=f"^{path}: .*({message}).*; put an undamaged copy there, or remove it"):
        read_idx(path)


def test_every_flipped_byte_of_a_gzip_is_an_error_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    for place in range(len(GOOD)):
        path.write_bytes(GOOD[:place] + bytes([GOOD[place] ^ 0xFF]) + GOOD[place + 1 :])
        try:
            read = read_idx(path)
        except ValueError:
            continue
        assert np.array_equal(read, X)  # a byte of the time stamp, say


def test_pictures(tmp_path: Path) -> None:
    x, y = read_pictures(write(tmp_path / "x", idx(X)), write(tmp_path / "y", idx(Y)), classes=3)
    assert (x.shape, x.dtype, y.dtype) == ((3, 1, 2, 2), np.float32, np.int64)
    assert np.array_equal(x.ravel(), np.arange(12, dtype=np.float32) / np.float32(255))
    assert y.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[0], Y, r"x: expected uint8 of shape \(N, H, W\), magic 2051, got uint8 of shape \(2, 2\)"),
        (X, X, r"y: expected uint8 of shape \(N,\), magic 2049, got uint8 of shape \(3, 2, 2\)"),
        (X, Y[:2], r"y: expected 3 labels, as many as there are pictures in x, got 2"),
        (X, np.array([0, 3, 9], np.uint8), r"y: expected labels in 0\.\.2, got 9 at place 2"),
    ],
)
def test_pictures_and_labels_must_fit(tmp_path: Path, x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_pictures(write(tmp_path / "x", idx(x)), write(tmp_path / "y", idx(y)), classes=3)


# --- files: local, and downloaded ------------------------------------------------------------------------------------


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files` by path; one that is marked in `cut` breaks off half-way; counts what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        raw = self.server.files.get(self.path)
        if raw is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if self.path in self.server.cut else raw)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: Callable[[str], ModuleType]) -> Iterator[Server]:
    """A mirror on this machine, and an empty cache."""
    needs("pooch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TINYGRAD_EDU_DATA", raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def cached(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(tmp_path: Path, server: Server) -> None:
    server.files["/a.gz"] = GOOD
    for _ in range(2):
        path = fetch("toy", "a.gz", sha256(GOOD), (server.address,))
        assert path.read_bytes() == GOOD
    assert server.asked == ["/a.gz"]
    assert cached(tmp_path) == ["a.gz"]


def test_the_second_mirror_is_asked_when_the_first_has_it_not(tmp_path: Path, server: Server) -> None:
    server.files["/second/a.gz"] = GOOD
    mirrors = (server.address + "first/", server.address + "second/")
    assert fetch("toy", "a.gz", sha256(GOOD), mirrors).read_bytes() == GOOD
    assert server.asked == ["/first/a.gz", "/second/a.gz"]


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path: Path, server: Server) -> None:
    server.files["/a.gz"] = GOOD
    path = fetch("toy", "a.gz", sha256(GOOD), (server.address,))
    path.write_bytes(GOOD[:-1])
    assert fetch("toy", "a.gz", sha256(GOOD), (server.address,)).read_bytes() == GOOD


@pytest.mark.parametrize("trouble", ["wrong", "cut", "missing", "refused"])
def test_a_failed_download_is_told_and_leaves_nothing(tmp_path: Path, server: Server, trouble: str) -> None:
    mirror, raw = server.address, GOOD + bytes(100_000)
    if trouble != "missing":
        server.files["/a.gz"] = GOOD if trouble == "wrong" else raw
    if trouble == "cut":
        server.cut.add("/a.gz")
    if trouble == "refused":
        mirror = "http://127.0.0.1:9/"  # the discard service: nobody listens
    reason = {
        "wrong": rf"hash of downloaded file.*expected sha256:{sha256(raw)} but got {sha256(GOOD)}",
        "cut": "IncompleteRead",
        "missing": "404",
        "refused": "Connection refused",
    }[trouble]
    message = rf"toy: a.gz could not be downloaded:\n  {mirror}a.gz: .*{reason}.*\n.*put it at FOLDER/toy/a.gz and set "
    with pytest.raises(ConnectionError, match=message):
        fetch("toy", "a.gz", sha256(raw), (mirror,))
    assert cached(tmp_path) == []


def test_a_local_file_goes_first_and_must_be_the_original(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    local = tmp_path / "toy" / "a.gz"
    local.write_bytes(GOOD)
    assert fetch("toy", "a.gz", sha256(GOOD), ()) == local
    local.write_bytes(GOOD[:-1])
    message = rf"^{local}: expected sha256 {sha256(GOOD)}, got {sha256(GOOD[:-1])}; .* put the original there, or"
    with pytest.raises(ValueError, match=message):
        fetch("toy", "a.gz", sha256(GOOD), (server.address,))
    local.unlink()
    server.files["/a.gz"] = GOOD
    assert fetch("toy", "a.gz", sha256(GOOD), (server.address,)).parent.parent.name == "tinygrad_edu"


def test_a_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_DATA", "/no/such/folder")
    with pytest.raises(ValueError, match="TINYGRAD_EDU_DATA is '/no/such/folder', which is no folder; correct it"):
        data.load("mnist")


def test_mnist_over_the_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 20), ("t10k", 10)):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(rng.integers(0, 256, (n, 28, 28), np.uint8))
        files[f"{part}-labels-idx1-ubyte.gz"] = idx((np.arange(n) % 10).astype(np.uint8))
    server.files = {f"/{name}": gzip.compress(raw, mtime=0) for name, raw in files.items()}
    digests = {name: sha256(server.files[f"/{name}"]) for name in mnist_files()}
    monkeypatch.setitem(MNIST.MIRRORS, "mnist", (server.address,))
    monkeypatch.setitem(MNIST.SHA256, "mnist", digests)
    dataset = mnist()
    assert dataset.train[0].shape == (20, 1, 28, 28)
    assert dataset.test[1].tolist() == list(range(10))


MNIST = sys.modules["tinygrad_edu.data.mnist"]  # the module: `data.mnist` is the function


def mnist_files() -> list[str]:
    return list(MNIST.SHA256["mnist"])
