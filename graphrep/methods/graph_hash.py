"""GraphHash: embedding tables of users and items that shrink by sharing a row inside each cluster of the graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphrep.data.check import grouped
from graphrep.data.interactions import Interactions
from graphrep.errors import EmptyGraphError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, bipartite_louvain, bipartite_modularity
from graphrep.kernels._check import check_edge_index, check_range
from graphrep.methods._hashing import frequency_rows, lsh_rows, universal_rows
from graphrep.methods.base import Estimator

__all__ = ["METHODS", "GraphHash"]

METHODS = ("graph", "double-graph", "modulo", "frequency", "double", "lsh")
_OF_CLUSTERS = ("graph", "double-graph")
_RESOLUTION = 200.0
_SIDES = ("user", "item")
_HIGHEST = 2.0**40
_STEP = 16.0  # between resolutions until the wanted one lies between two
_ENOUGH = 0.98  # of the rows asked for
_TRIES = 12


class GraphHash(Estimator):
    """Sends users and items to the rows of smaller tables, by clusters of the bipartite graph or by plain hashes.

    - ``"graph"``: a row for each community of the largest bipartite modularity that has users (items). Isolated ids
      share one spare row per side, the last, which is also that of later ids without known neighbours.
    - ``"double-graph"``: the sum of that row and one by a universal hash into as many further rows, so that members of
      a cluster differ.
    - ``"modulo"``: id mod rows; ``"double"``: the sum of two rows by universal hashes ((a x + b) mod p) mod rows;
      ``"frequency"``: half of the rows are the most frequent ids' own, the other ids share the rest by modulo;
      ``"lsh"``: signs of random projections of the adjacency rows, isolated ids in a spare row.

    Args:
        method: see above.
        resolution: gamma of the communities; more give more rows. Default 200 without `target_size`, as published for
            Gowalla, Yelp2018 and Amazon-Book.
        target_size: rows of both tables together, at most: a fraction of users and items, or a count. Communities are
            searched for by resolution; each other method gives both sides the same share. All but the communities need
            it.
        seed: of the search and of the hashes.

    Attributes:
        user_map_, item_map_: (U,) and (I,) int64 rows, (., 2) for the methods with two hashes.
        num_rows_: of the users' and of the items' table.
        resolution_: gamma that was used; None for plain hashes.
        modularity_: of the communities at that gamma; None for plain hashes.

    Raises:
        UnknownNameError: another `method`.
        EmptyGraphError: no interaction, where the method looks at them.
        GraphrepError: both or none of `resolution` and `target_size` where one is needed, one out of range, or fewer
            rows than the graph has components (raised by `fit`).

    Source: Wu et al., "GraphHash: Graph Clustering Enables Parameter Efficiency in Recommender Systems", WWW
    2025, arXiv:2412.17245.

    Example:
        >>> from graphrep.data import Interactions
        >>> seen = Interactions([0, 0, 1, 1, 2, 3, 3], [0, 1, 0, 1, 2, 2, 3], num_users=5)
        >>> users, items = GraphHash(resolution=1.0).fit(seen)
        >>> users.tolist(), items.tolist()
        ([0, 0, 1, 1, 2], [0, 0, 1, 1])
    """

    def __init__(
        self,
        *,
        method: str = "graph",
        resolution: float | None = None,
        target_size: float | int | None = None,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.resolution = resolution
        self.target_size = target_size
        self.seed = seed

    user_map_: Tensor
    item_map_: Tensor
    num_rows_: tuple[int, int]
    resolution_: float | None
    modularity_: float | None
    _known: _Known

    def fit(self, interactions: Any, sizes: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """The rows of users and items.

        Args:
            interactions: anything :meth:`Interactions.coerce` takes, of which the train part counts where there is one;
                or (2, E) integers, users above items.
            sizes: (U, I), for such a tensor; default the largest ids + 1.

        Returns:
            ``user_map_`` and ``item_map_``.
        """
        csr = _links(interactions, sizes)
        self._check()
        if not csr.nnz and self.method in (*_OF_CLUSTERS, "lsh"):
            raise EmptyGraphError(f'There is no interaction to hash by with "{self.method}".', hint='method="modulo"')
        self.resolution_ = self.modularity_ = None
        if self.method in _OF_CLUSTERS:
            self._by_clusters(csr)
        else:
            self._by_ids(csr)
        return self.user_map_, self.item_map_

    def assign(self, edge_index: Tensor, num_new: int | None = None, *, side: str = "user") -> Tensor:
        """Rows for ids that were not there at `fit`, by their interactions with ids that were.

        Communities: the row of the community that most of an id's neighbours are in (each interaction counts; of equal
        ones the first row), among those with a row on its side, else the spare row. ``"lsh"`` looks at the neighbours
        too. Other hashes take new ids as numbered on from the last known one.

        Args:
            edge_index: (2, E) new ids 0..n-1 above known ids of the other side.
            num_new: n; default the largest new id + 1.
            side: ``"user"`` or ``"item"``, which the new ids are.

        Returns:
            (n,), or (n, 2) for the methods with two hashes.

        Raises:
            NotFittedError: before `fit`.
            UnknownNameError: another `side`.
            ShapeError, DTypeError, IndexRangeError: malformed `edge_index`, or an id that is not known.

        Example:
            >>> hashes = GraphHash(resolution=1.0)
            >>> _ = hashes.fit(torch.tensor([[0, 0, 1, 1, 2, 3, 3], [0, 1, 0, 1, 2, 2, 3]]))
            >>> hashes.assign(torch.tensor([[0, 0, 0], [2, 3, 0]]), 2).tolist()
            [1, 2]
        """
        known: _Known = self._fitted("_known")
        if side not in _SIDES:
            raise UnknownNameError(f'side is "{side}".', hint='"user" or "item"')
        check_edge_index(edge_index)
        own, other = _SIDES.index(side), 1 - _SIDES.index(side)
        new, neighbor = edge_index.long().cpu()
        count = num_new if num_new is not None else int(new.max()) + 1 if new.numel() else 0
        check_range(new, count, "edge_index[0] (new ids)")
        check_range(neighbor, known.sizes[other], f"edge_index[1] (known {_SIDES[other]}s)")
        csr = CSR.from_edge_index(torch.stack([neighbor, new]), size=(known.sizes[other], count))
        later = known.sizes[own] + torch.arange(count)
        if self.method not in _OF_CLUSTERS:
            return self._rows(csr, later, known.degrees[own], own)
        spare = int(known.across[own].max()) + 1
        found = _majority(csr, known.across[own][known.labels[other]], spare)
        return found if self.method == "graph" else self._doubled(found, later, own)

    def _check(self) -> None:
        if self.method not in METHODS:
            raise UnknownNameError(f'method is "{self.method}".', hint=", ".join(METHODS))
        clusters = self.method in _OF_CLUSTERS
        if self.resolution is not None and (self.target_size is not None or not clusters):
            why = "and target_size are two ways to say the same" if clusters else f'means nothing to "{self.method}"'
            raise GraphrepError(f"resolution {why}.", hint="leave out resolution")
        if self.target_size is None and not clusters:
            raise GraphrepError(f'"{self.method}" needs a number of rows.', hint="target_size=0.25")
        if self.resolution is not None and not (math.isfinite(self.resolution) and self.resolution >= 0):
            raise GraphrepError(f"resolution is {self.resolution}.", hint="a number of at least 0, such as 200")

    def _target(self, sizes: tuple[int, int]) -> int:
        """Rows of both tables that were asked for."""
        size, total = self.target_size, sum(sizes)
        whole = isinstance(size, int) and not isinstance(size, bool)
        fraction = isinstance(size, float) and 0 < size <= 1
        if not (whole or fraction):
            raise GraphrepError(f"target_size is {size!r}.", hint="a fraction such as 0.25, or a count of rows")
        target = int(size) if whole else math.floor(size * total)  # type: ignore[arg-type, operator]
        if not 4 <= target <= total:
            raise GraphrepError(
                f"target_size={size} means {grouped(target)} rows for {grouped(total)} users and items.",
                hint=f"between 4 and {total} rows",
            )
        return target

    def _by_clusters(self, csr: CSR) -> None:
        found = self._communities(csr)
        labels = (found.rows, found.cols)
        self.resolution_ = found.resolution
        self.modularity_ = bipartite_modularity(csr, *labels, resolution=found.resolution)
        sizes, degrees = (csr.num_rows, csr.num_cols), _degrees(csr)
        across, maps = [], []
        for label, degree in zip(labels, degrees, strict=True):
            row, spare = _compact(label, degree > 0, found.count)
            across.append(row)
            maps.append(torch.where(degree > 0, row[label], spare))
        self._known = _Known(sizes, degrees, labels, (across[0], across[1]))
        self.user_map_, self.item_map_ = maps
        spares = [int(row.max()) + 1 for row in across]
        self.num_rows_ = (spares[0] + 1, spares[1] + 1)
        if self.method == "double-graph":
            self.user_map_, self.item_map_ = (self._doubled(m, torch.arange(len(m)), s) for s, m in enumerate(maps))
            self.num_rows_ = (2 * self.num_rows_[0], 2 * self.num_rows_[1])

    def _communities(self, csr: CSR) -> _Clusters:
        run = _runner(csr, self.seed, 2 if self.method == "double-graph" else 1)
        if self.target_size is None:
            return run(_RESOLUTION if self.resolution is None else self.resolution)
        return _search(run, self._target((csr.num_rows, csr.num_cols)))

    def _doubled(self, rows: Tensor, ids: Tensor, side: int) -> Tensor:
        """(n, 2): the clusters' rows, and one by a universal hash into as many rows behind them."""
        half = int(self._known.across[side].max()) + 2
        return torch.stack([rows, half + universal_rows(ids, half, self.seed, side)], dim=1)

    def _by_ids(self, csr: CSR) -> None:
        sizes, degrees = (csr.num_rows, csr.num_cols), _degrees(csr)
        target = self._target(sizes)
        users = min(max(2, target * sizes[0] // sum(sizes)), target - 2)
        self.num_rows_ = (users, target - users)
        self._known = _Known(sizes, degrees)
        self.user_map_ = self._rows(csr, torch.arange(sizes[0]), degrees[0], 0)
        self.item_map_ = self._rows(csr.t(), torch.arange(sizes[1]), degrees[1], 1)

    def _rows(self, csr: CSR, ids: Tensor, degree: Tensor, side: int) -> Tensor:
        """Rows of ids by a plain hash; `csr` (n, other side) has their neighbours, `degree` is of all known ids."""
        rows = self.num_rows_[side]
        if self.method == "modulo":
            return ids % rows
        if self.method == "frequency":
            return frequency_rows(ids, degree, rows)
        if self.method == "double":
            return torch.stack([universal_rows(ids, rows, self.seed, 2 * side + k) for k in (0, 1)], dim=1)
        return torch.where(csr.degree() > 0, lsh_rows(csr, rows - 1, self.seed + side), rows - 1)


@dataclass(frozen=True)
class _Known:
    """What `fit` keeps for ids that come later.

    Attributes:
        sizes: (U, I).
        degrees: numbers of interactions, (U,) and (I,).
        labels: communities of users and items, in one numbering.
        across: for each side (C,) the row of each community, -1 where it has none there.
    """

    sizes: tuple[int, int]
    degrees: tuple[Tensor, Tensor]
    labels: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
    across: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))


