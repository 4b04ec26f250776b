"""Trees of arrays come back as they were; a file that was cut or changed is an error; a killed save loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import state

TREE: dict[str, Any] = {
    "model": {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.array([0.1, np.nan, np.inf])},
    "optimizer": {"state": {0: {"step": np.array(7, np.int64)}, 1: {}}, "betas": (0.9, 0.999), "names": []},
    "empty": np.zeros((0, 4), np.float64),
    "mask": np.array([[True, False, True]]),
    "key": np.array([2**64 - 1, 1], np.uint64),
    "half": np.array(1.5, np.float16),
    "view": np.arange(12, dtype=np.int32).reshape(3, 4).T[::2],
    "scalars": [None, True, False, 0, -(2**70), 0.1, float("inf"), "a.b\n\"é'", {"__metadata__": 1, "array": "x"}],
}


def same(a: Any, b: Any) -> bool:
    """Equal to the bit and of one type, all the way down; dicts in the same order."""
    if isinstance(a, np.ndarray):
        kind = isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape
        return kind and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("tree", [TREE, {}, [], None, "x", 3, np.array(2.0), [np.zeros(0)], {"": np.ones(1)}], ids=str)
def test_a_tree_comes_back_to_the_bit(tmp_path: Path, tree: Any) -> None:
    state.save(tmp_path / "s", tree)
    assert same(state.load(tmp_path / "s"), tree)


def test_loaded_arrays_can_be_written(tmp_path: Path) -> None:
    state.save(tmp_path / "s", {"w": np.zeros(2)})
    loaded = state.load(tmp_path / "s")
    loaded["w"] += 1
    assert loaded["w"].tolist() == [1, 1]


def test_tensors_and_numpy_scalars_are_arrays(tmp_path: Path) -> None:
    state.save(tmp_path / "s", {"x": tg.ones(2, requires_grad=True), "y": np.float32(1), "z": np.float64(2)})
    expected = {"x": np.ones(2, np.float32), "y": np.array(1, np.float32), "z": np.array(2.0)}
    assert same(state.load(tmp_path / "s"), expected)


def test_keys_that_look_alike_stay_apart(tmp_path: Path) -> None:
    tree = {"a": {"b": np.array(1)}, "a.b": np.array(2), "a.b'": np.array(3), "__metadata__": np.array(4)}
    state.save(tmp_path / "s", tree)
    assert same(state.load(tmp_path / "s"), tree)


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path: Path, needs: Callable[[str], ModuleType]) -> None:
    torch = needs("torch")
    from safetensors.torch import load_file, save_file

    weights = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.array([1.0, 2.0], np.float32)}
    state.save(tmp_path / "ours", weights)
    theirs = load_file(tmp_path / "ours")
    assert {key: value.tolist() for key, value in theirs.items()} == {k: v.tolist() for k, v in weights.items()}
    save_file({key: torch.tensor(value) for key, value in weights.items()}, tmp_path / "theirs")
    loaded = state.load(tmp_path / "theirs")
    assert all(same(loaded[key], weights[key]) for key in weights)
    assert len(loaded) == 2


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"b": object()}}, r"state.save: expected an array.* at 'a.b', got object"),
        ({"a": np.array(["x"])}, r"state.save: expected bool, int, uint or float up to 64 bits at 'a', got <U1"),
        ({"a": np.array(1j)}, r"up to 64 bits at 'a', got complex128"),
        ({"a": [{1.5: 2}]}, r"state.save: a dict's keys are str or int, got 1.5 in 'a.0'"),
    ],
)
def test_what_cannot_be_kept_is_named(tmp_path: Path, tree: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        state.save(tmp_path / "s", tree)
    assert list(tmp_path.iterdir()) == []


def test_a_dtype_that_numpy_lacks_is_named(tmp_path: Path, needs: Callable[[str], ModuleType]) -> None:
    torch = needs("torch")
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "s")
    with pytest.raises(ValueError, match=r"s: not a readable state file: dtype 'BF16' is not one of NumPy's"):
        state.load(tmp_path / "s")


def test_every_flipped_bit_of_a_small_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "s"
    state.save(path, {"w": np.arange(3, dtype=np.float32), "step": 3})
    good = path.read_bytes()
    for place in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            path.write_bytes(bad)
            with pytest.raises(ValueError, match="s: not a readable state file: "):
                state.load(path)


def test_random_damage_is_found(tmp_path: Path) -> None:
    path, rng = tmp_path / "s", np.random.default_rng(0)
    state.save(path, TREE)
    good = path.read_bytes()
    for _ in range(300):
        bad = bytearray(good)
        first = rng.integers(len(bad))
        bad[first : first + rng.integers(1, 20)] = rng.bytes(int(rng.integers(20)))
        path.write_bytes(bad)
        if bad != good:
            with pytest.raises(ValueError, match="s: not a readable state file: "):
                state.load(path)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = tmp_path / "s"
    state.save(path, {"w": np.arange(3, dtype=np.float32), "step": 3})
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match="s: not a readable state file: "):
            state.load(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(ValueError, match="do not match their sha256 digest"):
        state.load(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"its header should end at byte 8, but the file has 0 bytes"),
        (b"\x80\x04\x95" + b"pickle" * 9, r"its header should end at byte \d+, but the file has 57 bytes"),
        (b"\x02" + bytes(7) + b"[]", "its header is no JSON object"),
        (b"\x05" + bytes(7) + b"hello", "Expecting value"),
        ((2 * 10**5).to_bytes(8, "little") + b"[" * 200_000, "maximum recursion depth"),
    ],
    ids=["empty", "pickle", "list", "text", "deep"],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "s").write_bytes(raw)
    with pytest.raises(ValueError, match=f"s: not a readable state file: {message}.*use another copy"):
        state.load(tmp_path / "s")


def test_a_failed_save_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    state.save(path, {"step": 1})

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        state.save(path, {"step": 2}, before_replace=fail)
    assert state.load(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


SAVE_FOREVER = """
import sys, numpy as np
from tinygrad_edu import state
path, n = sys.argv[1], 0
while True:
    n += 1
    state.save(path, {"n": n, "w": np.full(20_000, n, np.int64)})
    if n == 1:
        print("ready", flush=True)
"""


def test_a_save_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path, rng = tmp_path / "s", np.random.default_rng(0)
    for _ in range(10):
        command = [sys.executable, "-c", SAVE_FOREVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            reads = rng.integers(1, 20)
            for _ in range(reads):  # the time until the kill is filled with reading, while the other writes
                loaded = state.load(path)
                assert (loaded["w"] == loaded["n"]).all()
            process.send_signal(signal.SIGKILL)
        loaded = state.load(path)
        assert (loaded["w"] == loaded["n"]).all()
        assert len(loaded["w"]) == 20_000
