"""A run's checkpoint: one file that is whole at every instant, and is resumed by the run that wrote it alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu import state


class Checkpoint:
    """The checkpoint in a run's folder, and the one before it under the name `previous`.

    `identity` is what must be the same when the run is resumed: its project, seed, settings and so on.
    """

    def __init__(self, folder: Path, identity: Mapping[str, object]) -> None:
        self.path = folder / "checkpoint.safetensors"
        self.previous = folder / "checkpoint.previous.safetensors"
        self.identity = {name: _plain(value) for name, value in identity.items()}
        self._not_finite: set[str] | None = None  # arrays that held a NaN or an infinity from the beginning

    def read(self, may_change: Sequence[str]) -> dict[str, Any]:
        """The tree that `write` was given. ValueError names what is wrong, or which setting differs and how."""
        self._remove_halves()
        if not self.path.exists():
            raise ValueError(f"--resume: there is no {self.path}; start without --resume, or correct --out")
        try:
            tree = state.load(self.path)
        except ValueError as error:
            hint = f"\nThe one before it may be whole: cp {self.previous} {self.path}, then --resume again"
            raise ValueError(f"--resume: {error}{hint * self.previous.exists()}") from error
        if not isinstance(tree, dict) or not isinstance(tree.get("identity"), dict):
            raise ValueError(f"--resume: {self.path} is not a run's checkpoint; start without --resume")
        then, now = tree["identity"], self.identity
        for name in now | then:
            if name not in may_change and then.get(name) != now.get(name):
                raise ValueError(
                    f"--resume: {self.path} was written with {name} {then.get(name)!r}, now it is {now.get(name)!r}; "
                    "resume with the same, or start anew without --resume"
                )
        return tree

    def check(self, states: Mapping[str, Any]) -> str | None:
        """The name of an array that has become NaN or infinite since the first call; None while all is well."""
        _, arrays = state.flatten(states)
        broken = {name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()}
        if self._not_finite is None:
            self._not_finite = broken  # a mask may hold infinities
        return min(broken - self._not_finite, default=None)

    def write(self, tree: Mapping[str, Any], *, first: bool) -> None:
        """Replace the checkpoint. The old one becomes `previous`; with `first` it is an older run's, and goes."""
        if first:
            self._remove_halves()
        before = self._drop_previous if first else self._keep_previous
        state.save(self.path, {"identity": self.identity, **tree}, before_replace=before)

    def remove(self) -> None:
        """Remove both: they are an older run's, and this one will write none."""
        self.path.unlink(missing_ok=True)
        self._drop_previous()

    def _remove_halves(self) -> None:
        """Remove what killed runs were just writing."""
        for half in self.path.parent.glob(".checkpoint.*.tmp"):
            half.unlink()

    def _keep_previous(self) -> None:
        """Give the file a second name before it is replaced, so that there is no instant without one."""
        link = self.path.with_name(f".{self.previous.name}.tmp")
        link.unlink(missing_ok=True)  # left where both names were one file already: then `replace` does nothing
        if self.path.exists():  # unless somebody has removed it
            os.link(self.path, link)
            os.replace(link, self.previous)

    def _drop_previous(self) -> None:
        self.previous.unlink(missing_ok=True)


def _plain(value: object) -> object:
    """A setting as a checkpoint can keep it."""
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def make_folder(folder: Path, flag: str) -> None:
    """Make a folder in which a file can be made. Raises OSError that names it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{flag}: cannot write in {folder}: {error.strerror}; give another place") from error
