"""Archives that hold more than one kind of node: typed graphs, interactions, link splits and knowledge graphs.

Text lies in ``<name>_bytes`` (uint8, UTF-8, all strings joined) and ``<name>_offsets`` (n + 1,). Features lie in
``x_<type>``, or in CSR pieces ``x_<type>_indptr``, ``_indices``, ``_data``, ``_shape``.

- typed graphs: ``num_<type>``, ``rel_<a><b>`` or ``rel_<a>_<b>`` (2, E) with row 0 of type a and row 1 of type b,
  ``y``, ``target_type``, and the splits ``train_20``, ``val_20``, ...;
- interactions: ``num_users``, ``num_items`` and ``<part>_user``, ``<part>_item``, optionally ``<part>_count`` as
  weights, for the parts train, val and test (where only some parts have counts, rows of the others weigh 1), and
  ``<part>_time`` for all of them; ids in ``user_ids`` and ``item_ids``, integers or text;
- link splits: ``num_nodes``, ``train_pos``, and ``val_pos``, ``val_neg``, ``test_pos``, ``test_neg`` (2, P);
- knowledge graphs: ``num_entities``, ``num_relations``, ``train``, ``val``, ``test`` (3, T), the texts
  ``entity_id``, ``relation_id``, ``entity_text``, ``relation_text``, and ``<part>_qual`` with ``<part>_qual_offsets``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.data import _parts
from graphrep.data.canonical import canonical_edges
from graphrep.data.check import about
from graphrep.data.graph import Graph
from graphrep.data.hetero import HeteroGraph
from graphrep.data.interactions import PARTS, Interactions
from graphrep.data.links import KnowledgeGraph, LinkSplit
from graphrep.errors import DTypeError, FileFormatError, GraphrepError
from graphrep.kernels._check import check_range

__all__ = ["features_of", "kind_of", "read_kind", "text_of"]

_SPLITS = ("train", "val", "test")
_FREE_NODES, _NODES_PER_LINK = 1 << 24, 64
_HELD_OUT = ("val_pos", "val_neg", "test_pos", "test_neg")


def kind_of(names: Mapping[str, Any]) -> str | None:
    """Which of the kinds an archive with these arrays holds; None for none of them."""
    if any(name.startswith("rel_") for name in names):
        return "a typed graph"
    if "train_user" in names:
        return "interactions"
    if "num_relations" in names:
        return "a knowledge graph"
    return "a link split" if "train_pos" in names else None


def read_kind(name: str, arrays: Mapping[str, Any], kind: str, *, weight: bool = True) -> Any:
    """The object that an archive of a :func:`kind_of` holds.

    Args:
        name: of the file.
        arrays: the arrays by name.
        kind: of :func:`kind_of`.
        weight: False leaves counts of interactions out.

    Raises:
        FileFormatError: an array that belongs to the kind is missing or ambiguous.
    """
    stem = Path(name).stem
    readers: dict[str, Callable[[str, Mapping[str, Any]], Any]] = {
        "interactions": functools.partial(_interactions, weight=weight),
        "a typed graph": _typed_graph,
        "a knowledge graph": _knowledge_graph,
        "a link split": _link_split,
    }
    with about(name):
        try:
            return readers[kind](stem, arrays)
        except GraphrepError:
            raise
        except (TypeError, ValueError, IndexError, OverflowError) as error:  # arrays of a shape that no such file has
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FileFormatError(f"It does not hold {kind}: {reason}.", hint="the file may be damaged") from error


def text_of(arrays: Mapping[str, Any], name: str) -> np.ndarray[Any, Any] | None:
    """The strings ``<name>_bytes``, or None where the archive has none.

    Raises:
        FileFormatError: the offsets do not cut the bytes into strings, or these are no UTF-8.
    """
    if f"{name}_bytes" not in arrays or f"{name}_offsets" not in arrays:
        return None
    joined, offsets = np.asarray(arrays[f"{name}_bytes"]), np.asarray(arrays[f"{name}_offsets"])
    whole = offsets.ndim == 1 and offsets.size > 0 and offsets[0] == 0 and offsets[-1] == joined.size
    if joined.dtype != np.uint8 or not whole or offsets.dtype.kind not in "iu" or (offsets[1:] < offsets[:-1]).any():
        raise FileFormatError(
            f"{name}_offsets do not cut {name}_bytes into strings.", hint="uint8 bytes, and offsets (n + 1,) from 0"
        )
    content, cuts = joined.tobytes(), offsets.tolist()
    try:
        texts = [content[low:high].decode("utf-8") for low, high in itertools.pairwise(cuts)]
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{name}_bytes is not UTF-8: {error}.", hint="save the text as UTF-8") from error
    return np.array(texts, dtype=np.dtypes.StringDType())


def features_of(arrays: Mapping[str, Any], name: str = "x") -> torch.Tensor | None:
    """Features stored densely as `name` or in CSR pieces, or None.

    Raises:
        FileFormatError: a piece is missing.
    """
    if name in arrays:
        return _parts.as_features(arrays[name])
    if f"{name}_indptr" not in arrays:
        return None
    missing = [key for key in (f"{name}_indices", f"{name}_data", f"{name}_shape") if key not in arrays]
    if missing:
        raise FileFormatError(f"There is {name}_indptr but no {missing[0]}.", hint="all four pieces of a CSR matrix")
    shape = tuple(int(n) for n in arrays[f"{name}_shape"])
    pointer, indices, values = (arrays[f"{name}_{piece}"] for piece in ("indptr", "indices", "data"))
    return _parts.sparse_features(pointer, indices, values, shape)


def _need(arrays: Mapping[str, Any], name: str) -> Any:
    if name not in arrays:
        raise FileFormatError(f"There is no array {name}.", hint=f"arrays: {', '.join(arrays)}")
    return arrays[name]


def _number(arrays: Mapping[str, Any], name: str) -> int:
    """A number of nodes, one integer that fits into 31 bits."""
    stored = np.asarray(_need(arrays, name))
    if stored.size != 1 or stored.dtype.kind not in "iu" or not 0 <= int(stored.reshape(-1)[0]) < 2**31 - 1:
        raise DTypeError(f"{name} must be one integer, 0 or more; got {stored.dtype} of shape {stored.shape}.")
    return int(stored.reshape(-1)[0])


def _typed_graph(name: str, arrays: Mapping[str, Any]) -> HeteroGraph:
    counts = {key[4:]: _number(arrays, key) for key in arrays if key.startswith("num_")}
    edges = {_edge_type(key[4:], counts): arrays[key] for key in arrays if key.startswith("rel_")}
    y = arrays["y"] if "y" in arrays else None  # noqa: SIM401 - get() does not read from the file
    target = str(arrays["target_type"]) if "target_type" in arrays else _labelled(counts, y)
    x = {key: features for key in counts if (features := features_of(arrays, f"x_{key}")) is not None}
    splits = {key: arrays[key] for key in arrays if key.partition("_")[0] in _SPLITS and np.ndim(arrays[key]) == 1}
    return HeteroGraph(
        edges, x=x, y=y, num_nodes=counts, target=target, splits=splits, text=_texts(arrays, counts, target), name=name
    )  # fmt: skip


def _edge_type(pair: str, types: Mapping[str, Any]) -> tuple[str, str, str]:
    found = {(a, pair, b) for a in types for b in types if pair in (a + b, f"{a}_{b}")}
    if len(found) != 1:
        raise FileFormatError(
            f"rel_{pair} {'fits several pairs of' if found else 'is not made of two'} node types ({', '.join(types)}).",
            hint="num_<a>, num_<b> and rel_<a>_<b>",
        )
    return found.pop()


def _labelled(counts: Mapping[str, int], y: Any) -> str | None:
    """The type that has as many nodes as there are labels."""
    fitting = [key for key, count in counts.items() if y is not None and count == len(y)]
    if y is not None and len(fitting) != 1:
        raise FileFormatError(
            f"{len(y)} labels fit {len(fitting)} node types ({', '.join(fitting) or 'none'}).", hint="target_type"
        )
    return fitting[0] if fitting else None


def _texts(arrays: Mapping[str, Any], counts: Mapping[str, int], target: str | None) -> dict[str, Any]:
    """By node type its texts; several of one type are joined by line feeds, in the order of the archive.

    ``<type>_...`` belongs to that type, any other name to the target type.
    """
    found: dict[str, list[np.ndarray[Any, Any]]] = {}
    for key in arrays:
        name = key.removesuffix("_bytes")
        if name == key:
            continue
        owners = [node_type for node_type in counts if name.startswith(f"{node_type}_")]
        owner, texts = max(owners, key=len) if owners else target, text_of(arrays, name)
        if owner is None or texts is None:
            raise FileFormatError(f"{key} belongs to no node type or has no offsets.", hint="<type>_text_bytes")
        found.setdefault(owner, []).append(texts)
    return {
        key: texts[0] if len(texts) == 1 else ["\n".join(parts) for parts in zip(*texts, strict=True)]
        for key, texts in found.items()
    }


def _interactions(name: str, arrays: Mapping[str, Any], weight: bool) -> Interactions:
    parts = [part for part in PARTS if f"{part}_user" in arrays]
    user, item = ([_need(arrays, f"{part}_{what}") for part in parts] for what in ("user", "item"))
    sizes = [len(rows) for rows in user]
    weights = None
    if weight and any(f"{part}_count" in arrays for part in parts):
        counts = [
            arrays[f"{part}_count"] if f"{part}_count" in arrays else np.ones(size)
            for part, size in zip(parts, sizes, strict=True)
        ]
        weights = np.concatenate(counts).astype(np.float32)
    timed = all(f"{part}_time" in arrays for part in parts)
    return Interactions(
        np.concatenate(user), np.concatenate(item), weights,
        np.concatenate([arrays[f"{part}_time"] for part in parts]) if timed else None,
        user_ids=_ids_of(arrays, "user_ids"), item_ids=_ids_of(arrays, "item_ids"),
        part=np.repeat(np.array([PARTS.index(part) for part in parts]), sizes),
        num_users=_number(arrays, "num_users"), num_items=_number(arrays, "num_items"), name=name,
    )  # fmt: skip


def _ids_of(arrays: Mapping[str, Any], name: str) -> np.ndarray[Any, Any] | None:
    """External ids, integers or text."""
    if name in arrays:
        return np.asarray(arrays[name])
    texts = text_of(arrays, name)
    return None if texts is None else np.array(texts.tolist(), dtype=np.str_)


def _link_split(name: str, arrays: Mapping[str, Any]) -> LinkSplit:
    count, links = _number(arrays, "num_nodes"), _parts.as_edge_index(arrays["train_pos"])
    if count > _FREE_NODES + _NODES_PER_LINK * links.shape[1]:
        raise FileFormatError(f"It says that it has {count} nodes, but holds {links.shape[1]} links.")
    check_range(links, count, "train_pos")
    directed = "directed" in arrays and bool(arrays["directed"])
    result = canonical_edges(links, None, count, directed=directed)
    parts: dict[str, Any] = {"name": name, "x": features_of(arrays), "ids": _ids_of(arrays, "ids")}
    graph = Graph._canonical(result.edge_index, None, count, undirected=not directed, **parts)
    return LinkSplit(graph, **{key: arrays[key] for key in _HELD_OUT if key in arrays}, name=name)


def _knowledge_graph(name: str, arrays: Mapping[str, Any]) -> KnowledgeGraph:
    parts = {key: arrays[key] for key in _SPLITS if key in arrays}
    _need(arrays, "train")
    texts: dict[str, Any] = {
        field: text_of(arrays, stored)
        for field, stored in (
            ("entity_ids", "entity_id"), ("relation_ids", "relation_id"),
            ("entity_text", "entity_text"), ("relation_text", "relation_text"),
        )
    }  # fmt: skip
    qualifiers = {
        part: (arrays[f"{part}_qual"], _need(arrays, f"{part}_qual_offsets"))
        for part in parts
        if f"{part}_qual" in arrays
    }
    return KnowledgeGraph(
        **parts, **texts, qualifiers=qualifiers,
        num_entities=_number(arrays, "num_entities"), num_relations=_number(arrays, "num_relations"), name=name,
    )  # fmt: skip
