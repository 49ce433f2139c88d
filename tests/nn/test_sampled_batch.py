"""sample_batch: seeds first, right edges by id, nothing excluded left, whole neighbourhoods, empty types, errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, gcn_norm, spmm
from graphrep.nn import SampledBatch, sample_batch

Kind = tuple[str, str, str]
NODE: Kind = ("node", "to", "node")
KINDS: list[Kind] = [("author", "writes", "paper"), ("paper", "rev_writes", "author"), ("paper", "cites", "paper")]
SIZES = {"author": 12, "paper": 20}


def lists(seed: int = 0, count: int = 70) -> dict[Kind, Tensor]:
    """Duplicates and self-loops; writes and its reverse are the same edges."""
    generator = torch.Generator().manual_seed(seed)
    ends = {k: torch.stack([torch.randint(SIZES[k[i]], (count,), generator=generator) for i in (0, 2)]) for k in KINDS}
    return {**ends, KINDS[1]: ends[KINDS[0]].flip(0)}


def matrices(edges: dict[Kind, Tensor]) -> dict[Kind, CSR]:
    return {k: CSR.from_edge_index(e, size=(SIZES[k[0]], SIZES[k[2]])) for k, e in edges.items()}


def ids(batch: SampledBatch, kind: Kind) -> Tensor:
    """(2, e) ids in the graph of a batch's edges."""
    return torch.stack([batch.nodes[kind[0]][batch.edges[kind][0]], batch.nodes[kind[2]][batch.edges[kind][1]]])


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("fanouts", [[3, 2], [-1], [2, 0, -1], {k: [2, 3] for k in KINDS}])
def test_seeds_come_first_and_edges_are_those_of_the_graph(index: torch.dtype, fanouts: list[int]) -> None:
    edges = lists()
    seeds = {"paper": torch.tensor([7, 3, 7, 19], dtype=index), "author": torch.tensor([], dtype=index)}
    batch = sample_batch(matrices(edges), seeds, fanouts, seed=1)
    assert batch.nodes["paper"][:3].tolist() == [7, 3, 19]
    assert batch.seeds["paper"].tolist() == [0, 1, 0, 2]
    assert batch.num_seeds == {"author": 0, "paper": 3}
    for name, nodes in batch.nodes.items():
        assert nodes.unique().numel() == nodes.numel(), name
    for kind, listed in edges.items():
        assert torch.equal(ids(batch, kind), listed[:, batch.edge_ids[kind]])
        assert batch.edge_ids[kind].unique().numel() == batch.edge_ids[kind].numel()


def test_same_seed_same_batch() -> None:
    graphs, seeds = matrices(lists()), {"paper": torch.arange(6)}
    one, two, other = (sample_batch(graphs, seeds, [2, 2], seed=s) for s in (5, 5, 6))
    assert all(torch.equal(one.edge_ids[kind], two.edge_ids[kind]) for kind in KINDS)
    assert any(not torch.equal(one.edge_ids[kind], other.edge_ids[kind]) for kind in KINDS)


def test_all_neighbours_are_the_two_hop_neighbourhood() -> None:
    edges = lists()
    batch = sample_batch(matrices(edges), {"author": torch.tensor([4])}, [-1, -1], seed=0)
    near: dict[str, set[int]] = {"author": {4}, "paper": set()}
    wanted: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
    for _ in range(2):
        before = {name: set(nodes) for name, nodes in near.items()}
        for kind, (source, target) in edges.items():
            for number, (a, b) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
                if b in before[kind[2]]:
                    near[kind[0]].add(a)
                    wanted[kind].add(number)
    assert {name: set(nodes.tolist()) for name, nodes in batch.nodes.items()} == near
    assert {kind: set(found.tolist()) for kind, found in batch.edge_ids.items()} == wanted


@given(seed=st.integers(0, 200))
@settings(max_examples=15, deadline=None)
def test_excluded_links_and_their_reverses_are_gone(seed: int) -> None:
    """All copies of them, in both edge types, and nothing else with all neighbours."""
    edges = lists(seed)
    picked = edges[KINDS[0]][:, :5]
    seeds = {"author": picked[0], "paper": picked[1]}
    banned = {(int(a), int(b)) for a, b in picked.t()}
    whole = sample_batch(matrices(edges), seeds, [-1, -1], seed=seed)
    batch = sample_batch(matrices(edges), seeds, [-1, -1], seed=seed, exclude={KINDS[0]: picked.int()})
    for kind, turn in ((KINDS[0], 1), (KINDS[1], -1)):
        found = [(int(a), int(b))[::turn] for a, b in ids(whole, kind).t()]
        kept = [pair for pair in found if pair not in banned]
        assert len(kept) < len(found)
        assert [(int(a), int(b))[::turn] for a, b in ids(batch, kind).t()] == kept
        assert torch.equal(ids(batch, kind), edges[kind][:, batch.edge_ids[kind]])
    assert torch.equal(batch.edge_ids[KINDS[2]], whole.edge_ids[KINDS[2]])
    assert all(torch.equal(batch.nodes[name], whole.nodes[name]) for name in SIZES)


