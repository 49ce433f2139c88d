"""MEOW on a generated heterogeneous graph of many targets: seconds, peak memory, and scores before and after.

``python -m benchmarks.large_hetero --targets 200000`` writes ``results/hetero-large.json``. A step contrasts nodes
drawn anew (`batch_size`), the whole graph is encoded for it. The planted classes are read off by logistic regression on
one node in a hundred (protocol deepwalk), from the vectors and from the features alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, write_json
from benchmarks.typed_graphs import PATHS, generated
from graphrep.cli.system import peak_memory, use_threads
from graphrep.eval import linear_probe
from graphrep.methods import MEOW
from graphrep.train import Callback, EpochLog

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"


class Clock(Callback):
    """When each epoch ended, and the loss."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.rows: list[dict[str, float]] = []

    def epoch_done(self, log: EpochLog) -> None:
        """Keeps the row and shows it."""
        self.rows.append(
            {"epoch": log.epoch, "loss": log.loss, "seconds": round(time.perf_counter() - self.began, 1),
             "peak_memory_bytes": peak_memory()}
        )  # fmt: skip
        print(self.rows[-1], flush=True)


def main() -> None:
    """Generates, trains and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "hetero-large.json")
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    # As many objects a as three quarters of the targets, and fifty targets to an object b.
    graph = generated(chosen.targets, others={"a": chosen.targets * 3 // 4, "b": max(1, chosen.targets // 50)})
    at_start = peak_memory()
    settings: dict[str, Any] = {
        "metapaths": PATHS["tiny"], "num_neighbors": 20, "batch_size": chosen.batch_size, "num_clusters": [50, 150],
        "epochs": chosen.epochs, "lr": 2e-3, "seed": 0,
    }  # fmt: skip
    clock = Clock()
    model = MEOW(64, **settings).fit(graph, callbacks=[clock])
    seconds = time.perf_counter() - clock.began
    peak = peak_memory()
    scores = {
        name: linear_probe(z, graph.y, protocol="deepwalk", train_ratios=[0.01], seeds=[0]).micro_f1
        for name, z in {"features": graph.x["t"], "MEOW": model.embedding_}.items()
    }
    facts = {"num_nodes": dict(graph.num_nodes), "num_edges": graph.num_edges, "threads": chosen.threads}
    found = {"seconds": round(seconds, 1), "peak_memory_bytes": peak, "with_graph_alone_bytes": at_start}
    write_json(
        chosen.out,
        {"graph": facts, "settings": settings, **found, "micro_f1": scores, "epochs": clock.rows,
         "machine": circumstances()},
    )  # fmt: skip
    print(found, scores, flush=True)


if __name__ == "__main__":
    main()
