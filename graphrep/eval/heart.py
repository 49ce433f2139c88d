"""HeaRT's hard negatives: for each positive the pairs that heuristics take for links, generated without N x N arrays.

Source: Li et al., "Evaluating Graph Neural Networks for Link Prediction: Current Pitfalls and New Benchmarking",
NeurIPS 2023 Datasets and Benchmarks, arXiv:2306.10453.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphrep.data import Graph, _parts, check
from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.eval._heart_choice import choose_nodes
from graphrep.eval._heart_rows import RowScores
from graphrep.eval.heuristics import neighbor_sets
from graphrep.kernels._budget import ranges_within
from graphrep.kernels._check import check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels.csr import CSR
from graphrep.kernels.proximity import BLOCK_ENTRIES

__all__ = ["heart_negatives"]


def heart_negatives(
    edge_index: Any,
    pos_edges: Any,
    x: Any = None,
    k: int = 500,
    known: Any = None,
    seed: int = 0,
    *,
    num_nodes: int | None = None,
    teleport: float = 0.15,
    tolerance: float = 1e-5,
    ties: Literal["random", "hardest"] = "random",
) -> Tensor:
    """K hard negatives of its own for each positive (a, b): half keep a, the others keep b.

    Candidates for the other end are all nodes but a, b and the neighbours in `known` of the end that is kept. Three
    scores of a candidate with that end are turned into ranks: resource allocation, personalised PageRank from the end
    and, with `x`, the cosine of the features. Candidates with scores above 0 are ranked, 1 the best; of equal scores
    (compared as float32 numbers) all get the rank of the last, less the number that share the first place, plus 1, as
    the authors' program counts. A score of 0 or less gets the largest rank + 1. The candidates with the k/2 smallest
    minima of their ranks are taken; where fewer than k/2 have any score above 0, all of these and a uniform draw from
    the rest, without repeats.

    The ranks of each positive are computed from scores, never from an earlier positive's ranks; the authors' program
    does that for the cosine of an end point that occurs again, so that its files hold other negatives
    (:func:`graphrep.data.read_negatives` loads those).

    Args:
        edge_index: (2, E), or anything :meth:`Graph.coerce` takes: the links that scores are computed on (training; for
            test positives of ogbl-collab also validation). Direction, weights and self-loops play no part.
        pos_edges: (2, n) held-out links, each in one direction.
        x: (N, F) features, dense or sparse. Default: two scores instead of three (the authors use features on Cora,
            CiteSeer and PubMed alone).
        k: an even number of negatives for each positive.
        known: (2, M) links that are no negatives; default `edge_index`. For test positives give training and
            validation links; for ogbl-collab none, ``torch.empty(2, 0)``. Other positives may become negatives unless
            they are known.
        seed: of the draws; same seed, same negatives, for any number of threads.
        num_nodes: N; default what `edge_index`, `x`, or else the largest node number says.
        teleport: of PageRank.
        tolerance: of PageRank; the authors take 1e-7 for Cora and CiteSeer, 1e-5 for PubMed, collab and ddi, 5e-6 for
            ppa, 5e-5 for citation2.
        ties: of equal minima ``"random"`` takes any, as likely; ``"hardest"`` those with the smaller sum of ranks, then
            the smaller node number. The rule matters: where an end has few candidates with one of the scores, all
            others share the place behind them.

    Returns:
        (n, k, 2) int64 on CPU: ``[i, : k // 2]`` are (a, v), ``[i, k // 2 :]`` are (v, b), each half by ascending v.
        Scores are computed once for each distinct end point, block by block; beside the result some 200 MB.

    Raises:
        GraphrepError: an odd k, a positive (i, i), or fewer than k/2 candidates.
        ShapeError, IndexRangeError, DTypeError, NonFiniteError, UnknownNameError: an argument is malformed.

    Example:
        >>> path = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
        >>> heart_negatives(path, [[0], [2]], k=2, ties="hardest").tolist()
        [[[0, 3], [4, 2]]]
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2 or k % 2:
        raise GraphrepError(f"k must be an even number of at least 2; got {k!r}.", hint="k=500")
    if ties not in ("random", "hardest"):
        raise UnknownNameError(f'ties is "{ties}".', hint='one of "random", "hardest"')
    features, positives = _parts.as_features(x), _pairs(pos_edges, "pos_edges")
    kept = None if known is None else _pairs(known, "known")
    csr = _graph(edge_index, features, (positives, kept), num_nodes)
    for name, pairs in (("pos_edges", positives), ("known", kept)):
        if pairs is not None:
            check_range(pairs, csr.num_rows, name)
    _check_positives(positives)
    barred = csr if kept is None else neighbor_sets(Graph(kept, num_nodes=csr.num_rows))
    scores = RowScores(csr, features, teleport=teleport, tolerance=tolerance)
    half = int(k) // 2
    partner = _partners(scores, barred, positives, half, check_seed(seed), ties == "random")
    out = torch.empty(positives.shape[1], 2 * half, 2, dtype=torch.int64)
    first, second = positives
    out[:, :half, 0], out[:, :half, 1] = first[:, None], partner[: len(first)]
    out[:, half:, 0], out[:, half:, 1] = partner[len(first) :], second[:, None]
    return out


def _partners(scores: RowScores, barred: CSR, positives: Tensor, half: int, seed: int, random: bool) -> Tensor:
    """(2 n, half) other ends of the negatives: first those that keep the first end of a positive."""
    kept, left = positives.reshape(-1), positives.flip(0).reshape(-1)
    ends, place = torch.unique(kept, return_inverse=True)
    order = torch.argsort(place, stable=True)  # jobs by the end that is kept, whose scores are shared
    pointer = torch.zeros(len(ends) + 1, dtype=torch.int64)
    pointer[1:] = torch.bincount(place, minlength=len(ends)).cumsum(0)
    out = torch.empty(len(kept), half, dtype=torch.int64)
    for a, b in ranges_within(scores.entries(ends), BLOCK_ENTRIES):
        jobs = order[int(pointer[a]) : int(pointer[b])]
        ranked = scores.ranked(ends[a:b], barred)
        found = choose_nodes(ranked, barred, ends[a:b], place[jobs] - a, left[jobs], jobs, half, seed, random)
        short = found[:, 0] < 0
        if bool(short.any()):
            node = int(kept[jobs[short][0]])
            raise GraphrepError(
                f"Node {node} has fewer than {half} candidates among {scores.num_nodes} nodes: all but its neighbours.",
                hint="a smaller k",
            )
        out[jobs] = found
    return out


def _graph(edge_index: Any, x: Tensor | None, pairs: tuple[Tensor | None, ...], num_nodes: int | None) -> CSR:
    """The graph as sets of neighbours, on CPU, with a row for every node that is named anywhere."""
    graph = Graph.coerce(edge_index)
    if num_nodes is None and not isinstance(edge_index, Graph):
        largest = [int(part.max()) + 1 for part in pairs if part is not None and part.numel()]
        num_nodes = len(x) if x is not None else max([graph.num_nodes, *largest])
    count = graph.num_nodes if num_nodes is None else num_nodes
    if x is not None and len(x) != count:
        raise ShapeError(f"x has {len(x)} rows, but the graph has {count} nodes.", hint=f"x ({count}, F)")
    if graph.num_nodes != count or graph.device.type != "cpu":
        graph = Graph(graph.edge_index.cpu(), num_nodes=count)
    return neighbor_sets(graph)


def _pairs(value: Any, name: str) -> Tensor:
    with check.about(name):
        return _parts.as_edge_index(value).cpu()


def _check_positives(positives: Tensor) -> None:
    same = positives[0] == positives[1]
    if bool(same.any()):
        at = int(same.nonzero()[0])
        raise GraphrepError(
            f"Positive {at} joins node {int(positives[0, at])} to itself.",
            hint="pos_edges[:, pos_edges[0] != pos_edges[1]]",
        )
