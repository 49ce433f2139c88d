"""small_bert: learns, repeats itself, writes a model directory, leaves the random state alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphrep.data import TextTable
from graphrep.errors import GraphrepError
from graphrep.nn import SmallBert, TextEncoder, encode_texts, small_bert

pytest.importorskip("transformers")
TEXTS = [f"{['red', 'green', 'blue'][i % 3]} {['sun', 'moon'][i % 2]} number {i}" for i in range(48)]
SIZES: dict[str, Any] = {"vocab_size": 128, "dim": 16, "num_heads": 2, "max_length": 16}


def test_it_learns() -> None:
    seen: list[tuple[int, int, float]] = []
    bert = small_bert(TEXTS, **SIZES, epochs=12, batch_size=8, lr=1e-2, progress=lambda *a: seen.append(a))
    assert len(bert.losses) == 12
    assert bert.losses[-1] < 0.8 * bert.losses[0]
    assert [done for done, _, _ in seen] == list(range(1, 12 * 6 + 1))
    assert {total for _, total, _ in seen} == {72}
    assert not bert.model.training
    assert bert.model.pooler is None


def test_equal_seeds_equal_models(tmp_path: Path) -> None:
    def made(seed: int, **options: Any) -> SmallBert:
        return small_bert(TEXTS, **SIZES, epochs=1, seed=seed, **options)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = made(0, path=tmp_path / "lm")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert TextEncoder(made(0).model).digest() == TextEncoder(one.model).digest()
    assert TextEncoder(made(1).model).digest() != TextEncoder(one.model).digest()
    assert TextEncoder(tmp_path / "lm").digest() == TextEncoder(one.model).digest()
    tables = [
        TextTable.from_texts(TEXTS, tokenizer) for tokenizer in (one.tokenizer, made(0).tokenizer, tmp_path / "lm")
    ]
    assert len({table.digest for table in tables}) == 1
    assert len({table.tokenizer_digest for table in tables}) == 1
    rows = encode_texts(TextEncoder(tmp_path / "lm"), tables[2], precision="float32")
    torch.testing.assert_close(rows, encode_texts(TextEncoder(one.model), tables[0], precision="float32"))


def test_words_that_were_not_seen_and_empty_texts() -> None:
    bert = small_bert(["red sun", "", "red moon", "ĝ"], **SIZES, epochs=2, batch_size=1)
    table = TextTable.from_texts(["", "日本 \U0001f600", "RED Sun!"], bert.tokenizer)
    rows = encode_texts(TextEncoder(bert.model), table)
    assert bool(rows.isfinite().all())
    assert len(bert.tokenizer) <= 128


def test_words_are_one_token_where_they_come_often() -> None:
    bert = small_bert([*TEXTS, "one, two"], **SIZES, epochs=0)
    tokens = bert.tokenizer.tokenize("red sun, green moon")
    assert tokens == ["▁red", "▁sun", ",", "▁green", "▁moon"]


def test_errors() -> None:
    with pytest.raises(GraphrepError, match="there is no text"):
        small_bert([])
    with pytest.raises(GraphrepError, match="no word"):
        small_bert(["", " "])
    with pytest.raises(GraphrepError, match="dim is 10, no multiple of num_heads = 4"):
        small_bert(["a"], dim=10)
    for name in ("vocab_size", "dim", "num_layers", "num_heads", "batch_size"):
        with pytest.raises(GraphrepError, match=f"{name} is 0"):
            small_bert(["a"], **{name: 0})
    with pytest.raises(GraphrepError, match="epochs is -1"):
        small_bert(["a"], epochs=-1)
    with pytest.raises(GraphrepError, match="max_length 2"):
        small_bert(["a"], max_length=2)
