"""Judging embeddings: probes, cluster, link and label scores, statistics over seeds; arrays in, plain numbers out.

Names load on first use (PEP 562), so that importing this package loads neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "AlignmentMetric": "graphrep.eval.metrics",
    "ClassificationMetric": "graphrep.eval.metrics",
    "ClassificationScores": "graphrep.eval.classification",
    "ClusterScores": "graphrep.eval.clustering",
    "ClusterScoresMetric": "graphrep.eval.metrics",
    "Comparison": "graphrep.eval.report",
    "EvalWarning": "graphrep.eval._result",
    "HEURISTICS": "graphrep.eval.heuristics",
    "Heuristic": "graphrep.eval.heuristics",
    "LinkIntervals": "graphrep.eval.linkpred",
    "LinkScores": "graphrep.eval.linkpred",
    "LinkScoresMetric": "graphrep.eval.metrics",
    "LogisticModel": "graphrep.eval.logistic",
    "Metric": "graphrep.eval.metrics",
    "MultilabelMetric": "graphrep.eval.metrics",
    "MultilabelScores": "graphrep.eval.multilabel",
    "NearestIndex": "graphrep.eval.neighbors",
    "PartitionScores": "graphrep.eval.partition",
    "ProbeResult": "graphrep.eval._probe_result",
    "ProbeRow": "graphrep.eval._probe_result",
    "RankMeMetric": "graphrep.eval.metrics",
    "RankingScores": "graphrep.eval.ranking",
    "ReconstructionScores": "graphrep.eval.reconstruct",
    "Result": "graphrep.eval._result",
    "Summary": "graphrep.eval.report",
    "TopKMetric": "graphrep.eval.metrics",
    "UniformityMetric": "graphrep.eval.metrics",
    "adamic_adar": "graphrep.eval.heuristics",
    "alignment": "graphrep.eval.spectrum",
    "classification_scores": "graphrep.eval.classification",
    "cluster_scores": "graphrep.eval.clustering",
    "common_neighbor_count": "graphrep.eval.heuristics",
    "compare": "graphrep.eval.report",
    "davies_bouldin": "graphrep.eval.partition",
    "effective_rank": "graphrep.eval.spectrum",
    "heart_negatives": "graphrep.eval.heart",
    "heuristic_scores": "graphrep.eval.heuristics",
    "holm": "graphrep.eval.report",
    "jaccard": "graphrep.eval.heuristics",
    "katz": "graphrep.eval.heuristics",
    "kmeans": "graphrep.eval.clustering",
    "linear_probe": "graphrep.eval.probe",
    "link_intervals": "graphrep.eval.linkpred",
    "link_scores": "graphrep.eval.linkpred",
    "logistic_regression": "graphrep.eval.logistic",
    "mean_feature_std": "graphrep.eval.spectrum",
    "multilabel_scores": "graphrep.eval.multilabel",
    "pagerank_proximity": "graphrep.eval.heuristics",
    "participation_ratio": "graphrep.eval.spectrum",
    "partition_scores": "graphrep.eval.partition",
    "preferential_attachment": "graphrep.eval.heuristics",
    "rank_items": "graphrep.eval.ranking",
    "rankme": "graphrep.eval.spectrum",
    "reconstruction": "graphrep.eval.reconstruct",
    "resource_allocation": "graphrep.eval.heuristics",
    "silhouette": "graphrep.eval.partition",
    "stable_rank": "graphrep.eval.spectrum",
    "summarize": "graphrep.eval.report",
    "topk_metrics": "graphrep.eval.ranking",
    "uniformity": "graphrep.eval.spectrum",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports public names on first use."""
    if name == "metrics":
        return importlib.import_module("graphrep.eval.metrics")
    if name not in _NAMES:
        raise AttributeError(f"module 'graphrep.eval' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
