"""Shared negatives: draws, probabilities, known edges as the contrastive loss takes them, masks, errors."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.nn import SharedNegatives
from graphrep.objectives import in_batch_info_nce

NUM = 15


def known(seed: int = 0, count: int = 40) -> Tensor:
    """Duplicates and self-loops; the last two nodes are no target."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(n, (count,), generator=generator) for n in (NUM, NUM - 2)])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("scheme", ["uniform", "degree"])
@pytest.mark.parametrize("k", [0, 1, 13])
def test_draws_are_distinct_candidates(scheme: str, k: int) -> None:
    negatives = SharedNegatives(k, known(), num_nodes=NUM, scheme=scheme)
    pool = negatives.draw(generator())
    assert pool.dtype == torch.int64
    assert pool.unique().numel() == pool.numel() == k
    assert torch.equal(pool, negatives.draw(generator()))
    assert not k or float(negatives.weights[pool].min()) > 0


@pytest.mark.parametrize(("scheme", "power"), [("uniform", 0.75), ("degree", 0.75), ("degree", 0.0), ("degree", 1.0)])
def test_a_draw_of_one_follows_the_weights(scheme: str, power: float) -> None:
    edges = known()
    negatives = SharedNegatives(1, edges, num_nodes=NUM, scheme=scheme, power=power)
    degree = [int((edges[1] == node).sum()) for node in range(NUM)]
    shares = [1.0 if scheme == "uniform" else d**power if d else 0.0 for d in degree]
    want = torch.tensor([share / sum(shares) for share in shares]).double()
    torch.testing.assert_close(negatives.weights, want)
    source, count = generator(), torch.zeros(NUM).double()
    for _ in range(4000):
        count[negatives.draw(source)] += 1
    # five standard deviations of a share of 4000
    torch.testing.assert_close(count / 4000, want, rtol=0, atol=5 * (0.15 / 4000) ** 0.5)


@pytest.mark.parametrize("scheme", ["uniform", "degree"])
def test_log_q_is_the_share_of_the_columns(scheme: str) -> None:
    """Targets as often as they have edges, and the pool; a node that is no column stays finite."""
    edges = known()
    negatives = SharedNegatives(4, edges, num_nodes=NUM, scheme=scheme)
    for batch_size in (0, 6):
        for node in range(NUM):
            share = 4 * float(negatives.weights[node]) + batch_size * int((edges[1] == node).sum()) / edges.shape[1]
            want = math.log(share / (4 + batch_size)) if share else math.log(torch.finfo(torch.float64).tiny)
            assert float(negatives.log_q(batch_size)[node]) == pytest.approx(want)


@given(seed=st.integers(0, 200), rows=st.integers(0, NUM), index=st.sampled_from([torch.int32, torch.int64]))
@settings(max_examples=30, deadline=None)
def test_known_among_a_batch(seed: int, rows: int, index: torch.dtype) -> None:
    edges = known(seed)
    negatives = SharedNegatives(3, edges.to(index), num_nodes=NUM)
    nodes = torch.randperm(NUM, generator=generator(seed))[:rows].to(index)
    others = torch.randperm(NUM, generator=generator(seed + 1))[: NUM - rows].to(index)
    for targets in (None, others):
        listed = nodes if targets is None else targets
        place = [{int(v): i for i, v in enumerate(ids.tolist())} for ids in (nodes, listed)]
        pairs = [(place[0][a], place[1][b]) for a, b in edges.t().tolist() if a in place[0] and b in place[1]]
        found = negatives.known_among(nodes, targets)
        assert found.shape == (2, len(pairs))
        assert sorted(map(tuple, found.t().tolist())) == sorted(pairs)


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_the_loss_of_a_batch_table_is_that_of_the_whole_table(seed: int) -> None:
    """Positions and known pairs of the batch's own table give the loss of the graph's table with all known edges."""
    edges = known(seed)
    negatives = SharedNegatives(5, edges, num_nodes=NUM)
    links, pool = edges[:, :6], negatives.draw(generator(seed))
    x = torch.randn(NUM, 4, generator=generator(seed), dtype=torch.float64)
    whole = in_batch_info_nce(x, *links, temperature=0.2, pool=pool, known=edges)
    nodes = torch.cat([links.reshape(-1), pool]).unique()
    place = torch.full((NUM,), -1).index_copy(0, nodes, torch.arange(nodes.numel()))
    local = negatives.known_among(nodes)
    part = in_batch_info_nce(x[nodes], *place[links], temperature=0.2, pool=place[pool], known=local)
    torch.testing.assert_close(part, whole)


@given(seed=st.integers(0, 200), same_type=st.booleans())
@settings(max_examples=20, deadline=None)
def test_mask_of_pairs(seed: int, same_type: bool) -> None:
    edges = known(seed)
    negatives = SharedNegatives(5, edges, num_nodes=NUM)
    pool, sources = negatives.draw(generator(seed)), edges[0, :7]
    pairs = set(map(tuple, edges.t().tolist()))
    want = [[(a, v) in pairs or (same_type and a == v) for v in pool.tolist()] for a in sources.tolist()]
    assert negatives.mask(sources, pool, same_type=same_type).tolist() == want


def test_two_numberings() -> None:
    edges = torch.tensor([[8, 9], [0, 1]])
    negatives = SharedNegatives(2, edges, num_nodes=2, num_sources=10)
    assert negatives.known_among(torch.tensor([9, 3]), torch.tensor([1, 0])).tolist() == [[0], [0]]
    mask = negatives.mask(torch.tensor([1, 9]), torch.tensor([0, 1]), same_type=False)
    assert mask.tolist() == [[False, False], [False, True]]


def test_a_graph_without_edges() -> None:
    negatives = SharedNegatives(2, torch.empty(2, 0, dtype=torch.int64), num_nodes=3)
    assert negatives.draw(generator()).numel() == 2
    assert negatives.known_among(torch.arange(3)).shape == (2, 0)
    with pytest.raises(GraphrepError, match="k is 1 but there are 0 candidates"):
        SharedNegatives(1, torch.empty(2, 0, dtype=torch.int64), num_nodes=3, scheme="degree")


def test_errors() -> None:
    edges = known()
    with pytest.raises(GraphrepError, match="k is 16 but there are 15 candidates"):
        SharedNegatives(16, edges, num_nodes=NUM)
    with pytest.raises(GraphrepError, match="k is -1"):
        SharedNegatives(-1, edges, num_nodes=NUM)
    with pytest.raises(UnknownNameError, match='scheme is "hard"'):
        SharedNegatives(1, edges, scheme="hard")
    with pytest.raises(ShapeError, match="edge_index"):
        SharedNegatives(1, edges.t())
    with pytest.raises(IndexRangeError):
        SharedNegatives(1, edges, num_nodes=5)
    negatives = SharedNegatives(1, edges, num_nodes=NUM)
    with pytest.raises(IndexRangeError, match="sources"):
        negatives.known_among(torch.tensor([NUM]))
    with pytest.raises(IndexRangeError, match="pool"):
        negatives.mask(torch.tensor([0]), torch.tensor([NUM]))
