"""Typed graphs in folders of tables: graph.toml, names of files, ids of every kind, features, errors, and writing."""

from __future__ import annotations

import contextlib
import gzip
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import GraphWarning, open_graph, open_hetero
from graphrep.data._folder_layout import folder_layout, is_typed_folder
from graphrep.errors import (
    DTypeError,
    EdgeListError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    MissingLabelsError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)

WRITES, IN = ("author", "writes", "paper"), ("paper", "paper_venue", "venue")
TOML = """
[graph]
name = "library"
target = "paper"
metapaths = ["paper>author>paper", "paper>venue>paper"]

[nodes.paper]
file = "papers.csv"
id = "doi"
label = "topic"

[[edges]]
file = "writes.csv"
source = "author"
relation = "writes"
target = "paper"

[[edges]]
file = "published.tsv"
source = "paper"
target = "venue"
"""
PAPERS = """doi,topic,title,pages,train,year
p7,graphs,"On, graphs",12,1,1999
p3,,"Trees",7.5,0,2001
p9,trees,x,1e2,1,2000
"""
WRITTEN = "author,paper\nann,p3\nbob,p9\nann,p7\nann,p7\n"
PUBLISHED = "paper\tvenue\tshare\np9\t30\t0.5\np3\t4\t2\n"


def put(folder: Path, **files: str) -> Path:
    """Files by name, with two underscores for the dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".").replace("_to_", "-")).write_text(text)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return put(tmp_path, graph__toml=TOML, papers__csv=PAPERS, writes__csv=WRITTEN, published__tsv=PUBLISHED)


def test_a_folder_with_its_layout(library: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "graphrep"):
        graph = gr.read(library)
    assert (graph.name, graph.target) == ("library", "paper")
    assert graph.metapaths == ("paper>author>paper", "paper>venue>paper")
    assert graph.edge_types == (WRITES, IN)
    assert dict(graph.num_nodes) == {"paper": 3, "author": 2, "venue": 2}
    assert graph.ids["paper"].tolist() == ["p7", "p3", "p9"]  # in the order of the table
    assert graph.ids["author"].tolist() == ["ann", "bob"]
    assert graph.ids["venue"].tolist() == [4, 30]  # integers beside text in one table, in their own order
    assert graph.edge_index[WRITES].tolist() == [[0, 1, 0, 0], [1, 2, 0, 0]]  # as listed, repeats too
    assert graph.edge_index[IN].tolist() == [[2, 1], [1, 0]]
    assert graph.edge_weight[IN].tolist() == [0.5, 2.0]
    assert WRITES not in graph.edge_weight
    assert graph.x["paper"].tolist() == [[12.0, 1999.0], [7.5, 2001.0], [100.0, 2000.0]]
    assert graph.y.tolist() == [0, -1, 1]
    assert {name: index.tolist() for name, index in graph.splits.items()} == {"train": [0, 2]}
    assert "papers.csv: columns that are no features: title" in caplog.text
    assert gr.read(library, weight=False).edge_weight == {}


def test_names_of_files_alone(tmp_path: Path) -> None:
    put(tmp_path, author_to_writes_to_paper__csv=WRITTEN, paper_to_venue__csv="paper,venue\np9,a\np3,b\n")
    put(tmp_path, nodes_to_paper__csv="paper_id,label,text\np3,1,On trees\np9,0,\np7,1,On graphs\n")
    graph = gr.read(tmp_path)
    assert graph.edge_types == (WRITES, ("paper", "paper_venue", "venue"))
    assert (graph.target, graph.y.tolist(), graph.metapaths) == ("paper", [1, 0, 1], ())
    assert graph.text["paper"].tolist() == ["On trees", "", "On graphs"]
    assert graph.name == tmp_path.name
    assert gr.read(put(tmp_path, graph__toml="")).edge_types == graph.edge_types


def test_single_letters_name_their_relation_as_the_public_sets_do(tmp_path: Path) -> None:
    put(tmp_path, p_to_a__csv="0,0\n1,0\n1,1\n", p_to_s__csv="0,0\n1,0\n")
    graph = gr.read(tmp_path)
    assert list(graph.relations()) == ["pa", "ps", "ap", "sp"]
    assert (graph.ids, graph.target) == ({}, None)
    assert graph.csr("pa", "out").shape == (2, 2)


def test_without_edges_in_the_toml_the_names_of_files_count(tmp_path: Path) -> None:
    put(tmp_path, graph__toml='[graph]\ntarget = "paper"\n[nodes.paper]\nfeatures = "papers-x.csv"\n')
    put(tmp_path, author_to_paper__csv=WRITTEN, papers_to_x__csv="id,a\np3,1\np7,2\np9,3\n")
    graph = gr.read(tmp_path)
    assert graph.edge_types == (("author", "author_paper", "paper"),)
    assert graph.x["paper"].tolist() == [[1], [2], [3]]


# columns and headers


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("paper,author\np3,ann\np9,bob\n", ""),  # called as the types, in the other order
        ("when,Paper_ID,by,authorId\n1,p3,x,ann\n2,p9,y,bob\n", ""),
        ("a,b,c,d\n1,ann,x,p3\n2,bob,y,p9\n", 'source_column = "b"\ntarget_column = "d"\n'),
        ("1,ann,x,p3\n2,bob,y,p9\n", "source_column = 1\ntarget_column = 3\nheader = false\n"),
        ("ann,p3\nbob,p9\n", "header = false\n"),
        ("who,what\nann,p3\nbob,p9\n", ""),
        ("ann,p3\nbob,p9\n", ""),  # the first row names a paper of the table
        ("who what\nann p3\nbob p9\n", "header = true\n"),
    ],
)
def test_columns_are_found(library: Path, text: str, more: str) -> None:
    toml = TOML.replace('relation = "writes"\n', f'relation = "writes"\nweight = false\n{more}')
    put(library, writes__csv=text, graph__toml=toml)
    graph = gr.read(library)
    assert graph.ids["author"].tolist() == ["ann", "bob"]
    assert graph.edge_index[WRITES].tolist() == [[0, 1], [1, 2]]


def test_a_first_row_that_comes_again_is_an_edge(tmp_path: Path) -> None:
    put(tmp_path, a_to_b__csv="ann,x\nbob,y\nann,z\n", a_to_c__csv="ann,1\nbob,2\n", c_to_b__csv="1,x\n")
    graph = gr.read(tmp_path)
    assert graph.ids["a"].tolist() == ["ann", "bob"]
    assert graph.edge_index["a", "ab", "b"].tolist() == [[0, 1, 0], [0, 1, 2]]


def test_one_table_may_relate_nodes_of_one_type(tmp_path: Path) -> None:
    put(tmp_path, paper_to_cites_to_paper__csv="source,target\n7,9\n7,7\n", paper_to_venue__csv="7,1\n9,2\n11,2\n")
    graph = gr.read(tmp_path)
    assert graph.ids["paper"].tolist() == [7, 9, 11]
    assert graph.edge_index["paper", "cites", "paper"].tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("ending", ["csv.gz", "parquet", "feather"])
def test_other_files(library: Path, ending: str) -> None:
    want = gr.read(library)
    for name, separator in (("papers.csv", ","), ("writes.csv", ","), ("published.tsv", "\t")):
        new = f"{name.partition('.')[0]}.{ending}"
        if ending == "csv.gz":
            (library / new).write_bytes(gzip.compress((library / name).read_bytes()))
        else:
            frame = pd.read_csv(library / name, sep=separator, keep_default_na=False)
            getattr(frame, f"to_{ending}")(library / new)
        (library / name).unlink()
        put(library, graph__toml=(library / "graph.toml").read_text().replace(name, new))
    found = gr.read(library)
    assert repr(found) == repr(want)
    for key, edges in want.edge_index.items():
        assert torch.equal(found.edge_index[key], edges)
    assert torch.equal(found.x["paper"], want.x["paper"])
    assert torch.equal(found.y, want.y)
    assert {key: ids.tolist() for key, ids in found.ids.items()} == {k: ids.tolist() for k, ids in want.ids.items()}


def test_parquet_of_every_type_of_column(tmp_path: Path) -> None:
    put(tmp_path, a_to_b__csv="3,x\n1,y\n2,x\n")
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3], "y": [1.0, None, 0.0], "kind": pd.Categorical(["u", "v", "u"]),
            "flag": [True, False, True],
            "size": np.array([1, 2, 3], np.int8), "val": [False, True, False], "names": [["q"], ["r"], []],
        }
    )  # fmt: skip
    frame.to_parquet(tmp_path / "nodes-a.parquet")
    graph = gr.read(tmp_path)
    assert graph.ids["a"].tolist() == [1, 2, 3]
    assert graph.y.tolist() == [1, -1, 0]
    assert graph.x["a"].tolist() == [[1, 1], [0, 2], [1, 3]]
    assert graph.splits["val"].tolist() == [1]
    gaps = frame.assign(size=pd.array([1, None, 3], dtype="Int64"))
    gaps.to_parquet(tmp_path / "nodes-a.parquet")
    with pytest.raises(NonFiniteError, match=r"nodes-a.parquet: Feature column 1 has NaN in 1 of 3 rows"):
        gr.read(tmp_path)
    assert gr.read(tmp_path, fill_nan=9).x["a"].tolist() == [[1, 1], [0, 9], [1, 3]]


# ids


def test_numbers_that_are_no_integers_stay_text(tmp_path: Path) -> None:
    put(tmp_path, a_to_b__csv="a,b\n007,1\n7,2\n", nodes_to_a__csv="id\n7\n007\n")
    graph = gr.read(tmp_path)
    assert graph.ids["a"].tolist() == ["7", "007"]
    assert graph.edge_index["a", "ab", "b"].tolist() == [[1, 0], [0, 1]]
    assert graph.ids["b"].tolist() == [1, 2]


def test_a_type_is_text_if_one_relation_writes_text(tmp_path: Path) -> None:
    put(tmp_path, a_to_b__csv="1,5\n2,6\n", a_to_c__csv="a,c\n1,5\nx,6\n")
    graph = gr.read(tmp_path)
    assert graph.ids["a"].tolist() == ["1", "2", "x"]
    assert graph.edge_index["a", "ac", "c"].tolist() == [[0, 2], [0, 1]]


def test_integer_ids_of_a_table_meet_text_of_a_relation(tmp_path: Path) -> None:
    put(tmp_path, a_to_b__csv="a,b\n10,x\n2,y\n", nodes_to_a__csv="id,v\n2,0.5\n10,1\n3,1\n")
    graph = gr.read(tmp_path)
    assert graph.ids["a"].tolist() == [2, 10, 3]
    assert graph.edge_index["a", "ab", "b"].tolist() == [[1, 0], [0, 1]]


# features, labels, splits


@pytest.mark.parametrize("kind", ["npz of x", "scipy", "npy", "table", "columns", "none"])
def test_features_from_where_the_layout_says(library: Path, kind: str) -> None:
    x = np.array([[1, 0], [0, 2], [3, 4]], dtype=np.float32)
    said = {
        "npz of x": '"x.npz"',
        "scipy": '"x.npz"',
        "npy": '"x.npy"',
        "table": '"x.csv"',
        "columns": '["year"]',
        "none": "false",
    }[kind]
    put(library, graph__toml=TOML.replace('label = "topic"', f'label = "topic"\nfeatures = {said}'))
    if kind == "npz of x":
        np.savez(library / "x.npz", x=x)
    elif kind == "scipy":
        sp.save_npz(library / "x.npz", sp.csr_array(x))
    elif kind == "npy":
        np.save(library / "x.npy", x)
    elif kind == "table":  # rows by their ids, more of them than needed
        put(library, x__csv="u,v,doi\n3,4,p9\n8,8,p8\n0,2,p3\n1,0,p7\n")
    graph = gr.read(library)
    if kind == "none":
        assert graph.x == {}
        return
    found = graph.x["paper"]
    assert found.layout is (torch.sparse_csr if kind == "scipy" else torch.strided)
    want = [[1999], [2001], [2000]] if kind == "columns" else x.tolist()
    assert (found.to_dense() if kind == "scipy" else found).tolist() == want


def test_several_labels_and_none(library: Path) -> None:
    put(library, graph__toml=TOML.replace('label = "topic"', 'label = ["train", "easy"]'))
    put(library, papers__csv="doi,train,easy,y\np7,1,0,5\np3,0,,6\np9,true,1,7\n")
    graph = gr.read(library)
    assert graph.y.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert graph.splits == {}
    assert graph.x["paper"].tolist() == [[5], [6], [7]]  # y was not said to be the label
    put(library, graph__toml=TOML.replace('label = "topic"', "label = false"), papers__csv=PAPERS)
    assert gr.read(library).y is None


def test_only_the_target_is_labelled(library: Path) -> None:
    put(library, nodes_to_author__csv="id,y\nann,1\nbob,0\n")
    assert gr.read(library).y.tolist() == [0, -1, 1]
    put(library, graph__toml=TOML.replace('target = "paper"\nmeta', "meta"))
    with pytest.raises(
        GraphrepError, match=r"2 node types have labels \(paper, author\), and no target is named"
    ) as caught:
        gr.read(library)
    assert caught.value.hint == 'target = "paper" in [graph] of graph.toml'
    put(library, graph__toml=TOML.replace('target = "paper"\nmeta', 'target = "author"\nmeta'))
    assert gr.read(library).y.tolist() == [1, 0]


def test_a_type_that_no_relation_names_is_told(library: Path) -> None:
    put(library, graph__toml=TOML + '[nodes.papr]\nfile = "papers.csv"\n')
    with pytest.warns(GraphWarning, match=r'no relation names the node type papr. Did you mean "paper"\?'):
        graph = gr.read(library)
    assert graph.num_nodes["papr"] == 3


# what is wrong


@pytest.mark.parametrize(
    ("toml", "kind", "message"),
    [
        ("[graph", FileFormatError, "graph.toml is not TOML"),
        ("[grap]\n", UnknownNameError, 'unknown table: "grap".*Did you mean "graph"'),
        ("graph = 3\n", FileFormatError, '"graph" is no table'),
        ("[edges]\n", FileFormatError, '"edges" is no table'),
        ("nodes = [1]\n", FileFormatError, '"nodes" is no table'),
        ("edges = []\n", FileFormatError, "holds no relations"),
    ],
)
def test_a_layout_of_another_form(library: Path, toml: str, kind: type[Exception], message: str) -> None:
    put(library, graph__toml=toml)
    with pytest.raises(kind, match=message):
        gr.read(library)


FILE, UNKNOWN = FileFormatError, UnknownNameError
TOPIC, SECOND = 'label = "topic"', 'file = "published.tsv"\nsource = "paper"\ntarget = "venue"'


@pytest.mark.parametrize(
    ("old", "new", "kind", "message"),
    [
        ("metapaths", "metapath", UNKNOWN, 'key of .graph.: "metapath".*Did you mean "metapaths"'),
        ('["paper>author>paper", "paper>venue>paper"]', '"pap"', FILE, "metapaths of .graph. is 'pap'; .* list"),
        ('"paper>venue>paper"', '"paper>author>paper"', FILE, "is there twice"),
        ('target = "paper"\nmeta', 'target = "papers"\nmeta', UNKNOWN, "is no node type. Did you mean .paper"),
        ("papers.csv", "paper.csv", FILE, 'names paper.csv, and .* has no such file. Did you mean "papers.csv"'),
        ('id = "doi"', 'id = "DOI"', UNKNOWN, 'papers.csv has no column "DOI"'),
        ('id = "doi"', "id = true", FILE, r"id of \[nodes.paper\] is True; it must be a text"),
        (TOPIC, "label = true", FILE, "has true, which names nothing"),
        (TOPIC, 'label = "topics"', UNKNOWN, 'no column "topics". Did you mean "topic"'),
        (TOPIC, 'features = ["title"]', FILE, 'line 2: column "title" has "On, graphs", which is no number'),
        ('file = "writes.csv"\n', "", FILE, "edges.. number 1 names no file"),
        ('source = "author"\n', "", FILE, "does not say between which types"),
        ('source = "author"', 'source = "author"\nsource_column = "who"', UNKNOWN, "csv: There is no column .who"),
        ('target = "venue"', 'target = "venue"\nweight = "shares"', UNKNOWN, 'no column "shares"'),
        (
            SECOND, 'file = "writes.csv"\nsource = "author"\nrelation = "writes"\ntarget = "paper"', FILE,
            "hold the same relation, author-writes-paper",
        ),
    ],
)  # fmt: skip
def test_a_wrong_layout(library: Path, old: str, new: str, kind: type[Exception], message: str) -> None:
    assert old in TOML
    put(library, graph__toml=TOML.replace(old, new))
    with pytest.raises(kind, match=message) as caught:
        gr.read(library)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("file", "text", "kind", "message"),
    [
        (
            "writes", "author,paper\nann,p3\nann,p8\n", GraphrepError,
            r"writes.csv: paper 'p8' \(row 2\) is not in papers.csv; 1 of 2 rows name such nodes",
        ),
        ("writes", "author,paper\n", EmptyGraphError, "writes.csv: the relation author-writes-paper is empty"),
        ("writes", "", EmptyGraphError, "the relation author-writes-paper is empty"),
        ("writes", "author,paper\nann,p3\nann\n", EdgeListError, "writes.csv, line 3: expected 2 columns"),
        ("writes", "author,paper\n,p3\n", EdgeListError, "writes.csv, line 2: the source is empty"),
        ("writes", "a,b,c,d\nann,p3,1,2\n", EdgeListError, "writes.csv"),
        ("writes", "author,paper,n\nann,p3,nan\n", NonFiniteError, "writes.csv, line 2: the weight is nan"),
        ("writes", "author,paper,role\nann,p3,1st\n", EdgeListError, 'line 2: the weight "1st" is not a number'),
        ("papers", "doi,topic\np7,a\np7,b\n", GraphrepError, "papers.csv: ids must be distinct: 'p7' occurs more"),
        ("papers", "doi,topic\np7,a\n,b\n", GraphrepError, 'papers.csv: row 2 has no id in column "doi"'),
        ("papers", "doi,topic\n", EmptyGraphError, "papers.csv has a row of names and no others"),
        ("papers", "", EmptyGraphError, "papers.csv is empty"),
        ("papers", "doi,topic\np7,a\np3\n", FileFormatError, "papers.csv, line 3: expected 2 columns, found 1"),
        ("papers", "doi,doi,topic\np7,1,a\n", FileFormatError, 'two columns called "doi"'),
        ("papers", "doi,topic\np7,\np3,\np9,\n", MissingLabelsError, 'papers.csv: column "topic" is empty'),
        (
            "papers", "doi,topic,n\np7,a,1\np3,b,\np9,c,2\n", NonFiniteError,
            r"papers.csv: Feature column 0 has NaN in 1 of 3 rows \(first: rows 1\)",
        ),
        ("papers", "doi,topic,n\np7,a,inf\np3,b,1\np9,c,2\n", NonFiniteError, "Feature column 0 has infinity"),
    ],
)  # fmt: skip
def test_wrong_tables(library: Path, file: str, text: str, kind: type[Exception], message: str) -> None:
    (library / f"{file}.csv").write_text(text)
    with pytest.raises(kind, match=message) as caught:
        gr.read(library)
    assert type(caught.value) is kind


def test_a_word_far_below_numbers(library: Path) -> None:
    rows = [f"p{i},a,{i}" for i in range(200)]
    put(library, papers__csv="\n".join(["doi,topic,n", *rows, "q,a,many"]))
    with pytest.raises(FileFormatError, match=r'papers.csv, line 202: column "n" has "many", which is no number'):
        gr.read(library)
    put(library, papers__csv="\n".join(["doi,topic,n,train", *(f"{row},1" for row in rows), "q,a,5,2"]))
    with pytest.raises(FileFormatError, match=r'papers.csv, row 201: "2" in column "train" is neither 0 nor 1'):
        gr.read(library)


def test_hints_speak_of_the_layout(library: Path) -> None:
    put(library, published__tsv="paper\tvenue\trole\np9\t30\tfirst\n")
    with pytest.raises(EdgeListError) as caught:
        gr.read(library)
    assert caught.value.hint == "weight = false in graph.toml to ignore that column"


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: np.savez(path, z=np.eye(3)), "x.npz: It holds no features .arrays: z"),
        (lambda path: np.savez(path, x=np.eye(4)), "x.npz: It has 4 rows but the table of paper has 3 nodes"),
        (lambda path: sp.save_npz(path, sp.csc_array(np.eye(3))), "x.npz: It holds a matrix that is not CSR"),
        (lambda path: path.write_text("no"), "x.npz"),
    ],
)
def test_wrong_features(library: Path, save: Callable[[Path], None], message: str) -> None:
    put(library, graph__toml=TOML.replace('label = "topic"', 'label = "topic"\nfeatures = "x.npz"'))
    save(library / "x.npz")
    with pytest.raises((FileFormatError, ShapeError), match=message):
        gr.read(library)


def test_features_that_lack_a_node(library: Path) -> None:
    put(library, graph__toml=TOML.replace('label = "topic"', 'label = "topic"\nfeatures = "x.csv"'))
    put(library, x__csv="doi,u\np7,1\np9,2\n")
    with pytest.raises(GraphrepError, match=r"x.csv has no features for paper 'p3'"):
        gr.read(library)
    put(library, x__csv="doi,u\np7,a\np9,b\np3,c\n")
    with pytest.raises(FileFormatError, match=r"x.csv has no column of numbers"):
        gr.read(library)


def test_options_that_do_not_apply(library: Path) -> None:
    with pytest.raises(GraphrepError, match="directed does not apply to a folder of relations"):
        gr.read(library, directed=True)
    with pytest.raises(GraphrepError, match="weight='share' does not apply to a folder"):
        gr.read(library, weight="share")
    with pytest.raises(GraphrepError, match="sep does not apply"):
        gr.read(library, sep=";")


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_folders_give_a_graph_or_a_typed_error(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    put(folder, graph__toml=TOML, papers__csv=PAPERS, writes__csv=WRITTEN, published__tsv=PUBLISHED)
    path = folder / data.draw(st.sampled_from(["graph.toml", "papers.csv", "writes.csv", "published.tsv"]))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.sampled_from(["change", "cut", "repeat", "drop"]))
        if kind == "change":
            raw[at] = data.draw(st.sampled_from(list(b'\0\n\r",;[]=~1ax\xff')))
        elif kind == "cut":
            del raw[at + 1 :]
        elif kind == "repeat":
            raw[at:at] = raw[at : at + data.draw(st.integers(1, 30))]
        else:
            del raw[at : at + data.draw(st.integers(1, 30))]
        raw = raw or bytearray(b"\n")
    path.write_bytes(raw)
    with warnings.catch_warnings(), contextlib.suppress(GraphrepError):
        warnings.simplefilter("ignore", GraphWarning)
        assert isinstance(gr.read(folder), gr.HeteroGraph)


# which folders


def test_which_folders_are_typed(tmp_path: Path) -> None:
    assert not is_typed_folder(tmp_path / "nothing")
    assert not is_typed_folder(put(tmp_path, my_to_graph__csv="1,2\n"))  # one table may be an ordinary edge list
    put(tmp_path, edges__csv="1,2\n")
    assert not is_typed_folder(tmp_path)
    with pytest.raises(FileFormatError, match="is a folder, but not one of OGB") as caught:
        gr.read(tmp_path)
    assert "graph.toml" in caught.value.hint
    put(tmp_path, nodes_to_my__csv="id\n1\n")
    assert is_typed_folder(tmp_path)
    with pytest.raises(FileFormatError, match=r"the name of edges.csv does not say which relation it holds"):
        gr.read(tmp_path)
    put(tmp_path, nodes_to_my__tsv="id\n1\n")
    (tmp_path / "edges.csv").unlink()
    with pytest.raises(FileFormatError, match=r"nodes-my.csv and nodes-my.tsv hold the same nodes"):
        gr.read(tmp_path)
    with pytest.raises(FileFormatError, match="There is no folder"):
        folder_layout(tmp_path / "nothing")


def test_what_the_commands_open(library: Path) -> None:
    assert open_hetero(library).name == "library"
    assert open_hetero(str(library), weight=False).edge_weight == {}
    with pytest.raises(DTypeError, match="several node types, which Graph cannot hold"):
        open_graph(library)
    put(library, plain__csv="1,2\n")
    with pytest.raises(DTypeError, match="has no typed nodes and edges"):
        open_hetero(library / "plain.csv")
    with pytest.raises(DTypeError, match="planetoid/cora, a data set of kind graph, has no typed"):
        open_hetero("cora")
    with pytest.raises(FileFormatError, match="The file of hetero/acm is not there"):
        open_hetero("acm", data_dir=library)
    with pytest.raises(UnknownNameError, match='Unknown data set "acn"'):
        open_hetero("acn")
    with pytest.raises(FileFormatError, match="There is no file"):
        open_hetero(library / "none.csv")
    with pytest.raises(GraphrepError, match="fill_nan applies to files"):
        open_hetero("acm", fill_nan=0.0)
    assert open_hetero(gr.to_pyg(gr.read(library))).num_nodes["paper"] == 3


def test_a_short_name_means_the_typed_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphrep.data import datasets

    monkeypatch.setattr(datasets, "_verify", lambda path, entry: None)
    (tmp_path / "hetero").mkdir()
    parts = {"num_p": 2, "num_a": 1, "rel_pa": [[0, 1], [0, 0]], "y": [0, 1], "target_type": "p"}
    np.savez(tmp_path / "hetero" / "acm.npz", **parts)
    graph = open_hetero("acm", data_dir=tmp_path)
    assert dict(graph.num_nodes) == {"p": 2, "a": 1}
