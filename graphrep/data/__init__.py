"""Graphs and where they come from: the graph objects, files, named data sets, saved embeddings.

Names load on first use, so that importing this package loads neither torch nor any optional library. (The functions
`read`, `write` and `check` have modules of the same name: take `read` and `write` from ``graphrep``.)
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "CheckReport": "inspection",
    "EdgeSplit": "split",
    "Embeddings": "embeddings",
    "Graph": "graph",
    "GraphWarning": "check",
    "HeteroGraph": "hetero",
    "Homogeneous": "_homogeneous",
    "Interactions": "interactions",
    "KnowledgeGraph": "links",
    "Leak": "leaks",
    "LeakReport": "leaks",
    "LinkSplit": "links",
    "NodeSplit": "split",
    "NodeTexts": "node_texts",
    "ReadReport": "report",
    "TextTable": "text_table",
    "as_graph": "read",
    "as_hetero": "coerce",
    "as_interactions": "coerce",
    "atomic_write": "write",
    "card": "datasets",
    "check_leak": "split",
    "check_link_split": "leaks",
    "download": "fetching.get",
    "inspect": "inspection",
    "list_datasets": "datasets",
    "load": "datasets",
    "load_embeddings": "embeddings",
    "open_graph": "read",
    "open_hetero": "read",
    "read_interactions": "ratings",
    "read_negatives": "negative_files",
    "read_texts": "node_texts",
    "save_embeddings": "embeddings",
    "split_edges": "split",
    "split_nodes": "split",
    "write_negatives": "negative_files",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports public names on first use (PEP 562)."""
    if name in _NAMES:
        value = getattr(importlib.import_module(f"graphrep.data.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'graphrep.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
