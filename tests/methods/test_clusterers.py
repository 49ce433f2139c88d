"""Clusterers: what all of them promise, their formulas against plain numpy, files, isolated nodes, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cluster_cases import planted, same
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from torch import Tensor

from graphrep import DMoN, EmbeddingKMeans, Graph, KMeans, Louvain, SmoothedKMeans, SpectralClustering
from graphrep.errors import (
    CheckpointMismatchError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    MissingFeaturesError,
    OutOfMemoryError,
    UnknownNameError,
)
from graphrep.eval import cluster_scores
from graphrep.kernels import CSR
from graphrep.methods import Clusterer, Clustering, load_clusterer
from graphrep.methods._feature_rows import leading_directions, means, unit
from graphrep.methods._leftover import assign_by_features
from graphrep.methods.base import NotFittedError
from graphrep.methods.clusterer import ordered_labels
from graphrep.registry import METHODS

ALL: list[Any] = [
    KMeans(3),
    KMeans(3, svd_dims=4, normalize=True),
    SmoothedKMeans(3),
    SpectralClustering(3),
    Louvain(3),
    EmbeddingKMeans(3, options={"dim": 16, "weights": [0.0, 0.0, 1.0]}),
    DMoN(3, epochs=150, lr=0.01),
]
every = pytest.mark.parametrize("model", ALL, ids=lambda m: repr(m))


def fresh(model: Any) -> Any:
    return type(model)(**model.get_params())


@every
@pytest.mark.parametrize("sparse", [False, True])
def test_planted_groups_are_found(model: Any, sparse: bool) -> None:
    graph, groups = planted(sparse=sparse)
    model = fresh(model)
    assert model.fit(graph) is model
    assert isinstance(model, Clustering)
    assert model.labels_.dtype == torch.int64
    assert cluster_scores(groups, model.labels_).acc >= 0.95
    assert model.num_clusters_ == 3
    size = torch.bincount(model.labels_)
    assert size.tolist() == sorted(size.tolist(), reverse=True)
    assert model.notes_ == []
    if model.probabilities_ is not None:
        assert torch.equal(model.probabilities_.argmax(1), model.labels_)
        torch.testing.assert_close(model.probabilities_.sum(1), torch.ones(60))


@every
def test_same_seed_same_labels_and_parameters_stay(model: Any) -> None:
    graph, _ = planted(seed=3, noise=1.5, between=0.1)
    first, second = fresh(model), clone(model)
    assert torch.equal(first.fit_predict(graph), second.fit_predict(graph))
    assert first.get_params() == model.get_params()
    shuffled = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(1))
    other = Graph(graph.edge_index[:, shuffled].int(), x=graph.x, num_nodes=graph.num_nodes)
    assert torch.equal(fresh(model).fit_predict(other), first.labels_)


@every
def test_the_order_of_the_nodes_does_not_matter_for_clear_groups(model: Any) -> None:
    graph, groups = planted(inside=0.7, between=0.01, noise=0.2)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    assert isinstance(graph.x, Tensor)
    x = torch.empty_like(graph.x)
    x[order] = graph.x
    moved = Graph(order[graph.edge_index], x=x, num_nodes=60)
    found = fresh(model).fit_predict(moved)[order]
    assert same(found, groups)


@every
def test_labels_are_saved_and_loaded(model: Any, tmp_path: Path) -> None:
    graph, _ = planted()
    named = graph.replace(ids=[f"n{i}" for i in range(60)])
    model = fresh(model).fit(named)
    model.save(tmp_path / "m")
    again = load_clusterer(tmp_path / "m")
    assert type(again) is type(model)
    assert torch.equal(again.labels_, model.labels_)
    assert again.num_clusters_ == model.num_clusters_
    assert again.ids_.tolist() == named.ids.tolist()  # type: ignore[union-attr]
    assert again.get_params() == model.get_params()
    if isinstance(model, Clusterer):
        assert again.notes_ == model.notes_
        for name in (*model._state, *model._numbers):
            kept, found = getattr(model, name), getattr(again, name)
            assert torch.equal(kept, found) if isinstance(kept, Tensor) else kept == found
    if type(model).predict is not Clusterer.predict:
        assert torch.equal(again.predict(named), model.labels_)


@every
def test_isolated_nodes_loops_repeats_and_one_way_edges_are_told(model: Any) -> None:
    graph, groups = planted(isolated=3)
    once = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    messy = torch.cat([once, once[:, :4], torch.tensor([[5, 6], [5, 6]])], dim=1)
    model = fresh(model).fit(Graph(messy, x=graph.x, num_nodes=63))
    assert int(model.labels_.numel()) == 63
    if isinstance(model, KMeans):
        return  # looks at no links
    told = " ".join(model.notes_)
    assert "of 63 nodes have no neighbours" in told
    if isinstance(model, EmbeddingKMeans):
        return  # FastRP follows direction
    assert "3 of 63 nodes" in told
    assert "4 repeated edges count once." in told
    assert "2 edges from a node to itself were left out." in told
    assert "stored in one direction only" in told
    plain = fresh(model).fit(graph)
    assert torch.equal(plain.labels_, model.labels_)
    assert cluster_scores(groups[60:], model.labels_[60:]).acc == 1.0 or isinstance(model, DMoN)


@every
def test_errors_that_all_share(model: Any) -> None:
    graph, _ = planted()
    with pytest.raises(GraphrepError, match="Asked for 61 clusters but the graph has 60 nodes"):
        fresh(model).set_params(num_clusters=61).fit(graph)
    for bad in (0, -1, 2.0, True):
        with pytest.raises(GraphrepError, match="num_clusters must be an integer of at least 1"):
            fresh(model).set_params(num_clusters=bad).fit(graph)
    if not isinstance(model, Louvain):
        with pytest.raises(GraphrepError, match="The number of clusters is needed"):
            fresh(model).set_params(num_clusters=None).fit(graph)
    with pytest.raises(NotFittedError):
        fresh(model).save("nowhere")
    if METHODS_NEED[type(model).__name__]:
        with pytest.raises(MissingFeaturesError):
            fresh(model).fit(graph.replace(x=None))
    with pytest.raises(GraphrepError):
        fresh(model).fit(Graph(torch.empty(2, 0, dtype=torch.int64), num_nodes=0))


METHODS_NEED = {entry.target.partition(":")[2]: "features" in entry.needs for entry in METHODS.values()}


def test_registered() -> None:
    names = {name for name, entry in METHODS.items() if entry.task == "cluster"}
    assert {"kmeans", "smooth", "spectral-clustering", "louvain", "leiden", "dmon", "embed-kmeans"} <= names
    for name in names:
        assert METHODS[name].load().__name__ == METHODS[name].target.partition(":")[2]
        assert METHODS[name].bibtex.startswith("@")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_order_of_labels(raw: list[int]) -> None:
    labels, order = ordered_labels(torch.tensor(raw))
    assert same(labels, torch.tensor(raw))
    key = [(-raw.count(value), raw.index(value)) for value in order.tolist()]
    assert key == sorted(key)
    assert torch.equal(order[labels], torch.tensor(raw))
    wide, with_empty = ordered_labels(torch.tensor(raw), 9)
    assert torch.equal(wide, labels)
    assert sorted(with_empty.tolist()) == list(range(9))


# features


@pytest.mark.parametrize("width", [30, 1100])
@pytest.mark.parametrize("sparse", [False, True])
def test_leading_directions_are_those_of_numpy(width: int, sparse: bool) -> None:
    """Exact below 1024 columns; above by iteration, with a gap behind the wanted directions."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(60, 4, generator=generator, dtype=torch.float64) @ torch.randn(
        4, width, generator=generator, dtype=torch.float64
    )
    rows = rows * torch.tensor([1.0, 0.0]).repeat(30)[:, None] + 0.01 * torch.randn(
        60, width, generator=generator, dtype=torch.float64
    )
    wanted = np.linalg.svd(rows.numpy(), full_matrices=False)
    given = CSR.from_scipy(sparse_of(rows)) if sparse else rows
    directions, values = leading_directions(given, 4)
    np.testing.assert_allclose(values.numpy(), wanted[1][:4], rtol=1e-9)
    overlap = np.abs(wanted[2][:4] @ directions.numpy())
    np.testing.assert_allclose(overlap, np.eye(4), atol=1e-7)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    assert bool((largest > 0).all())
    few, _ = leading_directions(rows[:3], 10)
    assert few.shape == (width, 3)


