"""Files of torch.save: trees come back as they were; nothing in a file runs; damaged and crafted ones are errors."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import state
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.models.resnet import ResNet

Needs = Callable[[str], ModuleType]


def saved(torch: Any, tree: Any, **settings: Any) -> bytes:
    """The bytes that torch.save writes."""
    file = io.BytesIO()
    torch.save(tree, file, **settings)
    return file.getvalue()


def load(folder: Path, raw: bytes) -> Any:
    """What `state.load` makes of a file with these bytes."""
    (folder / "m.pt").write_bytes(raw)
    return state.load(folder / "m.pt")


def check(got: Any, expected: Any, where: str = "tree") -> None:
    """AssertionError where what was read differs from what torch had: types, order, dtypes, strides, every bit."""
    if isinstance(expected, dict):
        assert (type(got), list(got)) == (dict, list(expected)), where
        for key in expected:
            check(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert (type(got), len(got)) == (type(expected), len(expected)), where
        for i, pair in enumerate(zip(got, expected, strict=True)):
            check(*pair, f"{where}.{i}")
    elif hasattr(expected, "detach"):
        array = expected.detach().numpy()
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes()), where
        assert got.flags.writeable
        assert got.strides == array.strides or got.size == 0, where
    else:
        assert (type(got), repr(got)) == (type(expected), repr(expected)), where


# --- what torch saves ------------------------------------------------------------------------------------------------

DTYPES = ["float32", "float64", "float16", "bool", "complex64", "complex128"]
DTYPES += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_that_numpy_has(tmp_path: Path, needs: Needs, dtype: str) -> None:
    torch = needs("torch")
    x = torch.arange(12).to(getattr(torch, dtype)).reshape(3, 4)
    tree = {"x": x, "view": x.T[1:, ::2], "0-d": x[1, 2], "empty": x[:0], "row": x[2]}
    check(load(tmp_path, saved(torch, tree)), tree)


def test_every_layout(tmp_path: Path, needs: Needs) -> None:
    torch = needs("torch")
    x = torch.arange(24.0).reshape(2, 3, 4)
    tree = {
        "permuted": x.permute(2, 0, 1),
        "offset": x[1, 1:, 2:],
        "strided": x[:, ::2, 1::3],
        "expanded": torch.ones(2, 1, 1).expand(2, 3, 4),
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "diagonal": torch.rand(4, 4).diagonal(),
        "overlapping": torch.arange(6).unfold(0, 3, 1),
        "0-d": torch.tensor(3),
        "empty": torch.empty(0, 3),
        "empty, at the end": x.reshape(-1)[24:],
        "a storage with bytes to spare": torch.arange(7, dtype=torch.uint8)[:4].view(torch.float32),
        "NaN and infinity": torch.tensor([float("nan"), float("inf"), -0.0]),
    }
    check(load(tmp_path, saved(torch, tree)), tree)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_trees(tmp_path: Path, needs: Needs, protocol: int) -> None:
    torch = needs("torch")
    x = torch.ones(2, requires_grad=True)
    tree = {
        "scalars": [None, True, False, 0, 255, 256, 65536, -1, 2**31, -(2**70), 2**900, 0.1, float("nan"), "é\n", ""],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, (x,))),
        "lists": [[], [1], [[2, x], {}]],
        "dicts": OrderedDict([("b", 1), ("a", OrderedDict()), (3, {"c": None}), ("Parameter", torch.nn.Parameter(x))]),
        "many": list(range(3000)),  # pickle fills in thousands, and its memo outgrows a byte
        "words": [str(i) for i in range(300)] * 2,
        "x again": x,
    }
    check(load(tmp_path, saved(torch, tree, pickle_protocol=protocol)), tree)
    leaves: list[Any] = [x, None, 3, "word", [], {}]
    for leaf in leaves:
        check(load(tmp_path, saved(torch, leaf, pickle_protocol=protocol)), leaf)


def test_shared_memory_stays_shared(tmp_path: Path, needs: Needs) -> None:
    torch = needs("torch")
    x = torch.arange(6.0)
    loaded = load(tmp_path, saved(torch, {"x": x, "part": x[2:4], "copy": x.clone()}))
    loaded["part"][:] = 9
    assert loaded["x"].tolist() == [0, 1, 9, 9, 4, 5]
    assert loaded["copy"].tolist() == [0, 1, 2, 3, 4, 5]


def torch_lenet(torch: Any) -> Any:
    """The layers of LeNet under our names."""
    names = ("conv1", "conv2", "fc1", "fc2", "fc3")
    nn = torch.nn
    convolutions = (nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5))
    layers = (*convolutions, nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10))
    return nn.ModuleDict(dict(zip(names, layers, strict=True)))


def torch_resnet(torch: Any) -> Any:
    """The layers of a ResNet of depth 8 under our names."""
    nn = torch.nn

    def pair(n: int, i: int, o: int, stride: int = 1) -> dict[str, Any]:
        return {f"conv{n}": nn.Conv2d(i, o, 3, stride, padding=1, bias=False), f"bn{n}": nn.BatchNorm2d(o)}

    sizes = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    blocks = [nn.ModuleDict({**pair(1, i, o, stride), **pair(2, o, o)}) for i, o, stride in sizes]
    stages = {f"layer{i}": nn.Sequential(block) for i, block in enumerate(blocks, 1)}
    return nn.ModuleDict({**pair(1, 3, 16), **stages, "fc": nn.Linear(64, 10)})


@pytest.mark.parametrize(("ours", "theirs"), [(LeNet, torch_lenet), (lambda: ResNet(8), torch_resnet)])
def test_our_models_take_torchs_weights(tmp_path: Path, needs: Needs, ours: Any, theirs: Any) -> None:
    torch = needs("torch")
    model, network = ours(), theirs(torch)
    optimizer = torch.optim.Adam(network.parameters())
    sum((p**2).sum() for p in network.parameters()).backward()
    optimizer.step()
    checkpoint = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    loaded = load(tmp_path, saved(torch, checkpoint))
    check(loaded, checkpoint)
    model.load_state_dict(loaded["model"])
    assert {key: value.tolist() for key, value in model.state_dict().items()} == {
        key: value.tolist() for key, value in network.state_dict().items()
    }


def test_torch_is_not_needed(tmp_path: Path, needs: Needs) -> None:
    torch = needs("torch")
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt")
    program = "import sys; from tinygrad_edu import state; print(state.load('m.pt'), 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert out.stdout == "{'w': array([1., 1.], dtype=float32)} False\n"


# --- what a file could try -------------------------------------------------------------------------------------------


def archive(program: bytes, **records: bytes) -> bytes:
    """A file as torch's, with this pickle and these storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, data in {"data.pkl": program, "byteorder": b"little", "data/0": bytes(24), **records}.items():
            out.writestr(f"archive/{name}", data)
    return file.getvalue()


