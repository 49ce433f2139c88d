"""Edge lists read from text: `graphrep.read` against pandas' `read_csv` and `factorize`, each call in a fresh process.

Ours also sorts the ids, adds the other direction, merges repeats and counts components; pandas' part ends with edges
as numbers in order of first appearance.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graphs import cache_dir
from benchmarks.measure import rotation, summarise
from benchmarks.registry import OURS, Method, unavailable

__all__ = ["RIVALS", "measure", "row_file"]

ROWS = {"tiny": 2_000, "small": 100_000, "medium": 1_000_000, "large": 10_000_000}
KINDS = ("integer", "text")
TARGET_SECONDS, TARGET_BYTES = 30.0, 3_000_000_000
SEED = 5

_CHILD = """
import json, sys, time
import numpy as np
path, method, result = sys.argv[1:4]
if method == "graphrep":
    import graphrep as gr
    gr.Graph  # torch is loaded before the clock starts
    from graphrep.data import text
    start = time.perf_counter()
    graph = gr.read(path)
    seconds = time.perf_counter() - start
    rows, nodes = graph.report.rows, graph.num_nodes
    if result != "-":
        raw = gr.read(path, raw=True)
        edges, ids = raw.edge_index.numpy(), raw.ids
else:
    import pandas as pd
    start = time.perf_counter()
    frame = pd.read_csv(path)
    codes, ids = pd.factorize(np.concatenate([frame["source"].to_numpy(), frame["target"].to_numpy()]))
    edges = codes.reshape(2, -1)
    seconds = time.perf_counter() - start
    rows, nodes = edges.shape[1], len(ids)
if result != "-":
    ids = np.arange(nodes) if ids is None else np.asarray(ids)
    np.save(result, ids.astype(str)[edges])
print(json.dumps([seconds, rows, nodes]))
"""
# Starts the child from a small process: a child's peak memory counts that of the process it was forked from.
_LAUNCHER = """
import json, os, sys
process = os.fork()
if process == 0:
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(process, 0)
print(json.dumps([usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)]))
"""

RIVALS = {
    "pandas": Method(
        prepare=lambda inputs: lambda: inputs,
        needs="pandas",
        note="read_csv and factorize: numbers in order of first appearance; nothing is sorted, merged or mirrored",
    )
}


def row_file(kind: str, rows: int) -> Path:
    """A csv file of `rows` edges among about a tenth as many nodes, a few of them in most rows; written once.

    Integer ids have gaps; text ids look like ``user-00ab12f``, in no order.
    """
    import torch

    import graphrep as gr

    path = cache_dir() / f"rows-{kind}-{rows}-{SEED}.csv"
    if not path.is_file():
        nodes = max(10, rows // 10)
        rng = np.random.default_rng(SEED)
        ends = (nodes * rng.random((2, rows)) ** 2).astype(np.int64)
        numbers = rng.permutation(16 * nodes)[:nodes]
        ids = numbers if kind == "integer" else np.array([f"user-{v:07x}" for v in numbers.tolist()])
        path.parent.mkdir(parents=True, exist_ok=True)
        gr.write(gr.Graph(torch.from_numpy(ends), num_nodes=nodes, ids=ids, directed=True), path)
    return path


def _run(path: Path, method: str, result: str = "-") -> dict[str, Any]:
    """One call in a process of its own."""
    command = [sys.executable, "-c", _LAUNCHER, sys.executable, "-c", _CHILD, str(path), method, result]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    lines = done.stdout.strip().splitlines()
    peak, code = json.loads(lines[-1]) if lines else (0, done.returncode)
    if code != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {code}"])[-1]
        return {"status": "failed", "reason": last[:200]}
    seconds, rows, nodes = json.loads(lines[-2])
    return {
        "status": "ok", "seconds": seconds, "peak_bytes": peak, "process_seconds": time.perf_counter() - begin,
        "rows": rows, "nodes": nodes,
    }  # fmt: skip


def _difference(kind: str) -> str:
    """Why the two do not read the same rows from a small file, or ""; also compiles what there is to compile."""
    path = row_file(kind, ROWS["tiny"])
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for name in (OURS, "pandas"):
            record = _run(path, name, f"{folder}/{name}.npy")
            if record["status"] != "ok":
                return f"{name}: {record['reason']}"
            results.append(np.load(f"{folder}/{name}.npy"))
    return "" if np.array_equal(*results) else "the ids of the rows differ"


def _entry(kind: str, size: str, options: argparse.Namespace) -> dict[str, Any]:
    rows = ROWS[size]
    entry: dict[str, Any] = {
        "name": f"{kind}-ids/{rows}-rows", "size": size, "tolerance": 0.0, "mode": "alternating processes",
        "checked_on": f"{kind}-ids/{ROWS['tiny']}-rows", "params": {"graph": f"{kind} ids, {rows} rows", "seed": SEED},
    }  # fmt: skip
    missing = unavailable(RIVALS["pandas"])
    names = [OURS] if missing else [OURS, "pandas"]
    path = row_file(kind, rows)
    problem = "" if missing else _difference(kind)
    if problem:
        wrong = {"status": "wrong", "reason": problem}
        return {**entry, "status": "wrong", "methods": {OURS: wrong}}
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(max(1, min(options.repeats, 3))):
        for name in rotation(names, number):
            record = _run(path, name)
            print(
                f"  {entry['name']} {name}: {record.get('seconds', record.get('reason'))}", file=sys.stderr, flush=True
            )
            records[name].append(record)
    return {**entry, **_judged(records, missing, path)}


def _judged(records: dict[str, list[dict[str, Any]]], missing: str | None, path: Path) -> dict[str, Any]:
    failed = {name: r for name, found in records.items() for r in found if r["status"] != "ok"}
    if OURS in failed:
        return {"status": "failed", "methods": failed}
    counts = {(r["rows"], r["nodes"]) for name, found in records.items() if name not in failed for r in found}
    if len(counts) > 1:
        wrong = {"status": "wrong", "reason": f"rows and nodes differ: {sorted(counts)}"}
        return {"status": "wrong", "methods": {OURS: wrong}}
    ours = [r["seconds"] for r in records[OURS]]
    methods: dict[str, Any] = dict(failed)
    for name, found in records.items():
        if name not in failed:
            ratios = [r["seconds"] / own for r, own in zip(found, ours, strict=True)]
            methods[name] = {
                "status": "ok", "seconds": summarise([r["seconds"] for r in found]), "calls_per_sample": 1,
                "ratio": statistics.median(ratios), "ratio_samples": ratios, "error": 0.0,
                "process_seconds": statistics.median(r["process_seconds"] for r in found),
                "process_peak_bytes": max(r["peak_bytes"] for r in found),
            }  # fmt: skip
    if missing:
        methods["pandas"] = {"status": "skipped", "reason": missing}
    if "pandas" in methods:
        methods["pandas"]["note"] = RIVALS["pandas"].note
    rows, nodes = next(iter(counts))
    facts = {"rows": rows, "nodes": nodes, "file_bytes": path.stat().st_size}
    within = max(ours) < TARGET_SECONDS and methods[OURS]["process_peak_bytes"] < TARGET_BYTES
    return {"status": "ok", "methods": methods, "facts": facts, "within_30_s_and_3_gb": within}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One entry per kind of ids and size."""
    return [
        _entry(kind, size, options)
        for size in ROWS
        for kind in KINDS
        if size in options.sizes and options.filter in f"{kind}-ids/{ROWS[size]}-rows"
    ]
