"""The layers against PyG's own: values, gradients, parameters, in PyG's containers and compiled."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import CSR
from graphrep.nn import MLP, GATConv, GCNConv, LGConv, LightGCN, RGCNConv, SAGEConv
from graphrep.objectives import info_nce

N, E, D = 23, 120, 6


def random_edges(seed: int = 0, num_edges: int = E, sizes: tuple[int, int] = (N, N)) -> Tensor:
    """Duplicates, and self-loops that some nodes have several of; the last nodes have no edges."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.stack([torch.randint(0, max(size - 2, 1), (num_edges,), generator=generator) for size in sizes])
    edges[1, : num_edges // 8] = edges[0, : num_edges // 8].clamp(max=sizes[1] - 1)
    return edges


def pair(kind: str, *args: Any, seed: int = 0, **kwargs: Any) -> tuple[nn.Module, nn.Module]:
    """PyG's layer and ours with the same parameters, in float64; biases are not zero."""
    torch.manual_seed(seed)
    theirs, ours = getattr(pyg, kind)(*args, **kwargs).double(), LAYERS[kind](*args, **kwargs).double()
    for parameter in theirs.parameters():
        if not isinstance(parameter, nn.parameter.UninitializedParameter):
            nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


LAYERS: dict[str, Any] = {
    "GCNConv": GCNConv,
    "SAGEConv": SAGEConv,
    "GATConv": GATConv,
    "RGCNConv": RGCNConv,
    "LGConv": LGConv,
    "LightGCN": LightGCN,
}


def check(theirs: nn.Module, ours: nn.Module, call: Callable[[nn.Module], Any], inputs: list[Tensor]) -> None:
    """Equal values, equal gradients of inputs and parameters."""
    results = []
    for layer in (theirs, ours):
        out = call(layer)
        out = out[0] if isinstance(out, tuple) else out
        factor = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(5))
        wanted = [*inputs, *layer.parameters()]
        results.append((out, torch.autograd.grad((out * factor).sum(), wanted, allow_unused=True)))
    (expected, expected_grads), (got, got_grads) = results
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    assert len(got_grads) == len(expected_grads)
    for ours_grad, theirs_grad in zip(got_grads, expected_grads, strict=True):
        if theirs_grad is None:
            assert ours_grad is None or not ours_grad.any()
        else:
            torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-8, atol=1e-8)


def features(rows: int = N, columns: int = D, seed: int = 3) -> Tensor:
    return torch.randn(
        rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    ).requires_grad_()


