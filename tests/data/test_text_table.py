"""TextTable: batches against lists, cuts, folders, digests, errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.data import TextTable
from graphrep.data.text_table import length_buckets
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, IndexRangeError, ShapeError


def letters(texts: list[str]) -> list[list[int]]:
    return [[ord(letter) for letter in text] for text in texts]


texts_of_letters = st.lists(st.text("abcdefgh", max_size=9), min_size=1, max_size=12)


@given(texts=texts_of_letters, seed=st.integers(0, 99), int32=st.booleans(), cut=st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_batches_are_the_padded_lists(texts: list[str], seed: int, int32: bool, cut: int) -> None:
    table = TextTable.from_texts(texts, letters)
    index = torch.randint(len(texts), (5,), generator=torch.Generator().manual_seed(seed))
    ids, mask = table.batch(index.int() if int32 else index, max_length=cut)
    wanted = [letters([texts[i]])[0][:cut] for i in index.tolist()]
    width = max(1, *(len(row) for row in wanted))
    assert ids.tolist() == [row + [0] * (width - len(row)) for row in wanted]
    assert mask.tolist() == [[1] * max(1, len(row)) + [0] * (width - max(1, len(row))) for row in wanted]
    assert ids.dtype == mask.dtype == torch.int64
    assert table.lengths.tolist() == [max(1, len(text)) for text in texts]
    assert table.num_tokens == sum(map(len, texts))


@given(lengths=st.lists(st.integers(1, 40), max_size=30), most=st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_buckets_keep_to_the_tokens(lengths: list[int], most: int) -> None:
    sizes = torch.tensor(lengths, dtype=torch.int64)
    parts = length_buckets(sizes, most)
    assert sorted(int(i) for part in parts for i in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or len(part) * int(sizes[part].max()) <= most
    longest = [int(sizes[part].max()) for part in parts]
    assert longest == sorted(longest, reverse=True)


def test_buckets_are_parts_of_the_index() -> None:
    table = TextTable.from_texts(["a", "abc", "ab", ""], letters)
    assert [part.tolist() for part in table.buckets(torch.tensor([3, 1, 0]), max_tokens=2)] == [[1], [3, 0]]
    assert [part.tolist() for part in table.buckets(max_tokens=100)] == [[1, 2, 0, 3]]


def test_a_cut_keeps_the_special_tokens_at_the_end() -> None:
    ids = np.array([7, 1, 2, 3, 9, 7, 9], dtype=np.int64)
    table = TextTable(ids, np.array([0, 5, 7]), num_suffix=1)
    assert table.batch(torch.tensor([0, 1]), max_length=3)[0].tolist() == [[7, 1, 9], [7, 9, 0]]
    with pytest.raises(GraphrepError, match="max_length is 1"):
        table.batch(torch.tensor([0]), max_length=1)


def test_a_text_without_tokens_attends_to_one_padding_token() -> None:
    table = TextTable.from_texts(["", "ab"], letters)
    ids, mask = table.batch(torch.tensor([0]))
    assert (ids.tolist(), mask.tolist()) == ([[0]], [[1]])
    none = TextTable.from_texts([], letters)
    assert (len(none), none.num_tokens, none.buckets()) == (0, 0, [])
    assert TextTable.from_texts([""], letters).batch(torch.tensor([0, 0]))[1].tolist() == [[1], [1]]


@pytest.mark.parametrize(
    ("largest", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32)]
)
def test_smallest_type_in_memory_and_in_a_folder(tmp_path: Path, largest: int, dtype: type) -> None:
    """A large id comes late, so that what is in the file already must be widened."""
    texts = ["x"] * 5000 + ["big", ""]

    def tokenizer(some: list[str]) -> list[list[int]]:
        return [[largest] if text == "big" else [3, 4] if text else [] for text in some]

    held = TextTable.from_texts(texts, tokenizer)
    kept = TextTable.from_texts(texts, tokenizer, path=tmp_path / "t")
    again = TextTable.open(tmp_path / "t")
    assert held.ids.dtype == kept.ids.dtype == again.ids.dtype == dtype
    assert np.array_equal(held.ids, kept.ids)
    assert np.array_equal(held.ids, again.ids)
    assert np.array_equal(held.offsets, again.offsets)
    assert held.digest == kept.digest == again.digest
    assert isinstance(again.ids, np.memmap)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["t"]


def test_a_table_is_replaced_and_other_folders_are_not(tmp_path: Path) -> None:
    TextTable.from_texts(["a"], letters, path=tmp_path / "t")
    TextTable.from_texts(["b", "c"], letters, path=tmp_path / "t")
    assert len(TextTable.open(tmp_path / "t")) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(GraphrepError, match="no text table"):
        TextTable.from_texts(["a"], letters, path=tmp_path / "mine")


def test_nothing_is_left_of_a_run_that_fails(tmp_path: Path) -> None:
    def failing(some: list[str]) -> list[list[int]]:
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        TextTable.from_texts(["a"], failing, path=tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_empty_table_in_a_folder(tmp_path: Path) -> None:
    TextTable.from_texts([], letters, path=tmp_path / "t")
    TextTable.from_texts(["", ""], letters, path=tmp_path / "u")
    assert (len(TextTable.open(tmp_path / "t")), len(TextTable.open(tmp_path / "u"))) == (0, 2)
    assert TextTable.open(tmp_path / "u").batch(torch.tensor([1]))[0].tolist() == [[0]]


def test_digest_is_of_tokens_and_bounds() -> None:
    def of(*texts: str) -> str:
        return TextTable.from_texts(texts, letters).digest

    assert of("ab", "c") == of("ab", "c")
    assert len({of("ab", "c"), of("a", "bc"), of("abc"), of("c", "ab"), of("ab", "c", "")}) == 5
    wide = TextTable(np.array([97, 98, 99], dtype=np.int64), np.array([0, 2, 3]))
    assert wide.digest == of("ab", "c")


def test_progress_and_streams() -> None:
    seen: list[tuple[int, int | None]] = []
    table = TextTable.from_texts(["a"] * 5000, letters, progress=lambda *a: seen.append(a))
    assert seen == [(4096, 5000), (5000, 5000)]
    stream = TextTable.from_texts((str(t) for t in ["a"] * 3), letters, progress=lambda *a: seen.append(a))
    assert seen[-1] == (3, None)
    assert (len(table), len(stream)) == (5000, 3)
    numpy_texts = np.array(["ab", ""], dtype=np.dtypes.StringDType())
    assert TextTable.from_texts(numpy_texts, letters).lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "ids.npy").write_bytes(b"\x93NUMPY"), "damaged"),
        (lambda folder: (folder / "ids.npy").unlink(), "damaged"),
        (lambda folder: (folder / "offsets.npy").write_bytes(b""), "damaged"),
        (lambda folder: np.save(folder / "offsets.npy", np.array([0, 3, 2])), "does not cut"),
        (lambda folder: np.save(folder / "offsets.npy", np.array([0, 2])), "offsets.npy holds"),
        (lambda folder: np.save(folder / "ids.npy", np.zeros(3)), "ids.npy holds float64"),
        (lambda folder: (folder / "table.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "table.json").write_text('{"graphrep": "x"}'), "damaged"),
        (lambda folder: (folder / "table.json").unlink(), "holds no text table"),
    ],
)
def test_damaged_folders(tmp_path: Path, damage: object, message: str) -> None:
    TextTable.from_texts(["ab", ""], letters, path=tmp_path / "t")
    damage(tmp_path / "t")  # type: ignore[operator]
    with pytest.raises(FileFormatError, match=message):
        TextTable.open(tmp_path / "t")


def test_folder_of_another_format(tmp_path: Path) -> None:
    TextTable.from_texts(["ab"], letters, path=tmp_path / "t")
    manifest = json.loads((tmp_path / "t" / "table.json").read_text())
    (tmp_path / "t" / "table.json").write_text(json.dumps({**manifest, "graphrep": "text table 9"}))
    with pytest.raises(FileFormatError, match="its format is 'text table 9'"):
        TextTable.open(tmp_path / "t")


def test_errors() -> None:
    with pytest.raises(DTypeError, match="text 1 is None"):
        TextTable.from_texts(["a", None], letters)  # type: ignore[list-item]
    with pytest.raises(DTypeError, match="one string"):
        TextTable.from_texts("abc", letters)
    with pytest.raises(DTypeError, match="cannot be called"):
        TextTable.from_texts(["a"], 3)
    with pytest.raises(GraphrepError, match="1 lists for 2 texts"):
        TextTable.from_texts(["a", "b"], lambda some: [[1]])
    with pytest.raises(IndexRangeError, match="id -1 for text 1"):
        TextTable.from_texts(["a", "b"], lambda some: [[1], [-1]])
    with pytest.raises(DTypeError, match="token ids are integers"):
        TextTable.from_texts(["a"], lambda some: [[0.5]])
    with pytest.raises(GraphrepError, match="max_length is 0"):
        TextTable.from_texts(["a"], letters, max_length=0)
    with pytest.raises(FileFormatError, match="no model directory"):
        TextTable.from_texts(["a"], "no/such/folder")
    table = TextTable.from_texts(["ab"], letters)
    with pytest.raises(IndexRangeError, match="index refers to 1"):
        table.batch(torch.tensor([1]))
    with pytest.raises(DTypeError, match="index must hold integers"):
        table.batch(torch.tensor([0.0]))
    with pytest.raises(GraphrepError, match="max_tokens is 0"):
        table.buckets(max_tokens=0)
    with pytest.raises(ShapeError, match="do not fit"):
        TextTable(np.zeros(3, dtype=np.uint8), np.array([0, 2]))
    with pytest.raises(DTypeError, match="integers are needed"):
        TextTable(np.zeros(2), np.array([0, 2]))
    assert repr(table) == "TextTable(1 texts, 2 tokens, at most 128 each)"


def test_a_transformers_tokenizer() -> None:
    pytest.importorskip("transformers")
    from graphrep.nn import small_bert

    tokenizer = small_bert(["graphs of texts", "texts, graphs"], vocab_size=64, dim=8, epochs=0).tokenizer
    table = TextTable.from_texts(["graphs", "", "texts of graphs and texts of graphs"], tokenizer, max_length=5)
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids, mask = table.batch(torch.arange(3))
    assert ids[:, 0].tolist() == [start] * 3
    assert ids[1].tolist() == [start, end, tokenizer.pad_token_id, tokenizer.pad_token_id, tokenizer.pad_token_id]
    assert mask[1].tolist() == [1, 1, 0, 0, 0]
    assert (table.num_suffix, table.pad_id, int(ids[2, -1])) == (1, tokenizer.pad_token_id, end)
    whole = TextTable.from_texts(["texts of graphs and texts of graphs"], tokenizer)
    cut, _ = whole.batch(torch.tensor([0]), max_length=5)
    assert torch.equal(cut[0], ids[2])
    assert table.tokenizer_digest == whole.tokenizer_digest  # the length of the cut is not part of it
