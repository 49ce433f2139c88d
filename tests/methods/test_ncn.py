"""NCN and NCNC: a step against the plain definition, negatives, validation, lists, files, resumption, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import softplus

from graphrep import NCN, NCNC, Graph
from graphrep.data import LinkSplit, split_edges
from graphrep.errors import (
    CheckpointMismatchError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    IndexRangeError,
    LeakySplitError,
    MissingFeaturesError,
    ShapeError,
    UnknownNameError,
)
from graphrep.eval import link_scores
from graphrep.kernels import CSR
from graphrep.methods import load_model
from graphrep.methods._link_data import link_data, non_links, ranks_of_links
from graphrep.methods._link_task import LinkBatch, LinkTask
from graphrep.methods.base import NotFittedError
from graphrep.nn import LinkDropper, ncn
from graphrep.train import Callback, Interrupted

FAST: dict[str, Any] = {"dim": 8, "epochs": 3, "batch_size": 32, "hits_k": 10}


def blocks(size: int = 60, groups: int = 6, seed: int = 0, features: bool = True) -> Graph:
    """Groups whose members are mostly linked, with sparse features that tell a little about the group."""
    rng = np.random.default_rng(seed)
    group = np.arange(size) % groups
    same = group[:, None] == group
    upper = np.triu(rng.random((size, size)) < np.where(same, 0.6, 0.01), 1)
    one_way = torch.from_numpy(np.stack(upper.nonzero()))
    x = (rng.random((size, 4 * groups)) < np.where(group[:, None] == np.arange(4 * groups) % groups, 0.25, 0.03)) * 1.0
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    return Graph(edges, num_nodes=size, x=torch.from_numpy(x).float() if features else None, name="blocks")


def as_split(graph: Graph, seed: int = 0) -> LinkSplit:
    parts = split_edges(graph, shares=(0.7, 0.1, 0.2), seed=seed)
    train = Graph(parts.train_edge_index(), num_nodes=graph.num_nodes, x=graph.x, name=graph.name)
    return LinkSplit(train, parts.val, parts.val_neg, parts.test, parts.test_neg, name="blocks")


def task_of(graph: Graph, module: ncn.NCN, **options: Any) -> LinkTask:
    data = link_data(graph, None, None, 0)
    defaults: dict[str, Any] = {
        "batch_size": 7, "remove_targets": True, "edge_dropout": 0.0, "neighbor_dropout": 0.0, "hits_k": 5,
        "block_size": 11, "encoder_rate": 2.0, "fingerprint": "test",
    }  # fmt: skip
    dropper = LinkDropper(data.train, graph.num_nodes, dtype=torch.float64)
    return LinkTask(module, graph.x, dropper, data, **{**defaults, **options})


# the step


@pytest.mark.parametrize("completion", [0, 1])
@pytest.mark.parametrize("remove_targets", [True, False])
def test_a_step_is_that_on_the_graph_built_anew(completion: int, remove_targets: bool) -> None:
    graph = blocks()
    assert graph.x is not None
    graph = graph.replace(x=graph.x.double())
    torch.manual_seed(0)
    module = ncn.NCN(24, 6, completion=completion).double()
    task = task_of(graph, module, remove_targets=remove_targets)
    links, negatives = torch.tensor([0, 3, 4, 11]), torch.tensor([[0, 5], [7, 9]])
    loss, _ = task.loss(LinkBatch(links, negatives), 1, torch.Generator())
    stays = torch.ones(task.dropper.num_links, dtype=torch.bool)
    if remove_targets:
        stays[links] = False
    one_way = task.dropper.links[:, stays]
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    csr = CSR.from_edge_index(edges, size=(60, 60))
    h = module.encode(graph.x, edges)
    pos = module.decode(h, csr, task.dropper.links[:, links])
    neg = module.decode(h, csr, negatives)
    wanted = softplus(-pos).mean() + softplus(neg).mean()
    torch.testing.assert_close(loss, wanted)
    parameters = list(module.parameters())
    for found, want in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(wanted, parameters), strict=True):
        torch.testing.assert_close(found, want)


def test_batches_hold_every_link_once_and_new_negatives() -> None:
    task = task_of(blocks(), ncn.NCN(24, 6))
    generator = torch.Generator().manual_seed(0)
    epochs = [list(task.batches(epoch, generator)) for epoch in (1, 2)]
    count = task.dropper.num_links
    known = {tuple(pair) for pair in task.dropper.links.t().tolist()}
    for batches in epochs:
        assert torch.cat([batch.links for batch in batches]).sort().values.tolist() == list(range(count))
        sizes = [batch.links.numel() for batch in batches]
        assert sizes == [batch.negatives.shape[1] for batch in batches]
        assert len(sizes) == -(-count // 7)
        assert max(sizes) - min(sizes) <= 1
        negatives = torch.cat([batch.negatives for batch in batches], dim=1)
        assert negatives.shape == (2, count)
        assert bool((negatives[0] != negatives[1]).all())
        assert not known & {tuple(sorted(pair)) for pair in negatives.t().tolist()}
    first, second = (torch.cat([batch.negatives for batch in batches], dim=1) for batches in epochs)
    assert not torch.equal(first, second)
    again = list(task.batches(1, torch.Generator().manual_seed(0)))
    assert torch.equal(again[0].negatives, epochs[0][0].negatives)


@given(size=st.integers(2, 9), links=st.integers(0, 40), count=st.integers(0, 30), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_non_links(size: int, links: int, count: int, seed: int) -> None:
    edges = torch.randint(0, size, (2, links), generator=torch.Generator().manual_seed(seed))
    used = ranks_of_links(edges, size)
    known = {tuple(sorted(pair)) for pair in edges.t().tolist() if pair[0] != pair[1]}
    free = size * (size - 1) // 2 - len(known)
    found = non_links(used, count, size, np.random.default_rng(seed))
    pairs = [tuple(sorted(pair)) for pair in found.t().tolist()]
    assert len(pairs) == (count if free else 0)
    assert not known & set(pairs)
    assert all(i != j for i, j in pairs)
    assert len(set(pairs)) == min(count, free)
    once = non_links(used, count, size, np.random.default_rng(seed), repeat=False)
    assert once.shape[1] == min(count, free)


def test_negatives_are_uniform() -> None:
    used = ranks_of_links(torch.tensor([[0, 1], [1, 2]]), 5)
    rng = np.random.default_rng(0)
    drawn = torch.cat([non_links(used, 2, 5, rng) for _ in range(2000)], dim=1)
    counts = torch.unique(drawn[0] * 5 + drawn[1], return_counts=True)[1].double()
    assert len(counts) == 8
    assert float(((counts - 500).square() / 500).sum()) < 24.3  # 0.999 quantile of chi-square with 7 degrees


def test_rates_of_both_parts() -> None:
    task = task_of(blocks(), ncn.NCN(24, 6))
    (encoder, factor), (predictor, one) = task.groups()
    assert (factor, one) == (2.0, 1.0)
    assert {id(p) for p in [*encoder, *predictor]} == {id(p) for p in task.module.parameters()}


# what is trained on and what validates


def test_parts_of_a_graph() -> None:
    graph = blocks()
    data = link_data(graph, 0.1, None, 3)
    total = graph.num_edges // 2
    assert data.val_pos is not None
    assert data.val_neg is not None
    assert data.val_pos.shape[1] == data.val_neg.shape[1] == total // 10
    assert data.train.shape[1] == total - total // 10
    held = set(map(tuple, data.val_pos.t().tolist()))
    train = set(map(tuple, data.train.t().tolist()))
    assert not held & train
    assert len(held | train) == total
    assert not {tuple(sorted(pair)) for pair in data.val_neg.t().tolist()} & (held | train)
    assert data.serving.shape[1] == data.known.shape[1] == total
    again = link_data(graph, 0.1, None, 3)
    assert again.val_pos is not None
    assert torch.equal(again.val_pos, data.val_pos)
    assert torch.equal(link_data(graph, 0.1, False, 3).serving, data.train)


def test_parts_of_a_split() -> None:
    split = as_split(blocks())
    assert split.val_pos is not None
    data = link_data(split, 0.1, None, 0)
    assert data.val_pos is split.val_pos
    assert data.val_neg is split.val_neg
    assert data.serving.shape[1] == split.graph.num_edges // 2
    assert data.known.shape[1] == data.train.shape[1] + split.val_pos.shape[1]
    assert torch.equal(link_data(split, 0.1, True, 0).serving, data.known)
    drawn = link_data(split.replace(val_neg=None), 0.1, None, 0)
    assert drawn.val_neg is not None
    parts = torch.cat([data.known, split.test_pos], dim=1)  # type: ignore[list-item]
    assert not np.isin(ranks_of_links(drawn.val_neg, 60), ranks_of_links(parts, 60)).any()
    nothing = link_data(split, None, None, 0)
    assert nothing.val_pos is None
    assert nothing.train.shape[1] == data.train.shape[1]


def test_leaks_are_refused() -> None:
    split = as_split(blocks())
    assert split.val_pos is not None
    for part in ("val_pos", "test_pos"):
        leaky = split.replace(**{part: split.graph.edge_index[:, :3].flip(0)})
        with pytest.raises(LeakySplitError):
            NCN(**FAST).fit(leaky)


def test_the_test_part_changes_nothing() -> None:
    split = as_split(blocks())
    a, b = (NCN(**FAST).fit(part) for part in (split, split.replace(test_pos=None, test_neg=None)))
    assert torch.equal(a.embedding_, b.embedding_)


def test_the_epoch_is_the_one_with_the_best_hits() -> None:
    split = as_split(blocks())
    model = NCN(**{**FAST, "epochs": 12}).fit(split)
    signals = [log.signals["hits"] for log in model.history_.epochs]
    assert model.history_.kept_epoch == int(np.argmax(signals)) + 1
    found = link_scores(model.score(split.val_pos), model.score(split.val_neg), ks=(10,))
    assert found.hits[10] == pytest.approx(max(signals))
    assert {"hits", "mrr", "auc", "ap"} <= set(model.history_.epochs[0].signals)


def test_early_stop() -> None:
    model = NCN(**{**FAST, "epochs": 200, "patience": 3}).fit(as_split(blocks()))
    assert model.history_.stopped == "hits"
    assert len(model.history_.epochs) == model.history_.best_epoch + 3


def test_too_few_negatives_for_k_are_told() -> None:
    model = NCN(**{**FAST, "hits_k": 5000}).fit(as_split(blocks()))
    assert any("not Hits@5000" in note for note in model.notes_)
    assert model.history_.epochs[0].signals["hits"] < 1
    tiny = NCN(**FAST).fit(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]))
    assert any("last one is kept" in note for note in tiny.notes_)
    assert tiny.history_.kept_epoch == 3


@pytest.mark.slow
@pytest.mark.parametrize("completion", [0, 1])
def test_learns_the_groups(completion: int) -> None:
    split = as_split(blocks(120, 8))
    options: dict[str, Any] = {"dim": 16, "epochs": 60, "batch_size": 128, "completion": completion, "hits_k": 10}
    model = NCN(lr=0.01, encoder_lr=0.01, neighbor_dropout=0.1, input_dropout=0.2, **options).fit(split)
    found = link_scores(model.score(split.test_pos), model.score(split.test_neg), ks=(10,))
    assert found.auc > 0.9


def test_directions_loops_and_duplicates_play_no_part() -> None:
    graph = blocks()
    one_way = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    loops = torch.arange(5).expand(2, -1)
    odd = Graph(torch.cat([one_way, one_way[:, :9], loops], dim=1), num_nodes=60, x=graph.x)
    a, b = NCN(**FAST).fit(graph), NCN(**FAST).fit(odd)
    assert torch.equal(a.embedding_, b.embedding_)
    assert any("directed" in note for note in b.notes_)
    heavy = NCN(**FAST).fit(Graph(graph.edge_index, torch.full((graph.num_edges,), 2.0), num_nodes=60, x=graph.x))
    assert torch.equal(a.embedding_, heavy.embedding_)
    assert any("weights" in note for note in heavy.notes_)


# variants


@pytest.mark.parametrize(
    "options",
    [
        {"completion": 1},
        {"completion": 2, "inner_features": "transformed"},
        {"completion": 1, "max_completion": 3, "exclude_endpoints": False, "inner_dropout": False},
        {"common_neighbors": False},
        {"remove_targets": False},
        {"conv": "gcn", "num_layers": 2, "residual": True},
        {"num_layers": 3, "jk": False, "use_xlin": False, "tail_act": False, "two_layer_head": True},
        {"edge_dropout": 0.3, "clip_norm": 1.0, "schedule": "cosine", "encoder_lr": None},
        {"features": "learned"},
        {"features": "fastrp", "feature_dim": 5},
        {"precision": "float64", "scale_features": "row"},
        {"precision": "bfloat16", "completion": 1},
    ],
)
def test_variants_train_the_same_with_the_same_seed(options: dict[str, Any]) -> None:
    split = as_split(blocks())
    a, b, other = (NCN(**FAST, **options, seed=seed).fit(split) for seed in (1, 1, 2))
    assert torch.equal(a.embedding_, b.embedding_)
    assert a.history_.losses == b.history_.losses
    assert not torch.equal(a.embedding_, other.embedding_)
    assert bool(torch.isfinite(a.score(split.test_pos)).all())


def test_graphs_without_features() -> None:
    plain = blocks(features=False)
    module = NCN(**FAST).fit(plain).module_
    assert module.encoder.embedding.shape == (60, 8)
    with pytest.raises(MissingFeaturesError, match="learned"):
        NCN(features="given", **FAST).fit(plain)


def test_fastrp_never_sees_held_out_links() -> None:
    split = as_split(blocks())
    more = Graph(torch.cat([split.graph.edge_index, split.test_pos], dim=1), num_nodes=60)  # type: ignore[list-item]
    options = {**FAST, "features": "fastrp", "validation": None, "epochs": 1}
    a = NCN(**options).fit(split)
    b = NCN(**options).fit(split.replace(test_pos=None, test_neg=None))
    assert torch.equal(a.embedding_, b.embedding_)
    assert not torch.equal(a.embedding_, NCN(**options).fit(more).embedding_)


def test_dense_and_sparse_features_agree() -> None:
    graph = blocks()
    assert graph.x is not None
    options = {**FAST, "input_dropout": 0.0}  # which draws per entry
    a, b = (NCN(**options).fit(graph.replace(x=x)) for x in (graph.x, graph.x.to_sparse_csr()))
    torch.testing.assert_close(a.embedding_, b.embedding_, rtol=1e-4, atol=1e-5)


def test_ncnc_is_ncn_with_completion() -> None:
    split = as_split(blocks())
    a, b = NCNC(**FAST).fit(split), NCN(completion=1, **FAST).fit(split)
    assert torch.equal(a.score(split.test_pos), b.score(split.test_pos))
    assert repr(NCNC(dim=4)) == "NCNC(dim=4)"


# scores and lists


def test_scores_are_symmetric_and_do_not_depend_on_blocks() -> None:
    split = as_split(blocks())
    assert split.test_pos is not None
    model = NCNC(**FAST).fit(split)
    whole = model.score(split.test_pos)
    assert torch.equal(model.score(split.test_pos.flip(0)), whole)
    model.set_params(block_size=7)
    torch.testing.assert_close(model.score(split.test_pos.int()), whole)
    assert model.score(torch.zeros(2, 0)).shape == (0,)
    assert model.score([[0, 1], [2, 3]]).shape == (2,)


def all_scores(model: NCN, size: int) -> Tensor:
    everyone = torch.cartesian_prod(torch.arange(size), torch.arange(size)).t()
    return model.score(everyone).reshape(size, size)


def test_lists_hold_the_best_pairs_that_are_not_known() -> None:
    graph = blocks()
    model = NCN(**FAST, block_size=64).fit(graph)
    scores, known = all_scores(model, 60), torch.eye(60, dtype=torch.bool)
    known[graph.edge_index[0], graph.edge_index[1]] = True
    allowed = scores.masked_fill(known, -torch.inf)
    nodes, values = model.top(None, k=7, candidates="all")
    torch.testing.assert_close(values, allowed.topk(7).values)
    torch.testing.assert_close(scores.gather(1, nodes), values)
    adjacency = known.clone().fill_diagonal_(False).float()
    two_hop = ((adjacency @ adjacency) > 0) & ~known
    nodes, values = model.top(torch.tensor([5, 3, 5]), k=50, candidates="two-hop")
    for row, node in enumerate([5, 3, 5]):
        wanted = set(two_hop[node].nonzero()[:, 0].tolist())
        found = [n for n in nodes[row].tolist() if n >= 0]
        assert set(found) == wanted or len(wanted) > 50
        assert values[row].tolist() == sorted(values[row].tolist(), reverse=True)
        assert bool((values[row, len(found) :] == -torch.inf).all())


def test_lists_are_filled_from_all_nodes_where_two_hops_are_not_enough() -> None:
    path = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    model = NCN(**FAST, validation=None).fit(Graph(path, num_nodes=8))
    nodes, values = model.top([0, 7], k=3)
    assert set(nodes[0].tolist()) <= {2, 3, 4, 5, 6, 7}
    assert bool(torch.isfinite(values).all())
    few, none = model.top([0], k=9)
    assert few[0].tolist().count(-1) == 3
    assert bool((none[0, 6:] == -torch.inf).all())
    assert model.top([0, 7], k=3, candidates="two-hop")[0].tolist() == [[2, -1, -1], [-1, -1, -1]]


def test_validation_links_are_known_but_not_seen() -> None:
    split = as_split(blocks())
    assert split.val_pos is not None
    model = NCN(**FAST).fit(split)
    i, j = split.val_pos[:, 0].tolist()
    assert j not in model.top([i], k=59, candidates="all")[0][0].tolist()
    seeing = NCN(**FAST, use_validation_edges=True).fit(split)
    assert not torch.equal(seeing.embedding_, model.embedding_)
    assert seeing.history_.losses == model.history_.losses


# files and interruptions


@pytest.mark.parametrize("options", [{}, {"features": "learned"}, {"features": "fastrp", "completion": 1}])
def test_saved_and_loaded_scores_the_same(options: dict[str, Any], tmp_path: Path) -> None:
    split = as_split(blocks())
    model = NCN(**FAST, **options).fit(split)
    model.save(tmp_path / "model")
    for loaded in (NCN.load(tmp_path / "model"), load_model(tmp_path / "model")):
        assert isinstance(loaded, NCN)
        assert torch.equal(loaded.embedding_, model.embedding_)
        # where the weights lie in memory may change the rounding of their products
        torch.testing.assert_close(loaded.score(split.test_pos), model.score(split.test_pos), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(loaded.top([1, 2], k=5)[1], model.top([1, 2], k=5)[1], rtol=1e-5, atol=1e-6)
        assert loaded.get_params() == model.get_params()
        assert loaded.trained_on_ == "blocks"
    with pytest.raises(FileFormatError):
        NCNC.load(tmp_path / "model")


class StopAfter(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch, self.seen = epoch, 0

    def epoch_done(self, log: Any) -> None:
        self.seen = log.epoch

    def wants(self) -> bool:
        return self.seen == self.epoch


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    split = as_split(blocks())
    options: dict[str, Any] = {**FAST, "epochs": 6, "completion": 1, "edge_dropout": 0.2, "max_completion": 4}
    whole = NCN(**options).fit(split)
    stop, state = StopAfter(3), tmp_path / "state"
    with pytest.raises(Interrupted):
        NCN(**options).fit(split, callbacks=[stop], checkpoint=state, should_stop=stop.wants)
    resumed = NCN(**options).fit(split, checkpoint=state, resume=True)
    assert torch.equal(resumed.embedding_, whole.embedding_)
    assert resumed.history_.losses == whole.history_.losses
    assert torch.equal(resumed.score(split.test_pos), whole.score(split.test_pos))
    with pytest.raises(CheckpointMismatchError):
        NCN(**{**options, "remove_targets": False}).fit(split, checkpoint=state, resume=True)
    with pytest.raises(CheckpointMismatchError):
        NCN(**options).fit(as_split(blocks(), seed=1), checkpoint=state, resume=True)


def test_other_graphs() -> None:
    graph = blocks()
    model = NCN(**FAST).fit(graph)
    torch.testing.assert_close(model.embed(graph), model.embedding_)
    assert model.embed(blocks(80, seed=4)).shape == (80, 8)
    with pytest.raises(CheckpointMismatchError, match="features"):
        model.embed(blocks(groups=5))
    with pytest.raises(CheckpointMismatchError, match="learned"):
        NCN(**FAST, features="learned").fit(graph).embed(graph)
    assert NCN(**FAST, features="fastrp").fit(graph).embed(blocks(40)).shape == (40, 8)


# errors


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"hits_k": 0},
        {"dim": 0},
        {"feature_dim": 0},
        {"encoder_lr": 0.0},
        {"edge_dropout": 1.0},
        {"neighbor_dropout": -0.1},
        {"validation": 1.0},
        {"completion": 4},
        {"features": "none"},
        {"scale_features": "l2"},
        {"eval_every": 0},
    ],
)
def test_settings_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(GraphrepError):
        NCN(**{**FAST, **options}).fit(blocks())


def test_graphs_that_do_not_fit() -> None:
    with pytest.raises(EmptyGraphError, match="no links"):
        NCN(**FAST).fit(Graph(torch.zeros(2, 0, dtype=torch.int64), num_nodes=4))
    with pytest.raises(EmptyGraphError, match="no links"):
        NCN(**FAST).fit(Graph(torch.tensor([[1], [1]]), num_nodes=4))
    triangle = torch.tensor([[0, 1, 2], [1, 2, 0]])
    with pytest.raises(EmptyGraphError, match="every pair"):
        NCN(**FAST, validation=None).fit(triangle)
    two = NCN(**FAST, validation=None).fit(Graph(torch.tensor([[0], [1]]), num_nodes=3))
    assert two.score([[0], [2]]).shape == (1,)


def test_questions_that_do_not_fit() -> None:
    with pytest.raises(NotFittedError):
        NCN(**FAST).score([[0], [1]])
    with pytest.raises(NotFittedError):
        NCN(**FAST).top([0])
    model = NCN(**FAST).fit(blocks())
    with pytest.raises(ShapeError, match=r"pairs\.t"):
        model.score(torch.zeros(5, 2, dtype=torch.int64))
    with pytest.raises(IndexRangeError):
        model.score([[0], [60]])
    with pytest.raises(IndexRangeError):
        model.top([60])
    with pytest.raises(GraphrepError, match="k must be"):
        model.top([0], k=0)
    with pytest.raises(UnknownNameError):
        model.top([0], candidates="three-hop")
