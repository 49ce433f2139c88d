"""FastRP on changing graphs: transform of new nodes and update by an edge delta are exact, bit by bit."""

from __future__ import annotations

import warnings

import pytest
import torch
from fastrp_cases import random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.data.check import GraphWarning
from graphrep.errors import GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import CSR
from graphrep.methods import EdgeDelta, FastRP
from graphrep.methods._fastrp_delta import changed_graph

pytestmark = pytest.mark.filterwarnings("ignore::graphrep.data.check.GraphWarning")

VARIANTS = [
    {},
    {"degree_exponent": -0.5},
    {"weights": (1, 0, 2, 0.5), "self_weight": 0.3, "degree_exponent": -0.64},
    {"storage": torch.bfloat16},
    {"dtype": torch.bfloat16},
    {"dtype": torch.float64, "feature_ratio": 0.5},
    {"transition": False, "normalize": False, "direction": "in"},
    {"weights": (0, 1, 0, 0), "density": "gaussian", "direction": "both"},
    {"rng": "gds", "weights": (0.5,), "degree_exponent": -0.3},
    {"weights": (0, 1, 1), "standardize": True},
]


def sparse_graph(weighted, **parts):
    x = torch.randn(400, 5, generator=torch.Generator().manual_seed(2))
    return random_graph(400, 700, seed=1, weighted=weighted, x=x, **parts)


def some_delta(graph, ids=None):
    weight = None if graph.edge_weight is None else torch.tensor([0.5, 0.2, 0.9])
    added = torch.tensor([[0, 5, 400], [7, 9, 3]])
    return EdgeDelta(added, graph.edge_index[:, [3, 10]], weight, x=torch.ones(1, 5), ids=ids)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_update_equals_fitting_anew(options, weighted, keep):
    graph = sparse_graph(weighted)
    model = FastRP(dim=24, keep_powers=keep, **options).fit(graph)
    before, copy = model.embedding_, model.embedding_.clone()
    delta = some_delta(graph)
    changed = changed_graph(graph, delta)
    model.update(delta)
    assert torch.equal(model.embedding_, FastRP(dim=24, **options).fit_transform(changed))
    assert torch.equal(before, copy)  # what the caller holds is not overwritten
    again = EdgeDelta(removed=torch.tensor([[400], [3]]))
    model.update(again)
    assert torch.equal(model.embedding_, FastRP(dim=24, **options).fit_transform(changed_graph(changed, again)))
    if not options.get("standardize"):
        assert torch.equal(model.embed(changed), FastRP(dim=24, **options).fit_transform(changed))


@pytest.mark.parametrize("options", VARIANTS[:-1], ids=str)
def test_transform_gives_the_rows_of_a_full_run(options):
    graph = sparse_graph(True)
    model = FastRP(dim=24, **options).fit(graph)
    grown = changed_graph(graph, some_delta(graph))
    whole = FastRP(dim=24, **options).fit_transform(grown)
    assert torch.equal(model.transform(grown), whole[400:])
    nodes = torch.tensor([5, 400, 5, 17])
    assert torch.equal(model.transform(grown, nodes), whole[nodes])
    assert model.transform(graph).shape == (0, 24)


def test_parameters_set_after_fitting_count():
    graph = sparse_graph(False)
    model = FastRP(dim=8, density=1.0, standardize=True).fit(graph).set_params(density=0.2, standardize=False)
    want = FastRP(dim=8, density=0.2).fit_transform(graph)
    assert torch.equal(model.embed(graph), want)
    assert torch.equal(model.update(graph).embedding_, want)


def test_transform_uses_the_fitted_statistics():
    graph = sparse_graph(False)
    model = FastRP(dim=8, standardize=True, feature_ratio=0.5, feature_scale="standard").fit(graph)
    torch.testing.assert_close(model.transform(graph, torch.arange(400)), model.embedding_, rtol=0, atol=1e-6)
    grown = changed_graph(graph, some_delta(graph))
    assert torch.equal(model.transform(grown), model.embed(grown)[400:])


