"""A small BERT learnt from scratch on the texts at hand, where no pretrained model is."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.data._tokenizer import transformers
from graphrep.data.text_table import TextTable
from graphrep.errors import DivergedError, GraphrepError
from graphrep.nn._own_tokenizer import train_tokenizer
from graphrep.nn._token_vectors import put_token_vectors
from graphrep.nn.text_encoder import TextEncoder
from graphrep.nn.text_model import save_text_model

__all__ = ["SmallBert", "small_bert"]

_MASKED, _REPLACED, _RANDOM = 0.15, 0.8, 0.1
_WARM_UP, _WEIGHT_DECAY, _CLIP = 0.1, 0.01, 1.0
_SMALLEST = 16


class SmallBert(NamedTuple):
    """What :func:`small_bert` gives.

    Attributes:
        model: a transformers ``BertModel`` without pooler, in evaluation mode.
        tokenizer: of transformers.
        losses: mean loss of each epoch on the masked tokens.
    """

    model: nn.Module
    tokenizer: Any
    losses: list[float]


def small_bert(
    texts: Sequence[str],
    *,
    vocab_size: int = 8192,
    dim: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    max_length: int = 128,
    epochs: int = 3,
    batch_size: int = 32,
    lr: float = 5e-4,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> SmallBert:
    """Learns a vocabulary and a BERT from texts, by predicting tokens that were masked.

    It knows these texts and nothing else of the language, so that it is weaker than a pretrained model: for graphs
    whose texts no model is at hand for, and for tests. Word embeddings start from a truncated SVD of the texts' TF-IDF
    matrix, as some epochs on some thousand texts teach a random start next to nothing. 15 % of the tokens are asked
    for; of these 80 % are masked, 10 % exchanged and 10 % left. Equal texts and seeds give equal models on one machine.

    Args:
        texts: N strings.
        vocab_size: the most tokens of the vocabulary.
        dim: width of the states, a multiple of `num_heads`; the inner layers have four times as much.
        num_layers: transformer layers.
        num_heads: of the attention.
        max_length: longer texts are cut, special tokens included.
        epochs: passes over the texts; 0 leaves the start as it is.
        batch_size: texts of a step.
        lr: the largest learning rate, after a tenth of the steps; then it falls linearly.
        seed: of the start, the masks and the order.
        device: where to train; the model comes back there.
        progress: called with steps done, steps to do and the loss.
        path: also write a model directory there.

    Raises:
        GraphrepError: bad sizes, or texts without any word.
        DivergedError: the loss became NaN or infinite.
        MissingExtraError: transformers is not installed.

    Source: Devlin et al., "BERT", NAACL 2019, arXiv:1810.04805.

    Example:
        >>> bert = small_bert(["graphs and texts", "texts of graphs"], vocab_size=64, dim=16, epochs=1)
        >>> encoder = TextEncoder(bert.model)
        >>> table = TextTable.from_texts(["graphs", ""], bert.tokenizer)
        >>> encoder(*table.batch(torch.arange(2))).shape
        torch.Size([2, 16])
    """
    _check(texts, vocab_size=vocab_size, dim=dim, num_layers=num_layers, num_heads=num_heads, batch_size=batch_size)
    if epochs < 0 or max_length < 3:
        raise GraphrepError(f"epochs is {epochs}, max_length {max_length}.", hint="0 or more; 3 or more")
    tokenizer = train_tokenizer(texts, vocab_size, max_length)
    table = TextTable.from_texts(texts, tokenizer, max_length=max_length)
    if int(table.lengths.max()) <= 2:
        raise GraphrepError("the texts hold no word to learn from.", hint="texts in words, or a pretrained model")
    model = _fresh(len(tokenizer), dim, num_layers, num_heads, max_length, tokenizer.pad_token_id, seed).to(device)
    put_token_vectors(model.get_input_embeddings().weight, table)
    learner = _MaskedLearner(model, table, tokenizer, batch_size, seed)
    losses = learner.run(epochs, lr, progress)
    if path is not None:
        save_text_model(model.bert, tokenizer, path)
    return SmallBert(model.bert.eval(), tokenizer, losses)


def _check(texts: Sequence[str], **sizes: int) -> None:
    for name, value in sizes.items():
        least = _SMALLEST if name == "vocab_size" else 1
        if value < least:
            raise GraphrepError(f"{name} is {value}.", hint=f"{least} or more")
    if sizes["dim"] % sizes["num_heads"]:
        raise GraphrepError(
            f"dim is {sizes['dim']}, no multiple of num_heads = {sizes['num_heads']}.", hint="dim=128, num_heads=4"
        )
    if not len(texts):
        raise GraphrepError("there is no text to learn from.", hint="one string per node")


def _fresh(vocab_size: int, dim: int, num_layers: int, num_heads: int, max_length: int, pad_id: int, seed: int) -> Any:
    """A BertForMaskedLM with random weights; the caller's random state stays as it is."""
    library = transformers()
    config = library.BertConfig(
        vocab_size=vocab_size,
        hidden_size=dim,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=4 * dim,
        max_position_embeddings=max_length,
        pad_token_id=pad_id,
        hidden_dropout_prob=0.0,  # rows that are computed anew must agree with cached ones
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return library.BertForMaskedLM(config)


class _MaskedLearner:
    """Masked language modelling on a table of tokens."""

    def __init__(self, model: Any, table: TextTable, tokenizer: Any, batch_size: int, seed: int) -> None:
        self.model, self.table, self.batch_size = model, table, batch_size
        self.special = torch.tensor(sorted(tokenizer.all_special_ids))
        self.mask_id, self.size = int(tokenizer.mask_token_id), len(tokenizer)
        self.generator = torch.Generator().manual_seed(seed)

    def run(self, epochs: int, lr: float, progress: Callable[[int, int, float], None] | None) -> list[float]:
        """Mean loss of each epoch."""
        if not epochs:
            return []
        steps = epochs * math.ceil(len(self.table) / self.batch_size)
        encoder = TextEncoder(self.model)
        optimizer = torch.optim.AdamW(encoder.parameter_groups(_WEIGHT_DECAY), lr=lr)
        warm = max(1, round(_WARM_UP * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
        )
        self.model.train()
        means, done = [], 0
        for _ in range(epochs):
            losses = []
            for texts in self._batches():
                losses.append(self._step(texts, optimizer))
                schedule.step()
                done += 1
                if progress is not None:
                    progress(done, steps, losses[-1])
            means.append(sum(losses) / len(losses))
        return means

    def _step(self, texts: Tensor, optimizer: torch.optim.Optimizer) -> float:
        optimizer.zero_grad()
        loss = self._loss(texts)
        if not bool(loss.isfinite()):
            raise DivergedError("the loss of the masked tokens is not finite.", hint="a smaller lr")
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        optimizer.step()
        return float(loss.detach())

    def _loss(self, texts: Tensor) -> Tensor:
        ids, mask = self.table.batch(texts)
        asked = self._draw(ids.shape) < _MASKED
        asked &= mask.bool() & ~torch.isin(ids, self.special)
        if not bool(asked.any()):  # texts of few words: ask for the first word of the batch, if there is one
            words = (mask.bool() & ~torch.isin(ids, self.special)).flatten().nonzero()
            asked.view(-1)[words[:1]] = True
        kind = self._draw(ids.shape)
        shown = torch.where(asked & (kind < _REPLACED), self.mask_id, ids)
        other = torch.randint(self.size, ids.shape, generator=self.generator)
        shown = torch.where(asked & (kind >= 1 - _RANDOM), other, shown)
        device = self.model.device
        hidden = self.model.bert(input_ids=shown.to(device), attention_mask=mask.to(device)).last_hidden_state
        logits = self.model.cls(hidden[asked.to(device)])  # only these rows: the vocabulary is wide
        wanted = ids[asked].to(device)
        if not len(wanted):  # a batch of empty texts teaches nothing
            return logits.sum()  # type: ignore[no-any-return]
        return functional.cross_entropy(logits.float(), wanted)

    def _batches(self) -> Iterator[Tensor]:
        """Texts in random batches of like length: the order is shuffled, sorted within pieces, and shuffled again."""
        order = torch.randperm(len(self.table), generator=self.generator)
        pieces = torch.split(order, self.batch_size * 16)
        parts = [piece[torch.argsort(self.table.lengths[piece], stable=True)] for piece in pieces]
        batches = [batch for part in parts for batch in torch.split(part, self.batch_size)]
        for place in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[place]

    def _draw(self, shape: torch.Size) -> Tensor:
        return torch.rand(shape, generator=self.generator)
