"""From the objects of other libraries to ours, by the library that an object's class comes from."""

from __future__ import annotations

import importlib
from typing import Any

from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.data.interactions import Interactions
from graphrep.data.links import KnowledgeGraph, LinkSplit
from graphrep.errors import DTypeError
from graphrep.kernels import CSR

__all__ = ["as_hetero", "as_interactions", "convert", "converted", "not_a_graph"]

_OURS = (Graph, HeteroGraph, Interactions, LinkSplit, KnowledgeGraph)
_CONVERTERS = {
    "torch_geometric": "from_pyg", "networkx": "from_networkx", "scipy": "from_scipy", "dgl": "from_dgl",
    "pandas": "from_pandas",
}  # fmt: skip
_HINTS = {
    "HeteroGraph": "graph.to_homogeneous().graph, or a method for typed graphs",
    "Interactions": "a method for recommendation, such as LightGCN",
    "LinkSplit": "its .graph, which holds the training links",
    "KnowledgeGraph": "its .graph(), which drops the relations",
}
_KINDS = {
    "hetero": "HeteroGraph", "interactions": "Interactions", "link split": "LinkSplit",
    "knowledge graph": "KnowledgeGraph",
}  # fmt: skip


def convert(name: str, *args: Any, **options: Any) -> Any:
    """Calls a converter of :mod:`graphrep.interop` by its name."""
    return getattr(importlib.import_module("graphrep.interop"), name)(*args, **options)


def converted(data: Any) -> Any:
    """One of our objects as it is, what its converter makes of another library's, and None for anything else."""
    if isinstance(data, _OURS):
        return data
    if isinstance(data, CSR):
        from graphrep.interop.scipy import from_csr

        return from_csr(data)
    if isinstance(data, tuple | dict):  # the two tables of a graph, or a table for each edge type
        owners = {owner for part in (data if isinstance(data, tuple) else data.values()) for owner in _owners(part)}
        tables = "pandas" in owners
        return convert("from_pandas", *(data if isinstance(data, tuple) else (data,))) if tables else None
    owners = _owners(data)
    name = next((name for owner, name in _CONVERTERS.items() if owner in owners), None)
    return None if name is None else convert(name, data)


def _owners(data: Any) -> set[str]:
    if isinstance(data, dict) and data:
        return _owners(next(iter(data.values())))
    return {base.__module__.partition(".")[0] for base in type(data).__mro__}


def not_a_graph(what: str, kind: str) -> DTypeError:
    """The error for one of our other objects where a Graph is needed.

    Args:
        what: the subject of the sentence.
        kind: the class, or the kind on a data set's card.
    """
    known = _KINDS.get(kind, kind)
    if known not in _HINTS:
        return DTypeError(f"{what} is not a graph.", hint="a Graph")
    why = (
        "several node types, which Graph cannot hold"
        if known == "HeteroGraph"
        else f"the form of {known}, not of Graph"
    )
    return DTypeError(f"{what} has {why}.", hint=_HINTS[known])


def as_hetero(graph: Any) -> HeteroGraph:
    """A HeteroGraph from a HeteroGraph, PyG ``HeteroData``, DGL heterograph, typed networkx graph or tables by type.

    Raises:
        DTypeError: an object of another kind.

    Example:
        >>> from torch_geometric.data import HeteroData
        >>> data = HeteroData()
        >>> data["a", "to", "b"].edge_index = [[0, 1], [1, 1]]
        >>> as_hetero(data)
        HeteroGraph(2 a, 2 b; 2 a-to-b)
    """
    result = converted(graph)
    if isinstance(result, HeteroGraph):
        return result
    raise DTypeError(
        f"A {type(graph).__name__} has no typed nodes and edges.",
        hint="HeteroGraph, PyG HeteroData, DGL heterograph, networkx graph with node_type, or tables by edge type",
    )


def as_interactions(data: Any) -> Interactions:
    """Interactions from Interactions, a pandas table, a scipy matrix, a CSR (rows users) or PyG ``HeteroData``.

    Raises:
        DTypeError: an object of another kind.
    """
    if isinstance(data, Interactions):
        return data
    if isinstance(data, CSR):
        return Interactions(data.row(), data.col, data.value, num_users=data.num_rows, num_items=data.num_cols)
    owners = _owners(data)
    for owner, name in (("pandas", "pandas"), ("scipy", "scipy"), ("torch_geometric", "pyg")):
        if owner in owners and not isinstance(data, dict):
            result: Interactions = convert(f"interactions_from_{name}", data)
            return result
    raise DTypeError(
        f"A {type(data).__name__} holds no interactions of users with items.",
        hint="Interactions, a pandas table, a scipy matrix or CSR with a row per user, or PyG HeteroData",
    )
