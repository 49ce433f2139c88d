"""How `graphrep eval` prints a result: one line on the protocol, then a table that says what each +- is over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphrep.cli.console import Console
from graphrep.cli.judging import mean_std, published_cell
from graphrep.cli.judging_model import COLUMNS, MEANINGS, compactness_rows

if TYPE_CHECKING:
    from graphrep.recipes import Recipe

__all__ = ["print_result"]

_CLUSTERS = (("acc", "ACC"), ("nmi", "NMI"), ("ari", "ARI"), ("macro_f1", "F1 (macro, mapped)"))
_GRAPH = (("modularity", "modularity"), ("coverage", "coverage"), ("conductance_mean", "conductance, mean"))
_SPECTRUM = (
    "rankme",
    "effective_rank",
    "stable_rank",
    "participation_ratio",
    "mean_feature_std",
    "uniformity",
    "alignment",
)


def print_result(console: Console, path: Path, result: Mapping[str, Any], source: Recipe | None) -> None:
    """Prints what a protocol found.

    Args:
        console: where to.
        path: the file that was judged.
        result: with "about" and the protocol's scores.
        source: the recipe with published numbers of this protocol, if there is one.
    """
    console.say(f"{path.name}: {result['about']}")
    protocol = result["protocol"]
    if "rows" in result:
        _print_probe(console, result["rows"], source.published if source else {})
        if source and source.published:
            console.say(f"published: {source.paper or source.name}")
    elif protocol == "clusters":
        for field, title in (*_CLUSTERS, *_GRAPH):
            if field in result:
                spread = result.get(f"{field}_std")
                value = f"{result[field]:.4f}" if spread is None else mean_std(result[field], spread, digits=4)
                console.say(f"  {title:<20} {value}")
        if result.get("clusters_without_edges"):
            console.say(f"  {result['clusters_without_edges']} clusters have no edges and no conductance")
    elif protocol == "links":
        console.say(f"  AUC {result['auc']:.4f}   AP {result['ap']:.4f}" + _mrr(result))
        console.say("  " + "   ".join(f"Hits@{rank} {value:.4f}" for rank, value in result["hits"].items()))
    elif protocol == "compactness":
        _print_compactness(console, result)
    elif protocol == "reconstruction":
        _print_reconstruction(console, result)
    else:
        for field in _SPECTRUM:
            if field in result:
                console.say(f"  {field.replace('_', ' '):<20} {result[field]:.4g}")


def _mrr(result: Mapping[str, Any]) -> str:
    return f"   MRR {result['mrr']:.4f}" if "mrr" in result else ""


def _print_probe(console: Console, rows: Sequence[Mapping[str, Any]], published: Mapping[str, Any]) -> None:
    shown = [(row, published_cell(published, row["labelled"], row.get("split", ""))) for row in rows]
    theirs = any(cell for _, cell in shown)
    with_auc = any("auc" in row for row in rows)
    head = f"  {'labelled':>8}   {'micro-F1 %':<16} {'macro-F1 %':<16}" + (f" {'AUC %':<16}" if with_auc else "")
    console.say((head + (" published micro / macro" if theirs else "")).rstrip())
    for row, cell in shown:
        share = row.get("split") or "given"
        if row["labelled"] is not None:
            share = f"{100 * row['labelled']:g} %"
        names = ("micro_f1", "macro_f1", *(["auc"] if with_auc else []))
        cells = " ".join(f"{mean_std(row[name], row[f'{name}_std']):<16}" for name in names)
        console.say(f"  {share:>8}   {cells} {cell}".rstrip())


def _print_compactness(console: Console, result: Mapping[str, Any]) -> None:
    lines = [list(COLUMNS), *compactness_rows(result)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        console.say("  " + "   ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    for word, meaning in MEANINGS.items():
        console.say(f"  {word:<13}  {meaning}")


def _print_reconstruction(console: Console, result: Mapping[str, Any]) -> None:
    for mode in ("exact", "within"):
        for hop, value in result[f"map_{mode}"].items():
            nodes = result[f"num_nodes_{mode}"][hop]
            console.say(
                f"  MAP hop {hop} {mode:<7} {_between(value, result[f'map_{mode}_ci95'].get(hop))}   {nodes} nodes"
            )
    for k, value in result["node_precision"].items():
        interval = _between(value, result["node_precision_ci95"].get(k))
        console.say(
            f"  node precision@{k} {interval}   (over min({k}, degree): {result['node_precision_capped'][k]:.4f})"
        )
    for k, value in result["pair_precision"].items():
        console.say(f"  pair precision@{k} {value:.4f}   of all pairs")


def _between(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or math.isnan(value):
        return "undefined"
    return f"{value:.4f}" if interval is None else f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"
