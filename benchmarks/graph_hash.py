"""GraphHash beside plain hashes at a quarter of the rows: matrix factorisation by BPR, d = 64, all items ranked.

``python -m benchmarks.graph_hash gowalla`` trains each with training pairs held out for the stop, and writes
``results/graph-hash-gowalla.json`` after every method; methods that are in the file are not repeated. The published
protocol takes one step an epoch (``--batch-size 0 --epochs 1000 --patience 50``), which is many passes over the pairs.
"""

from __future__ import annotations

import argparse
import json
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
    parser.add_argument("--batch-size", type=int, default=16384, help="pairs of a step; 0: all")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--patience", type=int, default=10, help="epochs; it looks at every fifth")
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path)
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    data = load(chosen.dataset)
    out = chosen.out or RESULTS / f"graph-hash-{chosen.dataset}.json"
    common: dict[str, Any] = {"batch_size": chosen.batch_size or 1 << 30, "reg_weight": 0.0, "lr": chosen.lr}
    common |= {"epochs": chosen.epochs, "patience": chosen.patience, "eval_every": 5, "seed": chosen.seed}
    common |= {"compression_rows": chosen.rows}
    known = json.loads(out.read_text()) if out.exists() else {}
    rows = known["rows"] if known.get("settings") == common else []
    for method in chosen.methods.split(","):
        if any(row["compression"] == method for row in rows):
            continue
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
