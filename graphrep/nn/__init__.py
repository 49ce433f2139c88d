"""Layers and samplers with PyG's signatures, and random views of a graph, on these kernels."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "AutoEncoder": "autoencoder",
    "CommonNeighborPool": "common_neighbor_pool",
    "EdgeDropper": "views",
    "EdgeHead": "heads",
    "EmbeddingCache": "embedding_cache",
    "FeatureMLP": "autoencoder",
    "GATConv": "gat_conv",
    "GCNConv": "gcn_conv",
    "GCNEncoder": "encoder",
    "HGTConv": "hgt_conv",
    "HashedEmbedding": "hashed",
    "InteractionEncoder": "interactions",
    "LGConv": "gcn_conv",
    "LightGCL": "lightgcl",
    "LightGCN": "lightgcn",
    "LinkDropper": "link_dropper",
    "LinkHead": "heads",
    "LinkView": "link_dropper",
    "MLP": "mlp",
    "MetaPathContext": "metapath_context",
    "MetaPathProposal": "metapath_names",
    "NCN": "ncn",
    "NodeHead": "heads",
    "NumbaSampler": "sampler",
    "Propagate": "propagate",
    "RGCNConv": "rgcn_conv",
    "SAGEConv": "gcn_conv",
    "TextEncoder": "text_encoder",
    "cache_key": "embedding_cache",
    "SampledBatch": "sampled_batch",
    "SharedNegatives": "shared_negatives",
    "SmallBert": "bert",
    "TextGraphEncoder": "text_graph",
    "TokenCache": "token_cache",
    "choose_live": "live_text",
    "drop_edges": "views",
    "drop_probability": "centrality",
    "encode_texts": "encoding",
    "gca_edge_weights": "centrality",
    "gca_feature_weights": "centrality",
    "link_score": "link_scores",
    "load_text_model": "text_model",
    "mask_features": "views",
    "metapath_adjacency": "metapaths",
    "metapath_contexts": "metapath_context",
    "metapath_norm": "metapaths",
    "mixed_text": "live_text",
    "node_centrality": "centrality",
    "parse_metapath": "metapath_names",
    "path_similarity": "metapaths",
    "propose_metapaths": "metapath_names",
    "save_text_model": "text_model",
    "sample_batch": "sampled_batch",
    "scale_live": "live_text",
    "small_bert": "bert",
    "svd_view": "svd",
    "top_metapath_neighbors": "metapaths",
    "top_neighbors": "metapaths",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports classes on first use (PEP 562), so that those without PyG do not wait for it."""
    if name in _NAMES:
        value = getattr(importlib.import_module(f"graphrep.nn.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'graphrep.nn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
