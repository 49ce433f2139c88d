"""What a benchmark is: a case states its inputs, our function, the rivals on the same inputs and the equality check."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FAMILIES", "OURS", "SIZES", "Case", "Extrapolated", "Method", "Skip", "cases_of", "subject", "unavailable"]

OURS = "graphrep"
SIZES = ("tiny", "small", "medium", "large", "huge")
FAMILIES = (
    "spmm",
    "segment",
    "sddmm",
    "edge_softmax",
    "gat",
    "targets",
    "common_neighbors",
    "walks",
    "sampling",
    "contrast",
    "pot",
    "training",
    "clustering_losses",
    "weighted_contrast",
    "recommend",
    "hetero",
    "ncn",
    "probe",
    "fastrp",
    "reading",
)


class Skip(Exception):  # noqa: N818 - not an error: a rival that cannot run here, with the reason
    """Raised by a method's `prepare`; the message goes into the result file."""


@dataclass(frozen=True)
class Extrapolated:
    """What a call returns when it did part of the work: the seconds of the whole, and how they were obtained."""

    seconds: float
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """One implementation of a case.

    Attributes:
        prepare: takes the inputs, does what a user does once per graph (formats, caches), returns the timed call.
            The call returns the arrays that are checked. Raises :class:`Skip` with a reason when it cannot run.
        needs: distribution that must be installed, or None.
        note: what a reader must know about this rival (how it is called), or "".
        compiles: its first call compiles, so that only later ones tell how long it takes.
    """

    prepare: Callable[[Any], Callable[[], Any]]
    needs: str | None = None
    note: str = ""
    compiles: bool = False


@dataclass(frozen=True)
class Case:
    """One row of a result file.

    Attributes:
        name: unique within the family; compare.py matches on it.
        size: one of :data:`SIZES`.
        inputs: builds the inputs (generated graph, seeded features).
        ours: graphrep's method.
        rivals: name -> method.
        check: (inputs, result of ours) -> largest relative error against float64 definitions.
        agree: (inputs, result of ours, result of a rival) -> largest relative difference.
        tolerance: both must stay below it, else no time is reported.
        params: what the tables group by (graph, op, width, ...).
        tags: "memory": peak memory is measured with --memory; "processes": every call in a process of its own.
        stand_in: for such a case a smaller one with the same methods, on which equality is checked.
    """

    name: str
    family: str
    size: str
    inputs: Callable[[], Any]
    ours: Method
    rivals: Mapping[str, Method]
    check: Callable[[Any, Any], float]
    agree: Callable[[Any, Any, Any], float]
    tolerance: float
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    stand_in: Callable[[], Case] | None = None

    def methods(self) -> dict[str, Method]:
        """Ours first, then the rivals."""
        return {OURS: self.ours, **self.rivals}


def unavailable(method: Method) -> str | None:
    """Why a method cannot be imported here, or None."""
    if method.needs is None:
        return None
    try:
        importlib.metadata.version(method.needs)
    except importlib.metadata.PackageNotFoundError:
        return f"{method.needs} is not installed"
    return None


def cases_of(family: str) -> list[Case]:
    """All cases of a family that is measured in one process."""
    module = importlib.import_module(f"benchmarks.families.{family}")
    cases: list[Case] = module.cases()
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise ValueError(f"case names of {family} are not unique")
    return cases


def subject(entry: dict[str, Any]) -> str:
    """What an entry of a result file was measured on: the graph, or the number of rows where there is none."""
    facts, params = entry.get("graph", {}), entry["params"]
    if "graph" in facts or "graph" in params:
        return str(facts.get("graph", params.get("graph")))
    rows, columns = params["nodes"], params.get("columns", params["nodes"])
    return f"N={rows}" if rows == columns else f"{rows} x {columns}"
