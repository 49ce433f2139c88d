"""The K best columns of each row with ties settled by column: score descending, then id ascending."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.errors import DTypeError, NonFiniteError, ShapeError
from graphrep.kernels import CSR

__all__ = ["as_csr", "as_tensor", "entries", "score_block", "top_columns"]


def as_tensor(value: Any, name: str) -> Tensor:
    """A two-axis floating-point tensor over the caller's scores or vectors, detached; half precision is widened."""
    tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value)
    if tensor.dim() != 2:
        raise ShapeError(f"{name} must have two axes; got shape {tuple(tensor.shape)}.", hint="a row per user")
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise DTypeError(f"{name} must hold real numbers; got {tensor.dtype}.", hint=f"{name}.float()")
    if not tensor.is_floating_point():
        return tensor.double()
    return tensor.float() if tensor.element_size() < 4 else tensor


def as_csr(value: Any, name: str, *, num_rows: int, num_cols: int, device: torch.device) -> CSR:
    """A CSR whose rows are the users; scipy matrices are converted."""
    csr = value if isinstance(value, CSR) else CSR.from_scipy(value) if hasattr(value, "tocsr") else None
    if csr is None:
        raise DTypeError(
            f"{name} must be a CSR or a scipy matrix; got {type(value).__name__}.", hint="CSR.from_scipy(A)"
        )
    if csr.num_rows != num_rows or csr.num_cols > num_cols:
        raise ShapeError(
            f"{name} has shape ({csr.num_rows}, {csr.num_cols}); there are {num_rows} users and {num_cols} items.",
            hint="rows are users, columns items",
        )
    return csr.to(device)


def entries(csr: CSR, users: Tensor) -> tuple[Tensor, Tensor]:
    """(position in `users`, item) of every entry of those rows."""
    start, stop = csr.rowptr[users].long(), csr.rowptr[users + 1].long()
    count = stop - start
    row = torch.repeat_interleave(torch.arange(len(users), device=csr.device), count)
    first = torch.cumsum(count, 0) - count
    inside = torch.arange(len(row), device=csr.device) - first[row]
    return row, csr.col[start[row] + inside].long()


def score_block(scores: Tensor, users: Tensor) -> Tensor:
    """`scores` of these users after the check for NaN, which would compare as false with everything."""
    bad = torch.isnan(scores)
    if bool(bad.any()):
        row, item = (int(i) for i in bad.nonzero()[0])
        raise NonFiniteError(
            f"the score of item {item} for user {int(users[row])} is NaN.", hint="did the training diverge?"
        )
    return scores


def top_columns(scores: Tensor, k: int) -> Tensor:
    """(R, k) column ids: score descending, among equal scores the lower id first."""
    if 4 * k >= scores.shape[1]:
        return scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    values, found = scores.topk(k, dim=1)
    crossed = (scores >= values[:, -1:]).sum(1) > k  # topk chose among equal scores as it liked
    if bool(crossed.any()):
        found[crossed] = scores[crossed].sort(dim=1, descending=True, stable=True).indices[:, :k]
    found = found.sort(dim=1).values
    order = scores.gather(1, found).sort(dim=1, descending=True, stable=True).indices
    return found.gather(1, order)
