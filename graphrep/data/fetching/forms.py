"""From the files that authors publish to this package's archives: one function per form, bytes in, arrays out."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from graphrep.data.canonical import canonical_edges
from graphrep.data.fetching.planetoid_files import as_array, as_csr, as_lists, read_instructions
from graphrep.errors import FileFormatError

__all__ = ["FORMS", "archive"]

Arrays = dict[str, Any]


def archive(edges: Any, num_nodes: int, x: Any | None = None, y: Any | None = None, **others: Any) -> Arrays:
    """The arrays of a graph archive from raw parts.

    Args:
        edges: (2, E) as published; kept as ``raw_edge_index`` where cleaning changes something.
        num_nodes: N.
        x: (N, F) scipy matrix.
        y: (N,) class numbers.
        others: further arrays (a split), stored as they are.
    """
    if edges.size and not 0 <= int(edges.min()) <= int(edges.max()) < num_nodes:
        raise FileFormatError(f"An edge refers to node {int(edges.max())} of {num_nodes}.", hint="download it again")
    clean = canonical_edges(torch.from_numpy(edges.astype(np.int64)), None, num_nodes, directed=False).edge_index
    found: Arrays = {"num_nodes": np.int64(num_nodes), "edge_index": clean.flip(0).numpy().astype(np.int32)}
    raw = edges[:, np.lexsort((edges[1], edges[0]))]
    if raw.shape != clean.shape or not np.array_equal(raw, found["edge_index"]):
        found["raw_edge_index"] = edges.astype(np.int32)
    if x is not None:
        matrix = x.tocsr().astype(np.float32)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        indices = matrix.indices.astype(np.uint16 if matrix.shape[1] <= 1 << 16 else np.int32)
        found |= {"x_indptr": matrix.indptr.astype(np.int32), "x_indices": indices, "x_data": matrix.data}
        found["x_shape"] = np.array(matrix.shape, dtype=np.int64)
    if y is not None:
        found["y"] = np.asarray(y).astype(np.int32)
    return found | others


def planetoid(files: Sequence[bytes], names: Sequence[str]) -> Arrays:
    """Yang et al.'s splits: tx, allx, y, ty, ally, graph, test.index.

    Test rows come last and in the order of test.index. Nodes of that range which the index leaves out have no row
    anywhere: their features are zero, and their class is stored as 0 (``unlabeled_idx``). The first rows are the
    training nodes, the next 500 the validation nodes.
    """
    import scipy.sparse as sp

    parts = [read_instructions(content, name) for content, name in zip(files[:-1], names, strict=False)]
    tx, allx = as_csr(parts[0], names[0]), as_csr(parts[1], names[1])
    y, ty, ally = (as_array(parts[i], names[i]) for i in (2, 3, 4))
    edges = as_lists(parts[5], names[5])
    test = np.array(files[6].split(), dtype=np.int64)
    if len(test) != tx.shape[0] or len(test) != len(ty) or allx.shape[0] != len(ally) or not len(test):
        raise FileFormatError(f"{names[6]} and the rows of {names[0]} do not fit together.", hint="download it again")
    count = max(int(test.max()) + 1, len(ally))
    place = sp.csr_array((np.ones(len(test)), (test, np.arange(len(test)))), shape=(count, len(test)))
    above = sp.csr_array((np.ones(len(ally)), (np.arange(len(ally)),) * 2), shape=(count, len(ally)))
    labels = np.zeros((count, ally.shape[1]), dtype=np.int64)
    labels[: len(ally)], labels[test] = ally, ty
    train = np.arange(len(y), dtype=np.int32)
    return archive(
        edges, count, x=above @ allx + place @ tx, y=labels.argmax(1), train_idx=train,
        val_idx=np.arange(len(y), len(y) + 500, dtype=np.int32), test_idx=np.sort(test).astype(np.int32),
        unlabeled_idx=np.flatnonzero(labels.sum(1) == 0).astype(np.int32),
    )  # fmt: skip


def csr_npz(files: Sequence[bytes], names: Sequence[str]) -> Arrays:
    """Archives of two CSR matrices, ``adj_*`` and ``attr_*``, and ``labels`` (gnn-benchmark, graph2gauss)."""
    import scipy.sparse as sp

    with np.load(io.BytesIO(files[0]), allow_pickle=False) as stored:
        pieces = {
            kind: sp.csr_array(tuple(stored[f"{kind}_{part}"] for part in ("data", "indices", "indptr")),
                               shape=tuple(int(n) for n in stored[f"{kind}_shape"]))
            for kind in ("adj", "attr")
        }  # fmt: skip
        labels = stored["labels"]
    edges = np.stack(pieces["adj"].tocoo().coords)
    return archive(edges, len(labels), x=pieces["attr"], y=labels)


def network_mat(files: Sequence[bytes], names: Sequence[str]) -> Arrays:
    """A MATLAB file with the adjacency matrix ``net``; its weights are not used."""
    return _matrix(_mat(files[0], names[0], "net")["net"])


def facebook100(files: Sequence[bytes], names: Sequence[str]) -> Arrays:
    """A MATLAB file with the adjacency matrix ``A`` and a table ``local_info`` of seven facts per person."""
    stored = _mat(files[0], names[0], "A", "local_info")
    return _matrix(stored["A"]) | {"local_info": stored["local_info"].astype(np.int32)}


def _mat(content: bytes, name: str, *keys: str) -> Arrays:
    from scipy.io import loadmat

    stored: Arrays = loadmat(io.BytesIO(content), variable_names=keys)
    missing = [key for key in keys if key not in stored]
    if missing:
        raise FileFormatError(f"{name} has no matrix {missing[0]}.", hint="download it again")
    return stored


def _matrix(matrix: Any) -> Arrays:
    import scipy.sparse as sp

    found = sp.coo_array(matrix)
    return archive(np.stack(found.coords)[:, found.data != 0], found.shape[0])


_Form = Callable[[Sequence[bytes], Sequence[str]], Arrays]


def _checked(form: _Form) -> _Form:
    """Turns what numpy, scipy and zipfile say about damaged files into one kind of error."""

    def run(files: Sequence[bytes], names: Sequence[str]) -> Arrays:
        try:
            return form(files, names)
        except FileFormatError:
            raise
        except Exception as error:  # a damaged file may fail anywhere inside numpy, scipy or zipfile
            raise FileFormatError(
                f"{', '.join(names)} cannot be read as {form.__name__}: {error}.", hint="download it again"
            ) from error

    return run


FORMS: dict[str, _Form] = {form.__name__: _checked(form) for form in (planetoid, csr_npz, network_mat, facebook100)}
"""Name in a card -> function from the files' contents and names to the arrays of an archive."""
