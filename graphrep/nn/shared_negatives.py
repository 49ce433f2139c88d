"""One pool of negative nodes for a whole batch, and which of the pairs with it are known edges."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_edge_index, check_index, check_range
from graphrep.kernels.sampling.local import local_ids

__all__ = ["SharedNegatives"]

_SCHEMES = ("uniform", "degree")


class SharedNegatives:
    """Draws K distinct nodes that all links of a batch share as negatives, so that K + B texts give B K pairs.

    Args:
        k: K, 0 or more; at most the number of candidates.
        known: (2, M) int32 or int64 known edges (source, target), the training edges; they are never negatives.
        num_nodes: targets are numbered 0..num_nodes-1. Default: the largest id in `known` + 1.
        num_sources: likewise for sources; default `num_nodes`.
        scheme: ``"uniform"``, or ``"degree"``: node v in proportion to ``degree(v) ** power`` over the targets of
            `known`, a node without an edge never.
        power: see above.

    Attributes:
        weights: (num_nodes,) float64, the share of each node in a draw of one.

    Raises:
        GraphrepError: K is negative or more than there are candidates.
        UnknownNameError, IndexRangeError, ShapeError, DTypeError: the arguments do not fit.

    Source: shared ("joint") negatives with removal of known edges; degree powers of Mikolov et al., "Distributed
    Representations of Words and Phrases", 2013; popularity correction of Yi et al., "Sampling-Bias-Corrected Neural
    Modeling", 2019.

    Example:
        >>> negatives = SharedNegatives(2, torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=4)
        >>> negatives.draw(torch.Generator().manual_seed(0)).shape
        torch.Size([2])
        >>> negatives.known_among(torch.tensor([2, 0, 3])).tolist()
        [[0], [1]]
    """

    def __init__(
        self,
        k: int,
        known: Tensor,
        *,
        num_nodes: int | None = None,
        num_sources: int | None = None,
        scheme: str = "uniform",
        power: float = 0.75,
    ) -> None:
        if scheme not in _SCHEMES:
            raise UnknownNameError(f'scheme is "{scheme}".', hint='"uniform" or "degree"')
        check_edge_index(known)
        ids = known.long().cpu()
        if num_nodes is None:
            num_nodes = int(ids.max()) + 1 if ids.numel() else 0
        self.k, self.num_nodes, self.scheme = k, num_nodes, scheme
        self._csr = CSR.from_edge_index(
            ids.flip(0), size=(num_nodes, num_nodes if num_sources is None else num_sources)
        )
        self.degree = torch.bincount(ids[1], minlength=num_nodes).double()
        weights = self.degree**power * (self.degree > 0) if scheme == "degree" else torch.ones(num_nodes).double()
        self.weights = weights / weights.sum().clamp(min=1e-300)
        candidates = int((self.weights > 0).sum())
        if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= candidates:
            raise GraphrepError(f"k is {k!r} but there are {candidates} candidates.", hint=f"k={min(1024, candidates)}")

    def draw(self, generator: torch.Generator | None = None) -> Tensor:
        """(K,) int64 distinct nodes; by degree they are drawn one after another without replacement."""
        if self.k == 0:
            return torch.empty(0, dtype=torch.int64)
        device = torch.device("cpu") if generator is None else generator.device
        if self.scheme == "uniform":
            return torch.randperm(self.num_nodes, generator=generator, device=device)[: self.k].cpu()
        # The K smallest of exponential times are such a draw, for any number of nodes.
        times = torch.empty(self.num_nodes, dtype=torch.float64, device=device).exponential_(generator=generator).cpu()
        return (times / self.weights).topk(self.k, largest=False).indices

    def log_q(self, batch_size: int = 0) -> Tensor:
        """(num_nodes,) log of each node's expected share of the columns, for ``in_batch_info_nce(log_q=...)``.

        The columns are `batch_size` targets, in proportion to their known edges, and the pool. A node that can be no
        column has the log of the smallest normal number.
        """
        share = self.k * self.weights + batch_size * self.degree / self.degree.sum().clamp(min=1)
        return (share / max(1, self.k + batch_size)).clamp(min=torch.finfo(torch.float64).tiny).log()

    def known_among(self, sources: Tensor, targets: Tensor | None = None) -> Tensor:
        """The known edges between the nodes of a batch, as positions: what ``in_batch_info_nce(known=...)`` takes.

        Args:
            sources: (n,) distinct ids, the rows of the batch's node table.
            targets: (m,) distinct ids; default `sources`.

        Returns:
            (2, r) int64 positions in `sources` and in `targets`; repeated edges are repeated. O(sum of the degrees of
            `sources`).

        Raises:
            IndexRangeError, DTypeError, ShapeError: no ids of this graph.
        """
        rows, ids = self._neighbors(sources)
        others = sources if targets is None else targets
        check_index(others, "targets")
        check_range(others, self.num_nodes, "targets")
        places, _ = local_ids(others.long().cpu(), ids)
        inside = places < others.numel()
        return torch.stack([rows[inside], places[inside]]).to(sources.device)

    def mask(self, sources: Tensor, pool: Tensor, *, same_type: bool = True) -> Tensor:
        """(B, K) bool, True where a pair is no negative: a known edge or, with `same_type`, a node with itself.

        Args:
            sources: (B,) ids, repeated ones too.
            pool: (K,) distinct ids.
            same_type: whether sources and targets are numbered alike.

        Raises:
            IndexRangeError, DTypeError, ShapeError: no ids of this graph.
        """
        rows, ids = self._neighbors(sources)
        check_index(pool, "pool")
        check_range(pool, self.num_nodes, "pool")
        places, _ = local_ids(pool.long().cpu(), ids)
        inside = places < pool.numel()
        out = torch.zeros(sources.numel(), pool.numel(), dtype=torch.bool)
        out[rows[inside], places[inside]] = True
        out = out.to(sources.device)
        return out | (sources[:, None] == pool[None]) if same_type else out

    def _neighbors(self, sources: Tensor) -> tuple[Tensor, Tensor]:
        """All (position in `sources`, known target)."""
        check_index(sources, "sources")
        check_range(sources, self._csr.num_rows, "sources")
        picked = sources.long().cpu()
        start, count = self._csr.rowptr[picked].long(), self._csr.degree()[picked].long()
        rows = torch.repeat_interleave(torch.arange(picked.numel()), count)
        offset = torch.arange(rows.numel()) - (count.cumsum(0) - count)[rows]
        return rows, self._csr.col[start[rows] + offset].long()
