"""Edge tables in parquet and feather: columns, types, nulls, row groups, and damaged files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import graphrep as gr
from graphrep.errors import EdgeListError, EmptyGraphError, FileFormatError, NonFiniteError, UnknownNameError

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pyarrow.feather")

KINDS = pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])


def put(folder: Path, kind: str, columns: dict, **options) -> Path:
    """A table as a file of some kind, in pieces of three rows."""
    table = pa.table(columns)
    path = folder / ("e.parquet" if kind == "parquet" else "e.arrow")
    if kind == "parquet":
        pa.parquet.write_table(table, path, row_group_size=3, **options)
    else:
        opener = pa.ipc.new_file if kind == "feather" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, opener(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    return path


def links(graph: gr.Graph) -> Counter:
    ids = list(range(graph.num_nodes)) if graph.ids is None else graph.ids.tolist()
    weight = [1] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    return Counter((ids[u], ids[v], w) for (u, v), w in zip(graph.edge_index.t().tolist(), weight, strict=True))


@KINDS
@pytest.mark.parametrize("ids", ["text", "large", "dictionary", "int8", "uint64", "int64"])
def test_same_graph_as_from_text(tmp_path: Path, kind: str, ids: str) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 9, (2, 11))
    weight = rng.integers(1, 5, 11).astype(np.float32)
    types = {"text": pa.string(), "large": pa.large_string(), "dictionary": pa.string()}
    if ids in types:
        columns = [pa.array([f"é{v}" for v in end.tolist()], types[ids]) for end in ends]
        columns = [c.dictionary_encode() if ids == "dictionary" else c for c in columns]
        names = [[f"é{v}" for v in end.tolist()] for end in ends]
    else:
        columns = [pa.array(end.astype(ids)) for end in ends]
        names = ends.tolist()
    path = put(tmp_path, kind, {"src": columns[0], "dst": columns[1], "w": pa.array(weight)})
    (tmp_path / "e.csv").write_text("".join(f"{u},{v},{w}\n" for u, v, w in zip(*names, weight, strict=True)))
    for options in ({}, {"directed": True, "keep_self_loops": True}, {"raw": True}, {"weight": False}):
        mine, theirs = gr.read(path, **options), gr.read(tmp_path / "e.csv", **options)
        assert mine.edge_index.tolist() == theirs.edge_index.tolist()
        assert links(mine) == links(theirs)
        assert mine.report.rows == theirs.report.rows == 11
    assert (
        gr.read(path).report.lines()[0] == f"{path.name}: columns src, dst, w (used as weight; --no-weight to ignore)"
    )


def test_mixed_ids_become_text(tmp_path: Path) -> None:
    graph = gr.read(put(tmp_path, "parquet", {"a": [1, 2], "b": ["x", "1"]}), directed=True)
    assert links(graph) == {("1", "x", 1): 1, ("2", "1", 1): 1}


@KINDS
def test_columns(tmp_path: Path, kind: str) -> None:
    columns = {"when": [9, 8], "to": ["a", "b"], "from": ["b", "c"], "weight": [2.0, 3.0], "note": ["", None]}
    path = put(tmp_path, kind, columns)
    assert links(gr.read(path, directed=True)) == {("b", "a", 2): 1, ("c", "b", 3): 1}
    chosen = gr.read(path, source="to", target=2, weight="when", directed=True)
    assert links(chosen) == {("a", "b", 9): 1, ("b", "c", 8): 1}
    with pytest.raises(UnknownNameError, match='no column "who"'):
        gr.read(path, source="who")
    with pytest.raises(UnknownNameError, match='"to" cannot be both source and target'):
        gr.read(path, source="to", target="to")
    with pytest.raises(EdgeListError, match="found 4: a, b, c, d"):
        gr.read(put(tmp_path, kind, {k: [1] for k in "abcd"}))
    with pytest.raises(gr.GraphrepError, match="sep does not apply"):
        gr.read(path, sep=",")


@KINDS
@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"a": [1, 2, 3, None], "b": [1, 2, 3, 4]}, EdgeListError, r"row 3 \(from 0\): the source is missing"),
        ({"a": ["x"] * 5, "b": ["y"] * 4 + [None]}, EdgeListError, r"row 4 \(from 0\): the target is missing"),
        ({"a": ["x"] * 4, "b": ["y"] * 3 + [""]}, EdgeListError, r"row 3 \(from 0\): the target is empty"),
        ({"a": ["x"], "b": ["a\0b"]}, EdgeListError, "holds a NUL"),
        ({"a": [1.0, 2.0], "b": [1, 2]}, EdgeListError, 'column "a" holds double'),
        ({"a": [True], "b": [1]}, EdgeListError, 'column "a" holds bool'),
        ({"a": [1], "b": [2], "w": ["x"]}, EdgeListError, 'weight column "w" holds string'),
        ({"a": [1], "b": [2], "w": [None]}, EdgeListError, 'weight column "w" holds null'),
        ({"a": [1] * 4, "b": [2] * 4, "w": [1.0] * 3 + [None]}, EdgeListError, r"row 3 .*: the weight is missing"),
        ({"a": [1] * 4, "b": [2] * 4, "w": [1.0] * 3 + [np.nan]}, NonFiniteError, r"row 3 .*: the weight is nan"),
        ({"a": pa.array([2**63], pa.uint64()), "b": [1]}, EdgeListError, "ids end at"),
        ({"a": pa.array([], pa.int64()), "b": pa.array([], pa.int64())}, EmptyGraphError, "no rows"),
        ({"a": [1]}, EdgeListError, "has 1 columns"),
    ],
)
def test_bad_tables(tmp_path: Path, kind: str, columns: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gr.read(put(tmp_path, kind, columns))


@KINDS
def test_cut_and_foreign_files(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path, kind, {"a": list(range(50)), "b": list(range(50))})
    content = path.read_bytes()
    for share in (0.2, 0.6, 0.95):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(FileFormatError, match="is not a readable"):
            gr.read(path)
    path.write_text("1,2\n")
    with pytest.raises(FileFormatError, match="is not a readable"):
        gr.read(path)


def test_format_by_content(tmp_path: Path) -> None:
    for kind in ("parquet", "feather"):
        path = put(tmp_path, kind, {"a": [1, 2], "b": [2, 3]})
        path.rename(tmp_path / "unnamed")
        assert gr.read(tmp_path / "unnamed").ids.tolist() == [1, 2, 3]
