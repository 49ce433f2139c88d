"""Skip-gram with negative sampling on walks: pairs in blocks of a grid of node parts, trained without locks.

Sources: Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality", NIPS 2013
(arXiv:1310.4546); Perozzi, Al-Rfou, Skiena, "DeepWalk", KDD 2014 (arXiv:1403.6652); Zhu, Xu, Qu, Tang, "GraphVite", WWW
2019 (arXiv:1903.00757), for the grid of blocks.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels._dispatch import implementation
from graphrep.kernels.csr import CSR
from graphrep.kernels.skipgram import cpu, pairs_cpu, reference  # noqa: F401  (they register themselves)
from graphrep.kernels.skipgram.partition import Partition, partition_nodes

__all__ = ["PairBlocks", "Partition", "partition_nodes", "skipgram_", "walk_pairs"]


@dataclasses.dataclass(frozen=True)
class PairBlocks:
    """Pairs of a node and one it was met with, sorted by the parts of both.

    Attributes:
        source: (S,) int64 nodes.
        target: (S,) int64 what each was met with.
        bounds: (P * P + 1,) int64; block (r, c) holds the pairs from ``bounds[r * P + c]`` on.
    """

    source: Tensor
    target: Tensor
    bounds: Tensor

    def __len__(self) -> int:
        return self.source.numel()


def walk_pairs(
    csr: CSR, walks: Tensor, part: Tensor, parts: int, *, window: int, both: bool, shrink: bool, seed: int
) -> PairBlocks:
    """The pairs of nodes that lie at most `window` steps apart on a walk, in blocks by the parts of the two.

    Within a block the pairs of one walk lie far apart: the order is that of their position on the walk, and only then
    that of the walks (in up to 64 groups of walks, one after another). A walk ends at the first node without
    neighbours.

    Args:
        csr: the matrix walked on; only which rows are empty matters.
        walks: (W, L + 1) int32 or int64 nodes.
        part: (N,) int32 part of each node, from 0 to P - 1.
        parts: P.
        window: most steps between the two nodes, 1 or more.
        both: whether a node meets those before it as well as those after it.
        shrink: draw the window anew for each position, from 1 to `window`, so that near nodes count more.
        seed: any integer, for `shrink`.

    Returns:
        The pairs. O(W L window) time, 16 bytes per pair.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, GraphrepError: shapes or numbers that do not fit.

    Example:
        >>> path = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> walks, part = torch.tensor([[0, 1, 2]]), torch.zeros(3, dtype=torch.int32)
        >>> found = walk_pairs(path, walks, part, 1, window=1, both=False, shrink=False, seed=0)
        >>> found.source.tolist(), found.target.tolist()
        ([0, 1], [1, 2])
    """
    check_index(walks, "walks", ndim=2)
    check_index(part, "part")
    check_device(csr.device, walks=walks, part=part)
    check_range(walks, csr.num_rows, "walks")
    if part.numel() != csr.num_rows:
        raise ShapeError(f"part has {part.numel()} entries for {csr.num_rows} nodes.", hint="partition_nodes(...)")
    for name, number in (("parts", parts), ("window", window)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise GraphrepError(f"{name} must be an integer of 1 or more; got {number!r}.", hint=f"{name}=1")
    check_range(part, parts, "part")
    make = implementation("walk_pairs", csr.device)
    found = make(csr.rowptr, walks.long(), part, parts, window, both, shrink, check_seed(seed))
    return PairBlocks(*found)


def skipgram_(
    vertex: Tensor,
    context: Tensor,
    pairs: PairBlocks,
    parts: Partition,
    *,
    lr: tuple[float, float],
    num_negatives: int = 1,
    negative_weight: float = 5.0,
    weight_decay: float = 0.0,
    batch_size: int = 1,
    turn: int = 0,
    seed: int,
) -> float:
    """Stochastic gradient descent on the pairs, in place, each pair once.

    The loss of a pair (u, v) with negatives n_1..n_k is::

        -log s(w_u . c_v) - negative_weight * sum_j log s(-w_u . c_nj),   s(x) = 1 / (1 + exp(-x))

    with w the rows of `vertex` and c those of `context`. Negatives are drawn by the weights of `parts`, within the part
    of v; those equal to v are left out. As in word2vec each context row learns before the next is looked at, and w_u
    learns last. Every learning row shrinks by ``lr * weight_decay`` of itself.

    The P x P blocks are gone through in P rounds. The P blocks of a round share no node on either side, so threads work
    on them without locks, and the result does not depend on how many threads there are.

    Args:
        vertex: (N, d) float32 or float64, contiguous.
        context: the same.
        pairs: from :func:`walk_pairs`, with the parts of `parts`.
        parts: from :func:`partition_nodes`, on the device of the tables.
        lr: learning rate at the first and at the last pair, linear in between.
        num_negatives: k, 1 or more.
        negative_weight: what each negative counts.
        weight_decay: see above.
        batch_size: pairs of a block that learn from the same state of the tables, their steps added. 1 is the usual
            descent; more is for GPUs, and takes plain torch on every device.
        turn: where each row of blocks begins.
        seed: any integer, for the negatives.

    Returns:
        The mean loss of every 16th pair, each before its own step; NaN without pairs. O(S d k) time; memory for one
        batch besides.

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError: tables or numbers that do not fit.

    Example:
        >>> path = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> parts = partition_nodes(torch.tensor([1.0, 2.0, 1.0]), 1)
        >>> walks = torch.tensor([[0, 1, 2], [2, 1, 0]])
        >>> found = walk_pairs(path, walks, parts.part, 1, window=1, both=True, shrink=False, seed=0)
        >>> vertex, context = torch.full((3, 4), 0.5), torch.zeros(3, 4)
        >>> loss = skipgram_(vertex, context, found, parts, lr=(0.1, 0.1), negative_weight=1.0, seed=0)
        >>> 0.69 < loss < 1.39, bool(context.any())
        (True, True)
    """
    _check_tables(vertex, context)
    check_device(vertex.device, pairs=pairs.source, parts=parts.part)
    size = parts.num_parts
    if pairs.bounds.numel() != size * size + 1:
        raise ShapeError(f"the pairs have {pairs.bounds.numel() - 1} blocks, and {size} parts need {size * size}.")
    if parts.part.numel() != vertex.shape[0]:
        raise ShapeError(f"the parts are of {parts.part.numel()} nodes, the tables of {vertex.shape[0]}.")
    for name, number in (("num_negatives", num_negatives), ("batch_size", batch_size)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise GraphrepError(f"{name} must be an integer of 1 or more; got {number!r}.", hint=f"{name}=1")
    steps = {"lr": lr[0], "the last lr": lr[1], "negative_weight": negative_weight, "weight_decay": weight_decay}
    for name, value in steps.items():
        if not (math.isfinite(value) and value >= 0):
            raise GraphrepError(f"{name} must be 0 or more and finite; got {value}.", hint="lr=(0.025, 0.0001)")
    bits = check_seed(seed)
    learn = implementation("skipgram", vertex.device) if batch_size == 1 else reference.skipgram
    loss, count = 0.0, 0
    for place in range(size):
        shift = (place + turn) % size
        rates = (lr[0] + (lr[1] - lr[0]) * place / size, lr[0] + (lr[1] - lr[0]) * (place + 1) / size)
        steps_of = (rates, num_negatives, float(negative_weight), float(weight_decay), batch_size)
        found = learn(vertex, context, (pairs.source, pairs.target, pairs.bounds), parts, steps_of, shift, bits)
        loss, count = loss + found[0], count + found[1]
    return loss / count if count else math.nan


def _check_tables(vertex: Tensor, context: Tensor) -> None:
    for name, table in (("vertex", vertex), ("context", context)):
        check_floating(table, name)
        if table.dtype not in (torch.float32, torch.float64):
            raise DTypeError(f"{name} must be float32 or float64; got {table.dtype}.", hint=f"{name}.float()")
        if table.dim() != 2 or not table.is_contiguous():
            raise ShapeError(f"{name} must be (N, d) and contiguous; got {tuple(table.shape)}.", hint=".contiguous()")
    if vertex.shape != context.shape or vertex.dtype != context.dtype:
        raise ShapeError(
            f"the tables differ: {tuple(vertex.shape)} {vertex.dtype} and {tuple(context.shape)} {context.dtype}."
        )
    check_device(vertex.device, context=context)
