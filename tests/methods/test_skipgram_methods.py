"""DeepWalk, LINE, node2vec: what they learn, threads, directions, weights, files, resumption, errors, BlogCatalog."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import Tensor

from graphrep import LINE, DeepWalk, Graph, Node2Vec, load
from graphrep.data.check import GraphWarning
from graphrep.errors import (
    CheckpointMismatchError,
    DivergedError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    UnknownNameError,
)
from graphrep.eval import linear_probe
from graphrep.methods import SkipGramEstimator, load_model
from graphrep.methods._skipgram import SkipGramSource
from graphrep.methods.base import NotFittedError
from graphrep.train import Callback, Interrupted

METHODS: list[type[SkipGramEstimator]] = [DeepWalk, LINE, Node2Vec]
SMALL: dict[str, Any] = {"dim": 8, "epochs": 4, "pool_size": 300}


def blocks(num_nodes: int = 160, seed: int = 0) -> Graph:
    """Two communities, joined by few edges; both directions stored."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randint(0, num_nodes // 2, (2, 8 * num_nodes), generator=generator)
    side = torch.randint(0, 2, (8 * num_nodes,), generator=generator) * (num_nodes // 2)
    side = torch.stack([side, side])
    side[1, :10] = num_nodes // 2 - side[1, :10]
    edges = half + side
    return Graph(torch.cat([edges, edges.flip(0)], dim=1), num_nodes=num_nodes)


def purity(z: Tensor) -> float:
    """Share of nodes whose nearest other node by angle is of their community."""
    unit = torch.nn.functional.normalize(z)
    near = (unit @ unit.T).fill_diagonal_(-2).argmax(1)
    place = torch.arange(len(z)) * 2 // len(z)
    return float((place == place[near]).float().mean())


@pytest.mark.parametrize("method", METHODS)
def test_communities_are_told_apart(method: type[SkipGramEstimator]) -> None:
    """By chance half of the nodes are; loss of the first epoch is k + 1 terms of log 2, weighted."""
    model = method(dim=16, epochs=60 if method is LINE else 20, lr=0.1, seed=1).fit(blocks())
    assert purity(model.embedding_) > 0.97
    assert model.history_.losses[-1] < model.history_.losses[0]
    assert len(model.history_.epochs) == model.epochs


@pytest.mark.parametrize("method", METHODS)
def test_an_edge_scores_higher_than_a_pair_at_random(method: type[SkipGramEstimator]) -> None:
    graph = blocks()
    model = method(dim=16, epochs=60 if method is LINE else 20, lr=0.1).fit(graph)
    score = model.embedding_ @ model.context_.T
    assert float(score[graph.edge_index[0], graph.edge_index[1]].mean()) > float(score.mean()) + 0.5


@pytest.mark.parametrize("method", METHODS)
def test_seeds_and_threads(method: type[SkipGramEstimator]) -> None:
    graph = blocks(640)
    options: dict[str, Any] = {"dim": 64, "epochs": 3, "seed": 3}
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(method(**options).fit_transform(graph))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
    assert not torch.equal(method(**{**options, "seed": 4}).fit_transform(graph), found[0])
    assert not torch.equal(method(**options, parts=2).fit_transform(graph), found[0])


@pytest.mark.parametrize("method", METHODS)
def test_nodes_without_edges_have_zero_vectors(method: type[SkipGramEstimator]) -> None:
    graph = Graph(blocks(40).edge_index, num_nodes=43)
    with pytest.warns(GraphWarning, match=r"3 of 43 nodes have no .*: their vectors are zero"):
        model = method(**SMALL).fit(graph)
    assert not bool(model.embedding_[40:].any())
    assert not bool(model.context_[40:].any())
    assert bool(model.embedding_[:40].any(1).all())


@pytest.mark.parametrize("method", METHODS)
def test_toy_graphs(method: type[SkipGramEstimator], toy_graph: tuple[int, Tensor]) -> None:
    num_nodes, edges = toy_graph
    graph = Graph(edges, num_nodes=num_nodes)
    if not edges.numel():
        with pytest.raises(EmptyGraphError, match="walks along edges, and the graph has none"):
            method(**SMALL).fit(graph)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        z = method(**SMALL).fit_transform(graph)
    assert z.shape == (num_nodes, 8)
    assert bool(torch.isfinite(z).all())
    linked = torch.zeros(num_nodes, dtype=torch.bool)
    linked[edges[0]] = True
    assert torch.equal(z.any(1), linked)


def source(model: SkipGramEstimator, graph: Graph) -> SkipGramSource:
    direction: Any = model.direction
    return SkipGramSource(graph, direction, model._schedule(), "cpu")


def test_directed_graphs() -> None:
    """0 -> 1 -> 2: LINE follows the edges and leaves node 2, which begins none, at zero; the walks go both ways."""
    chain = Graph(torch.tensor([[0, 1], [1, 2]]), directed=True)
    with pytest.warns(GraphWarning, match="1 of 3 nodes have no edges out of them"):
        model = LINE(dim=4, epochs=30).fit(chain)
    assert model.embedding_.any(1).tolist() == [True, True, False]
    assert model.context_.any(1).tolist()[1:] == [True, True]
    assert source(LINE(), chain).active.tolist() == [0, 1]
    both = source(DeepWalk(), chain)
    assert both.active.tolist() == [0, 1, 2]
    assert both.out_weight.tolist() == [1, 2, 1]
    out = DeepWalk(direction="out", **SMALL)
    assert source(out, chain).active.tolist() == [0, 1]
    assert bool(out.fit(chain).embedding_.any(1).all())  # node 2 is met, and meets the nodes before it


def test_weights_lead_the_walks_and_weights_of_zero_are_no_edges() -> None:
    """A cycle 0 1 3 2 of weights 3 and 1 in turn, so that all degrees are equal; 4 hangs on an edge of weight 0."""
    half = torch.tensor([[0, 0, 3, 3, 0], [1, 2, 1, 2, 4]])
    edges, weight = torch.cat([half, half.flip(0)], dim=1), torch.tensor([3.0, 1.0, 1.0, 3.0, 0.0]).repeat(2)
    graph = Graph(edges, edge_weight=weight)
    found = source(LINE(), graph)
    assert found.out_weight.tolist() == [4, 4, 4, 4, 0]
    assert found.linked.tolist() == [True, True, True, True, False]
    assert found.csr.nnz == 8
    with pytest.warns(GraphWarning, match="1 of 5 nodes"):
        model = LINE(dim=8, epochs=400, lr=0.1, weight_decay=0.0).fit(graph)
    affinity = model.embedding_ @ model.context_.T
    assert float(affinity[0, 1]) > float(affinity[0, 2])
    assert float(affinity[3, 2]) > float(affinity[3, 1])
    with pytest.raises(GraphrepError, match="an edge weight is negative"):
        DeepWalk(**SMALL).fit(Graph(edges, edge_weight=-weight))


def test_epochs_have_the_walks_they_say() -> None:
    graph = blocks(160)
    assert source(DeepWalk(), graph).walks_per_epoch == int(graph.csr("in").degree().gt(0).sum())
    assert source(LINE(), graph).walks_per_epoch == graph.num_edges
    assert source(LINE(walk_length=40), graph).walks_per_epoch == graph.num_edges // 40
    pairs = LINE(dim=4, epochs=2).fit(graph).history_.epochs[1].parts["pairs"]
    assert pairs == graph.num_edges


def test_every_node_starts_once_per_epoch() -> None:
    graph = blocks(160)
    model = DeepWalk(starts="node")
    found = source(model, graph)
    count = found.walks_per_epoch
    first, second = (found.begins(model._schedule(), epoch)(0, count, 0) for epoch in (1, 2))
    assert torch.equal(first.sort().values, found.active)
    assert torch.equal(second.sort().values, found.active)
    assert not torch.equal(first, second)


def test_node2vec_with_p_and_q_of_one_is_deepwalk() -> None:
    graph = blocks()
    assert torch.equal(Node2Vec(**SMALL).fit_transform(graph), DeepWalk(**SMALL).fit_transform(graph))
    assert not torch.equal(Node2Vec(p=0.2, **SMALL).fit_transform(graph), DeepWalk(**SMALL).fit_transform(graph))


def test_batches_learn_much_the_same() -> None:
    """64 pairs of each block at a time, in plain torch, as on a GPU."""
    model = LINE(dim=16, epochs=60, lr=0.1, batch_size=64).fit(blocks())
    assert purity(model.embedding_) > 0.9


def test_double_precision() -> None:
    wide = LINE(precision="float64", **SMALL).fit_transform(blocks())
    narrow = LINE(**SMALL).fit_transform(blocks())
    assert (wide.dtype, narrow.dtype) == (torch.float64, torch.float32)


class StopAfter(Callback):
    """Counts the parts of epochs."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, float]] = []

    def part_done(self, epoch: int, share: float) -> None:
        self.parts.append((epoch, share))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [1, 5])
def test_interrupted_and_resumed_equals_uninterrupted(
    method: type[SkipGramEstimator], stop: int, tmp_path: Path
) -> None:
    """Also in the middle of an epoch."""
    graph, watch, state = blocks(), StopAfter(), tmp_path / "state"
    options = {**SMALL, "walk_length": 4} if method is not LINE else SMALL
    whole = method(**options).fit(graph)
    with pytest.raises(Interrupted):
        method(**options).fit(graph, callbacks=[watch], checkpoint=state, should_stop=lambda: len(watch.parts) == stop)
    assert watch.parts[0][1] < 1
    resumed = method(**options).fit(graph, checkpoint=state, resume=True)
    assert torch.equal(whole.embedding_, resumed.embedding_)
    assert torch.equal(whole.context_, resumed.context_)
    assert whole.history_.losses == resumed.history_.losses
    with pytest.raises(CheckpointMismatchError, match="another graph"):
        method(**options).fit(blocks(seed=5), checkpoint=state, resume=True)
    with pytest.raises(CheckpointMismatchError):
        method(**{**options, "lr": 0.5}).fit(graph, checkpoint=state, resume=True)


def test_callbacks_hear_of_parts_and_epochs() -> None:
    class Listen(StopAfter):
        def start(self, config: Any, done: int) -> None:
            self.total, self.epochs = config.epochs, list(range(done))

        def epoch_done(self, log: Any) -> None:
            self.epochs.append(log.epoch)

    listen = Listen()
    model = LINE(**SMALL).fit(blocks(), callbacks=[listen])
    assert listen.total == 4
    assert listen.epochs == [1, 2, 3, 4]
    assert [epoch for epoch, share in listen.parts if share == 1.0] == [1, 2, 3, 4]
    rates = [log.lr for log in model.history_.epochs]
    assert rates[:3] == pytest.approx([0.025 * share for share in (0.75, 0.5, 0.25)])


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded(method: type[SkipGramEstimator], tmp_path: Path) -> None:
    graph = blocks().replace(ids=[f"n{i}" for i in range(160)])
    model = method(**SMALL).fit(graph)
    model.save(tmp_path / "model")
    for back in (method.load(tmp_path / "model"), load_model(tmp_path / "model")):
        assert isinstance(back, method)
        assert back.get_params() == model.get_params()
        assert torch.equal(back.embedding_, model.embedding_)
        assert torch.equal(back.context_, model.context_)
        assert torch.equal(back.embed(graph), model.embedding_)
    few = Graph(torch.tensor([[0], [1]]), ids=["n7", "n3"])
    assert torch.equal(back.embed(few), model.embedding_[[7, 3]])
    with pytest.raises(CheckpointMismatchError, match="no vector for node new: it was not in the training graph"):
        back.embed(Graph(torch.tensor([[0], [1]]), ids=["n7", "new"]))
    other = DeepWalk if method is not DeepWalk else LINE
    with pytest.raises(FileFormatError, match=f"does not hold a saved {other.__name__} model"):
        other.load(tmp_path / "model")


def test_graphs_without_ids_are_known_by_number() -> None:
    model = LINE(**SMALL).fit(blocks())
    assert torch.equal(model.embed(Graph(torch.tensor([[0], [4]]))), model.embedding_[:5])
    with pytest.raises(CheckpointMismatchError, match="no vector for node 160, nor for 2 others"):
        model.embed(Graph(torch.tensor([[0], [162]])))
    with pytest.raises(NotFittedError):
        LINE().embed(blocks())
    with pytest.raises(NotFittedError):
        LINE().context_  # noqa: B018


@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_those_of_scikit_learn(method: type[SkipGramEstimator]) -> None:
    model = method(dim=4, parts=3)
    assert clone(model).get_params() == model.get_params()
    assert {"dim", "epochs", "lr", "seed", "negative_weight"} <= set(model.get_params())


def test_estimate_holds() -> None:
    found = LINE(dim=128).estimate(1_000_000, 20_000_000)
    assert 1.0e9 < found.bytes < 6e9
    assert found.seconds > LINE(dim=64).estimate(1_000_000, 20_000_000).seconds


def test_errors() -> None:
    graph = blocks(40)
    for options, kind, message in (
        ({"dim": 0}, GraphrepError, "dim must be an integer of 1 or more; got 0"),
        ({"window": 2.5}, GraphrepError, "window must be an integer"),
        ({"starts": "nodes"}, UnknownNameError, 'starts is "nodes"'),
        ({"direction": "in"}, UnknownNameError, 'direction is "in"'),
        ({"precision": "bfloat16"}, UnknownNameError, "precision is"),
        ({"negative_weight": -1.0}, GraphrepError, "negative_weight is -1.0"),
        ({"negative_power": float("nan")}, GraphrepError, "negative_power is nan"),
        ({"lr": 0.0}, GraphrepError, "lr must be positive"),
    ):
        with pytest.raises(kind, match=message):
            DeepWalk(**{**SMALL, **options}).fit(graph)
    with pytest.raises(GraphrepError, match=r"p is 0\.0"):
        Node2Vec(p=0.0, **SMALL).fit(graph)
    with pytest.raises(DivergedError, match="Loss became"):
        DeepWalk(dim=8, epochs=50, lr=1e300, weight_decay=1e5, precision="float64").fit(graph)


@pytest.mark.slow
def test_blogcatalog(data_root: Path) -> None:
    """DeepWalk's published protocol: micro-F1 at 10 % labels >= 35.5, macro-F1 >= 20.5 (reference: 36.4 and 21.3)."""
    graph = load("blogcatalog", data_dir=data_root)
    z = DeepWalk(seed=0).fit_transform(graph)
    row = linear_probe(np.asarray(z), graph.y, protocol="deepwalk", train_ratios=(0.1,)).rows[0]
    assert 100 * row.micro_f1 >= 35.5
    assert 100 * row.macro_f1 >= 20.5