def test_reverses_within_a_type_and_as_told() -> None:
    edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 0]])
    graph = {NODE: CSR.from_edge_index(edges, size=(4, 4))}
    target, seeds = {NODE: torch.tensor([[0], [1]])}, {"node": torch.arange(4)}
    assert sample_batch(graph, seeds, [-1], seed=0, exclude=target).edge_ids[NODE].sort().values.tolist() == [2, 3]
    alone = sample_batch(graph, seeds, [-1], seed=0, exclude=target, reverse={})
    assert alone.edge_ids[NODE].sort().values.tolist() == [1, 2, 3]
    other = ("node", "back", "node")
    both = {**graph, other: CSR.from_edge_index(edges.flip(0), size=(4, 4))}
    told = sample_batch(both, seeds, [-1], seed=0, exclude=target, reverse={NODE: other})
    assert [told.edge_ids[k].sort().values.tolist() for k in both] == [[1, 2, 3], [1, 2, 3]]


def test_types_and_graphs_without_edges() -> None:
    empty = {NODE: CSR.from_edge_index(torch.empty(2, 0, dtype=torch.int64), size=(3, 3))}
    seeds = {"node": torch.tensor([2, 0]), "alone": torch.tensor([1])}
    batch = sample_batch(empty, seeds, [5, 5], seed=0, num_nodes={"alone": 2})
    assert {name: nodes.tolist() for name, nodes in batch.nodes.items()} == {"alone": [1], "node": [2, 0]}
    assert batch.edges[NODE].shape == (2, 0)
    nothing = sample_batch(empty, {}, [5], seed=0)
    assert nothing.nodes["node"].numel() == 0


def test_the_normalised_matrix_of_a_whole_graph() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(9, (2, 40), generator=generator)  # with self-loops and duplicates
    graph = CSR.from_edge_index(edges, size=(9, 9))
    batch = sample_batch({NODE: graph}, {"node": torch.arange(9)}, [-1], seed=0)
    found = batch.gcn_matrix({NODE: graph}, dtype=torch.float64)
    x = torch.eye(9, dtype=torch.float64)
    wanted = gcn_norm(edges, num_nodes=9, dtype=torch.float64)
    torch.testing.assert_close(spmm(found, x), spmm(wanted, x))
    other = ("node", "like", "node")
    with pytest.raises(UnknownNameError, match="no edge type of the batch"):
        batch.gcn_matrix({other: graph})
    parts = {
        kind: CSR.from_edge_index(part, size=(9, 9))
        for kind, part in zip((NODE, other), edges.split(20, 1), strict=True)
    }
    both = sample_batch(parts, {"node": torch.arange(9)}, [-1], seed=0).gcn_matrix(parts, dtype=torch.float64)
    torch.testing.assert_close(spmm(both, x), spmm(wanted, x))
    with pytest.raises(UnknownNameError, match="within one node type"):
        sample_batch(matrices(lists()), {}, [1], seed=0).gcn_matrix({KINDS[0]: graph})


def test_batches_move() -> None:
    batch = sample_batch(matrices(lists()), {"paper": torch.arange(3)}, [2], seed=0)
    moved = batch.to("meta")
    assert moved.nodes["paper"].device.type == moved.edges[KINDS[0]].device.type == "meta"
    assert moved.num_seeds == batch.num_seeds


def test_errors() -> None:
    graphs = matrices(lists())
    with pytest.raises(UnknownNameError, match='"venue", which is no node type'):
        sample_batch(graphs, {"venue": torch.tensor([0])}, [1], seed=0)
    with pytest.raises(IndexRangeError, match="seeds"):
        sample_batch(graphs, {"paper": torch.tensor([20])}, [1], seed=0)
    with pytest.raises(DTypeError, match="seeds"):
        sample_batch(graphs, {"paper": torch.ones(2)}, [1], seed=0)
    with pytest.raises(GraphrepError, match=r"is \[-2\]"):
        sample_batch(graphs, {}, [-2], seed=0)
    with pytest.raises(GraphrepError, match="several lengths"):
        sample_batch(graphs, {}, {KINDS[0]: [1], KINDS[1]: [1, 1], KINDS[2]: [1]}, seed=0)
    with pytest.raises(UnknownNameError, match="differ at"):
        sample_batch(graphs, {}, {KINDS[0]: [1]}, seed=0)
    with pytest.raises(ShapeError, match="others 20"):
        sample_batch(
            {**graphs, ("paper", "x", "paper"): CSR.from_edge_index(torch.tensor([[0], [0]]))}, {}, [1], seed=0
        )
    with pytest.raises(UnknownNameError, match="exclude names"):
        sample_batch(graphs, {}, [1], seed=0, exclude={NODE: torch.tensor([[0], [0]])})
    with pytest.raises(IndexRangeError, match="exclude"):
        sample_batch(graphs, {}, [1], seed=0, exclude={KINDS[0]: torch.tensor([[0], [20]])})
    with pytest.raises(UnknownNameError, match="turns"):
        sample_batch(graphs, {}, [1], seed=0, exclude={KINDS[0]: torch.tensor([[0], [0]])}, reverse={KINDS[0]: NODE})
    with pytest.raises(DTypeError, match="seed must be an integer"):
        sample_batch(graphs, {}, [1], seed=0.5)  # type: ignore[arg-type]
