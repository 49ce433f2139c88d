"""GRACE, GCA, ProGCL, COSTA, CCA-SSG: values against dense float64, POT, batches, files, resumption, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from sklearn.base import clone
from torch import Tensor, nn

from graphrep import CCASSG, COSTA, GCA, GRACE, Graph, ProGCL, load
from graphrep.errors import (
    CheckpointMismatchError,
    DivergedError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    MissingFeaturesError,
    UnknownNameError,
)
from graphrep.methods._contrast import LOSSES
from graphrep.methods._two_view import TwoViewModule, TwoViewTask
from graphrep.methods.two_view import TwoViewEstimator
from graphrep.nn import GCNEncoder
from graphrep.objectives import node_compactness, pot
from graphrep.train import Callback, CollapseWarning, Interrupted

pytestmark = pytest.mark.filterwarnings("ignore::graphrep.train.CollapseWarning")
METHODS: list[type[TwoViewEstimator]] = [GRACE, GCA, ProGCL, COSTA, CCASSG]
SMALL: dict[str, Any] = {"dim": 8, "epochs": 3, "eval_every": 0}


def graph(num_nodes: int = 60, seed: int = 0, *, sparse: bool = False) -> Graph:
    """Random edges in both directions, 0/1 features with an empty row and an empty column, two isolated nodes."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randint(0, num_nodes - 2, (2, 3 * num_nodes), generator=generator)
    x = (torch.rand(num_nodes, 12, generator=generator) < 0.3).float()
    x[3], x[:, 5] = 0, 0
    edges = torch.cat([half, half.flip(0)], dim=1)
    return Graph(edges, x=x.to_sparse_csr() if sparse else x, num_nodes=num_nodes)


def task_of(model: TwoViewEstimator, data: Graph) -> TwoViewTask:
    torch.manual_seed(model.seed)
    module = model._module(data.num_features).double()
    return model._task(module, data)


def dense_adjacency(edges: Tensor, num_nodes: int) -> Tensor:
    a = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    a[edges[1], edges[0]] = 1
    a.fill_diagonal_(1)
    root = a.sum(1).rsqrt()
    return root[:, None] * a * root[None]


def dense_info_nce(u: Tensor, v: Tensor, temperature: float, *, intra: bool = True) -> Tensor:
    u, v = nn.functional.normalize(u), nn.functional.normalize(v)
    eye = torch.eye(len(u), dtype=torch.bool)
    total = torch.zeros((), dtype=torch.float64)
    for a, b in ((u, v), (v, u)):
        between, inside = (a @ b.T / temperature).exp(), (a @ a.T / temperature).exp().masked_fill(eye, 0)
        below = between.sum(1) + (inside.sum(1) if intra else 0)
        total = total - (between.diagonal() / below).log().mean() / 2
    return total


