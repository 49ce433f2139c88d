"""Whether the size of HeCo's vectors holds back their probe: as they are, ten times as large, of unit variance.

``python -m benchmarks.heco_scale acm`` trains with the recipe, seed 0, and writes ``results/hetero-heco-scale.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.machine import circumstances, write_json
from graphrep import load
from graphrep.cli.judging import judge_probe_splits
from graphrep.cli.system import use_threads
from graphrep.cli.typed import named_splits
from graphrep.methods import HeCo
from graphrep.recipes import recipe

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Trains, scales, judges and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "hetero-heco-scale.json")
    chosen = parser.parse_args()
    use_threads(1)
    found, graph = recipe(f"heco/{chosen.dataset}"), load(f"hetero/{chosen.dataset}")
    options = {name: found.eval[name] for name in ("lr", "weight_decay")}
    model = HeCo(**{**found.params, "seed": 0}).fit(graph)
    z, y = model.embedding_.numpy(), np.asarray(graph.y)
    rows = {}
    for name, scaled in {"as they are": z, "times 10": 10 * z, "unit variance": (z - z.mean(0)) / z.std(0)}.items():
        probe = judge_probe_splits(scaled, y, "dmgi", options, named_splits(graph, chosen.dataset))
        rows[name] = {row["split"]: row["macro_f1"] for row in probe["rows"]}
        print(name, rows[name], flush=True)
    facts = {"dataset": chosen.dataset, "epochs": len(model.history_.epochs), "deviation": float(z.std(0).mean())}
    write_json(chosen.out, {**facts, "macro_f1": rows, "machine": circumstances()})


if __name__ == "__main__":
    main()
