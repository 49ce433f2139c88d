"""A graph without some links equals the graph built from the others, exactly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import CSR, gcn_norm, spmm
from graphrep.nn import LinkDropper


def random_edges(size: int, count: int, seed: int) -> Tensor:
    """With loops, duplicates and links in one direction only."""
    return torch.randint(0, size, (2, count), generator=torch.Generator().manual_seed(seed))


def same(found: CSR, wanted: CSR) -> None:
    assert torch.equal(found.rowptr, wanted.rowptr)
    assert torch.equal(found.col, wanted.col)
    assert (found.value is None) == (wanted.value is None)
    if found.value is not None and wanted.value is not None:
        torch.testing.assert_close(found.value, wanted.value)
    assert torch.equal(found.pattern_t().rowptr, wanted.pattern_t().rowptr)
    assert torch.equal(found.pattern_t().col, wanted.pattern_t().col)


def built(links: Tensor, size: int) -> tuple[CSR, CSR]:
    """Both matrices from the links that stay, as for a new graph."""
    one_way = links[:, (links[0] + size * links[1]).argsort()]
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    edges = edges[:, (edges[1] * size + edges[0]).argsort()]
    return gcn_norm(edges, num_nodes=size), CSR.from_edge_index(edges, size=(size, size))


@given(size=st.integers(1, 12), count=st.integers(0, 40), seed=st.integers(0, 999), out=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_removal_is_building_the_graph_anew(size: int, count: int, seed: int, out: int) -> None:
    dropper = LinkDropper(random_edges(size, count, seed), size)
    generator = torch.Generator().manual_seed(seed)
    removed = torch.randint(0, max(dropper.num_links, 1), (out if dropper.num_links else 0,), generator=generator)
    keep = torch.ones(dropper.num_links, dtype=torch.bool)
    keep[removed] = False
    view = dropper(removed)
    messages, neighbors = built(dropper.links[:, keep], size)
    same(view.neighbors, neighbors)
    x = torch.randn(size, 3, generator=generator)
    torch.testing.assert_close(spmm(view.messages, x), spmm(messages, x))
    torch.testing.assert_close(spmm(view.messages.t(), x), spmm(messages.t(), x))
    same(dropper.whole.neighbors, built(dropper.links, size)[1])  # and nothing of the graph itself has changed


def test_links_are_each_once() -> None:
    dropper = LinkDropper(torch.tensor([[0, 1, 2, 2, 3, 3], [1, 0, 0, 2, 2, 2]], dtype=torch.int32), 5)
    assert dropper.links.tolist() == [[0, 0, 2], [1, 2, 3]]
    assert (dropper.num_links, dropper.num_edges, dropper.num_nodes) == (3, 6, 5)
    assert repr(dropper) == "LinkDropper(5 nodes, 3 links)"


@pytest.mark.parametrize("which", ["message_rate", "neighbor_rate"])
def test_random_links_go_in_both_directions_and_targets_always(which: str) -> None:
    dropper = LinkDropper(random_edges(60, 900, 0), 60)
    removed = torch.arange(0, dropper.num_links, 3)
    view = dropper(removed, **{which: 0.4}, generator=torch.Generator().manual_seed(1))
    dropped = view.messages if which == "message_rate" else view.neighbors
    whole = view.neighbors if which == "message_rate" else view.messages
    dense = torch.zeros(60, 60)
    dense[dropped.row().long(), dropped.col.long()] = 1
    assert torch.equal(dense, dense.t())
    assert not bool(dense[dropper.links[0, removed], dropper.links[1, removed]].any())
    loops = 60 if which == "message_rate" else 0
    left = dropper.num_links - len(removed)
    assert 0.5 < (dropped.nnz - loops) / 2 / left < 0.7
    assert whole.nnz == 2 * left + (60 - loops)
    again = dropper(removed, **{which: 0.4}, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.neighbors.col, view.neighbors.col)
    assert torch.equal(again.messages.col, view.messages.col)


def test_both_kinds_are_drawn_apart() -> None:
    dropper = LinkDropper(random_edges(40, 300, 0), 40)
    view = dropper(message_rate=0.5, neighbor_rate=0.5, generator=torch.Generator().manual_seed(0))
    loops = view.messages.row() == view.messages.col
    kept = {tuple(e) for e in torch.stack([view.messages.row(), view.messages.col])[:, ~loops].t().tolist()}
    assert kept != {tuple(e) for e in torch.stack([view.neighbors.row(), view.neighbors.col]).t().tolist()}


def test_nothing_out_is_the_whole_graph() -> None:
    dropper = LinkDropper(random_edges(9, 20, 0), 9)
    assert dropper() is dropper.whole


def test_types() -> None:
    assert LinkDropper(random_edges(9, 20, 0), 9, dtype=torch.float64).whole.messages.value.dtype == torch.float64  # type: ignore[union-attr]


def test_errors() -> None:
    dropper = LinkDropper(random_edges(9, 20, 0), 9)
    with pytest.raises(IndexRangeError):
        dropper(torch.tensor([dropper.num_links]))
    with pytest.raises(GraphrepError, match="generator"):
        dropper(neighbor_rate=0.5)
    with pytest.raises(GraphrepError):
        dropper(message_rate=1.0, generator=torch.Generator())
    with pytest.raises(ShapeError):
        LinkDropper(torch.zeros(3, 2, dtype=torch.int64), 9)
    with pytest.raises(IndexRangeError):
        LinkDropper(torch.tensor([[0], [9]]), 9)
