"""Live nodes and mixed rows: who is chosen, where gradients go, chunks, checkpoints, write-back, golden steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from graphrep.data import TextTable
from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.nn import (
    EmbeddingCache,
    TextEncoder,
    TokenCache,
    choose_live,
    encode_texts,
    mixed_text,
    sample_batch,
    scale_live,
    small_bert,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "lmgnn"
NUM_TEXTS, WIDTH = 12, 6


class Words(nn.Module):
    """A language model without its cost: word vectors with a turn, and dropout if asked."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.turn = nn.Embedding(30, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.calls: list[tuple[int, ...]] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        self.calls.append(tuple(input_ids.shape))
        return torch.tanh(self.turn(self.dropout(self.words(input_ids))))


def encoder(**options: Any) -> TextEncoder:
    return TextEncoder(Words(**options).double())


def table() -> TextTable:
    """Texts of 1 to 12 words."""
    texts = [" ".join(str((7 * i + j) % 29) for j in range(i + 1)) for i in range(NUM_TEXTS)]
    return TextTable.from_texts(texts, lambda batch: [[int(word) for word in text.split()] for text in batch])


def filled(model: TextEncoder, rows: TextTable) -> EmbeddingCache:
    cache = EmbeddingCache(NUM_TEXTS, WIDTH, dtype=torch.float64)
    encode_texts(model, rows, out=cache, precision="float32")
    return cache


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# choose_live


@given(seed=st.integers(0, 200), budget=st.integers(-1, 15), index=st.sampled_from([torch.int32, torch.int64]))
@settings(max_examples=60, deadline=None)
def test_seeds_first_then_others_each_once(seed: int, budget: int, index: torch.dtype) -> None:
    sampled = torch.randperm(50, generator=generator(seed))[:12].to(index)
    seeds = sampled[torch.tensor([3, 8, 3, 0, 8])]
    live = choose_live(seeds, sampled, budget, generator=generator(seed))
    wanted = 12 if budget < 0 else min(budget, 12)
    assert live.dtype == torch.int64
    assert live.tolist() == sorted(set(live.tolist()))
    assert len(live) == wanted
    among_seeds = set(live.tolist()) & {0, 3, 8}
    assert len(among_seeds) == min(wanted, 3)
    assert torch.equal(live, choose_live(seeds, sampled, budget, generator=generator(seed)))


@pytest.mark.parametrize(("scheme", "shares"), [("seeds", [1.0, 1.0, 1 / 3, 1 / 3, 1 / 3]), ("uniform", [0.6] * 5)])
def test_every_choice_is_as_likely_as_it_should(scheme: str, shares: list[float]) -> None:
    source, count = generator(), torch.zeros(5)
    for _ in range(3000):
        count[choose_live(torch.tensor([1, 0]), torch.arange(5), 3, generator=source, scheme=scheme)] += 1
    # five standard deviations of a share of 3000
    torch.testing.assert_close(count / 3000, torch.tensor(shares), rtol=0, atol=5 * 0.5 / 3000**0.5)


def test_no_seed_and_no_node() -> None:
    none = torch.empty(0, dtype=torch.int64)
    assert choose_live(none, torch.arange(4), 2, generator=generator()).numel() == 2
    assert choose_live(none, none, 5).numel() == 0


def test_errors_of_the_choice() -> None:
    nodes = torch.arange(4)
    with pytest.raises(IndexRangeError, match="seed 9 is not in sampled"):
        choose_live(torch.tensor([9]), nodes, 2)
    with pytest.raises(GraphrepError, match="budget is -2"):
        choose_live(nodes, nodes, -2)
    with pytest.raises(UnknownNameError, match='scheme is "all"'):
        choose_live(nodes, nodes, 2, scheme="all")
    with pytest.raises(DTypeError, match="seeds"):
        choose_live(torch.ones(2), nodes, 2)


# mixed_text


def gradients(model: TextEncoder, rows: Tensor) -> list[Tensor]:
    factor = torch.linspace(-1, 1, rows.numel(), dtype=rows.dtype).view_as(rows)
    found = torch.autograd.grad((rows * factor).sum(), list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), found, strict=True)]


