"""A temperature for every node, learnt along with the representation (iSogCLR; Qiu et al., ICML 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels.blockwise import UV, contrast
from graphrep.objectives._common import check_pairs

__all__ = ["IndividualTemperatures"]

STEEPEST = 3.0  # the gradient of a temperature is clipped to this


class IndividualTemperatures(nn.Module):
    """Contrast of a batch of two views in which anchor i has its own temperature.

    With cosines c_ij, ``E_ij = exp(c_ij / tau_i)`` over the 2 B - 2 negatives j of anchor i (all rows of both views but
    itself and its positive), a running mean ``s_i`` of E_ij and constant weights ``w_ij = E_ij / s_i``, the loss is the
    mean over nodes of ``mean_j w_ij c_ij - c_i+``, summed over the two views as anchors. In training mode each call
    also moves, for the nodes of the batch, ``s <- (1 - gamma) s + gamma mean_j E_ij`` (the mean itself where s is 0:
    not seen yet; each view has its own, then the two are averaged), ``u <- (1 - momentum) u + momentum g`` where g is
    the two views' mean of ``log s + rho - mean_j w_ij c_ij / tau`` clipped to +-3, and ``tau <- tau - lr u`` kept in
    [min, max].

    Args:
        num_nodes: number of nodes N that have a temperature.
        gamma, rho, lr, momentum: see above; rho is tuned between 5 and 8, lr between 0.001 and 0.05.
        init, min, max: start and limits of the temperatures.

    Buffers (the whole state): ``tau``, ``s``, ``u``, (N,) each. The loss's value is no InfoNCE; look at ``tau``.

    Source: Qiu et al., "Not All Semantics are Created Equal", 2023, algorithm 1.

    Example:
        >>> loss = IndividualTemperatures(3, init=0.5)
        >>> value = loss(torch.eye(3), torch.eye(3))
        >>> loss.tau
        tensor([0.4730, 0.4730, 0.4730])
    """

    tau: Tensor
    s: Tensor
    u: Tensor

    def __init__(
        self,
        num_nodes: int,
        *,
        gamma: float = 0.8,
        rho: float = 6.0,
        lr: float = 0.01,
        momentum: float = 0.9,
        init: float = 0.07,
        min: float = 0.05,
        max: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < min <= init <= max:
            raise GraphrepError(f"Temperatures need 0 < min <= init <= max; got {min}, {init}, {max}.")
        self.gamma, self.rho, self.lr, self.momentum, self.min, self.max = gamma, rho, lr, momentum, min, max
        self.register_buffer("tau", torch.full((num_nodes,), float(init)))
        self.register_buffer("s", torch.zeros(num_nodes))
        self.register_buffer("u", torch.zeros(num_nodes))

    def forward(self, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
        """The mean loss of a batch.

        Args:
            a: (B, d), one view, B >= 2; rows are divided by their length inside.
            b: (B, d), the other view.
            index: (B,) the rows' nodes, each at most once; default 0..N-1.

        Raises:
            ShapeError: the shapes, or their number of rows and N, differ.
        """
        check_pairs(a, b, fewest=2)
        if index is None and len(a) != len(self.tau):
            raise ShapeError(f"{len(a)} rows for {len(self.tau)} temperatures.", hint="pass index, the rows' nodes")
        if index is not None and index.shape != a.shape[:1]:
            raise ShapeError(f"index has shape {tuple(index.shape)} for {len(a)} rows.", hint="one node per row")
        nodes = torch.arange(len(a), device=a.device) if index is None else index.long()
        x, y = normalize(a), normalize(b)
        positive = (x * y).sum(1)
        tau, before = self.tau[nodes].to(x.dtype), self.s[nodes].to(x.dtype)
        views = [self._view(first, second, tau, before) for first, second in ((x, y), (y, x))]
        if self.training:
            self._update(nodes, tau, [(s, mean) for _, s, mean in views])
        return (views[0][0] + views[1][0] - 2 * positive).mean()

    def _view(self, x: Tensor, y: Tensor, tau: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For anchors x: their mean_j w_ij c_ij with its gradient, the new s, and the same mean as a number."""
        keys, left_out = torch.cat([x, y]), {"uv": _self_and_positive(len(x), x.device)}
        anchors = x.detach().requires_grad_()
        with torch.enable_grad():
            lse, _, _ = contrast(anchors, keys.detach(), terms=UV, scales=(1 / tau, None), forbidden=left_out)
            (pull,) = torch.autograd.grad(lse.sum(), anchors)
        lse = lse.detach()
        mean = lse.exp() / (2 * len(x) - 2)
        s = torch.where(before == 0, mean, (1 - self.gamma) * before + self.gamma * mean)
        weight = mean / s
        value = weight * tau * (anchors.detach() * pull).sum(1)  # pull is sum_j P_ij k_j / tau
        if not (torch.is_grad_enabled() and keys.requires_grad):
            return value, s, value
        live, _, _ = contrast(x, keys, terms=UV, scales=(1 / tau, None), forbidden=left_out)
        return value + weight * tau * (live - live.detach()), s, value

    @torch.no_grad()
    def _update(self, nodes: Tensor, tau: Tensor, views: list[tuple[Tensor, Tensor]]) -> None:
        slopes = [s.log() + self.rho - mean / tau for s, mean in views]
        slope = ((slopes[0] + slopes[1]) / 2).clamp(-STEEPEST, STEEPEST)
        kept = self.u.dtype
        self.s[nodes] = ((views[0][0] + views[1][0]) / 2).to(kept)
        self.u[nodes] = (1 - self.momentum) * self.u[nodes] + self.momentum * slope.to(kept)
        self.tau[nodes] = (self.tau[nodes] - self.lr * self.u[nodes]).clamp(self.min, self.max)

    def extra_repr(self) -> str:
        """Number of nodes and constants."""
        return f"{len(self.tau)}, gamma={self.gamma}, rho={self.rho}, lr={self.lr}, momentum={self.momentum}"


def _self_and_positive(size: int, device: torch.device) -> CSR:
    """Row i leaves out columns i and size + i."""
    own = torch.arange(size, device=device)
    rowptr = torch.arange(0, 2 * size + 1, 2, device=device)
    return CSR(rowptr, torch.stack([own, own + size], 1).reshape(-1), num_cols=2 * size)
