"""TAPE's parts: text features with and without fine-tuning, ranked guesses, the vote, explanations from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.data import Graph, NodeTexts, TextTable, read_texts
from graphrep.errors import (
    CheckpointMismatchError,
    DTypeError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    IndexRangeError,
    MissingLabelsError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.methods import ensemble, text_features, top_class_features
from graphrep.nn import SmallBert, TextEncoder, encode_texts, small_bert

TEXTS = [f"{['red', 'green', 'blue'][i % 3]} {['sun', 'moon'][i % 2]}" for i in range(24)]
Y = [i % 3 for i in range(24)]


@pytest.fixture(scope="module")
def bert() -> SmallBert:
    pytest.importorskip("transformers")
    return small_bert(TEXTS, vocab_size=64, dim=16, num_heads=2, max_length=16, epochs=0)


def test_as_it_is(bert: SmallBert, tmp_path: Path) -> None:
    encoder = TextEncoder(bert.model)
    table = TextTable.from_texts(TEXTS, bert.tokenizer)
    wanted = encode_texts(encoder, table, precision="float32")
    encoder.save(tmp_path / "lm", bert.tokenizer)
    for given_texts, options in (
        (TEXTS, {"encoder": encoder, "tokenizer": bert.tokenizer}),
        (table, {"encoder": encoder}),
        (TEXTS, {"encoder": tmp_path / "lm"}),
    ):
        found = text_features(given_texts, precision="float32", **options)  # type: ignore[arg-type]
        torch.testing.assert_close(found.features, wanted)
        assert found.probabilities is None
        assert found.history is None


def test_fine_tuning_learns_and_repeats_itself(bert: SmallBert, tmp_path: Path) -> None:
    encoder = TextEncoder(bert.model)
    before = encoder.digest()
    options: dict[str, Any] = {
        "encoder": encoder, "tokenizer": bert.tokenizer, "finetune": True, "train_idx": np.arange(24) < 12,
        "epochs": 10, "lr": 1e-2, "batch_size": 4, "precision": "float32",
    }  # fmt: skip
    found = text_features(TEXTS, y=Y, **options)
    assert encoder.digest() == before  # a copy is trained
    assert found.encoder.digest() != before
    assert found.probabilities is not None
    assert found.probabilities.argmax(1).tolist() == Y
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(24))
    assert found.history is not None
    assert found.history.losses[-1] < found.history.losses[0]
    hidden_test_labels = [label if i < 12 else -1 for i, label in enumerate(Y)]
    torch.manual_seed(9)
    again = text_features(TEXTS, y=hidden_test_labels, **options)
    assert torch.equal(again.features, found.features)  # nothing outside train_idx was looked at
    assert not torch.equal(text_features(TEXTS, y=Y, seed=1, **options).features, found.features)


def test_a_stopped_fine_tuning_goes_on(bert: SmallBert, tmp_path: Path) -> None:
    from graphrep.train import Interrupted

    options: dict[str, Any] = {
        "encoder": TextEncoder(bert.model), "tokenizer": bert.tokenizer, "finetune": True, "y": Y,
        "train_idx": range(12), "epochs": 4, "lr": 1e-3, "precision": "float32",
    }  # fmt: skip
    whole = text_features(TEXTS, **options)
    with pytest.raises(Interrupted):
        text_features(TEXTS, **options, checkpoint=tmp_path / "c", should_stop=lambda: True)
    rest = text_features(TEXTS, **options, checkpoint=tmp_path / "c", resume=True)
    assert torch.equal(rest.features, whole.features)
    with pytest.raises(CheckpointMismatchError):
        text_features(TEXTS[::-1], **options, checkpoint=tmp_path / "c", resume=True)


def test_a_directory_is_tuned_by_its_first_token(bert: SmallBert, tmp_path: Path) -> None:
    TextEncoder(bert.model).save(tmp_path / "lm", bert.tokenizer)
    options: dict[str, Any] = {"encoder": tmp_path / "lm", "finetune": True, "y": Y, "train_idx": range(12)}
    found = text_features(TEXTS, **options, epochs=1, train_layers=1)
    assert (found.encoder.pooling, found.encoder.normalize) == ("cls", False)
    assert text_features(TEXTS, encoder=tmp_path / "lm").encoder.pooling == "mean"
    weights = found.encoder.model.state_dict()
    moved = [name for name, old in bert.model.state_dict().items() if not torch.equal(old, weights[name])]
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)


def test_errors_of_features(bert: SmallBert) -> None:
    encoder = TextEncoder(bert.model)
    options: dict[str, Any] = {"encoder": encoder, "tokenizer": bert.tokenizer}
    tuned: dict[str, Any] = {**options, "finetune": True, "y": Y, "train_idx": [0]}
    with pytest.raises(GraphrepError, match="does not know its tokenizer"):
        text_features(TEXTS, encoder=encoder)
    with pytest.raises(GraphrepError, match="there is no text"):
        text_features([], **options)
    with pytest.raises(GraphrepError, match="no effect here"):
        text_features(TEXTS, y=Y, **options)
    with pytest.raises(MissingLabelsError, match="learns from labels"):
        text_features(TEXTS, finetune=True, **options)
    with pytest.raises(MissingLabelsError, match="train_idx is empty"):
        text_features(TEXTS, **{**tuned, "train_idx": []})
    with pytest.raises(MissingLabelsError, match="text 0 of train_idx has no label"):
        text_features(TEXTS, **{**tuned, "y": [-1] * 24})
    with pytest.raises(ShapeError, match=r"got \(3,\) for 24 texts"):
        text_features(TEXTS, **{**tuned, "y": [0, 1, 2]})
    with pytest.raises(IndexRangeError):
        text_features(TEXTS, **{**tuned, "train_idx": [24]})
    with pytest.raises(GraphrepError, match="batch_size is 0"):
        text_features(TEXTS, **tuned, batch_size=0)
    with pytest.raises(GraphrepError, match=r"label_smoothing is 1\.0"):
        text_features(TEXTS, **tuned, label_smoothing=1.0)
    with pytest.raises(DTypeError, match="encoder is a int"):
        text_features(TEXTS, encoder=3, tokenizer=bert.tokenizer)  # type: ignore[arg-type]
    function = TextEncoder(lambda input_ids, attention_mask: torch.ones(*input_ids.shape, 2))
    with pytest.raises(GraphrepError, match="cannot be trained"):
        text_features(TEXTS, **{**tuned, "encoder": function})


# ---- ranked guesses and the vote


@given(
    rows=st.lists(st.lists(st.integers(-1, 4), min_size=3, max_size=3), max_size=6),
    int32=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_guesses_by_loops(rows: list[list[int]], int32: bool) -> None:
    guesses = torch.tensor(rows, dtype=torch.int32 if int32 else torch.int64).reshape(-1, 3)
    if any(len({g for g in row if g >= 0}) < sum(g >= 0 for g in row) for row in rows):
        with pytest.raises(GraphrepError, match="guesses a class twice"):
            top_class_features(guesses, 5)
        return
    wanted = torch.zeros(len(rows), 15)
    for i, row in enumerate(rows):
        for rank, guess in enumerate(row):
            if guess >= 0:
                wanted[i, rank * 5 + guess] = 1
    found = top_class_features(guesses, 5)
    assert found.layout == torch.sparse_csr
    assert torch.equal(found.to_dense(), wanted)


def test_guesses_are_features_of_a_graph() -> None:
    x = top_class_features(torch.tensor([[1, 0], [0, -1]]), 2)
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), x=x)
    assert graph.x is not None
    assert graph.x.shape == (2, 4)
    for wrong, error in (
        (torch.tensor([[5]]), IndexRangeError),
        (torch.tensor([[-2]]), IndexRangeError),
        (torch.tensor([[0.5]]), DTypeError),
        (torch.tensor([1]), ShapeError),
    ):
        with pytest.raises(error):
            top_class_features(wrong, 3)


@given(models=st.integers(1, 4), seed=st.integers(0, 99), weighted=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_vote_by_hand(models: int, seed: int, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.rand(3, 4, dtype=torch.float64, generator=generator).softmax(-1) for _ in range(models)]
    weights = [float(i + 1) for i in range(models)] if weighted else None
    share = weights or [1.0] * models
    wanted = sum(w * p for w, p in zip(share, parts, strict=True)) / sum(share)  # type: ignore[operator]
    found = ensemble(parts, weights=weights)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(found.sum(1), torch.ones(3, dtype=torch.float64))
    assert ensemble([parts[0].bfloat16(), parts[0]]).dtype == torch.float64
    assert ensemble([parts[0][:0]] * 2).shape == (0, 4)


def test_errors_of_the_vote() -> None:
    half = torch.full((1, 2), 0.5)
    cases: list[tuple[Callable[[], Tensor], type[Exception], str]] = [
        (lambda: ensemble([]), GraphrepError, "no model"),
        (lambda: ensemble([half, half[:, :1]]), ShapeError, r"probabilities\[1\] is \(1, 1\)"),
        (lambda: ensemble([half.long()]), DTypeError, "floating-point"),
        (lambda: ensemble([half * 4]), GraphrepError, "no probabilities"),
        (lambda: ensemble([torch.tensor([[1.5, -0.5]])]), GraphrepError, "no probabilities"),
        (lambda: ensemble([half * float("nan")]), NonFiniteError, "NaN"),
        (lambda: ensemble([half], weights=[1.0, 2.0]), GraphrepError, "do not fit 1 models"),
        (lambda: ensemble([half], weights=[-1.0]), GraphrepError, "do not fit"),
        (lambda: ensemble([half], weights=[0.0]), GraphrepError, "do not fit"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


# ---- explanations from files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,id\n"Theory, of course\nreally",7\n,b\n'),
        ("a.tsv", 'id\ttext\n7\t"Theory, of course\nreally"\nb\t\n'),
        ("a.jsonl", '{"id": 7, "text": "Theory, of course\\nreally"}\n\n{"id": "b", "text": "", "more": 1}\n'),
    ],
)
def test_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    found = read_texts(tmp_path / name)
    assert found.ids == ["7", "b"]
    assert found.texts.tolist() == ["Theory, of course\nreally", ""]
    assert found.of(["b", "7"]).tolist() == ["", "Theory, of course\nreally"]
    assert found.of(np.array(["b", "7", "c"]), missing="empty").tolist() == ["", "Theory, of course\nreally", ""]


def test_strange_line_ends_inside_strings(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"id": 0, "text": "one\u2028two"}\r\n{"id": 1, "text": "x"}'.encode())
    assert read_texts(tmp_path / "a.jsonl").of(2).tolist() == ["one\u2028two", "x"]


def test_other_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("paper,why\n1,b\n0,a\n")
    found = read_texts(tmp_path / "a.csv", id_column="paper", text_column="why")
    assert found.of(np.arange(2)).tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.csv", "id,why\n1,b\n", FileFormatError, 'no column "text"; it has id, why'),
        ("a.csv", "id,text\n1,b\n1,c\n", FileFormatError, 'names "1" twice'),
        ("a.csv", "id,text\n1,b,c\n", FileFormatError, "expected 2 columns, found 3"),
        ("a.csv", "id,text\n", EmptyGraphError, "no others"),
        ("a.jsonl", '{"id": 1}', FileFormatError, 'line 1: no object with "id" and "text"'),
        ("a.jsonl", '{"id": 1, "text": "a"}\n{', FileFormatError, "line 2"),
        ("a.jsonl", "[1]", FileFormatError, "line 1"),
        ("a.jsonl", '{"id": 1, "text": 2}', FileFormatError, "must be text"),
        ("a.jsonl", '{"id": true, "text": ""}', FileFormatError, "must be text"),
        ("a.jsonl", "\n", EmptyGraphError, "holds no texts"),
        ("a.jsonl", b"\xff\xfe", FileFormatError, "cannot be read"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: Any, error: type[Exception], message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message):
        read_texts(tmp_path / name)


def test_nodes_that_do_not_fit() -> None:
    found = NodeTexts(["0", "9"], np.array(["a", "b"], dtype=np.dtypes.StringDType()))
    with pytest.raises(UnknownNameError, match=r'1 nodes that the graph does not have \("9"'):
        found.of(2)
    with pytest.raises(GraphrepError, match=r'1 of 3 nodes have no text in the file \("1"'):
        found.of([0, 1, 9])
    with pytest.raises(UnknownNameError, match='missing is "zero"'):
        found.of(2, missing="zero")
    with pytest.raises(FileFormatError, match="no file"):
        read_texts("no/such/file.csv")
