"""NCN and NCNC: golden vectors, a dense transcription, sparse features, symmetry, gradients, odd graphs, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import (
    DTypeError,
    GraphrepError,
    IndexRangeError,
    MissingFeaturesError,
    ShapeError,
    UnknownNameError,
)
from graphrep.kernels import CSR, common_neighbor_pool
from graphrep.nn import NCN, CommonNeighborPool, _completion, _link_predictor

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "ncn").glob("*.npz"))
LAYERS = {
    "encoder.xemb.1": "encoder.lin",
    "predictor.xlin.0": "predictor.node_mlp.lin1",
    "predictor.xlin.3": "predictor.node_mlp.lin2",
    "predictor.xlin.4": "predictor.node_mlp.norm",
    "predictor.xcnlin.0": "predictor.neighbor_mlp.lin1",
    "predictor.xcnlin.3": "predictor.neighbor_mlp.lin2",
    "predictor.xcnlin.4": "predictor.neighbor_mlp.norm",
    "predictor.xijlin.0": "predictor.pair_mlp.lin1",
    "predictor.xijlin.1": "predictor.pair_mlp.norm",
    "predictor.lin.0": "predictor.head.lin1",
    "predictor.lin.1": "predictor.head.norm1",
    "predictor.lin.4": "predictor.head.lin2",
    "predictor.lin.5": "predictor.head.norm2",
    "predictor.lin.8": "predictor.head.out",
}
PLAIN = {"encoder.jkparams": "encoder.jk", "predictor.beta": "predictor.beta"}
goldens = pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


@pytest.fixture(params=["few nodes", "all nodes"])
def both_forms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """X' of the pooled nodes alone, however many they are, and X' of all nodes."""
    monkeypatch.setattr(_link_predictor, "_FEW", 0 if request.param == "few nodes" else 10**9)


class Golden:
    """One golden file: its arrays, the graph, and a model with its weights."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {key: torch.from_numpy(np.array(file[key])) for key in file.files}
        size = int(self.arrays["num_nodes"])
        self.csr = CSR.from_edge_index(self.arrays["edge_index"], size=(size, size))
        self.pairs = self.arrays["pairs"]

    def __getitem__(self, key: str) -> Tensor:
        return self.arrays[key]

    def model(self, **options: Any) -> NCN:
        state = {}
        for key, value in self.arrays.items():
            name = key.removeprefix("w:")
            layer, _, kind = name.rpartition(".")
            if key.startswith("w:") and (name in PLAIN or layer in LAYERS):
                state[PLAIN.get(name) or f"{LAYERS[layer]}.{kind}"] = value
        hidden, channels = state["encoder.lin.weight"].shape
        wanted = {name: self[name].item() for name in ("num_layers", "two_layer_head", "tail_act")}
        wanted |= {name: float(self[name]) for name in ("scale", "offset", "alpha", "pt")}
        wanted["num_layers"] = int(wanted["num_layers"])
        model = NCN(channels, hidden, **{"exclude_endpoints": False, **wanted, **options}).double().eval()
        model.load_state_dict(state)
        return model


def close(found: Tensor, wanted: Tensor, tol: float = 1e-10) -> None:
    torch.testing.assert_close(found, wanted, rtol=tol, atol=tol)


# golden


@goldens
def test_golden_ncn(path: Path, backend: str, both_forms: None) -> None:
    g = Golden(path)
    model = g.model()
    close(model.encode(g["x"], g["edge_index"]), g["h"])
    h = g["h"].clone().requires_grad_()
    logit = model.decode(h, g.csr, g.pairs)
    close(logit, g["ncn_logit"])
    close(torch.autograd.grad(logit.sum(), h)[0], g["ncn_grad_h"])
    close(model(g["x"], g["edge_index"].int(), g.pairs.int()), g["ncn_logit"])
    close(model(g["x"], g.csr, g.pairs), g["ncn_logit"])
    close(g.model(common_neighbors=False).decode(h, g.csr, g.pairs), g["gae_logit"])


