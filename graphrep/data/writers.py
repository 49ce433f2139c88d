"""Writing graphs to files that :func:`graphrep.read` reads again, and that other programs know.

========= ==================== ============================================================================
format    extensions           what it holds
========= ==================== ============================================================================
npz       .npz                 everything: one array per part, as :mod:`graphrep.data.npz` describes
pt        .pt .pth             everything: the dictionary of a PyG ``Data`` (``Data.from_dict(torch.load(path))``)
json      .json                edges, direction, weights, ids, features, labels: networkx's node-link form
graphml   .graphml             the same
gexf      .gexf                the same
csv       .csv .tsv .txt       edges, weights (float32), ids: header ``source,target[,weight]``
parquet   .parquet .pq         edges, weights, ids: columns ``source``, ``target`` and ``weight``
========= ==================== ============================================================================

A :class:`~graphrep.data.hetero.HeteroGraph` becomes a folder of csv or parquet tables with its ``graph.toml``, as
:mod:`graphrep.data.hetero_folder` reads it.

All but npz, pt and parquet may end in ``.gz`` too. Every stored entry of a graph becomes a row of csv and parquet, so
that an undirected edge has two; the formats that can say "undirected" get it once.
"""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.data.write import atomic_write
from graphrep.errors import GraphrepError, UnknownNameError

__all__ = ["FORMATS", "feature_arrays", "graph_format", "write"]

FORMATS: dict[str, tuple[str, ...]] = {
    "npz": (".npz",),
    "pt": (".pt", ".pth"),
    "json": (".json",),
    "graphml": (".graphml",),
    "gexf": (".gexf",),
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
}
_WRITERS = {
    "npz": "graphrep.data.writers:write_npz",
    "pt": "graphrep.interop.pt:write_pt",
    "json": "graphrep.data.json_graph:write_json",
    "graphml": "graphrep.data.graphml:write_graphml",
    "gexf": "graphrep.data.gexf:write_gexf",
    "csv": "graphrep.data.rows:write_rows",
    "parquet": "graphrep.data.tables:write_parquet",
}
_BINARY = ("npz", "pt", "parquet")


