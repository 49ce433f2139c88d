"""Named data sets: some built from installed packages, the others from files under a data root.

Nothing is downloaded here; :func:`graphrep.data.download` fetches a set when it is asked to.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from graphrep.data.cards import Card, card, list_datasets, resolve
from graphrep.data.check import GraphWarning, grouped
from graphrep.errors import FileFormatError

__all__ = ["cache_dir", "card", "data_roots", "find_file", "list_datasets", "load", "resolve"]


def cache_dir() -> Path:
    """The user's cache folder: ``GRAPHREP_CACHE``, else ``graphrep`` where the platform keeps caches."""
    chosen = os.environ.get("GRAPHREP_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "graphrep"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "graphrep" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphrep"


def data_roots(data_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """Folders that are searched for ``family/name.npz``: the argument, ``GRAPHREP_DATA``, then the cache's ``data``."""
    given = [data_dir, os.environ.get("GRAPHREP_DATA")]
    return [*(Path(root).expanduser() for root in given if root), cache_dir() / "data"]


def load(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    verify: bool = True,
    edges: str | None = None,
) -> Any:
    """A named data set.

    Args:
        name: ``digits``, ``karate``, ``lesmis``, ``davis`` and ``pydocs`` are always there; the other sets of
            :func:`list_datasets` need their file. A short name that several families have means the first of
            ``planetoid``, ``attributed``, ``clustering``, ``embedding``, ``linkpred``, ...; ``family/name`` always
            works. ``nx:karate_club_graph`` builds a graph of networkx.
        data_dir: folder that holds ``family/name.npz``; default the environment variable ``GRAPHREP_DATA``, then the
            user's cache.
        verify: compare the checksum of the file, or of its content, with the card.
        edges: another array of the file that holds edges (``raw_edge_index``, ``knn10_edge_index``).

    Returns:
        What the card's kind says: ``graph``: an undirected :class:`Graph` (with ``text`` for the sets of the family
        ``tag``); ``hetero``: a :class:`HeteroGraph`; ``interactions``: :class:`Interactions`; ``link split``: a
        :class:`LinkSplit`; ``knowledge graph``: a :class:`KnowledgeGraph`.

    Raises:
        UnknownNameError: no such data set.
        FileFormatError: the file is missing (the message says where it was looked for) or differs from the card.

    Example:
        >>> load("karate")
        Graph(karate: 34 nodes, 78 edges, undirected, weighted, 2 classes)
    """
    if name.startswith("nx:"):
        from graphrep.data.read import read_networkx

        return read_networkx(name[3:])
    entry = card(name)
    if entry.family == "embedded":
        from graphrep.data.embedded import BUILDERS

        return BUILDERS[entry.name]()
    path = find_file(entry, data_dir)
    if verify:
        _verify(path, entry)
    from graphrep.data.npz import read_npz

    if entry.kind == "graph" or edges is not None:
        return read_npz(path, edges=edges or entry.edges_key, directed=False)
    return read_npz(path)


def find_file(entry: Card, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The file of a data set under the first data root that has it.

    Raises:
        FileFormatError: no root has it; the message says where it was looked for.
    """
    roots = data_roots(data_dir)
    for root in roots:
        if (root / entry.file).is_file():
            return root / entry.file
    looked = ", ".join(str(root / entry.file) for root in roots)
    fetched = f"graphrep data get {entry.full_name}; or " if entry.download else ""
    raise FileFormatError(
        f"The file of {entry.full_name} is not there (looked for {looked}).",
        hint=f"{fetched}--data-dir FOLDER or GRAPHREP_DATA=FOLDER, where FOLDER/{entry.file} exists "
        f"(made from {entry.source})",
    )


def _verify(path: Path, entry: Card) -> None:
    size = path.stat().st_size
    if size == entry.bytes:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256:
                return
        differs = "its checksum differs from the card's"
    else:
        differs = f"it has {grouped(size)} bytes and the card says {grouped(entry.bytes)}"
    if entry.download is not None and _same_content(path, entry):
        return
    raise FileFormatError(
        f"{path} is not the file that the card of {entry.full_name} describes: {differs}.",
        hint="copy the file again, or load(..., verify=False) to use it as it is",
    )


def _same_content(path: Path, entry: Card) -> bool:
    """Whether a downloaded archive says what the card's file says; one that was kept unverified gives a warning."""
    from graphrep.data._archive import Archive
    from graphrep.data.content import content_sha256

    arrays = Archive(path)
    if "unverified" in arrays:
        warnings.warn(
            f"{entry.full_name} was downloaded with --no-verify and differs from the card.", GraphWarning, stacklevel=4
        )
        return True
    content = content_sha256({name: arrays[name] for name in arrays})
    return entry.download is not None and content == entry.download.content
