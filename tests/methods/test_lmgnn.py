"""LMGNN on small graphs: each task and stage, leaks, live texts, guessed labels, cold texts, files, errors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from lmgnn_cases import KILLED, LONG, NODES, graph, model, texts, tokens, typed_graph

from graphrep import Graph
from graphrep.data import LinkSplit, split_edges, split_nodes
from graphrep.errors import (
    CheckpointMismatchError,
    GraphrepError,
    LeakySplitError,
    MissingFeaturesError,
    MissingLabelsError,
    UnknownNameError,
)
from graphrep.methods import LMGNN
from graphrep.methods._lmgnn_data import lesson
from graphrep.train import Callback, Interrupted


def falls(losses: list[float]) -> bool:
    return losses[-1] < losses[0]


# ---- tasks and stages


@pytest.mark.parametrize("objective", ["label", "link"])
def test_nodes_by_both_stages(objective: str) -> None:
    split = split_nodes(NODES, shares=(60, 20, 20), seed=0)
    fitted = model(epochs=40, lm_epochs=3, lm_objective=objective).fit(graph(), splits=split)
    assert list(fitted.stages_) == ["lm", "gnn"]
    assert fitted.lm_objective_ == objective
    assert all(falls(history.losses) for history in fitted.stages_.values())
    assert fitted.history_.earlier == [fitted.stages_["lm"]]
    assert fitted.embedding_.shape == (NODES, 8)
    assert fitted.text_embedding_ is not None
    assert fitted.text_embedding_.shape == (NODES, 16)
    found = fitted.predict_proba()
    assert torch.allclose(found.sum(1), torch.ones(NODES))
    assert float((fitted.predict()[split.test] == graph().y[split.test]).double().mean()) > 0.7  # chance is a third
    assert bool(torch.isfinite(fitted.embedding_[[3, 5]]).all())  # the empty text, the node without edges


def test_links_of_a_split() -> None:
    split = split_edges(graph(), shares=(70, 15, 15), seed=0).link_split(graph())
    fitted = model(epochs=30, lm_epochs=2, lr=0.01).fit(split)
    assert fitted.lm_objective_ == "link"
    assert all(falls(history.losses) for history in fitted.stages_.values())
    pos, neg = fitted.score(split.test_pos), fitted.score(split.test_neg)
    assert float(pos.mean()) > float(neg.mean())
    assert torch.equal(fitted.score(split.test_pos), fitted.score(split.test_pos.flip(0)))  # cosine has no direction
    assert any("mrr" in log.signals for log in fitted.history_.epochs)


@pytest.mark.parametrize("scorer", ["cosine", "dot", "distmult", "transe"])
@pytest.mark.parametrize("loss", ["info_nce", "bce", "bpr", "adversarial"])
def test_losses_and_scorers(loss: str, scorer: str) -> None:
    temperature = 0.1 if scorer == "cosine" else 1.0
    fitted = model(
        task="link", stages=("gnn",), loss=loss, scorer=scorer, temperature=temperature, epochs=25, dropout=0.0
    )
    fitted.fit(graph())
    losses = fitted.history_.losses
    assert falls([np.mean(losses[:3]), np.mean(losses[-3:])])
    assert fitted.score([[0, 1], [3, 4]]).shape == (2,)


def test_text_alone() -> None:
    fitted = model(stages=("lm",), lm_objective="label", lm_epochs=6).fit(graph())
    assert torch.equal(fitted.embedding_, fitted.text_embedding_)
    assert fitted.predict().shape == (NODES,)
    assert torch.allclose(fitted.embed_texts([texts()[7]]), fitted.embedding_[7:8], atol=2e-3)  # kept in half precision


@pytest.mark.parametrize("conv", ["rgcn", "hgt", "hetero_sage"])
def test_node_types(conv: str) -> None:
    fitted = model(conv=conv, stages=("lm", "gnn", "joint"), lm_objective="link", heads=2, num_neighbors=(4, 4))
    fitted.fit(typed_graph())
    assert {kind: rows.shape[0] for kind, rows in fitted.embeddings_.items()} == {"paper": 24, "author": 12, "venue": 3}
    assert torch.equal(fitted.embedding_, fitted.embeddings_["paper"])
    assert bool(torch.isfinite(fitted.embedding_).all())
    assert torch.allclose(fitted.embed(typed_graph()), fitted.embedding_, atol=1e-4)


def test_links_of_a_relation() -> None:
    fitted = model(task="link", stages=("gnn", "joint"), relations=["by"], num_neighbors=(4, 4)).fit(typed_graph())
    assert fitted.score([[0, 1], [3, 4]]).shape == fitted.score([[0, 1], [3, 4]], relation="by").shape
    with pytest.raises(UnknownNameError, match="relation"):
        fitted.score([[0], [1]], relation="in")


@pytest.mark.parametrize("kind", ["concat", "product"])
def test_classes_of_pairs(kind: str) -> None:
    step = torch.arange(NODES)
    pairs = torch.stack([step, (step + 3 + step % 2) % NODES])
    y = (pairs[0] % 3 == pairs[1] % 3).long()
    fitted = model(pair_head=kind, epochs=30, lm_epochs=2).fit(graph(), pairs=pairs, labels=y)
    assert fitted.lm_objective_ == "label"
    assert falls(fitted.history_.losses)
    assert fitted.predict(pairs).shape == (NODES,)
    assert fitted.predict_proba(pairs).shape == (NODES, 2)


def test_guessed_labels() -> None:
    split = split_nodes(NODES, shares=(20, 20, 60), seed=1)
    fitted = model(stages=("lm", "gnn", "glem"), rounds=2, epochs=15).fit(graph(), splits=split)
    assert list(fitted.stages_) == ["lm", "gnn", "glem-lm-1", "glem-gnn-1", "glem-lm-2", "glem-gnn-2"]
    assert float((fitted.predict()[split.test] == graph().y[split.test]).double().mean()) > 0.5


def test_labels_of_test_nodes_play_no_part() -> None:
    split = split_nodes(NODES, shares=(20, 20, 60), seed=1)
    y = graph().y.clone()
    y[split.test] = 0
    one, other = (
        model(stages=("lm", "gnn", "glem"), epochs=4).fit(g, splits=split) for g in (graph(), graph().replace(y=y))
    )
    assert torch.equal(one.embedding_, other.embedding_)


# ---- leaks


def test_held_out_links_are_in_no_edges() -> None:
    split = split_edges(graph(), shares=(70, 15, 15), seed=0).link_split(graph())
    found = lesson(split)
    held = torch.cat([split.val_pos, split.test_pos], dim=1)
    held = set(map(tuple, torch.cat([held, held.flip(0)], dim=1).t().tolist()))
    for edges in (*found.graph.edges.values(), *found.serving.values(), *(part.train for part in found.links)):
        assert not held & set(map(tuple, edges.t().tolist()))


def test_validation_links_of_typed_graphs_are_left_out() -> None:
    found = lesson(typed_graph(), task="link", validation=0.25)
    for part in found.links:
        assert part.val.shape[1] > 0
        for kind, held in ((part.kind, part.val), (found.graph.reverse[part.kind], part.val.flip(0))):
            assert not set(map(tuple, held.t().tolist())) & set(map(tuple, found.graph.edges[kind].t().tolist()))
            assert set(map(tuple, held.t().tolist())) <= set(map(tuple, found.serving[kind].t().tolist()))


def test_overlapping_parts_are_refused() -> None:
    with pytest.raises(LeakySplitError, match="train and in val"):
        model().fit(graph(), splits={"train": [0, 1, 2], "val": [2, 3]})
    leaky = LinkSplit(graph(), val_pos=graph().edge_index[:, :2], val_neg=[[0], [1]])
    with pytest.raises(LeakySplitError):
        model().fit(leaky)


def test_targets_do_not_pass_messages() -> None:
    """The one edge of two nodes is taken out in its own step: their vectors there are those without it."""
    from graphrep.methods._lmgnn_graph import EDGE
    from graphrep.methods._lmgnn_setup import Shape, language_model, network, texts_of
    from graphrep.methods._lmgnn_sources import GraphSource, NodeInputs, SampledSource
    from graphrep.nn import EmbeddingCache

    own = model(dropout=0.0)
    found = lesson(graph(), task="link", validation=None)
    encoder, tokenizer, _ = language_model(own, found.graph, None, None)
    held = texts_of(own, encoder, tokenizer, found.graph.text)
    cache = EmbeddingCache(NODES, 16)
    cache.write(torch.arange(NODES), torch.randn(NODES, 16))
    inputs = NodeInputs(found.graph, held, cache, torch.device("cpu"))
    net = network(own, Shape.of(found, 16)).eval()
    pair = found.links[0].train[:, :1]
    gone = set(map(tuple, torch.cat([pair, pair.flip(0)], dim=1).t().tolist()))
    kept = torch.tensor([e for e in found.graph.edges[EDGE].t().tolist() if tuple(e) not in gone]).t()
    wanted = net(inputs.all(), {EDGE: kept})["node"][pair.flatten()]
    parts = (net, inputs, found.graph.edges, found.graph.reverse)
    seeds = {"node": pair.flatten().sort().values}
    for source in (GraphSource(*parts), SampledSource(*parts, (-1, -1))):
        vectors = source.vectors(seeds, {EDGE: pair}, torch.Generator().manual_seed(0))
        whole = source.vectors(seeds, {}, torch.Generator().manual_seed(0))
        if isinstance(source, GraphSource):
            assert torch.allclose(vectors.at("node", pair.flatten()), wanted, atol=1e-6)
        assert not torch.allclose(vectors.at("node", pair.flatten()), whole.at("node", pair.flatten()))


# ---- live texts


def test_no_live_text_leaves_the_language_model_alone() -> None:
    fitted = model(stages=("gnn", "joint"), live_nodes=0, num_neighbors=(4, 4), validation=None).fit(graph())
    given = fitted.lm.state_dict()
    # AdamW's decay moves no parameter that has no gradient
    assert all(torch.equal(value, given[name]) for name, value in fitted.encoder_.model.state_dict().items())


def test_the_given_model_is_left_as_it_was() -> None:
    fitted = model(stages=("lm",), lm_objective="label")
    before = {name: value.clone() for name, value in fitted.lm.state_dict().items()}
    fitted.fit(graph())
    assert all(torch.equal(value, before[name]) for name, value in fitted.lm.state_dict().items())
    assert all(p.requires_grad for p in fitted.lm.parameters())
    assert any(not torch.equal(value, before[name]) for name, value in fitted.encoder_.model.state_dict().items())


def test_live_texts_stay_in_their_budget() -> None:
    fitted = model(stages=("gnn", "joint"), live_nodes=5, num_neighbors=(4, 4), joint_epochs=2, refresh_every=2)
    fitted.fit(graph())
    assert all(0 < log.parts["live"] <= 5 for log in fitted.stages_["joint"].epochs)


@pytest.mark.parametrize("links", [False, True], ids=["nodes", "links"])
def test_a_joint_stage_that_does_not_help_leaves_all_as_it_was(links: bool) -> None:
    data: Any = split_edges(graph(), shares=(60, 20, 20), seed=0).link_split(graph()) if links else graph()
    settings: dict[str, Any] = {"epochs": 30, "num_neighbors": (4, 4)}
    before = model(stages=("gnn",), **settings).fit(data)
    after = model(stages=("gnn", "joint"), joint_epochs=2, lm_lr=0.3, joint_lr=1.0, **settings).fit(data)
    course = after.stages_["joint"]
    assert course.kept_epoch == 0
    looks = [log.signals for log in course.epochs if "score" in log.signals]
    assert len(looks) == 2  # once a pass
    assert all(look["score"] <= look["before"] for look in looks)
    assert looks[0]["before"] == pytest.approx(max(log.signals["score"] for log in before.history_.epochs))
    assert torch.equal(after.embedding_, before.embedding_)
    assert torch.equal(after.text_embedding_, before.text_embedding_)
    assert "the state before it is kept" in after.notes_[-1]
    assert before.notes_ == after.notes_[:-1]


def test_a_joint_stage_without_time_leaves_all_as_it_was() -> None:
    class Slow(Callback):
        def epoch_done(self, log: Any) -> None:
            time.sleep(0.3)

    settings: dict[str, Any] = {"epochs": 1, "num_neighbors": (4, 4), "time_budget": 0.2}
    before = model(stages=("gnn",), **settings).fit(graph())
    after = model(stages=("gnn", "joint"), lm_batch_size=4, **settings).fit(graph(), callbacks=[Slow()])
    assert 0 < len(after.stages_["joint"].epochs) < 5
    assert after.stages_["joint"].stopped == "time"
    assert torch.equal(after.embedding_, before.embedding_)
    assert "over before a first look" in after.notes_[-1]


def test_a_joint_stage_is_judged_on_what_it_returns() -> None:
    split = split_nodes(NODES, shares=(40, 40, 20), seed=0)
    settings: dict[str, Any] = {"stages": ("gnn", "joint"), "epochs": 1, "joint_epochs": 6, "joint_lr": 0.05}
    fitted = model(num_neighbors=(4, 4), live_nodes=4, **settings).fit(graph(), splits=split)
    course = fitted.stages_["joint"]
    assert course.kept_epoch > 0
    assert not any("is kept" in note for note in fitted.notes_)
    right = float((fitted.predict()[split.val] == graph().y[split.val]).double().mean())
    assert course.epochs[course.kept_epoch - 1].signals["score"] == right


def test_all_live_and_fresh_is_the_exact_gradient() -> None:
    """Every sampled text live: one step of the joint stage is one step through encoder and network at once."""
    from graphrep.methods._lmgnn_setup import Shape, language_model, network, texts_of
    from graphrep.methods._lmgnn_sources import JointSource, NodeInputs, fill
    from graphrep.nn import EmbeddingCache

    own = model(dropout=0.0, lm_layers=None)
    found = lesson(graph(), task="node")
    encoder, tokenizer, _ = language_model(own, found.graph, None, None)
    held = texts_of(own, encoder, tokenizer, found.graph.text)
    cache = EmbeddingCache(NODES, 16, dtype=torch.float32)
    fill(cache, held)
    net = network(own, Shape.of(found, 16))
    inputs = NodeInputs(found.graph, held, cache, torch.device("cpu"))
    parts = (net, inputs, found.graph.edges, found.graph.reverse, (-1, -1))
    source = JointSource(*parts, live_nodes=-1, scheme="seeds", scale=False, refresh_every=None)
    every = {"node": torch.arange(NODES)}
    source.vectors(every, {}, torch.Generator().manual_seed(0)).rows["node"].square().sum().backward()
    weight = encoder.model.encoder.layer[0].attention.self.query.weight
    got = weight.grad.clone()
    weight.grad = None
    rows = encoder(*held.table.batch(torch.arange(NODES)))
    net({"node": rows}, found.graph.edges)["node"].square().sum().backward()
    assert torch.allclose(got, weight.grad, rtol=1e-3, atol=1e-5)


# ---- repeatable, resumable


def test_equal_seeds_give_equal_vectors() -> None:
    settings: dict[str, Any] = {"stages": ("lm", "gnn", "joint"), "num_neighbors": (3, 3), "epochs": 3}
    one, two, other = (model(seed=seed, **settings).fit(graph()).embedding_ for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("stage", ["lm", "gnn", "joint", "encode"])
def test_a_killed_run_goes_on(stage: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("lmgnn_cases.py")
    root = Path(__file__).parents[2]
    threads = str(torch.get_num_threads())  # earlier tests may have changed it, and sums depend on it
    run = subprocess.run(
        [sys.executable, str(script), stage, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": threads},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == -9, run.stderr
    seen: list[int] = []

    class Watch(Callback):
        def start(self, config: Any, done: int) -> None:
            seen.append(done)

    settings = {"stages": KILLED.get(stage, ("gnn",)), **LONG}
    resumed = model(**settings).fit(graph(), checkpoint=tmp_path, resume=True, callbacks=[Watch()])
    whole = model(**settings).fit(graph())
    assert torch.equal(resumed.embedding_, whole.embedding_)
    assert all(history.kept_epoch for history in whole.stages_.values())  # else nothing of the stage were compared
    assert {name: h.losses for name, h in resumed.stages_.items()} == {
        name: h.losses for name, h in whole.stages_.items()
    }
    assert seen[0] == (0 if stage == "encode" else 1)  # the state of the epoch before the kill
    again = model(**settings).fit(graph(), checkpoint=tmp_path, resume=True)  # every stage is through
    assert torch.equal(again.embedding_, whole.embedding_)


def test_another_run_is_refused(tmp_path: Path) -> None:
    model(epochs=2).fit(graph(), checkpoint=tmp_path)
    with pytest.raises(CheckpointMismatchError, match="other settings"):
        model(epochs=2, lm_lr=1e-4).fit(graph(), checkpoint=tmp_path, resume=True)


def test_stopping_and_going_on(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 6, "stages": ("gnn",)}
    calls: list[int] = []

    def enough() -> bool:
        calls.append(1)
        return len(calls) == 3

    with pytest.raises(Interrupted):
        model(**settings).fit(graph(), checkpoint=tmp_path, should_stop=enough)
    resumed = model(**settings).fit(graph(), checkpoint=tmp_path, resume=True)
    assert torch.equal(resumed.embedding_, model(**settings).fit(graph()).embedding_)


# ---- after training


def test_cold_texts() -> None:
    """A new node is what a node without edges is: node 5 again from its text."""
    fitted = model(stages=("gnn",)).fit(graph())
    cold = fitted.embed_texts([texts()[5], "", "unknown words"])
    assert torch.allclose(cold[0], fitted.embedding_[5], atol=1e-4)
    assert bool(torch.isfinite(cold).all())
    assert fitted.predict(vectors=cold).shape == (3,)
    typed = model(stages=("gnn",), conv="rgcn").fit(typed_graph())
    assert typed.embed_texts(["graph node"]).shape == (1, 8)
    assert typed.embed_texts(["graph"], torch.zeros(1, 5), kind="author").shape == (1, 8)
    with pytest.raises(GraphrepError, match="x has shape"):
        typed.embed_texts(["graph"], kind="author")
    with pytest.raises(UnknownNameError, match="no text"):
        typed.embed_texts(["graph"], kind="venue")


def test_other_graphs() -> None:
    fitted = model(stages=("gnn",)).fit(graph())
    other = Graph([[0, 1], [1, 0]], text=["graph node", "text"])
    assert fitted.embed(other).shape == (2, 8)
    assert torch.allclose(fitted.embed(graph()), fitted.embedding_, atol=1e-5)
    with pytest.raises(CheckpointMismatchError, match="features"):
        fitted.embed(other.replace(x=torch.eye(2)))
    with pytest.raises(MissingFeaturesError, match="no texts"):
        fitted.embed(Graph([[0], [1]]))


@pytest.mark.parametrize("settings", [{}, {"task": "link", "scorer": "distmult", "temperature": 1.0}, {"lora": 2}])
def test_files(settings: dict[str, Any], tmp_path: Path) -> None:
    if "lora" in settings:
        pytest.importorskip("peft")
    from graphrep.nn import small_bert

    bert = small_bert(texts(), vocab_size=64, dim=16, num_heads=2, epochs=0)
    common: dict[str, Any] = {"dim": 8, "epochs": 4, "num_negatives": 8, "lm_negatives": 4, "precision": "float32"}
    fitted = LMGNN(bert.model, tokenizer=bert.tokenizer, **common, **settings).fit(graph())
    fitted.save(tmp_path / "m")
    loaded = LMGNN.load(tmp_path / "m")
    assert torch.equal(loaded.embedding_, fitted.embedding_)
    assert torch.allclose(loaded.embed_texts(["graph node"]), fitted.embed_texts(["graph node"]), atol=1e-4)
    assert torch.allclose(loaded.embed(graph()), fitted.embed(graph()), atol=1e-3)
    if "task" in settings:
        assert torch.equal(loaded.score([[0], [1]]), fitted.score([[0], [1]]))
    else:
        assert torch.allclose(loaded.predict_proba(), fitted.predict_proba())
    assert not list((tmp_path / "m").rglob("*.bin"))


def test_a_model_from_scratch(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dim": 8, "epochs": 2, "precision": "float32", "stages": ("gnn",), "text_length": 16}
    fitted = LMGNN(**settings).fit(graph(), checkpoint=tmp_path)
    assert any("from scratch" in note for note in fitted.notes_)
    again = LMGNN(**settings).fit(graph(), checkpoint=tmp_path, resume=True)
    assert torch.equal(again.embedding_, fitted.embedding_)


def test_vectors_are_kept_for_later_runs(tmp_path: Path) -> None:
    shares: list[float] = []

    class Watch(Callback):
        def part_done(self, epoch: int, share: float) -> None:
            shares.append(share)

    for encoded in (True, False):
        shares.clear()
        model(stages=("gnn",), epochs=1, cache_dir=str(tmp_path)).fit(graph(), callbacks=[Watch()])
        assert bool(shares) is encoded


# ---- errors


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"stages": ("frozen",)}, "stages"),
        ({"stages": ("glem",)}, "glem"),
        ({"stages": ("gnn", "gnn")}, "stages"),
        ({"conv": "gat"}, "conv"),
        ({"dim": 0}, "dim"),
        ({"lm_lr": 0.0}, "lm_lr"),
        ({"live_nodes": -2}, "live_nodes"),
        ({"validation": 1.5}, "validation"),
        ({"pseudo_weight": 2.0}, "pseudo_weight"),
        ({"task": "edge"}, "edge"),
        ({"task": "link", "lm_objective": "label"}, "lm_objective"),
        ({"task": "link", "stages": ("gnn", "glem")}, "glem"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(GraphrepError, match=match):
        model(**settings).fit(graph())


def test_data_that_does_not_fit() -> None:
    with pytest.raises(MissingFeaturesError, match="no texts"):
        model().fit(Graph([[0], [1]], y=torch.tensor([0, 1])))
    with pytest.raises(MissingLabelsError):
        model(task="node").fit(graph().replace(y=None))
    with pytest.raises(GraphrepError, match="one node type"):
        model(conv="gcn").fit(typed_graph())
    with pytest.raises(GraphrepError, match="tokenizer"):
        LMGNN(model().lm).fit(graph())
    with pytest.raises(GraphrepError, match="matrix"):
        model().fit(graph().replace(y=torch.eye(NODES)))
    assert tokens(["graph", ""]) == [[2], []]
