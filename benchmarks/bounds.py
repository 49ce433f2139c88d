"""How tight the bounds of node compactness are, on trained encoders: ``python -m benchmarks.bounds cora --out FILE``.

GRACE is trained as published, with the authors' score and with a sound bound in the loss. For each encoder and each
bound: how many nodes are certified, how far the bound lies below the value on the whole graph, and how far the value
really falls on permitted graphs drawn at random (which says how tight a bound could be at most). The authors' score is
listed beside the bounds with the share of nodes on which a drawn graph lies below it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["measure"]

SOUND = {
    "ibp": ("ibp", False),
    "crown-ibp": ("crown-ibp", False),
    "best": ("best", False),
    "best, tightened": ("best", True),
}
TRAINED: dict[str, dict[str, Any]] = {
    "GRACE": {},
    "GRACE + POT": {"pot": True},
    "GRACE + POT, sound bound": {"pot": True, "pot_bound": "best"},
}


def _permitted(edge_index: Tensor, budget: Tensor, generator: torch.Generator) -> Tensor:
    """(2, E') edges after each node has lost as many in-edges as its budget allows, drawn at random."""
    target = edge_index[1]
    order = torch.argsort(torch.rand(len(target), generator=generator))
    order = order[torch.argsort(target[order], stable=True)]
    count = torch.bincount(target, minlength=len(budget))
    place = torch.arange(len(target)) - torch.repeat_interleave(count.cumsum(0) - count, count)
    return edge_index[:, order[place >= budget[target[order]]]]


@torch.no_grad()
def _lowest(
    encoder: Any, x: Any, edge_index: Tensor, contrast: Tensor, budget: Tensor, samples: int, seed: int
) -> Tensor:
    """(N,) the smallest value on the drawn graphs."""
    generator = torch.Generator().manual_seed(seed)
    lowest = torch.full((len(budget),), torch.inf)
    for _ in range(samples):
        z = encoder(x, _permitted(edge_index, budget, generator))
        lowest = torch.minimum(lowest, (contrast * z).sum(1))
    return lowest


def _scores(model: Any, graph: Any, drop_rate: float, samples: int) -> list[dict[str, Any]]:
    """One row per bound for a trained model."""
    from graphrep.methods import compactness_report
    from graphrep.methods._views import scaled_features, simple_edges
    from graphrep.objectives import contrast_vectors, node_compactness

    encoder = model.module_.encoder.eval()
    edges = simple_edges(graph)
    x = scaled_features(graph.x, model.scale_features, torch.float32).to_dense()
    report = compactness_report(encoder, graph.replace(edge_index=edges, edge_weight=None, x=x), drop_rate=drop_rate)
    with torch.no_grad():
        z = encoder(x, edges)
        lowest = _lowest(encoder, x, edges, contrast_vectors(z), report.budget, samples, seed=7)
    trained = report.clean > 0
    falls = (report.clean - lowest)[trained]
    rows = []
    for name, (bound, tighten) in SOUND.items():
        with torch.no_grad():
            value = node_compactness(
                x, edges, encoder.layers, z, drop_rate=drop_rate, bound=bound, tighten=tighten,
                negative_slope=report.negative_slope,
            )  # fmt: skip
        rows.append(_row(name, value, report.clean, lowest, falls, trained))
    rows.append(_row("official (no bound)", report.official, report.clean, lowest, falls, trained))
    return rows


def _row(name: str, value: Tensor, clean: Tensor, lowest: Tensor, falls: Tensor, trained: Tensor) -> dict[str, Any]:
    below = (clean - value)[trained]
    slack = 1e-5 * clean.abs().clamp(min=1)
    return {
        "bound": name,
        "nodes": len(clean),
        "clean_positive": int(trained.sum()),
        "certified": int((trained & (value > 0)).sum()),
        "mean_clean": float(clean[trained].mean()),
        "mean_bound": float(value[trained].mean()),
        "mean_lowest_drawn": float(lowest[trained].mean()),
        "median_gap_to_clean": float(below.median()),
        "median_fall_drawn": float(falls.median()),
        "share_below_value": float((lowest < value - slack).double().mean()),
    }


def measure(dataset: str, *, seeds: int, samples: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Rows of all encoders, bounds and seeds, and the circumstances."""
    import graphrep as gr
    from benchmarks.machine import circumstances
    from graphrep.recipes import recipe, recipe_names

    begin, graph = circumstances(), gr.load(dataset)
    name = f"grace/{dataset.rpartition('/')[2]}"
    settings = {**(recipe(name).params if name in recipe_names() else {}), **changes}
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    rate = float(max(settings.get("drop_edge_rates", (0.4, 0.3))))
    rows = []
    for label, extra in TRAINED.items():
        for seed in range(seeds):
            model = gr.GRACE(**{**settings, **extra, "seed": seed}).fit(graph)
            rows += [{"trained": label, "seed": seed, **row} for row in _scores(model, graph, rate, samples)]
            print(
                f"{label}, seed {seed}: {rows[-2]['certified']} of {rows[-2]['clean_positive']} certified", flush=True
            )
    return {
        "family": "bounds", "dataset": dataset, "drop_rate": rate, "samples": samples, "rows": rows,
        "settings": settings, "begin": begin, "end": circumstances(),
    }  # fmt: skip


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    mean = {key: statistics.fmean(row[key] for row in rows) for key, v in rows[0].items() if not isinstance(v, str)}
    shares = [f"{mean[key] / mean['nodes']:.1%}" for key in ("clean_positive", "certified")]
    keys = ("mean_clean", "mean_bound", "median_gap_to_clean", "median_fall_drawn")
    return [*shares, *(f"{mean[key]:.3g}" for key in keys), f"{mean['share_below_value']:.1%}"]


def table(result: dict[str, Any]) -> str:
    """Markdown: medians and shares as means over seeds."""
    lines = [
        f"# bounds: {result['dataset']}",
        "",
        f"Drop rate {result['drop_rate']:g}, {result['samples']} permitted graphs drawn, means over seeds. "
        "*clean > 0*: nodes closer to their other view than to the others' average on the whole graph; *certified*: of "
        "these, no permitted graph turns it; *gap*: median of clean - bound; *fall*: median of clean - smallest drawn "
        "value, which no bound can undercut; *refuted*: share of nodes with a drawn value below the number.",
        "",
        "| trained with | bound | clean > 0 | certified | mean clean | mean bound | gap | fall | refuted |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for label in TRAINED:
        for bound in (*SOUND, "official (no bound)"):
            own = [row for row in result["rows"] if row["trained"] == label and row["bound"] == bound]
            lines.append(f"| {label} | {bound} | " + " | ".join(_cells(own)) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Writes the JSON and, beside it, the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    changes = {key: value for key in ("epochs", "temperature") if (value := getattr(options, key)) is not None}
    result = measure(options.dataset, seeds=options.seeds, samples=options.samples, changes=changes)
    from benchmarks.machine import write_json

    write_json(options.out, result)
    text = table(result)
    options.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
