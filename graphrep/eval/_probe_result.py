"""What a probe returns: means and standard deviations over repeats, the repeats, a row per train ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from graphrep.eval._result import Result

__all__ = ["ProbeResult", "ProbeRow"]

_NAN = float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class ProbeRow(Result):
    """Scores at one share of training labels, between 0 and 1. `_std` divides by n, `_std_sample` by n - 1.

    `auc` (one-vs-rest) is NaN and `auc_runs` empty where the protocol has none; `best_c` and `best_step` hold what was
    chosen in each repeat, or nothing where the protocol has no such choice.

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
    num_val: int = 0
    auc: float = _NAN
    auc_std: float = _NAN
    auc_std_sample: float = _NAN
    auc_runs: list[float] = field(default_factory=list)
    best_step: list[int] = field(default_factory=list)

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
        num_val: int = 0,
        auc: Sequence[float] = (),
        best_step: Sequence[int] = (),
    ) -> ProbeRow:
        """Row from the scores of each repeat."""
        spread = (*_spread(micro), *_spread(macro))
        runs = (list(micro), list(macro), list(best_c))
        area = _spread(auc) if len(auc) else (_NAN, _NAN, _NAN)
        sizes = (num_train, num_test, num_val)
        return cls(train_ratio, *spread, *runs, *sizes, *area, auc_runs=list(auc), best_step=list(best_step))


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult(Result):
    """Node classification on frozen embeddings, with all that names the protocol.

    The scores at the top are those of the first row (the first train ratio); `rows` has all of them. `std_over` says
    what was repeated, "data splits" or "classifier initialisations", both of one embedding and never its training, so
    that the spread is not the method's own. `selection` says what chose C or the step, `features` how the
    rows were scaled. Scores lie between 0 and 1;
    `_std` is the population standard deviation (ddof 0) that published tables of these protocols print, `_std_sample`
    (ddof 1) is NaN for a single repeat. `auc` is NaN but for ``dmgi``.

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
    selection: str | None = None
    features: str = "raw rows"
    auc: float = _NAN
    auc_std: float = _NAN
    auc_std_sample: float = _NAN
    auc_runs: list[float] = field(default_factory=list)
    best_step: list[int] = field(default_factory=list)

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
        std_over: str = "data splits",
        selection: str | None = None,
        features: str = "raw rows",
    ) -> ProbeResult:
        """Result from its rows; the first row gives the scores at the top."""
        top = rows[0]
        shared = (
            "micro_f1 macro_f1 micro_f1_std macro_f1_std micro_f1_std_sample macro_f1_std_sample best_c micro_f1_runs "
            "macro_f1_runs auc auc_std auc_std_sample auc_runs best_step"
        )
        return cls(
            protocol=protocol,
            **{name: getattr(top, name) for name in shared.split()},
            seeds=list(seeds),
            rows=list(rows),
            std_over=std_over,
            multilabel=multilabel,
            backend=backend,
            num_classes=num_classes,
            selection=selection,
            features=features,
        )

    def __str__(self) -> str:
        top = self.rows[0]
        repeats = len(top.micro_f1_runs)
        one = self.std_over.removesuffix("s")
        repeated = f"1 {one} (single run)" if repeats == 1 else f"{repeats} {self.std_over} (+- population std)"
        rule = f", multi-label rule {self.multilabel}" if self.multilabel else ""
        rule += f", {self.features}" if self.protocol == "planetoid" else ""  # the others fix it
        rule += f", chosen by {self.selection}" if self.selection else ""
        sizes = f"{top.num_train} train / {f'{top.num_val} validation / ' if top.num_val else ''}{top.num_test} test"
        head = f"protocol {self.protocol}: {self.num_classes} classes, {sizes} nodes, {repeated}, solver {self.backend}"
        head += rule
        columns = ["micro_f1", "macro_f1", *(["auc"] if top.auc_runs else [])]
        titles = {"micro_f1": "micro-F1 %", "macro_f1": "macro-F1 %", "auc": "AUC %"}
        last = "C" if top.best_c else "step"
        lines = [head, f"  {'labelled':<8}   " + "   ".join(f"{titles[name]:<14}" for name in columns) + f"   {last}"]
        for row in self.rows:
            share = "given" if row.train_ratio is None else f"{100 * row.train_ratio:.3g} %"
            cells = [f"{100 * getattr(row, n):.2f} +- {100 * getattr(row, f'{n}_std'):.2f}" for n in columns]
            lines.append(f"  {share:>8}   " + "   ".join(f"{cell:<14}" for cell in cells) + f"   {_chosen(row)}")
        return "\n".join(lines)


def _chosen(row: ProbeRow) -> str:
    """The values of C, or the range of steps."""
    if row.best_c or not row.best_step:
        return " ".join(f"{c:g}" for c in dict.fromkeys(row.best_c))
    low, high = min(row.best_step), max(row.best_step)
    return str(low) if low == high else f"{low}-{high}"


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, population and sample standard deviation (NaN for one value)."""
    array = np.asarray(values, dtype=np.float64)
    sample = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return float(array.mean()), float(array.std()), sample
