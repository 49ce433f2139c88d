"""Canonical edge lists against a dictionary-based form written here."""

from __future__ import annotations

from collections import defaultdict

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.data.canonical import canonical_edges

CASES = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.integers(1, 5)), max_size=25),
    )
)


def slow_form(n, rows, *, directed, keep):
    """(edges {(u, v): weight} as stored, merged, mirrored)."""
    table = defaultdict(list)
    for u, v, w in rows:
        if u != v or keep:
            table[u, v].append(w)
    sums = {pair: sum(ws) for pair, ws in table.items()}
    given_rows = sum(len(ws) for ws in table.values())
    if directed:
        return sums, given_rows - len(sums), False
    symmetric = bool(sums) and all(sums.get((v, u)) == w for (u, v), w in sums.items())
    if symmetric:
        return sums, given_rows - len(sums), True
    both = defaultdict(int)
    for (u, v), w in sums.items():
        both[min(u, v), max(u, v)] += w
    merged = given_rows - len(both)
    return {**both, **{(v, u): w for (u, v), w in both.items()}}, merged, False


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("keep", [True, False])
@given(case=CASES, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_equals_the_slow_form_in_any_order(weighted, directed, keep, case, seed) -> None:
    n, rows = case
    rows = rows if weighted else [(u, v, 1) for u, v, _ in rows]
    expected, merged, mirrored = slow_form(n, rows, directed=directed, keep=keep)
    if not weighted:  # symmetric means each pair occurs both ways, however often
        pairs = {(u, v) for u, v, _ in rows if u != v or keep}
        mirrored = not directed and bool(pairs) and all((v, u) in pairs for u, v in pairs)
        merged = len([r for r in rows if r[0] != r[1] or keep]) - (
            len(pairs) if directed or mirrored else len({frozenset(p) for p in pairs})
        )
    edges = torch.tensor([r[:2] for r in rows], dtype=torch.int64).reshape(-1, 2).t()
    weight = torch.tensor([r[2] for r in rows], dtype=torch.float32) if weighted else None
    found = canonical_edges(edges, weight, n, directed=directed, keep_self_loops=keep)
    assert [tuple(p) for p in found.edge_index.t().tolist()] == sorted(expected, key=lambda p: (p[1], p[0]))
    if weighted:
        assert found.edge_weight.tolist() == [expected[tuple(p)] for p in found.edge_index.t().tolist()]
    assert found.merged == merged
    assert found.mirrored == mirrored
    assert found.self_loops == sum(u == v for u, v, _ in rows)
    pairs = {(u, v) for u, v, _ in rows if u != v}
    assert found.one_way == sum((v, u) not in pairs for u, v in pairs)
    graph = nx.Graph(list(pairs))
    graph.add_nodes_from(range(n))
    assert found.components == nx.number_connected_components(graph)
    assert found.isolated == nx.number_of_isolates(graph)
    stored = {frozenset(p) for p in expected}
    assert found.edges == (len(expected) if directed else len(stored))

    order = np.random.default_rng(seed).permutation(len(rows))
    again = canonical_edges(
        edges[:, order], None if weight is None else weight[order], n, directed=directed, keep_self_loops=keep
    )
    assert torch.equal(again.edge_index, found.edge_index)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_sums_do_not_depend_on_the_order_of_rows_or_ends(weights, random) -> None:
    def total(values, flips):
        ends = torch.tensor([[1, 0] if f else [0, 1] for f in flips]).t()
        return canonical_edges(ends, torch.tensor(values, dtype=torch.float64), 2, directed=False)

    flips = [i % 3 == 0 for i in range(len(weights))]
    first = total(weights, flips)
    rows = list(zip(weights, flips, strict=True))
    random.shuffle(rows)
    second = total([w for w, _ in rows], [f for _, f in rows])
    assert first.edge_weight.tolist() == second.edge_weight.tolist()


def test_weight_types() -> None:
    edges = torch.tensor([[0], [1]])
    for dtype, kept in ((torch.float64, torch.float64), (torch.float32, torch.float32), (torch.float16, torch.float32)):
        found = canonical_edges(edges, torch.ones(1, dtype=dtype), 2, directed=False)
        assert found.edge_weight.dtype == kept


def test_no_edges_and_no_nodes() -> None:
    empty = torch.empty(2, 0, dtype=torch.int64)
    for n in (0, 3):
        for directed in (True, False):
            found = canonical_edges(empty, None, n, directed=directed)
            assert found.edge_index.shape == (2, 0)
            assert (found.components, found.isolated, found.mirrored) == (n, n, False)
    assert canonical_edges(empty, torch.empty(0), 3, directed=False).edge_weight.shape == (0,)
