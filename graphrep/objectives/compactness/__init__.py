"""How well a two-layer GCN keeps each node to its other view when edges are dropped (POT; Yu et al., NeurIPS 2023)."""

from graphrep.objectives.compactness.bounds import adjacency_bounds, gcn_bounds
from graphrep.objectives.compactness.scores import POTLoss, contrast_vectors, node_compactness, pot

__all__ = ["POTLoss", "adjacency_bounds", "contrast_vectors", "gcn_bounds", "node_compactness", "pot"]
