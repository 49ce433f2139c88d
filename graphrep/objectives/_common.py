"""What objectives share: argument checks, reductions, and modules that remember keyword arguments."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_device, check_floating

__all__ = [
    "Objective",
    "check_choice",
    "check_pairs",
    "check_temperature",
    "check_unit_views",
    "forbidden_lists",
    "reduced",
]

_BLOCKS = ("uu", "uv", "vv", "vu")


class Objective(nn.Module):
    """A loss that keeps the keyword arguments of its function in `options`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def extra_repr(self) -> str:
        """The keyword arguments."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items() if value is not None)


def check_temperature(temperature: float, name: str = "temperature") -> None:
    """Raises unless the temperature is a positive, finite number."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise GraphrepError(f"{name} must be positive and finite; got {temperature}.", hint="for example 0.5")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises unless `value` is one of `choices`."""
    if value not in choices:
        raise UnknownNameError(f'{name} is "{value}".', hint="one of " + ", ".join(f'"{c}"' for c in choices))


def check_pairs(u: Tensor, v: Tensor, *, fewest: int = 1) -> None:
    """Raises unless `u` and `v` are two views (N, d) of the same N >= `fewest` nodes."""
    if u.dim() != 2 or u.shape != v.shape:
        raise ShapeError(
            f"u has shape {tuple(u.shape)} and v {tuple(v.shape)}; row i of both must be the same node.", hint="(N, d)"
        )
    if u.shape[0] < fewest:
        raise ShapeError(f"{u.shape[0]} rows leave no negatives.", hint=f"at least {fewest} rows")


def check_unit_views(anchor: Tensor, z: Tensor) -> torch.dtype:
    """Raises unless both are (N, d) floating-point views of the same N >= 1 nodes; returns the type to compute in."""
    for name, rows in (("anchor", anchor), ("z", z)):
        check_floating(rows, name)
    if anchor.dim() != 2 or anchor.shape != z.shape or not anchor.shape[0]:
        raise ShapeError(
            f"anchor has shape {tuple(anchor.shape)} and z {tuple(z.shape)}; row i of both must be the same node.",
            hint="(N, d) with N >= 1",
        )
    check_device(anchor.device, z=z)
    return torch.promote_types(torch.promote_types(anchor.dtype, z.dtype), torch.float32)


def reduced(rows: Tensor, reduction: str) -> Tensor:
    """The mean over rows, or the rows themselves for "none"."""
    check_choice("reduction", reduction, ("mean", "none"))
    return rows.mean() if reduction == "mean" else rows


def forbidden_lists(
    forbidden: tuple[CSR | None, ...] | None, num_nodes: int, *, symmetric: bool
) -> dict[str, CSR | None]:
    """The CSRs (uu, uv[, vv, vu]) by block, without the pairs (i, i), which are positives or never compared.

    Raises:
        ShapeError: a CSR is missing or not (N, N).
    """
    if forbidden is None:
        return {}
    wanted = 4 if symmetric else 2
    if len(forbidden) not in {wanted, 4}:
        raise ShapeError(
            f"forbidden holds {len(forbidden)} matrices; {wanted} are needed{' for both directions' * symmetric}.",
            hint="(uu, uv, vv, vu), or symmetric=False with (uu, uv)",
        )
    lists: dict[str, CSR | None] = {}
    for name, csr in zip(_BLOCKS, forbidden, strict=False):
        if csr is not None and csr.shape != (num_nodes, num_nodes):
            raise ShapeError(f"forbidden {name} has shape {csr.shape}; there are {num_nodes} rows.", hint="CSR (N, N)")
        lists[name] = None if csr is None else _without_diagonal(csr)
    return lists


def _without_diagonal(csr: CSR) -> CSR:
    row = csr.row()
    keep = row != csr.col
    count = row[keep].long().bincount(minlength=csr.num_rows)
    rowptr = count.new_zeros(csr.num_rows + 1)
    rowptr[1:] = count.cumsum(0)
    return CSR(rowptr, csr.col[keep], num_cols=csr.num_cols)
