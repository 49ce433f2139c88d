"""Uniform samples of each row's entries, as a matrix of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import _triton
from graphrep.kernels._check import check_device, check_index, check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels._dispatch import implementation
from graphrep.kernels.csr import CSR, index_dtype
from graphrep.kernels.sampling import cpu, reference  # noqa: F401  (they register themselves)

if _triton.AVAILABLE:
    from graphrep.kernels.sampling import cuda  # noqa: F401

__all__ = ["sample_neighbors"]


def sample_neighbors(csr: CSR, seeds: Tensor, fanout: int, *, replace: bool = False, seed: int) -> CSR:
    """At most `fanout` entries of each seed's row, drawn uniformly.

    Every subset of `fanout` entries is equally likely (every sequence, with replacement). Weights play no part in the
    choice; the chosen entries keep theirs. Duplicate entries count separately.

    Args:
        csr: any matrix; rows are destinations, so the sample holds in-neighbours of a directed graph.
        seeds: (S,) int32 or int64 rows; a row that stands twice is sampled twice, independently.
        fanout: entries per seed, at least 0; -1 for all.
        replace: draw with replacement: then every row that is not empty gives exactly `fanout` entries, in the order
            drawn. Without, the entries keep their order. No effect with fanout -1.
        seed: any integer. A row's sample depends on the seed and its position in `seeds` alone, not on threads or
            backend.

    Returns:
        CSR of shape (S, csr.num_cols): row i belongs to ``seeds[i]``, columns are the original ids, ``perm`` the
        positions of the entries in `csr` (its CSR order), ``value`` theirs where `csr` has weights; gradients flow.
        Costs O(S fanout) besides sorting each row's draws; nothing of the size of the graph.

    Raises:
        IndexRangeError, DTypeError, ShapeError, DeviceError, GraphrepError: seeds are no rows, or fanout is below -1.

    Example:
        >>> csr = CSR.from_edge_index(torch.tensor([[1, 2, 3, 0], [0, 0, 0, 1]]), size=(4, 4))
        >>> sample = sample_neighbors(csr, torch.tensor([1, 0]), 2, seed=0)
        >>> sample.rowptr.tolist(), sample.shape
        ([0, 1, 3], (2, 4))
    """
    check_index(seeds, "seeds")
    check_range(seeds, csr.num_rows, "seeds")
    check_device(csr.device, seeds=seeds)
    if isinstance(fanout, bool) or not isinstance(fanout, int) or fanout < -1:
        raise GraphrepError(f"fanout must be 0 or more, or -1 for all; got {fanout!r}.", hint="fanout=10")
    bits, rows = check_seed(seed), seeds.long()
    counts = (csr.rowptr[rows + 1] - csr.rowptr[rows]).long()
    if fanout >= 0:
        counts = (counts > 0) * fanout if replace else counts.clamp(max=fanout)
    offsets = torch.zeros(rows.numel() + 1, dtype=torch.int64, device=csr.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    draw = implementation("sample_positions", csr.device)
    perm: Tensor = draw(csr.rowptr, rows, offsets, int(offsets[-1]), fanout, replace, bits)
    value = None if csr.value is None else csr.value.index_select(0, perm)
    dtype = index_dtype(rows.numel(), csr.num_cols, max(perm.numel(), csr.nnz))
    return CSR._trusted(offsets.to(dtype), csr.col.index_select(0, perm).to(dtype), value, csr.num_cols, perm.to(dtype))
