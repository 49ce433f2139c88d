"""Charts of result files (matplotlib, SVG): time of rivals as multiples of ours; FastRP's time against N."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.registry import OURS, subject

__all__ = ["draw"]


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "graphrep"  # the same file for the same numbers
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: small files
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})


def _groups(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in result["cases"]:
        params = case["params"]
        sizes = [f"{letter}={params[key]}" for letter, key in (("d", "width"), ("H", "heads")) if key in params]
        label = "\n".join([subject(case), *sizes[:1]])
        if case["status"] == "ok":
            groups.setdefault(label, []).append(case)
    return groups


def _draw_ratios(result: dict[str, Any], path: Path) -> None:
    """One marker per case, a bar at the median, a colour per rival; log scale, 1 = our time."""
    groups = _groups(result)
    rivals = list(dict.fromkeys(n for cases in groups.values() for c in cases for n in c["methods"] if n != OURS))
    figure, axes = _figure(max(5.0, 1.6 + 1.15 * len(groups)), 3.6)
    for number, rival in enumerate(rivals):
        colour, labelled = f"C{number}", False
        for place, cases in enumerate(groups.values()):
            records = [case["methods"].get(rival, {}) for case in cases]
            ratios = [record["ratio"] for record in records if record.get("status") == "ok"]
            if not ratios:
                continue
            x = place + 0.8 * ((number + 0.5) / len(rivals) - 0.5)
            axes.plot([x] * len(ratios), ratios, ".", color=colour, markersize=3, alpha=0.6)
            label = None if labelled else rival
            axes.plot([x - 0.05, x + 0.05], [statistics.median(ratios)] * 2, color=colour, linewidth=2.5, label=label)
            labelled = True
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(groups)), list(groups), fontsize=7)
    axes.set_ylabel("time / graphrep's time")
    figure.legend(fontsize=7, ncols=4, loc="outside upper left", frameon=False)
    _save(figure, path)


def _draw_scaling(result: dict[str, Any], path: Path) -> None:
    """Seconds against N on the power-law graphs at equal width and iterations; extrapolated points are hollow."""
    lines: dict[str, list[tuple[int, float, bool]]] = {}
    for case in result["cases"]:
        if case["status"] != "ok" or not case["name"].startswith("powerlaw") or not case["name"].endswith("/q4"):
            continue
        for name, record in case["methods"].items():
            if record["status"] == "ok":
                point = (case["graph"]["num_nodes"], record["seconds"]["median"], "extrapolated" in record)
                lines.setdefault(name, []).append(point)
    figure, axes = _figure(5.5, 3.6)
    for number, (name, points) in enumerate(sorted(lines.items())):
        points.sort()
        style = {"color": f"C{number}", "linewidth": 2.4 if name == OURS else 1.2}
        axes.plot([p[0] for p in points], [p[1] for p in points], label=name, **style)
        for nodes, seconds, extrapolated in points:
            face = "white" if extrapolated else f"C{number}"
            axes.plot([nodes], [seconds], "o", color=f"C{number}", markerfacecolor=face, markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("nodes, 10 edges each (d = 256, 4 powers; hollow: extrapolated)")
    axes.set_ylabel("seconds")
    axes.legend(fontsize=7, frameon=False)
    _save(figure, path)


def _draw_quality(result: dict[str, Any], path: Path) -> None:
    """Micro-F1 at the smallest share of labels against seconds."""
    figure, axes = _figure(5.5, 3.2)
    for number, case in enumerate(c for c in result["cases"] if c["status"] == "ok"):
        share, scores = next(iter(case["scores"].items()))
        axes.plot([case["seconds"]], [scores["micro_f1"]], "o", color=f"C{number}", label=case["name"])
        axes.set_ylabel(f"micro-F1 at {share} labels")
    axes.set_xscale("log")
    axes.set_xlabel("seconds")
    axes.legend(fontsize=7, frameon=False)
    _save(figure, path)


def draw(result: dict[str, Any], path: Path) -> None:
    """Writes the chart that suits the family."""
    chart = {"fastrp": _draw_scaling, "quality": _draw_quality}.get(result["family"], _draw_ratios)
    chart(result, path)
