"""Which auto-encoder to start from: the evidence without labels beside the accuracy of the k-means clusters.

``python -m benchmarks.starts acm --seeds 6`` trains one auto-encoder per seed for 30 epochs, as SCGC and PamC do,
and writes ``results/starts-acm-none.json``. The labels judge; the evidence does not see them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import circumstances, write_json
from graphrep import load
from graphrep.eval import cluster_scores, kmeans
from graphrep.methods import select_partition
from graphrep.methods._pretraining import PretrainTask, encode, row_length, scaled_rows
from graphrep.nn import AutoEncoder
from graphrep.train import TrainConfig, seeded, train

__all__ = ["measure"]

RESULTS = Path(__file__).parent / "results"


def measure(dataset: str, *, seeds: int, scale: str = "none", epochs: int = 30) -> dict[str, Any]:
    """A row per seed: loss of the auto-encoder, evidence of its clusters, ACC and NMI in percent."""
    graph = load(dataset)
    assert graph.x is not None
    y = np.asarray(graph.y)
    x = scaled_rows(graph.x, scale, torch.float32, length=row_length(graph.x))
    rows = []
    for seed in range(seeds):
        with seeded(seed):
            auto = AutoEncoder(graph.num_features, (500, 500, 2000), 10)
        config = TrainConfig(epochs=epochs, lr=1e-3, stop="none", eval_every=0, seed=seed)
        history = train(PretrainTask([auto], x, 256, dataset), config)
        labels = kmeans(encode(auto.encoder, x).double(), len(np.unique(y)), n_init=20, seed=seed)
        found, evidence = cluster_scores(y, labels), select_partition(graph, {"start": labels}).evidence["start"]
        row = {"seed": seed, "loss": history.losses[-1], "evidence": evidence.score}
        rows.append({**row, "acc": 100 * found.acc, "nmi": 100 * found.nmi})
        print("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()), flush=True)
    return {"dataset": dataset, "scale_features": scale, "epochs": epochs, "rows": rows}


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scale", default="none")
    chosen = parser.parse_args()
    result = measure(chosen.dataset, seeds=chosen.seeds, scale=chosen.scale)
    name = f"starts-{chosen.dataset.rpartition('/')[2]}-{chosen.scale}.json"
    write_json(RESULTS / name, {**result, "machine": circumstances()})


if __name__ == "__main__":
    main()
