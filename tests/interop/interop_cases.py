"""Random graphs of every kind for the round trips, and what equal means."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import strategies as st

import graphrep as gr

NUMBERS = st.integers(-4, 40).map(lambda n: n / 10)  # most are not exact in float32
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
SETTINGS = {"max_examples": 60, "deadline": None, "derandomize": True}


def dense(x: torch.Tensor) -> torch.Tensor:
    return x if x.layout is torch.strided else x.to_dense()


def listed(part) -> list | None:
    return None if part is None else part.tolist()


@st.composite
def ids_of(draw, n: int):
    """None, integers that are not 0..n-1, or text (that of a number and empty text too)."""
    kind = draw(st.sampled_from(["none", "int", "text"]))
    if kind == "none":
        return None
    if kind == "int":
        found = draw(st.lists(st.integers(-(2**53), 2**53), min_size=n, max_size=n, unique=True))
        return None if found == list(range(n)) else found
    return draw(st.lists(st.one_of(TEXTS, st.integers(0, 9).map(str)), min_size=n, max_size=n, unique=True)) or None


@st.composite
def features_of(draw, n: int):
    kind = draw(st.sampled_from(["none", "float32", "float64", "sparse"]))
    if kind == "none" or n == 0:
        return None
    width = draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=n, max_size=n))
    array = np.array(rows, dtype=np.float64 if kind == "float64" else np.float32)
    return sp.csr_array(array) if kind == "sparse" else torch.from_numpy(array)


@st.composite
def labels_of(draw, n: int):
    kind = draw(st.sampled_from(["none", "classes", "several"]))
    if kind == "none" or n == 0:
        return None
    if kind == "classes":
        return torch.tensor(draw(st.lists(st.integers(-1, 4), min_size=n, max_size=n)))
    rows = draw(st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=2), min_size=n, max_size=n))
    return torch.tensor(rows, dtype=draw(st.sampled_from([torch.uint8, torch.int64])))


@st.composite
def edges_of(draw, sources: int, destinations: int):
    """(2, E) with repeats and, between nodes of one type, self-loops; and weights or None."""
    ends = st.tuples(st.integers(0, max(sources - 1, 0)), st.integers(0, max(destinations - 1, 0)), NUMBERS)
    rows = draw(st.lists(ends, max_size=8 if sources and destinations else 0))
    edges = torch.tensor([row[:2] for row in rows], dtype=torch.int64).reshape(-1, 2).t().contiguous()
    dtype = draw(st.sampled_from([None, torch.float32, torch.float64]))
    return edges, None if dtype is None else torch.tensor([row[2] for row in rows], dtype=dtype)


def splits_of(n: int, names: tuple[str, ...]):
    """Some of the named splits, in any order, with repeats, empty ones too."""
    index = st.lists(st.integers(0, max(n - 1, 0)), max_size=4 if n else 0)
    return st.dictionaries(st.sampled_from(names), index, max_size=len(names))


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 5))
    edges, weight = draw(edges_of(n, n))
    if draw(st.booleans()):  # an undirected multigraph: both directions, with equal weights
        proper = edges[0] != edges[1]
        edges = torch.cat([edges, edges.flip(0)[:, proper]], dim=1)
        weight = None if weight is None else torch.cat([weight, weight[proper]])
    x = draw(features_of(n))
    width = 0 if x is None else x.shape[1]
    named = x is not None and draw(st.booleans())
    splits = draw(splits_of(n, ("train", "val", "test")))
    return gr.Graph(
        edges,
        weight,
        x,
        draw(labels_of(n)),
        num_nodes=n,
        ids=draw(ids_of(n)),
        feature_names=[f"size {i}" for i in range(width)] if named else None,
        text=draw(st.one_of(st.none(), st.lists(TEXTS, min_size=n, max_size=n))),
        name=draw(st.sampled_from([None, "toy"])),
        directed=draw(st.sampled_from([None, True])),
        **{f"{key}_idx": torch.tensor(index, dtype=torch.int64) for key, index in splits.items()},
    )


@st.composite
def hetero_graphs(draw, *, alone: bool = True):
    """Two or three node types; with `alone`, a type that no edge names is possible."""
    sizes = {key: draw(st.integers(1, 4)) for key in ("paper", "author", "venue")}
    kinds = [
        ("paper", "by", "author"), ("author", "by", "paper"), ("paper", "cites", "paper"), ("paper", "in", "venue"),
    ]  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, unique=True))
    used = {end for source, _, destination in chosen for end in (source, destination)}
    if not alone or draw(st.booleans()):
        sizes = {key: n for key, n in sizes.items() if key in used}
    edges, weights = {}, {}
    for key in chosen:
        edges[key], weight = draw(edges_of(sizes[key[0]], sizes[key[2]]))
        if weight is not None:
            weights[key] = weight
    target = draw(st.sampled_from([*sizes, None]))
    parts = {
        part: {key: value for key, n in sizes.items() if (value := draw(strategy(n))) is not None}
        for part, strategy in (("x", features_of), ("ids", ids_of))
    }
    n = 0 if target is None else sizes[target]
    splits = draw(splits_of(n, ("train", "val_20", "test")))
    return gr.HeteroGraph(
        edges,
        weights,
        parts["x"],
        None if target is None else draw(labels_of(n)),
        num_nodes=sizes,
        target=target,
        ids=parts["ids"],
        splits={} if target is None else {key: torch.tensor(v, dtype=torch.int64) for key, v in splits.items()},
        text={key: [f"{key} {i}" for i in range(size)] for key, size in sizes.items() if draw(st.booleans())},
        name=draw(st.sampled_from([None, "toy"])),
        metapaths=draw(st.sampled_from([(), ("paper>by>author>paper", "pap")])),
    )


def assert_same_tensor(found, expected) -> None:
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.dtype == expected.dtype
        assert torch.equal(dense(found), dense(expected))


def stored(edges: torch.Tensor, weight: torch.Tensor | None) -> list[tuple]:
    """Edges with weights, parallel ones too, in sorted order."""
    weights = [None] * edges.shape[1] if weight is None else weight.tolist()
    return sorted(zip(*edges.tolist(), weights, strict=True)) if edges.shape[1] else []


def assert_same_graph(found: gr.Graph, expected: gr.Graph, *, ordered: bool) -> None:
    """Everything but the report; `ordered` also the order of the edges."""
    assert isinstance(found, gr.Graph)
    assert found.num_nodes == expected.num_nodes
    assert (found.edge_weight is None) == (expected.edge_weight is None)
    if expected.edge_weight is not None:
        assert found.edge_weight.dtype == expected.edge_weight.dtype
    assert stored(found.edge_index, found.edge_weight) == stored(expected.edge_index, expected.edge_weight)
    if ordered:
        assert torch.equal(found.edge_index, expected.edge_index)
        assert listed(found.edge_weight) == listed(expected.edge_weight)
    assert found.is_undirected() == expected.is_undirected()
    for key in ("x", "y", "train_idx", "val_idx", "test_idx"):
        assert_same_tensor(getattr(found, key), getattr(expected, key))
    for key in ("ids", "text"):
        assert listed(getattr(found, key)) == listed(getattr(expected, key))
    assert found.feature_names == expected.feature_names
    assert found.name == expected.name


def assert_same_hetero(found: gr.HeteroGraph, expected: gr.HeteroGraph) -> None:
    """Everything but the order of the types, edges in their order."""
    assert isinstance(found, gr.HeteroGraph)
    assert dict(found.num_nodes) == dict(expected.num_nodes)
    for part in ("edge_index", "edge_weight", "x", "splits"):
        one, other = getattr(found, part), getattr(expected, part)
        assert one.keys() == other.keys(), part
        for key in other:
            assert_same_tensor(one[key], other[key])
    for part in ("ids", "text"):
        one, other = getattr(found, part), getattr(expected, part)
        assert {key: listed(value) for key, value in one.items()} == {k: listed(v) for k, v in other.items()}
    assert_same_tensor(found.y, expected.y)
    assert found.name == expected.name
    assert found.metapaths == expected.metapaths
    assert found.target == expected.target
