"""Tables of ratings: which column is which, ids, parts, what counts as an interaction, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import graphrep as gr
from graphrep.data.interaction_archive import write_interactions
from graphrep.data.ratings import RatingTable, read_ratings
from graphrep.errors import (
    DTypeError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)


def _file(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _rows(table: RatingTable) -> list[tuple[Any, ...]]:
    columns: list[Any] = [table.user_ids[table.user].tolist(), table.item_ids[table.item].tolist()]
    columns += [column.tolist() for column in (table.rating, table.time) if column is not None]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("userId,movieId,rating,timestamp\n1,10,3.5,99\n2,10,4,98\n", [(1, 10, 3.5, 99.0), (2, 10, 4.0, 98.0)]),
        ("rating;film;person\n5;Alien;ann\n1;Jaws;bob\n", [("ann", "Alien", 5.0), ("bob", "Jaws", 1.0)]),
        ("1::10::5::978300760\n2::11::3::978300761\n", [(1, 10, 5.0, 978300760.0), (2, 11, 3.0, 978300761.0)]),
        ("ann\tjaws\nbob\talien\n", [("ann", "jaws"), ("bob", "alien")]),
        ("# a comment\n7 8\n7 9\n", [(7, 8), (7, 9)]),
        ("1,10,978300760\n2,11,978300761\n", [(1, 10, 978300760.0), (2, 11, 978300761.0)]),
        ('who,what,stars\n"Lee, Ann","The ""It""",4\n', [("Lee, Ann", 'The "It"', 4.0)]),
        ("user,item,date\nu,i,1970-01-01T00:01:00Z\nu,j,1970-01-02\n", [("u", "i", 60.0), ("u", "j", 86400.0)]),
        ("person,film\nann,jaws\n", [("ann", "jaws")]),
    ],
)
def test_columns_are_found(tmp_path: Path, text: str, rows: list[tuple[Any, ...]]) -> None:
    assert _rows(read_ratings(_file(tmp_path, text))) == rows


def test_columns_that_are_named_win(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "user,day,lat,lon,spot\nu1,2010-10-19T23:55:27Z,30.2,-97.7,22847\nu2,2010-10-18,30.1,-97,4\n"
    )
    with pytest.raises(UnknownNameError, match=r"no column is known to hold the items; there are user, day, lat"):
        read_ratings(path)
    table = read_ratings(path, item="spot", time="day")
    assert table.item_ids.tolist() == [4, 22847]
    assert table.columns == {"user": "user", "item": "spot", "time": "day"}
    assert read_ratings(path, user=0, item="4").item_ids.tolist() == [4, 22847]


def test_a_missing_column_names_what_is_there(tmp_path: Path) -> None:
    path = _file(tmp_path, "user,item,rating\na,b,1\n")
    with pytest.raises(UnknownNameError, match=r't.csv has no column "stars"; it has user, item, rating') as caught:
        read_ratings(path, rating="stars")
    assert "--rating" in (caught.value.hint or "")
    with pytest.raises(UnknownNameError, match="cannot be both user and item"):
        read_ratings(path, user="user", item="user")


def test_ids_are_integers_only_if_all_are_written_as_such(tmp_path: Path) -> None:
    assert read_ratings(_file(tmp_path, "10,1\n9,1\n")).user_ids.tolist() == [9, 10]
    assert read_ratings(_file(tmp_path, "007,1\n7,1\n")).user_ids.tolist() == ["007", "7"]
    assert read_ratings(_file(tmp_path, f"{2**63},1\n7,1\n")).user_ids.tolist() == ["7", str(2**63)]


def test_the_order_of_the_rows_does_not_number_the_ids(tmp_path: Path) -> None:
    one = gr.read_interactions(_file(tmp_path, "c,x\na,y\nb,x\n", "a.csv"))
    other = gr.read_interactions(_file(tmp_path, "b,x\nc,x\na,y\n", "b.csv"))
    assert one.csr().to_scipy().toarray().tolist() == other.csr().to_scipy().toarray().tolist()
    assert np.array_equal(one.user_ids, other.user_ids)


def test_packed_text_parts_and_lists_of_items(tmp_path: Path) -> None:
    packed = tmp_path / "p.tsv.gz"
    packed.write_bytes(gzip.compress(b"user\titem\tpart\na\tx\ttrain\na\ty\ttest\nb\tx\tvalid\n"))
    seen = gr.read_interactions(packed)
    assert seen.parts == ("train", "val", "test")
    assert seen.name == "p"
    other = read_ratings(_file(tmp_path, "user,item,split\na,x,left\n"))
    assert other.part is None
    lists = read_ratings(_file(tmp_path, "0 5 6 7\n1 5\n2 6 7\n", "train.txt"))
    assert _rows(lists) == [(0, 5), (0, 6), (0, 7), (1, 5), (2, 6), (2, 7)]


def test_what_counts_as_an_interaction(tmp_path: Path) -> None:
    path = _file(tmp_path, "user,item,rating\na,x,5\na,y,1\nb,z,0\nb,x,4\n")
    every = gr.read_interactions(path)
    assert (every.num_rows, every.weight) == (4, None)
    liked = gr.read_interactions(path, min_rating=4)
    assert liked.item_ids.tolist() == ["x"]
    assert liked.num_users == 2
    counted = gr.read_interactions(path, implicit=True)
    assert counted.weight is not None
    assert counted.weight.tolist() == [5.0, 1.0, 4.0]
    with pytest.raises(EmptyGraphError, match="goes from 0 to 5"):
        gr.read_interactions(path, min_rating=6)
    with pytest.raises(GraphrepError, match="either weights or judged"):
        gr.read_interactions(path, min_rating=1, implicit=True)
    with pytest.raises(GraphrepError, match="no column of ratings"):
        gr.read_interactions(_file(tmp_path, "user,item\na,b\n"), implicit=True)


