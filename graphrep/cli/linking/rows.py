"""Rows of the table: one method on one split; kept in the run's folder as they come, so that nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.console import to_json
from graphrep.cli.linking.predictors import kind_of
from graphrep.cli.runs import write_text
from graphrep.errors import FileFormatError
from graphrep.eval.linkpred import LinkScores

__all__ = ["Kept", "Summary", "summaries"]

_NAME = "rows.json"


@dataclass
class Kept:
    """The rows of a run so far.

    Attributes:
        path: the run's folder.
        rows: of finished trainings.
    """

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, *, resume: bool) -> Kept:
        """What an interrupted run left; nothing for a new one.

        Raises:
            FileFormatError: the file is damaged.
        """
        file = path / _NAME
        if not resume:
            file.unlink(missing_ok=True)
        if not file.is_file():
            return cls(path)
        try:
            return cls(path, json.loads(file.read_text(encoding="utf8")))
        except ValueError as error:
            raise FileFormatError(f"{file} is damaged: {error}.", hint=f"remove it, then --resume {path}") from error

    def has(self, name: str, seed: int) -> bool:
        """Whether this training is finished."""
        return any(row["method"] == name and row["seed"] == seed for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Keeps a row, at once."""
        self.rows.append(row)
        write_text(self.path / _NAME, to_json(self.rows) + "\n")

    def drop(self) -> None:
        """Removes the file: the run is finished, and its result holds the rows."""
        (self.path / _NAME).unlink(missing_ok=True)


@dataclass(frozen=True)
class Summary:
    """A method over all splits of a run.

    Attributes:
        name: of the method.
        title: what the table calls it.
        rows: one for each split.
        outcomes: per kind of negatives ``beats``, ``level`` or ``loses``; empty for heuristics.
    """

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    outcomes: Mapping[str, str]

    @property
    def loses(self) -> bool:
        """Whether some heuristic is better."""
        return "loses" in self.outcomes.values()

    def values(self, negatives: str, *keys: str) -> list[float]:
        """A score on each split."""
        found = []
        for row in self.rows:
            value: Any = row["scores"].get(negatives)
            for key in keys:
                value = value.get(key) if isinstance(value, Mapping) else None
            if value is not None:
                found.append(float(value))
        return found

    def cell(self, negatives: str, *keys: str, interval: bool = False) -> str:
        """A score as text: mean and sample deviation over the splits, or of one split, perhaps with its interval."""
        found = self.values(negatives, *keys)
        if not found:
            return ""
        if len(found) > 1:
            return f"{np.mean(found):.4f} +- {np.std(found, ddof=1):.4f}"
        spread: Any = self.rows[0]["scores"][negatives].get("intervals", {}) if interval else {}
        for key in keys:
            spread = spread.get(key, {})
        return f"{found[0]:.4f}" + (f" [{spread[0]:.3f}, {spread[1]:.3f}]" if spread else "")

    @property
    def seconds(self) -> float:
        """Of learning and scoring, the mean."""
        return float(np.mean([row["seconds"] + row["judge_seconds"] for row in self.rows]))

    @property
    def memory(self) -> int:
        """Largest resident memory in bytes."""
        return max(int(row["peak_memory_bytes"]) for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        means: dict[str, Any] = {}
        for negatives in self.rows[0]["scores"]:
            cuts = self.rows[0]["scores"][negatives]["hits"]
            places = [("auc",), ("ap",), ("mrr",), *(("hits", cut) for cut in cuts)]
            means[negatives] = {
                "@".join(place): {"mean": float(np.mean(v)), "std": float(np.std(v, ddof=1)) if len(v) > 1 else None}
                for place in places
                if (v := self.values(negatives, *place))
            }
        return {
            "method": self.name, "title": self.title, "heuristic": kind_of(self.name) == "heuristic",
            "runs": len(self.rows), "scores": means, "against_heuristics": dict(self.outcomes),
            "seconds": self.seconds, "peak_memory_bytes": self.memory,
        }  # fmt: skip


def with_ranks(found: Mapping[str, LinkScores]) -> dict[str, Any]:
    """What a verdict needs of the scores, small enough to be kept: twice the rank of each test link."""
    return {name: {"rank2": (2 * scores.rank).astype(np.int64).tolist()} for name, scores in found.items()}


def summaries(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> tuple[list[Summary], list[dict[str, str]]]:
    """A summary for each method, and the verdicts in words on those that learn."""
    from graphrep.cli.linking.verdicts import verdict_on

    by_name = {name: [row for row in rows if row["method"] == name] for name in names}
    by_name = {name: sorted(found, key=lambda row: row["seed"]) for name, found in by_name.items() if found}
    heuristics = {name: found for name, found in by_name.items() if kind_of(name) == "heuristic"}
    summed, told = [], []
    for name, found in by_name.items():
        outcomes = {}
        title = " / ".join(dict.fromkeys(row["title"] for row in found))
        if name not in heuristics and found[0]["scores"]:
            for negatives in found[0]["scores"]:
                verdict = verdict_on(title, found, heuristics, negatives)
                outcomes[negatives] = verdict.outcome
                told.append({"method": name, "negatives": negatives, "outcome": verdict.outcome, "text": verdict.text})
        summed.append(Summary(name, title, found, outcomes))
    return summed, told
