"""select_partition: the two kappas against scikit-learn and loops, the choice, degenerate graphs, errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from cluster_cases import planted
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import cohen_kappa_score
from torch import Tensor

from graphrep import Graph, KMeans, Louvain, SmoothedKMeans
from graphrep.errors import EmptyGraphError, GraphrepError, ShapeError
from graphrep.eval import partition_scores, silhouette
from graphrep.kernels import CSR
from graphrep.methods import select_partition
from graphrep.methods import selection as module
from graphrep.methods._partition_input import prepared
from graphrep.methods.selection import _discriminant, _from_features, _from_links, _sums, kappa


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40))
def test_kappa_is_that_of_sklearn(pairs: list[tuple[int, int]]) -> None:
    a, b = (torch.tensor(side) for side in zip(*pairs, strict=True))
    if len(set(a.tolist()) | set(b.tolist())) == 1:
        assert kappa(a, b) == 0.0  # nothing beyond chance; scikit-learn gives NaN
    else:
        assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)


def test_discriminant_is_that_of_sklearn() -> None:
    graph, groups = planted((30, 20, 10), noise=1.5)
    rows = torch.as_tensor(graph.x).double()
    weight, offset = _discriminant(*_sums(rows, groups, 3), 8)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=module._SHRINKAGE)
    theirs.fit(rows.numpy(), groups.numpy())
    found = (rows @ weight + offset).argmax(1)
    assert float((found == torch.from_numpy(theirs.predict(rows.numpy()))).double().mean()) > 0.95


def test_features_are_judged_on_other_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold by a discriminant that never saw it, also where the scores come in blocks."""
    graph, groups = planted((30, 20, 10), noise=1.5)
    rows = torch.as_tensor(graph.x).double()
    found = _from_features(rows, groups, 3, seed=4)
    folds = torch.randperm(60, generator=torch.Generator().manual_seed(4)) % 5
    for fold in range(5):
        train = folds != fold
        weight, offset = _discriminant(*_sums(rows[train], groups[train], 3), 8)
        assert torch.equal((rows[~train] @ weight + offset).argmax(1), found[~train])
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert torch.equal(_from_features(rows, groups, 3, seed=4), found)
    noise = torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(0))
    assert kappa(_from_features(rows, noise, 3, seed=0), noise) < 0.4
    assert kappa(found, groups) > kappa(_from_features(rows, noise, 3, seed=0), noise)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(0, 1000))
def test_links_vote(size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, size, (2, 2 * size), generator=generator)
    weight = torch.randint(1, 4, (2 * size,), generator=generator).double()
    csr = CSR.from_edge_index(edges, weight, size=(size, size))
    labels = torch.randint(0, 3, (size,), generator=generator)
    found = _from_links(csr, labels, 3)
    for node in range(size):
        votes = [float(weight[(edges[1] == node) & (labels[edges[0]] == c)].sum()) for c in range(3)]
        wanted = int(np.argmax(votes)) if max(votes) > 0 else -1
        assert int(found[node]) == wanted


