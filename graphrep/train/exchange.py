"""What a step needs of the other processes: shares of a batch, the rows of all, mean gradients, equal weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from graphrep.errors import GraphrepError, ShapeError
from graphrep.train.processes import rank, reduced, world_size

__all__ = [
    "all_rows",
    "average_gradients",
    "is_sharded",
    "mean_over_all",
    "shard",
    "synchronise",
    "touch",
]

_BUCKET = 25 * 2**20  # bytes reduced at a time, as in torch's own DistributedDataParallel


def shard(index: Tensor, *, dim: int = 0, equal: bool = True) -> Tensor:
    """The share of this process: every `world_size`-th entry of `index` along `dim`.

    Args:
        index: the same in all processes, such as the seeds of a batch.
        dim: the axis to share out; 1 for (2, B) pairs.
        equal: as many entries in every process, which the mean gradient relies on; entries from the start are taken
            again where the number does not divide. False leaves some processes with one entry less, maybe none.

    Returns:
        The share; `index` itself in one process.

    Example:
        >>> shard(torch.arange(4))
        tensor([0, 1, 2, 3])
    """
    count, world = index.shape[dim], world_size()
    if world == 1:
        return index
    total = -(-count // world) * world if equal else count
    places = torch.arange(total, device=index.device)[rank() :: world] % max(count, 1)
    return index.index_select(dim, places)


def all_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; differentiable.

    The gradient that arrives here from every process is added up. With gradients averaged over the processes, a loss
    of all processes' rows therefore has its true gradient, whether each process computes the whole loss or the mean
    over a share of equal size.

    Args:
        rows: (n, ...); n may differ between processes, the other axes and the dtype may not.

    Returns:
        (n_0 + n_1 + ..., ...). Costs one all-gather, and an all-reduce of the result's size in the backward pass.

    Raises:
        ShapeError: `rows` is a scalar.

    Example:
        >>> all_rows(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if not rows.dim():
        raise ShapeError("rows is a scalar; there are no rows to join.", hint="rows[None]")
    if world_size() == 1:
        return rows
    joined: Tensor = _AllRows.apply(rows)  # type: ignore[no-untyped-call]
    return joined


class _AllRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world_size())]
        dist.all_gather(counts, torch.tensor([rows.shape[0]], device=rows.device))
        sizes = [int(count) for count in counts]
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))  # collectives want equal sizes
        padded[: rows.shape[0]] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        ctx.start, ctx.count = sum(sizes[: rank()]), rows.shape[0]
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.count]


def mean_over_all(values: Tensor) -> Tensor:
    """Part of this process in the mean over the values of all processes, however many each has.

    The average of the parts over the processes, and of their gradients, is that of the mean.

    Args:
        values: (n,), such as the loss of each row; n may be 0 in some processes, not in all.

    Raises:
        GraphrepError: no process has a value.

    Example:
        >>> mean_over_all(torch.tensor([1.0, 3.0]))
        tensor(2.)
    """
    count = float(reduced(torch.tensor(float(values.numel()), dtype=torch.float64), "sum"))
    if not count:
        raise GraphrepError("There is nothing to average in any process.", hint="a batch with rows")
    return values.sum() * (world_size() / count)


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process holds a part of the tensor (``fully_shard``)."""
    return hasattr(tensor, "full_tensor")


def synchronise(module: nn.Module, *, buffers_only: bool = False) -> None:
    """Copies the main process's parameters and buffers to all processes, in place.

    Args:
        module: the same module in every process; sharded parameters are left as they are.
        buffers_only: running statistics alone.
    """
    if world_size() == 1:
        return
    tensors: list[Tensor] = [] if buffers_only else [p.detach() for p in module.parameters()]
    for tensor in [*tensors, *(b.detach() for b in module.buffers())]:
        if not is_sharded(tensor):
            dist.broadcast(tensor, src=0)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replaces each gradient by its mean over the processes, in place; those of sharded parameters are means already.

    A parameter without a gradient in this process counts as zero if another process has one: a process whose batch
    holds no live text needs nothing special. Equals what ``DistributedDataParallel`` computes, without its conditions
    on the forward pass (several calls, chunks with a backward pass each), and without its overlap with the backward
    pass.

    Args:
        parameters: the same in every process, in the same order.
    """
    own = [p for p in parameters if not is_sharded(p)]
    if world_size() == 1 or not own:
        return
    present = torch.tensor([p.grad is not None for p in own], dtype=torch.uint8)
    anywhere = reduced(present, "max").tolist()
    wanted = [p for p, found in zip(own, anywhere, strict=True) if found]
    for p in wanted:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    running = []
    for bucket in _buckets([p.grad for p in wanted if p.grad is not None]):
        flat = torch.cat([g.reshape(-1) for g in bucket])
        running.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in running:
        work.wait()
        flat /= world_size()
        parts = torch.split(flat, [g.numel() for g in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def touch(loss: Tensor, module: nn.Module) -> Tensor:
    """`loss` plus zero times the parameters of `module`, so that every one of them gets a gradient.

    For wrappers that wait for the gradient of each parameter (``DistributedDataParallel``) in a process whose batch
    does not use the module; :func:`average_gradients` does not need it.
    """
    for parameter in module.parameters():
        if parameter.requires_grad:
            loss = loss + 0.0 * parameter.reshape(-1)[:1].sum()
    return loss


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for gradient in gradients:
        kinds.setdefault((gradient.dtype, gradient.device), []).append(gradient)
    for alike in kinds.values():
        bucket: list[Tensor] = []
        size = 0
        for gradient in alike:
            bucket.append(gradient)
            size += gradient.numel() * gradient.element_size()
            if size >= _BUCKET:
                yield bucket
                bucket, size = [], 0
        if bucket:
            yield bucket
