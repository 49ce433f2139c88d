"""FastRP's tuner: cached powers are the real thing, the search repeats, helps, and reads no label it must not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from graphrep.data import Graph, load
from graphrep.errors import (
    GraphrepError,
    IndexRangeError,
    MissingLabelsError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.eval import linear_probe
from graphrep.methods import FastRP
from graphrep.tuning import TuneTrial, tune_fastrp
from graphrep.tuning.scores import link_scorer
from graphrep.tuning.search import _draw, _Search, _strip

QUICK: dict[str, Any] = {"num_weights": 2, "num_refinements": 2, "degree_exponents": (-0.5, 0.0), "shuffles": 2}
BASE = FastRP(dim=16, standardize=True)


def ring_of_groups(num_nodes: int = 240, groups: int = 4, seed: int = 0) -> Graph:
    """Groups that show two links away only: members share hubs of their own and have no links among themselves."""
    rng = np.random.default_rng(seed)
    hubs, member = 6 * groups, np.arange(6 * groups, num_nodes)
    group = member % groups
    pairs = [np.stack([member, group * 6 + rng.integers(0, 6, len(member))]) for _ in range(3)]
    pairs.append(np.stack([member, rng.integers(0, hubs, len(member))]))
    one_way = np.unique(np.concatenate(pairs, axis=1), axis=1)
    y = torch.full((num_nodes,), -1)
    y[member] = torch.from_numpy(group)
    return Graph(torch.from_numpy(np.concatenate([one_way, one_way[::-1]], axis=1)), y=y, num_nodes=num_nodes)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return ring_of_groups()


def half(graph: Graph) -> Tensor:
    return torch.arange(24, graph.num_nodes, 2)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cached_powers_give_what_a_fit_gives(graph: Graph, normalize: bool, dtype: torch.dtype) -> None:
    seen: list[Tensor] = []
    base = FastRP(dim=16, standardize=True, normalize=normalize, dtype=dtype, seed=3)
    search = _Search(graph, base, 4, lambda z: float(seen.append(z.clone()) is None))
    tol = 1e-5 if dtype == torch.float32 else 1e-11
    for exponent in (-0.6, 0.0, -0.6):
        for weights in ((0.0, 0.3, 1.0, 6.67), (1.0, 0.0, 0.5, 0.0), (0.0, 1.0, 0.0, 0.0)):
            trial = search.score(exponent, weights)
            model = FastRP(**{**base.get_params(), "weights": trial.weights, "degree_exponent": exponent})
            torch.testing.assert_close(seen[-1], model.fit_transform(graph), atol=tol, rtol=tol)


def test_powers_are_computed_once_per_exponent(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []
    powers = FastRP.powers
    monkeypatch.setattr(FastRP, "powers", lambda self, g: calls.append(self.degree_exponent) or powers(self, g))
    found = tune_fastrp(graph, objective=lambda z: 0.0, base=BASE, **QUICK)
    assert sorted(set(calls)) == [-0.5, 0.0]
    assert len(calls) <= 3 < len(found.history)


def test_the_best_trial_wins_and_the_first_is_the_baseline(graph: Graph) -> None:
    scores = iter(np.random.default_rng(0).random(100).tolist())
    found = tune_fastrp(graph, objective=lambda z: next(scores), base=BASE, **QUICK)
    best = max(found.history, key=lambda trial: trial.score)
    assert (found.score, found.params["weights"]) == (best.score, best.weights)
    assert found.params["degree_exponent"] == best.degree_exponent
    assert found.baseline == found.history[0].score
    assert found.history[0].weights == BASE.weights


def test_it_improves_on_the_default_on_nodes_it_has_not_seen() -> None:
    digits = load("digits")
    index = torch.randperm(digits.num_nodes, generator=torch.Generator().manual_seed(0))
    train, test = index[:600], index[600:]
    found = tune_fastrp(digits, train_idx=train, base=BASE, **QUICK)
    assert found.objective == "macro_f1"
    assert found.score > found.baseline + 0.05
    scores = [
        linear_probe(model.fit_transform(digits), digits.y, protocol="deepwalk", split=(train, None, test), c=0.1)
        for model in (BASE, found.model())
    ]
    assert scores[1].macro_f1 > scores[0].macro_f1 + 0.05
    assert found.model(dim=32).dim == 32


# --- properties -------------------------------------------------------------------------------------------------------


def test_the_same_seed_repeats_the_search(graph: Graph) -> None:
    first, second = (tune_fastrp(graph, train_idx=half(graph), base=BASE, seed=5, **QUICK) for _ in range(2))
    assert first.to_json() == second.to_json()
    other = tune_fastrp(graph, train_idx=half(graph), base=BASE, seed=6, **QUICK)
    assert [t.weights for t in other.history] != [t.weights for t in first.history]


def test_no_label_outside_the_training_part_is_read(graph: Graph) -> None:
    train = half(graph)
    hidden = torch.ones(graph.num_nodes, dtype=torch.bool)
    hidden[train] = False
    spoilt = graph.y.clone()
    spoilt[hidden] = torch.arange(int(hidden.sum())) % 3
    found, other = (tune_fastrp(graph, y, train_idx=train, base=BASE, **QUICK) for y in (graph.y, spoilt))
    assert found.to_json() == other.to_json()
    masked = tune_fastrp(graph, spoilt, train_idx=~hidden, base=BASE, **QUICK)
    assert masked.to_json() == found.to_json()


def test_hidden_links_are_not_seen_and_random_pairs_are_no_links(graph: Graph) -> None:
    wanted = {tuple(sorted(pair)) for pair in graph.edge_index.t().tolist()}
    scorer, seen = link_scorer(graph, 1)
    kept = {tuple(sorted(pair)) for pair in seen.edge_index.t().tolist()}
    assert len(wanted - kept) == int(0.1 * len(wanted))
    assert kept <= wanted
    assert seen.is_undirected()
    assert seen.num_nodes == graph.num_nodes
    identity = torch.eye(graph.num_nodes)
    assert scorer(identity) == 0.5  # all pairs are orthogonal: every comparison is a tie
    assert scorer(torch.ones(graph.num_nodes, 2)) == 0.5
    rows = torch.zeros(graph.num_nodes, 2)
    for u, v in wanted - kept:
        rows[[u, v]] = torch.tensor([1.0, 0.0])
    assert scorer(rows) > 0.5  # the ends of hidden links are alike


def test_labels_are_optional(graph: Graph) -> None:
    found = tune_fastrp(graph, base=BASE, **QUICK)  # labels, but nobody said which may be used
    assert found.objective == "link_auc"
    assert 0.5 < found.baseline <= found.score <= 1.0


def test_progress_counts_all_trials(graph: Graph) -> None:
    calls: list[tuple[int, int, TuneTrial]] = []
    found = tune_fastrp(graph, objective=lambda z: 0.0, base=BASE, progress=lambda *call: calls.append(call), **QUICK)
    assert [done for done, _, _ in calls] == list(range(1, len(found.history) + 1))
    assert {total for _, total, _ in calls} == {len(found.history)}


def test_the_result_is_json(graph: Graph) -> None:
    text = json.loads(tune_fastrp(graph, objective=lambda z: 1.0, base=BASE, **QUICK).to_json())
    assert text["params"]["dtype"] == "float32"
    assert text["history"][0]["score"] == 1.0


def test_drawn_weights_have_a_highest_power_of_one() -> None:
    rng = np.random.default_rng(0)
    drawn = [_draw(rng, 4) for _ in range(200)]
    assert all(len(w) == 4 and _strip(w)[-1] == 1.0 and len(_strip(w)) >= 2 for w in drawn)
    assert {len(_strip(w)) for w in drawn} == {2, 3, 4}
    lower = [w for weights in drawn for w in _strip(weights)[:-1]]
    assert all(w == 0.0 or 1 / 64 <= w <= 4.0 for w in lower)
    assert 0.3 < np.mean(np.array(lower) == 0.0) < 0.7
    assert _draw(rng, 1) == (1.0,)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_errors(graph: Graph) -> None:
    with pytest.raises(MissingLabelsError, match="train_idx is missing"):
        tune_fastrp(graph, objective="micro_f1")
    with pytest.raises(MissingLabelsError, match="graph has none"):
        tune_fastrp(Graph(graph.edge_index), objective="micro_f1", train_idx=[1, 2])
    with pytest.raises(IndexRangeError, match=r"outside 0\.\.239"):
        tune_fastrp(graph, train_idx=[240])
    with pytest.raises(ShapeError, match="y has 3 rows"):
        tune_fastrp(graph, [0, 1, 0], train_idx=[0, 1])
    with pytest.raises(UnknownNameError, match='objective "accuracy"'):
        tune_fastrp(graph, objective="accuracy")
    with pytest.raises(NonFiniteError, match="objective is nan"):
        tune_fastrp(graph, objective=lambda z: float("nan"), base=BASE)
    with pytest.raises(GraphrepError, match="self_weight"):
        tune_fastrp(graph, base=FastRP(self_weight=1.0))
    with pytest.raises(ShapeError, match="num_powers must be at least 1"):
        tune_fastrp(graph, num_powers=0)
    with pytest.raises(GraphrepError, match="degree_exponents must be finite"):
        tune_fastrp(graph, degree_exponents=[float("inf")])
    with pytest.raises(GraphrepError, match="at least 10 links; the graph has 1"):
        tune_fastrp(torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(GraphrepError, match="no links"):
        tune_fastrp(torch.combinations(torch.arange(8)).t())


@pytest.mark.slow
def test_blogcatalog_prefers_high_powers_and_beats_the_default(data_root: Path) -> None:
    with np.load(data_root / "embedding" / "blogcatalog.npz", allow_pickle=False) as data:
        y = data["y"]
        graph = Graph(torch.from_numpy(data["edge_index"].astype(np.int64)), y=y)
    train = np.random.default_rng(0).permutation(len(y))[: len(y) // 10]
    found = tune_fastrp(graph, train_idx=train, num_weights=3, num_refinements=3)
    assert found.score > found.baseline
    assert len(found.params["weights"]) >= 3
