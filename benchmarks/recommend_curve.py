"""Learning curves of LightGCL with the settings of the authors' program: test scores while it trains, nothing chosen.

``python -m benchmarks.recommend_curve lastfm --seeds 3 --epochs 60 --every 5`` trains on all training pairs, as the
authors do, and writes ``results/recommend-curve-lastfm.json`` after every look. ``--cpu-hours 2`` ends a run early.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import circumstances, write_json
from graphrep import load
from graphrep.cli.system import peak_memory, use_threads
from graphrep.eval import topk_metrics
from graphrep.methods import LightGCL
from graphrep.train import Callback, EpochLog

__all__ = ["OFFICIAL", "Curve"]

RESULTS = Path(__file__).parent / "results"
KS = (20, 40)
OFFICIAL: dict[str, Any] = {  # of the authors' program: two iterations of the decomposition, no pairs held out
    "svd_iters": 2, "svd_oversample": 0, "svd_component": "all", "eval_every": 0, "validation": None,
}  # fmt: skip


class Curve(Callback):
    """Test scores after every `every` epochs, the first and the last; CPU seconds do not count the looking."""

    def __init__(self, model: LightGCL, data: Any, every: int, keep: Any) -> None:
        self.model, self.data, self.every, self.keep = model, data, every, keep
        self.rows: list[dict[str, float]] = []
        self.looking = 0.0
        self.began = time.process_time()

    def seconds(self) -> float:
        """CPU seconds of the training so far."""
        return time.process_time() - self.began - self.looking

    def epoch_done(self, log: EpochLog) -> None:
        """Looks, and hands the row on."""
        if log.epoch % self.every and log.epoch != 1:
            return
        began, spent = time.process_time(), self.seconds()
        with torch.no_grad():
            users, items = self.model.module_()
        test = self.data.csr("test")
        found = topk_metrics(users, items, self.data.csr("train"), test, ks=KS, block_size=512)
        row: dict[str, float] = {"epoch": log.epoch, "loss": log.loss, "cpu_seconds": round(spent, 1)}
        row |= {f"{name}@{k}": getattr(found, name)[k] for k in KS for name in ("recall", "ndcg")}
        self.rows.append(row)
        self.keep(row)
        self.looking += time.process_time() - began


def main() -> None:
    """Trains, looks and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reg-weight", type=float, default=1e-7)
    parser.add_argument("--cpu-hours", type=float, default=float("inf"), help="of one seed")
    parser.add_argument("-o", "--out", type=Path)
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    data = load(chosen.dataset)
    settings = {**OFFICIAL, "epochs": chosen.epochs, "reg_weight": chosen.reg_weight}
    out = chosen.out or RESULTS / f"recommend-curve-{chosen.dataset}.json"
    result: dict[str, Any] = {"dataset": chosen.dataset, "settings": settings, "threads": chosen.threads, "runs": []}
    for seed in range(chosen.seeds):
        model = LightGCL(seed=seed, **settings)
        run: dict[str, Any] = {"seed": seed, "rows": []}
        result["runs"].append(run)

        def keep(row: dict[str, float], run: dict[str, Any] = run, seed: int = seed) -> None:
            run["rows"].append(row)
            run["peak_memory_bytes"] = peak_memory()
            write_json(out, {**result, "machine": circumstances()})
            print(f"seed {seed}", *(f"{name} {value:.4g}" for name, value in row.items()), sep="  ", flush=True)

        curve = Curve(model, data, chosen.every, keep)
        model.fit(data, callbacks=[curve], should_stop=lambda curve=curve: curve.seconds() > 3600 * chosen.cpu_hours)


if __name__ == "__main__":
    main()