def test_the_partition_that_both_sides_know_is_chosen() -> None:
    """Against k-means on an odd feature, a partition of the links alone, and chance."""
    graph, groups = planted((30, 30, 30), noise=0.8)
    generator = torch.Generator().manual_seed(1)
    odd = torch.randint(0, 3, (90,), generator=generator)
    x = torch.cat([torch.as_tensor(graph.x), 6 * torch.nn.functional.one_hot(odd, 3).float()], dim=1)
    graph = graph.replace(x=x)
    links_only = (torch.arange(90) // 10) % 3
    chance = torch.randint(0, 3, (90,), generator=generator)
    names: dict[str, Any] = {"odd": odd, "links": links_only, "chance": chance, "groups": groups.numpy()}
    found = select_partition(graph, names)
    assert found.name == "groups"
    assert found.evidence["odd"].from_features == pytest.approx(1.0)
    assert float(found.evidence["odd"].from_links or 0) < 0.4
    best = found.evidence["groups"]
    assert best.score == pytest.approx(float(best.from_features or 0) * float(best.from_links or 0))
    assert best.modularity == pytest.approx(partition_scores(graph.edge_index, groups).modularity)
    assert found.reason.startswith("groups: a node's cluster is told from its features with kappa")
    assert list(found.evidence) == list(names)
    stored = json.loads(found.to_json())
    assert stored["evidence"]["chance"]["num_clusters"] == 3


def test_fitted_models_and_names_in_any_order() -> None:
    graph, groups = planted(isolated=3)
    models = {m.__class__.__name__: m.fit(graph) for m in (KMeans(3), SmoothedKMeans(3), Louvain(3))}
    found = select_partition(graph, models)
    backwards = select_partition(graph, dict(reversed(models.items())))
    assert found.evidence[found.name].score == backwards.evidence[backwards.name].score
    relabelled = {name: (m.labels_ + 5) * 3 for name, m in models.items()}
    again = select_partition(graph, relabelled)
    assert again.evidence[found.name].score == found.evidence[found.name].score
    assert "too close to call" in select_partition(graph, {"a": groups, "b": groups.clone()}).reason
    assert select_partition(graph, {"a": groups, "b": groups}).name == "a"
    assert select_partition(graph, {"only": groups}).reason.endswith("there is no other candidate.")
    finer = torch.arange(63) % 7
    assert "different numbers of clusters" in select_partition(graph, {"a": groups, "b": finer}).reason


def test_links_or_features_alone() -> None:
    graph, groups = planted()
    wrong = (groups + torch.arange(60)) % 3
    names = {"wrong": wrong, "right": groups}
    bare = select_partition(graph.replace(x=None), names)
    assert bare.name == "right"
    assert bare.reason.startswith("right has the largest modularity")
    assert bare.evidence["right"].from_features is None
    alone = Graph(torch.empty(2, 0, dtype=torch.int64), x=graph.x, num_nodes=60)
    features_only = select_partition(alone, names)
    assert features_only.name == "right"
    assert features_only.reason.startswith("right has the largest silhouette of the features")
    rows = torch.nn.functional.normalize(torch.as_tensor(graph.x).double())
    assert features_only.evidence["right"].silhouette == pytest.approx(silhouette(rows, groups))
    one = select_partition(alone, {"one": torch.zeros(60), "right": groups})
    assert one.name == "right"  # a single cluster has no silhouette


def test_trivial_partitions_score_nothing() -> None:
    graph, groups = planted()
    each, one = torch.arange(60), torch.zeros(60, dtype=torch.int64)
    rim = torch.zeros(60, dtype=torch.int64)
    rim[:2] = 1
    found = select_partition(graph, {"each": each, "one": one, "rim": rim, "groups": groups})
    assert found.name == "groups"
    assert found.evidence["each"].score <= 0.05
    assert found.evidence["one"].score == 0.0
    assert found.evidence["rim"].score < 0.5


def test_the_result_does_not_depend_on_the_order_of_edges() -> None:
    graph, groups = planted(weighted=True)
    order = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(0))
    assert graph.edge_weight is not None
    other = Graph(graph.edge_index[:, order], graph.edge_weight[order], x=graph.x, num_nodes=60)
    names: dict[str, Tensor] = {"groups": groups}
    one, two = select_partition(graph, names), select_partition(other, names)
    assert one.evidence["groups"].score == two.evidence["groups"].score
    assert prepared(other).csr.nnz == graph.num_edges


def test_errors() -> None:
    graph, groups = planted()
    with pytest.raises(GraphrepError, match="no candidates"):
        select_partition(graph, {})
    with pytest.raises(ShapeError, match=r'candidate "a" has labels of shape \(3,\); the graph has 60 nodes'):
        select_partition(graph, {"a": torch.zeros(3)})
    with pytest.raises(GraphrepError, match='candidate "a" is a KMeans that is not fitted'):
        select_partition(graph, {"a": KMeans(3)})
    with pytest.raises(GraphrepError, match='candidate "a" has the label -1'):
        select_partition(graph, {"a": groups - 1})
    with pytest.raises(EmptyGraphError, match="neither links nor features"):
        select_partition(Graph(torch.empty(2, 0, dtype=torch.int64), num_nodes=60), {"a": groups})


@pytest.mark.slow
def test_best_baseline_of_the_public_sets(data_root: Any) -> None:
    """The sets by which the rule was picked; labels are looked at afterwards."""
    from graphrep import load

    wanted = {"clustering/acm": "smooth", "clustering/dblp": "smooth", "clustering/citeseer": "smooth",
              "clustering/usps": "louvain", "planetoid/cora": "smooth"}  # fmt: skip
    for name, best in wanted.items():
        graph = load(name, data_root)
        k = graph.num_classes
        models = {"smooth": SmoothedKMeans(k), "louvain": Louvain(k), "kmeans": KMeans(k, svd_dims=64, normalize=True)}
        assert select_partition(graph, {key: model.fit(graph) for key, model in models.items()}).name == best