def program_of(value: Any) -> bytes:
    """The instructions that leave a value on the stack; bytes are instructions already."""
    return value if isinstance(value, bytes) else pickle.dumps(value, 2)[2:-1]


def tensor(offset: Any, size: Any, stride: Any, n: Any = 6, *, kind: bytes = b"FloatStorage", key: Any = "0") -> bytes:
    """A pickle of one tensor, six floats by default."""
    storage = b"(" + program_of("storage") + b"ctorch\n" + kind + b"\n"
    storage += b"".join(map(program_of, (key, "cpu", n))) + b"tQ"
    numbers = b"".join(map(program_of, (offset, size, stride, False)))
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers + b"ccollections\nOrderedDict\n)RtR."


EVIL = {  # each makes a folder FOLDER if Python's pickle reads it
    "GLOBAL, REDUCE": b"cos\nmkdir\n(S'FOLDER'\ntR.",
    "GLOBAL, REDUCE, protocol 2": b"\x80\x02cos\nmkdir\nX\x06\x00\x00\x00FOLDER\x85R.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x06FOLDER\x85R.",
    "os.system": b"\x80\x02cos\nsystem\n" + program_of("mkdir FOLDER") + b"\x85R.",
    "eval": b"\x80\x02c__builtin__\neval\n" + program_of("__import__('os').mkdir('FOLDER')") + b"\x85R.",
    "INST": b"(S'FOLDER'\nios\nmkdir\n.",
    "OBJ": b"(cos\nmkdir\nS'FOLDER'\no.",
    "BUILD": b"\x80\x02ctypes\nSimpleNamespace\n)R}" + program_of("__setstate__") + b"cos\nmkdir\nsbS'FOLDER'\nb.",
    "in a tree": b"\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bcos\nmkdir\nX\x06\x00\x00\x00FOLDER\x85Ru.",
    "after a tree": b"\x80\x02}cos\nmkdir\nX\x06\x00\x00\x00FOLDER\x85R0.",
}


@pytest.mark.parametrize("program", EVIL.values(), ids=EVIL)
def test_nothing_in_a_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"m.pt: not a readable torch file: it(s pickle has| holds)"):
        load(tmp_path, archive(program))
    assert not Path("FOLDER").exists()
    pickle.loads(program)  # here it does run
    assert Path("FOLDER").is_dir()


class Reduced:
    """What torch.save makes a call of."""

    def __reduce__(self) -> Any:
        return print, ("it ran",)


