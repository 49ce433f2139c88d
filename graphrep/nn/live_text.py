"""Which nodes of a batch pass the language model with gradient, and the rows that the others have from a cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from graphrep.data.text_table import length_buckets
from graphrep.errors import GraphrepError, IndexRangeError, UnknownNameError
from graphrep.kernels._check import check_index
from graphrep.kernels.sampling.local import local_ids
from graphrep.nn.encoding import precision_context
from graphrep.nn.token_cache import TokenCache

__all__ = ["choose_live", "mixed_text", "scale_live"]

_SCHEMES = ("seeds", "uniform")
_PRECISIONS = ("float32", "bfloat16")


def choose_live(
    seeds: Tensor, sampled: Tensor, budget: int, *, generator: torch.Generator | None = None, scheme: str = "seeds"
) -> Tensor:
    """Positions of the nodes of a batch whose text is encoded anew, each at most once.

    Args:
        seeds: (B,) int32 or int64 ids, all of them in `sampled`; repeated ones count once.
        sampled: (S,) distinct ids, the nodes of the batch.
        budget: how many, 0 or more; -1 for all.
        generator: of the draws; default torch's.
        scheme: ``"seeds"``: the seeds, a uniform subset of them where there are more than `budget`, then a uniform
            subset of the others. ``"uniform"``: a uniform subset of all, which scaled by S / `budget` has the full
            gradient as its mean (:func:`scale_live`).

    Returns:
        (min(budget, S),) int64 positions in `sampled`, ascending.

    Raises:
        IndexRangeError, DTypeError, ShapeError, UnknownNameError, GraphrepError: the arguments do not fit.

    Example:
        >>> choose_live(torch.tensor([7, 5]), torch.tensor([5, 7, 1, 2]), 2)
        tensor([0, 1])
    """
    if scheme not in _SCHEMES:
        raise UnknownNameError(f'scheme is "{scheme}".', hint='"seeds" or "uniform"')
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < -1:
        raise GraphrepError(f"budget is {budget!r}.", hint="0 or more, or -1 for all")
    check_index(seeds, "seeds")
    check_index(sampled, "sampled")
    count = sampled.numel()
    places, new = local_ids(sampled.long(), seeds.long())
    if new.numel():
        raise IndexRangeError(f"seed {int(new[0])} is not in sampled.", hint="seeds are nodes of the batch")
    if budget < 0 or budget >= count:
        return torch.arange(count, device=sampled.device)
    order = torch.randperm(count, generator=generator, device=_where(generator)).to(sampled.device)
    if scheme == "seeds":
        is_seed = torch.zeros(count, dtype=torch.bool, device=sampled.device)
        is_seed[places] = True
        order = torch.cat([order[is_seed[order]], order[~is_seed[order]]])
    return order[:budget].sort().values


def scale_live(rows: Tensor, factor: float) -> Tensor:
    """The rows themselves, with their gradient times `factor`.

    With a uniform choice of A out of S nodes and factor S / A the gradient of the encoder has that of all S nodes live
    as its mean, exactly so for a fresh cache.

    Args:
        rows: any floating-point tensor.
        factor: finite.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> scale_live(x, 3.0).sum().backward()
        >>> x.grad
        tensor([3., 3.])
    """
    if not torch.isfinite(torch.tensor(float(factor))):
        raise GraphrepError(f"factor is {factor}.", hint="a finite number, S / A")
    return _Scaled.apply(rows, float(factor))  # type: ignore[no-any-return, no-untyped-call]


class _Scaled(torch.autograd.Function):
    """Sums of the form ``f x + (1 - f) x`` would round the rows, which this leaves as they are."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.factor, None


