"""Modules that hold others: one after the other (Sequential), as a list, as a dictionary; torch's names and keys.

Plain lists and dictionaries will not do: what is in them would be no attribute, and so in no `parameters()`.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from tinygrad_edu.nn.module import Module


class _Numbered(Module):
    """Modules under the names "0", "1", ..."""

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, i: Any) -> Any:
        """The i-th Module, counted from the end if negative; a container of this kind for a slice."""
        found = list(self.children())[i]
        return self._of(found) if isinstance(i, slice) else found

    @classmethod
    def _of(cls, modules: list[Module]) -> Any:
        """A container of this kind."""
        raise NotImplementedError

    def _put(self, i: int, module: Any) -> None:
        if not isinstance(module, Module):
            name = type(self).__name__
            raise TypeError(f"{name}: expected Modules, got {type(module).__name__} at position {i}")
        setattr(self, str(i), module)


class Sequential(_Numbered):
    """Modules one after the other, under the names "0", "1", ...

    >>> from tinygrad_edu import nn
    >>> list(nn.Sequential(nn.Linear(2, 3), nn.ReLU()).state_dict())
    ['0.weight', '0.bias']
    """

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            self._put(i, module)

    @classmethod
    def _of(cls, modules: list[Module]) -> Sequential:
        return cls(*modules)

    def forward(self, x: Any) -> Any:
        """What the last Module makes of what the one before it made, and so on back to x."""
        for module in self.children():
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of Modules, under the names "0", "1", ...; how they are called is up to whoever holds it.

    >>> from tinygrad_edu import nn
    >>> blocks = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(2))
    >>> list(blocks.append(nn.Linear(4, 2)).state_dict())
    ['0.weight', '1.weight', '2.weight', '2.bias']
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    @classmethod
    def _of(cls, modules: list[Module]) -> ModuleList:
        return cls(modules)

    def append(self, module: Module) -> ModuleList:
        """Put a Module at the end; returns the list. TypeError for anything else, as of the methods below."""
        self._put(len(self), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Put several at the end; returns the list."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a Module before the one at `index`; the later ones move up by one."""
        modules = list(self.children())
        modules.insert(index, module)
        for i, each in enumerate(modules):
            self._put(i, each)

    def __setitem__(self, index: int, module: Module) -> None:
        """Another Module in the place of the one at `index`. IndexError where there is none."""
        self._put(range(len(self))[index], module)


class ModuleDict(Module):
    """Modules under names of your own; how they are called is up to whoever holds it.

    KeyError for a name that is empty, has a dot in it, or is an attribute of every Module ("training", say).

    >>> from tinygrad_edu import nn
    >>> heads = nn.ModuleDict({"value": nn.Linear(4, 1), "policy": nn.Linear(4, 2, bias=False)})
    >>> list(heads.state_dict())
    ['value.weight', 'value.bias', 'policy.weight']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add all of these, in the place of those of the same name."""
        for name, module in dict(modules).items():
            self[name] = module

    def _held(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str) or not isinstance(module, Module):
            kinds = f"{type(name).__name__} and {type(module).__name__}"
            raise TypeError(f"ModuleDict: expected a str and a Module, got {kinds}")
        if not name or "." in name or (name not in self and hasattr(self, name)):
            raise KeyError(f"ModuleDict: {name!r} can be no name: it is empty, has a dot, or is taken by an attribute")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        return self._held()[name]

    def __delitem__(self, name: str) -> None:
        self._held()[name]  # a KeyError, rather than an attribute of another kind deleted
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._held())

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __contains__(self, name: object) -> bool:
        return name in self._held()

    def keys(self) -> KeysView[str]:
        """The names, in the order in which they were added."""
        return self._held().keys()

    def values(self) -> ValuesView[Module]:
        """The Modules."""
        return self._held().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and Modules."""
        return self._held().items()

    def pop(self, name: str) -> Module:
        """Take out a Module. KeyError for an unknown name."""
        module = self[name]
        del self[name]
        return module
