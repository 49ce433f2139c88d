"""Typed graphs written as folders of tables, and read again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, given, settings
from interop_cases import SETTINGS, assert_same_hetero, hetero_graphs

import graphrep as gr
from graphrep.errors import EmptyGraphError, GraphrepError

INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def expected(graph: gr.HeteroGraph) -> gr.HeteroGraph:
    """What of a graph survives a folder."""
    ids = {}
    for key, given_ids in graph.ids.items():
        words = [str(one) for one in given_ids.tolist()]
        kept = [int(word) for word in words] if all(INTEGER.fullmatch(word) for word in words) else words
        if kept != list(range(len(kept))):
            ids[key] = kept
    y = graph.y.to(torch.uint8) if graph.y is not None and graph.y.dim() == 2 else graph.y
    return graph.replace(
        ids=ids, y=y, splits={key: torch.unique(index) for key, index in graph.splits.items()},
        edge_weight={key: weight.float() for key, weight in graph.edge_weight.items()},
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_there_and_back(tmp_path: Path, kind: str) -> None:
    @settings(**{**SETTINGS, "max_examples": 25}, suppress_health_check=list(HealthCheck))
    @given(hetero_graphs(alone=False))
    def check(graph: gr.HeteroGraph) -> None:
        folder = tmp_path / f"g{len(list(tmp_path.iterdir()))}"
        graph = graph.replace(name="toy")
        words = [[str(one) for one in ids.tolist()] for ids in graph.ids.values()]
        if any(not edges.shape[1] for edges in graph.edge_index.values()):
            with pytest.raises(EmptyGraphError, match="has no edges"):
                gr.write(graph, folder, format=kind)
        elif any("" in one for one in words):
            with pytest.raises(GraphrepError, match="has an empty id"):
                gr.write(graph, folder, format=kind)
        elif kind == "csv" and any(word != word.strip() for one in words for word in one):
            with pytest.raises(GraphrepError, match="which text cannot hold"):
                gr.write(graph, folder, format=kind)
        else:
            gr.write(graph, folder, format=kind)
            assert_same_hetero(gr.read(folder), expected(graph))
        assert not list(tmp_path.glob(".*"))

    check()


def test_written_files_can_be_read_by_people(tmp_path: Path) -> None:
    graph = gr.HeteroGraph(
        {("a/b", "r", "c d"): [[0, 1], [1, 0]], ("a/b", "r", "c_d"): [[0], [0]]},
        {("a/b", "r", "c d"): torch.tensor([0.1, 3.0])},
        y=[1, -1], target="a/b", ids={"a/b": ["#1", 'q"2']}, text={"a/b": ["x\ny", "z"]}, splits={"train_20": [1]},
        metapaths=["a/b>c d>a/b"],
    )  # fmt: skip
    folder = gr.write(graph, tmp_path / "out")
    assert sorted(file.name for file in folder.iterdir()) == [
        "a_b-r-c_d.csv", "a_b-r-c_d1.csv", "graph.toml", "nodes-a_b.csv", "nodes-c_d.csv", "nodes-c_d1.csv",
    ]  # fmt: skip
    nodes = (folder / "nodes-a_b.csv").read_text()
    assert nodes == '"id","label","train_20","text"\n"#1",1,0,"x\ny"\n"q""2",-1,1,"z"\n'
    assert '[nodes."a/b"]\nfile = "nodes-a_b.csv"\n' in (folder / "graph.toml").read_text()
    assert_same_hetero(gr.read(folder), graph.replace(name="out"))


def test_a_pyg_object_is_written_too(tmp_path: Path) -> None:
    graph = gr.HeteroGraph({("p", "pa", "a"): [[0, 1], [0, 0]]}, x={"p": sp.csr_array(np.eye(2, dtype=np.float32))})
    gr.write(gr.to_pyg(graph), tmp_path / "out")
    assert_same_hetero(gr.read(tmp_path / "out"), graph.replace(name="out"))


def test_what_a_folder_cannot_hold(tmp_path: Path) -> None:
    good = gr.HeteroGraph({("p", "pa", "a"): [[0, 1], [0, 0]]}, target="p")
    edges = {("p", "pa", "a"): [[0, 1], [0, 0]]}

    def refused(graph: gr.HeteroGraph, message: str, name: str = "out", **options: str) -> None:
        with pytest.raises(GraphrepError, match=message):
            gr.write(graph, tmp_path / name, **options)
        assert not [path for path in tmp_path.iterdir() if path.name != "full"]

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    refused(good, "full is there already", "full")
    refused(good, "written as a folder of tables", "out.npz")
    refused(good, 'no format "npz"', format="npz")
    refused(good, "cannot be written", "none/out")
    refused(good.replace(ids={"p": ["a ", "b"]}), "blanks at an end")
    refused(good.replace(ids={"p": ["", "b"]}), "has an empty id")
    refused(good.replace(text={"p": ["a\0", "b"]}), "holds a NUL")
    refused(good.replace(ids={"p": ["\ud800", "b"]}), "is not valid")
    refused(good.replace(y=[0.5, 1.0]), "are no classes")
    refused(good.replace(splits={"seen": [0]}), 'split "seen" has no column')
    refused(gr.HeteroGraph(edges, num_nodes={"p": 2, "a": 1, "v": 0}), "no node of type v")
    (tmp_path / "empty").mkdir()
    assert gr.write(good, tmp_path / "empty") == tmp_path / "empty"
    assert gr.read(tmp_path / "empty").num_nodes["p"] == 2
