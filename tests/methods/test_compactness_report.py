"""Reading a two-layer GCN from its modules, refusing what cannot be bounded, and the three kinds of nodes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from graphrep.data import Graph
from graphrep.errors import CheckpointMismatchError, GraphrepError, MissingFeaturesError, ShapeError
from graphrep.methods import GCA, GRACE, CompactnessReport, TwoViewEstimator, compactness_report
from graphrep.methods._views import Rates
from graphrep.methods.base import NotFittedError
from graphrep.methods.compactness import VERDICTS
from graphrep.nn import GCNConv
from graphrep.objectives import adjacency_bounds, contrast_vectors, node_compactness


class Encoder(nn.Module):
    """Two convolutions with dropout before and an activation after both."""

    def __init__(self, conv: Any = GCNConv, activation: nn.Module | None = None, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList([conv(5, 8, **options), conv(8, 3, **options)])
        self.activation = nn.PReLU(init=0.2) if activation is None else activation
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for conv in self.convs:
            x = self.activation(conv(self.dropout(x), edge_index))
        return x


class Functional(Encoder):
    """ReLU without a module."""

    def __init__(self) -> None:
        super().__init__()
        del self.activation

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.convs[1](self.convs[0](x, edge_index).relu(), edge_index).relu()


class Skipping(Functional):
    """Adds something that no layer explains."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return super().forward(x, edge_index) + 1


@pytest.fixture
def graph() -> Graph:
    generator = torch.Generator().manual_seed(3)
    upper = torch.triu(torch.rand(14, 14, generator=generator) < 0.35, 1)
    upper[:, -1] = False
    edges = (upper | upper.t()).nonzero().t().contiguous()
    return Graph(edges, x=torch.randn(14, 5, generator=generator), num_nodes=14)


@pytest.mark.parametrize("conv", [GCNConv, pyg.GCNConv])
@pytest.mark.parametrize("bias", [True, False])
def test_report_holds_what_the_functions_give(conv: Any, bias: bool, graph: Graph) -> None:
    encoder = Encoder(conv, bias=bias).train()
    encoder.convs[0].eval()
    report = compactness_report(encoder, graph, drop_rate=0.3)
    assert encoder.training
    assert not encoder.convs[0].training
    layers = [(c.lin.weight.detach().t(), None if c.bias is None else c.bias.detach()) for c in encoder.convs]
    with torch.no_grad():
        z = encoder.eval()(graph.x, graph.edge_index)
    torch.testing.assert_close(report.clean, (contrast_vectors(z) * z).sum(1))
    options = {"drop_rate": 0.3, "negative_slope": 0.2}
    for found, extra in ((report.bound, {"tighten": True}), (report.official, {"bound": "official"})):
        wanted = node_compactness(graph.x, graph.edge_index, layers, z, **options, **extra)
        torch.testing.assert_close(found, wanted)
    assert report.negative_slope == pytest.approx(0.2)
    assert torch.equal(report.degree, torch.bincount(graph.edge_index[1], minlength=14))
    assert torch.equal(report.budget, adjacency_bounds(graph.edge_index, num_nodes=14, drop_rate=0.3)[2])
    assert bool((report.bound <= report.clean + 1e-5).all())
    assert not report.clean.requires_grad


def test_every_node_is_one_of_three(graph: Graph) -> None:
    other = torch.randn(14, 3, generator=torch.Generator().manual_seed(1))
    report = compactness_report(Functional(), graph, other, drop_rate=0.3)
    kinds = torch.stack([report.certified, report.fragile, report.badly_trained]).int()
    assert bool((kinds.sum(0) == 1).all())
    counts = report.summary()
    assert counts == {
        "nodes": 14,
        "certified": int(kinds[0].sum()),
        "fragile": int(kinds[1].sum()),
        "badly_trained": int(kinds[2].sum()),
    }
    assert counts["badly_trained"] > 0
    assert counts["fragile"] + counts["certified"] > 0


def test_definitions_and_buckets() -> None:
    clean = torch.tensor([1.0, 1.0, 0.0, -1.0, 2.0])
    bound = torch.tensor([0.5, 0.0, -1.0, -2.0, float("nan")])
    degree = torch.tensor([0, 2, 2, 7, 80])
    report = CompactnessReport(clean, bound, clean / 2, degree, degree // 2, 0.0)
    assert report.certified.tolist() == [True, False, False, False, False]
    assert report.fragile.tolist() == [False, True, False, False, True]
    assert report.badly_trained.tolist() == [False, False, True, True, False]
    for place, name in enumerate(VERDICTS):
        assert torch.equal(report.verdict == place, getattr(report, name))
    buckets = report.by_degree()
    assert [(b.low, b.high, b.nodes) for b in buckets] == [(0, 0, 1), (2, 2, 2), (5, 8, 1), (65, None, 1)]
    assert (buckets[1].fragile, buckets[1].badly_trained, buckets[1].certified) == (1, 1, 0)
    assert (buckets[1].mean_clean, buckets[1].mean_bound, buckets[1].mean_official) == (0.5, -0.5, 0.25)
    assert buckets[1].range_clean == pytest.approx((0.1, 0.9))
    assert buckets[1].range_bound == pytest.approx((-0.9, -0.1))
    assert buckets[1].range_official == pytest.approx((0.05, 0.45))
    assert [b.nodes for b in report.by_degree([0, 3])] == [3, 2]
    for wrong in ([], [3, 0], [1, 2]):
        with pytest.raises(ShapeError, match="first"):
            report.by_degree(wrong)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda: Encoder(activation=nn.PReLU(8)), "activation"),
        (lambda: Encoder(activation=nn.ELU()), "activation .*ELU"),
        (lambda: Encoder(activation=nn.PReLU(init=1.5)), "activation has slope 1.5"),
        (lambda: Encoder(normalize=False), r"convs.0 .*normalize=False"),
        (lambda: Encoder(add_self_loops=False), "add_self_loops=False"),
        (lambda: Encoder(aggr="mean"), "aggr"),
        (lambda: Encoder(flow="target_to_source"), "flow"),
        (lambda: nn.Sequential(Encoder(), nn.Linear(3, 3)), "Layer 1 .*Linear"),
        (lambda: nn.Sequential(GCNConv(5, 3)), r"1 GCNConv layers \(0\); bounds exist for two"),
        (lambda: nn.Sequential(nn.ReLU()), "0 GCNConv layers; bounds exist for two"),
        (lambda: nn.ModuleList([Encoder(), nn.ReLU()]), "different slopes"),
        (Skipping, "does not compute"),
    ],
)
def test_refuses_by_name(encoder: Any, message: str, graph: Graph) -> None:
    with pytest.raises(GraphrepError, match=message):
        compactness_report(encoder(), graph, drop_rate=0.3)


