"""Pairs to leave out, as CSR lists of columns for each anchor row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphrep.kernels.csr import CSR

__all__ = ["BLOCKS", "Masks", "joined", "mask_tensors", "pairs_of", "transposed"]

BLOCKS = ("uu", "uv", "vu", "vv")  # anchor side, then column side; 2 * side + side is the position
Masks: TypeAlias = "tuple[Tensor | None, ...]"  # rowptr and sorted col for each block, None where nothing is left out
Array: TypeAlias = "np.ndarray[Any, Any]"


def mask_tensors(masks: Mapping[str, CSR | None]) -> Masks:
    """The operators' arguments: rowptr and col of each block in the order of `BLOCKS`, columns ascending."""
    tensors: list[Tensor | None] = []
    for name in BLOCKS:
        csr = masks.get(name)
        if csr is None or csr.nnz == 0:
            tensors += [None, None]
            continue
        key = csr.row().long() * csr.num_cols + csr.col.long()
        tensors += [csr.rowptr, key.sort().values % max(csr.num_cols, 1)]
    return tuple(tensors)


def pairs_of(masks: Masks, block: str) -> tuple[Tensor, Tensor] | None:
    """(rowptr, col) of one block as int64, or None."""
    place = 2 * BLOCKS.index(block)
    rowptr, col = masks[place], masks[place + 1]
    return None if rowptr is None or col is None else (rowptr.long(), col.long())


def joined(masks: Masks, counts: tuple[int, int]) -> tuple[Array, Array, Array]:
    """All lists in one pair of arrays, and where each begins (-1: none).

    Positions 0..3 are the blocks' own lists, by anchor; position 4 + 2 s + t holds, for each row of side s, the columns
    of side t that leave that row out: the transpose of block (t, s).
    """
    rowptrs, cols = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    offsets, length, filled = np.full(8, -1, np.int64), 0, 0
    for place in range(8):
        side, other = divmod(place % 4, 2)
        name = BLOCKS[2 * side + other] if place < 4 else BLOCKS[2 * other + side]
        lists = pairs_of(masks, name)
        if lists is None:
            continue
        rowptr, col = lists if place < 4 else transposed(*lists, counts[side])
        offsets[place] = length
        rowptrs.append(rowptr.numpy() + filled)
        cols.append(col.numpy())
        length, filled = length + rowptr.numel(), filled + col.numel()
    return np.concatenate(rowptrs), np.concatenate(cols), offsets


def transposed(rowptr: Tensor, col: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The lists by column: for each of `size` columns the rows that name it, ascending."""
    row = torch.repeat_interleave(torch.arange(rowptr.numel() - 1, device=col.device), rowptr.diff())
    order = col.sort(stable=True).indices
    counts = torch.bincount(col, minlength=size)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), row[order]
