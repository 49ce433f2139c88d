"""Assembled methods: estimators with `fit`, `embed` and `save`, built from the layers below."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "AdaMEOW": "adameow",
    "CCASSG": "ccassg",
    "COSTA": "costa",
    "ClusterCurve": "num_clusters",
    "ClusterMixin": "clusterer",
    "Clusterer": "clusterer",
    "Clustering": "clusterer",
    "CompactnessReport": "compactness",
    "DMoN": "dmon",
    "DeepWalk": "deepwalk",
    "EdgeDelta": "fastrp",
    "EmbeddingKMeans": "kmeans",
    "FastRP": "fastrp",
    "FastRPModule": "fastrp_module",
    "FastRPTransform": "fastrp_transform",
    "GCA": "gca",
    "GRACE": "grace",
    "GraphHash": "graph_hash",
    "HeCo": "heco",
    "KMeans": "kmeans",
    "LINE": "line",
    "LMGNN": "lmgnn",
    "Leiden": "communities",
    "LightGCL": "lightgcl",
    "LightGCN": "lightgcn",
    "Louvain": "communities",
    "MEOW": "meow",
    "MF": "lightgcn",
    "MetaPathEstimator": "metapath",
    "NCN": "ncn",
    "NCNC": "ncnc",
    "Node2Vec": "node2vec",
    "PamC": "pamc",
    "PartitionChoice": "selection",
    "Popularity": "popularity",
    "ProGCL": "progcl",
    "RandomizedSpectral": "spectral",
    "Recommender": "recommender",
    "SCGC": "scgc",
    "SimGCL": "simgcl",
    "SkipGramEstimator": "skipgram",
    "SmoothedKMeans": "smooth",
    "SpectralClustering": "spectral_clustering",
    "TextFeatures": "tape",
    "TextGraphContrast": "text_graph_contrast",
    "TrainedEstimator": "trained",
    "TrainedRecommender": "trained_recommender",
    "TwoViewEstimator": "two_view",
    "cluster_curve": "num_clusters",
    "compactness_report": "compactness",
    "ensemble": "tape",
    "load_clusterer": "clusterer",
    "load_model": "trained",
    "load_recommender": "recommender",
    "select_partition": "selection",
    "text_features": "tape",
    "top_class_features": "tape",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports estimators on first use (PEP 562)."""
    if name in _NAMES:
        value = getattr(importlib.import_module(f"graphrep.methods.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'graphrep.methods' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
