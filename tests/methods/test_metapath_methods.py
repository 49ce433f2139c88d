"""MEOW, AdaMEOW and HeCo: the dense definition, seeds, files, resuming, ablations, and what they refuse."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from benchmarks.families.hetero_dense import DenseStep
from benchmarks.typed_graphs import generated
from graphrep import HeteroGraph
from graphrep.errors import (
    CheckpointMismatchError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    ShapeError,
    UnknownNameError,
)
from graphrep.eval import cluster_scores, kmeans
from graphrep.methods import MEOW, AdaMEOW, HeCo, adameow, load_model
from graphrep.methods.base import NotFittedError
from graphrep.nn.metapath_encoder import MetaPathConv, MetaPathEncoder, SemanticAttention, TypeLinear
from graphrep.nn.schema_encoder import SchemaEncoder
from graphrep.train import Callback, EpochLog, Interrupted, seeded

METHODS = [MEOW, AdaMEOW, HeCo]
SMALL: dict[Any, dict[str, Any]] = {
    MEOW: {"num_clusters": (3, 7), "epochs": 6, "num_neighbors": 12},
    AdaMEOW: {"epochs": 6, "lr": 1e-3, "num_neighbors": 12},
    HeCo: {"epochs": 6, "num_neighbors": 12},
}


def toy(num_targets: int = 60, **options: Any) -> HeteroGraph:
    return generated(num_targets, others={"a": 40, "b": 5}, features=12, **options)


def small(method: Any, **options: Any) -> Any:
    return method(8, **{**SMALL[method], **options})


@pytest.mark.parametrize("method", METHODS)
def test_shapes_and_seeds(method: Any) -> None:
    graph = toy()
    first, again = (small(method, seed=3).fit(graph) for _ in range(2))
    assert first.embedding_.shape == (60, 8)
    assert torch.isfinite(first.embedding_).all()
    assert torch.equal(first.embedding_, again.embedding_)
    assert first.history_.losses == again.history_.losses
    assert torch.equal(first.embed(graph), first.embedding_)
    assert not torch.equal(first.embedding_, small(method, seed=4).fit_transform(graph))


@pytest.mark.parametrize("method", METHODS)
def test_files(method: Any, tmp_path: Path) -> None:
    graph = toy()
    model = small(method).fit(graph)
    model.save(tmp_path / "m")
    for loaded in (method.load(tmp_path / "m"), load_model(tmp_path / "m")):
        assert torch.equal(loaded.embedding_, model.embedding_)
        assert torch.equal(loaded.embed(graph), model.embedding_)
        assert loaded.get_params() == model.get_params()
    (tmp_path / "m" / "model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(FileFormatError):
        method.load(tmp_path / "m")


@pytest.mark.parametrize("method", METHODS)
def test_resumed_as_if_never_interrupted(method: Any, tmp_path: Path) -> None:
    class Stop(Callback):
        def epoch_done(self, log: EpochLog) -> None:
            if log.epoch == 3:
                raise KeyboardInterrupt

    graph, file = toy(), tmp_path / "state"
    whole = small(method).fit(graph)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        small(method).fit(graph, callbacks=[Stop()], checkpoint=file, checkpoint_every=0.0)
    resumed = small(method).fit(graph, checkpoint=file, resume=True)
    assert torch.equal(resumed.embedding_, whole.embedding_)
    with pytest.raises(CheckpointMismatchError):
        small(method, temperature=0.9).fit(graph, checkpoint=file, resume=True)


@pytest.mark.parametrize("density", ["ip", "l2"])
def test_the_loss_is_that_of_the_dense_definition(density: str) -> None:
    graph = toy(90)
    model = small(MEOW, dropout=0.0, precision="float64", density=density, prototype_weight=0.7)
    with seeded(0):
        module = model._module(model._shape(graph)).double()
    task = model._task(module, graph)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    found: list[Any] = []
    handle = module.clusters.register_forward_hook(lambda *call: found.append(call[-1]))
    module.train()
    loss, parts = task.loss(None, 1, torch.Generator().manual_seed(0))
    loss.backward()
    handle.remove()
    step = DenseStep(task, model, torch.float64)
    parameters = step.parameters(state)
    wanted = step.loss(parameters, *found[0], own_clusters=False)
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-9)
    assert float(parts["contrast"]) + 0.7 * float(parts["prototypes"]) == pytest.approx(loss.item(), rel=1e-9)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, parameters[name].grad, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_planted_classes_are_found(method: Any) -> None:
    graph = generated(400, others={"a": 200, "b": 12}, features=16)
    options: dict[str, Any] = {"epochs": 30, "lr": 5e-3, "eval_every": 0} | (
        {"num_clusters": (8, 20)} if method is MEOW else {}
    )
    z = method(16, **options).fit_transform(graph)
    y = graph.y.numpy()
    ours, raw = (cluster_scores(y, kmeans(rows, 4, seed=0)).nmi for rows in (z, graph.x["t"]))
    assert ours > raw + 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "none"}, {"prototype_weight": 0.0}, {"weights": "none", "prototype_weight": 0.0},
        {"views": "coarse"}, {"contexts": False}, {"resample_masks": True}, {"norm": "node"}, {"ties": "index"},
        {"cluster_every": 4}, {"num_clusters": (1, 500)}, {"num_neighbors": None}, {"num_neighbors": [5, None]},
        {"edge_masks": [0.1, 0.5]}, {"edge_masks": 0.0, "feature_mask": 0.0}, {"precision": "bfloat16"},
        {"scale_features": "none"}, {"metapaths": "t>a>t"}, {"metapaths": ["TAT", ["tb", "~tb"]]},
    ],
)  # fmt: skip
def test_every_setting_trains(options: dict[str, Any]) -> None:
    model = small(MEOW, **options).fit(toy())
    assert len(model.history_.epochs) == 6
    assert torch.isfinite(model.embedding_).all()
    assert float(model.embedding_.std()) > 0


@pytest.mark.parametrize("method", METHODS)
def test_drawn_nodes(method: Any) -> None:
    graph = toy()
    whole, drawn, all_ = (small(method, batch_size=size).fit(graph) for size in (None, 20, 60))
    assert whole.history_.losses == all_.history_.losses
    assert drawn.history_.losses != whole.history_.losses
    assert torch.isfinite(drawn.embedding_).all()
    assert drawn.embedding_.shape == (60, 8)
    with pytest.raises(GraphrepError, match="batch_size is 1"):
        small(method, batch_size=1).fit(graph)


def test_what_is_left_out_changes_the_loss() -> None:
    graph = toy()
    full = small(MEOW).fit(graph)
    assert set(full.history_.epochs[0].parts) == {"contrast", "prototypes"}
    alone = small(MEOW, prototype_weight=0.0).fit(graph)
    assert not alone.history_.epochs[0].parts
    assert alone.history_.losses[0] == pytest.approx(full.history_.epochs[0].parts["contrast"], rel=1e-5)
    assert small(MEOW, weights="none", prototype_weight=0.0).fit(graph).history_.losses[0] != alone.history_.losses[0]


def test_attention_and_notes() -> None:
    graph = toy()
    lonely = {key: edges[:, edges[0] != 7] for key, edges in graph.edge_index.items()}
    model = small(MEOW).fit(graph.replace(edge_index=lonely))
    assert list(model.attention_) == ["t>a>t", "t>b>t"]
    assert sum(map(sum, model.attention_.values())) == pytest.approx(1, rel=1e-5)
    assert model.notes_ == ["1 of 60 t nodes have no partner on any meta-path: their own features alone place them."]
    assert small(MEOW).fit(graph).notes_ == []


def test_the_published_embedding_is_that_of_the_last_step() -> None:
    graph = toy()
    clean, last = small(MEOW).fit(graph), small(MEOW, official_embedding=True).fit(graph)
    assert clean.history_.losses == last.history_.losses
    assert not torch.allclose(clean.embedding_, last.embedding_)
    assert torch.equal(last.embed(graph), clean.embedding_)


def test_targets_without_features_get_vectors_of_their_own() -> None:
    graph = toy().replace(x={})
    model = small(MEOW).fit(graph)
    assert torch.isfinite(model.embedding_).all()
    with pytest.raises(CheckpointMismatchError, match="60 t nodes, which have no features; this graph has 61"):
        model.embed(graph.replace(num_nodes={**graph.num_nodes, "t": 61}, y=None, splits=None))


def test_other_graphs() -> None:
    model = small(MEOW).fit(toy())
    other = toy(30, seed=9)
    assert model.embed(other).shape == (30, 8)
    with pytest.raises(CheckpointMismatchError, match="was trained on 12 features of t; this graph has 3"):
        model.embed(other.replace(x={**other.x, "t": torch.rand(30, 3)}))
    with pytest.raises(CheckpointMismatchError, match="12 features of a; this graph has none"):
        model.embed(other.replace(x={"t": other.x["t"]}))
    with pytest.raises(NotFittedError):
        small(MEOW).embed(other)


def test_pyg_data_and_ids() -> None:
    data = HeteroData()
    data["paper"].x = torch.rand(6, 4)
    data["author"].num_nodes = 3
    data["paper", "by", "author"].edge_index = torch.tensor([[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2]])
    assert small(MEOW, target="paper").fit(data).embedding_.shape == (6, 8)
    graph = HeteroGraph.coerce(data).replace(ids={"paper": [f"p{i}" for i in range(6)]}, target="paper")
    assert list(small(MEOW).fit(graph).ids_) == [f"p{i}" for i in range(6)]


def test_the_graphs_own_metapaths_come_first() -> None:
    graph = toy().replace(metapaths=["t>b>t"])
    assert list(small(MEOW).fit(graph).attention_) == ["t>b>t"]
    assert list(small(MEOW, metapaths=["t>a>t"]).fit(graph).attention_) == ["t>a>t"]


def test_a_relation_among_the_targets() -> None:
    cites = torch.randint(60, (2, 150), generator=torch.Generator().manual_seed(1))
    graph = toy()
    graph = graph.replace(edge_index={**graph.edge_index, ("t", "cites", "t"): cites})
    for method in METHODS:
        assert torch.isfinite(small(method).fit_transform(graph)).all()


BROKEN: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"metapaths": ["t>x>t"]}, UnknownNameError, "x"),
    ({"metapaths": ["t>a"]}, GraphrepError, "must return to t"),
    ({"metapaths": ["a>t>a"]}, GraphrepError, "the target type is t"),
    ({"target": "c"}, UnknownNameError, 'no node type "c"'),
    ({"num_neighbors": [1, 2, 3]}, GraphrepError, "num_neighbors has 3 numbers for 2 meta-paths"),
    ({"edge_masks": [0.1]}, GraphrepError, "edge_masks has 1 numbers for 2 meta-paths"),
    ({"edge_masks": 1.0}, GraphrepError, "shares lie in"),
    ({"feature_mask": -0.1}, GraphrepError, "feature_mask"),
    ({"views": "fine"}, UnknownNameError, "views"),
    ({"norm": "batch"}, UnknownNameError, "norm"),
    ({"ties": "none"}, UnknownNameError, "ties"),
    ({"scale_features": "unit"}, UnknownNameError, "scale_features"),
    ({"temperature": 0.0}, GraphrepError, "temperature"),
    ({"num_neighbors": 0}, GraphrepError, "k"),
]


@pytest.mark.parametrize(("options", "error", "words"), BROKEN)
def test_settings_that_do_not_fit(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        small(MEOW, **options).fit(toy())


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        (MEOW, {"weights": "hard"}, "weights"), (MEOW, {"density": "l1"}, "density"),
        (MEOW, {"prototype_weight": -1.0}, "prototype_weight"), (MEOW, {"cluster_every": 0}, "cluster_every"),
        (MEOW, {"num_clusters": ()}, "num_clusters"), (AdaMEOW, {"hidden_weights": 0}, "hidden_weights"),
        (HeCo, {"num_positives": 0}, "num_positives"), (HeCo, {"balance": 1.5}, "balance"),
        (MEOW, {"dim": 0}, "dim"),
    ],
)  # fmt: skip
def test_settings_of_one_method(method: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(GraphrepError, match=words):
        small(method).set_params(**options).fit(toy())


def test_graphs_that_do_not_fit() -> None:
    graph = toy()
    with pytest.raises(GraphrepError, match="which node type"):
        small(MEOW).fit(graph.replace(target=None, y=None, splits=None))
    empty = {**graph.edge_index, ("t", "tb", "b"): torch.empty(2, 0, dtype=torch.int64)}
    with pytest.raises(EmptyGraphError, match='relation "tb" of the meta-path has no entries'):
        small(MEOW, metapaths=["t>a>t", "t>b>t"]).fit(graph.replace(edge_index=empty))
    assert list(small(MEOW).fit(graph.replace(edge_index=empty)).attention_) == ["t>a>t"]  # proposals skip it
    none = {key: torch.empty(2, 0, dtype=torch.int64) for key in graph.edge_index}
    with pytest.raises(EmptyGraphError, match="No meta-path"):
        small(MEOW).fit(graph.replace(edge_index=none))
    one = HeteroGraph({("t", "ta", "a"): [[0], [0]]}, x={"t": torch.rand(1, 2)}, target="t")
    with pytest.raises(EmptyGraphError, match="contrasts nodes"):
        small(MEOW).fit(one)


def test_vanishing_weights_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = toy()
    monkeypatch.setattr(adameow, "VANISHING", 2.0)
    with pytest.warns(UserWarning, match="weights vanish"):
        small(AdaMEOW).fit(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = small(AdaMEOW, normalise_weights=True).fit(graph)
    parts = model.history_.epochs[-1].parts
    assert 0 < parts["weight"] < 1
    assert parts["weight_std"] >= 0


def test_hecos_positives() -> None:
    """Itself, then the partners with the largest sum of 1 / partners: 0 and 1 share two paths of few partners."""
    edges = {
        ("t", "ta", "a"): torch.tensor([[0, 1, 0, 2, 0, 2], [0, 0, 1, 1, 2, 2]]),
        ("t", "tb", "b"): torch.tensor([[0, 1, 3], [0, 0, 1]]),
    }
    graph = HeteroGraph(edges, x={"t": torch.eye(4)}, target="t")
    model = HeCo(4, num_positives=2, num_neighbors=None, epochs=1).fit(graph)
    csr = model._positives(model._source(graph))
    assert [csr.col[a:b].tolist() for a, b in zip(csr.rowptr[:-1], csr.rowptr[1:], strict=True)] == [
        [0, 1], [0, 1], [0, 2], [3],
    ]  # fmt: skip


# the encoders


def test_type_linear() -> None:
    layer = TypeLinear(3, 5, 4)
    x = torch.rand(5, 3)
    wanted = torch.nn.functional.elu(x @ layer.weight + layer.bias)
    torch.testing.assert_close(layer(x), wanted)
    torch.testing.assert_close(layer(x.to_sparse_csr()), wanted)
    own = TypeLinear(None, 5, 4)
    keep = torch.tensor([True, False, True, True, False])
    torch.testing.assert_close(own(None)[keep], own(keep)[keep])
    torch.testing.assert_close(own(keep)[~keep], torch.nn.functional.elu(own.bias).expand(2, 4))
    with pytest.raises(ShapeError, match="x has 2 columns; this layer takes 3"):
        layer(torch.rand(5, 2))


def test_moving_the_nodes_moves_the_rows() -> None:
    graph = toy()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    place = order.argsort()
    moved = graph.replace(
        edge_index={key: torch.stack([place[edges[0]], edges[1]]) for key, edges in graph.edge_index.items()},
        x={**graph.x, "t": graph.x["t"][order]}, y=graph.y[order],
    )  # fmt: skip
    for method in METHODS:
        model = small(method, num_neighbors=None, edge_masks=0.0, feature_mask=0.0, precision="float64").fit(graph)
        torch.testing.assert_close(model.embed(moved), model.embed(graph)[order], rtol=1e-9, atol=1e-12)


def test_gradients_of_the_encoders() -> None:
    graph = toy(12)
    for method in (MEOW, HeCo):
        model = small(method, precision="float64", dropout=0.0, attention_dropout=0.0) if method is HeCo else small(
            method, precision="float64", dropout=0.0, num_clusters=(2,)
        )  # fmt: skip
        model.fit(graph)
        source = model._source(graph)
        inputs = model._inputs(source) if method is HeCo else source.inputs()
        weight = model.module_.encoder.inputs[0].weight

        def forward(value: torch.Tensor, model: Any = model, inputs: Any = inputs) -> torch.Tensor:
            changed = {"encoder.inputs.0.weight": value}
            return torch.func.functional_call(model.module_, changed, (inputs,))

        assert torch.autograd.gradcheck(forward, (weight.detach().clone().requires_grad_(),), atol=1e-6)


def test_the_norms() -> None:
    graph = toy()
    source = small(MEOW).fit(graph)._source(graph)
    x = 10 * torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    adjacency = source.inputs().mean
    out = MetaPathConv(8)(x, adjacency)
    assert out.mean().item() == pytest.approx(0, abs=1e-5)
    assert out.var(correction=0).item() == pytest.approx(1, rel=1e-2)
    torch.testing.assert_close(MetaPathConv(8, norm="node")(x, adjacency).mean(1), torch.zeros(60), atol=1e-5, rtol=0)
    with pytest.raises(UnknownNameError, match="norm"):
        MetaPathConv(8, norm="layer")


def test_attention_is_a_mean_of_the_views() -> None:
    views = [torch.rand(5, 4) for _ in range(3)]
    z, share = SemanticAttention(4)(views)
    assert float(share.sum()) == pytest.approx(1)
    torch.testing.assert_close(z, sum(b * view for b, view in zip(share, views, strict=True)))


def test_encoders_without_paths() -> None:
    with pytest.raises(GraphrepError, match="no meta-path"):
        MetaPathEncoder({"t": 3}, {"t": 5}, "t", [])
    with pytest.raises(GraphrepError, match="0 relations"):
        SchemaEncoder({"t": 3}, {"t": 5}, "t", [], 1)


# real data


@pytest.mark.slow
def test_acm(data_root: Path) -> None:
    """The authors' program reaches Macro-F1 90.9 with 20 labels per class (117 epochs, seed 0)."""
    from graphrep import load
    from graphrep.eval import linear_probe
    from graphrep.recipes import recipe

    graph, settings = load("hetero/acm"), recipe("meow/acm")
    z = MEOW(**settings.params).fit_transform(graph)
    split = tuple(graph.splits[f"{part}_20"] for part in ("train", "val", "test"))
    found = linear_probe(z, np.asarray(graph.y), protocol="dmgi", split=split, lr=0.03, seeds=range(5))
    assert found.macro_f1 > 0.88
