"""cluster_curve: each curve against its definition, the suggestion, degenerate graphs, errors."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from cluster_cases import planted
from sklearn.metrics import adjusted_rand_score, davies_bouldin_score, silhouette_score

from graphrep import FastRP, Graph, KMeans, Louvain, SmoothedKMeans, load
from graphrep.errors import EmptyGraphError, GraphrepError, ShapeError
from graphrep.eval import davies_bouldin, partition_scores, silhouette
from graphrep.methods import ClusterCurve, cluster_curve
from graphrep.methods._partition_input import induced, prepared
from graphrep.methods._quality_space import quality_space
from graphrep.methods.num_clusters import _suggest


@pytest.fixture(scope="module")
def curve() -> ClusterCurve:
    return cluster_curve(SmoothedKMeans(), planted((25, 25, 25, 25), noise=0.6)[0], range(2, 8), resamples=2)


def test_curves_are_their_definitions(curve: ClusterCurve) -> None:
    graph, _ = planted((25, 25, 25, 25), noise=0.6)
    rows = quality_space(prepared(graph), 8, 0).rows.numpy()
    assert curve.ks.tolist() == list(range(2, 8))
    assert curve.space == "features smoothed over 4 hops"
    spectrum = np.linalg.svd(rows, compute_uv=False)
    for i, k in enumerate(curve.ks.tolist()):
        labels = SmoothedKMeans(k).fit_predict(graph).numpy()
        assert curve.found[i] == len(set(labels.tolist()))
        assert curve.modularity[i] == pytest.approx(partition_scores(graph.edge_index, labels).modularity)
        assert curve.silhouette[i] == pytest.approx(silhouette_score(rows, labels))
        assert curve.davies_bouldin[i] == pytest.approx(davies_bouldin_score(rows, labels))
        assert curve.singular_gap[i] == pytest.approx(spectrum[k - 1] / spectrum[k], rel=1e-6)
        assert -1 <= curve.stability[i] <= 1


def test_clear_groups_are_suggested(curve: ClusterCurve) -> None:
    assert curve.suggestion.k == 4
    assert "4 has the best mean rank over 5 indices" in curve.suggestion.reason
    assert "None of them knows the true number" in curve.suggestion.reason
    assert curve.stability[2] > curve.stability[3:].max()  # more clusters cut a group at random


def test_json_and_rows(curve: ClusterCurve) -> None:
    found = json.loads(curve.to_json())
    assert found["ks"] == list(range(2, 8))
    assert len(found["stability"]) == 6
    assert found["suggestion"]["k"] == 4
    assert [row["ks"] for row in curve.rows()] == list(range(2, 8))
    assert set(curve.rows()[0]) == {
        "ks", "found", "modularity", "silhouette", "davies_bouldin", "singular_gap", "stability"
    }  # fmt: skip
    with pytest.raises(AttributeError):
        curve.ks = np.array([1])  # type: ignore[misc]


def test_stability_compares_halves_on_shared_nodes() -> None:
    """A function in place of an estimator, which sees two induced halves per pair and remembers them."""
    graph, groups = planted((30, 30))
    seen: list[tuple[Graph, int, torch.Tensor]] = []

    def fit(part: Graph, k: int, seed: int) -> torch.Tensor:
        labels = torch.randint(0, k, (part.num_nodes,), generator=torch.Generator().manual_seed(len(seen)))
        seen.append((part, k, labels))
        return labels

    named = graph.replace(x=torch.cat([torch.as_tensor(graph.x), torch.arange(60.0)[:, None]], dim=1))
    curve = cluster_curve(fit, named, [3], resamples=2, seed=5)
    assert [part.num_nodes for part, _, _ in seen] == [60, 30, 30, 30, 30]
    scores = []
    for (a, _, first), (b, _, second) in (seen[1:3], seen[3:5]):
        ids = [torch.as_tensor(part.x)[:, -1].long() for part in (a, b)]
        shared = sorted(set(ids[0].tolist()) & set(ids[1].tolist()))
        pick = [[i.tolist().index(n) for n in shared] for i in ids]
        scores.append(adjusted_rand_score(first[pick[0]], second[pick[1]]))
        inside = torch.isin(graph.edge_index, ids[0]).all(0)
        assert a.num_edges == int(inside.sum())
    assert curve.stability[0] == pytest.approx(np.mean(scores))
    assert curve.suggestion.k is None
    assert curve.suggestion.reason == "Only one number was tried."
    assert groups.numel() == 60


def test_same_seed_same_curve() -> None:
    graph, _ = planted()
    one, two, other = (cluster_curve(KMeans(), graph, [2, 3], resamples=2, seed=s) for s in (0, 0, 1))
    assert one.to_json() == two.to_json()
    assert one.stability.tolist() != other.stability.tolist()


def test_without_features_or_links() -> None:
    karate = cluster_curve(Louvain(), load("karate").replace(x=None), [2, 3, 4], resamples=1)
    assert karate.space == "leading eigenvectors"
    assert bool(np.isfinite(karate.modularity).all() and np.isfinite(karate.silhouette).all())
    graph, _ = planted()
    alone = Graph(torch.empty(2, 0, dtype=torch.int64), x=graph.x, num_nodes=60)
    features_only = cluster_curve(KMeans(), alone, [2, 3, 4], resamples=1)
    assert bool(np.isnan(features_only.modularity).all())
    assert features_only.suggestion.k in (2, 3, 4)
    assert "over 4 indices" in features_only.suggestion.reason
    with pytest.raises(EmptyGraphError, match="neither links nor features"):
        cluster_curve(lambda g, k, s: torch.zeros(3), Graph(torch.empty(2, 0, dtype=torch.int64), num_nodes=3), [1])


def test_halves_that_cannot_be_clustered_are_told() -> None:
    """Two components without features: a half has more, and Louvain cannot make two of them."""
    links = torch.tensor([[0, 1, 2, 4, 5, 6], [1, 2, 3, 5, 6, 7]])
    graph = Graph(torch.cat([links, links.flip(0)], dim=1), num_nodes=8)
    curve = cluster_curve(Louvain(), graph, [2, 3], resamples=2)
    assert bool(np.isnan(curve.stability).all())
    assert len(curve.notes) == 2
    assert [note[:48] for note in curve.notes] == [
        f"Halves of the graph cannot be clustered into {k}: " for k in (2, 3)
    ]
    assert cluster_curve(Louvain(), graph, [2, 3], resamples=0).notes == []


def test_degenerate_numbers() -> None:
    graph, _ = planted((4, 4))
    curve = cluster_curve(KMeans(), graph, [1, 8], resamples=0)
    assert bool(np.isnan(curve.silhouette).all() and np.isnan(curve.davies_bouldin).all())
    assert json.loads(curve.to_json())["silhouette"] == [None, None]
    same = Graph(graph.edge_index, x=torch.ones(8, 2), num_nodes=8)
    flat = cluster_curve(lambda g, k, s: torch.zeros(g.num_nodes), same, [2, 3], resamples=1)
    assert flat.found.tolist() == [1, 1]
    assert flat.suggestion.k is None
    assert flat.suggestion.reason == "No index tells these numbers apart."


def test_suggestion_by_hand() -> None:
    nan, inf = math.nan, math.inf
    curves = {
        "modularity": np.array([0.1, 0.2, 0.3]),
        "silhouette": np.array([0.3, 0.4, 0.1]),
        "davies_bouldin": np.array([2.0, 1.0, 3.0]),
        "singular_gap": np.array([1.0, inf, 2.0]),
        "stability": np.array([nan, nan, nan]),
    }
    found = _suggest([2, 3, 4], curves)
    assert found.k == 3
    assert "over 4 indices" in found.reason
    assert "modularity 4, silhouette 3, davies bouldin 3, singular gap 3" in found.reason
    nothing = {name: np.array([nan, nan]) for name in curves}
    assert _suggest([2, 3], nothing).k is None


def test_errors() -> None:
    graph, _ = planted()
    with pytest.raises(GraphrepError, match="no numbers of clusters to try"):
        cluster_curve(KMeans(), graph, [])
    with pytest.raises(GraphrepError, match="Asked for 61 clusters"):
        cluster_curve(KMeans(), graph, [2, 61])
    with pytest.raises(GraphrepError, match="FastRP takes no number of clusters"):
        cluster_curve(FastRP(), graph, [2])
    with pytest.raises(GraphrepError, match="fit is a str"):
        cluster_curve("kmeans", graph, [2])
    with pytest.raises(GraphrepError, match="labels of shape"):
        cluster_curve(lambda g, k, s: torch.zeros(3), graph, [2])
    with pytest.raises(GraphrepError, match="resamples must be an integer"):
        cluster_curve(KMeans(), graph, [2], resamples=-1)


def test_induced_part() -> None:
    graph, _ = planted(weighted=True, sparse=True)
    kept = torch.arange(60) % 2 == 0
    part = induced(prepared(graph), kept)
    assert part.graph.x is not None
    assert graph.x is not None
    assert torch.equal(part.graph.x.to_dense(), graph.x.to_dense()[kept])
    a = prepared(graph).csr.to_scipy().toarray()
    np.testing.assert_array_equal(part.csr.to_scipy().toarray(), a[np.ix_(kept, kept)])


@pytest.mark.parametrize("score", [silhouette, davies_bouldin])
def test_index_arguments(score: Any) -> None:
    rows = np.random.default_rng(0).standard_normal((6, 2))
    assert math.isnan(score(rows, [0] * 6))
    assert math.isnan(score(rows, list(range(6))))
    assert score(rows, [5, 5, 5, 9, 9, 9]) == pytest.approx(
        score(torch.from_numpy(rows), torch.tensor([0] * 3 + [1] * 3))
    )
    with pytest.raises(ShapeError, match="6 rows and c has 5 labels"):
        score(rows, [0, 0, 1, 1, 1])
