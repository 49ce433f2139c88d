"""Graphs from formats that list nodes and edges with attributes (GraphML, GEXF, GML, JSON), and back.

One rule for all of them. Node attributes: ``y`` is the label, or ``y0``, ``y1``, ... the columns of a label matrix;
without them ``label`` is, if every node has an integer there; every other attribute that is a number at every node
becomes a feature column of that name; a list of numbers ``x`` at every node is the feature matrix. Everything else
(names, positions, colours) is left out. Edge attributes: ``weight`` or the one the caller names; edges without it
count 1.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from graphrep.data._finish import Cleaning, finish
from graphrep.data.graph import Graph
from graphrep.errors import EdgeListError, EmptyGraphError, GraphrepError, UnknownNameError

__all__ = ["Listing", "edge_rows", "feature_titles", "label_titles", "label_values", "node_rows"]

_INT64 = 2**63
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


class Listing:
    """Collects the nodes and edges that a parser finds.

    Args:
        source: file name, for messages.
        kind: what the report calls the file.
        weight: edge attribute of the weights; None stands for `default_weights`, False for none.
        default_weights: attributes that mean a weight in this format, best first.
    """

    def __init__(
        self, source: str, kind: str, weight: str | bool | int | None, default_weights: tuple[str, ...] = ("weight",)
    ) -> None:
        if isinstance(weight, int) and not isinstance(weight, bool):
            raise GraphrepError(f"{source}: weight={weight} is a column number.", hint="the name of an edge attribute")
        self.source, self.kind = source, kind
        self.weight = weight
        self.wanted = (weight,) if isinstance(weight, str) else () if weight is False else default_weights
        self.number: dict[Any, int] = {}
        self.attributes: list[dict[str, Any]] = []
        self.ends: list[tuple[int, int]] = []
        self.weights: list[dict[str, Any]] = []
        self.one_way: list[bool] = []
        self.seen: set[str] = set()

    def node(self, name: Any, attributes: dict[str, Any] | None = None) -> int:
        """The number of a node; a node met again gets the further attributes."""
        known = self.number.get(name)
        if known is None:
            known = self.number[name] = len(self.attributes)
            self.attributes.append({})
        if attributes:
            self.attributes[known].update(attributes)
        return known

    def known(self, name: Any, place: str) -> int:
        """The number of a node that must have been listed.

        Raises:
            EdgeListError: it was not.
        """
        found = self.number.get(name)
        if found is None:
            raise EdgeListError(
                f"{self.source}{place}: an edge refers to node {name!r}, which is not listed.",
                hint="list every node before the edges",
            )
        return found

    def edge(self, source: int, target: int, attributes: dict[str, Any], *, directed: bool) -> None:
        """One edge between two numbers that :meth:`node` gave."""
        self.ends.append((source, target))
        self.weights.append({key: attributes[key] for key in self.wanted if key in attributes})
        self.seen.update(self.weights[-1])
        self.one_way.append(directed)

    def integers(self) -> None:
        """Makes ids that are all integers, as a program would print them, integers: these formats know only text."""
        if all(_INTEGER.fullmatch(name) for name in self.number):
            self.number = {int(name): place for name, place in self.number.items()}

    def finish(self, cleaning: dict[str, Any], *, directed: bool, name: str | None = None) -> Graph:
        """The graph; `directed` is what the file says of itself. An undirected edge is stored in both directions.

        Raises:
            EmptyGraphError, EdgeListError, UnknownNameError: no nodes; a weight that is no number, or that is absent.
        """
        count = len(self.attributes)
        if count == 0:
            raise EmptyGraphError(f"{self.source} lists no nodes.", hint="a graph with one node at least")
        weights, weight_name = self._weights()
        ends = np.array(self.ends, dtype=np.int64).reshape(-1, 2).T
        one_way = np.array(self.one_way, dtype=bool)
        stated = bool(one_way.any()) if one_way.size else directed
        back = ~one_way & (ends[0] != ends[1])
        order = np.argsort(np.concatenate([np.arange(one_way.size), np.flatnonzero(back)]), kind="stable")
        rows = len(self.ends)
        ends = np.concatenate([ends, ends[::-1, back]], axis=1)[:, order]
        if weights is not None:
            weights = np.concatenate([weights, weights[back]])[order]
        x, y, names = self._columns()
        extra: dict[str, Any] = {"name": name} if name else {}
        return finish(
            self.source, self.kind, np.ascontiguousarray(ends), weights, count, Cleaning(**cleaning), stated=stated,
            doubled=not stated, weight_name=weight_name, facts={"rows": rows}, x=x, y=y, feature_names=names,
            ids=_as_ids(self.source, list(self.number)), **extra,
        )  # fmt: skip

    def _weights(self) -> tuple[np.ndarray[Any, Any] | None, str | None]:
        key = next((k for k in self.wanted if k in self.seen), None)
        if key is None:
            if isinstance(self.weight, str) and self.ends:
                raise UnknownNameError(
                    f'{self.source}: no edge has an attribute "{self.weight}".', hint="--no-weight, or another name"
                )
            return None, None
        values = np.ones(len(self.weights), dtype=np.float64)
        for i, found in enumerate(self.weights):
            if key in found:
                number = _as_number(found[key])
                if number is None:
                    raise EdgeListError(
                        f'{self.source}: the {key} "{found[key]}" of edge {i} (from 0) is not a number.',
                        hint="--no-weight to ignore that attribute",
                    )
                values[i] = number
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        return (single if np.array_equal(single, values) or not np.isfinite(single).all() else values), key

    def _columns(self) -> tuple[Any, Any, tuple[str, ...] | None]:
        """Features, labels and the features' names."""
        common = list(self.attributes[0])
        for attributes in self.attributes:
            if any(key not in attributes for key in common):
                common = [key for key in common if key in attributes]
        taken, y = self._labels(common)
        if "x" in common and (matrix := self._matrix("x")) is not None:
            return matrix, y, None
        titles, columns = [], []
        for key in common:
            numbers = None if key in taken else _numbers(a[key] for a in self.attributes)
            if numbers is not None:
                titles.append(key)
                columns.append(numbers)
        if not columns:
            return None, y, None
        with np.errstate(over="ignore"):
            x = np.array(columns, dtype=np.float64).T.astype(np.float32)
        return x, y, None if titles == feature_titles(None, len(titles)) else tuple(titles)

    def _matrix(self, key: str) -> Any:
        """Lists of numbers as a matrix, or None if they are something else or of several lengths."""
        rows = [a[key] for a in self.attributes]
        width = len(rows[0]) if isinstance(rows[0], list) else -1
        if not all(isinstance(r, list) and len(r) == width for r in rows):
            return None
        flat = _numbers(v for r in rows for v in r)
        if flat is None:
            return None
        array = _number_array(flat) if key == "y" else np.array(flat, dtype=np.float64).astype(np.float32)
        return array.reshape(len(rows), width)

    def _labels(self, common: list[str]) -> tuple[list[str], Any]:
        """The attributes that hold the labels, and the labels."""
        if "y" in common and (matrix := self._matrix("y")) is not None:
            return ["y"], matrix
        several = list(itertools.takewhile(lambda key: key in common, (f"y{i}" for i in itertools.count())))
        for keys, whole in ((["y"], False), (several, False), (["label"], True)):
            if not keys or not all(key in common for key in keys):
                continue
            columns = [_numbers(a[key] for a in self.attributes) for key in keys]
            numbers = [n for column in columns if column is not None for n in column]
            if None not in columns and not (whole and not all(isinstance(n, int) for n in numbers)):
                array = _number_array(numbers).reshape(len(keys), -1)
                return keys, array[0] if len(several) == 0 or keys != several else array.T
        return [], None


