"""Contrast whose negatives are weighted by how likely they are true ones (ProGCL; Xia et al., ICML 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels.blockwise.mixture import mixture_contrast
from graphrep.objectives._common import Objective, check_pairs, check_temperature, reduced

__all__ = ["BetaMixture", "ProGCLContrastLoss", "progcl_contrast"]

SMALLEST = 1e-12  # similarities are kept this far from 0 and 1, and likelihoods at least this large
NARROWEST = 1e-12  # a component's variance in units of mean (1 - mean)


class BetaMixture:
    """Two Beta densities on [0, 1], fitted by moments; component 0 starts near 0 and stands for true negatives.

    Each of the `iters` rounds computes the probability of each component for each number, then, with these as weights,
    mean m and variance s^2 of each component, and sets ``a = m (m (1 - m) / s^2 - 1)``, ``b = a (1 - m) / m``. If b of
    component 1 falls below 1 it is set to 1.01, so that its density is finite at 1.

    Args:
        iters: rounds of :meth:`fit`, at least 1.
        init_weight: share of component 1 at the start, between 0 and 1.

    Attributes:
        alpha, beta: (2,) float64, a and b of both components; start (1, 2) and (2, 1).
        weight: (2,) float64, shares of the components.

    Raises:
        GraphrepError: `iters` or `init_weight` is out of range.

    Source: Xia et al., "ProGCL: Rethinking Hard Negative Mining in Graph Contrastive Learning", 2022.

    Example:
        >>> mixture = BetaMixture(iters=5).fit(torch.tensor([0.1, 0.2, 0.15, 0.9, 0.8]))
        >>> mixture.weight
        tensor([0.6932, 0.3068], dtype=torch.float64)
    """

    def __init__(self, *, iters: int = 10, init_weight: float = 0.05) -> None:
        if iters < 1:
            raise GraphrepError(f"iters is {iters}; the mixture needs at least one round.", hint="10")
        if not 0 < init_weight < 1:
            raise GraphrepError(f"init_weight is {init_weight}; it must lie between 0 and 1.", hint="0.05")
        self.iters, self.init_weight = iters, init_weight
        self._restart()

    def _restart(self) -> None:
        self.alpha = torch.tensor([1.0, 2.0], dtype=torch.float64)
        self.beta = torch.tensor([2.0, 1.0], dtype=torch.float64)
        self.weight = torch.tensor([1 - self.init_weight, self.init_weight], dtype=torch.float64)

    @torch.no_grad()
    def fit(self, x: Tensor, *, warm: bool = False) -> BetaMixture:
        """Fits the components to numbers in [0, 1], such as ``(cos + 1) / 2`` of pairs; returns self.

        Args:
            x: numbers of any shape, at least two different ones. O(n) time per round and memory, in float64.
            warm: start from the present components instead of the initial ones.

        Raises:
            ShapeError, DTypeError: no numbers at all, or no floating-point ones.
            GraphrepError: numbers outside [0, 1], NaN, or all equal.
        """
        check_floating(x, "x")
        if x.numel() == 0:
            raise ShapeError("x is empty; the mixture is fitted to similarities of pairs.", hint="(n,)")
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise GraphrepError(f"x runs from {low} to {high}; it must lie in [0, 1].", hint="(cosine + 1) / 2")
        if low == high:
            raise GraphrepError(f"All {x.numel()} numbers are {low}; a mixture of two needs variance.")
        flat = x.detach().double().reshape(-1).clamp(SMALLEST, 1 - SMALLEST)
        if not warm:
            self._restart()
        for _ in range(self.iters):
            self._round(flat)
        return self

    def _round(self, x: Tensor) -> None:
        shares = self._log_likelihoods(x).exp_().clamp_(min=SMALLEST)
        shares /= shares.sum(0)
        mass = shares.sum(1)
        mean = (shares @ x) / mass
        spread = torch.stack([(s * (x - m).square()).sum() for s, m in zip(shares, mean, strict=True)]) / mass
        room = mean * (1 - mean)
        alpha = mean * (room / spread.clamp(min=NARROWEST * room) - 1)
        alpha = alpha.clamp(min=SMALLEST)  # all mass at 0 and 1
        beta = alpha * (1 - mean) / mean
        if beta[1] < 1:
            beta[1] = 1.01
        self.alpha, self.beta, self.weight = (t.cpu() for t in (alpha, beta, mass / mass.sum()))

    def _log_likelihoods(self, x: Tensor) -> Tensor:
        """(2, n) logarithms of share times density."""
        alpha, beta, weight = (t.to(x.device).unsqueeze(1) for t in (self.alpha, self.beta, self.weight))
        norm = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
        return (alpha - 1) * x.log() + (beta - 1) * torch.log1p(-x) + weight.log() - norm

    @torch.no_grad()
    def posterior(self, x: Tensor, component: int = 0) -> Tensor:
        """Probability that each number comes from a component; shape and dtype of `x`.

        Raises:
            GraphrepError: `component` is neither 0 nor 1.
        """
        if component not in (0, 1):
            raise GraphrepError(f"component is {component}; there are two.", hint="0 (true negatives) or 1")
        check_floating(x, "x")
        flat = x.detach().double().reshape(-1).clamp(SMALLEST, 1 - SMALLEST)
        log = self._log_likelihoods(flat)
        return torch.sigmoid(log[component] - log[1 - component]).reshape(x.shape).to(x.dtype)

    def log_odds(self) -> tuple[float, float, float]:
        """(c, a, b) with ``c + a log x + b log(1 - x)`` the logarithm of component 0 over component 1 at x."""
        norm = torch.lgamma(self.alpha) + torch.lgamma(self.beta) - torch.lgamma(self.alpha + self.beta)
        numbers = (self.weight.log() - norm, self.alpha, self.beta)
        offset, on_log_x, on_log_rest = (float(t[0] - t[1]) for t in numbers)
        return offset, on_log_x, on_log_rest

    def __repr__(self) -> str:
        parts = (
            f"{name}={[round(v, 4) for v in getattr(self, name).tolist()]}" for name in ("alpha", "beta", "weight")
        )
        return f"BetaMixture(iters={self.iters}, init_weight={self.init_weight}, {', '.join(parts)})"


def progcl_contrast(
    u: Tensor,
    v: Tensor,
    *,
    temperature: float,
    mixture: BetaMixture,
    symmetric: bool = True,
    reduction: str = "mean",
    frozen: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """InfoNCE with weights on the negatives that average 1 for each anchor.

    For unit rows, x_ij = (u_i.v_j + 1) / 2 and ``B_ij = P(component 0 | x_ij) x_ij``,

        ``l(u_i) = -log [ e_ii / (e_ii + sum_{j != i} B_ij (e_ij + r_ij) / mean_{j != i} B_ij) ]``

    with ``e_ij = exp(u_i.v_j / t)`` and ``r_ij = exp(u_i.u_j / t)``. For v_j as anchor, u and v trade places in every
    term, so its weights are B's columns. Weights carry no gradient.

    Args:
        u: (N, d), one view; row i is node i. Rows are divided by their length inside.
        v: (N, d), the other view.
        temperature: t > 0.
        mixture: fitted to some of the x_ij (positives may be among them).
        symmetric: the mean of both directions; False is u -> v alone.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.
        frozen: (N, e) views that the x_ij are computed from instead, such as those of the epoch in which the mixture
            was fitted; rows are divided by their length inside.

    Returns:
        A scalar, or (N,); float32 for half types; 0 where N = 1. Differentiable once.

    Cost: 12 N^2 d + 2 N^2 e multiply-adds forward and backward with both directions (without frozen views e = d),
    O(N d) memory; weights exist for one tile of pairs at a time.

    Raises:
        ShapeError, DeviceError, UnknownNameError, GraphrepError: the arguments do not fit.

    See also: :func:`info_nce` (all weights 1).

    Source: Xia et al., "ProGCL", 2022 (its weighting form). The authors' program keeps B of one direction,
    from the epoch of the fit, for both directions and all later epochs; `frozen` gives the second of these.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> u, v = torch.randn(2, 6, 4, generator=generator)
        >>> x = (normalize(u) @ normalize(v).t() + 1) / 2
        >>> progcl_contrast(u, v, temperature=0.5, mixture=BetaMixture().fit(x)) > 0
        tensor(True)
    """
    _check(temperature, mixture)
    check_pairs(u, v)
    kept = None if frozen is None else _frozen(frozen, u)
    dtype = torch.promote_types(u.dtype, torch.promote_types(v.dtype, torch.float32))
    x, y = normalize(u.to(dtype)), normalize(v.to(dtype))
    dots = (x * y).sum(1) / temperature
    sums = mixture_contrast(x, y, mixture.log_odds(), scale=1 / temperature, symmetric=symmetric, frozen=kept)
    rows = _rows(dots, sums.lse_u, sums.total_u)
    if symmetric:
        rows = (rows + _rows(dots, sums.lse_v, sums.total_v)) / 2
    return reduced(rows, reduction)


def _rows(dots: Tensor, lse: Tensor, total: Tensor) -> Tensor:
    """-log of the positive's share, where the weights' mean is exp(total) / (N - 1)."""
    mean = torch.where(total == -torch.inf, 0, total - math.log(max(len(dots) - 1, 1)))
    return torch.logaddexp(dots, lse - mean) - dots


def _frozen(frozen: tuple[Tensor, Tensor], u: Tensor) -> tuple[Tensor, Tensor]:
    first, second = frozen
    check_pairs(first, second)
    check_device(u.device, frozen=first)
    if len(first) != len(u):
        raise ShapeError(f"frozen has {len(first)} rows for {len(u)} nodes.", hint="the views of the same nodes")
    dtype = torch.promote_types(u.dtype, torch.float32)
    return normalize(first.detach().to(dtype)), normalize(second.detach().to(dtype))


def _check(temperature: float, mixture: BetaMixture) -> None:
    check_temperature(temperature)
    if not isinstance(mixture, BetaMixture):
        raise GraphrepError(f"mixture is a {type(mixture).__name__}.", hint="BetaMixture().fit(similarities)")


class ProGCLContrastLoss(Objective):
    """:func:`progcl_contrast` as a module.

    Example:
        >>> mixture = BetaMixture().fit(torch.tensor([0.1, 0.2, 0.9]))
        >>> ProGCLContrastLoss(temperature=0.5, mixture=mixture).options["symmetric"]
        True
    """

    def __init__(
        self,
        *,
        temperature: float,
        mixture: BetaMixture,
        symmetric: bool = True,
        reduction: str = "mean",
        frozen: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        _check(temperature, mixture)
        super().__init__(
            temperature=temperature, mixture=mixture, symmetric=symmetric, reduction=reduction, frozen=frozen
        )

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """See :func:`progcl_contrast`."""
        return progcl_contrast(u, v, **self.options)
