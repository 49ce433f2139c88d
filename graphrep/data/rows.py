"""Edge lists as text, written: one row per stored entry, in blocks, by a compiled loop."""

from __future__ import annotations

import re
from typing import IO, Any

import numba
import numpy as np
import torch

from graphrep.data._numbers import MAX_NUMBER_BYTES, put_float32
from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError, NonFiniteError

__all__ = ["write_rows", "write_rows_of_nodes"]

_ROWS = 1 << 18
_NEWLINE = 10
_PLAIN = re.compile(r"[\w.:/@+-]+")


def write_rows(graph: Graph, file: IO[bytes], *, separator: str = ",") -> None:
    """Writes ``source,target[,weight]`` and a row per entry; weights with the nine digits that restore a float32.

    Raises:
        GraphrepError: an id that text cannot hold.
        NonFiniteError: a float64 weight beyond float32.
    """
    weight = None if graph.edge_weight is None else float32_weights(graph.edge_weight)
    columns = ["source", "target"] + ([] if weight is None else ["weight"])
    file.write((separator.join(columns) + "\n").encode())
    names, offsets = _packed_names(graph)
    lengths = np.diff(offsets)
    values = np.empty(0, dtype=np.float32) if weight is None else weight
    for start in range(0, graph.num_edges, _ROWS):
        source, target = (part[start : start + _ROWS].numpy() for part in graph.edge_index)
        room = int(lengths[source].sum() + lengths[target].sum()) + source.size * (3 + MAX_NUMBER_BYTES)
        out = np.empty(room, dtype=np.uint8)
        size = _put_rows(source, target, values[start : start + _ROWS], names, offsets, ord(separator), out)
        file.write(out[:size].data)


def write_rows_of_nodes(graph: Graph, file: IO[bytes], *, separator: str = ",") -> None:
    """Writes a header and one row per node: id, labels, features (as float32)."""
    from graphrep.data._vectors import write_text

    ids = np.arange(graph.num_nodes) if graph.ids is None else np.asarray(graph.ids)
    blocks, titles = node_table(graph)
    quoted = [_field(t) for t in titles]
    shape = (graph.num_nodes, len(titles))
    write_text(file, blocks, ids, shape, separator, header="csv", titles=quoted)


def node_table(graph: Graph, rows: int = 4096) -> tuple[list[np.ndarray[Any, Any]], list[str]]:
    """Labels and features side by side, in runs of rows, and the columns' titles."""
    titles, y = [], None
    if graph.y is not None:
        y = graph.y.reshape(graph.num_nodes, -1)
        titles += ["y"] if y.shape[1] == 1 else [f"y{i}" for i in range(y.shape[1])]
    names = graph.feature_names
    titles += list(names) if names is not None else [f"x{i}" for i in range(graph.num_features)]
    x = graph.x
    if x is not None and x.layout is not torch.strided:
        import scipy.sparse as sp

        pieces = (x.values().detach().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
        sparse = sp.csr_array(pieces, shape=tuple(x.shape))
    blocks = []
    for start in range(0, graph.num_nodes, rows):
        part = slice(start, start + rows)
        columns = [] if y is None else [y[part].numpy().astype(np.float32)]
        if x is not None:
            dense = x[part].detach().float().numpy() if x.layout is torch.strided else sparse[part].toarray()
            columns.append(dense.astype(np.float32))
        count = min(rows, graph.num_nodes - start)
        blocks.append(np.concatenate(columns, axis=1) if columns else np.empty((count, 0), dtype=np.float32))
    return blocks, titles


def float32_weights(weight: torch.Tensor) -> np.ndarray[Any, Any]:
    """(E,) float32, which is what the readers of text make of weights.

    Raises:
        NonFiniteError: a weight that float32 cannot hold.
    """
    values: np.ndarray[Any, Any] = weight.detach().float().numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise NonFiniteError(
            f"Edge {bad[0]} has weight {float(weight[int(bad[0])])}, which float32 cannot hold.", hint="format='npz'"
        )
    return values


def _packed_names(graph: Graph) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Every node's id as bytes, one behind the other, and where each begins."""
    ids = range(graph.num_nodes) if graph.ids is None else graph.ids.tolist()
    names = [_field(v) if isinstance(v, str) else str(v) for v in ids]
    try:
        packed = [n.encode() for n in names]
    except UnicodeEncodeError as error:
        raise GraphrepError(f"An id is not valid text: {error}.", hint="format='npz'") from error
    offsets = np.zeros(len(packed) + 1, dtype=np.int64)
    np.cumsum([len(n) for n in packed], out=offsets[1:])
    return np.frombuffer(b"".join(packed) or b" ", dtype=np.uint8), offsets


def _field(text: str) -> str:
    """A text field, in quotes unless it is plain."""
    if _PLAIN.fullmatch(text):
        return text
    if not text or any(c in text for c in "\n\r\0"):
        raise GraphrepError(
            f"{text!r} is empty or holds a line break, which text files cannot.", hint="format='npz' or 'parquet'"
        )
    return '"' + text.replace('"', '""') + '"'


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _put_rows(source: Any, target: Any, weight: Any, names: Any, offsets: Any, separator: int, out: Any) -> Any:
    at = 0
    for e in range(source.size):
        for k in range(2):
            node = source[e] if k == 0 else target[e]
            for p in range(offsets[node], offsets[node + 1]):
                out[at] = names[p]
                at += 1
            out[at] = separator
            at += 1
        if weight.size:
            at = put_float32(out, at, weight[e])
            out[at] = _NEWLINE
            at += 1
        else:
            out[at - 1] = _NEWLINE
    return at
