"""graphrep: embeddings, clusters, links and recommendations from graphs.

Names load on first use, so that ``import graphrep`` costs next to nothing and loads neither torch nor PyG.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = ("data", "errors", "eval", "interop", "kernels", "methods", "nn", "objectives", "registry", "typing")
_NAMES = {
    "AdaMEOW": "graphrep.methods.adameow",
    "ProGCL": "graphrep.methods.progcl",
    "GRACE": "graphrep.methods.grace",
    "GCA": "graphrep.methods.gca",
    "COSTA": "graphrep.methods.costa",
    "CCASSG": "graphrep.methods.ccassg",
    "DMoN": "graphrep.methods.dmon",
    "DeepWalk": "graphrep.methods.deepwalk",
    "EmbeddingKMeans": "graphrep.methods.kmeans",
    "FastRP": "graphrep.methods.fastrp",
    "Graph": "graphrep.data.graph",
    "GraphrepError": "graphrep.errors",
    "HeCo": "graphrep.methods.heco",
    "HeteroGraph": "graphrep.data.hetero",
    "Interactions": "graphrep.data.interactions",
    "KMeans": "graphrep.methods.kmeans",
    "LINE": "graphrep.methods.line",
    "LMGNN": "graphrep.methods.lmgnn",
    "Leiden": "graphrep.methods.communities",
    "LightGCL": "graphrep.methods.lightgcl",
    "LightGCN": "graphrep.methods.lightgcn",
    "Louvain": "graphrep.methods.communities",
    "MEOW": "graphrep.methods.meow",
    "MF": "graphrep.methods.lightgcn",
    "NCN": "graphrep.methods.ncn",
    "NCNC": "graphrep.methods.ncnc",
    "NearestIndex": "graphrep.eval.neighbors",
    "Node2Vec": "graphrep.methods.node2vec",
    "PamC": "graphrep.methods.pamc",
    "Popularity": "graphrep.methods.popularity",
    "RandomizedSpectral": "graphrep.methods.spectral",
    "SCGC": "graphrep.methods.scgc",
    "SimGCL": "graphrep.methods.simgcl",
    "SmoothedKMeans": "graphrep.methods.smooth",
    "SpectralClustering": "graphrep.methods.spectral_clustering",
    "TextGraphContrast": "graphrep.methods.text_graph_contrast",
    "from_dgl": "graphrep.interop.dgl",
    "from_networkx": "graphrep.interop.networkx",
    "from_pandas": "graphrep.interop.pandas",
    "from_pyg": "graphrep.interop.pyg",
    "from_scipy": "graphrep.interop.scipy",
    "index": "graphrep.eval.neighbors",
    "load": "graphrep.data.datasets",
    "load_embeddings": "graphrep.data.embeddings",
    "read": "graphrep.data.read",
    "read_interactions": "graphrep.data.ratings",
    "save_embeddings": "graphrep.data.embeddings",
    "to_dgl": "graphrep.interop.dgl",
    "to_networkx": "graphrep.interop.networkx",
    "to_pandas": "graphrep.interop.pandas",
    "to_pyg": "graphrep.interop.pyg",
    "to_scipy": "graphrep.interop.scipy",
    "tune_fastrp": "graphrep.tuning",
    "write": "graphrep.data.writers",
}

__all__ = ["__version__", *sorted(_MODULES), *sorted(_NAMES)]


def __getattr__(name: str) -> Any:
    """Imports public names on first use (PEP 562)."""
    if name in _MODULES:
        return importlib.import_module(f"graphrep.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'graphrep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
