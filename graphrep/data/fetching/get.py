"""`download`: a named data set from its public source into the folder where `load` looks for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.data.cards import Card, card
from graphrep.data.check import grouped
from graphrep.data.content import content_sha256
from graphrep.data.datasets import cache_dir, data_roots
from graphrep.data.fetching.fetch import Progress, fetch
from graphrep.data.fetching.forms import FORMS
from graphrep.data.write import atomic_write
from graphrep.errors import ChecksumError, DownloadError, FileFormatError

__all__ = ["download"]


def download(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Fetches a data set's published files and writes the archive that :func:`graphrep.load` reads.

    The archive appears complete or not at all. Nothing else in this package uses the network.

    Args:
        name: of the data set; its card has the addresses.
        data_dir: root folder for the file; default the ``data`` folder of the user's cache.
        force: fetch again although the file is there already.
        verify: refuse what differs from the card. False keeps it; `load` then warns each time.
        progress: called as ``progress(file, bytes_done, bytes_total)``.

    Returns:
        The archive: the new one, or the one that was found.

    Raises:
        UnknownNameError: no such data set.
        DownloadError: the card names no address, or the transfer failed.
        ChecksumError: what came is not what the card describes; nothing is kept.
        FileFormatError: what came cannot be read; nothing is kept.
    """
    entry = card(name)
    if not entry.file:
        raise DownloadError(
            f"{entry.full_name} is built from installed packages; there is nothing to download.",
            hint=f'graphrep.load("{entry.name}")',
        )
    target = (Path(data_dir).expanduser() if data_dir else cache_dir() / "data") / entry.file
    if not force:
        for path in [target] if data_dir else [root / entry.file for root in data_roots()]:
            if path.is_file():
                return path
    if entry.download is None:
        raise DownloadError(
            f"graphrep knows no address to download {entry.full_name} from (it was made from {entry.source}).",
            hint=_by_hand(entry),
        )
    names = [url.rpartition("/")[2] for url in entry.download.urls]
    checksums = entry.download.sha256 or ("",) * len(names)
    files = [
        fetch(url, sha256=checksum, progress=progress, hint=_by_hand(entry))
        for url, checksum in zip(entry.download.urls, checksums, strict=True)
    ]
    arrays = FORMS[entry.download.form](files, names)
    _check(entry, arrays, verify)
    _make_folder(target.parent)
    with atomic_write(target) as file:
        np.savez_compressed(file, **arrays)
    return target


def _by_hand(entry: Card) -> str:
    return (
        f"copy the file from a machine that has it, and --data-dir FOLDER or GRAPHREP_DATA=FOLDER, "
        f"where FOLDER/{entry.file} exists"
    )


def _check(entry: Card, arrays: dict[str, Any], verify: bool) -> None:
    """Compares counts and content with the card; without `verify` a difference is noted in the archive instead."""
    found = content_sha256(arrays)
    if entry.download is None or found == entry.download.content:
        return
    counts = {"nodes": int(arrays["num_nodes"]), "edges": arrays["edge_index"].shape[1] // 2}
    differ = [f"{grouped(n)} {key} instead of {grouped(getattr(entry, key))}"
              for key, n in counts.items() if n != getattr(entry, key)]  # fmt: skip
    if verify:
        raise ChecksumError(
            f"What was downloaded is not the {entry.full_name} of the card: "
            f"{', '.join(differ) or 'the counts agree, the content differs'}; nothing was kept.",
            hint="its authors may have changed it; --no-verify keeps it all the same",
        )
    arrays["unverified"] = np.array(found)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"The folder {folder} cannot be made: {error.strerror or error}.", hint="another one with --data-dir"
        ) from error