def test_live_rows_are_encoded_and_the_others_looked_up() -> None:
    model, texts = encoder(), table()
    cache = EmbeddingCache(NUM_TEXTS, WIDTH, dtype=torch.float64)
    cache.write(torch.arange(NUM_TEXTS), torch.zeros(NUM_TEXTS, WIDTH))
    nodes, live = torch.tensor([9, 2, 5, 0]), torch.tensor([2, 0])
    rows = mixed_text(model, texts, cache, nodes, live)
    want = torch.empty(NUM_TEXTS, WIDTH, dtype=torch.float64)
    encode_texts(model, texts, out=want, precision="float32")
    torch.testing.assert_close(rows[live], want[nodes[live]])
    assert not rows[torch.tensor([1, 3])].any()
    torch.testing.assert_close(cache.gather(nodes), rows.detach())
    assert not cache.gather(nodes).requires_grad
    alone = model(*texts.batch(nodes[live]))
    padded = torch.zeros(4, WIDTH, dtype=torch.float64).index_copy(0, live, alone)
    for found, wanted in zip(gradients(model, rows), gradients(model, padded), strict=True):
        torch.testing.assert_close(found, wanted)


def test_without_write_back_the_cache_stays() -> None:
    model, texts = encoder(), table()
    cache = EmbeddingCache(NUM_TEXTS, WIDTH, dtype=torch.float64)
    cache.write(torch.arange(NUM_TEXTS), torch.zeros(NUM_TEXTS, WIDTH))
    mixed_text(model, texts, cache, torch.arange(4), torch.tensor([1]), write_back=False)
    assert not cache.gather(torch.arange(4)).any()


@pytest.mark.parametrize("max_tokens", [1, 12, 10_000])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_chunks_and_checkpoints_change_nothing(max_tokens: int, checkpointing: bool) -> None:
    model, texts = encoder(), table()
    cache = filled(model, texts)
    nodes, live = torch.arange(NUM_TEXTS), torch.tensor([11, 0, 5, 6])
    want = gradients(model, mixed_text(model, texts, cache, nodes, live))
    words: Any = model.model
    words.calls.clear()
    rows = mixed_text(model, texts, cache, nodes, live, max_tokens=max_tokens, checkpointing=checkpointing)
    passes = len(words.calls)
    assert passes == {1: 4, 12: 3, 10_000: 1}[max_tokens]
    torch.testing.assert_close(rows.detach(), cache.gather(nodes))
    for found, wanted in zip(gradients(model, rows), want, strict=True):
        torch.testing.assert_close(found, wanted)
    assert len(words.calls) == passes * (1 + checkpointing)


@pytest.mark.parametrize("chunk_size", [1, 3, 4, None])
def test_chunks_by_number_of_texts(chunk_size: int | None) -> None:
    model, texts = encoder(), table()
    cache, nodes = filled(model, texts), torch.arange(7)
    words: Any = model.model
    words.calls.clear()
    rows = mixed_text(model, texts, cache, nodes, nodes, chunk_size=chunk_size)
    assert [calls[0] for calls in words.calls] == {1: [1] * 7, 3: [3, 3, 1], 4: [4, 3], None: [7]}[chunk_size]
    torch.testing.assert_close(rows, filled(model, texts).gather(nodes))


def test_states_of_frozen_layers_stand_for_the_texts() -> None:
    """The upper layers on stored states give the same rows and gradients as the whole model on the tokens."""
    pytest.importorskip("transformers")
    corpus = ["a b c", "b", "c d a b", "", "d d"]
    bert = small_bert(corpus, dim=16, num_layers=2, epochs=0, vocab_size=64)
    model = TextEncoder(bert.model, train_layers=1).double().eval()
    texts = TextTable.from_texts(corpus, bert.tokenizer)
    states = TokenCache.build(model, texts, dtype=torch.float64, precision="float32")
    cache = EmbeddingCache(5, 16, dtype=torch.float64)
    encode_texts(model, texts, out=cache, precision="float32")
    nodes, live = torch.tensor([4, 0, 3, 2]), torch.tensor([3, 0, 2])
    trained = [p for p in model.parameters() if p.requires_grad]
    found = []
    for source in (texts, states):
        for chunk_size in (None, 2):
            rows = mixed_text(model, source, cache, nodes, live, chunk_size=chunk_size, write_back=False)
            torch.testing.assert_close(rows.detach(), cache.gather(nodes))
            found.append(torch.autograd.grad((rows * torch.arange(16)).sum(), trained))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two)
    with pytest.raises(GraphrepError, match="stored states"):
        mixed_text(model, states, cache, nodes, live, max_length=2)


def test_checkpoints_repeat_dropout() -> None:
    model, texts = encoder(dropout=0.5), table()
    cache, found = filled(model, texts), []
    for checkpointing in (False, True):
        model.train()
        torch.manual_seed(3)
        rows = mixed_text(model, texts, cache, torch.arange(6), torch.tensor([4, 5]), checkpointing=checkpointing)
        found.append(gradients(model, rows))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


