"""Typed graphs as a table per edge type and a table per node type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrep.data.hetero import HeteroGraph
from graphrep.errors import UnknownNameError
from graphrep.interop import _frames as frames
from graphrep.interop._splits import labelled_type

__all__ = ["hetero_from_pandas", "hetero_to_pandas"]


def hetero_from_pandas(
    edges: Mapping[Any, Any],
    nodes: Mapping[str, Any] | None,
    ends: tuple[str, str],
    weight: str | bool | None,
    id: str | None,
    features: Sequence[str] | None,
    label: str | Sequence[str] | None,
    target_type: str | None,
) -> HeteroGraph:
    """See :func:`graphrep.from_pandas`; `id`, `features` and `label` name columns of every table that has them."""
    nodes = nodes or {}
    found: dict[str, list[Any]] = {}
    for key, table in edges.items():
        if not (isinstance(key, tuple) and len(key) == 3):
            raise UnknownNameError(f"{key!r} is no edge type.", hint='("paper", "written_by", "author")')
        for node_type, name in zip((key[0], key[2]), ends, strict=True):
            found.setdefault(node_type, []).append(frames.ids_in(frames.column(table, name), f'{key}: column "{name}"'))
    ids = {key: frames.ids_in(_id_column(table, id), f"The id of {key}") for key, table in nodes.items()}
    ids.update({key: frames.distinct(rows) for key, rows in found.items() if key not in ids})
    edge_index = {}
    for key, table in edges.items():
        rows = [
            frames.place(ids[node_type], frames.ids_in(table[name], name), f'{key}: column "{name}"')
            for node_type, name in zip((key[0], key[2]), ends, strict=True)
        ]
        edge_index[key] = np.stack(rows)
    splits = {key: frames.splits_in(table) for key, table in nodes.items()}
    noted = next((target for table in nodes.values() if (target := frames.notes(table).get("target"))), None)
    labels = {
        key: y
        for key, table in nodes.items()
        if _has(table, label) and (y := frames.labels_in(table, label)) is not None
    }
    masked = [key for key, part in splits.items() if part]
    target = labelled_type(ids, list(labels), masked, target_type or noted)
    x = {key: frames.features_in(table, features)[0] for key, table in nodes.items() if _has(table, features)}
    weights = {key: frames.numbers_in(table, weight, "weight") for key, table in edges.items()}
    texts = {key: frames.text_in(table) for key, table in nodes.items()}
    return HeteroGraph(
        edge_index,
        {key: part for key, part in weights.items() if part is not None},
        {key: part for key, part in x.items() if part is not None},
        labels.get(target or ""),
        num_nodes={key: len(part) for key, part in ids.items()},
        target=target,
        ids={key: kept for key, part in ids.items() if (kept := frames.kept_ids(part)) is not None},
        splits=splits.get(target or "", {}),
        text={key: part for key, part in texts.items() if part is not None},
        name=next((frames.notes(table)["name"] for table in nodes.values() if frames.notes(table).get("name")), None),
        metapaths=next((frames.notes(table).get("metapaths", ()) for table in nodes.values()), ()),
    )


def _id_column(table: Any, id: str | None) -> Any:
    return table[id] if id is not None and id in table.columns else table.index


def _has(table: Any, names: str | Sequence[str] | None) -> bool:
    """Whether a table has the columns asked for; what is not asked for by name may be missing."""
    return names is None or set([names] if isinstance(names, str) else names) <= set(table.columns)


def hetero_to_pandas(graph: HeteroGraph) -> tuple[dict[Any, Any], dict[str, Any]]:
    """See :func:`graphrep.to_pandas`."""
    edges = {
        key: frames.edge_frame(
            index[0], index[1], graph.edge_weight.get(key), graph.ids.get(key[0]), graph.ids.get(key[2])
        )
        for key, index in graph.edge_index.items()
    }
    nodes = {}
    for key, count in graph.num_nodes.items():
        own = key == graph.target
        nodes[key] = frames.node_frame(
            count, graph.ids.get(key), graph.x.get(key), graph.y if own else None, graph.text.get(key),
            graph.splits if own else {},
        )  # fmt: skip
        nodes[key].attrs["graphrep"].update(target=graph.target, name=graph.name, metapaths=graph.metapaths)
    return edges, nodes