def sparse_of(rows: Tensor) -> Any:
    import scipy.sparse as sp

    return sp.csr_array(rows.numpy())


def test_low_rank_and_zero_columns() -> None:
    rows = torch.zeros(40, 2000, dtype=torch.float64)
    rows[:, 7] = torch.linspace(0, 1, 40)
    rows[:, 9] = 2.0
    directions, values = leading_directions(rows, 5)
    assert bool(directions.isfinite().all())
    np.testing.assert_allclose(values[:2], np.linalg.svd(rows.numpy(), compute_uv=False)[:2], rtol=1e-10)
    assert float(values[2:].max() if values.numel() > 2 else 0) < 1e-6


def smoothed_by_numpy(graph: Graph, hops: int, dims: int, k: int) -> np.ndarray[Any, Any]:
    """Section by section: unit rows, singular directions, S^hops, unit rows, k directions, unit rows."""
    assert isinstance(graph.x, Tensor)
    scale = lambda m: m / np.maximum(np.linalg.norm(m, axis=1, keepdims=True), 1e-300)  # noqa: E731
    x = scale(graph.x.double().numpy())
    x = x @ np.linalg.svd(x, full_matrices=False)[2][:dims].T
    a = np.eye(graph.num_nodes)
    weight = np.ones(graph.num_edges) if graph.edge_weight is None else graph.edge_weight.double().numpy()
    np.add.at(a, (graph.edge_index[1].numpy(), graph.edge_index[0].numpy()), weight)
    root = 1 / np.sqrt(a.sum(1))
    smooth = scale(np.linalg.matrix_power(root[:, None] * a * root, hops) @ x)
    return scale(smooth @ np.linalg.svd(smooth, full_matrices=False)[2][:k].T)


