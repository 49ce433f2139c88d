"""LightGCL, LightGCN and SimGCL tuned in one frame: as many settings each, judged by validation pairs, then seeds.

``python -m benchmarks.recommend_tuned lastfm`` trains every setting of the grid with seed 0 and keeps, per method, the
one of the best Recall@20 on held-out training pairs; that one is trained again with every seed and looks at the test
pairs, once. Each finished run is in ``results/recommend-tuned-lastfm.json`` at once, and is not repeated. With
``--settings-of lastfm`` the settings that were chosen there are taken over, untuned, for a set too large to tune on.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import circumstances, write_json
from graphrep import load
from graphrep.cli.benching_recommend import METRICS, recommend_run
from graphrep.cli.system import use_threads
from graphrep.recipes import recipe
from graphrep.registry import METHODS

__all__ = ["GRIDS"]

RESULTS = Path(__file__).parent / "results"
GRIDS: dict[str, dict[str, list[Any]]] = {  # twelve settings each
    "lightgcl": {"lr": [1e-3, 4e-3], "temperature": [0.2, 0.5], "cl_weight": [0.01, 0.05, 0.2]},
    "lightgcn": {"lr": [1e-3, 4e-3], "num_layers": [2, 3], "reg_weight": [1e-5, 1e-4, 1e-3]},
    "simgcl": {"lr": [1e-3, 4e-3], "temperature": [0.2, 0.5], "cl_weight": [0.02, 0.1, 0.5]},
}


def _settings(method: str, lr: float | None) -> list[dict[str, Any]]:
    grid = {**GRIDS[method], **({} if lr is None else {"lr": [lr]})}
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _chosen(dataset: str, method: str) -> dict[str, Any]:
    """What the validation pairs of another set chose."""
    rows = json.loads((RESULTS / f"recommend-tuned-{dataset}.json").read_text())["rows"]
    tried = [row for row in rows if row["method"] == method and row["seed"] == 0 and row["scores"]]
    found: dict[str, Any] = max(tried, key=lambda row: float(row["validation_recall"]))["setting"]
    return found


def main() -> None:
    """Tunes, trains and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--methods", default=",".join(GRIDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--patience", type=int, default=60, help="epochs; it looks at every third")
    parser.add_argument("--lr", type=float, help="of all settings, where the grid is too much")
    parser.add_argument("--settings-of", help="data set whose chosen settings are taken over")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path)
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    data = load(chosen.dataset)
    out = chosen.out or RESULTS / f"recommend-tuned-{chosen.dataset}.json"
    rows = json.loads(out.read_text())["rows"] if out.exists() else []
    common = {"epochs": chosen.epochs, "patience": chosen.patience, "eval_every": 3}

    def trained(method: str, setting: dict[str, Any], seed: int) -> dict[str, Any]:
        """The row of that run, from the file where it is there."""
        key = {"method": method, "setting": setting, "seed": seed}
        for row in rows:
            if all(row[name] == value for name, value in key.items()):
                return row
        params = {**recipe(f"{method}/{chosen.dataset}").params, **common, **setting, "seed": seed}
        rows.append({**key, **recommend_run(METHODS[method].load(), params, data)})
        rows[-1].pop("fingerprint")
        write_json(out, {"dataset": chosen.dataset, "common": common, "rows": rows, "machine": circumstances()})
        found = rows[-1]
        print(method, setting, "seed", seed, "validation", found.get("validation_recall"), "epochs",
              found.get("epochs"), f"{found['seconds']:.0f} s", flush=True)  # fmt: skip
        return found

    def by_validation(method: str, setting: dict[str, Any]) -> float:
        found = trained(method, setting, 0)
        return found["validation_recall"] if found["scores"] else -1.0

    for method in chosen.methods.split(","):
        if chosen.settings_of:
            best = _chosen(chosen.settings_of, method)
        else:
            best = max(_settings(method, chosen.lr), key=lambda setting: by_validation(method, setting))
        runs = [trained(method, best, seed)["scores"]["users"] for seed in range(chosen.seeds)]
        means = (f"{name} {100 * np.mean(values):.2f}+-{100 * np.std(values, ddof=1):.2f}"
                 for name in METRICS for values in [[run[name] for run in runs]])  # fmt: skip
        print("CHOSEN", method, best, *means, flush=True)


if __name__ == "__main__":
    main()
