"""The --features option: node features from a file, or made from the graph where it has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.errors import FileFormatError, GraphrepError, ShapeError, UnknownNameError
from graphrep.registry import suggest

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["MADE", "with_features"]

MADE = ("degree", "onehot", "fastrp")
_DEGREES = 64  # larger degrees share the last column
_DIM = 128


def with_features(graph: Graph, spec: str, *, seed: int = 0) -> Graph:
    """The graph with other features.

    Args:
        graph: keeps everything else.
        spec: a file of vectors with ids, as :func:`graphrep.load_embeddings` reads; or ``degree`` (one column per
            in-degree up to 63 and one for more, and the logarithm), ``onehot`` (a column per node; sparse), ``fastrp``
            (128 numbers from :class:`~graphrep.FastRP`, columns standardised).
        seed: of fastrp.

    Raises:
        UnknownNameError: neither a file nor one of the names.
        ShapeError: the file does not hold a row for each node.
    """
    if Path(spec).is_file():
        return graph.replace(x=_from_file(graph, Path(spec)), feature_names=None)
    if spec not in MADE:
        what = "no such file" if "." in spec or "/" in spec else f"unknown.{suggest(spec, MADE)}"
        raise UnknownNameError(
            f'--features "{spec}": {what}', hint="a file (npy, npz, csv, parquet) or " + " | ".join(MADE)
        )
    makers = {"degree": _degree, "onehot": _onehot, "fastrp": _fastrp}
    return graph.replace(x=makers[spec](graph, seed), feature_names=None)


def _from_file(graph: Graph, path: Path) -> Any:
    from graphrep.cli.nodes import id_array
    from graphrep.data.embeddings import load_embeddings

    saved = load_embeddings(path)
    rows = np.asarray(saved.vectors, dtype=np.float32)
    if np.array_equal(saved.ids, np.arange(len(rows))):  # no ids of its own: rows in the order of the graph's nodes
        if len(rows) != graph.num_nodes:
            raise ShapeError(
                f"{path.name} has {len(rows)} rows and the graph has {graph.num_nodes} nodes.",
                hint="one row per node in the order of the ids, or a csv with an id column",
            )
        return rows
    place = {str(node): row for row, node in enumerate(id_array(saved.ids, len(rows)).tolist())}
    wanted = [place.get(str(node), -1) for node in id_array(graph.ids, graph.num_nodes).tolist()]
    missing = wanted.count(-1)
    if missing == len(wanted):
        raise FileFormatError(f"No node of the graph is in {path.name}.", hint="ids as in the edge list")
    if missing:
        first = id_array(graph.ids, graph.num_nodes)[wanted.index(-1)]
        raise GraphrepError(
            f"{path.name} has no features for {missing} of {len(wanted)} nodes (first: {first}).",
            hint="a row for every node; zeros where nothing is known",
        )
    return rows[wanted]


def _degree(graph: Graph, seed: int) -> Any:
    import torch

    degree = torch.bincount(graph.edge_index[1], minlength=graph.num_nodes)
    columns = torch.nn.functional.one_hot(degree.clamp(max=_DEGREES), _DEGREES + 1).float()
    return torch.cat([columns, degree.float().log1p()[:, None]], dim=1)


def _onehot(graph: Graph, seed: int) -> Any:
    import torch

    count = graph.num_nodes
    return torch.sparse_csr_tensor(
        torch.arange(count + 1), torch.arange(count), torch.ones(count), size=(count, count), check_invariants=False
    )


def _fastrp(graph: Graph, seed: int) -> Any:
    from graphrep.methods import FastRP

    return FastRP(dim=_DIM, standardize=True, seed=seed).fit_transform(graph.replace(x=None, feature_names=None))
