"""Find the files of a dataset: in the user's folder TINYGRAD_EDU_DATA, else downloaded once and kept.

Either way a file counts only when its sha256 is the published one, so that everybody learns from the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from tinygrad_edu.errors import require


def fetch(dataset: str, file: str, sha256: str, mirrors: tuple[str, ...]) -> Path:
    """The path of a dataset's file whose contents have the digest `sha256`.

    `$TINYGRAD_EDU_DATA/<dataset>/<file>` if that is there, else downloaded from the first of `mirrors` that has it,
    into the user's cache; a mirror is the file's address, or its folder's, ending in /. Raises ValueError for a file
    with other contents, ConnectionError, saying what to do instead, when no mirror gives it.
    """
    local = in_folder(dataset, file)
    if local is not None:
        found = hashlib.sha256(local.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(
                f"{local}: expected sha256 {sha256}, got {found}; the file is damaged or another: "
                "put the original there, or remove it to have it downloaded"
            )
        return local
    return _download(dataset, file, sha256, mirrors)


def in_folder(dataset: str, file: str) -> Path | None:
    """`$TINYGRAD_EDU_DATA/<dataset>/<file>` if it is there. ValueError if the variable names no folder."""
    folder = os.environ.get("TINYGRAD_EDU_DATA")
    if folder and not Path(folder).is_dir():
        raise ValueError(f"TINYGRAD_EDU_DATA is {folder!r}, which is no folder; correct it, or unset it to download")
    local = Path(folder, dataset, file) if folder else None
    return local if local is not None and local.exists() else None


def damaged(path: Path, expected: str, got: str) -> ValueError:
    """The error for a file that is not what it should be."""
    return ValueError(
        f"{path}: expected {expected}, got {got}; put an undamaged copy there, or remove it to have it downloaded"
    )


def _download(dataset: str, file: str, sha256: str, mirrors: tuple[str, ...]) -> Path:
    """Download to a temporary file, check, rename: a file that is wrong or incomplete is never left behind."""
    pooch = require("pooch", "viz")
    from requests import RequestException  # pooch downloads through it

    cache = pooch.os_cache("tinygrad_edu") / dataset
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)  # seconds without an answer
    failures = []
    for address in (mirror + file if mirror.endswith("/") else mirror for mirror in mirrors):
        try:
            return Path(pooch.retrieve(address, f"sha256:{sha256}", file, cache, downloader=downloader))
        except (RequestException, ValueError) as error:  # pooch raises ValueError for a wrong checksum
            failures.append(f"\n  {address}: {error}")
    raise ConnectionError(
        f"{dataset}: {file} could not be downloaded:{''.join(failures)}\nCheck the network and try again; or get the "
        f"file elsewhere, put it at FOLDER/{dataset}/{file} and set TINYGRAD_EDU_DATA=FOLDER"
    )
