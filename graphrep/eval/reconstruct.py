"""Network reconstruction: how much of the graph's topology is in the vectors, scored over all pairs, block by block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import EmptyGraphError, GraphrepError
from graphrep.eval._arrays import as_ks, as_matrix, choose
from graphrep.eval._links import undirected_links
from graphrep.eval._pairs import Similarity, pair_precision
from graphrep.eval._result import Result
from graphrep.eval._splits import node_positions
from graphrep.kernels import CSR

__all__ = ["ReconstructionScores", "reconstruction"]

_EXACT_NODES = 2000  # up to here every node is a source by default; above, so many are drawn
_ENTRIES = 1 << 21  # of one (sources, N) block: 16 MB in float64, about ten alive at once
_RESAMPLES = 1000

Floats = NDArray[np.float64]
Intervals = dict[int, tuple[float, float]]


@dataclass(frozen=True, eq=False, repr=False)
class ReconstructionScores(Result):
    """Ranking scores of a node's neighbourhood, between 0 and 1; a dict has an entry per hop or per K.

    `_ci95` are bootstrap intervals over the sources, empty where every node was one. A hop that no source has a node at
    has MAP NaN.

    Example:
        >>> scores = reconstruction([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], [[0, 1], [1, 2]], hops=(1,), node_ks=(1,))
        >>> round(scores.map_exact[1], 4), scores.num_nodes_exact, round(scores.node_precision[1], 4)
        (1.0, {1: 3}, 1.0)
    """

    map_exact: dict[int, float]
    map_within: dict[int, float]
    num_nodes_exact: dict[int, int]
    num_nodes_within: dict[int, int]
    pair_precision: dict[int, float]
    node_precision: dict[int, float]
    node_precision_capped: dict[int, float]
    similarity: str
    num_nodes: int
    num_edges: int
    num_sources: int
    sampled: bool
    seed: int
    map_exact_ci95: Intervals = field(default_factory=dict)
    map_within_ci95: Intervals = field(default_factory=dict)
    node_precision_ci95: Intervals = field(default_factory=dict)


def reconstruction(
    z: Any,
    edge_index: Any,
    *,
    hops: Iterable[int] = (1, 2, 3),
    similarity: str = "dot",
    pair_ks: Iterable[int] = (),
    node_ks: Iterable[int] = (),
    sources: Any = None,
    seed: int = 0,
) -> ReconstructionScores:
    """Ranks all other nodes of each source by the similarity of their vectors and compares with the graph.

    - ``map_exact[h]``: mean average precision with the nodes at shortest-path distance exactly h as relevant,
      ``map_within[h]`` with those at 1 ... h; tied scores are one step. Averaged over the sources that have a relevant
      node, which ``num_nodes_exact`` and ``num_nodes_within`` count.
    - ``node_precision[k]``: share of true neighbours among the k best, over the sources with an edge; divided by k also
      where a node has fewer neighbours, by min(k, degree) in ``node_precision_capped``. Equal scores: lower id first.
    - ``pair_precision[k]``: share of edges among the k best of all N (N - 1) / 2 pairs, in order of score, then of ids;
      k = number of edges gives a single number. Over all pairs, whatever the sources: O(N^2 d) time.

    The graph is undirected: a link may be listed once or in both directions, with the same numbers; repeated entries
    and self-loops count for nothing. Identical vectors get identical scores.

    Cost: O(S N (d + log N) + S E hops) for S sources, memory of a few blocks of sources, never N x N. Above 2000 nodes,
    2000 random sources are taken unless `sources` says otherwise, and the intervals tell what that costs.

    Args:
        z: (N, d) vectors; scores are taken in float64 on its device.
        edge_index: (2, E) integer node ids.
        hops: distances h.
        similarity: "dot", "cosine" (0 for a zero vector) or "neg_l2" (minus the squared Euclidean distance).
        pair_ks: cut-offs of the pair precision, at most the number of pairs.
        node_ks: cut-offs of the node precision.
        sources: None; or how many to draw; or their ids or a mask (N,).
        seed: of the draw and of the bootstrap.

    Raises:
        EmptyGraphError: no edge between two nodes.
        IndexRangeError: an edge or a source names a node without a vector.
        NonFiniteError: NaN or infinity in `z`, or a score that overflows.

    Example:
        >>> z = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> scores = reconstruction(z, path, similarity="neg_l2", hops=(1, 2), pair_ks=(3,))
        >>> scores.map_within, scores.pair_precision
        ({1: 1.0, 2: 1.0}, {3: 1.0})
    """
    choose(similarity, ("dot", "cosine", "neg_l2"), "similarity")
    rows = as_matrix(z, "z")
    low, high, _ = undirected_links(edge_index, None, len(rows), owner="z has {} rows")
    if not len(low):
        raise EmptyGraphError("the graph has no edge between two different nodes.", hint="at least one is needed")
    wanted, at_nodes, at_pairs = as_ks(hops), as_ks(node_ks), as_ks(pair_ks)
    if at_pairs and max(at_pairs) > len(rows) * (len(rows) - 1) // 2:
        raise GraphrepError(
            f"pair_ks asks for {max(at_pairs)} of {len(rows) * (len(rows) - 1) // 2} pairs.", hint="a smaller K"
        )
    chosen, sampled = _sources(sources, len(rows), seed)
    device = torch.device(getattr(z, "device", "cpu"))
    score = Similarity(rows, similarity, device)
    both = torch.from_numpy(np.stack([np.concatenate([low, high]), np.concatenate([high, low])])).to(device)
    graph = CSR.from_edge_index(both, size=(len(rows), len(rows)))
    found = _judge_sources(score, graph, chosen, wanted, at_nodes)
    means = {key: _mean(values) for key, values in found.items()}
    counts = {key: _count(values) for key, values in found.items()}
    intervals = {key: _interval(values, seed) for key, values in found.items()} if sampled else {}
    return ReconstructionScores(
        map_exact={h: means["exact", h] for h in wanted},
        map_within={h: means["within", h] for h in wanted},
        num_nodes_exact={h: counts["exact", h] for h in wanted},
        num_nodes_within={h: counts["within", h] for h in wanted},
        pair_precision=pair_precision(score, low * len(rows) + high, at_pairs, _ENTRIES),
        node_precision={k: means["node", k] for k in at_nodes},
        node_precision_capped={k: means["capped", k] for k in at_nodes},
        similarity=similarity,
        num_nodes=len(rows),
        num_edges=len(low),
        num_sources=len(chosen),
        sampled=sampled,
        seed=seed,
        map_exact_ci95={h: intervals["exact", h] for h in wanted if sampled},
        map_within_ci95={h: intervals["within", h] for h in wanted if sampled},
        node_precision_ci95={k: intervals["node", k] for k in at_nodes if sampled},
    )


def _judge_sources(
    score: Similarity, graph: CSR, sources: NDArray[np.int64], hops: tuple[int, ...], node_ks: tuple[int, ...]
) -> dict[tuple[str, int], Floats]:
    """Scores of each source: average precision by (mode, hop), precision by ("node" or "capped", k); NaN undefined."""
    parts: dict[tuple[str, int], list[Tensor]] = {
        **{(mode, h): [] for mode in ("exact", "within") for h in hops},
        **{(mode, k): [] for mode in ("node", "capped") for k in node_ks},
    }
    size = max(1, _ENTRIES // graph.num_rows)
    degree = graph.degree().to(torch.float64)
    for start in range(0, len(sources), size):
        block = torch.from_numpy(sources[start : start + size]).to(graph.device)
        distance = _distances(graph, block, max(hops, default=1))
        values, order = score.rank(block)
        near = distance.gather(1, order)  # distances, best-scored node first; the source itself last
        end = _last_of_ties(values)
        for h in hops:
            parts["exact", h].append(_average_precision(near == h, end))
            parts["within", h].append(_average_precision((near >= 1) & (near <= h), end))
        for k in node_ks:
            hit, own = (near[:, :k] == 1).sum(1).double(), degree[block]
            hit = torch.where(own > 0, hit, torch.nan)
            parts["node", k].append(hit / k)
            parts["capped", k].append(hit / own.clamp(max=k))
    return {key: torch.cat(values).cpu().numpy() for key, values in parts.items()}


def _distances(graph: CSR, block: Tensor, most: int) -> Tensor:
    """(B, N) shortest-path lengths from each node of the block, up to `most`; -1 beyond."""
    from graphrep.kernels import spmm

    column = torch.arange(len(block), device=block.device)
    found = torch.full((graph.num_rows, len(block)), -1, dtype=torch.int16, device=block.device)
    found[block, column] = 0
    for step in range(1, most + 1):
        reached = (spmm(graph, (found == step - 1).float()) > 0) & (found < 0)
        if not bool(reached.any()):
            break
        found[reached] = step
    return found.t().contiguous()


def _last_of_ties(values: Tensor) -> Tensor | None:
    """(B, N) position of the last score equal to each one, rows in descending order; None without any tie."""
    tied = values[:, 1:] == values[:, :-1]
    if not bool(tied.any()):
        return None
    position = torch.arange(values.shape[1], device=values.device)
    last = torch.where(torch.nn.functional.pad(tied, (0, 1)), values.shape[1], position)
    return last.flip(1).cummin(1).values.flip(1)


def _average_precision(relevant: Tensor, end: Tensor | None) -> Tensor:
    """(B,) average precision with tied scores as one step; NaN for a row without a relevant node."""
    hits = relevant.cumsum(1)
    if end is None:
        precision = hits / torch.arange(1, hits.shape[1] + 1, device=hits.device, dtype=torch.float64)
    else:
        precision = hits.gather(1, end) / (end + 1).double()
    return torch.where(relevant, precision, 0.0).sum(1) / hits[:, -1]  # 0 / 0 is NaN


def _sources(sources: Any, num_nodes: int, seed: int) -> tuple[NDArray[np.int64], bool]:
    """Node ids of the sources, ascending, and whether they are a part of the nodes only."""
    if sources is None:
        sources = _EXACT_NODES
    if isinstance(sources, int | np.integer):
        if sources < 1:
            raise GraphrepError(f"sources must be at least 1; got {sources}.", hint="sources=2000")
        if sources >= num_nodes:
            return np.arange(num_nodes), False
        drawn = np.random.default_rng(seed).choice(num_nodes, int(sources), replace=False)
        return np.sort(drawn), True
    given = np.sort(node_positions(sources, "sources", num_nodes))
    if not len(given):
        raise GraphrepError("sources holds no node.", hint="sources=None")
    return given, len(given) < num_nodes


def _interval(values: Floats, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean over sources."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = [float(defined[rng.integers(len(defined), size=len(defined))].mean()) for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if _count(values) else float("nan")


def _count(values: Floats) -> int:
    return int(np.count_nonzero(~np.isnan(values)))
