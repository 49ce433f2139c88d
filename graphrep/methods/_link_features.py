"""The features of a link predictor: those of the graph, FastRP vectors of its training links, or learned ones."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.errors import MissingFeaturesError
from graphrep.kernels import CSR
from graphrep.methods._views import scaled_features
from graphrep.methods.fastrp import FastRP
from graphrep.nn.encoder import feature_matrix

__all__ = ["feature_kind", "features_of"]

_SPARSE = 0.1  # features with fewer entries than this share are multiplied as a sparse matrix


def feature_kind(graph: Graph, wanted: str) -> str:
    """``"given"``, ``"learned"`` or ``"fastrp"``; ``"auto"`` takes the given ones where there are any, else learned.

    Raises:
        MissingFeaturesError: given ones are wanted and there are none.
    """
    kind = ("given" if graph.num_features else "learned") if wanted == "auto" else wanted
    if kind == "given" and not graph.num_features:
        raise MissingFeaturesError(
            f"{graph.name or 'the graph'} has no features.", hint='features="learned" or features="fastrp"'
        )
    return kind


def features_of(
    graph: Graph, links: Tensor, kind: str, dim: int, scale: str, dtype: torch.dtype, seed: int
) -> Tensor | CSR | None:
    """(N, F) features as layers take them, with few entries as a sparse matrix; None where they are learned.

    Args:
        graph: with features where `kind` is ``"given"``.
        links: (2, M) that FastRP may see: never one that is held out.
        kind: of :func:`feature_kind`.
        dim: of FastRP vectors.
        scale: of :func:`~graphrep.methods._views.scaled_features`.
        dtype: of the result.
        seed: of FastRP.
    """
    if kind == "learned":
        return None
    if kind == "given":
        assert graph.x is not None  # feature_kind looked
        x = graph.x
    else:
        edges = torch.cat([links, links.flip(0)], dim=1)
        x = FastRP(dim, seed=seed).fit_transform(Graph(edges, num_nodes=graph.num_nodes))
    x = scaled_features(x, scale, dtype)
    if x.layout == torch.strided and int(x.count_nonzero()) < _SPARSE * x.numel():
        row, column = x.nonzero(as_tuple=True)
        return CSR.from_edge_index(torch.stack([column, row]), x[row, column], size=(x.shape[1], x.shape[0]))
    return feature_matrix(x)
