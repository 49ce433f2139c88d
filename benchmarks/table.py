"""Draws the tables of the result files: ``python -m benchmarks.table README.md`` rewrites its marked blocks.

A block stands between ``<!-- benchmarks:FAMILY -->`` and ``<!-- /benchmarks -->``. Every case of a family goes into
``results/FAMILY.md``, the charts into ``results/FAMILY.svg``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.machine import read_json, write_text
from benchmarks.registry import OURS, subject

__all__ = ["full_table", "main", "rewrite", "short_table"]

RESULTS = Path(__file__).parent / "results"
_BLOCK = re.compile(r"(<!-- benchmarks:([a-z_]+) -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)


def markdown(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def seconds_text(seconds: float) -> str:
    """Three digits in a readable unit."""
    for limit, unit, factor in ((1e-3, "us", 1e6), (1.0, "ms", 1e3)):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def _ok(case: dict[str, Any], method: str) -> dict[str, Any] | None:
    record: dict[str, Any] = case["methods"].get(method, {})
    return record if record.get("status") == "ok" else None


def _rivals(result: dict[str, Any]) -> list[str]:
    names: dict[str, None] = {}
    for case in result["cases"]:
        names.update(dict.fromkeys(name for name in case["methods"] if name != OURS and _ok(case, name)))
    return list(names)


def _group_name(case: dict[str, Any]) -> str:
    params = case["params"]
    parts = [subject(case)]
    parts += [f"d={params['width']}"] if "width" in params else []
    parts += [f"H={params['heads']}"] if "heads" in params else []
    return ", ".join(parts)


def _ratio_cell(ratios: list[float]) -> str:
    if not ratios:
        return "-"
    if len(ratios) == 1:
        return f"{ratios[0]:.1f}x"
    return f"{statistics.median(ratios):.1f}x ({min(ratios):.2g}-{max(ratios):.2g})"


def _kernel_table(result: dict[str, Any]) -> str:
    """A row per graph and width: our time (range over the operations), rivals' time as multiples of ours."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in result["cases"]:
        if _ok(case, OURS):
            groups.setdefault(_group_name(case), []).append(case)
    rivals = _rivals(result)
    rows = []
    for name, cases in groups.items():
        ours = [case["methods"][OURS]["seconds"]["median"] for case in cases]
        cells = [
            _ratio_cell([record["ratio"] for case in cases if (record := _ok(case, rival)) is not None])
            for rival in rivals
        ]
        rows.append([f"{name} ({len(cases)} cases)", f"{seconds_text(min(ours))} - {seconds_text(max(ours))}", *cells])
    legend = "Rivals' time as a multiple of ours: median over the cases (smallest-largest); above 1 graphrep is faster."
    return markdown(["graph, width", OURS, *rivals], rows) + f"\n\n{legend}"


def _fastrp_cell(record: dict[str, Any] | None) -> str:
    if record is None:
        return "-"
    ratio = record.get("ratio_to_official_settings", record["ratio"])
    return f"{ratio:.1f}x" + ("*" if "extrapolated" in record else "")


def _fastrp_table(result: dict[str, Any]) -> str:
    """A row per case: our time and memory, the rivals' time as multiples."""
    rivals = [name for name in _rivals(result) if name not in (f"{OURS}-official", "official-blocks")]
    rows = []
    for case in result["cases"]:
        ours = _ok(case, OURS)
        if ours is not None:
            peak = f"{ours['peak_over_output']:.2f}" if "peak_over_output" in ours else "-"
            cells = [_fastrp_cell(_ok(case, rival)) for rival in rivals]
            rows.append([case["name"], seconds_text(ours["seconds"]["median"]), peak, *cells])
    legend = (
        "Rivals' time as a multiple of ours; `official` against graphrep with its settings (density 1/sqrt(N), "
        "standardised columns); * extrapolated from blocks of columns. q: powers. Peak: memory above the start over "
        "N x d x 4 bytes (file-to-file: of the whole process)."
    )
    return markdown(["graph, width, task", OURS, "peak", *rivals], rows) + f"\n\n{legend}"


def _quality_table(result: dict[str, Any]) -> str:
    rows = []
    for case in result["cases"]:
        if case["status"] != "ok":
            continue
        scores = [f"{s['micro_f1']:.1f} / {s['macro_f1']:.1f}" for s in case["scores"].values()]
        rows.append([case["name"], seconds_text(case["seconds"]), *scores])
    shares = next((list(case["scores"]) for case in result["cases"] if case["status"] == "ok"), [])
    return markdown(["method", "time", *(f"{share} labels, micro / macro F1" for share in shares)], rows)