def graph_format(path: str | os.PathLike[str], name: str | None = None) -> str:
    """The format called `name`, or else the one that the extension of `path` stands for.

    Raises:
        UnknownNameError: neither says which.

    Example:
        >>> graph_format("edges.csv.gz"), graph_format("x", "graphml")
        ('csv', 'graphml')
    """
    from graphrep.registry import suggest

    if name is not None:
        if name not in FORMATS:
            raise UnknownNameError(f'Unknown format "{name}".{suggest(name, FORMATS)}', hint=", ".join(FORMATS))
        return name
    suffixes = [s.lower() for s in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    for known, endings in FORMATS.items():
        if suffixes and suffixes[-1] in endings:
            return known
    ending = suffixes[-1] if suffixes else ""
    raise UnknownNameError(
        f'{path}: no format is known for "{ending}".', hint=f"format= one of {', '.join(FORMATS)}, or another ending"
    )


def write(graph: Any, path: str | os.PathLike[str], *, format: str | None = None, nodes: bool = False) -> Path:
    """Writes a graph; the file appears only when it is complete.

    Args:
        graph: what :meth:`Graph.coerce` or :meth:`HeteroGraph.coerce` takes.
        path: where to, for a typed graph a new folder; else the extension decides the format unless `format` is given,
            and ``.gz`` behind it packs text.
        format: ``npz``, ``pt``, ``json``, ``graphml``, ``gexf``, ``csv`` or ``parquet``; of the tables of a typed graph
            ``csv`` (default) or ``parquet``.
        nodes: csv and parquet only: also write NAME.nodes.csv (or .parquet), one row per node with its id, label and
            features, for other programs.

    Returns:
        The path.

    Raises:
        UnknownNameError: no such format.
        GraphrepError: an id or a weight that the format cannot hold, or the file cannot be written; nothing is left
            behind.
        MissingExtraError: parquet without pyarrow.

    Example:
        >>> import tempfile
        >>> from graphrep.data.read import read
        >>> g = Graph(torch.tensor([[0, 1], [1, 0]]), torch.tensor([2.0, 2.0]), ids=["a", "b"])
        >>> path = write(g, tempfile.mkdtemp() + "/pair.csv")
        >>> print(path.read_text(), read(path).edge_weight.tolist())
        source,target,weight
        a,b,2
        b,a,2
         [2.0, 2.0]
    """
    from graphrep.data.coerce import converted

    typed = converted(graph)
    if isinstance(typed, HeteroGraph):
        from graphrep.data.folder_writer import write_folder

        return write_folder(typed, path, format=format or "csv")
    kind = graph_format(path, format)
    target = Path(path)
    packed = target.suffix.lower() == ".gz"
    if packed and kind in _BINARY:
        raise GraphrepError(f"{target.name}: {kind} files are packed inside.", hint=f"{target.with_suffix('')}")
    if nodes and kind not in ("csv", "parquet"):
        raise GraphrepError(f"{kind} files hold the nodes already.", hint="nodes=True is for csv and parquet")
    module, _, name = _WRITERS[kind].partition(":")
    put: Callable[..., None] = getattr(importlib.import_module(module), name)
    found = Graph.coerce(graph if typed is None else typed).to("cpu")
    separator = "\t" if ".tsv" in [s.lower() for s in target.suffixes] else ","
    options: dict[str, Any] = {"separator": separator} if kind == "csv" else {}
    _into(target, packed, lambda file: put(found, file, **options))
    if nodes:
        put_nodes: Callable[..., None] = getattr(importlib.import_module(module), f"{name}_of_nodes")
        ending = "".join(target.suffixes[-2:] if packed else target.suffixes[-1:])
        beside = target.with_name(target.name.removesuffix(ending) + ".nodes" + ending)
        _into(beside, packed, lambda file: put_nodes(found, file, **options))
    return target


def _into(target: Path, packed: bool, put: Callable[[Any], None]) -> None:
    with atomic_write(target) as file:
        if packed:
            with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=6) as stream:
                put(stream)
        else:
            put(file)


def write_npz(graph: Graph, file: IO[bytes]) -> None:
    """Every part of a graph as an array; equal graphs give equal files."""
    import zipfile

    from graphrep.data.embeddings import npz_member

    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in _arrays(graph).items():
            with archive.open(npz_member(name, packed=True), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _arrays(graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, Any] = {"edge_index": graph.edge_index, "num_nodes": np.int64(graph.num_nodes)}
    arrays["directed"] = np.uint8(not graph.is_undirected())
    arrays |= {"edge_weight": graph.edge_weight, "y": graph.y, "ids": graph.ids}
    arrays |= {key: getattr(graph, key) for key in ("train_idx", "val_idx", "test_idx")}
    arrays |= feature_arrays(graph.x) if graph.x is not None else {}
    if graph.feature_names is not None:
        arrays["feature_names"] = np.array(graph.feature_names, dtype=str)
    if graph.text is not None:  # all strings joined, as strings of one width would take that of the longest
        texts = [text.encode() for text in graph.text.tolist()]
        arrays["text_bytes"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
        arrays["text_offsets"] = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return {key: _numpy(value) for key, value in arrays.items() if value is not None}


def feature_arrays(x: torch.Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Features as the arrays that :func:`graphrep.data.npz_kinds.features_of` puts together again."""
    if x.layout is torch.strided:
        return {"x": _numpy(x)}
    pieces = {"indptr": x.crow_indices(), "indices": x.col_indices(), "data": x.values(), "shape": np.array(x.shape)}
    return {f"x_{name}": _numpy(piece) for name, piece in pieces.items()}


def _numpy(value: Any) -> np.ndarray[Any, Any]:
    """A numpy array; half precision of torch's own kind becomes float32."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach()
    return np.asarray((value.float() if value.dtype == torch.bfloat16 else value).numpy())
