"""Contrast between clusters in place of all pairs of nodes (PamC; Kulatilleke, Portmann, Chandra 2022)."""

from __future__ import annotations

import warnings

from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_device
from graphrep.objectives._common import Objective, check_choice, check_temperature
from graphrep.objectives._structure import (
    check_structure,
    clusters_of,
    log_negatives,
    log_plus,
    log_positives,
    unit_rows,
    widened,
)

__all__ = ["PamCLoss", "meta_node_term", "pamc"]


def pamc(
    z: Tensor,
    assign: Tensor,
    influence: CSR,
    *,
    inv_temperature: float = 0.5,
    assignment: str = "hard",
    num_clusters: int | None = None,
    eps: float = 1e-10,
    normalize_members: bool = False,
) -> Tensor:
    """Nodes attract along the influence matrix; the sums of the clusters' members, the meta-nodes, repel.

    ``-mean_i log(pos_i + eps) + mean_a log(neg_a + eps)`` with ``pos_i = sum_j w_ij exp(tau cos(z_i, z_j))`` over the
    stored entries and ``neg_a = sum_b exp(tau cos(M_a, M_b))`` over the K' meta-nodes ``M_a = sum of z_i over the
    cluster``; a cosine with oneself counts as 0.

    This is no approximation of the contrast against all nodes (:func:`influence_contrast`): sizes of clusters and pairs
    inside a cluster play no part, and the second mean runs over clusters. It pushes clusters apart and is least where
    meta-nodes form a simplex. Nothing keeps the members of a cluster apart.

    Args:
        z: (N, d) node vectors.
        assign: (N,) integer labels from 0 on, or (N, K) soft assignment q.
        influence: CSR (N, N) of weights w >= 0, row i gathers j; see :func:`graphrep.kernels.influence_matrix`.
        inv_temperature: tau > 0, which multiplies the cosines.
        assignment: ``"hard"``: each node belongs to the cluster of its label, or of its largest q, which gets no
            gradient; clusters without members are left out. ``"soft"``: ``M = q^T z`` over all K columns, with
            gradients to q.
        num_clusters: K; default the largest label + 1, or the columns of q.
        eps: added inside both logarithms.
        normalize_members: add up unit rows instead of `z`, so that long vectors do not dominate their cluster.

    Returns:
        A scalar, float32 for half types; differentiable once in `z` (and q). A zero vector, or a meta-node whose
        members cancel, has cosine 0 with everything and sends no gradient. Cost: nnz d + N d + K^2 d operations (soft:
        N K d), O((N + K) d) memory beside the matrix and its transpose.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, UnknownNameError: the arguments do not fit.
        GraphrepError: K = 1, where there is nothing to repel and all nodes would collapse to a point. Where only one
            of several clusters has members, a RuntimeWarning says so.

    See also: :func:`influence_contrast` (``negatives="cluster_rows"`` approximates the contrast against all nodes at
    about this cost), :func:`clustering_kl` (the term that trains q).

    Source: Kulatilleke et al., "Efficient block contrastive learning via parameter-free meta-node approximation",
    arXiv:2209.14067. The authors' program gives NaN where a cluster that is not the last one is empty; soft assignment
    is an addition.

    Example:
        >>> import torch
        >>> from graphrep.kernels import influence_matrix
        >>> pairs = influence_matrix(torch.tensor([[0, 2], [1, 3]]), num_nodes=4, order=1)
        >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> pamc(z, torch.tensor([0, 0, 1, 1]), pairs)
        tensor(0.4390)
    """
    check_structure(z, influence, inv_temperature, eps)
    check_choice("assignment", assignment, ("hard", "soft"))
    _check_assign(z, assign, num_clusters, soft=assignment == "soft")
    wide = widened(z)
    unit = unit_rows(wide)
    members = unit if normalize_members else wide
    if assignment == "soft":
        nodes = assign.to(wide.dtype).t() @ members
    else:
        labels = assign.detach().argmax(1) if assign.dim() == 2 else assign
        nodes = clusters_of(labels, z, "assign", num_clusters).reduced(members, "sum")
    positive = log_plus(log_positives(unit, influence, inv_temperature), eps).mean()
    return meta_node_term(nodes, inv_temperature, eps) - positive


def meta_node_term(nodes: Tensor, inv_temperature: float, eps: float) -> Tensor:
    """``mean_a log(neg_a + eps)`` over the meta-nodes (K', d)."""
    if nodes.shape[0] == 1:
        warnings.warn(
            "All nodes are in one cluster: no meta-nodes repel, and the positives alone collapse them to a point.",
            RuntimeWarning,
            stacklevel=3,
        )
    return log_plus(log_negatives(unit_rows(nodes), inv_temperature), eps).mean()


def _check_assign(z: Tensor, assign: Tensor, num_clusters: int | None, *, soft: bool) -> None:
    count = num_clusters
    if assign.is_floating_point():
        check_device(z.device, assign=assign)
        if assign.dim() != 2 or assign.shape[0] != z.shape[0]:
            raise ShapeError(
                f"assign has shape {tuple(assign.shape)} for {z.shape[0]} nodes.",
                hint="q (N, K), or integer labels (N,)",
            )
        count = assign.shape[1]
        if num_clusters not in (None, count):
            raise ShapeError(f"assign has {count} columns but num_clusters is {num_clusters}.")
    elif soft:
        raise GraphrepError(
            'assignment="soft" needs a soft assignment; assign holds labels.', hint='q (N, K), or assignment="hard"'
        )
    if count is not None and count < 2:
        raise GraphrepError(
            f"{count} cluster leaves no meta-nodes to repel: the positives alone collapse all nodes to a point.",
            hint="at least two clusters",
        )


class PamCLoss(Objective):
    """:func:`pamc` as a module.

    Example:
        >>> PamCLoss(inv_temperature=0.25)
        PamCLoss(inv_temperature=0.25, assignment='hard', eps=1e-10, normalize_members=False)
    """

    def __init__(
        self,
        *,
        inv_temperature: float = 0.5,
        assignment: str = "hard",
        num_clusters: int | None = None,
        eps: float = 1e-10,
        normalize_members: bool = False,
    ) -> None:
        check_temperature(inv_temperature, "inv_temperature")
        check_choice("assignment", assignment, ("hard", "soft"))
        super().__init__(
            inv_temperature=inv_temperature,
            assignment=assignment,
            num_clusters=num_clusters,
            eps=eps,
            normalize_members=normalize_members,
        )

    def forward(self, z: Tensor, assign: Tensor, influence: CSR) -> Tensor:
        """See :func:`pamc`."""
        return pamc(z, assign, influence, **self.options)
