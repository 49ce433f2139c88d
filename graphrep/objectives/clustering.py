"""Soft assignment to cluster centres and its self-training (DEC; Xie, Girshick, Farhadi, ICML 2016)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives._common import Objective, check_choice, reduced

__all__ = ["ClusteringKLLoss", "clustering_kl", "student_t", "target_distribution"]

BLOCK_NUMBERS = 1 << 20  # differences held at a time


def student_t(z: Tensor, mu: Tensor, *, df: float = 1.0) -> Tensor:
    """Probability of each cluster for each node, from a Student-t kernel around the centres.

    ``q_ik = u_ik / sum_l u_il`` with ``u_ik = (1 + |z_i - mu_k|^2 / df)^(-(df + 1) / 2)``, taken as a softmax of
    logarithms, so that a row never becomes 0 / 0, however far its node lies from all centres.

    Args:
        z: (N, d) node vectors.
        mu: (K, d) centres, K >= 1.
        df: degrees of freedom, above 0; the larger, the thinner the tails.

    Returns:
        (N, K), rows sum to 1; float32 for half types. Differentiable once in `z` and `mu`. N K d operations forward,
        twice that backward, O((N + K) (d + K)) memory: the differences exist for a block of rows at a time.

    Raises:
        ShapeError, DTypeError, DeviceError: the arguments do not fit each other.
        GraphrepError: `df` is not positive.

    Source: van der Maaten, Hinton, "Visualizing Data using t-SNE", 2008; Xie et al., "Unsupervised Deep Embedding for
    Clustering Analysis", 2016, equation 1 (with df = 1).

    Example:
        >>> student_t(torch.tensor([[0.0], [3.0]]), torch.tensor([[0.0], [2.0]]))
        tensor([[0.8333, 0.1667],
                [0.1667, 0.8333]])
    """
    if not (math.isfinite(df) and df > 0):
        raise GraphrepError(f"df must be positive and finite; got {df}.", hint="1.0")
    for name, tensor in (("z", z), ("mu", mu)):
        check_floating(tensor, name)
        if tensor.dim() != 2:
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; it must have two axes.", hint="(rows, d)")
    check_device(z.device, mu=mu)
    if z.shape[1] != mu.shape[1] or mu.shape[0] == 0:
        raise ShapeError(
            f"z has shape {tuple(z.shape)} and mu {tuple(mu.shape)}.", hint=f"mu (K, {z.shape[1]}) with K >= 1"
        )
    dtype = torch.promote_types(torch.promote_types(z.dtype, mu.dtype), torch.float32)
    squares: Tensor = _SquaredDistances.apply(z.to(dtype), mu.to(dtype))  # type: ignore[no-untyped-call]
    return torch.log_softmax(torch.log1p(squares / df) * (-(df + 1) / 2), dim=1).exp()


class _SquaredDistances(torch.autograd.Function):
    """(N, K) squared distances from differences, not from products, which lose digits where both ends are far out."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, mu: Tensor) -> Tensor:
        ctx.save_for_backward(z, mu)
        out = z.new_empty(z.shape[0], mu.shape[0])
        for rows, gaps in _differences(z, mu):
            out[rows] = gaps.square_().sum(2)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        z, mu = ctx.saved_tensors
        grad_z, grad_mu = torch.empty_like(z), torch.zeros_like(mu, dtype=torch.float64)
        for rows, gaps in _differences(z, mu):
            gaps *= 2 * grad[rows].unsqueeze(2)
            grad_z[rows] = gaps.sum(1)
            grad_mu -= gaps.sum(0)
        return grad_z, grad_mu.to(mu.dtype)


