"""Bounds on the normalised adjacency matrix and on a GCN's layers over all graphs that lose a few in-edges per node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels._check import check_device, check_floating
from graphrep.objectives.compactness._graph import Dropping, budgets, check_edge_prob, pattern

__all__ = [
    "AdjacencyBounds",
    "Layers",
    "Weights",
    "adjacency_bounds",
    "check_slope",
    "checked_layers",
    "gcn_bounds",
    "layer_ranges",
    "leaky",
    "scaled_bounds",
]

Layers: TypeAlias = "Sequence[tuple[Tensor, Tensor | None]]"
Weights: TypeAlias = "list[tuple[Tensor, Tensor]]"
AdjacencyBounds: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
Ranges: TypeAlias = "list[tuple[Tensor, Tensor]]"


def adjacency_bounds(
    edge_index: Tensor,
    *,
    num_nodes: int,
    drop_rate: float | None = None,
    edge_prob: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> AdjacencyBounds:
    """Bounds on the entries of ``D^-1/2 (A + I) D^-1/2`` when node i loses at most q_i of its in-edges.

    With d_i in-edges, ``q_i = min(max(d_i - 1, 0), round(p d_i))``, or the rounded sum of the probabilities of the
    edges into i: one in-edge always stays. Then ``0 <= A_ij <= r_i r_j`` off the diagonal and ``1 / (d_i + 1) <= A_ii
    <= r_i^2`` with ``r_i = (d_i + 1 - q_i)^-1/2``.

    Random dropping with rate p often leaves this set, since a node loses more than the expected number of its in-edges
    in a good part of the draws. Whatever is certified holds for the set, not for every random draw.

    Args:
        edge_index: (2, E) int32 or int64, row 0 sources, row 1 destinations; duplicates count once, self-loops not at
            all (each node has one that is never dropped).
        num_nodes: N.
        drop_rate: p, the same for all edges.
        edge_prob: (E,) instead, one probability per edge; of duplicates the largest counts.
        dtype: of the bounds, default torch's.

    Returns:
        r (N,), the least diagonal entries (N,), and q (N,) int64. O(E log E) time, O(N + E) memory.

    Raises:
        ShapeError, DTypeError, IndexRangeError, GraphrepError: the arguments do not fit.

    Source: Yu et al., "Provable Training for Graph Contrastive Learning", 2023.

    Example:
        >>> scale, least, budget = adjacency_bounds(torch.tensor([[0, 1, 2], [2, 2, 0]]), num_nodes=3, drop_rate=0.5)
        >>> budget, scale
        (tensor([0, 0, 1]), tensor([0.7071, 1.0000, 0.7071]))
    """
    check_edge_prob(edge_prob, edge_index)
    csr, prob = pattern(edge_index, num_nodes, edge_prob)
    budget = budgets(csr, drop_rate, prob)
    degree = csr.degree() + 1
    return (*scaled_bounds(degree, budget, dtype or torch.get_default_dtype()), budget)


def scaled_bounds(degree: Tensor, budget: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """R and the least diagonal entries, for in-degrees with the self-loop."""
    return (degree - budget).double().rsqrt().to(dtype), degree.double().reciprocal().to(dtype)


def gcn_bounds(
    x: Tensor,
    edge_index: Tensor,
    layers: Layers,
    bounds: AdjacencyBounds,
    *,
    negative_slope: float | Tensor = 0.0,
    tighten: bool = False,
) -> Ranges:
    """Intervals of every layer of a GCN before its activation, over all graphs within the bounds.

    Layer l computes ``A s(h) W + b`` with s(x) = x above 0 and a x below. An interval of h W comes from its centre and
    its radius times |W|, and that of the product with A takes each entry at one end of its range: two products with the
    pattern of the graph.

    Args:
        x: (N, F) features; a sparse matrix works where ``x @ W`` does.
        edge_index: (2, E), the graph before dropping.
        layers: (W, b) per layer, used as ``x @ W + b``; b may be None.
        bounds: what :func:`adjacency_bounds` returned for this graph.
        negative_slope: a in [0, 1]; a tensor of one number (PReLU) gets its gradient.
        tighten: use the budget itself: at most q_i entries of row i vanish, together, and what is kept does not fall
            below its present value. Narrower, and still sound; sorts every row once per column (numba on CPU; on
            CUDA a column at a time), and takes float64 or float32.

    Returns:
        [(lower, upper)] per layer, (N, width) each. Differentiable in the weights and x. O(E d + N F d) time, O(N d)
        memory.

    Raises:
        ShapeError, DTypeError, GraphrepError: the arguments do not fit, or the slope is outside [0, 1].

    Source: the interval form of Gowal et al., "On the Effectiveness of Interval Bound Propagation", 2018, on graphs.

    Example:
        >>> edges, x = torch.tensor([[0, 1], [1, 0]]), torch.eye(2)
        >>> bounds = adjacency_bounds(edges, num_nodes=2, drop_rate=0.5)
        >>> gcn_bounds(x, edges, [(torch.eye(2), torch.zeros(2))], bounds)[0][0]
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    weights = checked_layers(x, layers)
    check_slope(negative_slope)
    scale, least_own, budget = bounds
    if {tuple(t.shape) for t in bounds} != {(x.shape[0],)}:
        raise ShapeError(
            f"bounds have shapes {[tuple(t.shape) for t in bounds]} for {x.shape[0]} rows of x.",
            hint="adjacency_bounds(edge_index, num_nodes=len(x), ...)",
        )
    csr, _ = pattern(edge_index, x.shape[0])
    dropping = Dropping(csr, scale, least_own, budget if tighten else None)
    return layer_ranges(x @ weights[0][0], dropping, weights, negative_slope)