@dataclass(frozen=True)
class _Clusters:
    """Communities at a resolution; `size` is the rows that all tables need, spare rows included."""

    rows: Tensor
    cols: Tensor
    resolution: float
    size: int

    @property
    def count(self) -> int:
        return int(torch.cat([self.rows, self.cols]).max()) + 1


def _links(interactions: Any, sizes: tuple[int, int] | None) -> CSR:
    """(U, I) pairs of the train part, each once, in the memory of the host."""
    if isinstance(interactions, Tensor) and interactions.layout == torch.strided:
        check_edge_index(interactions)
        num_users, num_items = sizes if sizes is not None else (None, None)
        interactions = Interactions(*interactions, num_users=num_users, num_items=num_items)
    elif sizes is not None:
        raise GraphrepError("sizes belong to a tensor of pairs; interactions have their own.", hint="leave out sizes")
    seen = Interactions.coerce(interactions)
    if not seen.num_users or not seen.num_items:
        raise ShapeError(f"There are {seen.num_users} users and {seen.num_items} items.", hint="at least one of each")
    return seen.csr("train" if seen.part is not None else None, binarize=True).to("cpu")


def _degrees(csr: CSR) -> tuple[Tensor, Tensor]:
    return csr.degree().long(), torch.bincount(csr.col.long(), minlength=csr.num_cols)


