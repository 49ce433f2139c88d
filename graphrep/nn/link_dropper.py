"""A graph without some of its links, step after step, without building it anew."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphrep.data.canonical import canonical_edges
from graphrep.errors import GraphrepError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_device, check_edge_index, check_index, check_range
from graphrep.kernels.views import reverse_edges
from graphrep.nn._arguments import check_rate
from graphrep.nn.views import EdgeDropper

__all__ = ["LinkDropper", "LinkView"]


class LinkView(NamedTuple):
    """A graph with some links taken out.

    Attributes:
        messages: (N, N) D^-1/2 (A + I) D^-1/2 of the links that stay, with degrees of their own: what an encoder reads.
        neighbors: (N, N) pattern of the links that stay, columns ascending: neighbour sets.
    """

    messages: CSR
    neighbors: CSR


class LinkDropper:
    """Takes links out of a graph, both directions together: those of a batch, and a random share of the others.

    Edges are grouped by row and by column once, and each link knows its two entries. A view marks the entries of links
    that are out and copies the others, with degrees counted anew: O(E) reads and writes, nothing is sorted, and the
    result is that of building the graph from the links that stay.

    Args:
        edge_index: (2, E) int32 or int64; duplicates are merged, self-loops dropped, missing directions added.
        num_nodes: N.
        dtype: of the weights of `messages`; default torch's default.

    Attributes:
        links: (2, M) int64, each link once, smaller end first, sorted by the larger end.

    Raises:
        ShapeError, DTypeError, IndexRangeError: `edge_index` is malformed.

    Source: target-link removal of Wang, Yang, Zhang, "Neural Common Neighbor with Completion for Link Prediction", ICLR
    2024, arXiv:2302.00890.

    Example:
        >>> dropper = LinkDropper(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3)
        >>> dropper.links.tolist()
        [[0, 0, 1], [1, 2, 2]]
        >>> view = dropper(torch.tensor([1]))
        >>> view.neighbors.row().tolist(), view.neighbors.col.tolist()
        ([0, 1, 1, 2], [1, 0, 2, 1])
    """

    def __init__(self, edge_index: Tensor, num_nodes: int, *, dtype: torch.dtype | None = None) -> None:
        check_edge_index(edge_index)
        check_range(edge_index, num_nodes, "edge_index")
        edges = canonical_edges(edge_index.cpu(), None, num_nodes, directed=False).edge_index.to(edge_index.device)
        first = (edges[0] < edges[1]).nonzero()[:, 0]
        self.num_nodes, self.num_edges = num_nodes, edges.shape[1]
        self.links = edges[:, first].contiguous()
        self._entries = torch.stack([first, reverse_edges(edges, num_nodes)[first]])
        self._messages = EdgeDropper(edges, num_nodes, undirected=True, dtype=dtype)
        self._neighbors = EdgeDropper(edges, num_nodes, undirected=True, normalize=False)
        self._whole: LinkView | None = None

    @property
    def num_links(self) -> int:
        """M."""
        return self.links.shape[1]

    @property
    def whole(self) -> LinkView:
        """The graph with all its links; made once."""
        if self._whole is None:
            keep = torch.ones(self.num_edges, dtype=torch.bool, device=self.links.device)
            self._whole = LinkView(self._messages.view(keep), self._neighbors.view(keep))
        return self._whole

    def __call__(
        self,
        removed: Tensor | None = None,
        *,
        message_rate: float = 0.0,
        neighbor_rate: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> LinkView:
        """The graph without some links.

        Args:
            removed: (B,) int32 or int64 numbers of links that are out, repeated ones too; None: none.
            message_rate: share of the other links that are out of `messages`, drawn once per link.
            neighbor_rate: share that is out of `neighbors`, drawn apart. Nothing is rescaled.
            generator: of the draws; needed where a rate is not 0.

        Raises:
            IndexRangeError, ShapeError, DTypeError, DeviceError, GraphrepError: the arguments do not fit.
        """
        out: Tensor | None = None
        if removed is not None:
            check_index(removed, "removed")
            check_range(removed, self.num_links, "removed")
            check_device(self.links.device, removed=removed)
            out = self._entries[:, removed.long()].reshape(-1)
        rates = check_rate(message_rate, "message_rate"), check_rate(neighbor_rate, "neighbor_rate")
        if out is None and not any(rates):
            return self.whole
        if any(rates) and generator is None:
            raise GraphrepError("random links need a generator.", hint="generator=torch.Generator().manual_seed(0)")
        droppers = (self._messages, self._neighbors)
        parts = []
        for dropper, rate in zip(droppers, rates, strict=True):
            if rate and generator is not None:
                keep = dropper.keep(rate, generator)
            else:
                keep = torch.ones(self.num_edges, dtype=torch.bool, device=self.links.device)
            if out is not None:
                keep[out] = False
            parts.append(dropper.view(keep))
        return LinkView(*parts)

    def __repr__(self) -> str:
        return f"LinkDropper({self.num_nodes} nodes, {self.num_links} links)"
