"""PyG's .pt files, OGB's folders, and data sets by the names those libraries give them."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import socket
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData

import graphrep as gr
from graphrep.data import GraphWarning, open_graph
from graphrep.data.ogb import raw_folder
from graphrep.errors import DTypeError, FileFormatError, IndexRangeError, NonFiniteError, UnknownNameError

EDGES = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def save(folder: Path, what: object, name: str = "g.pt") -> Path:
    torch.save(what, folder / name)
    return folder / name


def test_a_data_its_dictionary_and_a_processed_file(tmp_path: Path) -> None:
    data = Data(
        x=torch.rand(3, 2), edge_index=EDGES, edge_attr=torch.tensor([[1.0], [1.0], [2.0], [2.0]]),
        y=torch.tensor([0, 1, 0]), train_mask=torch.tensor([True, False, False]),
    )  # fmt: skip
    for what in (data, data.to_dict(), (data.to_dict(), None, Data), (data, {"x": torch.tensor([0, 3])})):
        before = set(torch.serialization.get_safe_globals())
        graph = gr.read(save(tmp_path, what))
        assert set(torch.serialization.get_safe_globals()) == before
        assert torch.equal(graph.x, data.x)
        assert graph.edge_index.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]]
        assert graph.edge_weight.tolist() == [1, 1, 2, 2]
        assert (graph.y.tolist(), graph.train_idx.tolist()) == ([0, 1, 0], [0])
    assert gr.read(tmp_path / "g.pt", weight=False).edge_weight is None
    (tmp_path / "g.pt").rename(tmp_path / "unnamed")
    assert gr.read(tmp_path / "unnamed").num_nodes == 3


def test_weights_of_another_name(tmp_path: Path) -> None:
    path = save(tmp_path, Data(edge_index=EDGES, km=torch.tensor([1.0, 1, 4, 4]), num_nodes=3))
    assert gr.read(path, weight="km").edge_weight.tolist() == [1, 1, 4, 4]
    with pytest.raises(FileFormatError, match="has no tensor mass"):
        gr.read(path, weight="mass")


class Marked:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_asks_for_more_runs_nothing(tmp_path: Path) -> None:
    path = save(tmp_path, {"edge_index": EDGES, "trap": Marked(tmp_path / "trace")})
    with pytest.raises(FileFormatError, match=r"asks for posix\.mkdir, which graphrep does not load") as caught:
        gr.read(path)
    assert "where you trust it" in caught.value.hint
    assert not (tmp_path / "trace").exists()
    with pytest.raises(FileFormatError, match=r"asks for numpy"):
        gr.read(save(tmp_path, {"edge_index": EDGES.numpy()}))


def hetero() -> HeteroData:
    data = HeteroData()
    data["a"].x = torch.rand(2, 2)
    data["a", "to", "a"].edge_index = torch.tensor([[0], [1]])
    return data


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (hetero().to_dict(), DTypeError, "dictionary of a HeteroData"),
        (torch.rand(3), FileFormatError, "holds a Tensor, not a graph"),
        ({"a": 1}, FileFormatError, "holds a dict, not a graph"),
        ((Data(edge_index=EDGES).to_dict(), {"x": torch.tensor([0, 1, 2])}, Data), FileFormatError, "several graphs"),
        (Data(x=torch.rand(3, 2)), gr.GraphrepError, "no edge_index"),
        (Data(edge_index=EDGES, x=torch.rand(2, 2)), IndexRangeError, "refers to node 2"),
        (Data(edge_index=EDGES, num_nodes=3, train_mask="all"), FileFormatError, "is no graph"),
        (Data(edge_index=EDGES, x=torch.full((3, 1), torch.nan)), NonFiniteError, "Feature column 0 has NaN"),
        (
            Data(edge_index=EDGES * 10**9, num_nodes=2 * 10**9 + 1),
            FileFormatError,
            "says that it has 2 000 000 001 nodes",
        ),
    ],
)
def test_what_is_no_graph(tmp_path: Path, what: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gr.read(save(tmp_path, what))


def test_damaged_and_old_files(tmp_path: Path) -> None:
    path = save(tmp_path, Data(edge_index=EDGES, num_nodes=3))
    content = path.read_bytes()
    for cut in (10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:cut])
        with pytest.raises(FileFormatError):
            gr.read(path)
    torch.save(EDGES, path, _use_new_zipfile_serialization=False)
    with pytest.raises(FileFormatError, match=r"since version 1\.6"):
        gr.read(path)
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(FileFormatError, match="impossible sizes"):
        gr.read(path)


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def ogb(tmp_path: Path) -> Path:
    """A tiny node property set, laid out as OGB does."""
    folder = tmp_path / "ogbn_tiny"
    pack(folder / "raw/edge.csv.gz", "0,1\n1,2\n3,3\n")
    pack(folder / "raw/num-node-list.csv.gz", "4\n")
    pack(folder / "raw/num-edge-list.csv.gz", "3\n")
    pack(folder / "raw/node-feat.csv.gz", "0.5,1\n-1e-3,2\n0,3\n4,5\n")
    pack(folder / "raw/node-label.csv.gz", "2\n0\n1\n2\n")
    pack(folder / "raw/edge_weight.csv.gz", "1\n2\n3\n")
    pack(folder / "split/time/train.csv.gz", "0\n2\n")
    pack(folder / "split/time/valid.csv.gz", "1\n")
    pack(folder / "split/time/test.csv.gz", "3\n")
    return folder


def check_tiny(graph: gr.Graph) -> None:
    assert graph.edge_index.tolist() == [[0, 1], [1, 2]]
    assert graph.edge_weight.tolist() == [1, 2]
    assert torch.equal(graph.x, torch.tensor([[0.5, 1], [-1e-3, 2], [0, 3], [4, 5]]))
    assert graph.y.tolist() == [2, 0, 1, 2]
    assert [graph.train_idx.tolist(), graph.val_idx.tolist(), graph.test_idx.tolist()] == [[0, 2], [1], [3]]
    assert graph.name == "ogbn-tiny"


def test_ogb_folder(ogb: Path) -> None:
    for folder in (ogb, ogb / "raw", ogb.parent):
        check_tiny(gr.read(folder, directed=True))
    assert gr.read(ogb, raw=True).num_edges == 3
    assert gr.read(ogb).is_undirected()
    check_tiny(open_graph(str(ogb), directed=True))


def test_ogb_by_name_uses_no_network(ogb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    check_tiny(open_graph("ogb:ogbn-tiny", data_dir=ogb.parent, directed=True))
    with pytest.raises(FileFormatError, match="ogbn-arxiv is not there") as caught:
        open_graph("ogb:ogbn-arxiv", data_dir=ogb.parent)
    assert "NodePropPredDataset as D; D('ogbn-arxiv'" in caught.value.hint
    for bad in ("ogb:arxiv", "ogb:ogbg-molhiv", "ogb:ogbn-../x"):
        with pytest.raises(UnknownNameError, match="is no node or link property set"):
            open_graph(bad, data_dir=ogb.parent)


def test_binary_ogb_folder(tmp_path: Path) -> None:
    raw = tmp_path / "ogbn_big/raw"
    raw.mkdir(parents=True)
    np.savez(
        raw / "data.npz", edge_index=EDGES.numpy(), node_feat=np.eye(4, 2, dtype=np.float16),
        num_nodes_list=np.array([4]), num_edges_list=np.array([4]),
    )  # fmt: skip
    np.savez(raw / "node-label.npz", node_label=np.array([[0.0], [np.nan], [2.0], [1.0]]))
    graph = gr.read(tmp_path / "ogbn_big")
    assert (graph.num_nodes, graph.num_edges, graph.x.shape) == (4, 4, (4, 2))
    assert graph.y[[0, 2, 3]].tolist() == [0, 2, 1]
    assert torch.isnan(graph.y[1])


@pytest.mark.parametrize("key", ["edge_index", "node_feat", "node_label", "num_nodes_list", "edge_weight"])
@pytest.mark.parametrize(
    "odd", [np.array(3), np.array("a"), np.ones((3, 3, 3)), np.array([-1]), np.zeros((2, 0)), "none"]
)
def test_odd_binary_ogb_folders(tmp_path: Path, key: str, odd: object) -> None:
    raw = tmp_path / "ogbn_odd/raw"
    raw.mkdir(parents=True)
    arrays = {"edge_index": EDGES.numpy(), "node_feat": np.eye(3), "num_nodes_list": np.array([3]), key: odd}
    np.savez(raw / "data.npz", **arrays)
    np.savez(raw / "node-label.npz", node_label=odd if key == "node_label" else np.array([0, 1, 2]))
    with contextlib.suppress(gr.GraphrepError):
        assert gr.read(tmp_path / "ogbn_odd").num_nodes == 3


@pytest.mark.parametrize(
    ("file", "text", "error", "message"),
    [
        ("raw/edge.csv.gz", "0,1\n1\n", FileFormatError, r"edge\.csv\.gz, line 2: expected 2 numbers"),
        ("raw/edge.csv.gz", "0,1\n1,a\n", FileFormatError, r"edge\.csv\.gz, line 2"),
        ("raw/edge.csv.gz", "0,1\n1,9\n2,2\n", IndexRangeError, "refers to node 9"),
        ("raw/edge.csv.gz", "0,1.5\n", FileFormatError, "no integers"),
        ("raw/edge.csv.gz", "0,1,2\n", gr.GraphrepError, r"must have shape \(2, E\); got \(3, 1\)"),
        ("raw/num-node-list.csv.gz", "4\n5\n", FileFormatError, "holds 2 graphs"),
        ("raw/num-node-list.csv.gz", "999999999999\n", FileFormatError, "says that it has 999 999 999 999 nodes"),
        ("raw/node-feat.csv.gz", "1\n2\n", gr.GraphrepError, "x has 2 rows"),
        ("raw/node-feat.csv.gz", "1\n2\n\n,\n", FileFormatError, r"node-feat\.csv\.gz, line 4"),
        ("raw/triplet-type-list.csv.gz", "a,b,c\n", FileFormatError, "several node types"),
        ("split/time/train.csv.gz", "7\n", IndexRangeError, "train_idx refers to node 7"),
    ],
)
def test_wrong_ogb_folders(ogb: Path, file: str, text: str, error: type[Exception], message: str) -> None:
    pack(ogb / file, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        with pytest.raises(error, match=message):
            gr.read(ogb)


def test_folders_that_are_none(tmp_path: Path, ogb: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert raw_folder(empty) is None
    with pytest.raises(FileFormatError, match="is a folder, but not one of OGB"):
        gr.read(empty)
    pack(ogb / "split/scaffold/train.csv.gz", "0\n")
    with pytest.warns(GraphWarning, match=r"several splits \(scaffold, time\)"):
        assert gr.read(ogb, directed=True).train_idx is None


def test_pyg_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "pyg/Planetoid/Cora/processed"
    folder.mkdir(parents=True)
    data = Data(x=torch.eye(3), edge_index=EDGES, y=torch.tensor([0, 1, 2]))
    save(folder, (data.to_dict(), None, Data), "data.pt")
    save(folder, "None", "pre_transform.pt")
    graph = open_graph("pyg:planetoid/cora", data_dir=tmp_path)
    assert (graph.num_nodes, graph.num_edges, graph.name) == (3, 4, "planetoid/cora")
    with pytest.raises(FileFormatError, match="pyg:Planetoid/PubMed is not there") as caught:
        open_graph("pyg:Planetoid/PubMed", data_dir=tmp_path)
    assert "import Planetoid as D; D('" in caught.value.hint
    save(folder, data, "other.pt")
    with pytest.raises(FileFormatError, match=r"holds 2 files: data\.pt, other\.pt"):
        open_graph("pyg:Planetoid/Cora", data_dir=tmp_path)
    for bad in ("pyg:", "pyg:../x", "pyg:a/b/c"):
        with pytest.raises(UnknownNameError, match="is no data set of PyG"):
            open_graph(bad, data_dir=tmp_path)


def test_a_saved_hetero_data_becomes_a_typed_graph(tmp_path: Path) -> None:
    torch.save(hetero(), tmp_path / "typed.pt")
    found = gr.read(tmp_path / "typed.pt")
    assert isinstance(found, gr.HeteroGraph)
    assert set(found.node_types) == set(hetero().node_types)


def test_the_command_line_takes_ogb_folders(ogb: Path) -> None:
    from graphrep.cli.graphs import find_graph

    (ogb / "RELEASE_v1.txt").write_text("")  # OGB leaves a file there that looks like an edge list
    check_tiny(find_graph(str(ogb), read={"directed": True}))
