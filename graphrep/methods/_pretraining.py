"""Training of an auto-encoder on node features alone: where the clustering methods with an encoder start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.kernels import CSR
from graphrep.kernels._select import select_rows
from graphrep.methods._reconstruction import reconstruction_error
from graphrep.methods._views import node_batches, scaled_features
from graphrep.nn.autoencoder import AutoEncoder, FeatureMLP
from graphrep.nn.encoder import feature_matrix

__all__ = ["PretrainTask", "digest", "encode", "from_features", "row_length", "scaled_rows", "take"]

_BLOCK = 1 << 14  # rows that are encoded at a time


class PretrainTask:
    """Reconstruction of the features in shuffled batches; a :class:`graphrep.train.Task`.

    Args:
        autos: one or more auto-encoders, trained side by side on the same batches.
        x: (N, F) features, dense or sparse.
        batch_size: rows per step.
        fingerprint: settings of the method and the graph.
    """

    def __init__(self, autos: Sequence[AutoEncoder], x: Tensor | CSR, batch_size: int, fingerprint: str) -> None:
        self.module: nn.Module = nn.ModuleList(autos)
        self._autos = autos
        self.x, self.batch_size, self._fingerprint = x, batch_size, fingerprint

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Tensor]:
        """Random disjoint batches of rows."""
        return node_batches(self.x.shape[0], self.batch_size, None, generator)

    def loss(self, batch: Tensor, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean squared error over all entries of the batch, zeros included, added up over the auto-encoders."""
        rows = take(self.x, batch)
        value = sum(
            (reconstruction_error(auto.decoder, auto.encoder(rows), rows) for auto in self._autos), torch.zeros(())
        )
        return value, {"reconstruction": value.detach() / len(self._autos)}

    def embed(self) -> Tensor:
        """(N, d) of the first."""
        return encode(self._autos[0].encoder, self.x)

    def fingerprint(self) -> str:
        """Settings of the method and digests of the graph."""
        return self._fingerprint


def scaled_rows(x: Tensor, scale: str | float, dtype: torch.dtype, *, length: float) -> Tensor | CSR:
    """Features in `dtype`, sparse ones as a CSR.

    Args:
        x: (N, F), dense or torch sparse CSR.
        scale: a factor; "equal": each row gets the length `length`; "row": each is divided by its absolute sum; "none".
        dtype: of the result.
        length: see `scale`.
    """
    known = {"equal": "unit", "row": "row"}.get(str(scale), "none")
    rows = feature_matrix(scaled_features(x, known, dtype))
    factor = length if scale == "equal" else 1.0 if isinstance(scale, str) else scale
    if factor == 1:
        return rows
    if isinstance(rows, CSR):
        assert rows.value is not None
        return rows.with_value(rows.value * factor)
    return rows * factor


def row_length(x: Tensor) -> float:
    """Root mean square of the lengths of the rows that are not all zero; 1 where all are."""
    if x.layout == torch.sparse_csr:
        square = x.values().double().square()
        total = torch.cat([square.new_zeros(1), square.cumsum(0)])[x.crow_indices()].diff()
    else:
        total = x.double().square().sum(1)
    return float((total.sum() / (total > 0).sum().clamp(min=1)).sqrt()) or 1.0


def take(x: Tensor | CSR, rows: Tensor) -> Tensor | CSR:
    """Rows of dense or sparse features."""
    if isinstance(x, CSR):
        return select_rows(x, rows.to(x.device))
    return x[rows.to(x.device)]


@torch.no_grad()
def encode(encoder: FeatureMLP, x: Tensor | CSR) -> Tensor:
    """(N, d) embedding, a block of rows at a time."""
    if x.shape[0] <= _BLOCK:
        return encoder(x)  # type: ignore[no-any-return]
    blocks = torch.split(torch.arange(x.shape[0], device=x.device), _BLOCK)
    return torch.cat([encoder(take(x, block)) for block in blocks])


def from_features(graph: Any) -> Any:
    """A graph without edges where features came alone, as floating-point numbers; anything else as it is."""
    alone = (isinstance(graph, Tensor) and graph.is_floating_point()) or (
        isinstance(graph, np.ndarray) and graph.dtype.kind == "f"
    )
    return Graph(torch.zeros(2, 0, dtype=torch.int64), x=graph) if alone else graph


def digest(x: Tensor | CSR) -> str:
    """A short digest of a tensor or a sparse matrix."""
    found = hashlib.blake2b(digest_size=8)
    for part in [x.rowptr, x.col, x.value] if isinstance(x, CSR) else [x]:
        if part is not None:
            found.update(part.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()