def mixed_text(
    encoder: Any,
    table: Any,
    cache: Any,
    nodes: Tensor,
    live: Tensor,
    *,
    chunk_size: int | None = None,
    max_tokens: int = 8192,
    checkpointing: bool = False,
    write_back: bool = True,
    scale: bool = False,
    max_length: int | None = None,
    precision: str = "float32",
) -> Tensor:
    """Text vectors of a batch: the encoder's, with gradient, at the live nodes, and the cache's at the others.

    Args:
        encoder: :class:`~graphrep.nn.TextEncoder`, or any module called as ``encoder(input_ids, attention_mask)``.
        table: the tokens: :class:`~graphrep.data.TextTable`; or :class:`~graphrep.nn.TokenCache`, whose stored states
            of the frozen layers go through ``encoder.upper``.
        cache: :class:`~graphrep.nn.EmbeddingCache`.
        nodes: (S,) int32 or int64 ids, rows of `table` and `cache`.
        live: (A,) positions in `nodes`, each at most once.
        chunk_size: texts of one pass of the encoder; default as many as `max_tokens` lets through.
        max_tokens: tokens of one pass, padding included; the longest texts come first.
        checkpointing: keep no activations and run each chunk again for its gradient: memory of one chunk.
        write_back: store the live rows in the cache, so that it follows the encoder.
        scale: multiply the gradient of the live rows by S / A (:func:`scale_live`).
        max_length: of the texts; not with stored states.
        precision: ``"float32"`` (the encoder as it is), or ``"bfloat16"`` autocast.

    Returns:
        (S, h); without a live node the cache's rows, which carry no gradient.

    Raises:
        IndexRangeError, DTypeError, ShapeError, UnknownNameError, GraphrepError: the arguments do not fit.
    """
    check_index(nodes, "nodes")
    check_index(live, "live")
    if precision not in _PRECISIONS:
        raise UnknownNameError(f'precision is "{precision}".', hint=", ".join(_PRECISIONS))
    if not live.numel():
        rows: Tensor = cache.gather(nodes)
        return rows.float() if rows.dtype.itemsize < 4 else rows
    _check_live(live, nodes.numel())
    ids = nodes[live.long()]
    encoded = _encoded(encoder, table, ids, (chunk_size, max_tokens), checkpointing, max_length, precision)
    if write_back:
        cache.write(ids, encoded)
    if scale:
        encoded = scale_live(encoded, nodes.numel() / live.numel())
    mixed: Tensor = cache.mix(nodes, live, encoded)
    return mixed


def _check_live(live: Tensor, count: int) -> None:
    low, high = (int(v) for v in torch.aminmax(live))
    if low < 0 or high >= count:
        raise IndexRangeError(f"live names position {low if low < 0 else high} of {count} nodes.", hint="choose_live")
    if live.unique().numel() != live.numel():  # type: ignore[no-untyped-call]
        raise GraphrepError("live names a position twice.", hint="choose_live draws without replacement")


def _encoded(
    encoder: Any,
    table: Any,
    ids: Tensor,
    limits: tuple[int | None, int],
    checkpointing: bool,
    max_length: int | None,
    precision: str,
) -> Tensor:
    """(A, h) vectors of the given texts, in this order, float32 at least."""
    limit = {} if max_length is None else {"max_length": max_length}
    buckets = _buckets(table, ids.cpu().long(), *limits, max_length)
    parts = []
    for bucket in buckets:
        batch = table.batch(ids.cpu()[bucket], **limit)
        parts.append(_run(encoder, batch, getattr(encoder, "device", ids.device), checkpointing, precision))
    back = torch.cat(buckets).argsort()
    return torch.cat(parts).index_select(0, back.to(parts[0].device))


def passes(table: Any, texts: Tensor, *, chunk_size: int | None = None, max_tokens: int = 8192) -> int:
    """How often :func:`mixed_text` calls the encoder for these live texts, which wrappers of it may have to know."""
    return len(_buckets(table, texts.cpu().long(), chunk_size, max_tokens, None)) if len(texts) else 0


def _buckets(table: Any, ids: Tensor, chunk_size: int | None, max_tokens: int, max_length: int | None) -> list[Tensor]:
    """Positions in `ids` of the texts of each pass, from long to short."""
    if chunk_size is not None and chunk_size < 1:
        raise GraphrepError(f"chunk_size is {chunk_size}.", hint="1 or more")
    if isinstance(table, TokenCache):
        if max_length is not None:
            raise GraphrepError("stored states have the length that they were made with.", hint="max_length=None")
        lengths = table.offsets[ids + 1] - table.offsets[ids]
    else:
        lengths = table.lengths[ids]
        lengths = lengths if max_length is None else lengths.clamp(max=max_length)
    found = length_buckets(lengths, max_tokens)
    return [part for bucket in found for part in torch.split(bucket, chunk_size or max(1, bucket.numel()))]


def _run(
    encoder: Any, batch: tuple[Tensor, Tensor], device: torch.device, checkpointing: bool, precision: str
) -> Tensor:
    first, mask = (part.to(device) for part in batch)
    function = encoder.upper if first.is_floating_point() else encoder
    with precision_context(device, precision):
        if checkpointing:
            rows: Tensor = checkpoint(function, first, mask, use_reentrant=False)
        else:
            rows = function(first, mask)
    return rows.float() if rows.dtype.itemsize < 4 else rows


def _where(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device
