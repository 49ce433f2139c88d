"""Judging embeddings: probes, cluster, link and label scores, statistics over seeds; arrays in, plain numbers out.

Names load on first use (PEP 562), so that importing this package loads neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "ClusterScores": "graphrep.eval.clustering",
    "Comparison": "graphrep.eval.report",
    "EvalWarning": "graphrep.eval._result",
    "LinkScores": "graphrep.eval.linkpred",
    "LogisticModel": "graphrep.eval.logistic",
    "MultilabelScores": "graphrep.eval.multilabel",
    "PartitionScores": "graphrep.eval.partition",
    "ProbeResult": "graphrep.eval._probe_result",
    "ProbeRow": "graphrep.eval._probe_result",
    "RankingScores": "graphrep.eval.ranking",
    "Result": "graphrep.eval._result",
    "Summary": "graphrep.eval.report",
    "alignment": "graphrep.eval.spectrum",
    "cluster_scores": "graphrep.eval.clustering",
    "compare": "graphrep.eval.report",
    "effective_rank": "graphrep.eval.spectrum",
    "holm": "graphrep.eval.report",
    "kmeans": "graphrep.eval.clustering",
    "linear_probe": "graphrep.eval.probe",
    "link_scores": "graphrep.eval.linkpred",
    "logistic_regression": "graphrep.eval.logistic",
    "mean_feature_std": "graphrep.eval.spectrum",
    "multilabel_scores": "graphrep.eval.multilabel",
    "participation_ratio": "graphrep.eval.spectrum",
    "partition_scores": "graphrep.eval.partition",
    "rank_items": "graphrep.eval.ranking",
    "rankme": "graphrep.eval.spectrum",
    "stable_rank": "graphrep.eval.spectrum",
    "summarize": "graphrep.eval.report",
    "topk_metrics": "graphrep.eval.ranking",
    "uniformity": "graphrep.eval.spectrum",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports public names on first use."""
    if name not in _NAMES:
        raise AttributeError(f"module 'graphrep.eval' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