def test_nodes_are_matched_by_id():
    names = [f"n{i}" for i in range(400)]
    graph = sparse_graph(False, ids=names)
    model = FastRP(dim=16, degree_exponent=-0.5).fit(graph)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    place = torch.empty_like(order)
    place[order] = torch.arange(400)
    moved = graph.replace(edge_index=place[graph.edge_index[:, 5:]], ids=graph.ids[order], x=graph.x[order])
    model.update(moved)
    assert torch.equal(model.embedding_, FastRP(dim=16, degree_exponent=-0.5).fit_transform(moved))
    assert model.ids_.tolist() == moved.ids.tolist()
    grown = changed_graph(graph, some_delta(graph, ids=["new"]))
    assert grown.ids[-1] == "new"
    assert torch.equal(FastRP(dim=16).fit(graph).transform(grown), FastRP(dim=16).fit_transform(grown)[400:])


def test_an_update_far_away_computes_little(monkeypatch):
    """A change at one end of a long path must not touch the other end."""
    import graphrep.methods._fastrp_update as module

    rows = torch.arange(2000)
    one_way = torch.stack([rows[:-1], rows[1:]])
    path = torch.cat([one_way, one_way.flip(0)], dim=1)
    seen = []
    original = module.embed_rows
    monkeypatch.setattr(module, "embed_rows", lambda *a: seen.append(a[-1].numel()) or original(*a))
    model = FastRP(dim=8, weights=(0, 0, 1, 1)).fit(path)
    model.update(EdgeDelta(added=torch.tensor([[0], [2]])))
    assert len(seen) == 1
    assert 3 <= seen[0] <= 8


@given(st.integers(0, 10_000), st.sampled_from(VARIANTS[:5]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_random_deltas(seed, options, keep):
    generator = torch.Generator().manual_seed(seed)
    graph = random_graph(60, 90, seed=seed, undirected=seed % 2 == 0)
    removed = graph.edge_index[:, torch.randperm(graph.num_edges, generator=generator)[: seed % 5]]
    delta = EdgeDelta(torch.randint(0, 63, (2, seed % 4), generator=generator), removed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        model = FastRP(dim=6, keep_powers=keep, **options).fit(graph)
        want = FastRP(dim=6, **options).fit_transform(changed_graph(graph, delta))
        assert torch.equal(model.update(delta).embedding_, want)


def test_directions_of_a_delta():
    undirected = random_graph(30, 60)
    grown = changed_graph(undirected, EdgeDelta(added=torch.tensor([[1], [30]])))
    assert grown.num_edges == undirected.num_edges + 2
    assert grown.is_undirected()
    one_way = changed_graph(undirected, EdgeDelta(added=torch.tensor([[1], [30]]), undirected=False))
    assert one_way.num_edges == undirected.num_edges + 1
    loop = changed_graph(undirected, EdgeDelta(added=torch.tensor([[2], [2]])))
    assert loop.num_edges == undirected.num_edges + 1


def test_errors():
    graph = sparse_graph(True)
    model = FastRP(dim=4).fit(graph)
    with pytest.raises(GraphrepError, match="removed has edge 399 -> 399"):
        model.update(EdgeDelta(removed=torch.tensor([[399], [399]])))
    with pytest.raises(GraphrepError, match="added_weight is missing"):
        model.update(EdgeDelta(added=torch.tensor([[0], [1]])))
    with pytest.raises(ShapeError, match="for 1 added edges"):
        model.update(EdgeDelta(added=torch.tensor([[0], [1]]), added_weight=torch.ones(2)))
    with pytest.raises(ShapeError, match=r"features of shape \(1, 5\)"):
        model.update(EdgeDelta(added=torch.tensor([[0], [400]]), added_weight=torch.ones(1)))
    with pytest.raises(IndexRangeError, match="added refers to node -1"):
        model.update(EdgeDelta(added=torch.tensor([[0], [-1]]), added_weight=torch.ones(1)))
    named = FastRP(dim=4).fit(sparse_graph(False, ids=[f"n{i}" for i in range(400)]))
    with pytest.raises(ShapeError, match="1 new nodes need 1 ids"):
        named.update(EdgeDelta(added=torch.tensor([[0], [400]])))
    with pytest.raises(GraphrepError, match="ids of another kind"):
        named.update(sparse_graph(False))
    with pytest.raises(IndexRangeError, match="nodes refers to 400"):
        model.transform(graph, torch.tensor([400]))
    with pytest.raises(AttributeError, match="not fitted"):
        FastRP().update(EdgeDelta())
    bare = FastRP(dim=4).fit(CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]])))
    with pytest.raises(GraphrepError, match="fitted on a Graph"):
        bare.update(EdgeDelta())
    with pytest.raises(GraphrepError, match="concat"):
        FastRP(dim=4, concat=True).fit(graph).transform(graph)
