"""Sequential, ModuleList, ModuleDict beside torch's: keys, order, what is found in them, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tinygrad_edu import nn

Needs = Callable[[str], ModuleType]


def change_list(t: Any) -> Any:
    """The same calls on either library's list."""
    blocks = t.ModuleList([t.Linear(2, 3), t.ReLU()])
    blocks.append(t.Linear(3, 4))
    blocks.extend([t.Linear(4, 5), t.Tanh()])
    blocks.insert(1, t.Linear(3, 3))
    blocks[-1] = t.Linear(5, 6, bias=False)
    return blocks


def change_dict(t: Any) -> Any:
    """The same calls on either library's dictionary."""
    heads = t.ModuleDict({"policy": t.Linear(4, 2), "value": t.Linear(4, 1)})
    heads["aux"] = t.Linear(4, 3, bias=False)
    heads["policy"] = t.Linear(4, 7)
    heads.update({"more": t.ReLU(), "last": t.Linear(1, 1)})
    heads.pop("value")
    del heads["more"]
    return heads


@pytest.mark.parametrize("change", [change_list, change_dict])
def test_they_hold_what_torchs_do(needs: Needs, change: Callable[[Any], Any]) -> None:
    ours, theirs = change(nn), change(needs("torch").nn)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    assert list(ours.state_dict()) == list(shapes)
    assert [type(m).__name__ for m in ours.modules()] == [type(m).__name__ for m in theirs.modules()]
    assert len(ours) == len(theirs)
    ours.load_state_dict(theirs.state_dict())
    assert all(value.tolist() == theirs.state_dict()[key].tolist() for key, value in ours.state_dict().items())


def test_a_list_is_indexed_and_cut_as_one() -> None:
    blocks = change_list(nn)
    assert list(blocks) == [blocks[i] for i in range(6)]
    assert blocks[-2] is blocks[4]
    assert isinstance(blocks[1:3], nn.ModuleList)
    assert list(blocks[::2]) == [blocks[0], blocks[2], blocks[4]]
    body = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Tanh())
    assert isinstance(body[1:], nn.Sequential)
    assert list(body[1:]) == [body[1], body[2]]


def test_a_dictionary_is_asked_as_one() -> None:
    heads = change_dict(nn)
    assert list(heads) == list(heads.keys()) == ["policy", "aux", "last"]
    assert list(heads.values()) == [module for _, module in heads.items()] == list(heads.children())
    assert "policy" in heads
    assert "training" not in heads


def test_training_mode_reaches_what_is_held() -> None:
    model = nn.ModuleDict({"blocks": nn.ModuleList([nn.Dropout(0.5)])}).eval()
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: nn.ModuleList([nn.ReLU(), 3]), "ModuleList: expected Modules, got int at position 1"),
        (IndexError, lambda: nn.ModuleList([nn.ReLU()])[1], "out of range"),
        (IndexError, lambda: nn.ModuleList().__setitem__(0, nn.ReLU()), "out of range"),
        (TypeError, lambda: nn.ModuleDict({"a": 3}), "ModuleDict: expected a str and a Module, got str and int"),
        (TypeError, lambda: nn.ModuleDict({1: nn.ReLU()}), "ModuleDict: expected a str and a Module, got int and ReLU"),
        (KeyError, lambda: nn.ModuleDict({"a.b": nn.ReLU()}), "'a.b' can be no name"),
        (KeyError, lambda: nn.ModuleDict({"": nn.ReLU()}), "'' can be no name"),
        (KeyError, lambda: nn.ModuleDict({"training": nn.ReLU()}), "'training' can be no name"),
        (KeyError, lambda: nn.ModuleDict()["a"], "a"),
        (KeyError, lambda: nn.ModuleDict().__delitem__("training"), "training"),
        (TypeError, lambda: nn.ModuleList([nn.ReLU()])(1), r"ModuleList defines no forward\(\)"),
    ],
)
def test_mistakes(error: type[Exception], call: Callable[[], object], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
