"""Graphs in npz archives: both forms, what is cleaned, and every damaged or foreign archive."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import graphrep as gr
from graphrep.data import GraphWarning
from graphrep.errors import FileFormatError, IndexRangeError, NonFiniteError, ShapeError, UnknownNameError

TRIANGLE = np.array([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])


def save(folder: Path, name: str = "g.npz", **arrays) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name


# values


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_documented_form(tmp_path, dtype) -> None:
    x = sp.random_array((4, 6), density=0.5, rng=np.random.default_rng(0), dtype=np.float32).tocsr()
    path = save(
        tmp_path,
        edge_index=TRIANGLE.astype(dtype),
        num_nodes=np.int64(4),
        x_indptr=x.indptr,
        x_indices=x.indices.astype(np.uint16),
        x_data=x.data,
        x_shape=np.array(x.shape),
        y=np.array([0, 1, 2, 0], dtype=np.int32),
        train_idx=np.array([0, 1]),
        val_idx=np.array([2]),
        test_idx=np.array([3]),
    )
    graph = gr.read(path)
    assert graph.num_nodes == 4
    assert sorted(map(tuple, graph.edge_index.t().tolist())) == sorted(map(tuple, TRIANGLE.T.tolist()))
    assert np.array_equal(graph.x.to_dense().numpy(), x.toarray())
    assert graph.y.tolist() == [0, 1, 2, 0]
    assert [graph.train_idx.tolist(), graph.val_idx.tolist(), graph.test_idx.tolist()] == [[0, 1], [2], [3]]
    assert graph.ids is None
    assert (graph.report.kind, graph.report.mirrored, graph.report.isolated) == ("graph archive", True, 1)
    assert graph.report.lines()[0] == "g.npz: graph archive, no weights"


def test_dense_features_weights_ids_and_label_matrices(tmp_path) -> None:
    y = np.array([[0, 1], [1, 1], [0, 0]], dtype=np.uint8)
    path = save(
        tmp_path,
        edge_index=TRIANGLE,
        edge_weight=np.array([1.0, 1, 2, 2, 3, 3]),
        x=np.ones((3, 2)),
        y=y,
        ids=np.array(["b", "a", "c"]),
    )
    graph = gr.read(path)
    assert graph.ids.tolist() == ["b", "a", "c"]
    assert graph.x.shape == (3, 2)
    assert np.array_equal(graph.y.numpy(), y)
    weights = dict(zip(map(tuple, graph.edge_index.t().tolist()), graph.edge_weight.tolist(), strict=True))
    assert weights[0, 1] == weights[1, 0] == 1
    assert weights[0, 2] == weights[2, 0] == 3
    assert gr.read(path, weight=False).edge_weight is None


def test_scipy_matrices(tmp_path) -> None:
    dense = np.array([[0, 2.0, 0], [2, 0, 1], [0, 1, 0]])
    for kind in (sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix):
        sp.save_npz(tmp_path / "a.npz", kind(dense))
        graph = gr.read(tmp_path / "a.npz")
        assert np.array_equal(graph.csr("out").to_scipy().toarray(), dense)
        assert graph.report.kind == "scipy matrix"
    sp.save_npz(tmp_path / "a.npz", sp.csr_array((dense > 0).astype(int)))
    assert gr.read(tmp_path / "a.npz").edge_weight is None


def test_direction_of_a_matrix_entry(tmp_path) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(np.array([[0, 3.0], [0, 0]])))
    assert gr.read(tmp_path / "a.npz", directed=True).edge_index.tolist() == [[0], [1]]
    with pytest.warns(GraphWarning, match="1 of 1 edges are stored in one direction only"):
        graph = gr.read(tmp_path / "a.npz")
    assert graph.edge_weight.tolist() == [3.0, 3.0]
    assert gr.read(tmp_path / "a.npz", directed=False).is_undirected()


def test_other_arrays_of_edges(tmp_path) -> None:
    path = save(tmp_path, edge_index=TRIANGLE, raw_edge_index=np.array([[0, 0, 1], [1, 1, 1]]), num_nodes=3)
    graph = gr.read(path, edges="raw_edge_index", directed=False)
    assert graph.edge_index.tolist() == [[1, 0], [0, 1]]
    assert (graph.report.merged, graph.report.self_loops, graph.report.isolated) == (1, 1, 1)
    with pytest.raises(UnknownNameError, match="no array knn") as caught:
        gr.read(path, edges="knn")
    assert "edge_index, raw_edge_index" in caught.value.hint


def test_partial_features_are_left_out_with_a_warning(tmp_path) -> None:
    path = save(
        tmp_path,
        edge_index=TRIANGLE,
        num_nodes=3,
        x_rows=np.array([1]),
        x_indptr=np.array([0, 1]),
        x_indices=np.array([0]),
        x_data=np.array([1.0]),
        x_shape=np.array([1, 2]),
    )
    with pytest.warns(GraphWarning, match="features for only 1 of 3 nodes"):
        assert gr.read(path).x is None


# errors


@pytest.mark.parametrize(
    ("arrays", "kind", "message"),
    [
        ({"a": np.ones(3)}, FileFormatError, r"g.npz holds no edge_index \(arrays: a\)"),
        ({}, FileFormatError, "holds no edge_index"),
        ({"edge_index": TRIANGLE, "num_nodes": 2}, IndexRangeError, "refers to node 2 but g.npz has 2 nodes"),
        ({"edge_index": TRIANGLE - 1}, IndexRangeError, "refers to node -1"),
        ({"edge_index": TRIANGLE.T[:4]}, ShapeError, r"must have shape \(2, E\)"),
        ({"edge_index": TRIANGLE, "x": np.ones((4, 1)), "y": np.ones(3)}, ShapeError, "y has 3 rows"),
        ({"edge_index": TRIANGLE, "x": np.array([[1.0], [np.nan], [0]])}, NonFiniteError, "Feature column 0 has NaN"),
        ({"edge_index": TRIANGLE, "x_indptr": np.array([0, 1])}, FileFormatError, "x_indptr but no x_indices"),
        ({"knn1_edge_index": TRIANGLE, "knn3_edge_index": TRIANGLE}, FileFormatError, "holds several graphs"),
        ({"rel_pa": TRIANGLE, "target_type": np.array("p")}, FileFormatError, "g.npz: rel_pa is not made of two node"),
        ({"train_user": np.ones(2)}, FileFormatError, "g.npz: There is no array train_item"),
        ({"num_relations": 3, "train": TRIANGLE}, FileFormatError, "There is no array num_entities"),
        ({"train_pos": TRIANGLE}, FileFormatError, "There is no array num_nodes"),
        ({"train_pos": TRIANGLE, "num_nodes": 2}, IndexRangeError, "train_pos refers to 2"),
        ({"vectors": np.ones((2, 2)), "ids": np.arange(2)}, FileFormatError, "embeddings"),
        (
            {
                "edge_index": TRIANGLE,
                "num_nodes": 3,
                "x_indptr": np.array([0, 1, 2, 3]),
                "x_indices": np.array([0, 9, 0]),
                "x_data": np.ones(3),
                "x_shape": np.array([3, 2]),
            },
            ShapeError,
            "do not form a",
        ),
    ],
)
def test_archives_that_are_no_graph(tmp_path, arrays, kind, message) -> None:
    with pytest.raises(kind, match=message):
        gr.read(save(tmp_path, **arrays))


def test_matrices_must_be_square_and_options_must_fit(tmp_path) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(np.ones((2, 3))))
    with pytest.raises(ShapeError, match="2 x 3 matrix"):
        gr.read(tmp_path / "a.npz")
    with pytest.raises(gr.GraphrepError, match="sep does not apply"):
        gr.read(save(tmp_path, edge_index=TRIANGLE), sep=",")
    with pytest.raises(UnknownNameError, match="no array w"):
        gr.read(save(tmp_path, edge_index=TRIANGLE), weight="w")


def test_objects_are_never_unpickled(tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(tmp_path / "objects.npz", edge_index=np.array([Bomb()], dtype=object))
    with pytest.raises(FileFormatError, match="holds Python objects, which graphrep never unpickles"):
        gr.read(tmp_path / "objects.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"edge_index": [Bomb()]}))
    with pytest.raises(FileFormatError, match="is a Python pickle, which graphrep never opens"):
        gr.read(tmp_path / "pickle.npz")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("keep", [3, 40, 0.3, 0.6, 0.98])
def test_truncated_archives(tmp_path, keep) -> None:
    path = save(tmp_path, edge_index=np.tile(TRIANGLE, 100), num_nodes=3)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(FileFormatError, match="is not a readable npz archive"):
        gr.read(path)


def test_flipped_bytes_and_garbage(tmp_path) -> None:
    path = save(tmp_path, edge_index=np.tile(TRIANGLE, 100), num_nodes=3)
    content = bytearray(path.read_bytes())
    content[600] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"\(array edge_index\) is not a readable"):
        gr.read(path)
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(FileFormatError, match="not a readable npz archive"):
        gr.read(path)


def test_an_array_that_claims_to_be_huge(tmp_path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (2, 10**15)})
    with zipfile.ZipFile(tmp_path / "g.npz", "w") as archive:
        archive.writestr("edge_index.npy", header.getvalue() + b"\0" * 64)
    with pytest.raises(FileFormatError, match="not a readable npz archive"):
        gr.read(tmp_path / "g.npz")


def test_compressed_archives_are_fine(tmp_path) -> None:
    np.savez_compressed(tmp_path / "g.npz", edge_index=TRIANGLE)
    graph = gr.read(tmp_path / "g.npz")
    assert graph.num_edges == 6
    assert torch.equal(graph.edge_index, gr.Graph(TRIANGLE).to_undirected().edge_index)
