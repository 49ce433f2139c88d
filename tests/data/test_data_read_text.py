"""Edge lists as text: values in many layouts, invariances, and the error for each way a file can be wrong."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.errors import EdgeListError, EmptyGraphError, FileFormatError, NonFiniteError, UnknownNameError

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12)


def write(folder: Path, content: str | bytes, name: str = "edges.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def links(graph: gr.Graph) -> dict[tuple[object, object], float]:
    """{(source id, destination id): weight} of all stored edges."""
    ids = range(graph.num_nodes) if graph.ids is None else graph.ids.tolist()
    weight = [1.0] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    return {(ids[u], ids[v]): w for (u, v), w in zip(graph.edge_index.t().tolist(), weight, strict=True)}


# values


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", " ", "   ", " \t "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_separator_and_line_end(tmp_path, separator, end, last) -> None:
    rows = [separator.join(r) for r in (("1", "2", "0.5"), ("2", "3", "2"), ("3", "10", "1e1"))]
    graph = gr.read(write(tmp_path, end.join(rows) + (end if last else "")))
    assert graph.ids.tolist() == [1, 2, 3, 10]
    assert graph.edge_index.tolist() == [[1, 0, 2, 1, 3, 2], [0, 1, 1, 2, 2, 3]]
    assert graph.edge_weight.tolist() == [0.5, 0.5, 2, 2, 10, 10]
    assert graph.report.rows == 3


def test_transcript_of_a_weighted_file_with_names(tmp_path) -> None:
    text = "author_a,author_b,papers\nann,bob,2\nbob,ann,3\ncat,cat,1\nbob,dan,1\neve,fay,1\n"
    graph = gr.read(write(tmp_path, gzip.compress(text.encode()), "collab.csv.gz"))
    assert graph.report.lines() == [
        "collab.csv.gz: columns author_a, author_b, papers (used as weight; --no-weight to ignore)",
        "  read 5 rows: 6 nodes (ids kept as text), 3 edges",
        "  merged 1 repeated edge (weights summed), dropped 1 self-loop, 3 components, 1 isolated node",
    ]
    assert links(graph)["ann", "bob"] == links(graph)["bob", "ann"] == 5
    assert graph.name == "collab"
    assert graph.is_undirected()
    assert graph.report.one_way == 2
    assert graph.report.to_dict()["weight"] == "papers"


def test_comments_blank_lines_and_a_byte_order_mark(tmp_path) -> None:
    graph = gr.read(write(tmp_path, "\ufeff# made today\n%\n\n0 1\n   \n# more\n1 2\n"))
    assert graph.ids is None
    assert graph.num_edges == 4
    hashes = gr.read(write(tmp_path, "#tag one\n#other one\n"), comment="%")
    assert hashes.ids.tolist() == ["#other", "#tag", "one"]


def test_quotes(tmp_path) -> None:
    content = '"Hopper, Grace", "Ada ""the first"""\n"Ada ""the first""",plain\n'
    graph = gr.read(write(tmp_path, content))
    assert graph.ids.tolist() == ['Ada "the first"', "Hopper, Grace", "plain"]
    spaces = gr.read(write(tmp_path, '"Grace Hopper" Ada\nAda "x y"\n'))
    assert spaces.ids.tolist() == ["Ada", "Grace Hopper", "x y"]
    assert gr.read(write(tmp_path, '"1","2"\n')).ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "header", "names"),
    [
        ("source,target\na,b\n", True, ("source", "target")),
        ("From;To\na;b\n", True, ("From", "To")),
        ("x y\n1 2\n2 3\n", True, ("x", "y")),
        ("a,b,w\nann,bob,2\nbob,cat,1\n", True, ("a", "b", "w")),
        ("ann,bob\nbob,cat\n", False, ("column 1", "column 2")),
        ("1,2\n2,3\n", False, ("column 1", "column 2")),
        ("id,source,target\n7,a,b\n8,b,c\n", True, ("source", "target", "id")),
        ("Source,Target,Type,Weight\n1,2,Undirected,3\n2,3,Undirected,4\n", True, ("Source", "Target", "Weight")),
    ],
)
def test_header(tmp_path, content, header, names) -> None:
    graph = gr.read(write(tmp_path, content))
    assert graph.report.header is header
    assert graph.report.columns == names


