"""Peak memory of LM-GNN's joint steps by the number of live nodes: ``python -m benchmarks.lmgnn_memory``.

A language model of MiniLM's shape (6 layers of 384, random weights) on texts of 64 tokens over a random graph.
Each budget is a process of its own. The peak (VmHWM) is set back after the first step, so that it is that of steps
alone: encoding of the cache, imports and the optimizer's state lie before. Writes ``results/lmgnn-memory.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, set_threads_and_allocator, write_json

__all__: list[str] = []

RESULTS = Path(__file__).parent / "results"
NODES, DEGREE, TOKENS, VOCABULARY = 600, 6, 64, 4000
SEEDS, FANOUT = 64, (10, 10)


def _graph() -> Any:
    import numpy as np
    import torch

    from graphrep import Graph

    rng = np.random.default_rng(0)
    links = torch.from_numpy(rng.integers(NODES, size=(2, NODES * DEGREE // 2)))
    words = rng.integers(5, VOCABULARY, size=(NODES, TOKENS))
    texts = [" ".join(map(str, row)) for row in words]
    y = torch.from_numpy(rng.integers(4, size=NODES))
    return Graph(links[:, links[0] != links[1]], num_nodes=NODES, y=y, text=texts).to_undirected()


def _model() -> Any:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    return BertModel(BertConfig(vocab_size=VOCABULARY, **shape), add_pooling_layer=False)


def _tokens(texts: list[str]) -> list[list[int]]:
    return [[int(word) for word in text.split()] for text in texts]


def _measure(live_nodes: int, checkpointing: bool, precision: str) -> dict[str, Any]:
    from benchmarks.memory import status_bytes
    from graphrep.methods import LMGNN
    from graphrep.train import Callback

    class Watch(Callback):
        """Resident bytes after the first step, and the highest ones of the later steps."""

        rest = peak = steps = 0

        def step_done(self, epoch: int, step: int, loss: float) -> None:
            self.steps += 1
            if self.steps == 1:
                Path("/proc/self/clear_refs").write_text("5")
                self.rest = status_bytes("VmRSS")
            else:
                self.peak = status_bytes("VmHWM")

    watch = Watch()
    LMGNN(
        _model(), tokenizer=_tokens, stages=("joint",), dim=64, text_length=TOKENS, lm_layers=None, batch_size=SEEDS,
        num_neighbors=FANOUT, live_nodes=live_nodes, gradient_checkpointing=checkpointing, precision=precision,
    ).fit(_graph(), callbacks=[watch])  # fmt: skip
    return {
        "live_nodes": live_nodes, "gradient_checkpointing": checkpointing, "precision": precision,
        "steps": watch.steps, "rest_bytes": watch.rest, "peak_bytes": watch.peak,
        "step_bytes": watch.peak - watch.rest,
    }  # fmt: skip


def main() -> None:
    """One process for each budget, and the same with checkpointing for the largest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", type=lambda text: [int(n) for n in text.split(",")], default=[8, 32, 128, -1])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "lmgnn-memory.json")
    options = parser.parse_args()
    set_threads_and_allocator(options.threads, huge_pages=False)
    if options.child:
        print(json.dumps(_measure(options.child[0], bool(options.child[1]), options.precision)))
        return
    runs = []
    for budget, checkpointing in [*((n, 0) for n in options.budgets), (max(options.budgets), 1)]:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.lmgnn_memory", "--precision", options.precision]
        command += ["--threads", str(options.threads), "--child", str(budget), str(checkpointing)]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(child.stdout.splitlines()[-1]))
        print(runs[-1], flush=True)
        write_json(options.out, {
            "nodes": NODES, "tokens_per_text": TOKENS, "seeds": SEEDS, "fan_out": FANOUT, "threads": options.threads,
            "machine": circumstances(), "runs": runs,
        })  # fmt: skip


if __name__ == "__main__":
    main()
