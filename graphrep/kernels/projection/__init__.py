"""Random projections and the fused propagation pass of FastRP."""

from graphrep.kernels.projection.features import project_features_
from graphrep.kernels.projection.gds import GDSRandom
from graphrep.kernels.projection.propagate import column_moments, fused_power, standardize_
from graphrep.kernels.projection.random import gds_feature_signs, node_keys, random_gaussian, random_signs

__all__ = [
    "GDSRandom",
    "column_moments",
    "fused_power",
    "gds_feature_signs",
    "node_keys",
    "project_features_",
    "random_gaussian",
    "random_signs",
    "standardize_",
]
