"""How Triton kernels share the rows of a matrix between programs: by degree, once per matrix.

A power-law graph has rows of 0 and of 25,000 entries. One program per row would leave most programs with next to
nothing and the whole device waiting for the longest row, so rows are binned: up to 16 entries, several rows per
program; up to 512, one program per row; above, pieces of 512 entries whose partial results are combined in the order
of the pieces by a second kernel. No atomics, so results are the same bytes on every run.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["PIECE", "SHORT", "Schedule", "Work", "schedule_of"]

SHORT = 16  # most entries of a row that shares a program with others
PIECE = 512  # most entries that one program takes
_HUB = 22  # key of rows that are cut into pieces: 0..16 short rows by degree, 17..21 longer ones, longest first

_CACHE: MutableMapping[Tensor, tuple[int, Schedule]] = WeakTensorKeyDictionary()  # rowptr -> its version, schedule


@dataclass(frozen=True)
class Work:
    """Ranges of entries, one per program or per line of a program.

    Attributes:
        start: (count,) first entry, in the dtype of rowptr.
        stop: (count,) one past the last entry.
        row: (count,) row that the entries belong to.
    """

    start: Tensor
    stop: Tensor
    row: Tensor

    @property
    def count(self) -> int:
        """Number of ranges."""
        return self.row.numel()


@dataclass(frozen=True)
class Schedule:
    """All rows of a matrix, each in exactly one bin; `short`, `long` and `pieces` cover every entry exactly once.

    Attributes:
        short: rows of at most `SHORT` entries, empty ones included, by ascending degree.
        long: rows of `SHORT` + 1 to `PIECE` entries, those of most entries first.
        pieces: ranges of at most `PIECE` entries of the remaining rows, in the order of rows and entries.
        hubs: the remaining rows; start and stop count pieces, not entries.
    """

    short: Work
    long: Work
    pieces: Work
    hubs: Work


def schedule_of(rowptr: Tensor) -> Schedule:
    """The schedule of a matrix, computed on its device the first time and kept as long as `rowptr` lives.

    Costs a sort of num_rows small keys and one synchronisation; O(num_rows + nnz / 512) integers are kept. A `rowptr`
    that was changed in place gets a new schedule; an inference tensor does not tell, so it gets one on every call.

    Example:
        >>> found = schedule_of(torch.tensor([0, 2, 2, 602, 630]))
        >>> found.short.row.tolist(), found.long.row.tolist(), found.hubs.row.tolist()
        ([1, 0], [3], [2])
        >>> found.pieces.start.tolist(), found.pieces.stop.tolist()
        ([2, 514], [514, 602])
    """
    if rowptr.is_inference():
        return _computed(rowptr)
    version, known = rowptr._version, _CACHE.get(rowptr)
    if known is not None and known[0] == version:
        return known[1]
    schedule = _computed(rowptr)
    _CACHE[rowptr] = (version, schedule)
    return schedule


def _computed(rowptr: Tensor) -> Schedule:
    degree = rowptr[1:] - rowptr[:-1]
    longer = (torch.where(degree > limit, 1, 0) for limit in (32, 64, 128, 256))
    key = torch.where(degree <= SHORT, degree, _HUB - 1 - sum(longer))
    key = torch.where(degree > PIECE, _HUB, key).to(torch.uint8)
    order = torch.sort(key, stable=True).indices
    per_row = torch.where(degree > PIECE, (degree + (PIECE - 1)) // PIECE, 0)
    sizes = torch.stack([(key <= SHORT).sum(), (key < _HUB).sum(), per_row.sum()])
    num_short, num_whole, num_pieces = (int(size) for size in sizes.tolist())
    row = order.to(rowptr.dtype)
    start, stop = rowptr[:-1][order], rowptr[1:][order]

    def part(first: int, last: int) -> Work:
        # Copies, because kernels are compiled anew for pointers that are not aligned to 16 bytes.
        return Work(start[first:last].clone(), stop[first:last].clone(), row[first:last].clone())

    hubs = part(num_whole, degree.numel())
    pieces, hubs = _cut(hubs, per_row[order[num_whole:]], num_pieces)
    return Schedule(part(0, num_short), part(num_short, num_whole), pieces, hubs)


def _cut(hubs: Work, per_hub: Tensor, num_pieces: int) -> tuple[Work, Work]:
    """The pieces of the rows in `hubs`, and those rows as ranges of pieces."""
    dtype, device = hubs.row.dtype, hubs.row.device
    ends = per_hub.cumsum(0)
    hub = torch.repeat_interleave(torch.arange(hubs.count, device=device), per_hub, output_size=num_pieces)
    first = ends - per_hub
    inside = torch.arange(num_pieces, device=device) - first[hub]
    start = hubs.start[hub] + (inside * PIECE).to(dtype)
    stop = torch.minimum(start + PIECE, hubs.stop[hub])
    return Work(start, stop, hubs.row[hub]), Work(first.to(dtype), ends.to(dtype), hubs.row)