def test_nothing_that_torch_saved_runs(tmp_path: Path, needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    raw = saved(needs("torch"), {"w": Reduced()})
    with pytest.raises(ValueError, match=r"m.pt: .* it holds __builtin__.print; .* save model.state_dict"):
        load(tmp_path, raw)
    assert capsys.readouterr().out == ""


def attributed(t: Any) -> Any:
    """A Parameter with an attribute, which torch keeps as well."""
    p = t.nn.Parameter(t.ones(1))
    p.extra = "weight"
    return p


NOT_KEPT: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a model": (lambda t: t.nn.Linear(1, 1), r"holds torch.nn.modules.linear.Linear; .*save model.state_dict\(\) inst"),
    "bfloat16": (lambda t: t.ones(1).bfloat16(), r"no dtype for torch.BFloat16Storage; convert .* x.float\(\)"),
    "float8": (lambda t: t.ones(1).to(t.float8_e5m2), "NumPy has no dtype for torch.float8_e5m2; convert"),
    "negated": (
        lambda t: t.ones(2).to(t.complex64).conj().imag,
        r"view still to be conjugated or negated: save x.reso",
    ),
    "a dtype": (lambda t: {"dtype": t.float32}, "holds torch.float32; read are tensors, dicts"),
    "its dtype": (lambda t: [t.uint16], r"holds dtype\('uint16'\); read are"),
    "a size": (lambda t: t.Size([1]), "holds torch.Size; read are"),
    "a set": (lambda t: {"a": {1}}, "holds __builtin__.set; read are"),
    "bytes": (lambda t: b"ab", "holds _codecs.encode; read are"),
    "an attribute": (attributed, "holds torch._utils._rebuild_parameter_with_state"),
    "a key": (lambda t: {(1, 2): 3}, "a dict has a tuple for a key"),
}