def _reading_table(result: dict[str, Any]) -> str:
    """A row per file: time of the call and peak memory of the whole process, ours and the rivals'."""
    rivals = _rivals(result)
    rows = []
    for case in result["cases"]:
        records = {name: _ok(case, name) for name in (OURS, *rivals)}
        if records[OURS] is not None:
            cells = [
                cell
                for r in records.values()
                for cell in (
                    ("-", "-")
                    if r is None
                    else (seconds_text(r["seconds"]["median"]), f"{r['process_peak_bytes'] / 1e9:.2f} GB")
                )
            ]
            rows.append([case["name"], *cells])
    heads = [cell for name in (OURS, *rivals) for cell in (name, "peak")]
    legend = (
        "graphrep: ids sorted, both directions, repeats merged. pandas: `read_csv` and `factorize` alone. Fresh "
        "processes in turn; peak of the whole process, imports included."
    )
    return markdown(["file", *heads], rows) + f"\n\n{legend}"


_SHORT: dict[str, Callable[[dict[str, Any]], str]] = {
    "fastrp": _fastrp_table,
    "quality": _quality_table,
    "reading": _reading_table,
}


def _footer(result: dict[str, Any]) -> str:
    machine, begin = result["begin"]["machine"], result["begin"]
    return (
        f"{machine['cpu']}, {result['threads']} threads, {result['clock']} time, torch {begin['versions']['torch']}, "
        f"commit {begin['commit'][:10]}, {begin['time'][:10]}. "
        f"Command: `python -m benchmarks.run {result['family']} --threads {result['threads']}`; "
        f"all cases: [benchmarks/results/{result['family']}.md](benchmarks/results/{result['family']}.md)."
    )


def short_table(result: dict[str, Any]) -> str:
    """What goes into the README."""
    return f"{_SHORT.get(result['family'], _kernel_table)(result)}\n\n{_footer(result)}\n"


def full_table(result: dict[str, Any]) -> str:
    """Every case and method, with the reason where there is no time."""
    if result["family"] == "quality":
        return f"# quality\n\n{short_table(result)}"
    rivals = list(dict.fromkeys(name for case in result["cases"] for name in case["methods"] if name != OURS))
    notes: dict[str, None] = {}
    rows = []
    for case in result["cases"]:
        cells = []
        for name in rivals:
            record = case["methods"].get(name, {"status": "absent", "reason": "not part of this case"})
            cells.append(f"{record['ratio']:.2f}x" if record["status"] == "ok" else record["status"])
            if record["status"] not in ("ok", "absent"):
                notes[f"{name}: {record['status']} - {record['reason']}"] = None
        ours = _ok(case, OURS)
        spread = ours["seconds"] if ours else None
        time = (
            f"{seconds_text(spread['median'])} ({(spread['q3'] - spread['q1']) / spread['median']:.0%})"
            if spread
            else "-"
        )
        rows.append([case["name"], time, *cells])
        if "measured" in case:
            later = case["measured"]
            notes[f"{case['name']}: measured later, {later['time'][:10]}, commit {later['commit'][:10]}"] = None
    table = markdown(["case", f"{OURS}: median (IQR)", *rivals], rows)
    remarks = "\n".join(f"- {note}" for note in notes)
    return f"# {result['family']}\n\n{_footer(result)}\n\n{table}\n\nRemarks:\n\n{remarks or '- none'}\n"


def rewrite(text: str, tables: dict[str, str]) -> str:
    """`text` with every marked block whose family is in `tables` replaced; others stay as they are."""

    def replace(match: re.Match[str]) -> str:
        table = tables.get(match.group(2))
        return match.group(0) if table is None else f"{match.group(1)}{table}{match.group(3)}"

    return _BLOCK.sub(replace, text)


def main(arguments: list[str] | None = None) -> int:
    """Writes results/FAMILY.md and charts, and rewrites the blocks of the given page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", help="Markdown file with marked blocks")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-plots", action="store_true")
    options = parser.parse_args(arguments)
    found = [read_json(path) for path in sorted(options.results.glob("*.json"))]
    results = {result["family"]: result for result in found if "cases" in result}
    for family, result in results.items():
        write_text(options.results / f"{family}.md", full_table(result))
        if not options.no_plots:
            from benchmarks.plot import draw

            draw(result, options.results / f"{family}.svg")
    if options.page is not None:
        page = options.page.read_text()
        write_text(options.page, rewrite(page, {family: short_table(result) for family, result in results.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
