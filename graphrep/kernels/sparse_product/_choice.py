"""Which entries of a row stay where it may have only so many, in plain torch on any device."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from graphrep.errors import UnknownNameError
from graphrep.kernels._counter import DOMAIN_PAIR, check_seed, torch_fraction, torch_start, torch_word

__all__ = ["TIES", "Choice", "Ties", "best_of", "choice_of", "scores"]

Ties: TypeAlias = Literal["hash", "index", "low"]

TIES = {"low": 0, "index": 1, "hash": 2}  # of equal entries: smaller column, larger column, larger hash of the pair


class Choice(NamedTuple):
    """How the entries of a row are ordered.

    Attributes:
        own: (num_rows,) float64 paths of each row to itself; empty: entries are ordered by value.
        other: (num_cols,) float64 of each column.
        ties: a number of `TIES`.
        seed: 64 bits.
        keep_self: the entry on the diagonal comes first.
    """

    own: Tensor
    other: Tensor
    ties: int
    seed: int
    keep_self: bool


def choice_of(
    ties: str, seed: int, device: torch.device, *, diagonal: Tensor | None = None, keep_self: bool = False
) -> Choice:
    """A choice by path similarity where `diagonal` is given, else by value; of equal ones as `ties` says.

    Raises:
        UnknownNameError: `ties` is no such rule.
        DTypeError: `seed` is no integer.
    """
    if ties not in TIES:
        raise UnknownNameError(f"ties is {ties!r}.", hint=f"one of {', '.join(TIES)}")
    norms = torch.empty(0, dtype=torch.float64, device=device) if diagonal is None else diagonal.double().contiguous()
    return Choice(norms, norms, TIES[ties], check_seed(seed), keep_self)


def scores(row: Tensor, col: Tensor, value: Tensor, choice: Choice) -> Tensor:
    """(n,) float64: ``2 value / (own + other)``, or the value; 0 for 0, and infinite without a path to itself."""
    wide = value.double()
    if choice.own.numel():
        wide = torch.where(wide == 0, 0, 2 * wide / (choice.own[row] + choice.other[col]))
    return torch.where(row == col, torch.inf, wide) if choice.keep_self else wide


def best_of(row: Tensor, col: Tensor, value: Tensor, choice: Choice, length: Tensor, first_row: int = 0) -> Tensor:
    """Positions, ascending, of the entries that stay.

    Args:
        row: (n,) int64 row of each entry, ascending.
        col: (n,) int64 column.
        value: (n,) numbers.
        choice: the order.
        length: (R,) entries that stay in each row.
        first_row: what row 0 of the block is called in the matrix.
    """
    name = row + first_row
    tie = col if choice.ties == TIES["index"] else -col
    if choice.ties == TIES["hash"]:
        tie = torch_fraction(torch_word(torch_start(choice.seed, DOMAIN_PAIR, name), col))
    order = torch.sort(tie, descending=True, stable=True).indices
    score = scores(name, col, value, choice)
    order = order[torch.sort(score[order], descending=True, stable=True).indices]
    order = order[torch.sort(row[order], stable=True).indices]
    count = torch.bincount(row, minlength=length.numel())
    rank = torch.arange(row.numel(), device=row.device) - (count.cumsum(0) - count)[row]
    return order[rank < length[row]].sort().values
