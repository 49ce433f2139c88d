"""encode_texts and TokenCache: order, padding, precision, broken-off runs, progress, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from text_cases import random_table, tiny_bert, words
from torch import Tensor

from graphrep.data import TextTable
from graphrep.errors import (
    CheckpointMismatchError,
    DTypeError,
    FileFormatError,
    GraphrepError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.nn import EmbeddingCache, TextEncoder, TokenCache, cache_key, encode_texts

pytest.importorskip("transformers")
TABLE = random_table([5, 1, 9, 3, 0, 12, 3])


class BrokenOffError(Exception):
    """Stands for a run that is killed."""


def break_off(after: int) -> Any:
    """A progress function that stops the run after so many batches."""
    calls: list[int] = []

    def progress(done: int, total: int, rate: float) -> None:
        calls.append(done)
        if len(calls) == after:
            raise BrokenOffError

    return progress


def counting(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """States that say the token, so that the mean of a text can be computed by hand."""
    return torch.stack([input_ids, torch.ones_like(input_ids)], dim=-1).double()


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    max_tokens=st.integers(1, 40),
    seed=st.integers(0, 99),
    int32=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_rows_are_those_of_the_index(lengths: list[int], max_tokens: int, seed: int, int32: bool) -> None:
    table = random_table(lengths, seed)
    index = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))[: 1 + seed % len(lengths)]
    encoder = TextEncoder(counting, normalize=False)
    chosen = index.int() if int32 else index
    found = encode_texts(encoder, table, index=chosen, max_tokens=max_tokens, precision="float32")
    for row, text in zip(found, index.tolist(), strict=True):
        tokens = table.ids[table.offsets[text] : table.offsets[text + 1]].tolist() or [0]
        torch.testing.assert_close(row, torch.tensor([sum(tokens) / len(tokens), 1.0]))


def test_batches_and_padding_change_nothing() -> None:
    encoder = TextEncoder(tiny_bert())
    alone = torch.cat([encoder(*TABLE.batch(torch.tensor([i]))) for i in range(len(TABLE))]).detach()
    for max_tokens in (1, 10, 1000):
        together = encode_texts(encoder, TABLE, max_tokens=max_tokens, precision="float32")
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    half = encode_texts(encoder, TABLE, precision="bfloat16")
    assert half.dtype == torch.float32
    assert float((half * alone).sum(1).min()) > 0.999  # eight bits in two layers, on unit vectors
    either = encode_texts(encoder, TABLE, precision="auto")
    assert float((either * alone).sum(1).min()) > 0.999


def test_evaluation_mode_inside_and_the_old_one_behind() -> None:
    encoder = TextEncoder(tiny_bert(hidden_dropout_prob=0.5)).train()
    one, two = (encode_texts(encoder, TABLE, precision="float32") for _ in range(2))
    assert torch.equal(one, two)
    assert not one.requires_grad
    assert encoder.training
    assert encoder.model.training


def test_into_a_given_tensor() -> None:
    encoder, out = TextEncoder(tiny_bert()), torch.zeros(2, 32, dtype=torch.float64)
    found = encode_texts(encoder, TABLE, index=torch.tensor([5, 0]), out=out, precision="float32")
    assert found is out
    torch.testing.assert_close(out.float(), encode_texts(encoder, TABLE, precision="float32")[[5, 0]])


def test_no_texts() -> None:
    encoder = TextEncoder(tiny_bert())
    assert encode_texts(encoder, random_table([])).shape == (0, 32)
    assert encode_texts(encoder, TABLE, index=torch.zeros(0, dtype=torch.int64)).shape == (0, 32)


def test_a_broken_off_run_goes_on(tmp_path: Path) -> None:
    encoder = TextEncoder(tiny_bert())
    key = cache_key(encoder, TABLE)
    cache = EmbeddingCache(len(TABLE), 32, path=tmp_path / "c", key=key)
    with pytest.raises(BrokenOffError):
        encode_texts(encoder, TABLE, out=cache, max_tokens=12, precision="float32", progress=break_off(2))
    again = EmbeddingCache.open(tmp_path / "c", key=key)
    missing = again.missing().tolist()
    assert 0 < len(missing) < len(TABLE)
    assert 5 not in missing  # the longest text comes first
    seen: list[tuple[int, int]] = []
    found = encode_texts(
        encoder, TABLE, out=again, precision="float32", progress=lambda done, total, rate: seen.append((done, total))
    )
    assert found is again
    assert again.complete
    assert EmbeddingCache.open(tmp_path / "c").complete
    assert seen[-1] == (int(TABLE.lengths[missing].sum()),) * 2  # only what was missing
    torch.testing.assert_close(
        again.gather(torch.arange(len(TABLE))), encode_texts(encoder, TABLE, precision="float32").half()
    )


def test_an_index_encodes_rows_anew() -> None:
    encoder = TextEncoder(counting, normalize=False)
    cache = EmbeddingCache(len(TABLE), 2, dtype=torch.float32)
    encode_texts(encoder, TABLE, out=cache, precision="float32")
    cache.tick()
    encode_texts(encoder, TABLE, index=torch.tensor([3, 1]), out=cache, precision="float32")
    assert cache.age.tolist() == [1, 0, 1, 0, 1, 1, 1]


def test_cache_key_names_every_part() -> None:
    encoder = TextEncoder(tiny_bert())
    key = cache_key(encoder, TABLE)
    assert list(key) == ["weights", "tokenizer", "length", "pooling", "normalize", "dtype", "texts"]
    other_texts = random_table([5, 1, 9, 3, 0, 12, 3], seed=1)
    shorter = TextTable.from_texts(["a b"], words, max_length=2)
    changed = {
        "weights": cache_key(TextEncoder(tiny_bert(seed=1)), TABLE),
        "pooling": cache_key(TextEncoder(tiny_bert(), pooling="cls"), TABLE),
        "normalize": cache_key(TextEncoder(tiny_bert(), normalize=False), TABLE),
        "dtype": cache_key(encoder, TABLE, dtype=torch.float32),
        "texts": cache_key(encoder, other_texts),
    }
    for name, other in changed.items():
        assert [part for part in key if key[part] != other[part]] == [name]
    differing = [part for part in key if key[part] != cache_key(encoder, shorter)[part]]
    assert differing == ["tokenizer", "length", "texts"]


def test_a_cache_of_other_weights_is_refused(tmp_path: Path) -> None:
    encoder = TextEncoder(tiny_bert())
    EmbeddingCache(len(TABLE), 32, path=tmp_path / "c", key=cache_key(encoder, TABLE))
    with torch.no_grad():
        encoder.model.embeddings.LayerNorm.bias.add_(0.5)
    with pytest.raises(CheckpointMismatchError, match=r"something else: weights \("):
        EmbeddingCache(len(TABLE), 32, path=tmp_path / "c", key=cache_key(encoder, TABLE))


def test_progress_counts_tokens() -> None:
    seen: list[tuple[int, int, float]] = []
    encode_texts(TextEncoder(tiny_bert()), TABLE, max_tokens=9, precision="float32", progress=lambda *a: seen.append(a))
    total = int(TABLE.lengths.sum())
    assert [done for done, _, _ in seen] == sorted({done for done, _, _ in seen})
    assert {whole for _, whole, _ in seen} == {total}
    assert seen[-1][0] == total
    assert seen[0][0] == 12
    assert min(rate for _, _, rate in seen) > 0


def test_errors() -> None:
    encoder = TextEncoder(tiny_bert())
    with pytest.raises(UnknownNameError, match='precision is "half"'):
        encode_texts(encoder, TABLE, precision="half")
    with pytest.raises(IndexRangeError, match="index refers to 7"):
        encode_texts(encoder, TABLE, index=torch.tensor([7]))
    with pytest.raises(ShapeError, match="the cache is 3 x 32 for 7 texts"):
        encode_texts(encoder, TABLE, out=EmbeddingCache(3, 32))
    with pytest.raises(ShapeError, match=r"out is \(7, 31\)"):
        encode_texts(encoder, TABLE, out=torch.zeros(7, 31))
    with pytest.raises(DTypeError, match="out is a list"):
        encode_texts(encoder, TABLE, out=[])  # type: ignore[arg-type]
    with pytest.raises(GraphrepError, match="max_tokens is 0"):
        encode_texts(encoder, TABLE, max_tokens=0)
    with pytest.raises(NonFiniteError, match="the vector of text 5"):
        encode_texts(TextEncoder(lambda input_ids, attention_mask: counting(input_ids, attention_mask) / 0), TABLE)


# ---- states of frozen layers


@pytest.mark.parametrize("in_folder", [False, True])
@pytest.mark.parametrize("trained", [0, 1, 2])
def test_upper_on_the_token_cache_is_forward(tmp_path: Path, trained: int, in_folder: bool) -> None:
    encoder = TextEncoder(tiny_bert(), train_layers=trained)
    path = tmp_path / "c" if in_folder else None
    cache = TokenCache.build(encoder, TABLE, dtype=torch.float32, path=path, precision="float32", max_tokens=13)
    index = torch.tensor([3, 5, 4, 3], dtype=torch.int32)
    hidden, mask = cache.batch(index)
    assert torch.equal(mask, TABLE.batch(index)[1])
    torch.testing.assert_close(encoder.upper(hidden, mask), encoder(*TABLE.batch(index)), rtol=1e-5, atol=1e-5)
    assert repr(cache) == "TokenCache(7 texts, 34 tokens x 32 float32)"


def test_token_cache_in_half_precision() -> None:
    encoder = TextEncoder(tiny_bert(), train_layers=1)
    cache = TokenCache.build(encoder, TABLE, precision="bfloat16")
    hidden, mask = cache.batch(torch.arange(7))
    assert hidden.dtype == torch.bfloat16
    rows, wanted = encoder.upper(hidden, mask).detach(), encoder(*TABLE.batch(torch.arange(7))).detach()
    assert float((rows * wanted).sum(1).min()) > 0.999  # eight bits


def test_token_cache_goes_on_and_refuses_others(tmp_path: Path) -> None:
    encoder = TextEncoder(tiny_bert(), train_layers=1)
    options: dict[str, Any] = {"path": tmp_path / "c", "precision": "float32", "max_tokens": 12}
    with pytest.raises(BrokenOffError):
        TokenCache.build(encoder, TABLE, progress=break_off(2), **options)
    seen: list[int] = []
    with torch.no_grad():  # training changes the upper layer only
        encoder.model.encoder.layer[1].output.dense.bias.add_(1)
    cache = TokenCache.build(encoder, TABLE, progress=lambda done, total, rate: seen.append(total), **options)
    assert seen[0] < int(TABLE.lengths.sum())
    whole = TokenCache.build(encoder, TABLE, precision="float32")
    torch.testing.assert_close(cache.hidden, whole.hidden, rtol=2**-7, atol=2**-7)  # bfloat16 of other batches
    with pytest.raises(CheckpointMismatchError, match="weights"):
        TokenCache.build(TextEncoder(tiny_bert(seed=1), train_layers=1), TABLE, **options)
    with pytest.raises(CheckpointMismatchError, match="train_layers"):
        TokenCache.build(TextEncoder(tiny_bert(), train_layers=0), TABLE, **options)
    with pytest.raises(CheckpointMismatchError, match="texts"):
        TokenCache.build(encoder, random_table([5, 1, 9, 3, 0, 12, 3], seed=1), **options)
    (tmp_path / "c" / "rows.npy").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"rows\.npy is damaged"):
        TokenCache.build(encoder, TABLE, **options)


def test_token_cache_errors() -> None:
    encoder = TextEncoder(tiny_bert(), train_layers=1)
    with pytest.raises(GraphrepError, match="no frozen part"):
        TokenCache.build(TextEncoder(tiny_bert()), TABLE)
    with pytest.raises(UnknownNameError, match="precision"):
        TokenCache.build(encoder, TABLE, precision="half")
    with pytest.raises(DTypeError, match=r"dtype is torch\.int8"):
        TokenCache.build(encoder, TABLE, dtype=torch.int8)
    with pytest.raises(IndexRangeError, match="index refers to 7"):
        TokenCache.build(encoder, TABLE).batch(torch.tensor([7]))
    with torch.no_grad():
        encoder.model.embeddings.LayerNorm.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=r"states of texts \[5"):
        TokenCache.build(encoder, TABLE, precision="float32", max_tokens=12)
