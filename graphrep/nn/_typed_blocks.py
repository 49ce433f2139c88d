"""A graph encoder layer by layer over blocks of nodes, for graphs that do not pass through all layers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from graphrep.kernels import CSR
from graphrep.nn._typed_layers import EdgeType

__all__ = ["block_ends", "input_rows", "layer_rows", "row_count"]


def row_count(given: Any, num_nodes: int) -> int:
    """How many nodes an input is for; a function of node numbers is for all."""
    if callable(given):
        return num_nodes
    return int(given[0].shape[0] if isinstance(given, tuple | list) else given.shape[0])


def input_rows(given: Any, begin: int, end: int, device: torch.device) -> Any:
    """Rows begin..end of an input, on `device`."""
    if callable(given):
        given = given(torch.arange(begin, end))
        begin, end = 0, end - begin
    if isinstance(given, tuple | list):
        return tuple(input_rows(part, begin, end, device) for part in given)
    if isinstance(given, CSR):
        return _block(given, begin, end).to(device)
    if given.layout == torch.sparse_csr:
        start = given.crow_indices()
        parts = _block(CSR(start, given.col_indices(), given.values(), num_cols=given.shape[1]), begin, end)
        return parts.to(device)
    return given[begin:end].to(device)


def layer_rows(
    step: Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Mapping[EdgeType, CSR]], Mapping[str, Tensor]],
    h: Mapping[str, Tensor],
    matrices: Mapping[EdgeType, CSR],
    block_size: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """One layer at all nodes: `step` sees a block of destinations, and of the sources only those with an edge to it."""
    out = {}
    for name, rows in h.items():
        parts = []
        for begin, end in block_ends(rows.shape[0], block_size):
            mine = {kind: _block(csr, begin, end) for kind, csr in matrices.items() if kind[2] == name}
            nodes, mine = _compact(mine)
            source = {key: h[key].index_select(0, ids).to(device) for key, ids in nodes.items()}
            found = step(source, {name: rows[begin:end].to(device)}, {k: csr.to(device) for k, csr in mine.items()})
            parts.append(found[name].to(rows.device))
        out[name] = torch.cat(parts)
    return out


def block_ends(count: int, block_size: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of consecutive blocks; one empty block where there is nothing."""
    for begin in range(0, max(count, 1), block_size):
        yield begin, min(begin + block_size, count)


def _block(csr: CSR, begin: int, end: int) -> CSR:
    """Rows begin..end."""
    low, high = int(csr.rowptr[begin]), int(csr.rowptr[end])
    value = None if csr.value is None else csr.value[low:high]
    return CSR(csr.rowptr[begin : end + 1] - low, csr.col[low:high], value, num_cols=csr.num_cols)


def _compact(matrices: Mapping[EdgeType, CSR]) -> tuple[dict[str, Tensor], dict[EdgeType, CSR]]:
    """The distinct columns by source type, and the matrices over these alone."""
    columns: dict[str, list[Tensor]] = {}
    for kind, csr in matrices.items():
        columns.setdefault(kind[0], []).append(csr.col)
    nodes = {name: torch.unique(torch.cat(cols)).long() for name, cols in columns.items()}
    numbered = {}
    for kind, csr in matrices.items():
        ids = nodes[kind[0]]
        col = torch.searchsorted(ids, csr.col.long())
        numbered[kind] = CSR(csr.rowptr, col, csr.value, num_cols=ids.numel())
    return nodes, numbered
