"""AnnData: graph and features out of an object or file, clusters and vectors into it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import graphrep as gr
from graphrep.interop.anndata import from_anndata, label_column, open_h5ad, save_h5ad, to_anndata

anndata = pytest.importorskip("anndata")
pd = pytest.importorskip("pandas")


@pytest.fixture
def cells() -> Any:
    """30 cells in two groups, with everything that scanpy leaves behind."""
    rng = np.random.default_rng(0)
    group = np.arange(30) % 2
    counts = rng.poisson(1.0, (30, 8)).astype(np.float32)
    counts[:, 0] += 5 * group
    data = anndata.AnnData(sp.csr_matrix(counts))
    data.obs_names = [f"cell{i}" for i in range(30)]
    data.var_names = [f"gene{i}" for i in range(8)]
    data.obs["type"] = pd.Categorical(np.where(group, "B", "T"))
    data.obsm["X_pca"] = rng.normal(size=(30, 3)).astype(np.float32)
    data.obsm["X_pca"][:, 0] += 4 * group
    links = np.where(group[:, None] == group[None, :], rng.random((30, 30)), 0.0)
    links = np.triu(np.where(links > 0.6, links, 0.0), 1)
    data.obsp["connectivities"] = sp.csr_matrix(links + links.T)
    return data


def test_graph_and_features(cells: Any) -> None:
    graph = from_anndata(cells, label="type")
    assert graph.num_nodes == 30
    assert graph.ids.tolist() == list(cells.obs_names)
    np.testing.assert_array_equal(np.asarray(graph.x), cells.obsm["X_pca"])
    assert graph.feature_names == ("pca 1", "pca 2", "pca 3")
    np.testing.assert_allclose(gr.to_scipy(graph).toarray(), cells.obsp["connectivities"].toarray(), rtol=1e-6)
    assert graph.y.tolist() == [0 if kind == "B" else 1 for kind in cells.obs["type"]]


def test_the_matrix_itself_as_features(cells: Any) -> None:
    graph = from_anndata(cells, features="X")
    assert graph.feature_names == tuple(cells.var_names)
    np.testing.assert_array_equal(graph.x.to_dense().numpy(), cells.X.toarray())
    del cells.obsm["X_pca"]
    assert from_anndata(cells).num_features == 8


def test_without_neighbours_there_are_no_edges(cells: Any) -> None:
    del cells.obsp["connectivities"]
    assert from_anndata(cells).num_edges == 0
    with pytest.raises(gr.GraphrepError, match='obsp has no "distances"'):
        from_anndata(cells, graph="distances")


def test_empty_labels_are_unknown(cells: Any) -> None:
    column = cells.obs["type"].astype(object)
    column.iloc[3] = None
    cells.obs["type"] = pd.Categorical(column)
    y, names = label_column(cells, "type")
    assert names == ["B", "T"]
    assert y[3] == -1
    assert (np.delete(y, 3) >= 0).all()


def test_clusters_as_scanpy_writes_them(cells: Any, tmp_path: Path) -> None:
    labels = np.arange(30) % 11
    vectors = np.ones((30, 4))
    to_anndata(cells, labels, vectors, confidence=np.full(30, 0.5), settings={"method": "pamc"})
    save_h5ad(tmp_path / "a.h5ad", cells)
    again = open_h5ad(tmp_path / "a.h5ad")
    assert isinstance(again.obs["graphrep"].dtype, pd.CategoricalDtype)
    assert list(again.obs["graphrep"].cat.categories) == [str(k) for k in range(11)]
    assert again.obs["graphrep"].astype(int).tolist() == labels.tolist()
    np.testing.assert_array_equal(again.obsm["X_graphrep"], vectors.astype(np.float32))
    assert again.obs["graphrep_confidence"].eq(0.5).all()
    assert "pamc" in again.uns["graphrep"]["settings"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5ad"]
    with pytest.raises(gr.GraphrepError, match="labels has shape"):
        to_anndata(cells, labels[:5])


def test_reading_a_file(cells: Any, tmp_path: Path) -> None:
    save_h5ad(tmp_path / "cells.h5ad", cells)
    graph = gr.read(tmp_path / "cells.h5ad")
    assert graph.name == "cells"
    assert graph.report.source == "cells.h5ad"
    assert graph.edge_weight is not None
    assert gr.read(tmp_path / "cells.h5ad", weight=False).edge_weight is None
    (tmp_path / "broken.h5ad").write_bytes((tmp_path / "cells.h5ad").read_bytes()[:500])
    with pytest.raises(gr.GraphrepError, match="not a complete"):
        gr.read(tmp_path / "broken.h5ad")
    with pytest.raises(gr.GraphrepError, match="There is no file"):
        open_h5ad(tmp_path / "nothing.h5ad")


def test_errors_name_what_is_there(cells: Any) -> None:
    with pytest.raises(gr.GraphrepError, match=r'obsm has no "X_pcs".*X_pca'):
        from_anndata(cells, features="X_pcs")
    with pytest.raises(gr.GraphrepError, match=r'obs has no column "typo".*type'):
        from_anndata(cells, label="typo")
    with pytest.raises(gr.GraphrepError, match="no AnnData object"):
        from_anndata(np.eye(3))


def test_the_extra_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.h5ad").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(gr.GraphrepError, match=r'pip install "graphrep\[anndata\]"'):
        gr.read(tmp_path / "a.h5ad")
