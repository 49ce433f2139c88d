"""Facts about node features, dense or sparse, in one pass over blocks of rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from graphrep.data._facts import Findings, first_few, plural
from graphrep.data.check import grouped

__all__ = ["FeatureFacts", "feature_facts"]

_BLOCK = 1 << 22
_LARGE = 10.0
Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class FeatureFacts:
    """Node features.

    Attributes:
        columns: F.
        sparse: whether zeros are left out of the file.
        filled: share of the entries that are not zero.
        not_finite: entries that are NaN or infinite.
        zero_rows: nodes whose features are all zero.
        constant_columns: columns with the same value everywhere.
        low, high: of the finite entries.
        scale: ``0/1``, ``whole numbers`` or ``real``.
    """

    columns: int
    sparse: bool
    filled: float
    not_finite: int
    zero_rows: int
    constant_columns: int
    low: float
    high: float
    scale: str

    def line(self) -> str:
        """The facts in a line."""
        span = "0/1" if self.scale == "0/1" else f"{self.scale} {self.low:.6g} to {self.high:.6g}"
        return (
            f"{plural(self.columns, 'column')}{' (sparse)' if self.sparse else ''}, {span}, "
            f"{100 * self.filled:.3g} % not zero; {plural(self.zero_rows, 'all-zero row')}, "
            f"{plural(self.constant_columns, 'constant column')}"
        )


@dataclasses.dataclass
class _Scan:
    """What has been seen of the features so far."""

    low: Array
    high: Array
    filled: int = 0
    zero_rows: int = 0
    whole: bool = True
    bad_rows: list[Array] = dataclasses.field(default_factory=list)
    bad_columns: list[Array] = dataclasses.field(default_factory=list)

    def values(self, values: Array) -> None:
        self.filled += int(np.count_nonzero(values))
        if self.whole and values.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                self.whole = bool(((values == np.floor(values)) | ~np.isfinite(values)).all())

    def bad(self, rows: Array, columns: Array) -> None:
        if rows.size:
            self.bad_rows.append(rows)
            self.bad_columns.append(columns)


def feature_facts(x: Any, num_nodes: int, found: Findings) -> FeatureFacts:
    """Facts about features.

    Args:
        x: (N, F) numpy array, or scipy CSR matrix.
        num_nodes: N.
        found: receives what is wrong.
    """
    rows, columns = x.shape
    if rows != num_nodes:
        found.errors.append(f"There are features for {grouped(rows)} nodes and {grouped(num_nodes)} nodes.")
    sparse = hasattr(x, "indptr")
    scan = (_scan_sparse if sparse else _scan_dense)(x)
    not_finite = sum(part.size for part in scan.bad_rows)
    if not_finite:
        _report_bad(np.concatenate(scan.bad_rows), np.concatenate(scan.bad_columns), rows, found)
    low = float(scan.low.min()) if scan.low.size and rows else 0.0
    high = float(scan.high.max()) if scan.high.size and rows else 0.0
    binary = scan.whole and low >= 0 and high <= 1
    scale = "0/1" if binary else "whole numbers" if scan.whole else "real"
    constant = int((scan.low == scan.high).sum()) if rows > 1 else 0
    if scan.zero_rows:
        found.warnings.append(f"{plural(scan.zero_rows, 'node has', 'nodes have')} only zeros as features.")
    if constant:
        found.warnings.append(f"{plural(constant, 'feature column is', 'feature columns are')} the same at every node.")
    if not binary and max(-low, high) > _LARGE:
        found.warnings.append(f"Features are not scaled: they reach from {low:.6g} to {high:.6g}.")
    filled = scan.filled / max(rows * columns, 1)
    return FeatureFacts(columns, sparse, filled, not_finite, scan.zero_rows, constant, low, high, scale)


def _scan_dense(x: Array) -> _Scan:
    rows, columns = x.shape
    scan = _Scan(np.full(columns, np.inf), np.full(columns, -np.inf))
    step = max(_BLOCK // max(columns, 1), 1)
    for start in range(0, rows, step):
        block = x[start : start + step]
        scan.values(block)
        scan.zero_rows += int((~block.any(axis=1)).sum())
        if block.dtype.kind == "f":
            finite = np.isfinite(block)
            if not finite.all():
                row, column = np.nonzero(~finite)
                scan.bad(row + start, column)
                block = np.where(finite, block, np.nan)
        scan.low = np.fmin(scan.low, np.fmin.reduce(block, axis=0))
        scan.high = np.fmax(scan.high, np.fmax.reduce(block, axis=0))
    return scan


def _scan_sparse(x: Any) -> _Scan:
    rows, columns = x.shape
    present = np.bincount(x.indices[x.data != 0], minlength=columns)
    low, high = (np.where(present < rows, 0.0, fill) for fill in (np.inf, -np.inf))
    scan = _Scan(low, high)
    scan.values(x.data)
    finite = np.isfinite(x.data)
    np.fmin.at(scan.low, x.indices[finite], x.data[finite])
    np.fmax.at(scan.high, x.indices[finite], x.data[finite])
    filled = np.concatenate([[0], np.cumsum(x.data != 0)])[x.indptr]
    scan.zero_rows = int((filled[1:] == filled[:-1]).sum())
    bad = np.flatnonzero(~finite)
    scan.bad(np.searchsorted(x.indptr, bad, side="right") - 1, x.indices[bad].astype(np.int64))
    return scan


def _report_bad(rows: Array, columns: Array, count: int, found: Findings) -> None:
    """One sentence for each of the first three columns with NaN or infinity, one for the rest."""
    names = np.unique(columns)
    for column in names[:3]:
        here = np.unique(rows[columns == column])
        found.errors.append(
            f"Feature column {column} has NaN or infinity in {grouped(here.size)} of {grouped(count)} rows "
            f"(first: rows {first_few(here)})."
        )
    if names.size > 3:
        found.errors.append(f"{plural(int(names.size) - 3, 'more feature column')} with NaN or infinity.")