def test_header_can_be_forced(tmp_path) -> None:
    path = write(tmp_path, "ann,bob\nbob,cat\n")
    assert gr.read(path, header=True).ids.tolist() == ["bob", "cat"]
    assert gr.read(write(tmp_path, "x,y\n1,2\n"), header=False).ids.tolist() == ["1", "2", "x", "y"]


def test_columns_can_be_chosen(tmp_path) -> None:
    path = write(tmp_path, "time,who,whom,much\n9,1,2,0.5\n8,2,3,1.5\n")
    by_name = gr.read(path, source="who", target="WHOM", weight="much")
    by_number = gr.read(path, source=1, target=2, weight=3)
    assert links(by_name) == links(by_number) == {(1, 2): 0.5, (2, 1): 0.5, (2, 3): 1.5, (3, 2): 1.5}
    assert gr.read(path, source=1, target=2, weight=False).edge_weight is None
    with pytest.raises(UnknownNameError, match='no column "from"') as caught:
        gr.read(path, source="from", target=2)
    assert "time, who, whom, much" in caught.value.hint
    with pytest.raises(UnknownNameError, match="no column 4; the file has 4"):
        gr.read(path, source=1, target=4)


def test_weights_can_be_ignored(tmp_path) -> None:
    path = write(tmp_path, "1 2 0.5\n2 1 7\n2 3 x\n")
    graph = gr.read(path, weight=False)
    assert graph.edge_weight is None
    assert graph.num_edges == 4
    with pytest.raises(EdgeListError, match="No weight column"):
        gr.read(write(tmp_path, "1 2\n"), weight=True)


def test_directed_keeps_direction_and_loops_can_stay(tmp_path) -> None:
    path = write(tmp_path, "1,2,5\n1,2,6\n2,1,1\n3,3,4\n1,3,1\n")
    directed = gr.read(path, directed=True)
    assert links(directed) == {(1, 2): 11, (2, 1): 1, (1, 3): 1}
    assert not directed.is_undirected()
    assert directed.report.one_way == 1
    assert "directed edges" in directed.report.lines()[1]
    looped = gr.read(path, directed=True, keep_self_loops=True)
    assert links(looped)[3, 3] == 4
    assert looped.report.self_loops == 1
    assert links(gr.read(path, keep_self_loops=True))[3, 3] == 4


def test_a_list_with_both_directions_is_not_doubled(tmp_path) -> None:
    graph = gr.read(write(tmp_path, "a,b,2\nb,a,2\nb,c,1\nc,b,1\n"))
    assert links(graph) == {("a", "b"): 2, ("b", "a"): 2, ("b", "c"): 1, ("c", "b"): 1}
    assert graph.report.mirrored
    assert graph.report.merged == 0
    assert "each listed in both directions" in graph.report.lines()[1]
    assert links(gr.read(write(tmp_path, "a,b,2\nb,a,3\nb,c,1\nc,b,1\n")))["a", "b"] == 5


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ("0 1\n1 2\n", None),
        ("1 2\n2 3\n", [1, 2, 3]),
        ("-5 7\n7 1000000000000\n", [-5, 7, 1000000000000]),
        ("007 8\n7 8\n", ["007", "7", "8"]),
        ("+1 2\n", ["+1", "2"]),
        ("1.0 2.0\n", ["1.0", "2.0"]),
        ("12345678901234567890 1\n", ["1", "12345678901234567890"]),
        ("1 2\n2 b\n", ["1", "2", "b"]),
        ("10 9\n9 a\n", ["10", "9", "a"]),
    ],
)
def test_integer_and_text_ids(tmp_path, rows, ids) -> None:
    graph = gr.read(write(tmp_path, rows))
    assert (graph.ids if ids is None else graph.ids.tolist()) == ids
    assert graph.report.text_ids == isinstance((ids or [0])[0], str)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_told_by_content(tmp_path, pack) -> None:
    graph = gr.read(write(tmp_path, pack(b"a b\nb c\n"), "edges.csv"))
    assert graph.num_nodes == 3


def test_extensions_without_meaning_are_text(tmp_path) -> None:
    assert gr.read(write(tmp_path, "0 1\n", "graph")).num_nodes == 2
    assert gr.read(write(tmp_path, "0 1\n", "out.ucidata")).num_nodes == 2


