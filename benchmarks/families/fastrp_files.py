"""From an edge file to a file of vectors: `graphrep embed` against a pycleora script, each a process of its own."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.families.fastrp_rivals import RIVALS, edge_file, threads
from benchmarks.graphs import BenchGraph, load_graph
from benchmarks.measure import Plan, rotation, summarise
from benchmarks.registry import OURS, unavailable

__all__ = ["commands", "measure_files"]

WEIGHTS = (1.0, 1.0, 7.81, 45.28)
BETA = -0.628
# The fastest way through pycleora's public functions that we found; its own command line whitens and takes longer.
_PYCLEORA = """
import sys
import pycleora
from pycleora.io_utils import save_embeddings
source, out, dim, iterations, workers = sys.argv[1:]
graph = pycleora.SparseMatrix.from_files([source], "source target", num_workers=int(workers))
z = pycleora.embed(graph, int(dim), int(iterations), whiten=False, num_workers=int(workers))
save_embeddings(graph, z, out)
"""
# Starts the program from a small process: a child's peak memory counts that of the process it was forked from.
_LAUNCHER = """
import json, os, sys, time
start = time.perf_counter()
process = os.fork()
if process == 0:
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(process, 0)
report = [time.perf_counter() - start, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)]
open(sys.argv[1], "w").write(json.dumps(report))
"""
_CASES = (("tiny", "tiny-powerlaw", 16), ("small", "blogcatalog", 128), ("large", "powerlaw-1m", 256))


def commands(edges: Path, folder: Path, dim: int) -> dict[str, list[str]]:
    """The programs, by name; each reads `edges` and writes `folder`/name.npz."""
    program = str(Path(sys.executable).with_name("graphrep"))
    weights = ",".join(str(w) for w in WEIGHTS)
    ours = [
        program, "embed", str(edges), "--dim", str(dim), "--weights", weights, "--set", f"degree_exponent={BETA}",
        "--threads", str(threads()), "--out", str(folder / f"{OURS}.npz"), "--run-dir", str(folder / "run"), "--quiet",
    ]  # fmt: skip
    theirs = [
        sys.executable, "-c", _PYCLEORA, str(edges), str(folder / "pycleora.npz"), str(dim), str(len(WEIGHTS)),
        str(threads()),
    ]  # fmt: skip
    return {OURS: ours, "pycleora": theirs}


def _run(command: list[str], folder: Path) -> tuple[float, int, str]:
    """(seconds, peak resident bytes of the process, error text or "")."""
    report = folder / "report.json"
    with (folder / "stderr.txt").open("w+") as errors:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(report), *command]
        subprocess.run(launcher, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder, check=True)
        errors.seek(0)
        text = errors.read().strip()
    seconds, peak, code = json.loads(report.read_text())
    last = " / ".join(text.splitlines()[-3:]) or f"exit status {code}"
    return seconds, peak, "" if code == 0 else last


def _problem(path: Path, graph: BenchGraph, dim: int) -> str:
    """Why a written file is not an embedding of the graph, or "" (every connected node once, finite vectors)."""
    with np.load(path, allow_pickle=False) as archive:
        names = ("ids", "vectors") if "ids" in archive else ("entity_ids", "embeddings")
        ids, vectors = (archive[name] for name in names)
    expected = np.flatnonzero(graph.degree > 0)
    if not np.array_equal(np.sort(ids.astype(np.int64)), expected):
        return f"{ids.size} ids where the graph has {expected.size} connected nodes, or other ids"
    if vectors.shape != (ids.size, dim) or vectors.dtype != np.float32:
        return f"vectors of shape {vectors.shape}, {vectors.dtype}"
    return "" if bool(np.isfinite(vectors).all()) else "vectors that are not finite"


def _agrees_with_python(path: Path, graph: BenchGraph, dim: int) -> float:
    """Largest difference between the written vectors and the estimator on the same graph in memory."""
    import torch

    from graphrep.kernels import CSR
    from graphrep.methods import FastRP

    csr = CSR(torch.from_numpy(graph.rowptr), torch.from_numpy(graph.col), num_cols=graph.num_nodes)
    expected = FastRP(dim, WEIGHTS, degree_exponent=BETA).fit_transform(csr).numpy()
    with np.load(path, allow_pickle=False) as archive:
        ids, vectors = archive["ids"].astype(np.int64), archive["vectors"]
    return float(np.abs(vectors - expected[ids]).max(initial=0.0))


def _rounds(plan: Plan, graph: BenchGraph, dim: int, folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """samples[name] = [(seconds, peak)], and the records of what failed."""
    programs = commands(edge_file(graph), folder, dim)
    if plan.only is not None:
        programs = {name: command for name, command in programs.items() if name == OURS or name in plan.only}
    missing = unavailable(RIVALS["pycleora"])
    if missing is not None:
        programs.pop("pycleora", None)
    samples: dict[str, list[tuple[float, int]]] = {name: [] for name in programs}
    failed: dict[str, dict[str, Any]] = (
        {} if missing is None else {"pycleora": {"status": "skipped", "reason": missing}}
    )
    for number in range(min(plan.repeats, 3)):
        for name in rotation(list(programs), number):
            if name in failed or (samples[name] and name != OURS and samples[name][0][0] > 60):
                continue
            shutil.rmtree(folder / "run", ignore_errors=True)
            (folder / f"{name}.npz").unlink(missing_ok=True)
            seconds, peak, problem = _run(programs[name], folder)
            problem = problem or _problem(folder / f"{name}.npz", graph, dim)
            if problem:
                failed[name] = {"status": "failed", "reason": problem[:300]}
            else:
                samples[name].append((seconds, peak))
            print(f"  file to file {graph.name} {name}: {seconds:.2f} s {problem}", file=sys.stderr, flush=True)
    return samples, failed


def _entry(size: str, graph: BenchGraph, dim: int, plan: Plan) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": f"{graph.name}/d{dim}/file-to-file", "size": size, "mode": "alternating processes", "tolerance": 1e-4,
        "params": {"graph": graph.name, "dim": dim, "weights": list(WEIGHTS), "beta": BETA}, "graph": graph.facts(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="graphrep-bench-") as name:
        folder = Path(name)
        samples, failed = _rounds(plan, graph, dim, folder)
        written = folder / f"{OURS}.npz"
        error = _agrees_with_python(written, graph, dim) if written.is_file() and size != "large" else None
    if OURS in failed:
        return {**entry, "status": "failed", "methods": {OURS: failed[OURS]}}
    if error is not None and not error <= entry["tolerance"]:
        record = {"status": "wrong", "error": error, "reason": "the file differs from the estimator's result"}
        return {**entry, "status": "wrong", "methods": {OURS: record}}
    ours = [seconds for seconds, _ in samples[OURS]]
    methods: dict[str, Any] = dict(failed)
    for name, pairs in samples.items():
        if name in failed:
            continue
        times = [seconds for seconds, _ in pairs]
        ratios = [rival / own for rival, own in zip(times, ours, strict=False)]
        peak = max(peak for _, peak in pairs)
        methods[name] = {
            "status": "ok", "seconds": summarise(times), "ratio": float(np.median(ratios)), "ratio_samples": ratios,
            "calls_per_sample": 1, "process_peak_bytes": peak, "error": error if name == OURS else None,
            "peak_over_output": peak / (graph.num_nodes * dim * 4),
            "note": "whole process, interpreter and imports included",
        }  # fmt: skip
    return {**entry, "status": "ok", "methods": methods}


def measure_files(options: argparse.Namespace, plan: Plan) -> list[dict[str, Any]]:
    """One entry per graph."""
    return [
        _entry(size, load_graph(key), dim, plan)
        for size, key, dim in _CASES
        if size in options.sizes and options.filter in f"{key}/d{dim}/file-to-file"
    ]