def test_negative_weights_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "user,item,score\na,x,5\na,y,-1\nb,z,-2\n")
    with pytest.raises(GraphrepError, match=r'2 of 3 values of "score" are negative \(first: row 2, -1\)'):
        gr.read_interactions(path, implicit=True)
    assert gr.read_interactions(path, min_rating=-1).num_rows == 2


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("user,item,rating\na,b,1\na,c,nan\n", NonFiniteError, "line 3: the rating is nan"),
        ("user,item,rating\na,b,1\na,c,\n", FileFormatError, "line 3: the rating is missing"),
        ("user,item,rating\na,b,good\n", FileFormatError, 'line 2: "good" is no number'),
        ("user,item,time\na,b,soon\n", FileFormatError, "neither a number nor a date"),
        ("user,item\na,b,c\n", FileFormatError, "line 2: expected 2 columns"),
        ("user,item\n,b\n", FileFormatError, "line 2: the user is empty"),
        ("user,item\n", EmptyGraphError, "no interactions"),
        ("# nothing\n", EmptyGraphError, "no interactions"),
        ("just words\nand more of them\n", FileFormatError, "expected|one column"),
        ("alone\nagain\n", FileFormatError, "has one column"),
        ("", EmptyGraphError, "is empty"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gr.read_interactions(_file(tmp_path, text))


def test_other_files_are_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("user,item\na,caf\xe9\n".encode("latin-1"))
    with pytest.raises(FileFormatError, match="line 2: not UTF-8"):
        gr.read_interactions(latin)
    with pytest.raises(FileFormatError, match="no file"):
        gr.read_interactions(tmp_path / "none.csv")
    sp.save_npz(tmp_path / "m.npz", sp.eye_array(3).tocsr())
    with pytest.raises(UnknownNameError, match="has no column"):
        gr.read_interactions(tmp_path / "m.npz", user="user")
    (tmp_path / "x.csv").write_bytes(b"PAR1xxxx")
    with pytest.raises(FileFormatError, match="parquet"):
        gr.read_interactions(tmp_path / "x.csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1xxxx")
    pytest.importorskip("pyarrow")
    with pytest.raises(FileFormatError, match="not a readable parquet"):
        gr.read_interactions(tmp_path / "x.parquet")


def test_arrays_and_parquet_say_the_same_as_text(tmp_path: Path) -> None:
    user, item, rating, time = ["b", "a", "b"], [7, 7, 9], [1.0, 2.0, 3.0], [5, 6, 7]
    text = _file(tmp_path, "user,item,rating,time\nb,7,1,5\na,7,2,6\nb,9,3,7\n")
    np.savez(tmp_path / "t.npz", user=user, item=item, rating=rating, time=time)
    tables = [read_ratings(text), read_ratings(tmp_path / "t.npz")]
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {"user": pa.array(user).dictionary_encode(), "item": item, "rating": rating, "time": time}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    tables.append(read_ratings(tmp_path / "t.parquet"))
    assert _rows(tables[0]) == _rows(tables[1]) == _rows(tables[2])
    pyarrow.parquet.write_table(pa.table({"user": ["a", None], "item": [1, 2]}), tmp_path / "n.parquet")
    with pytest.raises(NonFiniteError, match=r"row 1 \(from 0\): the user is missing"):
        read_ratings(tmp_path / "n.parquet")


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        (
            {"user": [1, 2], "item": [1, 2], "rating": [1, np.nan]},
            NonFiniteError,
            "row 1 .* rating is nan",
        ),
        ({"user": [1, 2], "item": [1, 2, 3]}, ShapeError, "several lengths"),
        ({"user": [1.5, 2], "item": [1, 2]}, DTypeError, "ids are integers or text"),
        ({"user": [1, 2], "item": [1, 2], "rating": ["a", "b"]}, DTypeError, "not numbers"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: Any, error: type[Exception], words: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(error, match=words):
        read_ratings(tmp_path / "x.npz")


def test_archives_of_interactions_come_back(tmp_path: Path) -> None:
    seen = gr.Interactions(
        [0, 1, 1], [1, 0, 1], [2.0, 1.0, 3.0], [5, 6, 7], part=[0, 2, 0], user_ids=["ann", "bób"], item_ids=[7, 9]
    )
    write_interactions(seen, tmp_path / "seen.npz")
    found = gr.read(tmp_path / "seen.npz")
    for part in ("train", "test"):
        rows, other = seen.rows(part), found.rows(part)
        for column in ("user", "item", "weight", "time"):
            assert getattr(seen, column)[rows].tolist() == getattr(found, column)[other].tolist()
    assert np.asarray(found.user_ids).tolist() == ["ann", "bób"]
    assert np.asarray(found.item_ids).tolist() == [7, 9]
    write_interactions(seen.replace(part=None), tmp_path / "whole.npz")
    assert gr.read(tmp_path / "whole.npz").parts == ("train",)
