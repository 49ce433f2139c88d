"""Random views of a graph for contrastive methods: dropped edges, masked feature columns.

Uniform rates: Zhu et al., "Deep Graph Contrastive Representation Learning" (GRACE), arXiv:2006.04131, section 3.2.
Rates per edge and column: Zhu et al., "Graph Contrastive Learning with Adaptive Augmentation", arXiv:2010.14945.
"""

from __future__ import annotations

import numbers
from typing import Any, TypeAlias, overload

import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_device, check_edge_index, check_floating, check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels.views import keep_mask, reverse_edges, view_of, view_plan
from graphrep.nn._arguments import check_features, check_rate

__all__ = ["EdgeDropper", "drop_edges", "mask_features"]

Rate: TypeAlias = "float | Tensor"
Source: TypeAlias = "torch.Generator | int"  # a generator gives a seed, one draw per call


def drop_edges(edge_index: Tensor, p: Rate, generator: Source, *, undirected: bool = False) -> Tensor:
    """The edges of a view, in the given order: each is dropped with its probability.

    Args:
        edge_index: (2, E) int32 or int64.
        p: probability of being dropped: a number in [0, 1), or (E,) floating point in [0, 1], such as
            :func:`~graphrep.nn.drop_probability` gives.
        generator: a torch generator, of which one number is drawn, or an integer seed. What is dropped depends on that
            and on the edge's place in the list, not on device, threads or backend.
        undirected: keep or drop both directions of an edge together, with the mean of their probabilities; of copies
            the first goes with the first. Default: independently, as published, so a view is a directed graph.

    Returns:
        (2, E') of the same dtype.

    Raises:
        ShapeError, DTypeError, GraphrepError, DeviceError, IndexRangeError: an argument is malformed.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> drop_edges(edge_index, 0.5, torch.Generator().manual_seed(1), undirected=True).shape[1] in (0, 2, 4)
        True

    A training loop that wants normalised matrices of views draws them with :class:`EdgeDropper`: the same edges from
    the same generator, several times faster.
    """
    check_edge_index(edge_index)
    rate = _checked_rate(p, edge_index.shape[1], "edge", edge_index.device)
    pair = None
    if undirected:
        check_range(edge_index, 1 << 31, "edge_index")
        pair = _pairs(edge_index, int(edge_index.max()) + 1 if edge_index.numel() else 0)
    return edge_index[:, _draw(edge_index.shape[1], rate, generator, pair, edge_index.device)]


@overload
def mask_features(x: Tensor, p: Rate, generator: Source) -> Tensor: ...
@overload
def mask_features(x: CSR, p: Rate, generator: Source) -> CSR: ...
def mask_features(x: Tensor | CSR, p: Rate, generator: Source) -> Tensor | CSR:
    """A copy of the features in which some columns are zero for all nodes.

    Args:
        x: (N, F) numbers, dense, torch sparse CSR, or a :class:`~graphrep.kernels.CSR` with values; in the sparse forms
            masked entries are stored as zeros. A CSR keeps its pattern, and with it the transpose that it has cached.
        p: probability of each column: a number in [0, 1), or (F,) floating point in [0, 1].
        generator: as for :func:`drop_edges`; the mask depends on it and the number of the column alone.

    Returns:
        (N, F) as `x`; gradients flow to the columns that stay.

    Raises:
        ShapeError, DTypeError, GraphrepError, DeviceError: an argument is malformed.

    Example:
        >>> x = mask_features(torch.ones(2, 100), 0.3, torch.Generator().manual_seed(0))
        >>> bool((x[0] == x[1]).all()), 50 < int(x[0].sum()) < 90
        (True, True)
    """
    if isinstance(x, CSR):
        if x.value is None:
            raise GraphrepError("the matrix has no values to mask.", hint="CSR(rowptr, col, value, num_cols=F)")
        rate = _checked_rate(p, x.num_cols, "column", x.device)
        masked = ~_draw(x.num_cols, rate, generator, None, x.device)
        return x.with_value(x.value.masked_fill(masked[x.col.long()], 0))
    check_features(x)
    rate = _checked_rate(p, x.shape[1], "column", x.device)
    masked = ~_draw(x.shape[1], rate, generator, None, x.device)
    if x.layout is torch.strided:
        return x.masked_fill(masked, 0)
    values = x.values().masked_fill(masked[x.col_indices()], 0)
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, size=x.shape, check_invariants=False)


