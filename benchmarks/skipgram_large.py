"""LINE on a generated graph of a million nodes and ten million edges: pairs a second, and the peak of memory.

``python -m benchmarks.skipgram_large --nodes 1000000 --edges 10000000`` writes ``results/skipgram-large.json``. The run
is a process of its own, so that its peak (VmHWM) counts everything: interpreter, torch, graph, tables, pools.
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


def _train(nodes: int, edges: int, method: str, epochs: int, dim: int) -> dict[str, Any]:
    """Trains in this process, on a warm cache of compiled code."""
    import torch

    from benchmarks.graphs import powerlaw
    from benchmarks.memory import status_bytes
    from graphrep import Graph
    from graphrep.registry import METHODS

    kind = METHODS[method].load()
    small = torch.arange(400)
    ring = torch.stack([small, (small + 1) % 400])
    kind(dim=dim, epochs=1).fit(Graph(torch.cat([ring, ring.flip(0)], dim=1)))
    made = powerlaw(nodes, edges)
    edge_index = torch.from_numpy(made.row()).long(), torch.from_numpy(made.col).long()
    graph = Graph(torch.stack(edge_index), num_nodes=made.num_nodes, name=made.name)
    facts = made.facts()
    del made, edge_index
    start = status_bytes("VmHWM")
    biased = {"p": 0.25, "q": 0.25} if method == "node2vec" else {}  # with 1 and 1 its walks are DeepWalk's
    model = kind(dim=dim, epochs=epochs, **biased).fit(graph)
    history = model.history_
    pairs = sum(log.parts["pairs"] for log in history.epochs)
    return {
        "graph": facts, "method": method, "params": model.get_params(), "pairs": pairs, "seconds": history.seconds,
        "pairs_per_second": pairs / history.seconds, "losses": history.losses,
        "peak_bytes": status_bytes("VmHWM"), "peak_bytes_before_training": start,
        "estimated_bytes": model.estimate(graph.num_nodes, graph.num_edges).bytes,
    }  # fmt: skip


def main() -> None:
    """Measures in a child and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=10_000_000, help="undirected; twice as many are stored")
    parser.add_argument("--method", default="line")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "skipgram-large.json")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    wanted = (chosen.nodes, chosen.edges, chosen.method, chosen.epochs, chosen.dim)
    if chosen.child:
        print(json.dumps(_train(*wanted)))
        return
    set_threads_and_allocator(chosen.threads, huge_pages=False)
    command = [sys.executable, "-m", "benchmarks.skipgram_large", "--child"]
    for name, value in zip(("nodes", "edges", "method", "epochs", "dim"), wanted, strict=True):
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    write_json(chosen.out, {"threads": chosen.threads, **found, "machine": circumstances()})
    print(
        f"{found['pairs_per_second']:.0f} pairs/s, peak {found['peak_bytes'] / 2**30:.2f} GiB, loss {found['losses']}"
    )


if __name__ == "__main__":
    main()
