"""What lies along a meta-path: means of the features of the objects that it reaches (the contexts of MEOW)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from torch import Tensor, nn

from graphrep.data import HeteroGraph
from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR, reach_mean, sparse_product, spmm
from graphrep.kernels._check import check_device, check_floating
from graphrep.kernels.reach import reach_counts
from graphrep.nn._metapath_steps import factors, path_names, single_step, steps_of

__all__ = ["MetaPathContext", "metapath_contexts"]

ENTRY_BYTES = 4  # integers of a stored entry: its column and position, and those of the transpose


def metapath_contexts(path: Sequence[str]) -> list[list[str]]:
    """The paths to what lies between the two ends of a meta-path: all its proper beginnings.

    Args:
        path: names of relations from the target type back to it, as for :func:`~graphrep.nn.metapath_adjacency`.

    Returns:
        A list of L - 1 paths of 1, 2, ..., L - 1 steps.

    Raises:
        DTypeError, GraphrepError: `path` is no list of names, or an empty one.

    Source: the seven contexts of DBLP in the official code of MEOW (arXiv:2212.13847), for any path.

    Example:
        >>> metapath_contexts(["AP", "PC", "~PC", "~AP"])
        [['AP'], ['AP', 'PC'], ['AP', 'PC', '~PC']]
    """
    names = path_names(path)
    return [names[:count] for count in range(1, len(names))]


class MetaPathContext(nn.Module):
    """``out[i] = mean of x[j] over the objects j that a path leads to from i``, each once whatever the number of paths.

    Rows that reach nothing are 0. The pattern of the reach, which can have far more entries than all relations
    together, is stored where it takes at most `budget` bytes. Otherwise the path is kept in two parts, and every call
    finds the reach of each row again, uses it and forgets it, forward and backward. Both give the same means.

    Args:
        relations: {name: CSR} or a graph, as for :func:`~graphrep.nn.metapath_adjacency`; values play no part.
        path: names of relations, ``"~name"`` turned round.
        max_neighbors: at most that many objects per row, a uniform sample without replacement that is drawn once (then
            the reach of the sample is stored).
        seed: of the sample; it depends on the seed, the row and the object alone.
        budget: bytes that the stored pattern and its transpose may take: 16 per entry where int32 suffices.

    Attributes:
        path: the names.
        shape: (N, M): rows of the first type, objects of the last one.
        counts: (N,) int64 objects reached, after sampling.
        stored: whether the pattern is stored.

    Shapes:
        x: (M, D). Returns (N, D) in the dtype of x; differentiable in x to any order.

    Raises:
        UnknownNameError, ShapeError, EmptyGraphError: see :func:`~graphrep.nn.metapath_adjacency`.
        OutOfMemoryError: not even the two parts would fit.
        GraphrepError: `max_neighbors` or `budget` is out of range.

    Example:
        >>> import torch
        >>> written = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), size=(2, 3))  # 3 papers, 2 authors
        >>> coauthors = MetaPathContext({"PA": written}, ["~PA", "PA"])
        >>> coauthors(torch.tensor([[1.0], [5.0]])).tolist()
        [[3.0], [3.0]]
    """

    counts: Tensor

    def __init__(
        self,
        relations: Mapping[str, CSR] | HeteroGraph,
        path: Sequence[str],
        *,
        max_neighbors: int | None = None,
        seed: int = 0,
        budget: int = 128 << 20,
    ) -> None:
        super().__init__()
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
            raise GraphrepError(
                f"budget must be a number of bytes, 0 or more; got {budget!r}.", hint="budget=128 << 20"
            )
        self.path, self.max_neighbors, self.seed, self.budget = path_names(path), max_neighbors, seed, budget
        self._parts, counts = _parts(steps_of(relations, path), max_neighbors, seed, budget)
        self.shape = (self._parts[0].num_rows, self._parts[-1].num_cols)
        self.register_buffer("counts", counts, persistent=False)

    @property
    def stored(self) -> bool:
        """Whether the pattern of the reach is stored."""
        return len(self._parts) == 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) means of the rows of x (M, D)."""
        check_floating(x, "x")
        if x.dim() != 2 or x.shape[0] != self.shape[1]:
            raise ShapeError(
                f"x has shape {tuple(x.shape)} but the path {self.path} leads to {self.shape[1]} objects.",
                hint=f"({self.shape[1]}, D)",
            )
        check_device(self.counts.device, x=x)
        if self.stored:
            out: Tensor = spmm(self._parts[0], x, reduce="mean")
            return out
        left, right = self._parts
        return reach_mean(left, right, x, counts=self.counts)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moves the patterns along with the rest of a module (``to``, ``cuda``)."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._parts = [part.to(self.counts.device) for part in self._parts]
        return self

    def extra_repr(self) -> str:
        """The path and how its reach is kept."""
        kept = "stored" if self.stored else "streamed"
        return f"{self.path}, {self.shape[0]} x {self.shape[1]}, {int(self.counts.sum())} entries {kept}"


def _parts(steps: list[CSR], most: int | None, seed: int, budget: int) -> tuple[list[CSR], Tensor]:
    """The pattern of the reach, or two whose product it is, and the objects that each row reaches."""
    if len(steps) == 1:
        sampled = _sampled(steps[0], most, seed)
        return [sampled], sampled.degree().long()
    entries = budget / (ENTRY_BYTES * steps[0].col.element_size())
    left, right = factors(steps, counts=False, limit=entries)
    if most is not None:
        reach = sparse_product(left, right, counts=False, max_row=most, seed=seed)
        return [reach], reach.degree().long()
    counts = reach_counts(left, right)
    if int(counts.sum()) <= entries:
        return [sparse_product(left, right, counts=False)], counts
    return [left, right], counts


def _sampled(step: CSR, most: int | None, seed: int) -> CSR:
    pattern = step.with_value(None)
    if most is None:
        return pattern
    return single_step(pattern, None, most, "hash", seed)
