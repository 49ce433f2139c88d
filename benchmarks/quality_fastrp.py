"""Quality beside seconds: multi-label classification on BlogCatalog (DeepWalk's protocol) of embeddings of equal width.

Every embedding is standardised per column and judged with C = 0.1, the setting of the published FastRP numbers, whose
weights were tuned by its authors on this very data set; the spectral methods run with their defaults.
Run as ``python -m benchmarks.run quality`` or ``python -m benchmarks.quality_fastrp --out FILE``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graphs import BenchGraph, load_graph, powerlaw
from benchmarks.measure import summarise
from benchmarks.registry import Skip

__all__ = ["measure"]

WEIGHTS, BETA = (0.0, 0.0, 1.0, 6.67), -0.64
RATIOS = (0.1, 0.5, 0.9)
_PLAIN, _OPTION, _EXACT = "fastrp", "graphrep-spectral", "scikit-network-spectral"


@dataclass(frozen=True)
class Task:
    """A labelled graph: y (N, C) of 0 and 1."""

    graph: BenchGraph
    y: Any
    widths: tuple[int, int]


def _task(sizes: list[str]) -> Task:
    """BlogCatalog; with size "tiny" alone a generated graph with random labels, to try the script."""
    if sizes == ["tiny"]:
        graph = powerlaw(300, 1_500, name="powerlaw-300")
        return Task(graph, np.random.default_rng(0).random((300, 4)) < 0.3, (8, 16))
    root = os.environ.get("GRAPHREP_DATA")
    path = Path(root) / "embedding/blogcatalog.npz" if root else None
    if path is None or not path.is_file():
        raise Skip("needs BlogCatalog: set GRAPHREP_DATA to the data root")
    with np.load(path, allow_pickle=False) as archive:
        return Task(load_graph("blogcatalog"), archive["y"], (128, 512))


def _csr(task: Task) -> Any:
    import torch

    from graphrep.kernels import CSR

    graph = task.graph
    return CSR(torch.from_numpy(graph.rowptr), torch.from_numpy(graph.col), num_cols=graph.num_nodes)


def _fastrp(task: Task, dim: int) -> Callable[[], Any]:
    from graphrep.methods import FastRP

    csr = _csr(task)

    def call() -> Any:
        model = FastRP(dim, WEIGHTS, degree_exponent=BETA, density="auto", standardize=True, seed=0)
        return model.fit_transform(csr).numpy()

    return call


def _option(task: Task, dim: int) -> Callable[[], Any]:
    try:
        from graphrep.methods.spectral import RandomizedSpectral
    except ImportError as error:
        raise Skip(f"graphrep has no spectral option here ({error})") from error
    csr = _csr(task)
    return lambda: RandomizedSpectral(dim, seed=0).fit_transform(csr).numpy()


def _exact(task: Task, dim: int) -> Callable[[], Any]:
    try:
        from sknetwork.embedding import Spectral
    except ImportError as error:
        raise Skip(f"scikit-network is not installed ({error})") from error
    import scipy.sparse as sp

    graph, ones = task.graph, np.ones(task.graph.nnz)
    adjacency = sp.csr_matrix((ones, graph.col, graph.rowptr), shape=(graph.num_nodes, graph.num_nodes))
    return lambda: Spectral(dim).fit_transform(adjacency)


def _methods(task: Task) -> dict[str, tuple[Callable[[Task, int], Callable[[], Any]], int]]:
    narrow, wide = task.widths
    return {
        f"{_PLAIN} d={narrow}": (_fastrp, narrow),
        f"{_PLAIN} d={wide}": (_fastrp, wide),
        f"{_OPTION} d={narrow}": (_option, narrow),
        f"{_EXACT} d={narrow}": (_exact, narrow),
    }


def _standardised(z: Any) -> Any:
    deviation = z.std(axis=0)
    return (z - z.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def _scores(z: Any, y: Any) -> dict[str, dict[str, float]]:
    """Percent, means over five shuffles."""
    from graphrep.eval import linear_probe

    result = linear_probe(_standardised(z), y, protocol="deepwalk", train_ratios=RATIOS, c=0.1)
    return {
        f"{row.train_ratio:.0%}": {
            "micro_f1": 100 * row.micro_f1, "macro_f1": 100 * row.macro_f1,
            "micro_f1_std": 100 * row.micro_f1_std, "macro_f1_std": 100 * row.macro_f1_std,
        }
        for row in result.rows
    }  # fmt: skip


def _timed(call: Callable[[], Any], repeats: int, *, compiles: bool) -> tuple[Any, list[float]]:
    """The embedding and seconds per call; the first call does not count, unless it is long and compiles nothing."""
    samples: list[float] = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        z = call()
        samples.append(time.perf_counter() - start)
        if samples[0] > 5 and not compiles:
            return z, samples
    return z, samples[1:]


def _entry(name: str, task: Task, build: Any, dim: int, repeats: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "size": "small", "methods": {}}
    entry |= {"params": {"dim": dim}, "graph": task.graph.facts()}
    try:
        z, samples = _timed(build(task, dim), repeats, compiles=not name.startswith(_EXACT))
    except Skip as skip:
        return {**entry, "status": "skipped", "reason": str(skip)}
    times = summarise(samples)
    return {**entry, "status": "ok", "seconds": times["median"], "times": times, "scores": _scores(z, task.y)}


def _gap(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How much of the distance between FastRP and exact spectral embedding at equal width the option closes."""
    found = {entry["name"].split()[0]: entry for entry in reversed(entries) if entry["status"] == "ok"}
    if not {_PLAIN, _OPTION, _EXACT} <= set(found):
        return None
    plain, option, exact = (found[name] for name in (_PLAIN, _OPTION, _EXACT))
    closed = {}
    for share in exact["scores"]:
        for score in ("micro_f1", "macro_f1"):
            low, mid, high = (entry["scores"][share][score] for entry in (plain, option, exact))
            part = (mid - low) / (high - low) if high != low else None
            closed[f"{score} at {share}"] = {"gap": high - low, "closed": part}
    return {"closed": closed, "time_of_exact": option["seconds"] / exact["seconds"]}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One entry per method; the last of them carries the comparison of the spectral option."""
    try:
        task = _task(options.sizes)
    except Skip as skip:
        empty: dict[str, Any] = {"name": "blogcatalog", "size": "small", "params": {}, "methods": {}}
        return [{**empty, "status": "skipped", "reason": str(skip)}]
    entries = []
    for name, (build, dim) in _methods(task).items():
        entry = _entry(name, task, build, dim, min(options.repeats, 5))
        said = entry.get("reason") or f"{entry['seconds']:.3f} s, {entry['scores']}"
        print(f"{name}: {said}", file=sys.stderr, flush=True)
        entries.append(entry)
    comparison = _gap(entries)
    if comparison is not None:
        entries[-1]["comparison"] = comparison
    return entries


def main(arguments: list[str] | None = None) -> int:
    """The same as ``python -m benchmarks.run quality``."""
    from benchmarks.run import main as run

    return run(["quality", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
