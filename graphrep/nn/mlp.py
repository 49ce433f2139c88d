"""The multi-layer perceptron of PyG, which has nothing to gain from these kernels."""

from torch_geometric.nn import MLP

__all__ = ["MLP"]
