"""Heuristics of link prediction, the baselines that a learned method has to beat: scores of pairs from the graph alone.

All are of the undirected graph without self-loops, a link counted once whatever its weight, and symmetric in a pair.
Whether the pair itself is a link plays no part in those that go by common neighbours. None needs an N x N array, nor a
dense row per pair.

Source: Liben-Nowell, Kleinberg, "The Link-Prediction Problem for Social Networks", JASIST 58(7), 2007.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphrep.data import Graph, _parts, check
from graphrep.errors import UnknownNameError
from graphrep.kernels import CSR, common_neighbor_pool
from graphrep.kernels._budget import ranges_within
from graphrep.kernels._check import check_device, check_range
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.proximity import BLOCK_ENTRIES, katz_scores, pagerank_entries, pagerank_rows

__all__ = [
    "HEURISTICS",
    "Heuristic",
    "adamic_adar",
    "common_neighbor_count",
    "heuristic_scores",
    "jaccard",
    "katz",
    "neighbor_sets",
    "pagerank_proximity",
    "preferential_attachment",
    "resource_allocation",
]


def common_neighbor_count(graph: Any, pairs: Any) -> Tensor:
    """Number of common neighbours, ``|N(i) & N(j)|``.

    Args:
        graph: a Graph, or anything :meth:`Graph.coerce` takes, such as a (2, E) tensor: what is known, that is
            the training links alone.
        pairs: (2, P) node numbers.

    Returns:
        (P,) float64; costs per pair the shorter of the two rows of neighbours.

    Raises:
        ShapeError, DTypeError, IndexRangeError: no pairs of nodes of the graph.

    Example:
        >>> square = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> common_neighbor_count(square, [[0, 0], [2, 1]]).tolist()
        [2.0, 0.0]
    """
    return _pooled(neighbor_sets(graph), pairs, torch.ones_like)


def jaccard(graph: Any, pairs: Any) -> Tensor:
    """Share of the neighbours that are common, ``|N(i) & N(j)| / |N(i) | N(j)|``; 0 where neither has any.

    Args, Returns, Raises: as :func:`common_neighbor_count`.

    Example:
        >>> jaccard(torch.tensor([[0, 1, 2, 2], [1, 2, 3, 4]]), [[0, 1], [2, 3]]).tolist()
        [0.3333333333333333, 0.5]
    """
    csr = neighbor_sets(graph)
    ends = _as_pairs(csr, pairs)
    common = _pooled(csr, ends, torch.ones_like)
    return common / (csr.degree().double()[ends].sum(0) - common).clamp(min=1)


def adamic_adar(graph: Any, pairs: Any) -> Tensor:
    """Common neighbours, rare ones weighing more: ``sum of 1 / log(degree(w))`` over w in N(i) & N(j).

    A node of degree 1 has weight 0: only a pair (i, i) can have it as a common neighbour.

    Args, Returns, Raises: as :func:`common_neighbor_count`.

    Source: Adamic, Adar, "Friends and neighbors on the Web", Social Networks 25(3), 2003.

    Example:
        >>> square = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> round(float(adamic_adar(square, [[0], [2]])), 4)  # 2 / log 2
        2.8854
    """
    return _pooled(neighbor_sets(graph), pairs, lambda degree: torch.where(degree > 1, 1 / degree.log(), 0))


def resource_allocation(graph: Any, pairs: Any) -> Tensor:
    """Common neighbours, each with the share it could give: ``sum of 1 / degree(w)`` over w in N(i) & N(j).

    Args, Returns, Raises: as :func:`common_neighbor_count`.

    Source: Zhou, Lü, Zhang, "Predicting missing links via local information", European Physical Journal B 71, 2009.

    Example:
        >>> resource_allocation(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), [[0], [2]]).tolist()
        [1.0]
    """
    return _pooled(neighbor_sets(graph), pairs, allocation_weights)


def preferential_attachment(graph: Any, pairs: Any) -> Tensor:
    """Product of the degrees, ``degree(i) * degree(j)``.

    Args, Returns, Raises: as :func:`common_neighbor_count`.

    Source: Barabasi, Albert, "Emergence of Scaling in Random Networks", Science 286, 1999.

    Example:
        >>> preferential_attachment(torch.tensor([[0, 0, 0], [1, 2, 3]]), [[0, 1], [3, 2]]).tolist()
        [3.0, 1.0]
    """
    csr = neighbor_sets(graph)
    return csr.degree().double()[_as_pairs(csr, pairs)].prod(0)


def pagerank_proximity(graph: Any, pairs: Any, *, teleport: float = 0.15, tolerance: float = 1e-6) -> Tensor:
    """Personalised PageRank of each end for the other, ``p_i(j) + p_j(i)``.

    Args:
        graph: as in :func:`common_neighbor_count`.
        pairs: (2, P) node numbers.
        teleport: probability to stop before each step.
        tolerance: p_i(j) is at most this times degree(j) below its exact value.

    Returns:
        (P,) float64; one row of PageRank per distinct end point, each of at most ``1 / (teleport * tolerance)`` steps,
        in blocks of rows of 64 MiB.

    Raises:
        GraphrepError: a teleport or tolerance out of range; else as :func:`common_neighbor_count`.

    Source: Liben-Nowell and Kleinberg (2007); forward push of Andersen, Chung, Lang, FOCS 2006.

    Example:
        >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
        >>> near, far = pagerank_proximity(path, [[0, 0], [1, 3]]).tolist()
        >>> near > far > 0
        True
    """
    csr = neighbor_sets(graph)
    first, second = _as_pairs(csr, pairs)
    starts, place = torch.unique(torch.cat([first, second]), return_inverse=True)
    ends = torch.cat([second, first])
    order = torch.argsort(place, stable=True)
    pointer = torch.zeros(len(starts) + 1, dtype=torch.int64, device=csr.device)
    pointer[1:] = torch.bincount(place, minlength=len(starts)).cumsum(0)
    out = torch.zeros(len(ends), dtype=torch.float64, device=csr.device)
    most = torch.full((len(starts),), pagerank_entries(csr.num_rows, teleport, tolerance), dtype=torch.int64)
    for a, b in ranges_within(most, BLOCK_ENTRIES):
        rows = pagerank_rows(csr, starts[a:b], teleport=teleport, tolerance=tolerance)
        asked = order[int(pointer[a]) : int(pointer[b])]
        out[asked] = _entries(rows, place[asked] - a, ends[asked])
    return out[: len(first)] + out[len(first) :]


def katz(graph: Any, pairs: Any, *, beta: float = 0.005, hops: int = 3) -> Tensor:
    """Katz's index up to a number of hops: ``sum over l = 1..hops of beta^l * walks of length l between i and j``.

    Args:
        graph: as in :func:`common_neighbor_count`.
        pairs: (2, P) node numbers.
        beta: weight of one more step.
        hops: the longest walks that count.

    Returns:
        (P,) float64; per distinct start, the end of smaller degree, the entries within `hops` - 1 steps.

    Raises:
        GraphrepError: a beta or number of hops out of range; else as :func:`common_neighbor_count`.

    Source: Katz, "A New Status Index Derived from Sociometric Analysis", Psychometrika 18(1), 1953.

    Example:
        >>> [round(s, 6) for s in katz(torch.tensor([[0, 1, 2], [1, 2, 3]]), [[0, 0], [2, 3]], beta=0.1).tolist()]
        [0.01, 0.001]
    """
    csr = neighbor_sets(graph)
    ends = _as_pairs(csr, pairs).sort(dim=0).values
    degree = csr.degree()[ends]
    # A rule of the pair alone, so that a score does not depend on the order of its ends or on what else is asked.
    turned = torch.where(degree[0] <= degree[1], ends, ends.flip(0))
    return katz_scores(csr, turned, beta=beta, hops=hops)


@dataclass(frozen=True)
class Heuristic:
    """A heuristic by name.

    Attributes:
        name: on the command line.
        title: for people.
        score: ``score(graph, pairs) -> (P,)``, larger for what is more likely a link.
        looks_at: what of the graph it looks at.
    """

    name: str
    title: str
    score: Callable[..., Tensor]
    looks_at: str


HEURISTICS: dict[str, Heuristic] = {
    found.name: found
    for found in (
        Heuristic("common-neighbors", "common neighbours", common_neighbor_count, "two steps"),
        Heuristic("jaccard", "Jaccard", jaccard, "two steps"),
        Heuristic("adamic-adar", "Adamic-Adar", adamic_adar, "two steps"),
        Heuristic("resource-allocation", "resource allocation", resource_allocation, "two steps"),
        Heuristic("preferential-attachment", "preferential attachment", preferential_attachment, "degrees"),
        Heuristic("pagerank", "personalised PageRank", pagerank_proximity, "walks"),
        Heuristic("katz", "Katz", katz, "walks of at most three steps"),
    )
}


def heuristic_scores(graph: Any, pairs: Any, name: str, **settings: Any) -> Tensor:
    """Scores of pairs by the heuristic of that name, one of ``HEURISTICS``.

    Args:
        graph: as in :func:`common_neighbor_count`.
        pairs: (2, P) node numbers.
        name: ``common-neighbors``, ``jaccard``, ``adamic-adar``, ``resource-allocation``, ``preferential-attachment``,
            ``pagerank`` or ``katz``.
        settings: of that function.

    Raises:
        UnknownNameError: no such heuristic; else as :func:`common_neighbor_count`.

    Example:
        >>> heuristic_scores(torch.tensor([[0, 1], [1, 2]]), [[0], [2]], "katz", beta=0.5).tolist()
        [0.25]
    """
    if name not in HEURISTICS:
        raise UnknownNameError(f'Unknown heuristic "{name}".', hint=f"one of {', '.join(HEURISTICS)}")
    return HEURISTICS[name].score(graph, pairs, **settings)


def neighbor_sets(graph: Any) -> CSR:
    """The undirected graph as sets: row i the distinct neighbours of i other than itself, ascending."""
    found = Graph.coerce(graph)
    source, destination = found.edge_index
    proper = source != destination
    if bool(proper.all()):
        return sorted_pattern(found.csr("both"))
    kept = found.edge_index[:, proper]
    return sorted_pattern(CSR.from_edge_index(torch.cat([kept, kept.flip(0)], dim=1), size=(found.num_nodes,) * 2))


def allocation_weights(degree: Tensor) -> Tensor:
    """``1 / degree``, 0 for nodes without neighbours."""
    return torch.where(degree > 0, 1 / degree, 0)


def _pooled(csr: CSR, pairs: Any, weights: Callable[[Tensor], Tensor]) -> Tensor:
    """(P,) sums of weights of the common neighbours, which depend on their degrees."""
    return common_neighbor_pool(csr, _as_pairs(csr, pairs), weights(csr.degree().double())[:, None])[:, 0]


def _as_pairs(csr: CSR, pairs: Any) -> Tensor:
    with check.about("pairs"):
        found = _parts.as_edge_index(pairs)
    check_device(csr.device, pairs=found)
    check_range(found, csr.num_rows, "pairs")
    return found


def _entries(rows: CSR, row: Tensor, column: Tensor) -> Tensor:
    """Values of a matrix with ascending columns at some places, 0 where nothing is stored."""
    assert rows.value is not None  # rows of PageRank have values
    if not rows.nnz:
        return torch.zeros(len(row), dtype=torch.float64, device=row.device)
    keys = rows.row().long() * rows.num_cols + rows.col
    wanted = row * rows.num_cols + column
    at = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[at] == wanted, rows.value[at], 0)
