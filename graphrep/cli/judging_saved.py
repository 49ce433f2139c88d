"""The protocols of `graphrep eval` that need no classifier: saved clusters and scores, reconstruction, spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphrep.errors import MissingLabelsError

__all__ = ["judge_assignments", "judge_reconstruction", "judge_scores", "judge_spectrum"]

Array = np.ndarray[Any, Any]


def judge_assignments(c: Array, y: Array | None, edges: Array | None) -> dict[str, Any]:
    """Given clusters (N,) against classes (N,) and on a graph's edges (2, E) of these nodes, whichever there are.

    Raises:
        MissingLabelsError: neither is there, or the nodes have several labels each.
    """
    from graphrep.eval import cluster_scores, partition_scores

    if y is None and edges is None:
        raise MissingLabelsError(
            "Clusters are judged against labels or on a graph.", hint="--labels FILE.csv, --dataset NAME, or both"
        )
    found: dict[str, Any] = {"protocol": "clusters", "k": len(np.unique(c))}
    about = f"protocol clusters: {len(c)} given assignments, {found['k']} clusters"
    if y is not None:
        if y.ndim == 2:
            raise MissingLabelsError(
                "Protocol clusters needs one label per node; these nodes have several.", hint="another --labels FILE"
            )
        scores = cluster_scores(y, c).to_dict()
        found |= {name: value for name, value in scores.items() if name not in ("kind", "num_clusters")}
        about += f", {scores['num_scored']} labelled nodes of {scores['num_classes']} classes"
    if edges is not None:
        parts = partition_scores(edges, c)
        found |= {
            "modularity": parts.modularity,
            "coverage": parts.coverage,
            "conductance_mean": parts.conductance_mean,
            "conductance": parts.conductance,
            "clusters_without_edges": parts.num_undefined,
        }
        about += f", {edges.shape[1]} edges"
    return {**found, "about": f"{about}, a single run"}


def judge_scores(pos: Array, neg: Array) -> dict[str, Any]:
    """AUC, AP, Hits@K and MRR of given scores: negatives (m,) pooled, or (n, M) each positive's own."""
    from graphrep.eval import link_scores

    result = link_scores(pos, neg)
    own = "of its own for each" if result.negatives == "per positive" else "pooled"
    about = f"protocol links: {result.num_pos} given scores of links against {result.num_neg} negatives {own}"
    names = (
        "auc",
        "ap",
        "hits",
        "mrr",
        "mrr_optimistic",
        "mrr_pessimistic",
        "mean_rank",
        "num_pos",
        "num_neg",
        "negatives",
    )
    found = {name: getattr(result, name) for name in names}
    return {"protocol": "links", "about": f"{about}, a single run", **found}


def judge_reconstruction(
    z: Array,
    edges: Array,
    *,
    similarity: str,
    hops: Sequence[int],
    pair_ks: Sequence[int],
    node_ks: Sequence[int],
    sources: int | None,
    seed: int,
) -> dict[str, Any]:
    """MAP by hop and precision of the graph's own edges; a pair_k of 0 stands for the number of edges."""
    from graphrep.eval import reconstruction

    low, high = edges.min(0), edges.max(0)
    count = len(np.unique((low * len(z) + high)[low != high]))
    pairs = sorted({k or count for k in pair_ks})
    result = reconstruction(
        z, edges, hops=hops, similarity=similarity, pair_ks=pairs, node_ks=node_ks, sources=sources, seed=seed
    )
    drawn = (
        f"{result.num_sources} random source nodes of {result.num_nodes}" if result.sampled else "every node a source"
    )
    about = f"protocol reconstruction: {result.num_edges} edges, {similarity}, {drawn}"
    about += ", 95 % bootstrap interval over sources" if result.sampled else ""
    found = {name: value for name, value in result.to_dict().items() if name != "kind"}
    return {"protocol": "reconstruction", "about": about, **found, "std_over": "sources (95 % bootstrap interval)"}


def judge_spectrum(z: Array, edges: Array | None, *, seed: int) -> dict[str, Any]:
    """Quality without labels; with a graph's edges (2, E) also the alignment of linked nodes."""
    import graphrep.eval as judge

    names = ("rankme", "effective_rank", "stable_rank", "participation_ratio", "mean_feature_std")
    found: dict[str, Any] = {name: getattr(judge, name)(z) for name in names}
    found["uniformity"] = judge.uniformity(z, seed=seed)
    about = f"protocol spectrum: {z.shape[0]} x {z.shape[1]} vectors, no labels"
    if edges is not None:
        low, high = edges.min(0), edges.max(0)
        keys = np.unique((low * len(z) + high)[low != high])
        found["alignment"] = _alignment(z, keys // len(z), keys % len(z))
        about += f", alignment of {len(keys)} links"
    return {"protocol": "spectrum", "about": f"{about}, a single run", **found, "dim": int(z.shape[1]), "seed": seed}


def _alignment(z: Array, low: Array, high: Array) -> float:
    """Alignment of linked rows, a block of links at a time."""
    from graphrep.eval import AlignmentMetric

    metric = AlignmentMetric()
    for start in range(0, len(low), 1 << 16):
        part = slice(start, start + (1 << 16))
        metric.update(z[low[part]], z[high[part]])
    value: float = metric.compute()
    return value