def layer_ranges(inside: Tensor, dropping: Dropping, layers: Weights, slope: float | Tensor) -> Ranges:
    """The intervals from the first layer's products `inside` = x W1 on."""
    low = high = inside
    ranges: Ranges = []
    for weight, bias in layers:
        if ranges:
            low, high = (leaky(end, slope) for end in ranges[-1])
            centre, radius = (low + high) / 2 @ weight, (high - low) / 2 @ weight.abs()
            low, high = centre - radius, centre + radius
        lower, upper = dropping.interval(low, high)
        ranges.append((lower + bias, upper + bias))
    return ranges


def leaky(x: Tensor, slope: float | Tensor) -> Tensor:
    """X above 0, `slope` x below; the slope may carry a gradient."""
    return x.relu() - slope * (-x).relu()


def check_slope(slope: float | Tensor) -> None:
    """Raises unless the slope is one number in [0, 1]."""
    if isinstance(slope, Tensor) and slope.numel() != 1:
        raise ShapeError(
            f"negative_slope has shape {tuple(slope.shape)}; bounds need one slope.", hint="PReLU(num_parameters=1)"
        )
    number = float(slope.detach() if isinstance(slope, Tensor) else slope)
    if not 0 <= number <= 1:
        raise GraphrepError(
            f"negative_slope is {number}; the bounds hold for slopes in [0, 1].", hint="clamp it, or 0 for ReLU"
        )


def checked_layers(x: Tensor, layers: Layers) -> Weights:
    """The layers with zeros for a bias that is None.

    Raises:
        ShapeError, DTypeError, DeviceError: x and the layers do not fit together.
    """
    check_floating(x, "x")
    if x.dim() != 2:
        raise ShapeError(f"x has shape {tuple(x.shape)}; rows are nodes.", hint="(N, F)")
    width, weights = x.shape[1], []
    if not layers:
        raise ShapeError("layers is empty.", hint="[(W1, b1), (W2, b2)]")
    for place, (weight, bias) in enumerate(layers, 1):
        check_floating(weight, f"W{place}")
        for name, part in ((f"W{place}", weight), (f"b{place}", bias)):
            if part is not None and part.dtype != x.dtype:
                raise DTypeError(f"{name} is {part.dtype} and x {x.dtype}.", hint=f"x.to({part.dtype})")
        check_device(x.device, **{f"W{place}": weight, f"b{place}": bias})
        if weight.dim() != 2 or weight.shape[0] != width:
            raise ShapeError(
                f"W{place} has shape {tuple(weight.shape)}; it multiplies rows of {width} numbers.",
                hint="x @ W: (in, out), the transpose of torch.nn.Linear's weight",
            )
        width = weight.shape[1]
        if bias is not None and bias.shape != (width,):
            raise ShapeError(f"b{place} has shape {tuple(bias.shape)}; W{place} has {width} columns.")
        weights.append((weight, weight.new_zeros(width) if bias is None else bias))
    return weights
