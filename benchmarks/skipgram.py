"""DeepWalk, LINE and node2vec on BlogCatalog over seeds, by their recipes; each seed trains and is judged anew.

``GRAPHREP_DATA=... python -m benchmarks.skipgram --methods deepwalk,line,node2vec --seeds 3`` writes
``results/skipgram-blogcatalog.json``: micro- and macro-F1 by DeepWalk's protocol, mean and deviation over the seeds of
the whole pipeline. Each finished run is in the file at once, and is not repeated.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, read_json, write_json
from graphrep import load
from graphrep.cli.system import use_threads
from graphrep.eval import linear_probe
from graphrep.recipes import recipe
from graphrep.registry import METHODS

__all__ = ["run_once", "summary"]

RESULTS = Path(__file__).parent / "results"
RATIOS = (0.1, 0.5, 0.9)


def run_once(method: str, seed: int, changes: dict[str, Any], dataset: str = "blogcatalog") -> dict[str, Any]:
    """One training by the recipe with `changes`: percent by train ratio, losses, seconds."""
    graph, params = load(dataset), {**recipe(f"{method}/blogcatalog").params, **changes, "seed": seed}
    model = METHODS[method].load()(**params)
    z = model.fit_transform(graph)
    judged = linear_probe(z, graph.y, protocol="deepwalk", train_ratios=RATIOS, c=1.0)
    scores = {
        f"{row.train_ratio:.0%}": {"micro_f1": 100 * row.micro_f1, "macro_f1": 100 * row.macro_f1}
        for row in judged.rows
    }
    history = model.history_
    return {
        "method": method, "seed": seed, "params": params, "scores": scores, "seconds": history.seconds,
        "loss": [history.losses[0], history.losses[-1]],
        "pairs": sum(log.parts["pairs"] for log in history.epochs),
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over the seeds of each method."""
    found: dict[str, Any] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        runs = [row["scores"] for row in rows if row["method"] == method]
        found[method] = {"seeds": len(runs)}
        for ratio in runs[0]:
            for score in ("micro_f1", "macro_f1"):
                values = [run[ratio][score] for run in runs]
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                found[method][f"{score} at {ratio}"] = {"mean": statistics.fmean(values), "std": spread}
    return found


def main() -> None:
    """Trains what the file lacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="deepwalk,line,node2vec")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "skipgram-blogcatalog.json")
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    kept = read_json(chosen.out)["rows"] if chosen.out.is_file() else []
    for seed in range(chosen.seeds):
        for method in chosen.methods.split(","):
            if any((row["method"], row["seed"]) == (method, seed) for row in kept):
                continue
            kept.append(run_once(method, seed, {}))
            facts = {"threads": chosen.threads, "protocol": "deepwalk, C = 1, 5 shuffles", "machine": circumstances()}
            write_json(chosen.out, {**facts, "summary": summary(kept), "rows": kept})
            print(method, seed, kept[-1]["scores"], f"{kept[-1]['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