@goldens
def test_golden_completion(path: Path, backend: str, both_forms: None) -> None:
    g = Golden(path)
    model = g.model(completion=1)
    close(model.decode(g["h"], g.csr, g.pairs), g["ncnc_logit_paper"], 1e-9)
    pair, node, weight = model.neighbor_weights(g["h"], g.csr, g.pairs)
    dense = torch.zeros_like(g["ncnc_weights_paper"]).index_put((pair, node), weight)
    close(dense, g["ncnc_weights_paper"], 1e-9)
    assert len(pair) == int((g["ncnc_weights_paper"] != 0).sum())
    for depth, key in ((1, "ncnc_logit_reference"), (2, "ncnc_depth2_logit_reference")):
        close(g.model(completion=depth, inner_features="transformed").decode(g["h"], g.csr, g.pairs), g[key], 1e-9)


@goldens
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-4), (torch.bfloat16, 0.2)])  # LayerNorm of 8-bit rows
def test_narrow_types(path: Path, dtype: torch.dtype, tol: float) -> None:
    g = Golden(path)
    model = g.model(completion=1).to(dtype)
    torch.testing.assert_close(model.decode(g["h"].to(dtype), g.csr, g.pairs).double(), g["ncnc_logit_paper"],
                               rtol=tol, atol=tol)  # fmt: skip


@goldens
def test_state_dict_has_the_published_names(path: Path) -> None:
    g = Golden(path)
    names = set(g.model().state_dict())
    assert {"encoder.lin.weight", "encoder.jk", "predictor.beta", "predictor.node_mlp.lin1.weight"} <= names
    assert ("predictor.head.lin2.weight" in names) == bool(g["two_layer_head"])
    longer = set(NCN(3, 4, tail_act=False).state_dict()) - set(NCN(3, 4).state_dict())
    assert {name.rpartition(".")[0] for name in longer} == {"predictor.neighbor_mlp.out", "predictor.pair_mlp.out"}
    assert not [name for name in NCN(3, 4, use_xlin=False).state_dict() if "node_mlp" in name]


# against dense matrices