@pytest.mark.parametrize(("make", "message"), NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_is_not_read_is_named(tmp_path: Path, needs: Needs, make: Callable[[Any], Any], message: str) -> None:
    torch = needs("torch")
    with pytest.raises(ValueError, match=f"m.pt: not a readable torch file: .*{message}"):
        load(tmp_path, saved(torch, make(torch)))


def test_the_old_format_is_refused(tmp_path: Path, needs: Needs) -> None:
    raw = saved(needs("torch"), [1], _use_new_zipfile_serialization=False)
    with pytest.raises(
        ValueError, match=r"m.pt: .*torch before 1.6 wrote it; load it in a newer one and save it again"
    ):
        load(tmp_path, raw)


def zipped(*names: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Some zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        for name in names:
            out.writestr(name, b"\x80\x02N.")
    return file.getvalue()


DEEP = 200_000  # C's stack would not hold as many calls
DOUBLED = b")" + b"q\x00h\x00\x86" * 60  # a tuple of twice a tuple of twice ...: printed it would fill the memory
CRAFTED = {
    "beyond the end": (tensor(0, (7,), (1,)), r"takes elements 0 to 6 of 6"),
    "beyond the end, by an offset": (tensor(5, (2,), (1,)), r"takes elements 5 to 6 of 6"),
    "beyond the end, by strides": (tensor(0, (2, 2), (5, 1)), r"shape \(2, 2\), strides \(5, 1\) takes .* 0 to 6 of 6"),
    "an offset alone": (tensor(6, (), ()), "takes elements 6 to 6 of 6"),
    "an empty one's offset": (tensor(10**6, (0,), (1,)), "."),
    "before the beginning": (tensor(-1, (2,), (1,)), "takes elements -1 to 0 of 6"),
    "backwards": (tensor(5, (3,), (-1,)), r"strides \(-1,\)"),
    "a negative size": (tensor(0, (-1,), (1,)), r"shape \(-1,\)"),
    "strides that overflow 64 bits": (tensor(0, (5,), (2**62 // 4,)), "takes elements 0 to 4611686018427387904 of 6"),
    "sizes that overflow 64 bits": (tensor(0, (2**40, 2**40), (0, 0)), "."),
    "too many dimensions": (tensor(0, (1,) * 100, (1,) * 100), "."),
    "fewer strides than sizes": (tensor(0, (1, 1), (1,)), "."),
    "a size of words": (tensor(0, ("1",), (1,)), "damaged"),
    "strides of words": (tensor(0, (2**40,), ("1",)), "damaged"),
    "strides of doubled tuples": (tensor(0, (2**40,), DOUBLED), "damaged"),
    "a storage of doubled tuples": (tensor(0, (1,), (1,), key=DOUBLED), "damaged"),
    "half a size": (tensor(0, (1.5,), (1,)), "damaged"),
    "no size": (tensor(0, None, (1,)), "damaged"),
    "a short storage": (tensor(0, (6,), (1,), n=7), "archive/data/0 should have 28 bytes, but has 24"),
    "a large dtype": (tensor(0, (1,), (1,), kind=b"DoubleStorage"), "data/0 should have 48 bytes, but has 24"),
    "no dtype": (tensor(0, (1,), (1,), kind=b"Tensor"), "holds torch.Tensor"),
    "no storage": (tensor(0, (1,), (1,), key="7"), "damaged, use another copy .*no item named 'archive/data/7'"),
    "a key of tuples in tuples": (b"\x80\x02})" + b"\x85" * DEEP + b"K\x01s.", "a dict has a tuple for a key"),
    "a storage of tuples in tuples": (b"\x80\x02)" + b"\x85" * DEEP + b"Q.", "."),
    "an empty stack": (b"\x80\x02s.", "damaged"),
    "no mark": (b"\x80\x02t.", "damaged"),
    "no memo": (b"\x80\x02h\x09.", "damaged"),
    "a list filled as a dict": (b"\x80\x02]K\x01K\x02s.", "damaged"),
    "a dict filled as a list": (b"\x80\x02}K\x01a.", "damaged"),
    "a key without a value": (b"\x80\x02}(K\x01u.", "."),
    "two trees": (b"\x80\x02}}.", "stops in the middle"),
    "an open mark": (b"\x80\x02}(}.", "stops in the middle"),
    "no end": (b"\x80\x02}", "pickle exhausted before seeing STOP"),
    "no instruction": (b"\x80\x02\xff.", "opcode b'\\\\xff' unknown"),
    "an instruction of no use": (b"\x80\x02Pperson\n.", "its pickle has an instruction PERSID"),
    "a call of a list": (b"\x80\x02])R.", "damaged"),
    "attributes of a list": (b"\x80\x02]}b.", "its pickle has an instruction BUILD"),
    "a name as a value": (b"\x80\x02]ctorch._utils\n_rebuild_tensor_v2\na.", "it holds <function _rebuild_tensor_v2"),
}


@pytest.mark.parametrize(("program", "message"), CRAFTED.values(), ids=CRAFTED)
def test_crafted_pickles_are_refused(tmp_path: Path, program: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"m.pt: not a readable torch file: .*{message}"):
        load(tmp_path, archive(program))


def test_a_deep_tree_is_read(tmp_path: Path) -> None:
    tree, depth = load(tmp_path, archive(b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".")), 1
    while tree:
        (tree,) = tree
        depth += 1
    assert depth == DEEP


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (archive(b"N.", byteorder=b"big"), "numbers are not little-endian; save it again on a machine where they are"),
        (zipped("array.npy"), "it is a zip archive, but none of torch's: there is no data.pkl in it"),
        (zipped("a/data.pkl", "b/data.pkl"), "there is no data.pkl in it"),
        (zipped("a/data.pkl", compression=zipfile.ZIP_DEFLATED), "its records are compressed or overlap"),
        (b"PK\x03\x04", "damaged, use another copy .*not a zip file"),
        (archive(tensor(0, (6,), (1,))).replace(bytes(24), bytes(23) + b"\x01"), "damaged.*Bad CRC-32 for .*data/0"),
    ],
    ids=["big-endian", "NumPy's", "two", "compressed", "cut", "a flipped bit"],
)
def test_other_archives_are_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"m.pt: not a readable torch file: .*{message}"):
        load(tmp_path, raw)


def test_records_in_one_place_are_refused(tmp_path: Path) -> None:
    """Many names for the same bytes would be many times their memory."""
    file = io.BytesIO(archive(b"N."))
    with zipfile.ZipFile(file, "a") as out:
        of = out.getinfo("archive/data/0")
        for i in range(1, 100):
            copy = zipfile.ZipInfo(f"archive/data/{i}")
            copy.file_size, copy.compress_size, copy.header_offset, copy.CRC = 24, 24, of.header_offset, of.CRC
            out.filelist.append(copy)
        out.filelist[-1].file_size = 10**6
        out._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="its records are compressed or overlap"):
        load(tmp_path, file.getvalue())


def test_damage_is_found_or_does_not_matter(tmp_path: Path, needs: Needs) -> None:
    """300 times some bytes changed or cut: a ValueError, or the tree as it was; not all of an archive's bytes count."""
    torch = needs("torch")
    tree = {"w": torch.arange(6.0).reshape(2, 3).T, "epoch": 3, "p": torch.nn.Parameter(torch.ones(2))}
    raw, rng = saved(torch, tree), np.random.default_rng(0)
    found = 0
    for case in range(300):
        bad, place = bytearray(raw), int(rng.integers(len(raw)))
        if case % 3 == 0:
            bad[place] ^= 1 << int(rng.integers(8))
        elif case % 3 == 1:
            bad[place : place + int(rng.integers(1, 20))] = rng.bytes(int(rng.integers(20)))
        else:
            del bad[place:]
        try:
            loaded = load(tmp_path, bytes(bad))
        except ValueError:
            found += 1
        else:
            check(loaded, tree)
    assert found > 150  # two thirds are cut, or of another length
