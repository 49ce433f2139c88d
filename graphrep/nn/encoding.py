"""Vectors of all texts of a table: batches of like length, half precision where it helps, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from graphrep.data.text_table import TextTable, length_buckets
from graphrep.errors import DTypeError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_index, check_range
from graphrep.nn.embedding_cache import EmbeddingCache
from graphrep.nn.text_encoder import TextEncoder

__all__ = ["Meter", "encode_texts", "evaluating", "half_is_faster", "precision_context"]

PRECISIONS = ("auto", "bfloat16", "float32")
_FLUSH_SECONDS = 10.0
_PROBE_TOKENS, _PROBES = 512, 3


def encode_texts(
    encoder: TextEncoder,
    table: TextTable,
    *,
    index: Tensor | None = None,
    out: Tensor | EmbeddingCache | None = None,
    precision: str = "auto",
    max_tokens: int = 8192,
    progress: Callable[[int, int, float], None] | None = None,
) -> Tensor | EmbeddingCache:
    """Vectors of texts, in evaluation mode and without gradient.

    Long texts come first, so that what does not fit in memory shows at once. Into a cache, only rows that are missing
    are encoded (unless `index` says which), and a cache in a folder is brought to the disk every ten seconds and at the
    end, also when the run is broken off: calling again goes on from there.

    Args:
        encoder: the model.
        table: N texts.
        index: (M,) distinct numbers of texts; None for all, or for the missing rows of a cache.
        out: where to: a tensor (M, h), or a cache whose row i is text i; None makes a float32 tensor on the encoder's
            device.
        precision: ``bfloat16`` (autocast), ``float32`` (the model as it is), or ``auto``, which tries both on some of
            the texts and takes the faster.
        max_tokens: tokens of a batch, padding included.
        progress: called after each batch with tokens done, tokens to do and tokens per second.

    Returns:
        `out`, or (M, h); row k belongs to ``index[k]`` whatever the order of the batches.

    Raises:
        UnknownNameError, ShapeError, DTypeError, IndexRangeError: bad arguments.
        NonFiniteError: the encoder gave NaN or infinity.

    Example:
        >>> table = TextTable.from_texts(["a", "a b"], lambda texts: [[len(w) for w in t.split()] for t in texts])
        >>> encoder = TextEncoder(lambda input_ids, attention_mask: input_ids[..., None].float(), normalize=False)
        >>> encode_texts(encoder, table, precision="float32").tolist()
        [[1.0], [1.0]]
    """
    if precision not in PRECISIONS:
        raise UnknownNameError(f'precision is "{precision}".', hint="one of " + ", ".join(PRECISIONS))
    chosen = _chosen(index, table, out)
    _check_out(out, chosen, encoder, table)
    lengths = table.lengths[chosen]
    batches = length_buckets(lengths, max_tokens)
    meter = Meter(int(lengths.sum()), progress)
    with evaluating(encoder), torch.no_grad():
        if precision == "auto":
            precision = "bfloat16" if batches and half_is_faster(encoder, table, chosen[batches[0]]) else "float32"
        target = out
        try:
            for part in batches:
                rows = _rows(encoder, table, chosen[part], precision)
                if target is None:
                    target = torch.empty(len(chosen), rows.shape[1], device=rows.device)
                _put(target, chosen, part, rows)
                if meter.add(int(lengths[part].sum())) and isinstance(target, EmbeddingCache):
                    target.flush()
        finally:
            if isinstance(target, EmbeddingCache):
                target.flush()
    return torch.empty(0, encoder.dim, device=encoder.device) if target is None else target


def _chosen(index: Tensor | None, table: TextTable, out: Any) -> Tensor:
    if index is None:
        return out.missing() if isinstance(out, EmbeddingCache) else torch.arange(len(table))
    check_index(index, "index")
    check_range(index, len(table), "index")
    return index.long().cpu()


def _check_out(out: Any, chosen: Tensor, encoder: TextEncoder, table: TextTable) -> None:
    if isinstance(out, EmbeddingCache):
        if (out.num_nodes, out.dim) != (len(table), encoder.dim):
            raise ShapeError(
                f"the cache is {out.num_nodes} x {out.dim} for {len(table)} texts of width {encoder.dim}.",
                hint="EmbeddingCache(len(table), encoder.dim)",
            )
    elif isinstance(out, Tensor):
        if out.shape != (len(chosen), encoder.dim):
            raise ShapeError(f"out is {tuple(out.shape)}; needed is {(len(chosen), encoder.dim)}.")
    elif out is not None:
        raise DTypeError(f"out is a {type(out).__name__}.", hint="a tensor, an EmbeddingCache, or None")


def _rows(encoder: TextEncoder, table: TextTable, texts: Tensor, precision: str) -> Tensor:
    ids, mask = (part.to(encoder.device) for part in table.batch(texts))
    with precision_context(encoder.device, precision):
        rows: Tensor = encoder(ids, mask)
    finite = rows.isfinite().all(1)
    if not bool(finite.all()):
        text = int(texts[int((~finite).nonzero()[0])])
        raise NonFiniteError(f"the vector of text {text} is not finite.", hint='precision="float32", or other weights')
    return rows


def _put(target: Any, chosen: Tensor, part: Tensor, rows: Tensor) -> None:
    if isinstance(target, EmbeddingCache):
        target.write(chosen[part], rows)
    else:
        target[part.to(target.device)] = rows.to(target.device, target.dtype)


@contextmanager
def precision_context(device: torch.device, precision: str) -> Iterator[None]:
    """bfloat16 autocast, or nothing for ``float32``."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        yield


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, the mode from before behind it."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)


def half_is_faster(encoder: TextEncoder, table: TextTable, texts: Tensor) -> bool:
    """Whether bfloat16 takes less time on some of these texts here; CPUs without such units are slower with it."""
    device = encoder.device
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    count = max(1, _PROBE_TOKENS // max(1, int(table.lengths[texts[0]])))
    times = {name: [0.0] * (_PROBES + 1) for name in ("bfloat16", "float32")}
    for turn in range(_PROBES + 1):  # the first one warms up
        for name, seconds in times.items():
            start = time.perf_counter()
            _rows(encoder, table, texts[:count], name)
            seconds[turn] = time.perf_counter() - start
    return min(times["bfloat16"][1:]) < min(times["float32"][1:])


class Meter:
    """Counts tokens and tells how fast they go.

    Args:
        total: tokens to do.
        progress: called with tokens done, tokens to do and tokens per second.
    """

    def __init__(self, total: int, progress: Callable[[int, int, float], None] | None) -> None:
        self._total, self._progress = total, progress
        self._start = self._flushed = time.perf_counter()
        self._done = 0

    def add(self, tokens: int) -> bool:
        """Counts some more tokens; whether it is time to bring results to the disk."""
        self._done += tokens
        now = time.perf_counter()
        if self._progress is not None:
            self._progress(self._done, self._total, self._done / max(now - self._start, 1e-9))
        due = now - self._flushed >= _FLUSH_SECONDS
        self._flushed = now if due else self._flushed
        return due
