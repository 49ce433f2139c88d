"""What a probe returns: means and standard deviations over repeats, the repeats, a row per train ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphrep.eval._result import Result

__all__ = ["ProbeResult", "ProbeRow"]


@dataclass(frozen=True, eq=False, repr=False)
class ProbeRow(Result):
    """Scores at one share of training labels; F1 between 0 and 1. `_std` divides by n, `_std_sample` by n - 1.

    Example:
        >>> ProbeRow.of(0.1, [0.5, 0.7], [0.4, 0.4], [1.0, 1.0], num_train=10, num_test=90).micro_f1
        0.6
    """

    train_ratio: float | None
    micro_f1: float
    micro_f1_std: float
    micro_f1_std_sample: float
    macro_f1: float
    macro_f1_std: float
    macro_f1_std_sample: float
    micro_f1_runs: list[float]
    macro_f1_runs: list[float]
    best_c: list[float]
    num_train: int
    num_test: int

    @classmethod
    def of(
        cls,
        train_ratio: float | None,
        micro: Sequence[float],
        macro: Sequence[float],
        best_c: Sequence[float],
        *,
        num_train: int,
        num_test: int,
    ) -> ProbeRow:
        """Row from the scores of each repeat."""
        spread = (*_spread(micro), *_spread(macro))
        return cls(train_ratio, *spread, list(micro), list(macro), list(best_c), num_train, num_test)


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult(Result):
    """Node classification on frozen embeddings, with all that names the protocol.

    The scores at the top are those of the first row (the first train ratio); `rows` has all of them. `std_over` says
    what was repeated: "data splits" of one embedding, never its training, so the spread is not the method's own.
    F1 lies between 0 and 1; `_std` is the population standard deviation (ddof 0) that published tables of these
    protocols print, `_std_sample` (ddof 1) is NaN for a single repeat.

    Example:
        >>> row = ProbeRow.of(0.1, [0.5, 0.7], [0.4, 0.4], [1.0, 1.0], num_train=10, num_test=90)
        >>> result = ProbeResult.of("grace", "torch", [row], seeds=[0, 1], multilabel=None, num_classes=3)
        >>> print(result)
        protocol grace: 3 classes, 10 train / 90 test nodes, 2 data splits (+- population std), solver torch
          labelled   micro-F1 %       macro-F1 %       C
              10 %   60.00 +- 10.00   40.00 +- 0.00    1
    """

    protocol: str
    micro_f1: float
    macro_f1: float
    micro_f1_std: float
    macro_f1_std: float
    micro_f1_std_sample: float
    macro_f1_std_sample: float
    best_c: list[float]
    micro_f1_runs: list[float]
    macro_f1_runs: list[float]
    seeds: list[int]
    rows: list[ProbeRow]
    std_over: str
    multilabel: str | None
    backend: str
    num_classes: int

    @classmethod
    def of(
        cls,
        protocol: str,
        backend: str,
        rows: Sequence[ProbeRow],
        *,
        seeds: Sequence[int],
        multilabel: str | None,
        num_classes: int,
    ) -> ProbeResult:
        """Result from its rows; the first row gives the scores at the top."""
        top = rows[0]
        return cls(
            protocol=protocol,
            micro_f1=top.micro_f1,
            macro_f1=top.macro_f1,
            micro_f1_std=top.micro_f1_std,
            macro_f1_std=top.macro_f1_std,
            micro_f1_std_sample=top.micro_f1_std_sample,
            macro_f1_std_sample=top.macro_f1_std_sample,
            best_c=top.best_c,
            micro_f1_runs=top.micro_f1_runs,
            macro_f1_runs=top.macro_f1_runs,
            seeds=list(seeds),
            rows=list(rows),
            std_over="data splits",
            multilabel=multilabel,
            backend=backend,
            num_classes=num_classes,
        )

    def __str__(self) -> str:
        top = self.rows[0]
        repeats = len(top.micro_f1_runs)
        splits = "1 data split (single run)" if repeats == 1 else f"{repeats} data splits (+- population std)"
        rule = f", multi-label rule {self.multilabel}" if self.multilabel else ""
        sizes = f"{top.num_train} train / {top.num_test} test nodes"
        head = f"protocol {self.protocol}: {self.num_classes} classes, {sizes}, {splits}, solver {self.backend}{rule}"
        lines = [head, f"  {'labelled':<8}   {'micro-F1 %':<14}   {'macro-F1 %':<14}   C"]
        for row in self.rows:
            share = "given" if row.train_ratio is None else f"{100 * row.train_ratio:.3g} %"
            micro = f"{100 * row.micro_f1:.2f} +- {100 * row.micro_f1_std:.2f}"
            macro = f"{100 * row.macro_f1:.2f} +- {100 * row.macro_f1_std:.2f}"
            chosen = " ".join(f"{c:g}" for c in dict.fromkeys(row.best_c))
            lines.append(f"  {share:>8}   {micro:<14}   {macro:<14}   {chosen}")
        return "\n".join(lines)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, population and sample standard deviation (NaN for one value)."""
    array = np.asarray(values, dtype=np.float64)
    sample = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return float(array.mean()), float(array.std()), sample