@pytest.mark.parametrize("hops", [0, 1, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_smoothed_rows_against_numpy(hops: int, weighted: bool) -> None:
    graph, _ = planted(isolated=2, weighted=weighted)
    model = SmoothedKMeans(3, hops=hops, dims=5).fit(graph)
    wanted = smoothed_by_numpy(graph, hops, 5, 3)
    np.testing.assert_allclose(model.embedding_ @ model.embedding_.T, wanted @ wanted.T, atol=1e-6)


def test_new_nodes_are_labelled() -> None:
    graph, groups = planted(sizes=(20, 21, 22))
    small = torch.arange(63) % 5 != 0  # a part of the nodes, labelled as in the whole
    kept = small.nonzero().squeeze(1)
    place = torch.full((63,), -1)
    place[kept] = torch.arange(kept.numel())
    inside = small[graph.edge_index].all(0)
    assert isinstance(graph.x, Tensor)
    part = Graph(place[graph.edge_index[:, inside]], x=graph.x[kept], num_nodes=kept.numel())
    for model in (KMeans(3), SmoothedKMeans(3), EmbeddingKMeans(3, options={"dim": 16, "weights": [0.0, 0.0, 1.0]})):
        model.fit(part.replace(ids=kept))
        assert torch.equal(model.predict(part.replace(ids=kept)), model.labels_)
        assert cluster_scores(groups, model.predict(graph)).acc >= 0.9
    for fixed in (Louvain(3), SpectralClustering(3)):
        with pytest.raises(GraphrepError, match="labels the nodes that it was fitted on and no others"):
            fixed.fit(graph).predict(part)
    with pytest.raises(GraphrepError, match="Eigenvectors of another graph"):
        EmbeddingKMeans(3, method="spectral", options={"dim": 4}).fit(graph).predict(graph)
    with pytest.raises(CheckpointMismatchError, match="fitted on 8 features; this graph has 1"):
        KMeans(3).fit(graph).predict(graph.replace(x=torch.ones(63, 1)))


def test_single_node_and_one_cluster() -> None:
    alone = Graph(torch.empty(2, 0, dtype=torch.int64), x=torch.ones(1, 2), num_nodes=1)
    assert KMeans(1).fit(alone).labels_.tolist() == [0]
    assert SmoothedKMeans(1).fit(alone).labels_.tolist() == [0]
    with pytest.raises(EmptyGraphError, match="no link"):
        Louvain(1).fit(alone)
    graph, _ = planted()
    for model in (KMeans(1), SmoothedKMeans(1), SpectralClustering(1), Louvain(1)):
        assert model.fit(graph).labels_.tolist() == [0] * 60


def test_features_that_are_zero_or_missing() -> None:
    graph, _ = planted()
    assert isinstance(graph.x, Tensor)
    some = graph.x.clone()
    some[[4, 9]] = 0
    assert KMeans(3).fit(graph.replace(x=some)).notes_ == ["2 of 60 nodes have no features (all 0)."]
    for model in (KMeans(3), SmoothedKMeans(3)):
        with pytest.raises(MissingFeaturesError, match="all of them are 0"):
            model.fit(graph.replace(x=torch.zeros(60, 3)))
    with pytest.raises(GraphrepError, match="clusters need weights >= 0"):
        SmoothedKMeans(3).fit(Graph(graph.edge_index, -torch.ones(graph.num_edges), x=graph.x))
    with pytest.raises(GraphrepError, match="hops must be an integer of at least 0"):
        SmoothedKMeans(3, hops=-1).fit(graph)
    with pytest.raises(GraphrepError, match="svd_dims must be an integer of at least 1"):
        KMeans(3, svd_dims=0).fit(graph)


def test_wide_sparse_features_are_not_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = planted(sparse=True)
    monkeypatch.setattr("graphrep.methods.kmeans._LARGEST", 100)
    with pytest.raises(OutOfMemoryError, match="60 x 8 dense features"):
        KMeans(3).fit(graph)
    assert KMeans(3, svd_dims=3).fit(graph).num_clusters_ == 3


def test_spectral_without_features_and_with_too_few_links() -> None:
    graph, groups = planted(isolated=4, features=False)
    model = SpectralClustering(3).fit(graph)
    assert model.notes_ == [
        "4 of 64 nodes have no neighbours: put into the largest cluster, because nothing is known of them."
    ]
    assert set(model.labels_[60:].tolist()) == {0}
    assert cluster_scores(groups[:60], model.labels_[:60]).acc >= 0.95
    pair = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=5)
    with pytest.raises(GraphrepError, match="only 2 nodes have neighbours"):
        SpectralClustering(3).fit(pair)


def test_embedding_methods() -> None:
    graph, groups = planted()
    model = EmbeddingKMeans(3, method="ccassg", options={"dim": 8, "hidden_dim": 8, "epochs": 20, "eval_every": 0})
    model.fit(graph)
    assert cluster_scores(groups, model.labels_).acc >= 0.9
    assert torch.equal(model.predict(graph), model.labels_)
    with pytest.raises(UnknownNameError, match="louvain is for cluster"):
        EmbeddingKMeans(3, method="louvain").fit(graph)
    with pytest.raises(UnknownNameError, match='Did you mean "fastrp"'):
        EmbeddingKMeans(3, method="fastrpp").fit(graph)
    isolated, _ = planted(isolated=1)
    told = EmbeddingKMeans(3, method="spectral", options={"dim": 4}).fit(isolated).notes_
    assert told == ["1 of 61 nodes have no neighbours: their vectors are zero."]


@pytest.mark.parametrize("sparse", [False, True])
def test_assignment_by_features(sparse: bool) -> None:
    """Each group of open nodes as a whole: to the nearest mean of unit rows, or to the largest cluster."""
    x = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.9, 0.1], [0.1, 3.0], [0.6, 0.5], [0.0, 0.0]]).double()
    labels = torch.tensor([0, 0, 1, -1, -1, -1, -1])
    groups = torch.tensor([0, 0, 0, 1, 2, 1, 3])
    rows = CSR.from_scipy(sparse_of(x)) if sparse else x
    assert assign_by_features(rows, labels, groups, 2).tolist() == [0, 0, 1, 0, 1, 0, 0]
    assert assign_by_features(rows, labels.clamp(min=0), groups, 2).tolist() == labels.clamp(min=0).tolist()
    averages = means(unit(rows), labels, 3)
    np.testing.assert_allclose(averages[1], [0.0, 1.0])
    np.testing.assert_allclose(averages[2], [0.0, 0.0])


def test_files_that_are_no_clustering(tmp_path: Path) -> None:
    graph, _ = planted()
    KMeans(3).fit(graph).save(tmp_path / "k")
    with pytest.raises(FileFormatError, match="does not hold a saved SmoothedKMeans"):
        SmoothedKMeans.load(tmp_path / "k")
    (tmp_path / "k" / "model.toml").write_text("[params]\nnum_clusters = 3\nnothing = 1\n")
    with pytest.raises(FileFormatError, match="cannot be read"):
        KMeans.load(tmp_path / "k")
    with pytest.raises(FileFormatError):
        load_clusterer(tmp_path)
    with pytest.raises(GraphrepError, match=r"torch\.float64 A settings file cannot hold it"):
        EmbeddingKMeans(3, options={"dim": 8, "dtype": torch.float64}).fit(graph).save(tmp_path / "e")