def _differences(z: Tensor, mu: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows, and (rows, K, d) differences of these from all centres."""
    step = max(1, BLOCK_NUMBERS // max(mu.numel(), 1))
    for start in range(0, z.shape[0], step):
        rows = slice(start, start + step)
        yield rows, z[rows].unsqueeze(1) - mu


@torch.no_grad()
def target_distribution(q: Tensor, kind: str = "dec", *, mass: Tensor | None = None) -> Tensor:
    """What self-training moves a soft assignment towards: sharper, and with less weight on large clusters.

    ``p_ik = w_ik / sum_l w_il``, where with the cluster masses ``f_k = sum_j q_jk`` the weights are ``q_ik^2 / f_k``
    (``"dec"``) or ``q_ik / sqrt(f_k)`` (``"depict"``). A cluster of mass 0 gets 0.

    Args:
        q: (N, K) soft assignment.
        kind: ``"dec"`` or ``"depict"``.
        mass: (K,) masses over all nodes where `q` holds only a batch of them; default those of `q`.

    Returns:
        (N, K) without a gradient; float32 for half types.

    Raises:
        ShapeError, DTypeError, UnknownNameError: the arguments do not fit.

    Source: Xie et al., "Unsupervised Deep Embedding for Clustering Analysis", 2016, equation 3; Ghasedi Dizaji et al.,
    "Deep Clustering via Joint Convolutional Autoencoder Embedding and Relative Entropy Minimization", 2017.

    Example:
        >>> target_distribution(torch.tensor([[0.8, 0.2], [0.6, 0.4]]))
        tensor([[0.8727, 0.1273],
                [0.4909, 0.5091]])
    """
    check_choice("kind", kind, ("dec", "depict"))
    _check_assignment(q, "q")
    q = q.to(torch.promote_types(q.dtype, torch.float32))
    total = q.sum(0) if mass is None else mass.to(q)
    if total.shape != q.shape[1:]:
        raise ShapeError(f"mass has shape {tuple(total.shape)} for {q.shape[1]} clusters.", hint=f"({q.shape[1]},)")
    total = total.clamp(min=torch.finfo(q.dtype).tiny)
    weight = q * (q / total) if kind == "dec" else q / total.sqrt()
    p: Tensor = weight / weight.sum(1, keepdim=True).clamp(min=torch.finfo(q.dtype).tiny)
    return p


def clustering_kl(q: Tensor, p: Tensor, *, reduction: str = "mean") -> Tensor:
    """Kullback-Leibler divergence of a soft assignment from its target: the mean of ``sum_k p_ik log(p_ik / q_ik)``.

    Args:
        q: (N, K) soft assignment, from :func:`student_t`.
        p: (N, K) target, from :func:`target_distribution`; a constant for the gradient. Where p = 0 the term is 0.
        reduction: ``"mean"`` over nodes, or ``"none"`` for (N,).

    Returns:
        A scalar, or (N,); float32 for half types. A probability q too small for its type counts as the smallest normal
        number and sends no gradient.

    Raises:
        ShapeError, DTypeError, DeviceError, UnknownNameError: the arguments do not fit.

    Source: Xie et al., "Unsupervised Deep Embedding for Clustering Analysis", 2016, equation 2, over N.

    Example:
        >>> clustering_kl(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
        tensor(0.6931)
    """
    _check_assignment(q, "q")
    _check_assignment(p, "p")
    check_device(q.device, p=p)
    if q.shape != p.shape:
        raise ShapeError(f"q has shape {tuple(q.shape)} and p {tuple(p.shape)}; they must agree.")
    dtype = torch.promote_types(torch.promote_types(q.dtype, p.dtype), torch.float32)
    p = p.detach().to(dtype)
    log_q = q.to(dtype).clamp(min=torch.finfo(dtype).tiny).log()
    return reduced((torch.xlogy(p, p) - p * log_q).sum(1), reduction)


def _check_assignment(q: Tensor, name: str) -> None:
    check_floating(q, name)
    if q.dim() != 2 or q.numel() == 0:
        raise ShapeError(
            f"{name} has shape {tuple(q.shape)}; it holds a probability for each node and cluster.", hint="(N, K)"
        )


class ClusteringKLLoss(Objective):
    """:func:`clustering_kl` as a module.

    Example:
        >>> q = student_t(torch.tensor([[0.0], [3.0]]), torch.tensor([[0.0], [2.0]]))
        >>> ClusteringKLLoss()(q, target_distribution(q))
        tensor(0.0812)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        check_choice("reduction", reduction, ("mean", "none"))
        super().__init__(reduction=reduction)

    def forward(self, q: Tensor, p: Tensor) -> Tensor:
        """See :func:`clustering_kl`."""
        return clustering_kl(q, p, **self.options)