@given(seed=st.integers(0, 100), parts=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_gradients_of_any_partition_add_up(seed: int, parts: int) -> None:
    """With a fresh cache, also through a graph layer; the parts may be empty."""
    model, texts = encoder(), table()
    cache, nodes = filled(model, texts), torch.arange(NUM_TEXTS)
    edges = torch.randint(NUM_TEXTS, (2, 30), generator=generator(seed))
    csr = CSR.from_edge_index(edges, size=(NUM_TEXTS, NUM_TEXTS))
    part_of = torch.randint(parts, (NUM_TEXTS,), generator=generator(seed))

    def step(live: Tensor) -> list[Tensor]:
        rows = mixed_text(model, texts, cache, nodes, live)
        hidden = torch.tanh(spmm(csr, rows, reduce="mean") + rows)
        return gradients(model, hidden) if live.numel() else [torch.zeros_like(p) for p in model.parameters()]

    whole = step(nodes)
    pieces = [step((part_of == part).nonzero().squeeze(1)) for part in range(parts)]
    for want, *found in zip(whole, *pieces, strict=True):
        torch.testing.assert_close(torch.stack(found).sum(0), want, rtol=1e-9, atol=1e-12)


def test_scaled_uniform_choices_have_the_full_gradient_as_their_mean() -> None:
    """Over all subsets of two of five, which are equally likely."""
    model, texts = encoder(), table()
    cache, nodes = filled(model, texts), torch.arange(5)
    want = gradients(model, mixed_text(model, texts, cache, nodes, nodes))
    subsets = [torch.tensor(pair) for pair in torch.combinations(nodes, 2).tolist()]
    each = [gradients(model, mixed_text(model, texts, cache, nodes, live, scale=True)) for live in subsets]
    for number, wanted in enumerate(want):
        torch.testing.assert_close(torch.stack([one[number] for one in each]).mean(0), wanted)


def test_scaled_rows_are_the_rows() -> None:
    x = torch.randn(3, 2, generator=generator(), dtype=torch.float64, requires_grad=True)
    assert torch.equal(scale_live(x, 1e3), x)
    assert torch.autograd.grad(scale_live(x, 2.5).sum(), x)[0].eq(2.5).all()
    with pytest.raises(GraphrepError, match="factor is nan"):
        scale_live(x, float("nan"))


def test_without_a_live_node_only_the_cache_is_read() -> None:
    model, texts = encoder(), table()
    cache = filled(model, texts)
    words: Any = model.model
    words.calls.clear()
    rows = mixed_text(model, texts, cache, torch.tensor([3, 3]), torch.empty(0, dtype=torch.int64))
    assert not rows.requires_grad
    assert not words.calls
    torch.testing.assert_close(rows, cache.gather(torch.tensor([3, 3])))


def test_rows_of_a_half_precision_cache_are_float32() -> None:
    model, texts = encoder().float(), table()
    cache = EmbeddingCache(NUM_TEXTS, WIDTH)
    encode_texts(model, texts, out=cache, precision="float32")
    for live in (torch.empty(0, dtype=torch.int64), torch.tensor([0])):
        assert mixed_text(model, texts, cache, torch.arange(3), live).dtype == torch.float32


def test_bfloat16_is_close() -> None:
    model, texts = encoder().float(), table()
    cache = filled(model, texts)
    nodes = torch.arange(NUM_TEXTS)
    want = mixed_text(model, texts, cache, nodes, nodes)
    found = mixed_text(model, texts, cache, nodes, nodes, precision="bfloat16")
    torch.testing.assert_close(found, want.float(), rtol=0, atol=2e-2)  # 8 bits of unit vectors


def test_texts_can_be_cut() -> None:
    model, texts = encoder(), table()
    cache, nodes = filled(model, texts), torch.arange(NUM_TEXTS)
    words: Any = model.model
    words.calls.clear()
    mixed_text(model, texts, cache, nodes, nodes, max_length=3)
    assert words.calls == [(NUM_TEXTS, 3)]


def test_a_text_that_is_live_twice_is_refused_and_so_are_other_mistakes() -> None:
    model, texts = encoder(), table()
    cache, nodes = filled(model, texts), torch.arange(4)
    with pytest.raises(GraphrepError, match="live names a position twice"):
        mixed_text(model, texts, cache, nodes, torch.tensor([1, 1]))
    with pytest.raises(IndexRangeError, match="live names position 4 of 4"):
        mixed_text(model, texts, cache, nodes, torch.tensor([4]))
    with pytest.raises(UnknownNameError, match='precision is "half"'):
        mixed_text(model, texts, cache, nodes, torch.tensor([0]), precision="half")
    with pytest.raises(DTypeError, match="live"):
        mixed_text(model, texts, cache, nodes, torch.ones(2))
    with pytest.raises(GraphrepError, match="chunk_size is 0"):
        mixed_text(model, texts, cache, nodes, torch.tensor([0]), chunk_size=0)
    with pytest.raises(GraphrepError, match="max_tokens is 0"):
        mixed_text(model, texts, cache, nodes, torch.tensor([0]), max_tokens=0)


@pytest.mark.parametrize("name", ["cache_grad_n12", "cache_grad_n20_stale"])
@pytest.mark.parametrize("live_set", ["all", "receptive", "seeds", "subset", "none"])
def test_golden_steps(name: str, live_set: str) -> None:
    """A whole step on the rows of :func:`mixed_text`: the encoder is tanh(feature W + b), a text is one word."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        g = {key: torch.from_numpy(file[key]) for key in file if file[key].dtype.kind in "if"}
    count = len(g["y"])
    weight, bias = g["W"].clone().requires_grad_(), g["b"].clone().requires_grad_()
    model = TextEncoder(
        lambda input_ids, attention_mask: torch.tanh(g["text_feat"][input_ids] @ weight + bias), normalize=False
    )
    texts = TextTable.from_texts([str(i) for i in range(count)], lambda batch: [[int(text)] for text in batch])
    cache = EmbeddingCache(*g["cache"].shape, dtype=torch.float64)
    cache.write(torch.arange(count), g["cache"])
    sets = {"all": torch.arange(count), "receptive": g["receptive_field"], "seeds": g["seeds"],
            "subset": g["live_subset"], "none": torch.empty(0, dtype=torch.int64)}  # fmt: skip
    live = sets[live_set].long()
    hidden = mixed_text(model, texts, cache, torch.arange(count), live)
    torch.testing.assert_close(hidden, g[f"H_{live_set}"], rtol=1e-12, atol=1e-12)
    csr = CSR.from_edge_index(g["edge_index"].long(), size=(count, count))
    logits = spmm(csr, hidden, reduce="mean") @ g["w_neigh"] + hidden @ g["w_self"] + g["bias"]
    loss = functional.cross_entropy(logits[g["seeds"]], g["y"][g["seeds"]].long())
    torch.testing.assert_close(loss, g[f"loss_{live_set}"], rtol=1e-12, atol=1e-12)
    if live.numel():
        for found, key in zip(torch.autograd.grad(loss, (weight, bias)), ("gW", "gb"), strict=True):
            torch.testing.assert_close(found, g[f"{key}_{live_set}"], rtol=1e-10, atol=1e-12)
    if live_set == "subset":
        torch.testing.assert_close(cache.gather(torch.arange(count)), g["cache_after_writeback_subset"])


def test_seeds_and_their_sampled_neighbours_give_the_full_gradient() -> None:
    """All that one layer reads is live, so stale rows elsewhere do not matter."""
    model, texts = encoder(), table()
    fresh, stale = filled(model, texts), EmbeddingCache(NUM_TEXTS, WIDTH, dtype=torch.float64)
    stale.write(torch.arange(NUM_TEXTS), torch.ones(NUM_TEXTS, WIDTH))
    edges = torch.randint(NUM_TEXTS, (2, 20), generator=generator(2))
    kind, csr = ("node", "to", "node"), CSR.from_edge_index(edges, size=(NUM_TEXTS, NUM_TEXTS))
    batch = sample_batch({kind: csr}, {"node": torch.tensor([4, 1])}, [-1], seed=0)
    nodes = batch.nodes["node"]
    found = []
    for cache, live in ((stale, torch.arange(nodes.numel())), (fresh, None)):
        if live is None:
            rows = mixed_text(model, texts, cache, torch.arange(NUM_TEXTS), torch.arange(NUM_TEXTS))
            found.append(gradients(model, spmm(csr, rows)[torch.tensor([4, 1])]))
        else:
            rows = mixed_text(model, texts, cache, nodes, live)
            local = CSR.from_edge_index(batch.edges[kind], size=(nodes.numel(),) * 2)
            found.append(gradients(model, spmm(local, rows)[:2]))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
