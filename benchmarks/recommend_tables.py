"""The tables of ``recommend.md`` from the result files: ``python -m benchmarks.recommend_tables`` prints them."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.machine import read_json

__all__ = ["curve_table", "hash_table", "tuned_table"]

RESULTS = Path(__file__).parent / "results"
METRICS = ("recall@20", "ndcg@20", "recall@40", "ndcg@40")
OFFICIAL = {  # one run of the authors' program on lastfm, seed 0
    1: (1.18, 0.73, 1.91, 0.98), 10: (12.96, 9.15, 19.43, 11.45), 20: (15.66, 11.51, 23.00, 14.08),
    30: (19.53, 14.91, 27.65, 17.80), 40: (21.69, 16.67, 30.05, 19.67), 50: (22.84, 17.72, 32.13, 21.06),
    60: (23.68, 18.31, 32.90, 21.62),
}  # fmt: skip


def _spread(values: list[float]) -> str:
    mean = f"{100 * statistics.mean(values):.2f}"
    return f"{mean} +- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _line(*cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def curve_table(result: dict[str, Any], epochs: list[int]) -> list[str]:
    """A line per epoch, the official one under it where there is one."""
    lines = [_line("epoch", "", *METRICS, "CPU s"), "|" + "---|" * 7]
    for epoch in epochs:
        rows = [row for run in result["runs"] for row in run["rows"] if row["epoch"] == epoch]
        seconds = f"{statistics.mean(row['cpu_seconds'] for row in rows):.0f}"
        lines.append(_line(epoch, "ours", *(_spread([row[name] for row in rows]) for name in METRICS), seconds))
        if result["dataset"] == "lastfm" and epoch in OFFICIAL:
            lines.append(_line("", "*official, seed 0*", *(f"{value:.2f}" for value in OFFICIAL[epoch]), ""))
    return lines


def tuned_table(result: dict[str, Any]) -> list[str]:
    """A line per method: the setting that the validation pairs chose, and its test scores over seeds."""
    lines = [_line("method", "chosen", "seeds", *METRICS, "kept epoch", "s / epoch"), "|" + "---|" * 9]
    rows = [row for row in result["rows"] if row["scores"]]
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        best = max((row for row in mine if row["seed"] == 0), key=lambda row: row["validation_recall"] or 0)
        runs = [row for row in mine if row["setting"] == best["setting"]]
        chosen = ", ".join(f"{name} {value:g}" for name, value in best["setting"].items())
        scores = [_spread([run["scores"]["users"][name] for run in runs]) for name in METRICS]
        kept = ", ".join(str(run["kept_epoch"]) for run in runs)
        speed = [run["seconds_per_epoch"] for run in runs if run["seconds_per_epoch"]]
        seconds = f"{statistics.median(speed):.2g}" if speed else ""
        lines.append(_line(method, chosen, len(runs), *scores, kept, seconds))
    return lines


def hash_table(result: dict[str, Any]) -> list[str]:
    """A line per way to share rows."""
    lines = [_line("rows shared by", "rows", "recall@20", "ndcg@20", "s for the map", "epochs"), "|" + "---|" * 6]
    for row in result["rows"]:
        scores = row["scores"]["users"]
        seconds = f"{row['seconds_of_hashing']:.1f}" if "seconds_of_hashing" in row else ""
        rows = sum(row["rows"]) if "rows" in row else "all"
        values = (f"{100 * scores[name]:.2f}" for name in METRICS[:2])
        lines.append(_line(row["compression"], rows, *values, seconds, row["epochs"]))
    return lines


def main() -> None:
    """Prints what there is."""
    for path in sorted(RESULTS.glob("recommend-*.json")):
        result = read_json(path)
        print(f"\n## {path.stem}\n")
        if "curve" in path.stem:
            looked = sorted({row["epoch"] for run in result["runs"] for row in run["rows"]})
            wanted = [1, 10, 20, 30, 35, 40, 50, 60] if result["dataset"] == "lastfm" else looked
            lines = curve_table(result, [epoch for epoch in wanted if epoch in looked])
        else:
            lines = tuned_table(result)
        print("\n".join(lines))
    for path in sorted(RESULTS.glob("graph-hash-*.json")):
        print(f"\n## {path.stem}\n", *hash_table(read_json(path)), sep="\n")


if __name__ == "__main__":
    main()
