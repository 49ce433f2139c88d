"""Contrast with cluster prototypes, each with a concentration of its own (Li et al., ICLR 2021; MEOW, SDM 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import streaming_logsumexp
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.objectives._common import Objective, check_choice, check_temperature, reduced

__all__ = ["PrototypeContrastLoss", "prototype_contrast", "prototype_density"]

QUANTILES = (0.1, 0.9)  # concentrations are clipped to these
LEAST_SHARE = 0.01  # of the temperature: a cluster of identical members keeps finite logits


def prototype_contrast(
    anchor: Tensor,
    assignments: Sequence[Tensor],
    centroids: Sequence[Tensor],
    densities: Sequence[Tensor],
    *,
    reduction: str = "mean",
) -> Tensor:
    """How surely each node picks the prototype of its own cluster, averaged over T clusterings.

        ``l_i = (1 / T) sum_t -log [ exp(a_i.m_q / f_q) / ((N / K_t) sum_r exp(a_i.m_r / f_r)) ]``,  q = q_t(i)

    with prototypes m_r and concentrations f_r of clustering t. The factor N / K_t shifts the value alone.

    Args:
        anchor: (N, d) node vectors, taken as they are: pass unit rows.
        assignments: T >= 1 integer tensors (N,), clusters 0..K_t - 1.
        centroids: T tensors (K_t, d), prototypes, taken as they are: pass unit rows. No gradient.
        densities: T tensors (K_t,), positive concentrations, from :func:`prototype_density`. No gradient.
        reduction: ``"mean"``, or ``"none"`` for (N,) rows.

    Returns:
        A scalar, or (N,); float32 for half types. Differentiable once in `anchor`. N d sum(K_t) multiply-adds forward
        and three times that backward; no N x K array exists.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, UnknownNameError: the arguments do not fit.
        GraphrepError: there is no clustering, or a concentration is not positive and finite.

    Source: Yu, Li, "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples",
    2023; Li et al., "Prototypical Contrastive Learning of Unsupervised Representations", 2021.

    Example:
        >>> labels, ones = torch.tensor([0, 1]), torch.ones(2)
        >>> prototype_contrast(torch.eye(2), [labels], [torch.eye(2)], [ones])
        tensor(0.3133)
    """
    check_floating(anchor, "anchor")
    if anchor.dim() != 2 or not anchor.shape[0]:
        raise ShapeError(f"anchor has shape {tuple(anchor.shape)}; it holds a row per node.", hint="(N, d) with N >= 1")
    counts = {len(assignments), len(centroids), len(densities)}
    if len(counts) > 1 or counts == {0}:
        raise GraphrepError(
            f"{len(assignments)} assignments, {len(centroids)} centroids and {len(densities)} densities were given.",
            hint="one of each for each of T >= 1 clusterings",
        )
    dtype = torch.promote_types(anchor.dtype, torch.float32)
    a, rows = anchor.to(dtype), anchor.new_zeros(anchor.shape[0], dtype=dtype)
    for t, (labels, centers, density) in enumerate(zip(assignments, centroids, densities, strict=True)):
        _check_clusters(anchor, (f"assignments[{t}]", labels), (f"centroids[{t}]", centers))
        keys = centers.detach().to(dtype) / _checked(density, f"densities[{t}]", centers).to(dtype).unsqueeze(1)
        own = (a * keys.index_select(0, labels.long())).sum(1)
        rows = rows + streaming_logsumexp(a, keys) - own + math.log(len(a) / len(keys))
    return reduced(rows / len(assignments), reduction)


@torch.no_grad()
def prototype_density(z: Tensor, assign: Tensor, centroids: Tensor, *, temperature: float, kind: str = "ip") -> Tensor:
    """A temperature for each prototype: its cluster's spread, corrected for small clusters, scaled to a given mean.

    ``f_r = mean_i s_i / log(n_r + 5)`` over the n_r members of cluster r. Clusters with at most one member get the
    largest f of the others; then f is clipped to its 10th and 90th percentile and scaled to mean t.

    Args:
        z: (N, d) node vectors.
        assign: (N,) integers, clusters 0..K - 1.
        centroids: (K, d), means of the clusters.
        temperature: t > 0, the mean of the result.
        kind: ``"ip"``: ``s_i = sqrt(max(<z_i, c_r>, 0))``, as MEOW's published program has it, where a tight cluster
            gets a larger f; ``"l2"``: ``s_i = |z_i - c_r|``, as its source has it, where a tight one gets a smaller f.

    Returns:
        (K,) concentrations without a gradient, float32 for half types, at least a hundredth of t (clusters whose
        members are all alike would have 0). All t if no cluster has two members, or no spread.

    Raises:
        ShapeError, DTypeError, IndexRangeError, DeviceError, UnknownNameError, GraphrepError: the arguments do not fit.

    Source: Li et al., "Prototypical Contrastive Learning of Unsupervised Representations", 2021, section 3.3; Yu, Li,
    "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples", 2023.

    Example:
        >>> z = torch.tensor([[0.0], [2.0], [5.0], [9.0]])
        >>> centroids = torch.tensor([[1.0], [7.0]])
        >>> prototype_density(z, torch.tensor([0, 0, 1, 1]), centroids, temperature=0.5, kind="l2")
        tensor([0.3667, 0.6333])
    """
    check_temperature(temperature)
    check_choice("kind", kind, ("ip", "l2"))
    check_floating(z, "z")
    if z.dim() != 2:
        raise ShapeError(f"z has shape {tuple(z.shape)}; it holds a row per node.", hint="(N, d)")
    _check_clusters(z, ("assign", assign), ("centroids", centroids))
    dtype = torch.promote_types(z.dtype, torch.float32)
    rows, own = z.to(dtype), centroids.to(dtype).index_select(0, assign.long())
    spread = (rows - own).norm(dim=1) if kind == "l2" else (rows * own).sum(1).clamp(min=0).sqrt()
    size = torch.bincount(assign.long(), minlength=len(centroids)).to(dtype)
    mean = torch.zeros_like(size).index_add_(0, assign.long(), spread) / size.clamp(min=1)
    density = mean / torch.log(size + 5)
    several = size > 1
    if not bool(several.any()):
        return torch.full_like(density, temperature)
    density = torch.where(several, density, density[several].max())
    low, high = (torch.quantile(density, q) for q in QUANTILES)
    density = torch.minimum(torch.maximum(density, low), high)
    average = density.mean()
    if float(average) == 0:
        return torch.full_like(density, temperature)
    return (density * (temperature / average)).clamp(min=LEAST_SHARE * temperature)


def _check_clusters(rows: Tensor, assign: tuple[str, Tensor], centroids: tuple[str, Tensor]) -> None:
    check_index(assign[1], assign[0])
    check_floating(centroids[1], centroids[0])
    check_device(rows.device, **dict((assign, centroids)))
    if assign[1].shape[0] != rows.shape[0]:
        raise ShapeError(f"{assign[0]} has {assign[1].shape[0]} labels for {rows.shape[0]} nodes.", hint="one per node")
    shape = tuple(centroids[1].shape)
    if len(shape) != 2 or shape[1] != rows.shape[1] or not shape[0]:
        raise ShapeError(f"{centroids[0]} has shape {shape} for nodes {tuple(rows.shape)}.", hint="(K, d) with K >= 1")
    check_range(assign[1], shape[0], assign[0])


def _checked(density: Tensor, name: str, centroids: Tensor) -> Tensor:
    check_floating(density, name)
    check_device(centroids.device, **{name: density})
    if density.shape != centroids.shape[:1]:
        raise ShapeError(f"{name} has shape {tuple(density.shape)} for {len(centroids)} centroids.", hint="(K,)")
    density = density.detach()
    if not bool(((density > 0) & density.isfinite()).all()):
        raise GraphrepError(f"{name} holds numbers that are not positive and finite.", hint="prototype_density(...)")
    return density


class PrototypeContrastLoss(Objective):
    """:func:`prototype_contrast` as a module.

    Example:
        >>> PrototypeContrastLoss()(torch.eye(2), [torch.tensor([0, 1])], [torch.eye(2)], [torch.ones(2)])
        tensor(0.3133)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        check_choice("reduction", reduction, ("mean", "none"))
        super().__init__(reduction=reduction)

    def forward(
        self,
        anchor: Tensor,
        assignments: Sequence[Tensor],
        centroids: Sequence[Tensor],
        densities: Sequence[Tensor],
    ) -> Tensor:
        """See :func:`prototype_contrast`."""
        return prototype_contrast(anchor, assignments, centroids, densities, **self.options)
