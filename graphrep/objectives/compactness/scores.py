"""Node compactness, and the loss that pushes it up."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.objectives._common import Objective, check_choice, reduced
from graphrep.objectives.compactness._graph import Dropping, budgets, check_edge_prob, pattern
from graphrep.objectives.compactness._relaxed import Encoder, official_scores, sound_scores
from graphrep.objectives.compactness.bounds import Layers, check_slope, checked_layers, scaled_bounds

__all__ = ["BOUNDS", "POTLoss", "contrast_vectors", "node_compactness", "pot"]

BOUNDS = ("best", "ibp", "crown-ibp", "official")


def contrast_vectors(z: Tensor) -> Tensor:
    """(N, d) for each node its unit row minus the mean of the others' unit rows.

    Args:
        z: (N, d) embeddings; rows of zeros stay zeros. For N = 1 there is nothing to subtract.

    Raises:
        ShapeError, DTypeError: `z` is no matrix of floating-point numbers.

    Source: Yu et al., "Provable Training for Graph Contrastive Learning", 2023 (the quantity bounded).

    Example:
        >>> import torch
        >>> contrast_vectors(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]))
        tensor([[ 1.0000, -1.0000],
                [-0.5000,  0.5000],
                [-0.5000,  0.5000]])
    """
    check_floating(z, "z")
    if z.dim() != 2:
        raise ShapeError(f"z has shape {tuple(z.shape)}; rows are nodes.", hint="(N, d)")
    unit, count = normalize(z), z.shape[0]
    if count < 2:
        return unit
    return (count * unit - unit.sum(0)) / (count - 1)


def node_compactness(
    x: Tensor,
    edge_index: Tensor,
    layers: Layers,
    z_other: Tensor,
    *,
    drop_rate: float | None = None,
    edge_prob: Tensor | None = None,
    negative_slope: float | Tensor = 0.0,
    bound: str = "best",
    view: Tensor | None = None,
    nodes: Tensor | None = None,
    induced: bool = False,
    tighten: bool = False,
) -> Tensor:
    """How far node i stays on the side of its other view, in the worst case over dropped edges.

    The encoder is ``z = s(A s(A x W1 + b1) W2 + b2)`` with s(x) = x above 0 and a x below. With w_i the
    :func:`contrast_vectors` of the other view, ``<w_i, z_i>`` depends on the normalised matrix A; this bounds its least
    value over all graphs in which every node i loses at most its budget of in-edges (:func:`adjacency_bounds`). A
    positive bound means: no such graph brings the node closer to the average of the others than to its positive.

    Args:
        x: (N, F) features; a sparse matrix works where ``x @ W`` does.
        edge_index: (2, E), rows sources and destinations; duplicates count once, self-loops not.
        layers: [(W1, b1), (W2, b2)], used as ``x @ W + b``; b may be None.
        z_other: (N, d) encoder outputs of the other view; gradients flow to them.
        drop_rate: p, as for :func:`adjacency_bounds`.
        edge_prob: (E,) instead, one probability per edge.
        negative_slope: a in [0, 1]; a tensor of one number (PReLU) gets its gradient.
        bound: ``"ibp"`` (intervals) and ``"crown-ibp"`` (intervals for the first layer, lines for the second) are lower
            bounds that hold; ``"best"`` is the larger of the two for each node. ``"official"`` is the score of the
            authors' program, to reproduce published numbers: it is NOT a lower bound and is often above the true
            minimum.
        view: (2, E'), the sampled graph (official); default the graph itself.
        nodes: ids whose scores are returned; default all.
        induced: (official) restrict the matrices and the contrast to `nodes` in the given order, as the authors'
            batches do.
        tighten: use the budgets themselves instead of a range per entry, see :func:`gcn_bounds`; not for official.

    Returns:
        (len(nodes),) scores. Differentiable once in x, the weights, a tensor slope and `z_other`. O(E d + N F d) time
        and O(N d + E) memory for d the widest layer; nothing of N x N or E x d exists.

    Raises:
        ShapeError, DTypeError, IndexRangeError, UnknownNameError, GraphrepError: the arguments do not fit.

    Source: Yu et al., "Provable Training for Graph Contrastive Learning", 2023; the sound forms follow Zhang
    et al., "Towards Stable and Efficient Training of Verifiably Robust Neural Networks", 2020 (CROWN-IBP).

    Example:
        >>> import torch
        >>> edges = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
        >>> layers = [(torch.eye(3), torch.zeros(3)), (torch.eye(3), torch.zeros(3))]
        >>> node_compactness(torch.eye(3), edges, layers, torch.eye(3), drop_rate=0.5)
        tensor([-0.5833, -0.5833, -0.5833])
    """
    check_choice("bound", bound, BOUNDS)
    weights = checked_layers(x, layers)
    check_slope(negative_slope)
    check_edge_prob(edge_prob, edge_index)
    nodes = _check_rest(x, layers, z_other, bound, nodes, view=view, induced=induced, tighten=tighten)
    csr, prob = pattern(edge_index, x.shape[0], edge_prob)
    budget = budgets(csr, drop_rate, prob)
    inside, z_other = x @ weights[0][0], z_other.to(x.dtype)
    bounds = scaled_bounds(csr.degree() + 1, budget, inside.dtype)
    encoder = Encoder(inside, weights, negative_slope, Dropping(csr, *bounds, budget if tighten else None))
    if induced:
        assert nodes is not None
        return official_scores(encoder, contrast_vectors(z_other[nodes]), _sampled(view, csr), nodes)
    contrast = contrast_vectors(z_other)
    if bound == "official":
        scores = official_scores(encoder, contrast, _sampled(view, csr), None)
    else:
        scores = sound_scores(encoder, contrast, bound)
    return scores if nodes is None else scores[nodes]


def _sampled(view: Tensor | None, csr: CSR) -> CSR:
    return csr if view is None else pattern(view, csr.num_rows)[0]


def _check_rest(
    x: Tensor, layers: Layers, z_other: Tensor, bound: str, nodes: Tensor | None, *, view: Tensor | None, induced: bool,
    tighten: bool,
) -> Tensor | None:  # fmt: skip
    """Checks what depends on the bound; returns `nodes` as int64."""
    if len(layers) != 2:
        raise ShapeError(f"{len(layers)} layers were given; node compactness is defined for two.", hint="gcn_bounds")
    check_floating(z_other, "z_other")
    check_device(x.device, z_other=z_other, nodes=nodes)
    wanted = (x.shape[0], layers[1][0].shape[1])
    if z_other.shape != wanted:
        raise ShapeError(f"z_other has shape {tuple(z_other.shape)}; the encoder gives {wanted}.")
    if bound != "official" and (view is not None or induced):
        raise GraphrepError(
            f'bound="{bound}" holds for all permitted graphs; view and induced have no meaning for it.',
            hint='bound="official", or leave them out and pass nodes alone',
        )
    if bound == "official" and tighten:
        raise GraphrepError("The official score has no tightened form.", hint='tighten=False, or bound="best"')
    if nodes is None:
        if induced:
            raise GraphrepError("induced=True needs nodes.", hint="nodes=the ids of the batch")
        return None
    check_index(nodes, "nodes")
    check_range(nodes, x.shape[0], "nodes")
    nodes = nodes.long()
    if induced and bool((nodes.bincount() > 1).any()):
        raise GraphrepError("nodes holds an id twice; an induced subgraph has each node once.", hint="nodes.unique()")
    return nodes


def pot(scores: Tensor, *, reduction: str = "mean") -> Tensor:
    """``mean of softplus(-score)``: binary cross-entropy of node compactness with target 1.

    Args:
        scores: (n,) from :func:`node_compactness`.
        reduction: ``"mean"``, or ``"none"`` for (n,).

    Raises:
        ShapeError: there is no score.

    Source: Yu et al., "Provable Training for Graph Contrastive Learning", 2023. A training step adds, for
    each view, ``kappa / 2`` times this to ``1 - kappa`` times the contrastive loss.

    Example:
        >>> import torch
        >>> pot(torch.tensor([0.0, 2.0]))
        tensor(0.4100)
    """
    check_floating(scores, "scores")
    if scores.numel() == 0:
        raise ShapeError("There is no score to average.", hint="at least one node")
    return reduced(-logsigmoid(scores), reduction)


class POTLoss(Objective):
    """:func:`pot` as a module.

    Example:
        >>> import torch
        >>> POTLoss()(torch.tensor([0.0, 2.0]))
        tensor(0.4100)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        check_choice("reduction", reduction, ("mean", "none"))
        super().__init__(reduction=reduction)

    def forward(self, scores: Tensor) -> Tensor:
        """See :func:`pot`."""
        return pot(scores, **self.options)