def _number_array(numbers: list[Any]) -> np.ndarray[Any, Any]:
    """Integers where all are, else float32."""
    whole = all(isinstance(n, int) for n in numbers)
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.int64 if whole else np.float32)


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return None


def _numbers(values: Iterable[Any]) -> list[Any] | None:
    """The values if all are numbers that a float holds (truth values count as 0 and 1), else None."""
    found = []
    for value in values:
        if not isinstance(value, bool | int | float):
            return None
        small = isinstance(value, int) and -_INT64 <= value < _INT64
        found.append(int(value) if small else _as_number(value))
    return found


def _as_ids(source: str, names: list[Any]) -> Any:
    """None for 0..N-1 in order, integers where all are, else text."""
    if all(isinstance(v, int) and not isinstance(v, bool) and -_INT64 <= v < _INT64 for v in names):
        return None if names == list(range(len(names))) else torch.tensor(names, dtype=torch.int64)
    texts = [v if isinstance(v, str) else str(v) for v in names]
    bad = next((t for t in texts if not t or "\0" in t), None)
    if bad is not None:
        raise EdgeListError(f"{source}: a node's id is {bad!r}.", hint="every node needs a text of its own")
    if len(set(texts)) < len(texts):
        raise GraphrepError(f"{source}: two nodes have the same text as id.", hint="give them distinct ids")
    return np.array(texts, dtype=str)


def feature_titles(names: tuple[str, ...] | None, count: int) -> list[str]:
    """What feature columns are called in formats where an attribute is one number: their names, else ``x0``, ..."""
    return list(names) if names is not None else [f"x{i}" for i in range(count)]


def label_titles(graph: Graph) -> list[str]:
    """``y``, or ``y0``, ``y1``, ... for a label matrix; none without labels."""
    if graph.y is None:
        return []
    return ["y"] if graph.y.dim() == 1 else [f"y{i}" for i in range(graph.y.shape[1])]


def label_values(label: Any) -> list[Any]:
    """One node's label as a list."""
    return [] if label is None else label if isinstance(label, list) else [label]


def edge_rows(graph: Graph) -> tuple[bool, Iterator[tuple[int, int, float | None]]]:
    """Whether a graph is directed, and its edges with their weights; of an undirected edge one direction."""
    source, target = (end.numpy() for end in graph.edge_index)
    directed = not graph.is_undirected()
    keep = np.ones(len(source), dtype=bool) if directed else source <= target
    ends = zip(source[keep].tolist(), target[keep].tolist(), strict=True)
    if graph.edge_weight is None:
        return directed, ((u, v, None) for u, v in ends)
    weights = graph.edge_weight.detach()[torch.from_numpy(keep)].tolist()
    return directed, ((u, v, w) for (u, v), w in zip(ends, weights, strict=True))


def node_rows(graph: Graph, rows: int = 1024) -> Iterator[tuple[Any, list[float], Any]]:
    """(id, features, label) of every node, the features of `rows` nodes at a time being dense."""
    import scipy.sparse as sp

    ids = range(graph.num_nodes) if graph.ids is None else graph.ids.tolist()
    labels = graph.y.tolist() if graph.y is not None else [None] * graph.num_nodes
    x, sparse = graph.x, None
    if x is not None and x.layout is not torch.strided:
        pieces = (x.values().detach().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
        sparse = sp.csr_array(pieces, shape=tuple(x.shape))
    for start in range(0, graph.num_nodes, rows):
        part = slice(start, start + rows)
        names = ids[part]
        if sparse is not None:
            features = sparse[part].toarray().tolist()
        else:
            features = [[]] * len(names) if x is None else x[part].detach().tolist()
        yield from zip(names, features, labels[part], strict=True)
