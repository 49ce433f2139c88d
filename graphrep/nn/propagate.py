"""Smoothing of features over several hops without parameters."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR, spmm
from graphrep.nn._adjacency import normalized

__all__ = ["Propagate"]

_NORMS = ("sym", "row", None)
_COMBINE = ("last", "mean", "concat")


class Propagate(nn.Module):
    """``z_0 = x, z_k = (1 - teleport) S z_{k-1} + teleport x`` with a normalised adjacency matrix S; no parameters.

    `teleport` 0 gives the smoothing of SGC (Wu et al., arXiv:1902.07153), else personalised PageRank as in APPNP
    (Gasteiger et al., arXiv:1810.05997, equation 5).

    Args:
        hops: K >= 0.
        norm: "sym" D^-1/2 A D^-1/2, "row" D^-1 A (means over neighbours), None the sums. The degree is the sum of the
            weights that arrive at a node; nodes without neighbours get 0.
        add_self_loops: whether each node gets one loop of weight 1; one that it has keeps its weight.
        teleport: in [0, 1).
        combine: "last" z_K, "mean" over z_0..z_K, "concat" all of them side by side (as in SIGN, arXiv:2004.11198).
        cached: keep the matrix of the first call whatever later calls give (for one graph only).

    Shapes:
        x: (N, D); edge_index: (2, E), or a :class:`~graphrep.kernels.CSR` (N, N), rows are destinations; edge_weight:
        (E,). Returns (N, D), or (N, (hops + 1) D) for "concat".

    Raises:
        GraphrepError: a setting is out of its range.
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments of a call do not fit each other.

    Example:
        >>> Propagate(1, norm="row", add_self_loops=False)(torch.tensor([[2.0], [4.0]]), torch.tensor([[0], [1]]))
        tensor([[0.],
                [2.]])
    """

    _kept: CSR | None = None

    def __init__(
        self,
        hops: int,
        *,
        norm: Literal["sym", "row"] | None = "sym",
        add_self_loops: bool = True,
        teleport: float = 0.0,
        combine: Literal["last", "mean", "concat"] = "last",
        cached: bool = False,
    ) -> None:
        super().__init__()
        if hops < 0:
            raise GraphrepError(f"hops is {hops}.", hint="0 or more")
        if norm not in _NORMS:
            raise GraphrepError(f"norm is {norm!r}.", hint='"sym", "row" or None')
        if combine not in _COMBINE:
            raise GraphrepError(f"combine is {combine!r}.", hint=f"one of {', '.join(_COMBINE)}")
        if not 0 <= teleport < 1:
            raise GraphrepError(f"teleport is {teleport}.", hint="at least 0 and below 1")
        self.hops, self.norm, self.add_self_loops = hops, norm, add_self_loops
        self.teleport, self.combine, self.cached = teleport, combine, cached

    def forward(self, x: Tensor, edge_index: Any, edge_weight: Tensor | None = None) -> Tensor:
        """Runs the hops; shapes are those of the class."""
        csr = self._adjacency(x, edge_index, edge_weight)
        hops = [x]
        for _ in range(self.hops):
            z = spmm(csr, hops[-1])
            if self.teleport:
                z = (1 - self.teleport) * z + self.teleport * x
            hops = [z] if self.combine == "last" else [*hops, z]
        if self.combine == "concat":
            return torch.cat(hops, dim=-1)
        return hops[-1] if self.combine == "last" else torch.stack(hops).mean(dim=0)

    def _adjacency(self, x: Tensor, edge_index: Any, edge_weight: Tensor | None) -> CSR:
        if self._kept is not None:
            return self._kept
        csr = normalized(
            edge_index,
            edge_weight,
            x.shape[0],
            add_self_loops=self.add_self_loops,
            dtype=x.dtype,
            norm=self.norm,
        )
        if self.cached:
            self._kept = csr
        return csr

    def extra_repr(self) -> str:
        """The settings that differ from their defaults."""
        parts = [str(self.hops)]
        defaults = {"norm": "sym", "add_self_loops": True, "teleport": 0.0, "combine": "last", "cached": False}
        parts += [f"{name}={getattr(self, name)!r}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(parts)