@pytest.mark.parametrize("activation", ["relu", "prelu"])
@pytest.mark.parametrize("sparse", [False, True])
def test_loss_and_gradient_equal_the_dense_definition(activation: str, sparse: bool) -> None:
    """Both views drawn as the method draws them, then everything again with N x N matrices in float64."""
    data = graph(sparse=sparse)
    model = GRACE(dim=8, activation=activation, precision="float64", temperature=0.5)
    task = task_of(model, data)
    batch = next(iter(task.batches(1, torch.Generator())))
    loss, _ = task.loss(batch, 1, torch.Generator().manual_seed(7))
    module = task.module
    assert isinstance(module, TwoViewModule)
    parameters = list(module.parameters())
    found = torch.autograd.grad(loss, parameters)

    generator, source = torch.Generator().manual_seed(7), task.source
    h, x = [], source.x.to_dense()
    assert float(x.sum(1).max()) == pytest.approx(1.0)
    for rate in model.drop_edge_rates:
        kept = source.edge_index[:, source.dropper.keep(rate, generator)]
        assert 0 < kept.shape[1] < source.edge_index.shape[1]
        a, z = dense_adjacency(kept, 60), x
        for weight, bias in module.encoder.layers:  # type: ignore[union-attr]
            z = module.encoder.activation(a @ z @ weight + bias)  # type: ignore[operator]
        h.append(module.head(z))
    wanted = dense_info_nce(h[0], h[1], 0.5)
    torch.testing.assert_close(loss, wanted, rtol=1e-10, atol=0)
    for a, b in zip(found, torch.autograd.grad(wanted, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("bound", ["official", "ibp", "crown-ibp", "best"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_pots_share_equals_node_compactness(bound: str, adaptive: bool) -> None:
    data = graph()
    options: dict[str, Any] = {"dim": 8, "precision": "float64", "pot": True, "pot_weight": 0.3, "pot_bound": bound}
    model = GCA(**options) if adaptive else GRACE(activation="prelu", **options)
    task = task_of(model, data)
    loss, parts = task.loss(next(iter(task.batches(1, torch.Generator()))), 1, torch.Generator().manual_seed(3))
    generator, source = torch.Generator().manual_seed(3), task.source
    encoder = task.module.encoder
    assert isinstance(encoder, GCNEncoder)
    views = [source.draw(task.rates.of(k), generator) for k in range(2)]
    z = [encoder(view.x, view.adjacency) for view in views]
    total = torch.zeros((), dtype=torch.float64)
    for k in range(2):
        rate = task.rates.edges[k]
        which: dict[str, Any] = {"edge_prob": rate} if isinstance(rate, Tensor) else {"drop_rate": rate}
        if bound == "official":
            which["view"] = source.edge_index[:, views[k].keep]
        scores = node_compactness(
            source.x, source.edge_index, encoder.layers, z[1 - k], bound=bound,
            negative_slope=encoder.negative_slope, **which,
        )  # fmt: skip
        total = total + pot(scores) / 2
    assert float(parts["pot"]) == pytest.approx(float(total), rel=1e-10)
    assert float(loss) == pytest.approx(0.7 * float(parts["contrast"]) + 0.3 * float(total), rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparse", [False, True])
def test_trains_the_same_with_the_same_seed(method: type[TwoViewEstimator], sparse: bool) -> None:
    data = graph(sparse=sparse)
    first, second, other = (method(**SMALL, drop_feature_rates=(0.2, 0.1), seed=s).fit(data) for s in (1, 1, 2))
    assert first.embedding_.shape == (60, 8)
    assert bool(torch.isfinite(first.embedding_).all())
    assert torch.equal(first.embedding_, second.embedding_)
    assert not torch.equal(first.embedding_, other.embedding_)
    assert first.history_.losses == second.history_.losses
    assert torch.equal(first.embed(data), first.embedding_)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [None, 16])
def test_every_loss_trains_in_full_and_in_batches(loss: str, batch: int | None) -> None:
    model = GRACE(**{**SMALL, "epochs": 12, "lr": 0.01}, loss=loss, batch_size=batch).fit(graph())
    losses = model.history_.losses
    assert all(torch.isfinite(torch.tensor(losses)))
    if loss != "individual_temperatures":  # its value is no loss that falls: the temperatures move
        assert sum(losses[-3:]) < sum(losses[:3])
    if loss == "individual_temperatures":
        assert "contrast.loss.tau" in model.module_.state_dict()


@pytest.mark.parametrize("method", [GRACE, ProGCL])
def test_interrupted_and_resumed_equals_uninterrupted(method: type[TwoViewEstimator], tmp_path: Path) -> None:
    class StopAfter(Callback):
        epoch = 0

        def epoch_done(self, log: Any) -> None:
            self.epoch = log.epoch

    options: dict[str, Any] = {**SMALL, "epochs": 6}
    if method is ProGCL:
        options["mixture_start"] = 2
    data, watch, state = graph(), StopAfter(), tmp_path / "state"
    whole = method(**options).fit(data)
    with pytest.raises(Interrupted):
        method(**options).fit(data, callbacks=[watch], checkpoint=state, should_stop=lambda: watch.epoch == 3)
    resumed = method(**options).fit(data, checkpoint=state, resume=True)
    assert torch.equal(whole.embedding_, resumed.embedding_)
    with pytest.raises(CheckpointMismatchError):
        method(**options).fit(graph(seed=5), checkpoint=state, resume=True)


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_embeds_the_same(method: type[TwoViewEstimator], tmp_path: Path) -> None:
    data = graph().replace(ids=[f"n{i}" for i in range(60)])
    model = method(**SMALL, loss_options=None).fit(data)
    model.save(tmp_path / "model")
    back = method.load(tmp_path / "model")
    assert back.get_params() == model.get_params()
    assert torch.equal(back.embed(data), model.embedding_)
    assert torch.equal(back.embedding_, model.embedding_)
    assert back.ids_[3] == "n3"
    new = graph(80, seed=3)
    assert back.embed(new).shape == (80, 8)
    with pytest.raises(CheckpointMismatchError, match="trained on 12 features; this graph has 3"):
        back.embed(Graph(data.edge_index, x=torch.ones(60, 3)))
    (tmp_path / "model" / "model.toml").write_text("[params]\nnothing = 1\n")
    with pytest.raises(FileFormatError):
        method.load(tmp_path / "model")


def test_matches_scikit_learn_conventions() -> None:
    model = GCA(dim=16, centrality="pagerank", temperature=0.3)
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert again.get_params()["epochs"] == 700
    assert repr(model) == "GCA(dim=16, centrality='pagerank', temperature=0.3)"
    assert GCA().set_params(lr=0.1).lr == 0.1
    with pytest.raises(UnknownNameError, match='no parameter "temprature"'):
        model.set_params(temprature=1.0)
    with pytest.raises(TypeError, match="temprature"):
        GCA(temprature=1.0)


def test_a_pyg_encoder_and_a_function_that_makes_one() -> None:
    class Encoder(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv = pyg.SAGEConv(width, 8)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.conv(x, edge_index).relu()  # type: ignore[no-any-return]

    data = graph()
    by_function = GRACE(**SMALL, encoder=Encoder).fit(data)
    assert by_function.embedding_.shape == (60, 8)
    module = Encoder(12)
    before = module.conv.lin_l.weight.clone()
    GRACE(**SMALL, encoder=module).fit(data)
    assert not torch.equal(before, module.conv.lin_l.weight)
    with pytest.raises(GraphrepError, match="settings file cannot hold"):
        by_function.save("unused")
    with pytest.raises(GraphrepError, match="two-layer GCN; the encoder is Encoder"):
        GRACE(**SMALL, encoder=Encoder, pot=True).fit(data)


@pytest.mark.parametrize("sparse", [False, True])
def test_sampled_neighbourhoods(sparse: bool) -> None:
    data = graph(sparse=sparse)
    full = GRACE(**SMALL, batch_size=60, num_neighbors=(-1, -1), seed=4).fit(data)
    part = GRACE(**SMALL, batch_size=16, num_neighbors=(3, 3), steps_per_epoch=2, seed=4).fit(data)
    assert part.embedding_.shape == full.embedding_.shape == (60, 8)
    assert bool(torch.isfinite(part.embedding_).all())
    adaptive = GCA(**SMALL, batch_size=16, num_neighbors=(3, 3)).fit(data)
    assert bool(torch.isfinite(adaptive.embedding_).all())


def test_node_order_does_not_matter_without_randomness() -> None:
    data, order = graph(), torch.randperm(60, generator=torch.Generator().manual_seed(1))
    place = torch.empty_like(order)
    place[order] = torch.arange(60)
    assert data.x is not None
    moved = Graph(place[data.edge_index], x=data.x[order], num_nodes=60)
    options: dict[str, Any] = {**SMALL, "drop_edge_rates": (0.0, 0.0), "precision": "float64"}
    a, b = GRACE(**options).fit(data), GRACE(**options).fit(moved)
    torch.testing.assert_close(a.embedding_[order], b.embedding_, rtol=1e-6, atol=1e-9)


def test_bfloat16_stays_near_float32() -> None:
    losses = [GRACE(**SMALL, precision=p).fit(graph()).history_.losses for p in ("float32", "bfloat16")]
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=2e-2, atol=0)


def test_collapse_is_told() -> None:
    """A learning rate far too high drives all rows together."""
    with pytest.warns(CollapseWarning):
        GRACE(dim=32, epochs=30, lr=3.0, eval_every=5, temperature=50.0).fit(graph(400))


def test_divergence_stops_with_the_last_good_weights(tmp_path: Path) -> None:
    class Broken(nn.Module):
        steps = 0

        def __init__(self, width: int) -> None:
            super().__init__()
            self.lin = nn.Linear(width, 8)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            self.steps += self.training
            out: Tensor = self.lin(x)
            return out * (torch.nan if self.steps > 4 else 1.0)  # two views per epoch: the third epoch fails

    model = GRACE(**{**SMALL, "epochs": 6}, encoder=Broken)
    with pytest.raises(DivergedError, match=r"Loss became NaN at epoch 3, step 1 .*model\.safetensors \(epoch 2\)"):
        model.fit(graph(), rescue=tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"drop_edge_rates": (1.0, 0.1)}, GraphrepError, "rates lie in"),
        ({"drop_edge_rates": ()}, GraphrepError, "rates lie in"),
        ({"scale_features": "colum"}, UnknownNameError, "scale_features"),
        ({"temperature": 0.0}, GraphrepError, "temperature"),
        ({"loss": "infonce"}, UnknownNameError, 'Did you mean "info_nce"'),
        ({"loss": "guided", "loss_options": {"margn": 1}}, UnknownNameError, "no such setting"),
        ({"batch_size": 1}, GraphrepError, "batch_size"),
        ({"num_neighbors": (3, 3)}, GraphrepError, "batch_size=1024"),
        ({"batch_size": 8, "num_neighbors": (3, 3), "pot": True}, GraphrepError, "whole neighbourhoods"),
        ({"pot": True, "num_layers": 3}, GraphrepError, "3 layers"),
        ({"pot": True, "pot_bound": "tightest"}, GraphrepError, "pot_bound"),
        ({"pot": True, "activation": "elu"}, GraphrepError, "piecewise linear"),
        ({"activation": "gelu"}, UnknownNameError, "activation"),
        ({"dim": 0}, GraphrepError, "dim"),
        ({"lr": -1.0}, GraphrepError, "lr"),
    ],
)
def test_bad_settings_are_refused_before_training(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        GRACE(**{**SMALL, **options}).fit(graph())


def test_graphs_that_do_not_fit() -> None:
    data = graph()
    with pytest.raises(MissingFeaturesError, match="grace needs node features and karate has none"):
        GRACE().fit(load("karate"))
    with pytest.raises(EmptyGraphError):
        GRACE().fit(Graph(torch.zeros(2, 0, dtype=torch.long), x=torch.ones(1, 3)))
    with pytest.raises(UnknownNameError, match="centrality"):
        GCA(**SMALL, centrality="closeness").fit(data)
    with pytest.raises(UnknownNameError, match="sketch"):
        COSTA(**SMALL, sketch="dense").fit(data)
    with pytest.raises(GraphrepError, match="loss of its own"):
        ProGCL(**SMALL, loss="decoupled").fit(data)
    without_edges = GRACE(**SMALL).fit(Graph(torch.zeros(2, 0, dtype=torch.long), x=torch.rand(7, 3)))
    assert bool(torch.isfinite(without_edges.embedding_).all())


def test_learns_classes_that_raw_features_hide() -> None:
    """Noisy features on a graph of four groups: the encoder's nearest neighbours share the group far more often."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(240) % 4
    pairs = torch.randint(0, 240, (2, 12_000), generator=generator)
    same = y[pairs[0]] == y[pairs[1]]
    pairs = pairs[:, same | (torch.rand(12_000, generator=generator) < 0.05)][:, :2000]
    x = nn.functional.one_hot(y, 4).float() + 1.5 * torch.randn(240, 4, generator=generator)
    data = Graph(torch.cat([pairs, pairs.flip(0)], 1), x=torch.cat([x, torch.randn(240, 12, generator=generator)], 1))

    def purity(z: Tensor) -> float:
        similarity = nn.functional.normalize(z) @ nn.functional.normalize(z).T
        best = similarity.fill_diagonal_(-2).topk(5, dim=1).indices
        return float((y[best] == y[:, None]).float().mean())

    assert data.x is not None
    for method in (GRACE, CCASSG):
        z = method(dim=16, epochs=60, lr=0.01, scale_features="none").fit_transform(data)
        assert purity(z) > 0.9 > 0.6 > purity(data.x), method.__name__