def _compact(label: Tensor, linked: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(C,) rows 0..K-1 of the communities that `linked` ids are in, -1 for others; and the spare row K."""
    row = torch.full((count,), -1)
    present = torch.unique(label[linked])
    row[present] = torch.arange(len(present))
    return row, torch.tensor(len(present))


def _runner(csr: CSR, seed: int, tables: int) -> Callable[[float], _Clusters]:
    linked = [degree > 0 for degree in _degrees(csr)]

    def run(resolution: float) -> _Clusters:
        rows, cols = bipartite_louvain(csr, resolution=resolution, seed=seed)
        used = sum(torch.unique(label[on]).numel() + 1 for label, on in zip((rows, cols), linked, strict=True))
        return _Clusters(rows, cols, resolution, tables * used)

    return run


def _search(run: Callable[[float], _Clusters], target: int) -> _Clusters:
    """The largest tables of at most `target` rows that a few resolutions give; rows grow with it, up to chance.

    Between a resolution with too few rows and one with too many, the next is where a power law through both meets the
    target, kept off the ends.
    """
    best, over = run(1.0), None
    while best.size > target:
        over = best
        if best.resolution == 0.0:
            raise GraphrepError(
                f"The parts of the graph need {grouped(best.size)} rows; target_size allows {grouped(target)}.",
                hint=f'target_size={best.size} or more, or method="frequency"',
            )
        lower = best.resolution / _STEP
        best = run(lower if lower > 1 / _HIGHEST else 0.0)
    while over is None and best.size < _ENOUGH * target and best.resolution < _HIGHEST:
        found = run(best.resolution * _STEP)
        best, over = (found, None) if found.size <= target else (best, found)
    for _ in range(_TRIES):
        if over is None or best.size >= _ENOUGH * target:
            break
        low, high = (math.log(max(c.resolution, 1 / _HIGHEST)) for c in (best, over))
        part = math.log(target / best.size) / math.log(over.size / best.size)
        found = run(math.exp(low + min(0.9, max(0.1, part)) * (high - low)))
        best, over = (found, over) if found.size <= target else (best, found)
    return best


def _majority(csr: CSR, row: Tensor, spare: int) -> Tensor:
    """(n,) the row that most neighbours of each id have, the first of equal ones; `spare` where none has one."""
    found = row[csr.col.long()]
    voting = found >= 0
    pair, votes = torch.unique(csr.row().long()[voting] * (spare + 1) + found[voting], return_counts=True)
    order = votes.argsort(stable=True, descending=True)
    ids = pair[order] // (spare + 1)
    by_id = order[ids.argsort(stable=True)]  # within an id: most votes first, of equal ones the first row
    ids = pair[by_id] // (spare + 1)
    first = torch.ones_like(ids, dtype=torch.bool)
    first[1:] = ids[1:] != ids[:-1]
    best = torch.full((csr.num_rows,), spare)
    best[ids[first]] = pair[by_id][first] % (spare + 1)
    return best
