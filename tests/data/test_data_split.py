"""Splits of nodes and edges: sizes, determinism, and that nothing leaks, on any graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import check_leak, split_edges, split_nodes
from graphrep.data._pair_ranks import draw_unused, num_pairs, pair_of, rank_of
from graphrep.data.split import PARTS, EdgeSplit
from graphrep.data.split_files import write_split
from graphrep.errors import (
    EmptyGraphError,
    GraphrepError,
    LeakySplitError,
    MissingLabelsError,
    NonFiniteError,
    ShapeError,
)

# pairs and their ranks


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("n", [2, 3, 17])
def test_ranks_number_the_pairs(n: int, directed: bool) -> None:
    pairs = [(i, j) for i in range(n) for j in range(n) if (i != j if directed else i < j)]
    ranks = rank_of(np.array(pairs).T, n, directed=directed)
    assert sorted(ranks.tolist()) == list(range(num_pairs(n, directed=directed)))
    assert pair_of(ranks, n, directed=directed).T.tolist() == [list(pair) for pair in pairs]
    back = rank_of(np.array(pairs).T[::-1], n, directed=directed)
    assert (back.tolist() == ranks.tolist()) != directed


@given(st.integers(2, 2**31 - 2), st.data())
def test_ranks_are_exact_for_large_graphs(n: int, data: st.DataObject) -> None:
    for directed in (False, True):
        total = num_pairs(n, directed=directed)
        near = data.draw(st.integers(1, n - 1))
        edge_cases = [0, total - 1, near * (near - 1) // 2, max(near * (near - 1) // 2 - 1, 0)]
        ranks = np.array([*edge_cases, data.draw(st.integers(0, total - 1))])
        pairs = pair_of(ranks, n, directed=directed)
        assert rank_of(pairs, n, directed=directed).tolist() == ranks.tolist()
        assert pairs.min() >= 0
        assert pairs.max() < n
        assert (pairs[0] != pairs[1]).all()


def test_unused_pairs_are_uniform() -> None:
    used = rank_of(np.array([[0, 1, 2], [1, 2, 4]]), 5, directed=False)
    used.sort()
    rng = np.random.default_rng(0)
    counts = np.zeros(10)
    for _ in range(2000):
        drawn = draw_unused(used, 2, 5, rng, directed=False)
        counts[rank_of(drawn, 5, directed=False)] += 1
    assert (counts[used] == 0).all()
    free = counts[counts > 0]
    assert len(free) == 7
    assert np.abs(free - 4000 / 7).max() < 5 * np.sqrt(4000 / 7)


# edges


def edge_lists(draw_loops: bool = True) -> st.SearchStrategy[tuple[int, list[tuple[int, int]]]]:
    """A number of nodes, and pairs of them with repeats and self-loops."""
    return st.integers(3, 12).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), min_size=1, max_size=40)
        )
    )


def as_sets(split: EdgeSplit) -> dict[str, list[tuple[int, int]]]:
    """Pairs of every part, with the ends in order unless direction matters."""
    keys = [key for part in PARTS for key in (part, f"{part}_neg")]
    found = {key: list(map(tuple, getattr(split, key).t().tolist())) for key in keys}
    return found if split.directed else {key: [(min(p), max(p)) for p in pairs] for key, pairs in found.items()}


@settings(max_examples=60, deadline=None)
@given(edge_lists(), st.booleans(), st.booleans(), st.integers(0, 3))
def test_nothing_leaks(graph: tuple[int, list[tuple[int, int]]], directed: bool, keep: bool, seed: int) -> None:
    n, pairs = graph
    wanted = {(p if directed else (min(p), max(p))) for p in pairs if p[0] != p[1]}
    edge_index = torch.tensor(pairs).t()
    options = {"shares": (50, 25, 25), "negatives": 0.5, "keep_connected": keep, "directed": directed, "seed": seed}
    g = gr.Graph(edge_index, num_nodes=n)
    try:
        split = split_edges(g, **options)
    except EmptyGraphError:
        assert not wanted
        return
    except GraphrepError as error:
        assert keep or "no edges" in error.message  # noqa: PT017
        return
    parts = as_sets(split)
    edges = [pair for part in PARTS for pair in parts[part]]
    assert sorted(edges) == sorted(wanted)
    held = len(wanted) // 4
    assert (len(parts["val"]), len(parts["test"])) == (held, held)
    negatives = [pair for part in PARTS for pair in parts[f"{part}_neg"]]
    assert len(set(negatives)) == len(negatives)
    assert not set(negatives) & wanted
    assert all(i != j for i, j in negatives)
    for part in PARTS:
        assert len(parts[f"{part}_neg"]) == -(-len(parts[part]) // 2)
    check_leak(split.train, split.val, directed=directed)
    check_leak(split.train_edge_index(), split.test, directed=directed)
    if keep:
        assert count_components(n, parts["train"]) == count_components(n, list(wanted))
    again = split_edges(gr.Graph(edge_index.flip(1), num_nodes=n), **options)
    assert as_sets(again) == parts


def count_components(n: int, pairs: list[tuple[int, int]]) -> int:
    label = list(range(n))
    for i, j in pairs:
        old, new = label[i], label[j]
        label = [new if v == old else v for v in label]
    return len(set(label))


def test_sizes_round_like_the_published_splits() -> None:
    """Cora has 5278 links; 70/10/20 gives 3696/527/1055."""
    rng = np.random.default_rng(0)
    ranks = np.sort(rng.choice(num_pairs(2708, directed=False), 5278, replace=False))
    split = split_edges(torch.from_numpy(pair_of(ranks, 2708, directed=False)), shares=(70, 10, 20), directed=False)
    assert [split.sizes()[part] for part in PARTS] == [3696, 527, 1055]
    assert [split.sizes()[f"{part}_neg"] for part in PARTS] == [3696, 527, 1055]


def test_seeds_differ_and_both_directions_go_together() -> None:
    g = gr.load("lesmis")
    first, second = split_edges(g, seed=0), split_edges(g, seed=1)
    assert not torch.equal(first.test, second.test)
    assert first.train.shape[1] + first.val.shape[1] + first.test.shape[1] == g.num_edges // 2
    reverse = first.test.flip(0).t().tolist()
    assert not set(map(tuple, reverse)) & set(map(tuple, first.train_edge_index().t().tolist()))
    assert not first.directed


def test_a_dense_graph_has_all_its_gaps_as_negatives() -> None:
    n = 12
    i, j = np.triu_indices(n, 1)
    keep = (i + j) % 5 != 0
    split = split_edges(torch.from_numpy(np.stack([i[keep], j[keep]])), negatives=0.2, directed=False)
    drawn = {p for part in PARTS for p in as_sets(split)[f"{part}_neg"]}
    assert drawn <= set(zip(i[~keep].tolist(), j[~keep].tolist(), strict=True))
    with pytest.raises(GraphrepError, match=r"\d+ negatives were asked for, but only 13 pairs are no edges"):
        split_edges(torch.from_numpy(np.stack([i[keep], j[keep]])), negatives=1.0, directed=False)


def test_what_cannot_be_split_is_refused() -> None:
    path = torch.tensor([[0, 1, 2], [1, 2, 3]])
    with pytest.raises(GraphrepError, match="only 0 of 3 can be removed without cutting the graph"):
        split_edges(path, shares=(0, 50, 50), keep_connected=True, directed=False)
    with pytest.raises(GraphrepError, match="add up to 1 or 100; got 1, 1, 1"):
        split_edges(path, shares=(1, 1, 1))
    with pytest.raises(GraphrepError, match="three numbers"):
        split_edges(path, shares=(0.5, 0.5))
    with pytest.raises(EmptyGraphError, match="no edges to split"):
        split_edges(torch.tensor([[1], [1]]))


# times


@settings(max_examples=60, deadline=None)
@given(edge_lists(), st.booleans(), st.booleans(), st.integers(0, 3))
def test_the_latest_edges_are_held_out(graph, directed: bool, whole: bool, seed: int) -> None:
    n, pairs = graph
    rng = np.random.default_rng(len(pairs))
    time = rng.integers(0, 6, len(pairs)) if whole else rng.random(len(pairs))
    first: dict[tuple[int, int], float] = {}
    for (i, j), when in zip(pairs, time.tolist(), strict=True):
        key = (i, j) if directed else (min(i, j), max(i, j))
        if i != j:
            first[key] = min(when, first.get(key, when))
    options = {"shares": (50, 25, 25), "negatives": 0.2, "directed": directed, "seed": seed}
    edge_index = torch.tensor(pairs).t()
    try:
        split = split_edges(gr.Graph(edge_index, num_nodes=n), edge_time=time, **options)
    except GraphrepError as error:
        assert not first or "no edges" in error.message  # noqa: PT017
        return
    parts, held = as_sets(split), len(first) // 4
    assert [len(parts[part]) for part in PARTS] == [len(first) - 2 * held, held, held]
    assert sorted(pair for part in PARTS for pair in parts[part]) == sorted(first)
    times = {part: getattr(split, f"{part}_time") for part in PARTS}
    for part in PARTS:
        assert times[part].tolist() == [first[pair] for pair in parts[part]]
        assert times[part].dtype == (torch.int64 if whole else torch.float64)
    if held:
        assert max(times["train"]) <= min(times["val"])
        assert max(times["val"]) <= min(times["test"])
    order = np.random.default_rng(seed).permutation(len(pairs))
    again = split_edges(gr.Graph(edge_index[:, order], num_nodes=n), edge_time=torch.from_numpy(time[order]), **options)
    assert as_sets(again) == parts


def test_ties_in_time_go_by_the_seed_and_repeats_by_the_first_time() -> None:
    ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
    drawn = [
        split_edges(ring, shares=(50, 25, 25), edge_time=torch.ones(40), directed=False, seed=s) for s in (0, 1, 0)
    ]
    assert torch.equal(drawn[0].test, drawn[2].test)
    assert not torch.equal(drawn[0].test, drawn[1].test)
    both = torch.cat([ring, ring[:, -1:].flip(0)], dim=1)  # the last edge is known from time 0, in the other direction
    split = split_edges(both, shares=(50, 25, 25), edge_time=[*range(1, 41), 0], directed=False)
    assert [0, 39] in split.train.t().tolist()
    assert split.test_time is not None
    assert split.test_time.tolist() == list(range(30, 40))
    one_way = split_edges(both, shares=(50, 25, 25), edge_time=[*range(1, 41), 0], directed=True)
    assert [39, 0] in one_way.test.t().tolist()
    assert [0, 39] in one_way.train.t().tolist()


def test_times_that_do_not_fit_are_refused() -> None:
    ring = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    with pytest.raises(ShapeError, match=r"edge_time must hold 4 numbers; got int64 of shape \(3,\)"):
        split_edges(ring, edge_time=np.arange(3))
    with pytest.raises(NonFiniteError, match="edge_time holds nan at 2"):
        split_edges(ring, edge_time=[0.0, 1.0, float("nan"), 2.0])
    with pytest.raises(GraphrepError, match="no others can be kept"):
        split_edges(ring, shares=(50, 25, 25), edge_time=range(4), keep_connected=True, directed=False)


@pytest.mark.parametrize("directed", [False, True])
def test_a_split_becomes_what_link_predictors_are_given(tmp_path, directed: bool) -> None:
    graph = gr.Graph(gr.load("lesmis").edge_index, x=torch.eye(77), ids=[f"n{i}" for i in range(77)], name="miserables")
    split = split_edges(graph, directed=directed, edge_time=torch.arange(graph.num_edges) // 7)
    made = split.link_split(graph)
    assert made.graph.is_undirected() is not directed
    assert (made.graph.num_features, made.name) == (77, "miserables")
    assert split.link_split().graph.num_nodes == 77
    check_leak(made.graph.edge_index, made.test_pos, directed=directed)
    write_split(split, tmp_path / "links.npz", ids=graph.ids)
    again = gr.read(tmp_path / "links.npz")
    assert again.graph.is_undirected() is not directed
    assert again.graph.num_edges == made.graph.num_edges
    assert again.graph.ids.tolist() == graph.ids.tolist()
    for part in ("val_pos", "val_neg", "test_pos", "test_neg"):
        assert torch.equal(getattr(again, part), getattr(made, part))
    with np.load(tmp_path / "links.npz") as file:
        assert file["test_time"].tolist() == split.test_time.tolist()
    write_split(split, tmp_path / "links.csv", ids=graph.ids)
    rows = (tmp_path / "links.csv").read_text().splitlines()
    assert rows[0] == "source,target,part,label,time"
    assert rows[1].startswith("n")
    assert rows[1].endswith(f",train,1,{split.train_time.tolist()[0]}")
    assert rows[-1].endswith(",test,0,")


# leaks


def test_leaks_are_counted_by_direction() -> None:
    train = torch.tensor([[0, 1, 2], [1, 2, 3]])
    check_leak(train, torch.tensor([[0], [2]]))
    check_leak(train, torch.empty(2, 0, dtype=torch.int64))
    with pytest.raises(LeakySplitError, match=r"^2 of 3 test edges also .* \(reversed direction\)\."):
        check_leak(train, np.array([[1, 2, 0], [0, 1, 3]]))
    with pytest.raises(LeakySplitError, match=r"^1 of 1 val edges also occur in the training edges\."):
        check_leak(train, torch.tensor([[0], [1]]), name="val")
    with pytest.raises(LeakySplitError, match=r"\(1 in the same direction, 1 reversed\)"):
        check_leak(train, torch.tensor([[0, 2], [1, 1]]))
    check_leak(train, torch.tensor([[1], [0]]), directed=True)
    with pytest.raises(ShapeError, match=r"must have shape \(2, E\); got \(3, 2\)"):
        check_leak(train, torch.zeros(3, 2))
    with pytest.raises(LeakySplitError) as caught:
        check_leak(train, train)
    assert caught.value.hint == "graphrep data split --undirected; pass --allow-leak to go on anyway."


# nodes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(0, 40), st.integers(0, 40), st.integers(0, 9))
def test_node_parts_are_disjoint_and_complete(n: int, val: int, test: int, seed: int) -> None:
    split = split_nodes(n, shares=(100 - val - test, val, test), seed=seed)
    parts = [getattr(split, part).tolist() for part in PARTS]
    assert sorted(node for part in parts for node in part) == list(range(n))
    assert (len(parts[1]), len(parts[2])) == (n * val // 100, n * test // 100)
    assert all(part == sorted(part) for part in parts)
    again = split_nodes(n, shares=(100 - val - test, val, test), seed=seed)
    assert torch.equal(again.train, split.train)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=8, max_size=80), st.integers(0, 5))
def test_stratified_parts_have_the_proportions(labels: list[int], seed: int) -> None:
    y = torch.tensor(labels)
    split = split_nodes(y, shares=(50, 25, 25), stratified=True, seed=seed)
    known = int((y >= 0).sum())
    assert split.sizes() == {"train": known - 2 * (known // 4), "val": known // 4, "test": known // 4}
    joined = torch.cat([split.train, split.val, split.test])
    assert sorted(joined.tolist()) == (y >= 0).nonzero().reshape(-1).tolist()
    for k in range(4):
        members = int((y == k).sum())
        for part in ("val", "test"):
            assert abs(int((y[getattr(split, part)] == k).sum()) - members / 4) < 2


def test_nodes_per_class() -> None:
    g = gr.load("digits")
    split = split_nodes(g, per_class=20, num_val=500, num_test=1000)
    assert split.sizes() == {"train": 200, "val": 500, "test": 1000}
    assert torch.bincount(g.y[split.train]).tolist() == [20] * 10
    assert not set(split.val.tolist()) & set(split.train.tolist() + split.test.tolist())
    rest = split_nodes(g, per_class=20)
    assert sum(rest.sizes().values()) == 1797
    with pytest.raises(GraphrepError, match="Class 8 has 174 nodes, and 175 per class"):
        split_nodes(g, per_class=175)
    with pytest.raises(GraphrepError, match="training leaves 1 597 labelled nodes"):
        split_nodes(g, per_class=20, num_val=1000, num_test=1000)
    with pytest.raises(MissingLabelsError, match="one class number per node"):
        split_nodes(gr.load("lesmis"), stratified=True)


# files


def test_split_files_hold_the_split(tmp_path: Path) -> None:
    g = gr.load("lesmis")
    edges, nodes = split_edges(g, seed=3), split_nodes(g, seed=3)
    write_split(edges, tmp_path / "e.npz", ids=g.ids)
    with np.load(tmp_path / "e.npz") as stored:
        assert stored["test_pos"].tolist() == edges.test.tolist()
        assert stored["val_neg"].tolist() == edges.val_neg.tolist()
        assert (int(stored["num_nodes"]), int(stored["seed"]), bool(stored["directed"])) == (77, 3, False)
        assert stored["ids"].tolist() == g.ids.tolist()
    write_split(nodes, tmp_path / "n.npz")
    with np.load(tmp_path / "n.npz") as stored:
        assert stored["train_idx"].tolist() == nodes.train.tolist()
    write_split(edges, tmp_path / "e.csv", ids=g.ids)
    rows = (tmp_path / "e.csv").read_text().splitlines()
    assert rows[0] == "source,target,part,label"
    assert len(rows) == 1 + 2 * 254
    source, target = g.ids[edges.train[:, 0].numpy()]
    assert rows[1] == f"{source},{target},train,1"
    write_split(nodes, tmp_path / "n.csv")
    assert len((tmp_path / "n.csv").read_text().splitlines()) == 78