class EdgeDropper:
    """Views of one graph as matrices ready for the layers, without going through an edge list.

    The graph is grouped by destination and by source once. Each view is then compacted from both in O(E), with the
    weights of its own GCN normalisation; nothing is sorted, forward or backward, where it is used.

    Args:
        edges: (2, E) int32 or int64, row 0 sources; or a :class:`~graphrep.kernels.CSR` (N, N) without weights, whose
            entries are then the edges, in their order.
        num_nodes: N; needed beside an edge list.
        undirected: as for :func:`drop_edges`.
        normalize: the weights of a view are D^-1/2 (A + I) D^-1/2, with degrees of the view, as
            :func:`~graphrep.kernels.gcn_norm` has them: duplicates count separately, given self-loops give way to one
            of weight 1 per node, which is never dropped. False: the edges that stay, without weights and loops of ours.
        dtype: of the weights; default torch's default.

    Raises:
        ShapeError, DTypeError, IndexRangeError, GraphrepError: an argument is malformed.

    Example:
        >>> from graphrep.nn import GCNConv
        >>> dropper = EdgeDropper(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3)
        >>> view = dropper(0.25, torch.Generator().manual_seed(0))
        >>> GCNConv(5, 2, normalize=False)(torch.ones(3, 5), view).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        edges: Tensor | CSR,
        num_nodes: int | None = None,
        *,
        undirected: bool = False,
        normalize: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        edge_index, self.num_nodes = _edge_list(edges, num_nodes)
        self.undirected, self.normalize = undirected, normalize
        self.dtype = dtype or torch.get_default_dtype()
        if not self.dtype.is_floating_point:
            raise DTypeError(f"dtype is {self.dtype}; weights are floating point.", hint="dtype=torch.float32")
        self._plan = view_plan(edge_index, self.num_nodes, loops=normalize)
        self._pair = _pairs(edge_index, self.num_nodes) if undirected else None

    @property
    def num_edges(self) -> int:
        """E of the base graph."""
        return self._plan.num_edges

    def keep(self, p: Rate, generator: Source) -> Tensor:
        """(E,) bool, True for the edges of a view; arguments as for :func:`drop_edges`, which draws the same."""
        device = self._plan.csr.device
        return _draw(self.num_edges, _checked_rate(p, self.num_edges, "edge", device), generator, self._pair, device)

    def view(self, keep: Tensor) -> CSR:
        """The (N, N) matrix of the edges with True in `keep` (E,); rows are destinations, the transpose is built.

        Raises:
            DTypeError, ShapeError, DeviceError: `keep` is no such mask.
        """
        if not isinstance(keep, Tensor) or keep.dtype != torch.bool:
            kind = keep.dtype if isinstance(keep, Tensor) else type(keep).__name__
            raise DTypeError(f"keep must be a bool tensor; got {kind}.", hint="dropper.keep(p, generator)")
        if keep.shape != (self.num_edges,):
            raise ShapeError(f"keep has shape {tuple(keep.shape)} but there are {self.num_edges} edges.")
        check_device(self._plan.csr.device, keep=keep)
        return view_of(self._plan, keep, dtype=self.dtype if self.normalize else None)

    def __call__(self, p: Rate, generator: Source) -> CSR:
        """A view: :meth:`view` of :meth:`keep`."""
        return self.view(self.keep(p, generator))

    def __repr__(self) -> str:
        return (
            f"EdgeDropper({self.num_nodes} nodes, {self.num_edges} edges, undirected={self.undirected}, "
            f"normalize={self.normalize})"
        )


def _edge_list(edges: Tensor | CSR, num_nodes: int | None) -> tuple[Tensor, int]:
    if isinstance(edges, CSR):
        if edges.value is not None:
            raise GraphrepError("the matrix has weights, which views do not keep.", hint="csr.with_value(None)")
        size = edges.num_rows if num_nodes is None else num_nodes
        if edges.shape != (size, size):
            raise ShapeError(f"the matrix has shape {edges.shape}; views need ({size}, {size}).")
        return torch.stack([edges.col, edges.row()]), size
    check_edge_index(edges)
    if num_nodes is None:
        raise GraphrepError("num_nodes is missing.", hint="the largest id + 1 misses isolated last nodes")
    check_range(edges, num_nodes, "edge_index")
    return edges, num_nodes


def _checked_rate(p: Rate, count: int, what: str, device: torch.device) -> Rate:
    """One number, or (count,) float32 or float64."""
    if isinstance(p, Tensor):
        check_floating(p, "p")
        if p.shape != (count,):
            raise ShapeError(
                f"p has shape {tuple(p.shape)} but there are {count} {what}s.", hint=f"one probability per {what}"
            )
        check_device(device, p=p)
        low, high = torch.aminmax(p.detach()) if count else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # NaN is neither
            where = int((~((p >= 0) & (p <= 1))).nonzero()[0])
            raise GraphrepError(
                f"p is {float(p[where])} at {what} {where}; probabilities lie in [0, 1].",
                hint="drop_probability(weights, rate) makes probabilities of weights",
            )
        return p.detach() if p.dtype.itemsize > 2 else p.detach().float()
    return check_rate(p)


def _pairs(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """(E,) position of each edge's other direction, and of the earlier of the two, whose draw decides."""
    partner = reverse_edges(edge_index, num_nodes)
    return partner, torch.minimum(partner, torch.arange(partner.numel(), device=partner.device))


def _draw(
    count: int, rate: Rate, generator: Source, pair: tuple[Tensor, Tensor] | None, device: torch.device
) -> Tensor:
    """(count,) bool, True where the item stays."""
    partner, leader = pair if pair is not None else (None, None)
    if partner is not None and isinstance(rate, Tensor):
        rate = (rate + rate[partner]) / 2
    return keep_mask(count, rate, _seed(generator), leader=leader, device=device)


def _seed(generator: Any) -> int:
    """64 bits from a generator or an integer."""
    if isinstance(generator, torch.Generator):
        number = torch.empty((), dtype=torch.int64, device=generator.device)
        return int(number.random_(generator=generator))
    if isinstance(generator, bool) or not isinstance(generator, numbers.Integral):
        raise DTypeError(
            f"generator must be a torch.Generator or an integer seed; got {type(generator).__name__}.",
            hint="torch.Generator().manual_seed(0)",
        )
    return check_seed(int(generator))
