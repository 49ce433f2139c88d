"""The last step of every reader: edges cleaned or kept as they are, features checked, and the report."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import torch
from torch import Tensor

from graphrep.data import _parts
from graphrep.data.canonical import Canonical, canonical_edges
from graphrep.data.check import GraphWarning, check_features, check_nodes, check_rows, grouped
from graphrep.data.graph import Graph
from graphrep.data.report import ReadReport
from graphrep.errors import FileFormatError

__all__ = ["Cleaning", "finish"]

_FREE_NODES, _NODES_PER_ROW = 1 << 24, 64


@dataclasses.dataclass(frozen=True)
class Cleaning:
    """What the caller wants done with what a file holds.

    Attributes:
        directed: keep the direction; None follows what the file states, and is False where it states nothing.
        keep_self_loops: keep edges from a node to itself.
        raw: keep every edge in its place: nothing merged, added or dropped.
        fill_nan: number that replaces NaN and infinity in features; None refuses them.
    """

    directed: bool | None = None
    keep_self_loops: bool = False
    raw: bool = False
    fill_nan: float | None = None


def finish(
    source: str,
    kind: str,
    edge_index: Any,
    edge_weight: Any,
    num_nodes: int,
    cleaning: Cleaning,
    *,
    stated: bool | None = None,
    doubled: bool = False,
    warn_one_way: bool = False,
    weight_name: str | None = None,
    facts: dict[str, Any] | None = None,
    **parts: Any,
) -> Graph:
    """The graph of what a reader found.

    Args:
        source: file name, for messages and the report.
        kind: what kind of file it is.
        edge_index: (2, E) integers, or a pair of int32 arrays that are known to be in range.
        edge_weight: (E,) or None.
        num_nodes: N.
        cleaning: what the caller wants.
        stated: whether the file says that it is directed (True) or undirected (False); None: it says nothing.
        doubled: the file has an undirected edge once, and the reader added the other direction.
        warn_one_way: warn when nobody said anything and some edges lack their reverse.
        weight_name: where the weights came from.
        facts: more fields of the report.
        parts: features, labels, ids, splits, names.

    Raises:
        IndexRangeError, NonFiniteError, ShapeError: the parts do not fit together.
    """
    if not isinstance(edge_index, tuple):
        edge_index = _parts.as_edge_index(edge_index)
        edge_weight = _parts.as_weight(edge_weight, edge_index.shape[1])
        _check_count(source, num_nodes, edge_index, parts)
        check_nodes(edge_index, num_nodes, f"{source} has {grouped(num_nodes)} nodes")
    _clean_features(source, num_nodes, parts, cleaning)
    directed = cleaning.directed if cleaning.directed is not None else bool(stated)
    raw = cleaning.raw
    result = canonical_edges(
        edge_index, edge_weight, num_nodes, directed=directed or raw, keep_self_loops=cleaning.keep_self_loops or raw
    )
    if warn_one_way and cleaning.directed is None and stated is None and result.one_way and not raw:
        warnings.warn(
            f"{source}: {grouped(result.one_way)} of {grouped(result.edges)} edges are stored in one direction only; "
            "they are read as undirected (directed=True keeps the direction).",
            GraphWarning,
            stacklevel=5,
        )
    rows = len(edge_index[0])
    twice = doubled and (raw or result.mirrored)
    counted: dict[str, Any] = {
        "rows": rows, "edges": rows if raw else result.edges, "merged": result.merged // (2 if twice else 1),
        "mirrored": result.mirrored and not twice, "self_loops": result.self_loops, "one_way": result.one_way,
        "components": result.components, "isolated": result.isolated,
    }  # fmt: skip
    report = ReadReport(
        source=source, kind=kind, nodes=num_nodes, directed=directed, raw=raw,
        weight=weight_name if edge_weight is not None else None, **{**counted, **(facts or {})},
    )  # fmt: skip
    parts.setdefault("name", source.split(".")[0] or None)
    if raw:
        marked = True if directed else None
        return _as_stored(edge_index, edge_weight, num_nodes, directed=marked, report=report, **parts)
    return _cleaned(result, num_nodes, undirected=not directed, report=report, **parts)


def _cleaned(result: Canonical, num_nodes: int, *, undirected: bool, **parts: Any) -> Graph:
    return Graph._canonical(result.edge_index, result.edge_weight, num_nodes, undirected=undirected, **parts)


def _as_stored(edge_index: Any, edge_weight: Any, num_nodes: int, **parts: Any) -> Graph:
    if isinstance(edge_index, tuple):
        edge_index = torch.stack([torch.from_numpy(part).long() for part in edge_index])
    if edge_weight is not None and not isinstance(edge_weight, Tensor):
        edge_weight = torch.from_numpy(edge_weight).float()
    return Graph(edge_index, edge_weight, num_nodes=num_nodes, **parts)


def _check_count(source: str, num_nodes: int, edge_index: Tensor, parts: dict[str, Any]) -> None:
    """Refuses a number of nodes that nothing else in the file supports, before memory is taken for it."""
    stored = edge_index.numel() + sum(len(p) for k in ("x", "y", "ids") if (p := parts.get(k)) is not None)
    if num_nodes < 0 or num_nodes > _FREE_NODES + _NODES_PER_ROW * stored:
        raise FileFormatError(
            f"{source} says that it has {grouped(num_nodes)} nodes, but holds {grouped(edge_index.shape[1])} edges.",
            hint="the number of nodes, or a node number in edge_index, is damaged",
        )


def _clean_features(source: str, num_nodes: int, parts: dict[str, Any], cleaning: Cleaning) -> None:
    """Fills NaN and infinity on request, else refuses them in the words of the command line."""
    x = parts.get("x")
    if x is None:
        return
    features = _parts.as_features(x)
    assert features is not None  # only None gives None
    check_rows(features.shape[0], num_nodes, "x")
    parts["x"] = features
    if cleaning.fill_nan is not None:
        parts["x"] = _parts.fill_non_finite(features, cleaning.fill_nan)
    else:
        check_features(features, hint=f"--fill-nan 0, or graphrep data check {source} to see all.")
