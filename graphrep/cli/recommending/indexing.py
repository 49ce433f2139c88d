"""The vectors of the items as an index for nearest-neighbour search by faiss."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from graphrep.data.write import atomic_write
from graphrep.errors import GraphrepError, MissingExtraError, UnknownNameError

__all__ = ["check_index_target", "write_index"]

_ENDINGS = (".faiss", ".safetensors")


def check_index_target(path: Path) -> None:
    """Finds out before any work whether the index can be written.

    Raises:
        UnknownNameError: another ending.
        GraphrepError: no such folder.
        MissingExtraError: faiss is not installed.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise UnknownNameError(
            f'{path}: no index is known for "{path.suffix}".',
            hint="items.faiss for faiss itself, items.safetensors for graphrep neighbors",
        )
    if not path.absolute().parent.is_dir():
        raise GraphrepError(f"There is no folder {path.parent} to write into.", hint=f"mkdir -p {path.parent}")
    if importlib.util.find_spec("faiss") is None:
        raise MissingExtraError("--index needs faiss, which is not installed.", hint='pip install "graphrep[ann]"')


def write_index(path: Path, vectors: Any, ids: Any, *, seed: int = 0) -> str:
    """Writes an index of inner products, exact for few items and an inverted file for many; what it is.

    Args:
        path: ``.faiss``: what ``faiss.read_index`` reads, rows as in the file of item vectors; ``.safetensors``: with
            the ids, for ``graphrep neighbors`` and :meth:`graphrep.NearestIndex.load`.
        vectors: (I, d) of the items.
        ids: (I,) external ids.
        seed: of the clustering of the rows.
    """
    from graphrep.eval.neighbors import index

    if path.suffix.lower() == ".safetensors":
        found = index(vectors, metric="dot", ids=ids, backend="faiss", seed=seed)
        found.save(path)
        return repr(found)
    import faiss

    from graphrep.eval._faiss import FaissSearch

    search = FaissSearch.build(vectors, "dot", seed)
    with atomic_write(path) as file:
        file.write(faiss.serialize_index(search.index).tobytes())
    return search.describe()