def some_graph(size: int, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    upper = torch.rand(size, size, generator=generator).triu(1)
    links = upper.reshape(-1).topk(min(count, size * (size - 1) // 2)).indices
    one_way = torch.stack([links // size, links % size])
    return torch.cat([one_way, one_way.flip(0)], dim=1)


def build(channels: int, width: int = 6, seed: int = 0, **options: Any) -> NCN:
    torch.manual_seed(seed)
    model = NCN(channels, width, **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def dense_logits(model: NCN, h: Tensor, adjacency: Tensor, pairs: Tensor, depth: int) -> Tensor:
    """The equations with an N x N matrix: sums over all nodes of weights that are mostly zero."""
    predictor = model.predictor
    spread = h if predictor.node_mlp is None else h + predictor.node_mlp(h)
    weight = adjacency[pairs[0]] * adjacency[pairs[1]]
    if depth:
        inner = spread if predictor.inner_features == "transformed" else h
        size = len(h)
        everyone = torch.stack([torch.arange(size).repeat_interleave(size), torch.arange(size).repeat(size)])
        logit = dense_logits(model, inner, adjacency, everyone, depth - 1).reshape(size, size)
        scale, offset, alpha, pt = predictor.calibration
        s = torch.sigmoid(scale * (logit - offset))
        chance = (alpha * pt * s / (pt * s + 1 - s)).detach()
        for near, far in (pairs, pairs.flip(0)):
            alone = adjacency[near] * (1 - adjacency[far])
            if predictor.exclude_endpoints:
                alone = alone.scatter(1, torch.stack([near, far], dim=1), 0.0)
            weight = weight + alone * chance[far]
    pooled = weight @ spread
    found = predictor.pair_mlp(h[pairs[0]] * h[pairs[1]])
    if predictor.common_neighbors:
        found = found + predictor.beta * predictor.neighbor_mlp(pooled)
    out: Tensor = predictor.head(found)
    return out


@pytest.mark.parametrize("completion", [0, 1, 2])
@pytest.mark.parametrize("inner", ["input", "transformed"])
@pytest.mark.parametrize("exclude", [True, False])
def test_dense_transcription(completion: int, inner: str, exclude: bool, both_forms: None) -> None:
    edges, size = some_graph(14, 30, 1), 14
    options = {"completion": completion, "inner_features": inner, "exclude_endpoints": exclude, "chunk_size": 7}
    model = build(5, tail_act=False, two_layer_head=True, **options)
    adjacency = torch.zeros(size, size, dtype=torch.float64).index_put((edges[0], edges[1]), torch.tensor(1.0).double())
    x = torch.randn(size, 5, dtype=torch.float64)
    pairs = torch.cat([edges[:, :5], torch.randint(0, size, (2, 20)), torch.tensor([[3], [3]])], dim=1)
    h = model.encode(x, edges).detach().requires_grad_()
    csr = CSR.from_edge_index(edges, size=(size, size))
    found, wanted = model.decode(h, csr, pairs), dense_logits(model, h, adjacency, pairs, completion)
    close(found, wanted)
    close(torch.autograd.grad(found.sum(), h)[0], torch.autograd.grad(wanted.sum(), h)[0])


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("jk", [True, False])
def test_encoder_against_dense_matrices(num_layers: int, jk: bool) -> None:
    edges, size = some_graph(9, 12, 2), 9
    model = build(4, num_layers=num_layers, jk=jk)
    dense = torch.eye(size, dtype=torch.float64)
    dense[edges[0], edges[1]] = 1
    scale = dense.sum(1).rsqrt()
    step = scale[:, None] * dense * scale
    x = torch.randn(size, 4, dtype=torch.float64)
    levels = [model.encoder.lin(x)]
    for _ in range(num_layers):
        levels.append(step @ levels[-1])
    wanted = levels[-1]
    if model.encoder.jk is not None:
        wanted = sum((c * level for c, level in zip(model.encoder.jk, levels[1:], strict=True)), torch.zeros(()))
    close(model.encode(x, edges), wanted)


@pytest.mark.parametrize("conv", ["puregcn", "gcn"])
def test_sparse_features_are_dense_ones(conv: str) -> None:
    edges = some_graph(20, 40, 3)
    x = torch.randn(20, 30, dtype=torch.float64) * (torch.rand(20, 30) < 0.2)
    model = build(30, num_layers=2, conv=conv, residual=True)
    csr = CSR.from_edge_index(edges, size=(20, 20))
    wanted = model.encode(x, edges)
    close(model.encode(x.to_sparse_csr(), edges), wanted)
    close(model.encode(x.to_sparse_csr(), csr), wanted)
    sparse, dense = (torch.autograd.grad(model(part, edges, edges[:, :9]).sum(), list(model.encoder.parameters()),
                                         allow_unused=True) for part in (x.to_sparse_csr(), x))  # fmt: skip
    for a, b in zip(sparse, dense, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            close(a, b)


def test_dropout_of_sparse_features_is_that_of_dense_ones_on_average() -> None:
    x = (torch.rand(200, 50) < 0.2).double()
    model = build(50, input_dropout=0.5).train()
    edges = some_graph(200, 300, 0)
    csr = x.to_sparse_csr()
    with torch.no_grad():
        drawn = torch.stack([model.encode(csr, edges) for _ in range(300)])
        plain = model.eval().encode(x, edges)
    error = drawn.std(0) / 300**0.5
    assert float(((drawn.mean(0) - plain) / error.clamp(min=1e-9)).abs().mean()) < 1.2  # 0.8 for a normal mean
    assert float(error.mean()) > 0


# properties


@given(size=st.integers(1, 9), links=st.integers(0, 20), pairs=st.integers(0, 6), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_scores_are_symmetric_and_nodes_have_no_order(size: int, links: int, pairs: int, seed: int) -> None:
    edges = some_graph(size, links, seed)
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, size, (2, pairs), generator=generator)
    x = torch.randn(size, 3, dtype=torch.float64, generator=generator)
    model = build(3, completion=1)
    found = model(x, edges, ends)
    assert torch.equal(model(x, edges, ends.flip(0)), found)
    assert torch.isfinite(found).all()
    order = torch.randperm(size, generator=generator)
    place = order.argsort()
    close(model(x[order], place[edges], place[ends]), found)


def test_repeated_pairs_and_pairs_without_neighbours() -> None:
    model = build(3)
    x = torch.randn(5, 3, dtype=torch.float64)
    none = torch.zeros(2, 0, dtype=torch.int64)
    found = model(x, none, torch.tensor([[0, 0, 1, 4], [1, 1, 0, 4]]))
    assert found[0] == found[1] == found[2]
    h = model.encode(x, none)
    no_evidence = model.predictor.neighbor_mlp(torch.zeros(1, 6, dtype=torch.float64))
    wanted = model.predictor.head(model.predictor.beta * no_evidence + model.predictor.pair_mlp(h[:1] * h[1:2]))
    close(found[:1], wanted)


@pytest.mark.parametrize("completion", [0, 1])
def test_pairs_without_neighbours_share_one_row_in_inference(completion: int) -> None:
    edges = some_graph(40, 30, 6)
    csr, pairs = CSR.from_edge_index(edges, size=(40, 40)), torch.randint(0, 40, (2, 80))
    model, h = build(3, completion=completion), torch.randn(40, 6, dtype=torch.float64)
    with torch.no_grad():
        found = model.decode(h, csr, pairs)
        bare = model.decode(h, CSR.from_edge_index(edges[:, :0], size=(40, 40)), pairs)
    close(found, model.decode(h, csr, pairs))
    close(bare, model.decode(h, CSR.from_edge_index(edges[:, :0], size=(40, 40)), pairs))


def test_gradcheck() -> None:
    edges = some_graph(6, 9, 0)
    csr = CSR.from_edge_index(edges, size=(6, 6))
    model = build(3, 4)
    h = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    pairs = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert torch.autograd.gradcheck(lambda part: model.decode(part, csr, pairs), h)


def test_the_inner_predictor_gets_no_gradient_and_leaves_the_mode_alone() -> None:
    edges = some_graph(12, 20, 0)
    csr = CSR.from_edge_index(edges, size=(12, 12))
    model = build(3, completion=1, inner_dropout=False, dropout=0.5).train()
    h = torch.randn(12, 6, dtype=torch.float64, requires_grad=True)
    weights = [model.neighbor_weights(h, csr, edges)[2] for _ in range(2)]
    assert torch.equal(*weights)  # no dropout inside
    assert not weights[0].requires_grad
    assert all(part.training for part in model.modules())
    noisy = build(3, completion=1, dropout=0.5).train()
    assert not torch.equal(*(noisy.neighbor_weights(h, csr, edges)[2] for _ in range(2)))


def test_sampled_completion() -> None:
    star = torch.stack([torch.zeros(40, dtype=torch.int64), torch.arange(1, 41)])
    csr = CSR.from_edge_index(torch.cat([star, star.flip(0)], dim=1), size=(42, 42))
    pairs = torch.tensor([[0, 1], [41, 2]])
    model = build(3, completion=1, max_completion=5)
    h = torch.randn(42, 6, dtype=torch.float64)
    pair, node, weight = model.neighbor_weights(h, csr, pairs)
    assert (pair == 0).sum() == 5
    assert node[pair == 1].tolist() == [0]  # the common neighbour, and no one-sided one
    whole = build(3, completion=1).neighbor_weights(h, csr, pairs)
    everything = dict(zip(whole[1][whole[0] == 0].tolist(), whole[2].tolist(), strict=False))
    for found, value in zip(node[:5].tolist(), weight[:5].tolist(), strict=True):
        assert value == pytest.approx(8 * everything[found])  # 40 neighbours, 5 of them drawn
    assert torch.equal(model.neighbor_weights(h, csr, pairs)[1], node)  # without training always the same
    model.train()
    assert len({tuple(model.neighbor_weights(h, csr, pairs)[1].tolist()) for _ in range(5)}) > 1


def test_neighbours_are_listed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = some_graph(30, 90, 4)
    csr = CSR.from_edge_index(edges, size=(30, 30))
    model, h = build(3, completion=1), torch.randn(30, 6, dtype=torch.float64)
    pairs = torch.randint(0, 30, (2, 50))
    whole = model.decode(h, csr, pairs)
    monkeypatch.setattr(_completion, "_LISTED", 40)
    close(model.decode(h, csr, pairs), whole)


def test_probability_is_safe_for_sure_logits() -> None:
    logit = torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4])
    found = _completion.link_probability(logit.half(), 4.3, 2.8, 0.9, 0.75)
    s = torch.sigmoid(4.3 * (logit.double() - 2.8))
    torch.testing.assert_close(found.double(), 0.9 * 0.75 * s / (0.75 * s + 1 - s), rtol=1e-3, atol=1e-5)
    assert found.dtype == torch.float32


def test_vectors_of_its_own() -> None:
    edges = some_graph(8, 12, 0)
    model = NCN(8, 4, num_nodes=8)
    eye = model.encoder.embedding
    assert eye is not None
    torch.testing.assert_close(eye @ eye.t(), torch.eye(8), atol=1e-5, rtol=0)
    model(None, edges, edges).sum().backward()
    assert eye.grad is not None
    with pytest.raises(GraphrepError, match="of its own"):
        model.encode(torch.eye(8), edges)
    with pytest.raises(MissingFeaturesError):
        NCN(8, 4).encode(None, edges)


def test_weights_are_drawn_anew() -> None:
    model = NCN(3, 4, num_layers=2)
    assert model.encoder.jk is not None
    assert model.encoder.jk.tolist() == [0.5, 0.5]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.predictor.beta.fill_(3)
    model.reset_parameters()
    assert float(model.predictor.beta) == 1
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"encoder.lin.weight", "predictor.pair_mlp.lin1.weight", "predictor.head.out.bias"} <= changed
    drawn = NCN(3, 4, num_layers=2, jk_init="normal").encoder.jk
    assert drawn is not None
    assert drawn[0] != drawn[1]


def test_pool_module() -> None:
    edges = some_graph(9, 15, 0)
    csr, x, pairs = CSR.from_edge_index(edges, size=(9, 9)), torch.randn(9, 4), edges[:, :6]
    assert torch.equal(CommonNeighborPool()(x, csr, pairs), common_neighbor_pool(csr, pairs, x))


# errors


@pytest.mark.parametrize(
    "options",
    [{"conv": "gin"}, {"inner_features": "both"}, {"jk_init": "zero"}],
)
def test_unknown_names(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError):
        NCN(3, 4, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 0},
        {"completion": 3},
        {"completion": True},
        {"alpha": 0.0},
        {"scale": float("nan")},
        {"dropout": 1.0},
        {"gnn_dropout": -0.1},
        {"max_completion": 0},
        {"chunk_size": 0},
    ],
)
def test_settings_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(GraphrepError):
        NCN(3, 4, **options)


def test_arguments_that_do_not_fit() -> None:
    model, csr = NCN(3, 4), CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]))
    h = torch.zeros(2, 4)
    with pytest.raises(ShapeError, match=r"pairs\.t"):
        model.decode(h, csr, torch.zeros(5, 2, dtype=torch.int64))
    with pytest.raises(IndexRangeError):
        model.decode(h, csr, torch.tensor([[0], [2]]))
    with pytest.raises(DTypeError):
        model.decode(h, csr, torch.zeros(2, 1))
    with pytest.raises(ShapeError, match="h has shape"):
        model.decode(torch.zeros(3, 4), csr, torch.tensor([[0], [1]]))
    with pytest.raises(ShapeError, match="columns"):
        model.encode(torch.zeros(2, 5), torch.tensor([[0, 1], [1, 0]]))
