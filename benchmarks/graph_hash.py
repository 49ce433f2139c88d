"""GraphHash beside plain hashes at a quarter of the rows: matrix factorisation by full-batch BPR, all items ranked.

``python -m benchmarks.graph_hash gowalla`` follows the published protocol (d = 64, one step an epoch, patience 50)
with training pairs held out for the stop, and writes ``results/graph-hash-gowalla.json`` after every method.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, write_json
from graphrep import load
from graphrep.cli.benching_recommend import recommend_run
from graphrep.cli.system import use_threads
from graphrep.methods import MF, GraphHash

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Clusters, trains and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--methods", default="graph,modulo,double,none")
    parser.add_argument("--rows", type=float, default=0.25, help="share of the rows that are kept")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path)
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    data = load(chosen.dataset)
    out = chosen.out or RESULTS / f"graph-hash-{chosen.dataset}.json"
    common: dict[str, Any] = {"batch_size": 1 << 30, "reg_weight": 0.0, "lr": chosen.lr, "epochs": chosen.epochs}
    common |= {"patience": 50, "eval_every": 10, "seed": chosen.seed, "compression_rows": chosen.rows}
    rows = []
    for method in chosen.methods.split(","):
        row: dict[str, Any] = {"compression": method}
        if method != "none":
            began = time.perf_counter()
            hashes = GraphHash(method=method, target_size=chosen.rows, seed=chosen.seed)
            hashes.fit(data.csr("train"))
            row |= {"seconds_of_hashing": time.perf_counter() - began, "rows": list(hashes.num_rows_)}
        row |= recommend_run(MF, {**common, "compression": method}, data)
        rows.append(row)
        write_json(out, {"dataset": chosen.dataset, "settings": common, "rows": rows, "machine": circumstances()})
        print({name: row[name] for name in ("compression", "scores", "epochs", "seconds")}, flush=True)


if __name__ == "__main__":
    main()
