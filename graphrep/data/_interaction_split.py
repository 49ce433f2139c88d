"""Training, validation and test parts of interactions: at random within each user, or by time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError

if TYPE_CHECKING:
    from graphrep.data.interactions import Interactions

__all__ = ["split_codes"]

_VAL, _TEST = 1, 2


def split_codes(data: Interactions, val: float, test: float, by: str, seed: int | None) -> Tensor:
    """(R,) int8 part numbers; :meth:`Interactions.split` has the arguments.

    The pairs are listed by user and item first, so that the split does not depend on the order of the rows.
    """
    _check(data, val, test, by, seed)
    code = data.user * max(data.num_items, 1) + data.item
    pairs, pair_of_row = torch.unique(code, return_inverse=True)
    user = pairs // max(data.num_items, 1)
    if by == "user":
        generator = torch.Generator().manual_seed(seed or 0)
        order = torch.randperm(len(pairs), generator=generator).to(user.device)
    else:
        order = torch.argsort(_first_time(data, pair_of_row, len(pairs)), stable=True)
    if by == "time":
        place, size, kept = torch.arange(len(pairs), device=user.device), torch.tensor(len(pairs)), 0
    else:
        order = order[torch.argsort(user[order], stable=True)]
        sizes = torch.bincount(user, minlength=data.num_users)
        start = sizes.cumsum(0) - sizes
        place, size, kept = torch.arange(len(pairs), device=user.device) - start[user[order]], sizes[user[order]], 1
    num_test = _floor(test * size.double()).clamp(max=(size - kept).clamp(min=0))
    num_val = torch.minimum(_floor(val * size.double()), (size - kept - num_test).clamp(min=0))
    part = torch.zeros(len(pairs), dtype=torch.int8, device=user.device)
    part[order] = torch.where(
        place >= size - num_test, _TEST, torch.where(place >= size - num_test - num_val, _VAL, 0)
    ).to(torch.int8)
    return part[pair_of_row]


def _floor(number: Tensor) -> Tensor:
    """The floor, with products such as 0.3 * 10 = 2.9999999999999996 taken as the whole number they stand for."""
    return torch.floor(number + 1e-9).long()


def _first_time(data: Interactions, pair_of_row: Tensor, count: int) -> Tensor:
    assert data.time is not None
    # Times of the pairs by their rank, because int64 nanoseconds do not fit a float64.
    _, rank = torch.unique(data.time, return_inverse=True)
    first = torch.full((count,), len(rank), dtype=torch.int64, device=rank.device)
    return first.scatter_reduce_(0, pair_of_row, rank, "amin")


def _check(data: Interactions, val: float, test: float, by: str, seed: int | None) -> None:
    if by not in ("user", "user_time", "time"):
        raise UnknownNameError(f'Unknown way to split "{by}".', hint='by= "user", "user_time" or "time"')
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise GraphrepError(
            f"val={val} and test={test} leave nothing to train on, or are no fractions.",
            hint="fractions from 0, together below 1",
        )
    if by == "user" and seed is None:
        raise GraphrepError("A random split needs a seed.", hint="split(..., seed=0)")
    if by != "user" and seed is not None:
        raise GraphrepError(f'seed={seed} has no effect on a split by "{by}".', hint="leave seed out")
    if by != "user" and data.time is None:
        raise GraphrepError(f'A split by "{by}" needs the time of every row.', hint='time=..., or by="user"')
