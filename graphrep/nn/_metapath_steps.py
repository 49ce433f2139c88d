"""The matrices of a meta-path, and the order in which they are multiplied."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from graphrep.data import HeteroGraph
from graphrep.errors import DTypeError, EmptyGraphError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, sparse_product
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.segment.reduce import reduce_rows
from graphrep.kernels.sparse_product import best_rows, check_count, check_matrix, choice_of
from graphrep.registry import suggest

__all__ = ["entries_at_most", "factors", "path_names", "relation_table", "rows_of", "single_step", "steps_of"]


def relation_table(relations: Any) -> Mapping[str, CSR]:
    """{name: CSR} as it is; of a graph its :meth:`~graphrep.HeteroGraph.relations`."""
    return relations if isinstance(relations, Mapping) else HeteroGraph.coerce(relations).relations()


def path_names(path: Any) -> list[str]:
    """A path as a list of names; raises unless it is one and not empty."""
    if isinstance(path, str) or not isinstance(path, Sequence) or not all(isinstance(name, str) for name in path):
        raise DTypeError(
            f"a meta-path is a list of relation names; got {path!r}.", hint='["PA", "~PA"]; parse_metapath reads "PAP"'
        )
    if not path:
        raise GraphrepError("the meta-path has no steps.", hint='["PA", "~PA"]')
    return list(path)


def steps_of(relations: Any, path: Any) -> list[CSR]:
    """The matrix of each step, columns ascending and listed once; float64 values where it has any, or has duplicates.

    Raises:
        UnknownNameError: a name that is no relation.
        ShapeError: consecutive steps do not fit.
        EmptyGraphError: a relation without entries.
    """
    table, names = relation_table(relations), path_names(path)
    steps = [_step(table, name, place) for place, name in enumerate(names, start=1)]
    for place, (left, right) in enumerate(itertools.pairwise(steps), start=1):
        if left.num_cols != right.num_rows:
            other = names[place].removeprefix("~") if names[place].startswith("~") else f"~{names[place]}"
            raise ShapeError(
                f'steps {place} and {place + 1} of the meta-path {names} do not fit: "{names[place - 1]}" has '
                f'{left.num_cols} columns and "{names[place]}" {right.num_rows} rows.',
                hint=f'"{other}"'
                if left.num_cols == right.num_cols
                else "each step starts at the type where the last ended",
            )
    return [_once(step) for step in steps]


def _step(table: Mapping[str, CSR], name: str, place: int) -> CSR:
    plain = name.removeprefix("~")
    matrix = table.get(name, table.get(plain))
    if matrix is None:
        known = ", ".join(f'"{key}"' for key in table) or "none is given"
        raise UnknownNameError(
            f'step {place} of the meta-path is "{name}", but there is no relation "{plain}".{suggest(plain, table)}',
            hint=f"relations: {known}; a ~ in front turns one round",
        )
    check_matrix(matrix, f'relation "{plain}"')
    if not matrix.nnz:
        raise EmptyGraphError(f'relation "{plain}" of the meta-path has no entries.', hint="another path")
    return matrix if name in table else matrix.t()


def _once(matrix: CSR) -> CSR:
    """Each entry once; copies count as separate edges."""
    pattern = sorted_pattern(matrix)
    if matrix.value is None and pattern.nnz == matrix.nnz:
        return pattern
    same = torch.arange(matrix.num_cols, dtype=torch.int64, device=matrix.device).expand(2, -1)
    identity = CSR.from_edge_index(same, size=(matrix.num_cols, matrix.num_cols))
    return sparse_product(matrix, identity, dtype=torch.float64)


def single_step(step: CSR, dtype: torch.dtype | None, most: int | None, ties: str, seed: int) -> CSR:
    """A path of one step; `dtype` None: its pattern. At most `most` entries in each row."""
    value = torch.ones(step.nnz, dtype=torch.float64, device=step.device) if step.value is None else step.value
    value = torch.ones_like(value) if dtype is None else value.to(dtype)
    csr = step.with_value(value)
    if most is not None:
        check_count(most, "max_neighbors")
        csr = rows_of(csr, best_rows(csr, value, most, choice_of(ties, seed, step.device)))
    return csr.with_value(None) if dtype is None else csr


def rows_of(csr: CSR, kept: Tensor) -> CSR:
    """The matrix of the entries at `kept`, ascending positions."""
    pointer = torch.searchsorted(kept, csr.rowptr.long()).to(csr.rowptr.dtype)
    assert csr.value is not None  # given by the callers
    return CSR(pointer, csr.col[kept], csr.value[kept], num_cols=csr.num_cols)


def factors(steps: Sequence[CSR], *, counts: bool, limit: float | None = None) -> tuple[CSR, CSR]:
    """Two matrices whose product is that of the (two or more) steps.

    The second half of a path that goes back the way it came is the first one turned. Other paths are cut where the
    last product, or with `limit` the whole, is estimated to take the fewest terms.

    Args:
        steps: matrices that fit each other.
        counts: with values, or patterns alone.
        limit: cut where both factors are estimated to have at most that many entries, if there is such a place, and
            among these where their product takes the fewest terms.
    """
    plan = _Plan(steps, counts)
    middle = len(steps) // 2
    if limit is None and _returns(steps):
        half = plan.product(0, middle)
        return half, half.t()
    cut = plan.cut(0, len(steps)) if limit is None else plan.cut_within(limit)
    return plan.product(0, cut), plan.product(cut, len(steps))


def _returns(steps: Sequence[CSR]) -> bool:
    """Whether the second half is the first one turned."""
    count = len(steps)
    return count % 2 == 0 and all(_same(steps[i].t(), steps[count - 1 - i]) for i in range(count // 2))


def _same(a: CSR, b: CSR) -> bool:
    if a.shape != b.shape or a.nnz != b.nnz or not torch.equal(a.rowptr, b.rowptr) or not torch.equal(a.col, b.col):
        return False
    if a.value is None or b.value is None:
        return all(value is None or bool((value == 1).all()) for value in (a.value, b.value))
    return torch.equal(a.value, b.value)


class _Plan:
    """Which products of consecutive steps to form, by upper bounds of the entries of every row and column."""

    def __init__(self, steps: Sequence[CSR], counts: bool) -> None:
        self.steps = [step if counts else step.with_value(None) for step in steps]
        self.counts = counts
        self.rows, self.columns, self.cost = cache(self._rows), cache(self._columns), cache(self._cost)

    def _rows(self, first: int, last: int) -> Tensor:
        """Entries of each row of the product of steps first..last-1, at most."""
        step = self.steps[first]
        if last - first == 1:
            return step.degree().double()
        return _row_sums(step, self.rows(first + 1, last)).clamp(max=self.steps[last - 1].num_cols)

    def _columns(self, first: int, last: int) -> Tensor:
        step = self.steps[last - 1].pattern_t()
        if last - first == 1:
            return step.degree().double()
        return _row_sums(step, self.columns(first, last - 1)).clamp(max=self.steps[first].num_rows)

    def terms(self, first: int, cut: int, last: int) -> float:
        """Terms of the product of the parts before and behind `cut`."""
        return float(self.columns(first, cut) @ self.rows(cut, last))

    def _cost(self, first: int, last: int) -> float:
        if last - first == 1:
            return 0.0
        return min(self._whole(first, cut, last) for cut in range(first + 1, last))

    def _whole(self, first: int, cut: int, last: int) -> float:
        return self.terms(first, cut, last) + self.cost(first, cut) + self.cost(cut, last)

    def cut(self, first: int, last: int) -> int:
        """Where the product is best cut in two."""
        return min(range(first + 1, last), key=lambda cut: self._whole(first, cut, last))

    def cut_within(self, limit: float) -> int:
        """Where both parts have at most `limit` entries and their product takes the fewest terms."""
        count = len(self.steps)

        def entries(cut: int) -> float:
            return max(float(self.rows(0, cut).sum()), float(self.rows(cut, count).sum()))

        return min(range(1, count), key=lambda cut: (max(entries(cut), limit), self.terms(0, cut, count)))

    def product(self, first: int, last: int) -> CSR:
        """The product of steps first..last-1."""
        if last - first == 1:
            return self.steps[first]
        cut = self.cut(first, last)
        left, right = self.product(first, cut), self.product(cut, last)
        return sparse_product(left, right, counts=self.counts, dtype=torch.float64 if self.counts else None)


def _row_sums(step: CSR, number: Tensor) -> Tensor:
    """(num_rows,) sum over the entries of each row of the number of their column."""
    return reduce_rows(number[step.col.long()], step.rowptr)


def entries_at_most(relations: Any, path: Sequence[str]) -> int:
    """Upper bound of the entries of a path's matrix; 0 where a relation is empty or nothing leads on."""
    table = relation_table(relations)
    if any(not table[name if name in table else name.removeprefix("~")].nnz for name in path):
        return 0
    steps = steps_of(table, path)
    return int(_Plan(steps, counts=False).rows(0, len(steps)).sum())
