"""The checker: counts against a plain count, every kind of fault, and the published numbers of real raw files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

import graphrep as gr
from graphrep.data import inspect
from graphrep.errors import FileFormatError, UnknownNameError

_LAST = "0 errors, 1 warning"
PATH = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "graph.npz", **arrays)
    return folder / "graph.npz"


# counts


def counted(n: int, pairs: list[tuple[int, int]]) -> dict[str, int]:
    """The definitions, spelled out."""
    distinct = set(pairs)
    links = {(min(p), max(p)) for p in distinct if p[0] != p[1]}
    label = list(range(n))
    for i, j in links:
        old, new = label[i], label[j]
        label = [new if v == old else v for v in label]
    return {
        "entries": len(pairs),
        "edges": len(links),
        "duplicates": len(pairs) - len(distinct),
        "self_loops": sum(i == j for i, j in pairs),
        "one_way": sum((j, i) not in distinct for i, j in distinct),
        "isolated": n - len({v for link in links for v in link}),
        "components": len(set(label)),
    }


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 9), st.data())
def test_counts_equal_a_plain_count(n: int, data: st.DataObject) -> None:
    node = st.integers(0, n - 1)
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=30))
    edge_index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    report = inspect(gr.Graph(edge_index, num_nodes=n))
    found = report.to_dict()
    assert {key: found[key] for key in counted(n, pairs)} == counted(n, pairs)
    assert report.ok


def test_a_sound_graph_has_nothing_to_say(tmp_path: Path) -> None:
    report = inspect(saved(tmp_path, edge_index=PATH, x=np.eye(3), y=np.array([0, 1, 0])))
    assert (report.errors, report.name, report.array) == ((), "graph", "edge_index")
    assert report.lines()[0] == "graph: 3 nodes, 4 entries in edge_index, 2 edges"
    assert report.lines()[-2:] == ["Warning: 1 class has a single node: it cannot be in training and in test.", _LAST]
    assert inspect("karate").weights.low == 1.0


# faults


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({"edge_index": [[0, 1, 5], [1, 0, 1]], "num_nodes": 3}, "1 entry refers to nodes outside 0..2 (first: entry"),
        ({"edge_index": [[0, -1], [1, 0]], "num_nodes": 2}, "(first: entry 1, node -1)"),
        ({"edge_weight": [1, np.nan, 2, np.inf]}, "edge_weight has NaN or infinity in 2 of 4 entries (first: 1, 3)."),
        ({"edge_weight": [1.0, 2.0]}, "There are 2 weights and 4 entries."),
        ({"x": [[0, 1], [np.nan, 2], [3, np.inf]]}, "Feature column 0 has NaN or infinity in 1 of 3 rows (first: "),
        ({"x": np.ones((2, 4)), "num_nodes": 3}, "There are features for 2 nodes and 3 nodes."),
        ({"y": [0.0, np.nan, 1.0]}, "y has NaN or infinity at 1 node (first: 1)."),
        ({"y": [0, 1], "num_nodes": 3}, "There are labels for 2 nodes and 3 nodes."),
        ({"train_idx": [0, 1], "test_idx": [1, 2]}, "1 node is in train_idx and in test_idx (first: 1)."),
        ({"train_idx": [0, 0]}, "train_idx lists 1 node more than once."),
        ({"val_idx": [7]}, "val_idx refers to 1 node outside 0..2."),
        ({"ids": ["a", "b", "a"]}, "ids must be distinct: 1 repeat (first: 'a')."),
        ({"ids": [4, 5], "num_nodes": 3}, "There are 2 ids and 3 nodes."),
    ],
)  # fmt: skip
def test_errors(tmp_path: Path, parts: dict[str, Any], error: str) -> None:
    report = inspect(saved(tmp_path, **{"edge_index": PATH, **{k: np.array(v) for k, v in parts.items()}}))
    assert not report.ok
    assert any(error in text for text in report.errors), report.errors
    assert any(line.startswith("Error: ") for line in report.lines())


@pytest.mark.parametrize(
    ("parts", "warning"),
    [
        ({"edge_index": [[0, 0, 1], [1, 1, 0]]}, "1 entry repeats an earlier one."),
        ({"edge_index": [[0, 1, 1], [1, 0, 1]]}, "1 entry is a self-loop; reading drops them."),
        ({"edge_index": [[0, 1, 1], [1, 0, 2]]}, "1 of 2 edges are stored in one direction only and the others"),
        ({"num_nodes": 5}, "2 of 5 nodes have no neighbour."),
        ({"edge_weight": [1, -1, 0, 2]}, "1 weight is negative"),
        ({"edge_weight": [1, -1, 0, 2]}, "1 weight is zero"),
        ({"x": [[0, 0], [1, 5], [0, 5]]}, "1 node has only zeros as features."),
        ({"x": [[3, 0], [3, 5], [3, 5]]}, "1 feature column is the same at every node."),
        ({"x": [[0, 700], [1, 5], [2, 5]]}, "Features are not scaled: they reach from 0 to 700."),
        ({"y": [0, -1, 2]}, "1 node has no label."),
        ({"y": [0, 0, 2]}, "No node has class 1."),
        ({"y": [0, 0, 1]}, "1 class has a single node"),
        ({"y": [0, 0, 0], "unlabeled_idx": [2]}, "1 node has no label."),
        ({"y": [[0, 0], [1, 0], [1, 1]]}, "1 node has no label."),
    ],
)  # fmt: skip
def test_warnings(tmp_path: Path, parts: dict[str, Any], warning: str) -> None:
    report = inspect(saved(tmp_path, **{"edge_index": PATH, **{k: np.array(v) for k, v in parts.items()}}))
    assert report.ok
    assert any(warning in text for text in report.warnings), report.warnings


def test_sparse_features_have_the_facts_of_dense_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random((40, 7)) < 0.3, rng.integers(-2, 30, (40, 7)), 0).astype(np.float32)
    x[3], x[:, 2] = 0, 5
    x[3, 2], x[9, 4], x[9, 5], x[11, 4] = 5, np.nan, np.inf, -np.inf
    import scipy.sparse as sp

    matrix = sp.csr_array(x)
    pieces = {"x_indptr": matrix.indptr, "x_indices": matrix.indices.astype(np.uint16), "x_data": matrix.data}
    sparse = inspect(saved(tmp_path, edge_index=PATH, num_nodes=40, x_shape=np.array(x.shape), **pieces))
    dense = inspect(saved(tmp_path, edge_index=PATH, num_nodes=40, x=x))
    assert sparse.errors == dense.errors
    assert sparse.features.not_finite == 3
    assert sparse.features.constant_columns == 1
    assert sparse.features.scale == "whole numbers"
    for key, value in vars(dense.features).items():
        assert key == "sparse" or getattr(sparse.features, key) == value, key


def test_a_pyg_object_may_hold_what_a_graph_refuses() -> None:
    x = torch.tensor([[0.0], [float("nan")], [1.0]])
    mask = torch.tensor([True, False, False])
    data = Data(x=x, edge_index=torch.from_numpy(PATH), train_mask=mask, test_mask=mask)
    report = inspect(data)
    assert len(report.errors) == 2
    assert report.splits == {"train_mask": 1, "test_mask": 1}


def test_link_splits_are_searched_for_leaks(tmp_path: Path) -> None:
    train = np.array([[0, 1, 2], [1, 2, 3]])
    clean = inspect(saved(tmp_path, num_nodes=9, train_pos=train, test_pos=[[4], [5]], test_neg=[[6], [7]]))
    assert clean.splits == {"train_pos": 3, "test_pos": 1, "test_neg": 1}
    assert clean.ok
    leaky = inspect(saved(tmp_path, num_nodes=9, train_pos=train, test_pos=[[1], [0]], test_neg=[[3], [2]]))
    assert "1 of 1 test edges also occur in the training edges (reversed direction)." in leaky.errors
    assert "1 of 1 test negatives are links (1 training)." in leaky.errors
    leaky = inspect(saved(tmp_path, num_nodes=4, train_pos=train, test_pos=[[0], [4]], test_neg=[[3, 0], [3, 2]]))
    assert leaky.errors == (
        "1 of 1 test edges name nodes outside 0..3.",
        "1 of 2 test negatives join a node to itself.",
    )


def test_text_files_are_checked_before_cleaning(tmp_path: Path) -> None:
    file = tmp_path / "edges.csv"
    file.write_text("a,b,1\nb,a,2\na,b,1\nc,c,0\nc,a,-1\n")
    report = inspect(file)
    assert (report.entries, report.duplicates, report.self_loops, report.one_way) == (5, 1, 1, 1)
    assert (report.weights.negative, report.weights.zero) == (1, 1)
    assert report.ids.kind == "text"
    file.write_text("a,b,1\nb,a,nan\n")
    report = inspect(file)
    assert report.errors == ("edges.csv, line 2: the weight is nan.",)
    assert report.entries == 2


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="There is no file"):
        inspect(tmp_path / "none.csv")
    with pytest.raises(UnknownNameError, match='Did you mean "karate"'):
        inspect("karat")
    with pytest.raises(FileFormatError, match="holds no edge_index"):
        inspect(saved(tmp_path, a=np.zeros(3)))
    with pytest.raises(gr.GraphrepError, match="do not form a matrix"):
        inspect(
            saved(tmp_path, edge_index=PATH, x_indptr=[0, 9], x_indices=[0], x_data=[1.0], x_shape=[1, 1], num_nodes=3)
        )


# real files

RAW = {
    "attributed/amazon_computers": (287209, 0, 0, 204513, 281),
    "wiki": (24357, 1165, 0, 0, 42),
    "citeseer": (9464, 248, 236, 0, 48),
    "m10_titles": (5923, 173, 44, 5664, 5762),
    "clustering/dblp": (7056, 0, 0, 0, 1466),
    "cora": (10858, 0, 302, 0, 0),
    "cora_ml": (8416, 0, 0, 7900, 0),
    "ppi": (76584, 894, 0, 0, 30),
    "dblp_prone": (127968, 0, 0, 127968, 0),
    "musae_github": (289003, 0, 0, 289003, 0),
    "cora_text": (5214, 230, 0, 4558, 6),
    "webkb_texas": (328, 18, 0, 250, 2),
    "clustering/usps": (27894, 0, 0, 15010, 0),
    "clustering/hhar_graphs_only": (30897, 0, 0, 14545, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RAW)
def test_raw_files_have_their_published_faults(data_root: Path, name: str) -> None:
    report = inspect(name, data_dir=data_root)
    found = (report.entries, report.self_loops, report.duplicates, report.one_way, report.isolated)
    assert found == RAW[name]
    assert report.ok
    assert report.nodes == gr.data.card(name).nodes
    assert report.edges == gr.data.card(name).edges


@pytest.mark.slow
def test_features_and_labels_of_real_files(data_root: Path) -> None:
    def facts(name: str) -> Any:
        return inspect(name, data_dir=data_root)

    zero_rows = {"wiki": 88, "dblp_full": 64, "clustering/dblp": 39, "citeseer": 15}
    assert {name: facts(name).features.zero_rows for name in zero_rows} == zero_rows
    assert facts("blogcatalog_attr").features.high == 703
    assert facts("coauthor_cs").features.high == 105
    assert facts("amazon_computers").features.scale == "0/1"
    assert facts("wiki").features.scale == "real"
    wiki, computers = facts("wiki").labels, facts("amazon_computers").labels
    assert (wiki.classes, wiki.smallest, wiki.largest) == (17, 9, 406)
    assert (computers.smallest, computers.largest) == (291, 5158)
    assert facts("citeseer").labels.unlabelled == 15
    assert facts("cora_split702010").splits == {
        "train_pos": 3696, "val_pos": 527, "test_pos": 1055, "val_neg": 527, "test_neg": 1055,
    }  # fmt: skip
    assert facts("webkb_texas").labels.smallest == 1
