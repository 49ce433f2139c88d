"""The leak checker: every planted leak is caught, with its count and first pairs; clean splits pass; files of users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import LinkSplit, check_link_split, split_edges
from graphrep.data.leaks import LeakReport
from graphrep.data.split_files import read_link_parts, write_split
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, IndexRangeError, LeakySplitError, ShapeError
from graphrep.eval import heart_negatives


def clean(seed: int = 0, *, directed: bool = False, timed: bool = False) -> dict[str, Any]:
    """Arrays of a split of a random graph."""
    edges = torch.randint(0, 40, (2, 150), generator=torch.Generator().manual_seed(seed))
    time = torch.arange(150) if timed else None
    split = split_edges(
        gr.Graph(edges, num_nodes=40), shares=(70, 10, 20), directed=directed, edge_time=time, seed=seed
    )
    parts: dict[str, Any] = {"num_nodes": 40, "directed": directed}
    for part in ("train", "val", "test"):
        parts[f"{part}_pos"] = getattr(split, part).numpy()
        parts[f"{part}_neg"] = getattr(split, f"{part}_neg").numpy()
        if timed:
            parts[f"{part}_time"] = getattr(split, f"{part}_time").numpy()
    return parts


def report(parts: dict[str, Any], **options: Any) -> LeakReport:
    return check_link_split(parts, allow_leak=True, **options)


def kinds(parts: dict[str, Any], **options: Any) -> list[tuple[str, str, int]]:
    return [(leak.kind, leak.part, leak.count) for leak in report(parts, **options).leaks]


def add(parts: dict[str, Any], key: str, pairs: np.ndarray) -> dict[str, Any]:
    """With pairs put in front of a part."""
    return {**parts, key: np.concatenate([pairs, parts[key]], axis=1)}


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_our_splits_are_clean(directed: bool, timed: bool) -> None:
    parts = clean(directed=directed, timed=timed)
    assert kinds(parts) == []
    found = check_link_split(
        {key: torch.from_numpy(v) if key[-3:] in ("pos", "neg") else v for key, v in parts.items()}
    )
    assert found.ok
    assert found.sizes["test_neg"] == parts["test_neg"].shape[1]
    assert found.lines()[-1] == "0 leaks, 0 warnings"


# planted leaks


def test_a_reversed_edge() -> None:
    parts = clean()
    leaky = add(parts, "test_pos", parts["train_pos"][::-1, 4:6])
    assert kinds(leaky) == [("overlap", "test_pos", 2)]
    leak = report(leaky).leaks[0]
    assert leak.first == tuple((int(j), int(i)) for i, j in parts["train_pos"][:, 4:6].T)
    total = leaky["test_pos"].shape[1]
    wanted = rf"^2 of {total} test edges also occur in the training edges \(reversed direction\)\.\n"
    wanted += r"Try: graphrep data split --undirected; pass --allow-leak to go on anyway\.$"
    with pytest.raises(LeakySplitError, match=wanted):
        check_link_split(leaky)
    one_way = clean(directed=True)
    reverse = one_way["train_pos"][::-1, :1]
    assert "overlap" not in [kind for kind, _, _ in kinds(add(one_way, "test_pos", reverse))]


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(("known", "asked"), [("train", "test"), ("train", "val"), ("val", "test")])
def test_a_duplicate_across_parts(known: str, asked: str, directed: bool) -> None:
    parts = clean(directed=directed)
    leaky = add(parts, f"{asked}_pos", parts[f"{known}_pos"][:, :3])
    assert kinds(leaky) == [("overlap", f"{asked}_pos", 3)]
    assert "direction" not in report(leaky).leaks[0].message


@pytest.mark.parametrize("key", ["val_pos", "test_pos", "train_neg", "val_neg", "test_neg"])
def test_a_duplicate_inside_a_part(key: str) -> None:
    parts = clean()
    assert kinds(add(parts, key, parts[key][:, :1])) == [("duplicate", key, 1)]
    assert kinds(add(parts, key, parts[key][::-1, :2])) == [("duplicate", key, 2)]
    found = report(add(parts, "train_pos", parts["train_pos"][:, :2]))
    assert found.ok
    assert found.warnings == ("2 training edges repeat an earlier one.",)
    both = add(parts, "train_pos", parts["train_pos"][::-1])  # a graph stores both directions
    assert report(both).warnings == ()


def test_a_test_edge_in_message_passing() -> None:
    parts = clean()
    edges = np.concatenate([parts["train_pos"], parts["test_pos"][::-1, :4], parts["val_pos"][:, :1]], axis=1)
    assert kinds(parts, message_edges=edges) == [("messages", "test_pos", 4), ("messages", "val_pos", 1)]
    with pytest.raises(LeakySplitError, match=r"4 of \d+ test edges also occur in the edges that messages pass over"):
        check_link_split(parts, message_edges=edges)
    assert kinds(parts, message_edges=parts["train_pos"]) == []


def test_overlapping_negatives() -> None:
    parts = clean()
    leaky = add(parts, "test_neg", parts["val_neg"][::-1, :3])
    assert kinds(leaky) == [("negative overlap", "test_neg", 3)]
    assert report(leaky).leaks[0].message.startswith("3 of ")
    assert "test negatives also occur in those of validation" in report(leaky).leaks[0].message
    same = {**parts, "test_neg": parts["val_neg"]}
    assert kinds(same) == [("negative overlap", "test_neg", parts["val_neg"].shape[1])]


def test_negatives_that_are_links() -> None:
    parts = clean()
    for known in ("train_pos", "val_pos", "test_pos"):
        assert kinds(add(parts, "val_neg", parts[known][::-1, :2])) == [("negative link", "val_neg", 2)]
    leaky = add(add(parts, "test_neg", parts["train_pos"][:, :1]), "test_neg", parts["test_pos"][:, :2])
    assert report(leaky).leaks[0].message.endswith("test negatives are links (1 training, 2 test).")
    strange = np.array([[0], [1]])
    links = {tuple(sorted(p)) for key in ("train_pos", "val_pos", "test_pos") for p in parts[key].T.tolist()}
    assert (0, 1) not in links
    parts = {key: v for key, v in parts.items() if key not in ("train_neg", "val_neg")} | {"test_neg": strange}
    assert kinds(parts, message_edges=strange) == [("negative link", "test_neg", 1)]


def test_negatives_of_each_positive() -> None:
    """They may repeat, and be other test links; not links that are known before the test."""
    parts = clean()
    split = {key: parts[key] for key in ("train_pos", "val_pos", "test_pos")}
    known = np.concatenate([parts["train_pos"], parts["val_pos"]], axis=1)
    train = torch.from_numpy(parts["train_pos"])
    hard = heart_negatives(train, torch.from_numpy(parts["test_pos"]), k=20, known=known, num_nodes=40)
    assert kinds({**split, "test_neg": hard}) == []
    assert kinds({**split, "val_neg": hard, "test_neg": hard}) == []
    leaky = hard.clone()
    leaky[0, :2] = train[:, :2].flip(0).t()
    leaky[1, 0] = torch.from_numpy(parts["val_pos"][:, 0])
    leaky[2, 0] = torch.from_numpy(parts["test_pos"][:, 3])
    leaky[3, 0] = 5
    assert kinds({**split, "test_neg": leaky}) == [("negative link", "test_neg", 3), ("self pair", "test_neg", 1)]
    with pytest.raises(ShapeError, match=r"test_neg must have shape \(2, P\) or \(n, k, 2\)"):
        report({**split, "test_neg": np.zeros((3, 2, 4), np.int64)})


def test_self_pairs_and_wrong_numbers() -> None:
    parts = clean()
    assert kinds(add(parts, "test_neg", np.array([[7], [7]]))) == [("self pair", "test_neg", 1)]
    assert kinds(add(parts, "val_pos", np.array([[40, -1], [0, 3]]))) == [("range", "val_pos", 2)]
    assert report(add(parts, "train_pos", np.array([[5], [5]]))).warnings == ("1 training edge is a self-loop.",)
    assert kinds(parts, num_nodes=3)[0][0] == "range"
    assert kinds({**add(parts, "val_pos", np.array([[40], [0]])), "num_nodes": None}) == []


def test_later_training_edges() -> None:
    parts = clean(timed=True)
    time = parts["train_time"].copy()
    time[:2] = 1000
    leaks = kinds({**parts, "train_time": time})
    assert leaks == [("time", "train_pos", 2), ("time", "train_pos", 2)]  # later than test, and than validation
    with pytest.raises(ShapeError, match="train_time has 1 entries"):
        report({**parts, "train_time": time[:1]})


def test_pyg_draws_overlapping_negatives() -> None:
    transforms = pytest.importorskip("torch_geometric.transforms")
    from torch_geometric.data import Data

    edges = torch.tensor([[i, j] for i in range(12) for j in range(12) if i < j and (i + j) % 2]).t()
    data = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=12)
    pytest.importorskip("torch_geometric").seed_everything(0)
    train, val, test = transforms.RandomLinkSplit(num_val=0.3, num_test=0.3, is_undirected=True)(data)
    parts: dict[str, Any] = {"train_pos": train.edge_index}
    for name, part in (("val", val), ("test", test)):
        parts[f"{name}_pos"] = part.edge_label_index[:, part.edge_label == 1]
        parts[f"{name}_neg"] = part.edge_label_index[:, part.edge_label == 0]
    found = {kind for kind, _, _ in kinds(parts)}
    assert "negative overlap" in found
    assert "overlap" not in found


PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)


@settings(max_examples=150, deadline=None)
@given(PAIRS, PAIRS, PAIRS, PAIRS, st.booleans())
def test_against_sets(train, test, val_neg, test_neg, directed: bool) -> None:
    def sets(pairs):
        return [p if directed else (min(p), max(p)) for p in pairs if p[0] != p[1]]

    arrays = {
        key: np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        for key, pairs in (("train_pos", train), ("test_pos", test), ("val_neg", val_neg), ("test_neg", test_neg))
    }
    links = set(sets(train)) | set(sets(test))
    wanted = {
        ("overlap", "test_pos"): sum(p in set(sets(train)) for p in sets(test)),
        ("negative overlap", "test_neg"): sum(p in set(sets(val_neg)) for p in sets(test_neg)),
    }
    # A negative is a link in whichever direction it is stored: a reversed one is known as well.
    either = links | {p[::-1] for p in links} if not directed else links
    for key, pairs in (("test_pos", test), ("val_neg", val_neg), ("test_neg", test_neg)):
        wanted["duplicate", key] = len(sets(pairs)) - len(set(sets(pairs)))
        wanted["self pair", key] = sum(i == j for i, j in pairs)
        if key != "test_pos":
            wanted["negative link", key] = sum(p in either for p in sets(pairs))
    assert {leak[:2]: leak[2] for leak in kinds(arrays, directed=directed)} == {k: n for k, n in wanted.items() if n}


# what may be given


def test_split_objects() -> None:
    graph = gr.load("lesmis")
    split = split_edges(graph, seed=2)
    assert check_link_split(split).ok
    links = split.link_split(graph)
    assert check_link_split(links).sizes["train_pos"] == 2 * split.train.shape[1]
    with pytest.raises(LeakySplitError, match=r"Also: overlap in val_pos\.") as caught:
        check_link_split(links.replace(graph=graph))
    assert caught.value.message.startswith("25 of 25 test edges also occur in the training edges")
    found = check_link_split(links.replace(graph=graph), allow_leak=True)
    assert found.to_dict()["ok"] is False
    assert found.lines()[1].startswith("Leak: 25 of 25 test edges also occur in the training edges. First: (")
    one_way = LinkSplit(gr.Graph([[0, 1], [1, 2]], directed=True, num_nodes=3), test_pos=[[1], [0]])
    assert check_link_split(one_way).directed


def test_files_of_users(tmp_path: Path) -> None:
    graph = gr.Graph(gr.load("lesmis").edge_index, ids=[f"n{i:02}" for i in range(77)])
    split = split_edges(graph, edge_time=torch.arange(graph.num_edges), directed=False)
    for name in ("links.npz", "links.csv"):
        write_split(split, tmp_path / name, ids=graph.ids)
        assert check_link_split(tmp_path / name).sizes == check_link_split(split).sizes
        parts = read_link_parts(tmp_path / name, ids=graph.ids)
        assert parts["val_neg"].tolist() == split.val_neg.tolist()
        assert parts["test_time"].tolist() == split.test_time.tolist()
    (tmp_path / "mine").mkdir()
    for name, pairs in (
        ("train", "a,b\nb,c\nc,d\n"),
        ("valid", "d,a\n"),
        ("test", "c,b\na,c\n"),
        ("test_neg", "b,d\n"),
    ):
        (tmp_path / "mine" / f"{name}.csv").write_text(pairs)
    found = check_link_split(tmp_path / "mine", allow_leak=True)
    assert [(leak.kind, leak.part, leak.count, leak.first) for leak in found.leaks] == [
        ("overlap", "test_pos", 1, ((2, 1),))
    ]
    assert found.sizes == {"train_pos": 3, "val_pos": 1, "test_pos": 2, "test_neg": 1}
    table = tmp_path / "ids.csv"
    table.write_text("source,target,part,label\n10,30,train,1\n30,10,test,1\n10,40,validation,0\n")
    assert read_link_parts(table)["test_pos"].tolist() == [[30], [10]]
    assert read_link_parts(table, ids=[10, 20, 30, 40])["val_neg"].tolist() == [[0], [3]]
    assert kinds(read_link_parts(table)) == [("overlap", "test_pos", 1)]


def test_files_that_are_no_split(tmp_path: Path) -> None:
    table = tmp_path / "split.csv"
    with pytest.raises(FileFormatError, match="not a table of links"):
        check_link_split(table)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(FileFormatError, match=r"split\.csv has no column part"):
        check_link_split(table)
    table.write_text("source,target,part\n1,2,fold3\n")
    with pytest.raises(FileFormatError, match=r"line 2: part is 'fold3'"):
        check_link_split(table)
    table.write_text("source,target,part\n1,2,train\n")
    with pytest.raises(IndexRangeError, match="names node '2', which the graph has not"):
        read_link_parts(table, ids=[1, 3])
    np.savez(tmp_path / "graph.npz", edge_index=[[0], [1]])
    with pytest.raises(FileFormatError, match="holds no links of a split"):
        check_link_split(tmp_path / "graph.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="holds no links of a split"):
        check_link_split(tmp_path / "empty")


def test_errors() -> None:
    with pytest.raises(GraphrepError, match="The split holds no links"):
        check_link_split({"num_nodes": 3})
    with pytest.raises(ShapeError, match=r"test_pos must have shape \(2, E\); got \(3, 2\)"):
        check_link_split({"test_pos": np.zeros((3, 2), np.int64)})
    with pytest.raises(DTypeError, match="test_pos must hold integers"):
        check_link_split({"test_pos": [[0.5], [1.0]]})
    with pytest.raises(GraphrepError, match="A int is no split of links"):
        check_link_split(3)  # type: ignore[arg-type]
    with pytest.raises(IndexRangeError, match=r"message_edges names nodes 0\.\.9, outside 0\.\.4"):
        check_link_split({"test_pos": [[0], [1]], "num_nodes": 5}, message_edges=[[0], [9]])
    with pytest.raises(IndexRangeError, match="num_nodes is -1"):
        check_link_split({"test_pos": [[0], [1]], "num_nodes": -1})