def weights(num_edges: int = E) -> Tensor:
    return (
        torch.rand(num_edges, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 0.1
    ).requires_grad_()


GCN_SETTINGS: list[dict[str, Any]] = [
    {},
    {"improved": True},
    {"add_self_loops": False},
    {"normalize": False},
    {"bias": False},
    {"aggr": "max"},
    {"aggr": "mean"},
    {"flow": "target_to_source"},
    {"cached": True},
]


@pytest.mark.parametrize("settings_", GCN_SETTINGS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_gcn_is_pygs(settings_: dict[str, Any], weighted: bool) -> None:
    theirs, ours = pair("GCNConv", D, 4, **settings_)
    x, edges, weight = features(), random_edges(), None
    if weighted:  # of several self-loops of a node both count the last, but PyG's gradient goes to all of them
        torch.testing.assert_close(ours(x, edges, weights()), theirs(x, edges, weights()))
        ours.reset_parameters()
        ours.load_state_dict(theirs.state_dict())
        theirs._cached_edge_index = None
        edges = edges.unique(dim=1)
        weight = weights(edges.shape[1])
    needs = [x, weight] if weight is not None and not settings_.get("cached") else [x]
    if settings_.get("cached"):
        weight = None if weight is None else weight.detach()
    check(theirs, ours, lambda layer: layer(x, edges, weight), needs)
    if settings_.get("cached"):  # the second call takes the kept matrix, whatever it is given
        other = random_edges(9)
        torch.testing.assert_close(ours(x, other), theirs(x, other))
        ours.reset_parameters()
        ours.load_state_dict(theirs.state_dict())
        assert not torch.allclose(ours(x, other), theirs(x, other))


@pytest.mark.parametrize(
    "settings_",
    [{}, {"aggr": "sum"}, {"aggr": "max"}, {"aggr": "min"}, {"normalize": True}, {"root_weight": False},
     {"project": True}, {"aggr": "lstm"}, {"aggr": ["mean", "max"]}, {"flow": "target_to_source"}],
    ids=str,
)  # fmt: skip
def test_sage_is_pygs(settings_: dict[str, Any]) -> None:
    theirs, ours = pair("SAGEConv", D, 4, **settings_)
    x, edges = features(), random_edges()
    if settings_.get("aggr") == "lstm":
        edges = edges[:, edges[1].argsort(stable=True)]
    check(theirs, ours, lambda layer: layer(x, edges), [x])


@pytest.mark.parametrize("with_target", [True, False])
@pytest.mark.parametrize("size", [None, (N, 9)])
def test_sage_between_two_kinds_of_nodes(with_target: bool, size: tuple[int, int] | None) -> None:
    theirs, ours = pair("SAGEConv", (D, 5), 4)
    x, y = features(), features(9 if with_target or size else N, 5)
    edges = random_edges(sizes=(N, 9))
    check(theirs, ours, lambda layer: layer((x, y if with_target else None), edges, size), [x])


GAT_SETTINGS: list[dict[str, Any]] = [
    {},
    {"heads": 3},
    {"heads": 2, "concat": False},
    {"add_self_loops": False},
    {"residual": True, "bias": False},
    {"negative_slope": 0.05},
    {"flow": "target_to_source"},
    {"aggr": "max"},
    {"edge_dim": 4, "heads": 2},
    {"edge_dim": 4, "fill_value": 0.3},
    {"edge_dim": 4, "fill_value": "add"},
    {"edge_dim": 4, "fill_value": "max"},
    {"edge_dim": 4, "fill_value": "mul"},
    {"edge_dim": 4, "fill_value": torch.tensor([[0.1, 0.2, 0.3, 0.4]]).double()},
    {"edge_dim": 4, "add_self_loops": False, "flow": "target_to_source"},
]


@pytest.mark.parametrize("settings_", GAT_SETTINGS, ids=lambda value: str(sorted(value)))
@pytest.mark.parametrize("seed", [0, 1])
def test_gat_is_pygs(settings_: dict[str, Any], seed: int) -> None:
    theirs, ours = pair("GATConv", D, 4, **settings_)
    x, edges = features(), random_edges(seed)
    if seed:
        edges = edges[:, edges[0] != edges[1]]
    if "edge_dim" in settings_:
        attr = features(edges.shape[1], 4)
        check(theirs, ours, lambda layer: layer(x, edges, attr), [x, attr])
    check(theirs, ours, lambda layer: layer(x, edges), [x])
    expected, (loops, alpha) = theirs(x, edges, return_attention_weights=True)
    got, (our_loops, our_alpha) = ours(x, edges, return_attention_weights=True)
    assert torch.equal(loops, our_loops)
    torch.testing.assert_close(our_alpha, alpha)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("with_target", [True, False])
@pytest.mark.parametrize("size", [None, (N, 9)])
@pytest.mark.parametrize("loops", [True, False])
def test_gat_between_two_kinds_of_nodes(with_target: bool, size: tuple[int, int] | None, loops: bool) -> None:
    theirs, ours = pair("GATConv", (D, 5), 4, heads=2, add_self_loops=loops)
    x, y = features(), features(9, 5)
    edges = random_edges(sizes=(N, 9))
    check(theirs, ours, lambda layer: layer((x, y if with_target else None), edges, size=size), [x])


def test_gat_drops_attention_weights_in_training() -> None:
    torch.manual_seed(0)
    layer = GATConv(D, 4, heads=2, dropout=0.5, bias=False).double()
    x, edges = features(), random_edges()
    out, (_, alpha) = layer(x, edges, return_attention_weights=True)
    assert 0.3 < (alpha == 0).double().mean() < 0.7
    assert not torch.equal(out, layer(x, edges))
    layer.eval()
    assert torch.equal(layer(x, edges), layer(x, edges))


@pytest.mark.parametrize("settings_", [{}, {"num_bases": 2}, {"num_blocks": 2}, {"aggr": "sum"}, {"aggr": "max"},
                                       {"root_weight": False, "bias": False}, {"flow": "target_to_source"}],
                         ids=str)  # fmt: skip
def test_rgcn_is_pygs(settings_: dict[str, Any]) -> None:
    theirs, ours = pair("RGCNConv", D, 4, num_relations=5, **settings_)
    x, edges = features(), random_edges()
    types = torch.randint(0, 4, (E,), generator=torch.Generator().manual_seed(2))  # relation 4 has no edges
    # PyG sums into float32 zeros, which float64 messages promote
    check(theirs, ours, lambda layer: layer(x, edges, types), [x])
    ours(x, edges, types.clone())
    check(theirs, ours, lambda layer: layer(x, edges, (types + 1) % 5), [x])


def test_rgcn_with_node_ids_and_pairs() -> None:
    edges, types = random_edges(), torch.randint(0, 3, (E,), generator=torch.Generator().manual_seed(2))
    for settings_ in ({}, {"num_bases": 2}):
        theirs, ours = pair("RGCNConv", N, 4, num_relations=3, **settings_)
        check(theirs, ours, lambda layer: layer(None, edges, types), [])
        ids = torch.randperm(N)
        check(theirs, ours, lambda layer, ids=ids: layer(ids, edges, types), [])
    theirs, ours = pair("RGCNConv", (D, 5), 4, num_relations=3)
    x, y, between = features(), features(9, 5), random_edges(sizes=(N, 9))
    check(theirs, ours, lambda layer: layer((x, y), between, types), [x, y])
    ours = RGCNConv(N, 4, num_relations=3, num_blocks=1)
    with pytest.raises(GraphrepError, match="node ids"):
        ours(None, edges, types)


@pytest.mark.parametrize("weighted", [False, True])
def test_lightgcn_is_pygs(weighted: bool) -> None:
    theirs, ours = pair("LightGCN", N, 5, num_layers=3)
    edges, weight = random_edges(), weights() if weighted else None
    some = torch.randint(0, N, (2, 40), generator=torch.Generator().manual_seed(1))
    for labels in (None, some):
        check(
            theirs, ours, lambda layer, labels=labels: layer(edges, labels, weight), [] if weight is None else [weight]
        )
    src, dst = torch.arange(3, 12), torch.arange(10, N)
    for given_ in ({}, {"src_index": src}, {"src_index": src, "dst_index": dst}):
        assert torch.equal(ours.recommend(edges, weight, k=4, **given_), theirs.recommend(edges, weight, k=4, **given_))
    assert all(isinstance(conv, LGConv) for conv in ours.convs)
    loss = ours.recommendation_loss(ours(edges, some, weight), ours(edges, some.flip(0), weight), some[0])
    torch.testing.assert_close(
        loss, theirs.recommendation_loss(theirs(edges, some, weight), theirs(edges, some.flip(0), weight), some[0])
    )


def test_recommendations_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = pair("LightGCN", N, 5, num_layers=2)
    monkeypatch.setattr("graphrep.nn.lightgcn._SCORES", 3 * N)
    assert torch.equal(ours.recommend(random_edges(), k=7), theirs.recommend(random_edges(), k=7))


@pytest.mark.parametrize("kind", ["GCNConv", "SAGEConv", "GATConv", "LGConv"])
def test_a_matrix_instead_of_an_edge_list(kind: str) -> None:
    arguments = () if kind == "LGConv" else (D, 4)
    theirs, ours = pair(kind, *arguments)
    x, edges = features(), random_edges()
    csr = CSR.from_edge_index(edges, size=(N, N))
    torch.testing.assert_close(ours(x, csr), theirs(x, edges))
    torch.testing.assert_close(ours(x, EdgeIndex(edges, sparse_size=(N, N))), theirs(x, edges))
    torch.testing.assert_close(ours(x, edges.int()), theirs(x, edges))
    with pytest.raises(ShapeError, match="matrix"):
        ours(x[:5], csr)
    if kind in ("GCNConv", "LGConv"):
        weight = weights()
        weighted = CSR.from_edge_index(edges, weight, size=(N, N))
        torch.testing.assert_close(ours(x, weighted), theirs(x, edges, weight))
        with pytest.raises(GraphrepError, match="edge_weight"):
            ours(x, csr, weight)
    else:
        with pytest.raises(GraphrepError, match="weights"):
            ours(x, csr.with_value(weights()))


def test_a_matrix_goes_only_with_plain_sums() -> None:
    csr, x = CSR.from_edge_index(random_edges(), size=(N, N)), torch.randn(N, D)
    for layer in (SAGEConv(D, 2, aggr="lstm"), GCNConv(D, 2, flow="target_to_source")):
        with pytest.raises(GraphrepError, match="a CSR does not go with"):
            layer(x, csr)
    with pytest.raises(GraphrepError, match="return_attention_weights"):
        GATConv(D, 2)(x, csr, return_attention_weights=True)
    with pytest.raises(GraphrepError, match="relation"):
        RGCNConv(D, 2, 2)(x, csr)
    with pytest.raises(GraphrepError, match="edge_label_index"):
        LightGCN(N, 2, 1)(csr)
    model = LightGCN(N, 2, 1)
    pairs = torch.tensor([[0, 1], [2, 3]])
    torch.testing.assert_close(model(csr, pairs), model(random_edges(), pairs))


def test_sparse_tensors_explainers_and_hooks_run_pygs_code() -> None:
    theirs, ours = pair("SAGEConv", D, 4)
    x, edges = features(), random_edges()
    adjacency = torch.sparse_coo_tensor(edges.flip(0), torch.ones(E, dtype=torch.float64), (N, N)).coalesce()
    torch.testing.assert_close(ours(x, adjacency.to_sparse_csr()), theirs(x, adjacency.to_sparse_csr()))
    seen = []
    handle = ours.register_message_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    ours(x, edges)
    assert seen == [(E, D)]
    handle.remove()
    ours(x, edges)
    assert len(seen) == 1
    mask = torch.rand(E, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    for layer in (ours, theirs):
        set_masks(layer, mask, edges, apply_sigmoid=False)
    torch.testing.assert_close(ours(x, edges), theirs(x, edges))
    clear_masks(ours)
    assert not torch.allclose(ours(x, edges), theirs(x, edges))


def test_a_list_changed_in_place_is_read_again() -> None:
    for kind in ("GCNConv", "SAGEConv", "GATConv"):
        theirs, ours = pair(kind, D, 4)
        x, edges = features(), random_edges()
        torch.testing.assert_close(ours(x, edges), theirs(x, edges))
        edges[0, :10] = 3
        torch.testing.assert_close(ours(x, edges), theirs(x, edges))


def test_grouping_happens_once_per_list(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    build = CSR.from_edge_index.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(CSR, "from_edge_index", classmethod(lambda *a, **k: calls.append(1) or build(*a, **k)))
    x, edges, types = torch.randn(N, D), random_edges(), torch.zeros(E, dtype=torch.long)
    layers = [GCNConv(D, D), GCNConv(D, D), GATConv(D, D), GATConv(D, D), SAGEConv(D, D), SAGEConv(D, D)]
    for _ in range(2):
        for layer in layers:
            layer(x, edges)
        RGCNConv(D, D, 1)(x, edges, types)
    assert len(calls) == 4  # with loops for GCN, with loops for GAT, without, and by relation


@pytest.mark.parametrize("kind", ["GCNConv", "SAGEConv", "GATConv", "RGCNConv"])
def test_copies_and_pickles(kind: str) -> None:
    extra = (2,) if kind == "RGCNConv" else ()
    layer = LAYERS[kind](D, 4, *extra, **({"cached": True} if kind == "GCNConv" else {}))
    arguments = (torch.randn(N, D), random_edges(), *((torch.zeros(E, dtype=torch.long),) if extra else ()))
    expected = layer(*arguments)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(*arguments), expected)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    theirs = getattr(pyg, kind)(D, 4, *extra)
    theirs.load_state_dict(torch.load(buffer, weights_only=True))
    torch.testing.assert_close(theirs(*arguments), expected)


@pytest.mark.parametrize("kind", ["GCNConv", "SAGEConv", "GATConv"])
def test_lazy_input_sizes(kind: str) -> None:
    layer = LAYERS[kind](-1, 4, **({"edge_dim": -1} if kind == "GATConv" else {}))
    x, edges = torch.randn(N, D), random_edges()
    arguments = (x, edges, torch.randn(E, 3)) if kind == "GATConv" else (x, edges)
    theirs = getattr(pyg, kind)(-1, 4, **({"edge_dim": -1} if kind == "GATConv" else {}))
    out = layer(*arguments)
    theirs(*arguments)
    theirs.load_state_dict(layer.state_dict())
    torch.testing.assert_close(theirs(*arguments), out)


def test_bad_input_says_what_is_wrong() -> None:
    x, edges = torch.randn(N, D), random_edges()
    for layer in (GCNConv(D, 2), SAGEConv(D, 2), GATConv(D, 2)):
        with pytest.raises(IndexRangeError, match="edge_index"):
            layer(x, edges + 5)
        with pytest.raises(DTypeError, match="edge_index"):
            layer(x, edges.float())
        with pytest.raises(ShapeError, match="edge_index"):
            layer(x, edges[0])
    with pytest.raises(ShapeError, match="edge_weight"):
        GCNConv(D, 2)(x, edges, torch.ones(3))
    with pytest.raises(ShapeError, match="size"):
        SAGEConv(D, 2)(x, edges, size=(N, 3))
    with pytest.raises(ShapeError, match="edge_attr"):
        GATConv(D, 2, edge_dim=3)(x, edges, torch.ones(5, 3))
    types = torch.zeros(E, dtype=torch.long)
    for wrong, error in ((types + 2, IndexRangeError), (types[:4], ShapeError), (types.float(), DTypeError)):
        with pytest.raises(error, match="edge_type"):
            RGCNConv(D, 2, 2)(x, edges, wrong)


@pytest.mark.parametrize("num_nodes", [0, 1, 2, 63])
@pytest.mark.parametrize("kind", ["GCNConv", "SAGEConv", "GATConv"])
def test_graphs_without_edges(kind: str, num_nodes: int) -> None:
    theirs, ours = pair(kind, D, 4)
    x, edges = features(num_nodes), torch.empty(2, 0, dtype=torch.long)
    torch.testing.assert_close(ours(x, edges), theirs(x, edges))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), num_nodes=st.integers(1, 12), num_edges=st.integers(0, 40))
def test_node_order_does_not_matter(seed: int, num_nodes: int, num_edges: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, num_nodes, (2, num_edges), generator=generator)
    x = torch.randn(num_nodes, D, dtype=torch.float64, generator=generator)
    order = torch.randperm(num_nodes, generator=generator)
    place = order.argsort()
    for kind in ("GCNConv", "SAGEConv", "GATConv"):
        torch.manual_seed(seed)
        layer = LAYERS[kind](D, 3).double()
        torch.testing.assert_close(layer(x[order], place[edges]), layer(x, edges)[order])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_low_precision(dtype: torch.dtype, tolerance: float) -> None:
    x, edges = features().detach(), random_edges()
    for kind in ("GCNConv", "SAGEConv", "GATConv"):
        torch.manual_seed(0)
        layer = LAYERS[kind](D, 4).double()
        low = copy.deepcopy(layer).to(dtype)
        torch.testing.assert_close(low(x.to(dtype), edges).double(), layer(x, edges), rtol=tolerance, atol=tolerance)


# in PyG's containers


def test_in_sequential() -> None:
    torch.manual_seed(0)
    ours = pyg.Sequential(
        "x, edge_index", [(GCNConv(D, 8), "x, edge_index -> x"), nn.ReLU(), (GATConv(8, 4), "x, edge_index -> x")]
    )
    theirs = pyg.Sequential(
        "x, edge_index",
        [(pyg.GCNConv(D, 8), "x, edge_index -> x"), nn.ReLU(), (pyg.GATConv(8, 4), "x, edge_index -> x")],
    )
    theirs.load_state_dict(ours.state_dict())
    x, edges = torch.randn(N, D), random_edges()
    torch.testing.assert_close(ours(x, edges), theirs(x, edges))


HETERO = {
    ("author", "writes", "paper"): (N, 17),
    ("paper", "written_by", "author"): (17, N),
    ("paper", "cites", "paper"): (17, 17),
}


def hetero_inputs() -> tuple[dict[str, Tensor], dict[Any, Tensor]]:
    x = {"author": torch.randn(N, D), "paper": torch.randn(17, D)}
    return x, {kind: random_edges(sizes=sizes) for kind, sizes in HETERO.items()}


def test_in_hetero_conv() -> None:
    torch.manual_seed(0)
    x, edges = hetero_inputs()
    kinds = {"writes": "SAGEConv", "written_by": "GATConv", "cites": "GCNConv"}

    def build(source: Any) -> pyg.HeteroConv:
        loops = {"GATConv": {"add_self_loops": False}}
        convs = {}
        for kind in HETERO:
            name = kinds[kind[1]]
            shape: Any = D if kind[0] == kind[2] else (D, D)
            convs[kind] = source(name)(shape, 4, **loops.get(name, {}))
        return pyg.HeteroConv(convs, aggr="sum")

    ours, theirs = build(LAYERS.__getitem__), build(lambda name: getattr(pyg, name))
    theirs.load_state_dict(ours.state_dict())
    expected = theirs(x, edges)
    for kind, out in ours(x, edges).items():
        torch.testing.assert_close(out, expected[kind])


class TwoLayers(nn.Module):
    def __init__(self, conv: Any, **settings_: Any) -> None:
        super().__init__()
        self.first, self.second = conv((-1, -1), 8, **settings_), conv((-1, -1), 4, **settings_)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.second(self.first(x, edge_index).relu(), edge_index)


@pytest.mark.parametrize(("kind", "settings_"), [("SAGEConv", {}), ("GATConv", {"add_self_loops": False})])
def test_to_hetero(kind: str, settings_: dict[str, Any]) -> None:
    x, edges = hetero_inputs()
    metadata = (list(x), list(edges))
    torch.manual_seed(0)
    ours = pyg.to_hetero(TwoLayers(LAYERS[kind], **settings_), metadata)
    theirs = pyg.to_hetero(TwoLayers(getattr(pyg, kind), **settings_), metadata)
    ours(x, edges), theirs(x, edges)
    theirs.load_state_dict(ours.state_dict())
    expected = theirs(x, edges)
    for name, out in ours(x, edges).items():
        torch.testing.assert_close(out, expected[name])


def test_mlp_is_pygs() -> None:
    assert MLP is pyg.MLP


# compiled


@pytest.mark.parametrize("kind", ["GCNConv", "SAGEConv", "GATConv", "RGCNConv", "LGConv"])
def test_compiles_without_breaks(kind: str) -> None:
    arguments = {"LGConv": (), "RGCNConv": (D, 4, 2)}.get(kind, (D, 4))
    theirs, ours = pair(kind, *arguments)
    x, edges = features(), random_edges()
    extra = (torch.arange(E) % 2,) if kind == "RGCNConv" else ()
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    check(theirs, ours, lambda layer: (compiled if layer is ours else layer)(x, edges, *extra), [x])


def test_a_contrastive_step_compiles() -> None:
    torch.manual_seed(0)
    encoder = GCNConv(D, 16)
    x, edges = torch.randn(N, D), random_edges()

    def step(x: Tensor, edges: Tensor) -> Tensor:
        return info_nce(encoder(x, edges), encoder(x * 0.5, edges), temperature=0.5)

    compiled = torch.compile(step, fullgraph=True)
    loss = step(x, edges)
    loss.backward()
    expected = [p.grad.clone() for p in encoder.parameters() if p.grad is not None]
    encoder.zero_grad()
    again = compiled(x, edges)
    again.backward()
    torch.testing.assert_close(again, loss)
    for got, wanted in zip(encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(got.grad, wanted)
