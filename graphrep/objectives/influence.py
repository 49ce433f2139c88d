"""Contrast of each node's walk neighbourhood against all nodes (SCGC; Kulatilleke, Portmann, Chandra 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR
from graphrep.kernels.blockwise import UV, contrast
from graphrep.objectives._common import Objective, check_choice, check_temperature, reduced
from graphrep.objectives._structure import (
    Clusters,
    check_structure,
    clusters_of,
    log_negatives,
    log_plus,
    log_positives,
    unit_rows,
    widened,
)
from graphrep.objectives.meta_nodes import meta_node_term

__all__ = ["InfluenceContrastLoss", "influence_contrast"]

NEGATIVES = ("exact", "cluster_rows", "cluster_pairs", "pamc")
MOST_ROWS = 1_000_000  # beyond, eps would no longer be small beside pos / den, which is about order / N


def influence_contrast(
    z: Tensor,
    influence: CSR,
    *,
    inv_temperature: float,
    negatives: str = "exact",
    labels: Tensor | None = None,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Each node is to be more like the nodes a short random walk reaches than like all others.

    ``l_i = -log(pos_i / den_i + eps)`` with ``pos_i = sum_j w_ij exp(tau cos(z_i, z_j))`` over the stored entries; a
    cosine with oneself counts as 0. Of the clusters b that `labels` name, n_b is the size and ``m_b`` the mean of the
    unit rows. The denominator is

    - ``"exact"``: ``den_i = sum_j exp(tau cos(z_i, z_j))`` over all N nodes, block by block.
    - ``"cluster_rows"``: ``den_i = sum_b n_b exp(tau <z_i / |z_i|, m_b>)``, each cluster at its mean. By convexity
      never above the sum of ``exp(tau cos)`` over all nodes (i itself included), and closer the tighter clusters are.
      The form for large graphs.
    - ``"cluster_pairs"``: the mean over nodes, for all alike: ``den = sum_ab n_a n_b exp(tau <m_a, m_b>) / N``.
    - ``"pamc"``: no quotient but the two terms of :func:`pamc`, ``l_i = -log(pos_i + eps) + mean_a log(neg_a + eps)``.

    Args:
        z: (N, d) node vectors; rows are divided by their length inside.
        influence: CSR (N, N) of weights w >= 0, row i gathers j; see :func:`graphrep.kernels.influence_matrix`.
        inv_temperature: tau > 0, which multiplies the cosines.
        negatives: how the denominator is formed.
        labels: (N,) integers from 0 on, a cluster per node, for all forms but ``"exact"``; clusters without members are
            left out.
        eps: as above; 0 gives ``log den_i - log pos_i``. For more than a million nodes, where it would outweigh
            ``pos_i / den_i``, it is replaced by the smallest normal number of the type (not in ``"pamc"``).
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); float32 for half types. Differentiable once in `z` and the weights. A zero vector has cosine
        0 with everything and sends no gradient; a row of `influence` without entries has the constant ``-log(eps)``.
        Logarithms are taken before anything is divided, so no temperature overflows.

    Cost in multiply-adds, forward and backward: 4 nnz d for the positives, and 4 N^2 d (``"exact"``), 4 N K d
    (``"cluster_rows"``) or 4 K^2 d for the rest. Memory O((N + K) d) beside the matrix and its transpose.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, UnknownNameError: the arguments do not fit.
        GraphrepError: a form needs labels and has none, or a number is out of range.

    See also: :func:`pamc`, :func:`info_nce` (two views instead of a graph).

    Source: Kulatilleke et al., "SCGC: Self-Supervised Contrastive Graph Clustering", arXiv:2204.12656 (``"exact"``).
    The two cluster forms are derived from the sum over all pairs.

    Example:
        >>> import torch
        >>> from graphrep.kernels import influence_matrix
        >>> pairs = influence_matrix(torch.tensor([[0, 2], [1, 3]]), num_nodes=4, order=1)
        >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> influence_contrast(z, pairs, inv_temperature=0.5)
        tensor(1.2782)
    """
    check_structure(z, influence, inv_temperature, eps)
    check_choice("negatives", negatives, NEGATIVES)
    check_choice("reduction", reduction, ("mean", "none"))
    unit = unit_rows(widened(z))
    positive = log_positives(unit, influence, inv_temperature)
    if negatives == "exact":
        quotient = positive - log_negatives(unit, inv_temperature)
    else:
        if labels is None:
            raise GraphrepError(f'negatives="{negatives}" needs labels.', hint="labels=q.argmax(1)")
        clusters = clusters_of(labels, z, "labels")
        if negatives == "pamc":
            term = meta_node_term(clusters.reduced(widened(z), "sum"), inv_temperature, eps)
            return reduced(term - log_plus(positive, eps), reduction)
        form = _log_by_row if negatives == "cluster_rows" else _log_by_pair
        quotient = positive - form(unit, clusters, inv_temperature)
    if z.shape[0] > MOST_ROWS and eps > 0:
        eps = torch.finfo(quotient.dtype).tiny
    return reduced(-log_plus(quotient, eps), reduction)


def _log_by_row(unit: Tensor, clusters: Clusters, inv_temperature: float) -> Tensor:
    """(N,) ``log sum_b n_b exp(tau <c_i, m_b>)``."""
    weight = clusters.size.to(unit.dtype).log()
    means = clusters.reduced(unit, "mean")
    return contrast(unit, means, terms=UV, scale=inv_temperature, bias=(None, weight))[0]


def _log_by_pair(unit: Tensor, clusters: Clusters, inv_temperature: float) -> Tensor:
    """Scalar ``log(sum_ab n_a n_b exp(tau <m_a, m_b>) / N)``."""
    weight = clusters.size.to(unit.dtype).log()
    means = clusters.reduced(unit, "mean")
    rows = contrast(means, means, terms=UV, scale=inv_temperature, bias=(None, weight))[0]
    return torch.logsumexp(rows + weight, 0) - math.log(unit.shape[0])


class InfluenceContrastLoss(Objective):
    """:func:`influence_contrast` as a module; labels, which change in training, are given in the call.

    Example:
        >>> InfluenceContrastLoss(inv_temperature=0.25)
        InfluenceContrastLoss(inv_temperature=0.25, negatives='exact', eps=1e-08, reduction='mean')
    """

    def __init__(
        self, *, inv_temperature: float, negatives: str = "exact", eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        check_temperature(inv_temperature, "inv_temperature")
        check_choice("negatives", negatives, NEGATIVES)
        super().__init__(inv_temperature=inv_temperature, negatives=negatives, eps=eps, reduction=reduction)

    def forward(self, z: Tensor, influence: CSR, labels: Tensor | None = None) -> Tensor:
        """See :func:`influence_contrast`."""
        return influence_contrast(z, influence, labels=labels, **self.options)
