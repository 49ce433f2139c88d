"""A cache of text vectors that all processes of a group fill together, in memory or in a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from graphrep.data.text_table import length_buckets
from graphrep.nn import EmbeddingCache, TextEncoder, encode_texts
from graphrep.nn.encoding import evaluating, half_is_faster
from graphrep.train import Interrupted, distributed

__all__ = ["fill_cache"]

_ROUND = 16  # batches of a process between two exchanges, after which what was encoded is kept


def fill_cache(
    encoder: TextEncoder,
    table: Any,
    cache: EmbeddingCache,
    *,
    precision: str = "auto",
    max_tokens: int = 8192,
    progress: Callable[[int, int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Encodes the rows that a cache lacks, each process a share of every round; afterwards all have all rows.

    In a folder one process of each machine writes, and the others map what it wrote: machines may share the folder or
    have one each. What a broken run has encoded is taken up again.

    Args:
        encoder: with the same weights in every process.
        table: the texts.
        cache: of the same kind in every process.
        precision: see :func:`graphrep.nn.encode_texts`.
        max_tokens: of a batch.
        progress: called with tokens done in all processes, tokens to do and tokens per second; in every process.
        should_stop: asked after each round (in one process, each batch); one process is enough.

    Raises:
        Interrupted: stopped on request; a cache in a folder keeps what was encoded.
        NonFiniteError: the encoder gave NaN or infinity.
    """
    if distributed.world_size() == 1:
        encode_texts(
            encoder, table, out=cache, precision=precision, max_tokens=max_tokens,
            progress=_stopping(progress, should_stop),
        )  # fmt: skip
        return
    lacking = _lacking(cache)
    lengths = table.lengths[lacking]
    order = lacking[lengths.argsort(descending=True, stable=True)]
    if precision == "auto" and len(order):
        with evaluating(encoder), torch.no_grad():
            faster = half_is_faster(encoder, table, order)
        precision = distributed.from_main("bfloat16" if faster else "float32")
    started, done, total = time.monotonic(), 0, int(lengths.sum())
    for part in _rounds(order, table.lengths, _ROUND * max_tokens * distributed.world_size()):
        own = distributed.shard(part, equal=False)
        rows, idle = torch.empty(0, cache.dim, device=encoder.device), 0
        if any(distributed.is_sharded(p) for p in encoder.parameters()):  # which all processes must call equally often
            calls = len(length_buckets(table.lengths[own], max_tokens))
            idle = distributed.largest(calls) - calls
        if len(own):
            found = encode_texts(encoder, table, index=own, precision=precision, max_tokens=max_tokens)
            assert isinstance(found, Tensor)
            rows = found
        for _ in range(idle):
            encode_texts(encoder, table, index=part[:1], precision=precision, max_tokens=max_tokens)
        ids, rows = distributed.all_rows(own.to(rows.device)), distributed.all_rows(rows.to(cache.dtype))
        if cache.path is None or _writes():
            cache.write(ids, rows)
            cache.flush()
        done += int(table.lengths[part].sum())
        if progress is not None:
            progress(done, total, done / max(time.monotonic() - started, 1e-9))
        if distributed.any_process(done < total and should_stop is not None and should_stop()):
            raise Interrupted(f"stopped while encoding, {done} of {total} tokens")
    distributed.barrier()  # the rows are on the disk before another process maps them
    cache.reload()


def _stopping(
    progress: Callable[[int, int, float], None] | None, should_stop: Callable[[], bool] | None
) -> Callable[[int, int, float], None] | None:
    if should_stop is None:
        return progress

    def told(done: int, total: int, rate: float) -> None:
        if progress is not None:
            progress(done, total, rate)
        if done < total and should_stop():
            raise Interrupted(f"stopped while encoding, {done} of {total} tokens")

    return told


def _lacking(cache: EmbeddingCache) -> Tensor:
    """Rows that at least one process lacks, the same in all."""
    lacks = torch.zeros(cache.num_nodes, dtype=torch.bool)
    lacks[cache.missing()] = True
    return distributed.any_of(lacks).nonzero().flatten()


def _rounds(order: Tensor, lengths: Tensor, tokens: int) -> Iterator[Tensor]:
    """Consecutive parts of `order`, each of about so many tokens."""
    if len(order):
        number = (lengths[order].cumsum(0) - 1).clamp(min=0) // tokens
        yield from torch.split(order, torch.unique_consecutive(number, return_counts=True)[1].tolist())


def _writes() -> bool:
    """Whether this process is the first of its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