# properties


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, st.integers(-99, 99)), min_size=1, max_size=30),
    weighted=st.booleans(),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives_and_order_does_not_matter(tmp_path, rows, weighted, random) -> None:
    def write_rows(name):
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, quoting=csv.QUOTE_ALL)
            out.writerows([r if weighted else r[:2] for r in rows])
        return gr.read(path, sep=",", header=False)

    first = write_rows("a.csv")
    random.shuffle(rows)
    second = write_rows("b.csv")
    assert torch.equal(first.edge_index, second.edge_index)
    assert links(first) == links(second)
    names = sorted({r[0] for r in rows} | {r[1] for r in rows})
    if first.report.text_ids:
        assert first.ids.tolist() == names
    ids = range(first.num_nodes) if first.ids is None else first.ids.tolist()
    assert {str(i) for i in ids} == set(names)
    assert {(str(u), str(v)) for u, v in links(first)} == {
        p for r in rows if r[0] != r[1] for p in ((r[0], r[1]), (r[1], r[0]))
    }


@given(
    edges=st.lists(st.tuples(st.integers(-(10**17), 10**17), st.integers(-9, 9)), min_size=1, max_size=40),
    spread=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_integer_ids_dense_or_not(tmp_path, edges, spread) -> None:
    edges = edges if spread else [(u % 50, v) for u, v in edges]
    graph = gr.read(write(tmp_path, "".join(f"{u} {v}\n" for u, v in edges)))
    ids = sorted({i for pair in edges for i in pair})
    assert (list(range(graph.num_nodes)) if graph.ids is None else graph.ids.tolist()) == ids
    assert set(links(graph)) == {p for u, v in edges if u != v for p in ((u, v), (v, u))}


def test_many_ids_make_the_tables_grow(tmp_path) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 60_000, (2, 50_000))
    expected = {p for u, v in ends.T.tolist() if u != v for p in ((u, v), (v, u))}
    text = "".join(f"node-with-a-long-name-{u:06d},node-with-a-long-name-{v:06d}\n" for u, v in ends.T.tolist())
    graph = gr.read(write(tmp_path, text))
    assert {(int(u[-6:]), int(v[-6:])) for u, v in links(graph)} == expected
    assert graph.ids.tolist() == sorted(graph.ids.tolist())
    sparse = gr.read(write(tmp_path, "".join(f"{u * 1_000_003},{v * 1_000_003}\n" for u, v in ends.T.tolist())))
    assert {(u // 1_000_003, v // 1_000_003) for u, v in links(sparse)} == expected


def test_one_long_line_makes_the_arena_grow(tmp_path) -> None:
    graph = gr.read(write(tmp_path, f"{'x' * 3_000_000},y\n"))
    assert [len(i) for i in graph.ids] == [3_000_000, 1]


# errors


@pytest.mark.parametrize(
    ("content", "options", "message", "hint"),
    [
        (
            "1;2\n3;4\nalice\n5;6\n",
            {"sep": ","},
            r'^edges.csv, line 1: expected 2 or 3 columns \(source, target\[, weight\]\), found 1: "1;2"\.\n',
            r'^--sep ";" if the file uses semicolons \(it does on 3 of 4 lines\)\.$',
        ),
        ("a,b\nb,c\n\n# note\nalice\n", {}, 'line 5: expected 2 or 3 columns .*, found 1: "alice"', "remove that line"),
        ("a,b\nb,c,d,e\n", {}, "line 2: expected 2 or 3 columns .*, found 4", "--columns"),
        ("a,b\nb,c,3\n", {}, "line 2: expected 2 columns as in the first row, found 3", "remove that line"),
        ("a,b,c,d\n1,2,3,4\n", {}, "line 1: expected 2 or 3 columns .*, found 4", "--columns S,T"),
        ("a\r\nb\r\n", {}, "line 1: expected 2 or 3 columns .*, found 1", "remove"),
        ("1,2,3\n1,2,x\n", {}, 'line 2: the weight "x" is not a number', "--no-weight"),
        ("1;2;3\n1;2;0,5\n", {}, 'line 2: the weight "0,5" is not a number', "decimal points, not commas"),
        ("1,2,3\n1,2,\n", {}, 'line 2: the weight "" is not a number', "--no-weight"),
        ("1,2\n1,\n", {}, 'line 2: the target is empty: "1,"', "fill it in"),
        ("a,b\n,b\n", {}, "line 2: the source is empty", "fill it in"),
        ('a,b\n"a,b\n', {}, "line 2: a quote is not closed", "double a quote"),
        ('a,b\n"a"x,b\n', {}, "line 2: a quote is not closed, or text follows it", "double a quote"),
        (b"a,b\nb,caf\xe9\n", {}, r"line 2: b'caf\\xe9' is not UTF-8", "iconv"),
    ],
)
def test_bad_rows_are_named_with_their_line(tmp_path, content, options, message, hint) -> None:
    with pytest.raises(EdgeListError, match=message) as caught:
        gr.read(write(tmp_path, content), **options)
    assert re.search(hint, caught.value.hint)


@pytest.mark.parametrize("bad", ["nan", "inf", "-Infinity", "1e400"])
def test_weights_must_be_finite(tmp_path, bad) -> None:
    with pytest.raises(NonFiniteError, match=f"line 3: the weight is {bad}"):
        gr.read(write(tmp_path, f"a b 1\nb c 2\nc d {bad}\n"))


@pytest.mark.parametrize("content", ["", "\n\n", "# only\n% comments\n"])
def test_files_without_rows(tmp_path, content) -> None:
    with pytest.raises(EmptyGraphError, match=r"edges\.csv (is empty|has no rows)") as caught:
        gr.read(write(tmp_path, content))
    assert "one edge per line" in caught.value.hint


def test_a_header_alone(tmp_path) -> None:
    with pytest.raises(EmptyGraphError, match="a header and no rows"):
        gr.read(write(tmp_path, "source,target\n"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x80\x04\x95rest", "a Python pickle"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
        (b"a,b\n\x00\x01\x02", r"binary \(byte 0 at position 4\)"),
        (b"PAR1xxxx", "a parquet file"),
    ],
)
def test_other_kinds_of_file(tmp_path, content, what) -> None:
    with pytest.raises(FileFormatError, match=f"is not a text file but .*{what}"):
        gr.read(write(tmp_path, content))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("cut", [0.5, 0.95])
def test_truncated_archives(tmp_path, pack, cut) -> None:
    packed = pack("".join(f"{i * 7919 % 1009},{i}\n" for i in range(3000)).encode())
    with pytest.raises(FileFormatError, match="damaged or truncated"):
        gr.read(write(tmp_path, packed[: int(len(packed) * cut)], "edges.csv.gz"))


def test_missing_files_folders_and_unreadable_kinds(tmp_path) -> None:
    with pytest.raises(FileFormatError, match="There is no file"):
        gr.read(tmp_path / "no.csv")
    with pytest.raises(FileFormatError, match="is a folder"):
        gr.read(tmp_path)
    with pytest.raises(FileFormatError, match="is a Python pickle, which graphrep never opens"):
        gr.read(write(tmp_path, "x", "g.pkl"))


def test_bad_options(tmp_path) -> None:
    path = write(tmp_path, "a b\n")
    with pytest.raises(UnknownNameError, match="must be one character; got 'ab'"):
        gr.read(path, sep="ab")
    with pytest.raises(gr.GraphrepError, match="edges does not apply"):
        gr.read(path, edges="raw_edge_index")
    for name in ("tab", "space", "comma"):
        char = {"tab": "\t", "space": " ", "comma": ","}[name]
        assert gr.read(write(tmp_path, f"a{char}b\n"), sep=name).num_nodes == 2


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from([b"a", b"1", b",", b";", b" ", b"\t", b'"', b"\n", b"\r", b"#", b"-", b".", b"\xc3"])
        ).map(b"".join),
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_graph_or_a_clear_error(tmp_path, content) -> None:
    try:
        graph = gr.read(write(tmp_path, content))
    except gr.GraphrepError as caught:
        error = caught
    else:
        error = None
        assert graph.num_nodes > 0
        assert graph.report.edges == graph.num_edges // 2
    assert error is None or error.hint or "edges.csv" in error.message
