"""The best missing links of nodes, of any predictor, block after block of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.linking.predictors import Predictor
from graphrep.data.links import LinkSplit
from graphrep.errors import UnknownNameError
from graphrep.kernels import CSR
from graphrep.methods._link_top import best_links

__all__ = ["CANDIDATES", "best_missing"]

Array = np.ndarray[Any, Any]
CANDIDATES = ("auto", "two-hop", "all")
_NODES = 512  # whose links are found together
_PAIRS = 1 << 16  # scored at a time


def best_missing(
    predictor: Predictor, split: LinkSplit, nodes: Array, k: int, *, candidates: str = "auto"
) -> Iterator[tuple[Array, Array, Array]]:
    """(b,) nodes, (b, k) others and (b, k) scores, best first, a block of nodes at a time; -1 where fewer are left.

    Links of every part are left out: what was held out for the test is known, not missing.

    Args:
        predictor: fitted on the split.
        split: the links.
        nodes: (n,) node numbers.
        k: links per node.
        candidates: ``two-hop``: nodes that share a neighbour; ``all``; ``auto``: all for nodes with fewer than `k`.

    Raises:
        UnknownNameError, GraphrepError: `candidates` or `k` out of range.
    """
    if candidates not in CANDIDATES:
        raise UnknownNameError(f'--candidates "{candidates}" is unknown.', hint=" | ".join(CANDIDATES))
    parts = [split.graph.edge_index, *(p for p in (split.val_pos, split.test_pos) if p is not None)]
    train, known = (_pattern(part, split.graph.num_nodes) for part in (parts[0], torch.cat(parts, dim=1)))

    def score(pairs: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(predictor.score(pairs), dtype=np.float32))

    for start in range(0, len(nodes), _NODES):
        block = nodes[start : start + _NODES]
        found, values = best_links(
            score, train, known, torch.from_numpy(block), k, candidates=candidates, block_size=_PAIRS
        )
        yield block, found.numpy(), values.numpy()


def _pattern(edges: Tensor, count: int) -> CSR:
    both = torch.unique(torch.cat([edges, edges.flip(0)], dim=1), dim=1)
    return CSR.from_edge_index(both, size=(count, count))
