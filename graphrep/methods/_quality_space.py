"""Vectors in which partitions are judged, whatever method made them: smoothed features, or eigenvectors without any."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.data.check import GraphWarning
from graphrep.errors import EmptyGraphError
from graphrep.methods._feature_rows import features, leading_directions, unit
from graphrep.methods._partition_input import SimpleGraph
from graphrep.methods.smooth import smoothed_rows
from graphrep.methods.spectral import RandomizedSpectral

__all__ = ["QualitySpace", "quality_space"]

_HOPS, _DIMS = 4, 128


@dataclass(frozen=True)
class QualitySpace:
    """Vectors of the nodes.

    Attributes:
        rows: (N, d) float64, unit length or zero.
        spectrum: (d,) singular values of smoothed features, or eigenvalues of the graph, descending.
        name: what the rows are.
    """

    rows: Tensor
    spectrum: NDArray[np.float64]
    name: str

    def gap(self, k: int) -> float:
        """Value k over value k + 1 of the spectrum; infinite for 0 behind a positive one, NaN where there is none."""
        if not 1 <= k < len(self.spectrum) or self.spectrum[k - 1] <= 0:
            return math.nan
        above, below = float(self.spectrum[k - 1]), float(self.spectrum[k])
        return above / below if below > 1e-12 * above else math.inf


def quality_space(simple: SimpleGraph, size: int, seed: int) -> QualitySpace:
    """The vectors for a graph.

    Args:
        simple: the graph.
        size: values of the spectrum that are wanted, at least.
        seed: of what is random about singular directions and eigenvectors.

    Raises:
        EmptyGraphError: neither features nor links.
    """
    if simple.graph.num_features:
        directions = leading_directions(unit(features(simple.graph, "Smoothing")), max(_DIMS, size), seed)[0]
        rows = smoothed_rows(simple, directions=directions, hops=_HOPS)
        spectrum = leading_directions(rows, rows.shape[1], seed)[1]
        return QualitySpace(rows, np.asarray(spectrum.numpy()), f"features smoothed over {_HOPS} hops")
    if not bool((~simple.isolated()).any()):
        raise EmptyGraphError("The graph has neither links nor features.", hint="one of them")
    model = RandomizedSpectral(
        min(size, simple.num_nodes), eigenvalue_power=0.0, skip_first=False, restarts=20, tol=1e-6, seed=seed,
        dtype=torch.float64,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        model.fit(simple.graph)
    return QualitySpace(model.embedding_, model.eigenvalues_.clamp(min=0).numpy(), "leading eigenvectors")