def test_refuses_graphs_that_it_cannot_explain(graph: Graph) -> None:
    with pytest.raises(MissingFeaturesError):
        compactness_report(Encoder(), graph.edge_index, drop_rate=0.3)
    twice = graph.replace(edge_index=torch.cat([graph.edge_index, graph.edge_index[:, :4]], 1))
    with pytest.raises(GraphrepError, match="double edge"):
        compactness_report(Encoder(), twice, drop_rate=0.3)
    with pytest.raises(GraphrepError, match="Exactly one"):
        compactness_report(Encoder(), graph)


def trained(method: type[TwoViewEstimator], graph: Graph, **options: Any) -> TwoViewEstimator:
    return method(**{"dim": 4, "epochs": 2, "eval_every": 0, **options}).fit(graph)


@pytest.fixture
def messy(graph: Graph) -> Graph:
    """The graph with a self-loop and an edge twice, which the methods leave out."""
    return graph.replace(edge_index=torch.cat([torch.tensor([[2], [2]]), graph.edge_index, graph.edge_index[:, :3]], 1))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_model_knows_its_rates_and_its_features(graph: Graph, messy: Graph, sparse: bool) -> None:
    model = trained(GRACE, messy, drop_edge_rates=(0.2, 0.6, 0.5), activation="prelu")
    rows = graph.x / graph.x.abs().sum(1, keepdim=True)
    seen = messy.replace(x=graph.x.to_sparse_csr()) if sparse else messy
    for given, rate in ((None, 0.6), (0.1, 0.1)):
        found = model.compactness(seen, drop_rate=given)
        wanted = compactness_report(model.module_.encoder, graph.replace(x=rows), drop_rate=rate)
        assert found.drop_rate == rate
        for name in ("clean", "bound", "official", "degree", "budget"):
            torch.testing.assert_close(getattr(found, name), getattr(wanted, name))
    loose = model.compactness(messy, tighten=False)
    assert bool((loose.bound <= model.compactness(messy).bound + 1e-5).all())
    assert not torch.equal(loose.bound, model.compactness(messy).bound)


@pytest.mark.parametrize("rates", [(0.3, 0.1), (0.3, 0.0)])
def test_weighted_dropping_has_a_probability_per_edge(graph: Graph, rates: tuple[float, float]) -> None:
    model = trained(GCA, graph, drop_edge_rates=rates)
    source = model._source(model.module_, graph)
    prob = model._rates(source).edges[0]
    assert isinstance(prob, Tensor)
    seen = Graph(source.edge_index, x=source.x, num_nodes=14)
    found, wanted = model.compactness(graph), compactness_report(model.module_.encoder, seen, edge_prob=prob)
    assert found.drop_rate is None
    torch.testing.assert_close(found.bound, wanted.bound)
    assert torch.equal(found.budget, wanted.budget)
    uniform = model.compactness(graph, drop_rate=0.3)
    assert not torch.equal(uniform.budget, found.budget)


def test_largest_rate() -> None:
    assert Rates((0.2, 0.5), (0.0,)).largest() == 0.5
    mixed = Rates((torch.tensor([0.1, 0.6]), 0.3, torch.tensor([0.4, 0.2])), (0.0,)).largest()
    torch.testing.assert_close(mixed, torch.tensor([0.4, 0.6]))


def test_models_that_cannot_be_judged(graph: Graph) -> None:
    model = trained(GRACE, graph)
    with pytest.raises(NotFittedError):
        GRACE().compactness(graph)
    with pytest.raises(MissingFeaturesError, match="grace needs node features"):
        model.compactness(graph.replace(x=None))
    with pytest.raises(CheckpointMismatchError, match="trained on 5 features; this graph has 4"):
        model.compactness(graph.replace(x=graph.x[:, :4]))
    with pytest.raises(GraphrepError, match=r"drop_rate is 1\.5"):
        model.compactness(graph, drop_rate=1.5)
    with pytest.raises(GraphrepError, match=r"Layer activation \(ELU\(alpha=1.0\)\) cannot be bounded"):
        trained(GRACE, graph, activation="elu").compactness(graph)
    with pytest.raises(GraphrepError, match=r"3 GCNConv layers \(convs.0, convs.1, convs.2\); bounds exist for two"):
        trained(GRACE, graph, num_layers=3).compactness(graph)
