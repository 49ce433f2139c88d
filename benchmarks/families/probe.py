"""The linear probe of the `grace` protocol: all C, folds and classes as one batched problem, against scikit-learn.

Coauthor CS (18,333 nodes, 15 classes; needs GRAPHREP_DATA), vectors from a truncated SVD of twice-smoothed features.
scikit-learn is the package's own reference back end: GridSearchCV over one-vs-rest liblinear, one fit at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graphs import BenchGraph, powerlaw
from benchmarks.registry import Case, Method

__all__ = ["cases"]

SEEDS = (0, 1, 2)
TOLERANCE = 1e-3  # 0.1 points of accuracy


@dataclass(frozen=True)
class ProbeInputs:
    """z (N, d) float32, y (N,) classes, and the seeds of the splits."""

    graph: BenchGraph
    z: Any
    y: Any
    seeds: tuple[int, ...]


def _tiny() -> ProbeInputs:
    graph = powerlaw(300, 1_500, name="powerlaw-300")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    z = (np.eye(8)[y] + 0.7 * rng.standard_normal((300, 8))).astype(np.float32)
    return ProbeInputs(graph, z, y, (0,))


def _coauthor(width: int) -> ProbeInputs:
    import scipy.sparse as sp
    from sklearn.utils.extmath import randomized_svd

    import graphrep

    data = graphrep.load("coauthor_cs")
    assert data.x is not None
    assert data.y is not None
    x = data.x  # sparse CSR
    features = sp.csr_matrix((x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy()), shape=x.shape)
    csr = data.csr("in")
    rowptr, col = csr.rowptr.numpy().astype(np.int64), csr.col.numpy().astype(np.int64)
    count = data.num_nodes
    looped = sp.csr_matrix((np.ones(len(col)), col, rowptr), shape=(count, count)) + sp.eye(count)
    scale = sp.diags(1 / np.sqrt(np.asarray(looped.sum(1)).ravel()))
    smooth = scale @ looped @ scale
    u, s, _ = randomized_svd((smooth @ (smooth @ features)).tocsr(), width, random_state=0, n_iter=2)
    return ProbeInputs(BenchGraph("coauthor_cs", rowptr, col), (u * s).astype(np.float32), data.y.numpy(), SEEDS)


def _probe(backend: str) -> Callable[[ProbeInputs], Callable[[], Any]]:
    """A call that gives (3, R): micro-F1, macro-F1 and C of every split."""

    def prepare(inputs: ProbeInputs) -> Callable[[], Any]:
        from graphrep.eval import linear_probe

        def call() -> Any:
            found = linear_probe(inputs.z, inputs.y, protocol="grace", seeds=inputs.seeds, backend=backend)
            return np.array([found.micro_f1_runs, found.macro_f1_runs, found.best_c])

        return call

    return prepare


def _against_liblinear(inputs: ProbeInputs, found: Any) -> float:
    """The largest difference in F1 from the first split's classifiers at the chosen C, fitted one at a time."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    order = np.random.default_rng(inputs.seeds[0]).permutation(len(inputs.y))
    train, test = order[: len(order) // 10], order[len(order) // 10 :]
    z = inputs.z.astype(np.float64)
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-300)
    classes = np.unique(inputs.y[train])
    scores = np.column_stack(
        [
            LogisticRegression(solver="liblinear", C=found[2, 0])
            .fit(z[train], inputs.y[train] == k)
            .decision_function(z[test])
            for k in classes
        ]
    )
    said = classes[scores.argmax(1)]
    wanted = [f1_score(inputs.y[test], said, average=kind) for kind in ("micro", "macro")]
    return float(np.abs(found[:2, 0] - wanted).max())


def _difference(inputs: ProbeInputs, ours: Any, other: Any) -> float:
    return float(np.abs(ours[:2] - other[:2]).max())


def _case(name: str, size: str, inputs: Callable[[], ProbeInputs], params: dict[str, Any]) -> Case:
    note = "graphrep's reference back end: StratifiedKFold, GridSearchCV, OneVsRestClassifier, liblinear"
    return Case(
        name=name,
        family="probe",
        size=size,
        inputs=inputs,
        ours=Method(_probe("torch")),
        rivals={"scikit-learn": Method(_probe("sklearn"), needs="scikit-learn", note=note)},
        check=_against_liblinear,
        agree=_difference,
        tolerance=TOLERANCE,
        params=params,
    )


def cases() -> list[Case]:
    """A generated case to try the family, and Coauthor CS at two widths where the data root has it."""
    found = [_case("tiny/d8", "tiny", _tiny, {"graph": "powerlaw-300", "width": 8})]
    root = os.environ.get("GRAPHREP_DATA")
    if root and (Path(root) / "attributed/coauthor_cs.npz").is_file():
        for width in (128, 256):
            params = {"graph": "coauthor_cs", "width": width}
            found.append(_case(f"coauthor_cs/d{width}", "medium", lambda d=width: _coauthor(d), params))
    return found
