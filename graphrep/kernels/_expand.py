"""Products of sparse rows in plain torch: rows are expanded into all their terms, which are sorted and summed.

An entry is a key, the number of its row times the number of columns plus its column.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels._select import row_entries

__all__ = ["BLOCK_PRODUCTS", "expanded", "multiplied"]

BLOCK_PRODUCTS = 1 << 22  # terms that one block of rows may expand to (a single row may exceed it)


def expanded(rowptr: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Which of `rows` each entry of these rows belongs to, and the entry's position; both int64."""
    pointer, place = row_entries(rowptr, rows)
    return torch.repeat_interleave(pointer.diff(), output_size=place.numel()), place


def multiplied(
    key: Tensor, number: Tensor, matrix: tuple[Tensor, Tensor, Tensor], size: int, num_cols: int
) -> tuple[Tensor, Tensor]:
    """Keys, ascending, and values of the product of sparse rows with a matrix.

    Args:
        key: (n,) entries of the rows, of `size` columns.
        number: (n,) their values.
        matrix: rowptr, col and value of a matrix with `size` rows and `num_cols` columns.
        size: inner size.
        num_cols: columns of the result.
    """
    rowptr, col, value = matrix
    owner, place = expanded(rowptr, key % size)
    product = number[owner] * value[place]
    if not place.numel():  # segment_reduce needs a segment
        return key[:0], product
    key, order = torch.sort((key // size)[owner] * num_cols + col[place], stable=True)
    key, length = torch.unique_consecutive(key, return_counts=True)
    return key, torch.segment_reduce(product[order], "sum", lengths=length)
