"""What a recommender is trained on: the matrix of training, held-out pairs, and what its user must be told."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.interactions import Interactions
from graphrep.errors import EmptyGraphError, GraphrepError
from graphrep.kernels import CSR
from graphrep.kernels._sorted import sorted_pattern

__all__ = ["TrainingData", "as_matrix", "training_data", "united"]


class TrainingData(NamedTuple):
    """Interactions as matrices (U, I), rows users, with sorted columns listed once."""

    train: CSR  # counts, or ones
    val: CSR | None  # pattern of the pairs that validate
    seen: CSR  # pattern of both
    notes: list[str]


def training_data(data: Interactions, validation: float | None, binarize: bool, seed: int) -> TrainingData:
    """The train part (all rows where there are no parts), and validation pairs of its own or held out of it.

    Args:
        data: the interactions.
        validation: share of the training pairs to hold out where `data` has no val part; None: nothing validates.
        binarize: each pair counts 1.
        seed: of what is held out.

    Raises:
        EmptyGraphError: no training interactions.
        GraphrepError: weights that are not positive, or `validation` is no share.
    """
    if validation is not None and not (isinstance(validation, float) and 0 < validation < 1):
        raise GraphrepError(f"validation is {validation!r}.", hint="a share such as 0.1, or None")
    if data.weight is not None and not bool((data.weight > 0).all()):
        row = int((data.weight <= 0).nonzero()[0])
        raise GraphrepError(
            f"row {row} has weight {float(data.weight[row]):g}; weights count interactions, so they are positive.",
            hint="leave out the rows that are no interactions",
        )
    train = data.csr(None if data.part is None else "train", binarize=binarize)
    if not train.nnz:
        raise EmptyGraphError("there are no training interactions.", hint="rows whose part is train")
    notes = _notes(train)
    given = data.csr("val") if "val" in data.parts else None
    seen = train if given is None else united(train, given)
    if validation is None:
        return TrainingData(train, None, seen, notes)
    val = given
    if val is None:
        chosen = _held_out(train, validation, seed)
        if bool(chosen.any()):
            train, val = _part(train, ~chosen), _part(train, chosen)
    if val is None:
        notes.append("No pair could be held out for validation: one interaction a user. All epochs are trained.")
    return TrainingData(train, val, seen, notes)


def _held_out(train: CSR, share: float, seed: int) -> Tensor:
    """(nnz,) bool: of a user's n pairs ``share n``, rounded up or down at random, but never all.

    Rounding at random keeps the share for users with few pairs too, of whom rounding down would take none.
    """
    generator = torch.Generator().manual_seed(seed)
    size = train.degree().long().cpu()
    draw = torch.rand(train.num_rows, generator=generator, dtype=torch.float64)
    count = torch.minimum((share * size.double() + draw).floor().long(), (size - 1).clamp(min=0))
    row = train.row().long().cpu()
    order = torch.randperm(train.nnz, generator=generator)
    order = order[row[order].argsort(stable=True)]
    place = torch.arange(train.nnz) - (size.cumsum(0) - size)[row[order]]
    chosen = torch.zeros(train.nnz, dtype=torch.bool)
    chosen[order] = place < count[row[order]]
    return chosen.to(train.device)


def _part(csr: CSR, keep: Tensor) -> CSR:
    """The same shape with some of the entries, in their order."""
    count = csr.row()[keep].long().bincount(minlength=csr.num_rows)
    rowptr = count.new_zeros(csr.num_rows + 1)
    rowptr[1:] = count.cumsum(0)
    value = None if csr.value is None else csr.value[keep]
    return CSR(rowptr, csr.col[keep], value, num_cols=csr.num_cols)


def united(*parts: CSR) -> CSR:
    """The pattern of entries that are in any of these matrices."""
    edges = torch.cat([torch.stack([part.col, part.row()]).long() for part in parts], dim=1)
    return sorted_pattern(CSR.from_edge_index(edges, size=(parts[0].num_cols, parts[0].num_rows)))


def as_matrix(data: Any, part: str | None, *, what: str) -> CSR:
    """A CSR with a row per user from a CSR, or from one part of anything that :meth:`Interactions.coerce` takes.

    Raises:
        EmptyGraphError: the interactions are split and have no such part.
    """
    if isinstance(data, CSR):
        return data
    found = Interactions.coerce(data)
    if found.part is None or part is None:
        return found.csr()
    if part not in found.parts:
        raise EmptyGraphError(f"{what} has no {part} part.", hint="interactions.split(test=0.2, seed=0)")
    return found.csr(part)


def _notes(train: CSR) -> list[str]:
    by_user = train.degree()
    by_item = torch.bincount(train.col.long(), minlength=train.num_cols)
    lonely, unseen = int((by_user == 0).sum()), int((by_item == 0).sum())
    complete = int((by_user == train.num_cols).sum())
    notes = []
    if lonely:
        notes.append(f"{_of(lonely, train.num_rows, 'user')} no training interactions: they get the most popular.")
    if unseen:
        notes.append(f"{_of(unseen, train.num_cols, 'item')} no training interactions: their rank says little.")
    if complete:
        notes.append(
            f"{_of(complete, train.num_rows, 'user')} met every item: nothing can be ranked below, so their pairs are "
            "left out of the ranking loss."
        )
    return notes


def _of(count: int, total: int, kind: str) -> str:
    """As in: 3 of 10 users have."""
    return f"{grouped(count)} of {grouped(total)} {kind}s ha{'s' if count == 1 else 've'}"
